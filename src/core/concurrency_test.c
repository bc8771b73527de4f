/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/concurrency.h"

static const struct concurrency_rule gradient2 = {.kind = CONCURRENCY_GRADIENT2,
                                                  .first = 20,
                                                  .min = 4,
                                                  .max = 200,
                                                  .slow_ms = 1000};
static const struct concurrency_rule aimd = {.kind = CONCURRENCY_AIMD,
                                             .first = 20,
                                             .min = 4,
                                             .max = 40,
                                             .slow_ms = 1000};

/* A window in which so many were in flight, and each answer took that long. */
static bool window(struct concurrency *it, const struct concurrency_rule *rule, uint64_t *now_ms,
                   uint32_t in_flight, uint64_t latency_us)
{
    for (int i = 0; i < 10; i++) {
        concurrency_told(it, latency_us);
        concurrency_ended(it, latency_us / 1000, in_flight, false);
    }
    *now_ms += latency_us / 1000 > 250 ? latency_us / 1000 : 250;
    return concurrency_review(it, rule, *now_ms);
}

static uint32_t windows(struct concurrency *it, const struct concurrency_rule *rule,
                        uint64_t *now_ms, int count, uint64_t latency_us)
{
    for (int i = 0; i < count; i++) {
        window(it, rule, now_ms, concurrency_limit(it, rule), latency_us);
    }
    return concurrency_limit(it, rule);
}

static void nothing_is_known_at_first(void **state)
{
    struct concurrency_rule narrow = gradient2;
    struct concurrency it = {0};
    (void)state;
    assert_int_equal(concurrency_limit(&it, &gradient2), 20);
    narrow.max = 10;
    assert_int_equal(concurrency_limit(&it, &narrow), 10);
    narrow.max = narrow.min = 30;
    assert_int_equal(concurrency_limit(&it, &narrow), 30);
}

/* Ten ends, and a quarter of a second; or one answer, where that is longer. */
static void a_window_is_long_enough(void **state)
{
    struct concurrency it = {0};
    (void)state;
    for (int i = 0; i < 9; i++) {
        concurrency_ended(&it, 10, 20, false);
    }
    assert_false(concurrency_review(&it, &gradient2, 10000));
    concurrency_ended(&it, 10, 20, false);
    assert_false(concurrency_review(&it, &gradient2, 249));
    assert_false(concurrency_review(&it, &gradient2, 250)); /* moved, by less than one */
    assert_int_equal(it.held, 0);

    struct concurrency slow = {0};
    uint64_t now_ms = 0;
    window(&slow, &gradient2, &now_ms, 20, 2000000);
    for (int i = 0; i < 10; i++) {
        concurrency_ended(&slow, 2000, 20, false);
    }
    assert_false(concurrency_review(&slow, &gradient2, now_ms + 1999));
    assert_int_equal(slow.held, 10);
    concurrency_review(&slow, &gradient2, now_ms + 2000);
    assert_int_equal(slow.held, 0);
}

static void gradient2_grows_while_answers_take_no_longer(void **state)
{
    struct concurrency it = {0};
    uint64_t now_ms = 0;
    (void)state;
    uint32_t after_ten = windows(&it, &gradient2, &now_ms, 10, 10000);
    assert_in_range(after_ten, 27, 29); /* four fifths of one, each time */
    assert_int_equal(windows(&it, &gradient2, &now_ms, 400, 13000), 200); /* a third is noise */
}

static void gradient2_falls_as_answers_slow_down_and_comes_back(void **state)
{
    struct concurrency it = {0};
    uint64_t now_ms = 0;
    (void)state;
    uint32_t before = windows(&it, &gradient2, &now_ms, 100, 10000);
    uint32_t under_load = windows(&it, &gradient2, &now_ms, 20, 60000);
    assert_true(before > 90);
    assert_true(under_load < before / 3);
    uint32_t later = windows(&it, &gradient2, &now_ms, 100, 10000);
    assert_true(later > before / 2 + under_load);
}

/* What was slow for long is forgotten sooner once it is over. */
static void gradient2_forgets_a_bad_time(void **state)
{
    struct concurrency it = {0};
    uint64_t now_ms = 0;
    (void)state;
    windows(&it, &gradient2, &now_ms, 100, 800000);
    uint64_t slow_us = it.long_us;
    windows(&it, &gradient2, &now_ms, 60, 10000);
    assert_true(it.long_us < slow_us / 8);
}

static void what_is_not_used_does_not_grow(void **state)
{
    struct concurrency it = {0}, other = {0};
    uint64_t now_ms = 0;
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_false(window(&it, &gradient2, &now_ms, 9, 10000));
        assert_false(window(&other, &aimd, &now_ms, 9, 10000));
    }
    assert_int_equal(concurrency_limit(&it, &gradient2), 20);
    assert_int_equal(concurrency_limit(&other, &aimd), 20);
}

static void aimd_is_one_up_and_a_tenth_down(void **state)
{
    struct concurrency it = {0};
    uint64_t now_ms = 0;
    (void)state;
    assert_true(window(&it, &aimd, &now_ms, 20, 10000));
    assert_int_equal(concurrency_limit(&it, &aimd), 21);
    window(&it, &aimd, &now_ms, 21, 1000001); /* too slow */
    assert_int_equal(concurrency_limit(&it, &aimd), 18);
    assert_int_equal(windows(&it, &aimd, &now_ms, 100, 10000), 40);
    assert_int_equal(windows(&it, &aimd, &now_ms, 100, 2000000), 4);
}

static void what_is_dropped_counts_without_an_answer(void **state)
{
    const struct concurrency_rule *rules[] = {&aimd, &gradient2};
    (void)state;
    for (int r = 0; r < 2; r++) {
        struct concurrency it = {0};
        for (int i = 0; i < 10; i++) {
            concurrency_ended(&it, 10000, 20, true);
        }
        assert_true(concurrency_review(&it, rules[r], 300));
        assert_int_equal(concurrency_limit(&it, rules[r]), 18);
    }
}

/* Where connections report no latency, it is how long leases were held. */
static void leases_stand_in_for_latency(void **state)
{
    struct concurrency it = {0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        concurrency_ended(&it, 7, 20, false);
    }
    concurrency_review(&it, &gradient2, 300);
    assert_int_equal(it.now_us, 7500);
}

/* Faster than the clock can tell: as fast as the window before, that is all. */
static void an_answer_at_once_is_no_lesson_against_it(void **state)
{
    struct concurrency it = {0};
    uint64_t now_ms = 0;
    (void)state;
    assert_in_range(windows(&it, &gradient2, &now_ms, 10, 0), 27, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(a_window_is_long_enough),
        cmocka_unit_test(gradient2_grows_while_answers_take_no_longer),
        cmocka_unit_test(gradient2_falls_as_answers_slow_down_and_comes_back),
        cmocka_unit_test(gradient2_forgets_a_bad_time),
        cmocka_unit_test(what_is_not_used_does_not_grow),
        cmocka_unit_test(aimd_is_one_up_and_a_tenth_down),
        cmocka_unit_test(what_is_dropped_counts_without_an_answer),
        cmocka_unit_test(leases_stand_in_for_latency),
        cmocka_unit_test(an_answer_at_once_is_no_lesson_against_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
