/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/trend.h"

#include "support/unit.h"

#include <math.h>

#define WINDOW_MS UINT64_C(600000)
#define SLOT_MS   (WINDOW_MS / TREND_SLOTS)

static struct trend trend;

/* A value for each slot of a window and a half, from some time on. */
static struct trend_line of(double (*value)(double slot))
{
    trend_init(&trend, WINDOW_MS);
    for (uint64_t i = 0; i < UINT64_C(3) * TREND_SLOTS / 2; i++) {
        trend_add(&trend, 77000 + i * SLOT_MS, value((double)i), 1);
    }
    return trend_line_of(&trend);
}

static double flat(double slot)
{
    (void)slot;
    return 7;
}

static double rising(double slot)
{
    return 3 + slot * 0.5;
}

static double falling(double slot)
{
    return 300 - slot;
}

static double jumping(double slot)
{
    return slot < 60 ? 5 : 25;
}

static void a_line_is_found(void **state)
{
    (void)state;
    struct trend_line line = of(rising);
    assert_true(line.is_known && line.is_steady);
    assert_float_equal(line.slope, 0.5 / (SLOT_MS / 1000.0), 1e-9);
    assert_float_equal(line.level, rising(89), 1e-9);
    assert_true(line.certainty > 1000);
    assert_float_equal(line.weight, TREND_SLOTS - 1, 1e-9);
    assert_float_equal(line.base, rising(30 + 7), 1e-9);
}

static void what_does_not_rise_is_not_steady(void **state)
{
    (void)state;
    struct trend_line line = of(flat);
    assert_true(line.is_known);
    assert_false(line.is_steady);
    assert_float_equal(line.slope, 0, 1e-9);
    line = of(falling);
    assert_true(line.slope < 0 && line.certainty < 0);
    assert_false(line.is_steady);
}

/* Wherever in the window it lies. */
static void a_jump_is_no_rise(void **state)
{
    (void)state;
    trend_init(&trend, WINDOW_MS);
    for (uint64_t i = 0; i < UINT64_C(2) * TREND_SLOTS; i++) {
        trend_add(&trend, i * SLOT_MS, jumping((double)i), 1);
        assert_false(trend_line_of(&trend).is_steady);
    }
}

/* Three slots of each quarter will do. */
static void too_little_is_no_line(void **state)
{
    (void)state;
    trend_init(&trend, WINDOW_MS);
    assert_false(trend_line_of(&trend).is_known);
    for (uint64_t i = 0; i < TREND_SLOTS; i += 5) {
        assert_false(trend_line_of(&trend).is_known);
        trend_add(&trend, i * SLOT_MS, (double)i, 1);
    }
    trend_add(&trend, (TREND_SLOTS - 1) * SLOT_MS, 1, 1);
    assert_true(trend_line_of(&trend).is_known);
    trend_add(&trend, (TREND_SLOTS + 6) * SLOT_MS, 1, 1); /* the newest quarter has two */
    assert_false(trend_line_of(&trend).is_known);
}

/* Means of a slot, whatever its weight; empty slots are left out, a long silence forgets all. */
static void slots_are_means(void **state)
{
    (void)state;
    trend_init(&trend, WINDOW_MS);
    for (uint64_t i = 0; i < TREND_SLOTS; i++) {
        double weight = (double)(i % 3 + 1);
        if (i % 10 != 9) {
            trend_add(&trend, i * SLOT_MS, rising((double)i) * weight, weight);
            trend_add(&trend, i * SLOT_MS + SLOT_MS / 2, rising((double)i) * weight, weight);
        }
    }
    struct trend_line line = trend_line_of(&trend);
    assert_true(line.is_known);
    assert_float_equal(line.slope, 0.05, 1e-9);
    trend_add(&trend, 1000 * SLOT_MS, 1, 1);
    assert_false(trend_line_of(&trend).is_known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_found),   cmocka_unit_test(what_does_not_rise_is_not_steady),
        cmocka_unit_test(a_jump_is_no_rise), cmocka_unit_test(too_little_is_no_line),
        cmocka_unit_test(slots_are_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
