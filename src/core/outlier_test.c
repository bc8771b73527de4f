/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/outlier.h"

#include <string.h>

#define SECOND UINT64_C(1000)

static struct outlier at[10];
static struct outlier_set set;
static uint32_t ejections, returns;

static void begin(uint32_t count)
{
    memset(at, 0, sizeof at);
    ejections = returns = 0;
    set = (struct outlier_set){.opt = {.errors = 5,
                                       .ejection_ms = 30000,
                                       .ejection_max_ms = 70000,
                                       .ejected_pct = 50,
                                       .slow_start_ms = 20000},
                               .at = at,
                               .count = count};
}

static void changed(void *arg, uint32_t index, bool is_ejected)
{
    assert_ptr_equal(arg, &set);
    assert_int_equal(at[index].ejected, is_ejected);
    ejections += is_ejected;
    returns += !is_ejected;
}

static bool fail_at(uint32_t index, uint32_t times, uint64_t now_ms)
{
    bool was_ejected = false;
    for (uint32_t i = 0; i < times; i++) {
        was_ejected |= outlier_count(&set, index, false, now_ms);
    }
    return was_ejected;
}

static void errors_in_a_row_eject(void **state)
{
    (void)state;
    begin(4);
    assert_false(fail_at(0, 4, SECOND));
    assert_false(outlier_count(&set, 0, true, SECOND));
    assert_false(fail_at(0, 4, SECOND));
    assert_true(fail_at(0, 1, SECOND));
    assert_false(fail_at(0, 10, SECOND)); /* it is out already */
    outlier_review(&set, 30 * SECOND, changed, &set);
    assert_int_equal(returns, 0);
    outlier_review(&set, 31 * SECOND, changed, &set);
    assert_int_equal(returns, 1);
    begin(4);
    set.opt.errors = 0;
    assert_false(fail_at(0, 1000, SECOND));
}

static void some_always_stay(void **state)
{
    (void)state;
    begin(4);
    assert_true(fail_at(0, 5, SECOND));
    assert_true(fail_at(1, 5, SECOND));
    assert_false(fail_at(2, 50, SECOND)); /* half of them is the most */
    begin(1);
    assert_false(fail_at(0, 50, SECOND));
    begin(2);
    set.opt.ejected_pct = 100;
    assert_true(fail_at(0, 5, SECOND));
    assert_false(fail_at(1, 50, SECOND)); /* the last one */
}

static void each_ejection_is_longer(void **state)
{
    (void)state;
    begin(2);
    uint64_t now_ms = SECOND;
    const uint64_t lasts_ms[] = {30000, 60000, 70000, 70000};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(fail_at(0, 5, now_ms));
        assert_int_equal(at[0].until_ms - now_ms, lasts_ms[i]);
        now_ms = at[0].until_ms;
        outlier_review(&set, now_ms, changed, &set);
        assert_false(at[0].ejected);
    }
    for (unsigned i = 0; i < 4; i++) { /* quiet for as long, and one is forgiven */
        outlier_review(&set, now_ms + 5 * SECOND, changed, &set);
        now_ms += 70 * SECOND;
        outlier_review(&set, now_ms, changed, &set);
        assert_int_equal(at[0].times, 3 - i);
    }
}

static void the_weight_returns_slowly(void **state)
{
    (void)state;
    begin(2);
    assert_int_equal(outlier_weight(&set, 0, SECOND), 100);
    assert_true(fail_at(0, 5, SECOND));
    outlier_review(&set, 31 * SECOND, changed, &set);
    assert_int_equal(outlier_weight(&set, 0, 31 * SECOND), 10);
    assert_int_equal(outlier_weight(&set, 0, 41 * SECOND), 50);
    assert_int_equal(outlier_weight(&set, 0, 51 * SECOND), 100);
    set.opt.slow_start_ms = 0;
    assert_int_equal(outlier_weight(&set, 0, 31 * SECOND), 100);
}

static void answer(uint32_t index, uint32_t good, uint32_t bad)
{
    for (uint32_t i = 0; i < good + bad; i++) {
        outlier_count(&set, index, i % (good + bad) < good, SECOND);
    }
}

static void a_rate_far_below_the_others_ejects(void **state)
{
    (void)state;
    begin(6);
    set.review_ms = 10 * SECOND;
    set.opt.errors = 1000;
    for (uint32_t i = 0; i < 5; i++) {
        answer(i, 100, i % 2); /* nearly all is well */
    }
    answer(5, 60, 60);
    outlier_review(&set, 9 * SECOND, changed, &set);
    assert_int_equal(ejections, 0); /* not yet */
    outlier_review(&set, 10 * SECOND, changed, &set);
    assert_int_equal(ejections, 1);
    assert_true(at[5].ejected);

    begin(6); /* too few have had enough requests */
    for (uint32_t i = 0; i < 4; i++) {
        answer(i, i == 3 ? 0 : 100, i == 3 ? 100 : 0);
        at[i].ejected = false;
    }
    answer(5, 0, 3);
    memset(at, 0, sizeof at[0] * 3);
    outlier_review(&set, SECOND, changed, &set);
    assert_int_equal(ejections, 0);

    begin(6); /* switched off, rates do not count either; nor where others are out already */
    set.opt.errors = 0;
    for (uint32_t i = 0; i < 5; i++) {
        answer(i, 100, i == 4 ? 100 : 0);
    }
    outlier_review(&set, SECOND, changed, &set);
    assert_int_equal(ejections, 0);
    begin(6);
    set.opt.errors = 1000;
    set.opt.ejected_pct = 10;
    for (uint32_t i = 0; i < 5; i++) {
        answer(i, 100, i == 4 ? 100 : 0);
    }
    outlier_review(&set, SECOND, changed, &set);
    assert_int_equal(ejections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_in_a_row_eject),
        cmocka_unit_test(some_always_stay),
        cmocka_unit_test(each_ejection_is_longer),
        cmocka_unit_test(the_weight_returns_slowly),
        cmocka_unit_test(a_rate_far_below_the_others_ejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
