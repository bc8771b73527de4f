/* SPDX-License-Identifier: Apache-2.0 */
#include "core/retry.h"

#include "support/unit.h"

static uint64_t delay(weir_pool_options opt, uint32_t failures)
{
    struct rand rand;
    rand_init(&rand, 1);
    return retry_delay_ms(&opt, failures, &rand);
}

static void doubles_up_to_the_cap(void **state)
{
    (void)state;
    const weir_pool_options opt = {
        .retry_first_ms = 1000, .retry_factor = 2, .retry_cap_ms = 30000};
    assert_int_equal(delay(opt, 1), 1000);
    assert_int_equal(delay(opt, 2), 2000);
    assert_int_equal(delay(opt, 3), 4000);
    assert_int_equal(delay(opt, 5), 16000);
    assert_int_equal(delay(opt, 6), 30000);
    assert_int_equal(delay(opt, UINT32_MAX), 30000);
}

static void a_factor_of_one_stays(void **state)
{
    (void)state;
    const weir_pool_options opt = {.retry_first_ms = 50, .retry_factor = 1, .retry_cap_ms = 30000};
    assert_int_equal(delay(opt, 1), 50);
    assert_int_equal(delay(opt, UINT32_MAX), 50);
}

static void the_cap_holds_for_the_first(void **state)
{
    (void)state;
    const weir_pool_options opt = {.retry_first_ms = 500, .retry_factor = 2, .retry_cap_ms = 100};
    assert_int_equal(delay(opt, 1), 100);
}

static void jitter_stays_in_its_bounds(void **state)
{
    (void)state;
    const weir_pool_options opt = {
        .retry_first_ms = 1000, .retry_factor = 2, .retry_cap_ms = 30000, .jitter_pct = 10};
    struct rand rand;
    rand_init(&rand, 1);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(retry_delay_ms(&opt, 2, &rand), 1800, 2200);
    }
}

/* Nor does it leave nothing: a key that backs off until now would do so for ever. */
static void jitter_leaves_a_pause(void **state)
{
    (void)state;
    const weir_pool_options opt = {
        .retry_first_ms = 1, .retry_factor = 2, .retry_cap_ms = 30000, .jitter_pct = 100};
    struct rand rand;
    rand_init(&rand, 1);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(retry_delay_ms(&opt, 1, &rand), 1, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_cap),       cmocka_unit_test(a_factor_of_one_stays),
        cmocka_unit_test(the_cap_holds_for_the_first), cmocka_unit_test(jitter_stays_in_its_bounds),
        cmocka_unit_test(jitter_leaves_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
