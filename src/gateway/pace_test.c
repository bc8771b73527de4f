/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/pace.h"

#include "base/rand.h"
#include "support/unit.h"

static void everybody_comes_in_while_the_wait_is_borne(void **state)
{
    struct pace pace = {.is_on = false};
    (void)state;
    for (uint32_t strain = 0; strain < PACE_BEGINS; strain++) {
        assert_int_equal(pace_look(&pace, strain, strain), PACE_ALL);
    }
}

static void as_many_come_in_as_have_left(void **state)
{
    struct pace pace = {.is_on = false};
    (void)state;
    assert_int_equal(pace_look(&pace, PACE_BEGINS, 100), 0);
    assert_int_equal(pace_look(&pace, PACE_BEGINS, 107), 7);
    assert_int_equal(pace_look(&pace, PACE_ENDS, 107), 0);
    assert_int_equal(pace_look(&pace, PACE_ENDS, 110), 3);
    assert_int_equal(pace_look(&pace, PACE_ENDS - 1, 110), PACE_ALL);
    assert_int_equal(pace_look(&pace, PACE_BEGINS - 1, 110), PACE_ALL);
    assert_int_equal(pace_look(&pace, PACE_BEGINS, UINT64_C(1) << 40), 0);
    assert_int_equal(pace_look(&pace, PACE_BEGINS, UINT64_C(1) << 41), PACE_ALL - 1);
}

static void where_nobody_leaves_one_a_second_comes_in(void **state)
{
    struct pace pace = {.is_on = false};
    uint32_t came = 0;
    (void)state;
    for (uint32_t ms = 0; ms <= 10000; ms += PACE_LOOK_MS) {
        came += pace_look(&pace, 2000, 5);
    }
    assert_int_equal(came, 10);
}

/* A server of one place, and ten times as many clients as it can serve: what waits stays below what
 * it was when the pace began, and one a second; and the server is never idle. */
static void what_waits_is_bounded(void **state)
{
    struct pace pace = {.is_on = false};
    struct rand rand;
    uint64_t waiting = 0, ended = 0, outside = 0, most_before = 0;
    uint32_t may = PACE_ALL;
    (void)state;
    rand_init(&rand, 7);
    for (uint32_t look = 0; look < 10000; look++) {
        uint64_t left = rand_below(&rand, 11), in;
        outside += rand_below(&rand, 100);
        in = outside < may ? outside : may;
        outside -= in;
        waiting += in;
        left = left < waiting ? left : waiting;
        waiting -= left;
        ended += left;
        if (!pace.is_on) {
            most_before = waiting > most_before ? waiting : most_before;
        }
        assert_true(waiting <= most_before + 1);
        assert_true(look < 10 || waiting > 0);
        may = pace_look(&pace, (uint32_t)(waiting * 10), ended); /* a hundred are borne */
    }
    assert_true(most_before < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_comes_in_while_the_wait_is_borne),
        cmocka_unit_test(as_many_come_in_as_have_left),
        cmocka_unit_test(where_nobody_leaves_one_a_second_comes_in),
        cmocka_unit_test(what_waits_is_bounded),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
