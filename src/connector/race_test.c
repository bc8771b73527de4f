/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/race.h"

#include "support/unit.h"

#include <string.h>

/* "464" stands for addresses of these families; each is told from the others by its place. */
static uint32_t parse(const char *families, struct ip *ret)
{
    uint32_t count = 0;
    for (; families[count] != '\0'; count++) {
        ret[count] = (struct ip){.family = families[count] == '4' ? AF_INET : AF_INET6,
                                 .bytes = {(uint8_t)count}};
    }
    return count;
}

static void expect_order(const char *families, const char *places)
{
    struct ip from[16] = {0}, to[16] = {0};
    uint32_t count = parse(families, from);
    race_order(from, count, to);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(to[i].bytes[0], places[i] - '0');
        assert_int_equal(to[i].family, from[to[i].bytes[0]].family);
    }
}

static void families_take_turns(void **state)
{
    (void)state;
    expect_order("", "");
    expect_order("4", "0");
    expect_order("444", "012");
    expect_order("664444", "021345");
    expect_order("446", "021");
    expect_order("6644", "0213");
    expect_order("4666", "0123");
    expect_order("66664", "04123");
    expect_order("464646", "012345");
}

static void an_attempt_begins_every_delay(void **state)
{
    (void)state;
    struct race race;
    race_init(&race, 3, 250);
    assert_int_equal(race_next(&race, 1000), RACE_START);
    assert_int_equal(race_next(&race, 1000), RACE_WAIT);
    assert_int_equal(race_deadline_ms(&race), 1250);
    assert_int_equal(race_next(&race, 1249), RACE_WAIT);
    assert_int_equal(race_next(&race, 1250), RACE_START);
    assert_int_equal(race_next(&race, 1250), RACE_WAIT);
    assert_int_equal(race_next(&race, 9000), RACE_START);
    assert_int_equal(race_next(&race, 9999), RACE_WAIT);
    assert_int_equal(race_deadline_ms(&race), RACE_NEVER);
    assert_int_equal(race.started, 3);
}

static void a_failure_begins_the_next_at_once(void **state)
{
    (void)state;
    struct race race;
    race_init(&race, 2, 250);
    assert_int_equal(race_next(&race, 1000), RACE_START);
    race_failed(&race);
    assert_int_equal(race_next(&race, 1001), RACE_START);
    assert_int_equal(race_next(&race, 1001), RACE_WAIT);
    race_failed(&race);
    assert_int_equal(race_next(&race, 1002), RACE_LOST);
}

static void the_race_is_lost_when_the_last_one_failed(void **state)
{
    (void)state;
    struct race race;
    race_init(&race, 2, 250);
    assert_int_equal(race_next(&race, 0), RACE_START);
    assert_int_equal(race_next(&race, 250), RACE_START);
    race_failed(&race);
    assert_int_equal(race_next(&race, 251), RACE_WAIT);
    race_failed(&race);
    assert_int_equal(race_next(&race, 252), RACE_LOST);
    race_init(&race, 0, 250);
    assert_int_equal(race_next(&race, 0), RACE_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(an_attempt_begins_every_delay),
        cmocka_unit_test(a_failure_begins_the_next_at_once),
        cmocka_unit_test(the_race_is_lost_when_the_last_one_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
