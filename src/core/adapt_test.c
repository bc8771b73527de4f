/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/adapt.h"

static struct adapt_look look_of(uint32_t arrivals, uint32_t hold_ms)
{
    return (struct adapt_look){
        .arrivals = arrivals, .elapsed_ms = 1000, .hold_x16 = hold_ms * 16, .min = 2, .max = 100};
}

static void staff_is_the_load_and_two_roots(void **state)
{
    (void)state;
    assert_int_equal(adapt_staff(0), 0);
    assert_int_equal(adapt_staff(256), 3);
    assert_int_equal(adapt_staff(4 * 256), 8);
    assert_int_equal(adapt_staff(100 * 256), 120);
    assert_int_equal(adapt_staff(64), 2); /* L = 1/4 */
    assert_int_equal(adapt_staff(UINT64_MAX), adapt_staff(UINT32_MAX));
}

/* 100 a second, held for 100 ms: 10 are busy on average. */
static void the_target_follows_a_steady_load(void **state)
{
    (void)state;
    struct adapt adapt = {0};
    uint32_t arrivals = UINT32_MAX - 500; /* it may wrap */
    adapt.arrivals = arrivals;
    for (int i = 0; i < 20; i++) {
        arrivals += 100;
        struct adapt_look look = look_of(arrivals, 100);
        adapt_learn(&adapt, &look);
    }
    assert_in_range(adapt.target, 16, 17);
    for (int i = 0; i < 60; i++) {
        struct adapt_look look = look_of(arrivals, 100);
        adapt_learn(&adapt, &look);
    }
    assert_int_equal(adapt.rate_x16, 0);
    assert_int_equal(adapt.target, 2);
}

static void bounds_and_what_is_busy_count(void **state)
{
    (void)state;
    struct adapt adapt = {0};
    struct adapt_look look = look_of(0, 0);
    look.elapsed_ms = 0;
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, 2);
    look.busy = 16; /* leases that last for minutes: no rate tells of them */
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, 24);
    look.busy = 1000;
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, 100);
    look.max = UINT32_MAX;
    look.busy = 1000000;
    adapt.has_grown = false;
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, UINT16_MAX);
    look.arrivals = UINT32_MAX;
    look.elapsed_ms = 1;
    adapt_learn(&adapt, &look); /* more than can be counted */
    look.elapsed_ms = 60000;
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.rate_x16, 0); /* after a pause the last look says it all */
}

static void no_growth_where_service_became_slower(void **state)
{
    (void)state;
    struct adapt adapt = {0};
    struct adapt_look look = look_of(0, 100);
    look.busy = 4;
    adapt_learn(&adapt, &look);
    look.busy = 9;
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, 15);
    look.busy = 16;
    look.hold_x16 = 130 * 16; /* slower since it grew */
    adapt_learn(&adapt, &look);
    assert_int_equal(adapt.target, 15);
    for (int i = 0; i < 20; i++) { /* it stays so: that is what service takes now */
        adapt_learn(&adapt, &look);
    }
    assert_int_equal(adapt.target, 24);
    adapt_learn(&adapt, &look);
    assert_true(adapt.has_grown);
    look.busy = 9;
    adapt_learn(&adapt, &look);
    assert_false(adapt.has_grown);
    assert_int_equal(adapt.target, 15);
}

static void half_the_excess_every_five_seconds(void **state)
{
    (void)state;
    struct adapt adapt = {.target = 10};
    assert_int_equal(adapt_shrink(&adapt, 31, 4000), 0);
    assert_int_equal(adapt_shrink(&adapt, 31, 1000), 10);
    assert_int_equal(adapt_shrink(&adapt, 20, 4000), 0);
    assert_int_equal(adapt_shrink(&adapt, 20, 1000), 5);
    assert_int_equal(adapt_shrink(&adapt, 10, UINT32_MAX), 0);
    assert_int_equal(adapt_shrink(&adapt, 10, 60000), 0);
    assert_int_equal(adapt_shrink(&adapt, 11, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staff_is_the_load_and_two_roots),
        cmocka_unit_test(the_target_follows_a_steady_load),
        cmocka_unit_test(bounds_and_what_is_busy_count),
        cmocka_unit_test(no_growth_where_service_became_slower),
        cmocka_unit_test(half_the_excess_every_five_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
