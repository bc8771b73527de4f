/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/forecast.h"

#include "base/rand.h"

#include <string.h>

#define SLOT_S    60U
#define SEASON_S  (FORECAST_SLOTS * SLOT_S)
#define SEASON_MS (SEASON_S * 1000U)

/* A pool that is looked at once a second. */
struct watch {
    struct forecast forecast;
    struct rand rand;
    uint64_t now_ms;
    uint32_t arrivals;
};

static void look_after(struct watch *watch, uint64_t elapsed_ms, uint32_t came)
{
    watch->now_ms += elapsed_ms;
    watch->arrivals += came;
    forecast_learn(&watch->forecast, &(struct forecast_look){.season_ms = SEASON_MS,
                                                             .now_ms = watch->now_ms,
                                                             .elapsed_ms = elapsed_ms,
                                                             .arrivals = watch->arrivals});
}

static void look(struct watch *watch, uint32_t came)
{
    look_after(watch, 1000, came);
}

static void watch_init(struct watch *watch)
{
    memset(watch, 0, sizeof *watch);
    rand_init(&watch->rand, 1);
    watch->arrivals = UINT32_MAX - 5000; /* it may wrap */
    look_after(watch, 0, 0);
}

static uint32_t noisy(struct watch *watch, uint32_t mean)
{
    return (uint32_t)rand_between(&watch->rand, mean - mean / 5, mean + mean / 5);
}

/* A rush of ten slots in every hundred. */
static uint32_t season_of(struct watch *watch)
{
    uint64_t slot = watch->now_ms / 1000 / SLOT_S % FORECAST_SLOTS;
    return noisy(watch, slot % 100 >= 40 && slot % 100 < 50 ? 400 : 50);
}

static void a_season_is_known_before_it_comes(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    for (unsigned i = 0; i < 3 * SEASON_S; i++) {
        assert_true(i >= 2 * SEASON_S || forecast_rate_x16(&watch.forecast) == 0);
        look(&watch, season_of(&watch));
    }
    assert_true(watch.forecast.is_trusted);
    assert_in_range(forecast_error_pct(&watch.forecast), 1, 80);
    for (unsigned i = 0; i < 40 * SLOT_S - 10; i++) {
        look(&watch, season_of(&watch));
    }
    assert_in_range(watch.forecast.rate_x256 / 256, 40, 60); /* ten seconds before the rush */
    assert_in_range(forecast_rate_x16(&watch.forecast) / 16, 300, 500);
}

static void what_the_last_fifth_of_a_slot_expects_is_the_next_one(void **state)
{
    (void)state;
    struct forecast forecast = {.season_ms = SEASON_MS, .is_trusted = true, .level = 256 * 10};
    forecast.season[0] = 256 * 5;
    forecast.season[1] = 256 * 50;
    forecast.fifth = 3;
    assert_int_equal(forecast_rate_x16(&forecast), 16 * 15);
    forecast.fifth = 4;
    assert_int_equal(forecast_rate_x16(&forecast), 16 * 60);
    forecast.season[1] = -256 * 50; /* nobody is less than nobody */
    assert_int_equal(forecast_rate_x16(&forecast), 16 * 15);
    forecast.season[0] = -256 * 50;
    assert_int_equal(forecast_rate_x16(&forecast), 0);
    forecast.is_trusted = false;
    forecast.season[0] = 256;
    assert_int_equal(forecast_rate_x16(&forecast), 0);
}

static void load_without_a_season_has_no_forecast(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    for (unsigned i = 0; i < 4 * SEASON_S; i++) {
        look(&watch, noisy(&watch, 100));
        assert_false(watch.forecast.is_trusted);
    }
    assert_true(forecast_error_pct(&watch.forecast) > 80);
}

static void nobody_at_all_has_no_forecast(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    for (unsigned i = 0; i < 3 * SEASON_S; i++) {
        look(&watch, 0);
        assert_false(watch.forecast.is_trusted);
    }
    assert_int_equal(forecast_error_pct(&watch.forecast), 0);
}

static void a_season_that_ends_is_believed_no_more(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    for (unsigned i = 0; i < 4 * SEASON_S; i++) {
        look(&watch, season_of(&watch));
    }
    assert_true(watch.forecast.is_trusted);
    unsigned seasons = 0;
    for (; watch.forecast.is_trusted && seasons < 10; seasons++) {
        for (unsigned i = 0; i < SEASON_S; i++) {
            look(&watch, noisy(&watch, 50));
        }
    }
    assert_in_range(seasons, 1, 4);
}

static void who_does_not_look_has_had_nobody(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    look(&watch, 10);
    watch.now_ms += 10 * SLOT_S * 1000;
    look(&watch, 10);
    assert_int_equal(watch.forecast.closed, 10);
    assert_int_equal(watch.forecast.season[0], 256 * 10 / 4);
    assert_int_equal(watch.forecast.season[5], 0);
    watch.now_ms += 2 * SEASON_MS; /* too long to say anything about it */
    look(&watch, 10);
    assert_int_equal(watch.forecast.closed, 0);
    assert_int_equal(watch.forecast.rate_x256, 0);
    look(&watch, 10);
    assert_int_equal(watch.forecast.rate_x256, 256 * 10 / 4);
    struct forecast_look longer = {.season_ms = 2 * SEASON_MS, .now_ms = watch.now_ms};
    forecast_learn(&watch.forecast, &longer);
    assert_int_equal(watch.forecast.rate_x256, 0);
    assert_int_equal(watch.forecast.season_ms, 2 * SEASON_MS);
}

static void after_a_pause_the_last_look_says_it_all(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    look(&watch, 100);
    look_after(&watch, 5000, 50);
    assert_int_equal(watch.forecast.rate_x256, 256 * 10);
}

static void more_than_can_be_counted_is_most(void **state)
{
    (void)state;
    struct watch watch;
    watch_init(&watch);
    for (unsigned i = 0; i < 3 * SEASON_S; i++) {
        look(&watch, i % 2 == 0 ? UINT32_MAX : 0);
    }
    assert_true(forecast_rate_x16(&watch.forecast) <= (uint32_t)INT32_MAX);
    assert_true(watch.forecast.level <= INT32_MAX / 8);
}

static void what_is_learned_has_bounds_both_ways(void **state)
{
    (void)state;
    const int32_t most = INT32_MAX / 8;
    struct watch watch;
    watch_init(&watch);
    look_after(&watch, 0, 10); /* no time went by: nothing to learn from */
    assert_int_equal(watch.forecast.rate_x256, 0);
    watch.forecast.is_trusted = true;
    watch.forecast.level = watch.forecast.trend = most;
    assert_int_equal(forecast_rate_x16(&watch.forecast), (uint32_t)most / 16);
    watch.forecast.level = watch.forecast.trend = -most;
    for (unsigned i = 0; i < FORECAST_SLOTS; i++) {
        watch.forecast.season[i] = -most;
    }
    for (unsigned i = 0; i < 3 * SLOT_S; i++) {
        look(&watch, 0);
    }
    assert_true(watch.forecast.level >= -most && watch.forecast.level <= most);
    assert_true(watch.forecast.trend >= -most && watch.forecast.trend <= most);
}

static void no_sum_of_extremes_overflows(void **state)
{
    (void)state;
    const int32_t most = INT32_MAX / 8;
    struct forecast forecast = {.season_ms = SEASON_MS,
                                .closed = FORECAST_SLOTS,
                                .level = most,
                                .trend = most,
                                .slot = 1,
                                .fifth = 5};
    forecast.season[1] = -most;
    forecast_learn(&forecast, &(struct forecast_look){.season_ms = SEASON_MS,
                                                      .now_ms = (uint64_t)2 * SLOT_S * 1000,
                                                      .elapsed_ms = 1000});
    assert_int_equal(forecast.slot, 2);
    assert_int_equal(forecast.season[1], -most);
    assert_int_equal(forecast.level, most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_season_is_known_before_it_comes),
        cmocka_unit_test(what_the_last_fifth_of_a_slot_expects_is_the_next_one),
        cmocka_unit_test(load_without_a_season_has_no_forecast),
        cmocka_unit_test(nobody_at_all_has_no_forecast),
        cmocka_unit_test(a_season_that_ends_is_believed_no_more),
        cmocka_unit_test(who_does_not_look_has_had_nobody),
        cmocka_unit_test(after_a_pause_the_last_look_says_it_all),
        cmocka_unit_test(more_than_can_be_counted_is_most),
        cmocka_unit_test(what_is_learned_has_bounds_both_ways),
        cmocka_unit_test(no_sum_of_extremes_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
