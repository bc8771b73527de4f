/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/overload.h"

#include "support/unit.h"

#include <string.h>

static bool look(struct overload *overload, uint64_t descriptors, uint64_t memory, uint64_t now_ms)
{
    const struct overload_use use[OVERLOAD_RESOURCES] = {
        [OVERLOAD_DESCRIPTORS] = {descriptors, 1000}, [OVERLOAD_MEMORY] = {memory, 1000}};
    return overload_look(overload, use, now_ms);
}

static void each_level_begins_at_its_share_and_not_before(void **state)
{
    static const struct {
        uint64_t used;
        enum overload_level level;
    } rows[] = {{0, OVERLOAD_CALM},      {849, OVERLOAD_CALM},    {850, OVERLOAD_SHORTEN},
                {919, OVERLOAD_SHORTEN}, {920, OVERLOAD_EVICT},   {969, OVERLOAD_EVICT},
                {970, OVERLOAD_REFUSE},  {1000, OVERLOAD_REFUSE}, {5000, OVERLOAD_REFUSE}};
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct overload fds = {.level = OVERLOAD_CALM}, memory = {.level = OVERLOAD_CALM};
        assert_int_equal(look(&fds, rows[i].used, 0, 1), rows[i].level != OVERLOAD_CALM);
        assert_int_equal(look(&memory, 0, rows[i].used, 1), rows[i].level != OVERLOAD_CALM);
        assert_int_equal(fds.level, rows[i].level);
        assert_int_equal(memory.level, rows[i].level);
        assert_int_equal(memory.share[OVERLOAD_MEMORY], rows[i].used);
    }
}

static void each_level_ends_five_points_below_where_it_began(void **state)
{
    struct overload overload = {.level = OVERLOAD_CALM};
    (void)state;
    assert_true(look(&overload, 970, 0, 10));
    assert_int_equal(overload.since_ms, 10);
    assert_false(look(&overload, 920, 0, 20));
    assert_int_equal(overload.level, OVERLOAD_REFUSE);
    assert_true(look(&overload, 919, 0, 30));
    assert_int_equal(overload.level, OVERLOAD_EVICT);
    assert_int_equal(overload.since_ms, 30);
    assert_false(look(&overload, 870, 0, 40));
    assert_true(look(&overload, 869, 0, 50));
    assert_int_equal(overload.level, OVERLOAD_SHORTEN);
    assert_false(look(&overload, 800, 0, 60));
    assert_true(look(&overload, 799, 0, 70));
    assert_int_equal(overload.level, OVERLOAD_CALM);
    assert_false(look(&overload, 849, 0, 80));
}

/* Between 87 and 92 % nothing changes, whichever side it came from. */
static void a_share_that_wavers_changes_nothing(void **state)
{
    struct overload overload = {.level = OVERLOAD_CALM};
    (void)state;
    look(&overload, 920, 0, 1);
    for (uint64_t i = 0; i < 100; i++) {
        assert_false(look(&overload, i % 2 ? 871 : 930, 0, 2 + i));
    }
    assert_int_equal(overload.begun[OVERLOAD_EVICT], 1);
    look(&overload, 860, 0, 200);
    for (uint64_t i = 0; i < 100; i++) {
        assert_false(look(&overload, i % 2 ? 801 : 919, 0, 201 + i));
    }
    assert_int_equal(overload.begun[OVERLOAD_EVICT], 1);
    assert_int_equal(overload.begun[OVERLOAD_SHORTEN], 1);
}

static void the_scarcest_says_which_level_it_is(void **state)
{
    struct overload overload = {.level = OVERLOAD_CALM};
    (void)state;
    look(&overload, 860, 930, 1);
    assert_int_equal(overload.level, OVERLOAD_EVICT);
    assert_int_equal(overload.scarcest, OVERLOAD_MEMORY);
    look(&overload, 860, 100, 2);
    assert_int_equal(overload.level, OVERLOAD_SHORTEN);
    assert_int_equal(overload.scarcest, OVERLOAD_DESCRIPTORS);
    assert_int_equal(overload.begun[OVERLOAD_SHORTEN], 1);
}

static void without_a_limit_nothing_is_scarce(void **state)
{
    struct overload overload = {.level = OVERLOAD_CALM};
    const struct overload_use use[OVERLOAD_RESOURCES] = {{.used = UINT64_MAX}, {.used = 1U << 30}};
    (void)state;
    assert_false(overload_look(&overload, use, 1));
    assert_int_equal(overload_excess(&use[0]), 0);
    const struct overload_use huge[OVERLOAD_RESOURCES] = {{UINT64_MAX, UINT64_MAX / 2},
                                                          {UINT64_MAX / 2, UINT64_MAX}};
    assert_true(overload_look(&overload, huge, 2));
    assert_int_equal(overload.level, OVERLOAD_REFUSE);
    assert_int_equal(overload.share[OVERLOAD_MEMORY], 500);
}

/* Once so many have closed the level is over, and with one less it is not. */
static void the_excess_is_what_ends_the_eviction(void **state)
{
    (void)state;
    for (uint64_t most = 10; most < 3000; most += 7) {
        for (uint64_t used = most * 92 / 100 + 1; used <= most; used++) {
            struct overload_use use[OVERLOAD_RESOURCES] = {{used, most}};
            struct overload overload = {.level = OVERLOAD_EVICT};
            uint64_t excess = overload_excess(&use[0]);
            assert_true(excess > 0 && excess <= used);
            use[0].used = used - excess;
            overload_look(&overload, use, 1);
            assert_true(overload.level < OVERLOAD_EVICT);
            overload.level = OVERLOAD_EVICT;
            use[0].used = (most * 870 + 999) / 1000;
            overload_look(&overload, use, 2);
            assert_true(overload.level >= OVERLOAD_EVICT);
            assert_true(used - excess < use[0].used);
        }
    }
}

static void nobody_is_refused_below_the_level_that_refuses(void **state)
{
    (void)state;
    for (uint64_t most = 1; most < 5000; most++) {
        uint64_t at = overload_refuses_at(most);
        const struct overload_use use[OVERLOAD_RESOURCES] = {{at, most}};
        const struct overload_use less[OVERLOAD_RESOURCES] = {{at - 1, most}};
        struct overload overload = {.level = OVERLOAD_CALM}, below = {.level = OVERLOAD_CALM};
        overload_look(&overload, use, 1);
        overload_look(&below, less, 1);
        assert_int_equal(overload.level, OVERLOAD_REFUSE);
        assert_true(below.level < OVERLOAD_REFUSE);
    }
}

static void levels_have_words(void **state)
{
    (void)state;
    assert_string_equal(overload_word(OVERLOAD_CALM), "calm");
    assert_string_equal(overload_word(OVERLOAD_REFUSE), "refuse");
    assert_non_null(strstr(overload_text(OVERLOAD_REFUSE), "503"));
    assert_string_equal(overload_resource_word(OVERLOAD_DESCRIPTORS), "descriptors");
    assert_string_equal(overload_resource_word(OVERLOAD_MEMORY), "memory");
    assert_int_equal(overload_begins(OVERLOAD_EVICT), 920);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_begins_at_its_share_and_not_before),
        cmocka_unit_test(each_level_ends_five_points_below_where_it_began),
        cmocka_unit_test(a_share_that_wavers_changes_nothing),
        cmocka_unit_test(the_scarcest_says_which_level_it_is),
        cmocka_unit_test(without_a_limit_nothing_is_scarce),
        cmocka_unit_test(the_excess_is_what_ends_the_eviction),
        cmocka_unit_test(nobody_is_refused_below_the_level_that_refuses),
        cmocka_unit_test(levels_have_words),
    };
    return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}
