/* SPDX-License-Identifier: Apache-2.0 */
#include "core/forecast.h"

#include "core/mutant.h"

#include <string.h>

#define RATE_WEIGHT   4
#define RATE_STALE_MS 4000U
#define MOST          (INT32_MAX / 8) /* of any rate × 256; sums of three still fit */

/* Weights of what is new, as parts: the level learns an eighth, the trend next to nothing, and the
 * season a quarter of what the level left over. */
#define LEVEL_PART  8
#define TREND_PART  256
#define DAMP_PART   16
#define SEASON_PART 4

/* In percent: below the first it is trusted, above the second no longer. */
#define TRUST_PCT    80
#define DISTRUST_PCT 90

static uint64_t slot_ms_of(const struct forecast *forecast)
{
    return forecast->season_ms / FORECAST_SLOTS;
}

static int32_t bounded(int64_t value)
{
    return (int32_t)(value > MOST ? MOST : value < -MOST ? -MOST : value);
}

static uint64_t distance(int32_t a, int64_t b)
{
    return (uint64_t)(a > b ? a - b : b - a);
}

/* `ahead` slots after the last that was learned. */
static int32_t expected(const struct forecast *forecast, uint64_t slot, int32_t ahead)
{
    int64_t value = (int64_t)forecast->level + (int64_t)ahead * forecast->trend
                    + forecast->season[slot % FORECAST_SLOTS];
    return bounded(value > 0 ? value : 0);
}

/* --- judging ------------------------------------------------------------------------------ */

static void add_error(uint64_t *sum, uint64_t error)
{
    *sum = *sum - *sum / FORECAST_SLOTS + error;
}

static uint64_t better_rival(const struct forecast *forecast)
{
    return forecast->error_last < forecast->error_level ? forecast->error_last
                                                        : forecast->error_level;
}

static void judge(struct forecast *forecast, int32_t value)
{
    add_error(&forecast->error, distance(value, expected(forecast, forecast->slot, 1)));
    add_error(&forecast->error_last, distance(value, forecast->rival_last));
    add_error(&forecast->error_level, distance(value, forecast->rival_level));
    uint32_t least_pct = forecast->is_trusted ? DISTRUST_PCT : TRUST_PCT;
    uint64_t allowed = better_rival(forecast) * least_pct;
    bool is_judged = forecast->closed >= (uint64_t)2 * FORECAST_SLOTS;
    forecast->is_trusted = (is_judged && forecast->error * 100 < allowed) || MUTANT(28);
}

/* --- learning ----------------------------------------------------------------------------- */

/* A whole season is known: its mean is the level, what is left the season. */
static void begin(struct forecast *forecast)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < FORECAST_SLOTS; i++) {
        sum += forecast->season[i];
    }
    forecast->level = (int32_t)(sum / FORECAST_SLOTS);
    for (unsigned i = 0; i < FORECAST_SLOTS; i++) {
        forecast->season[i] -= forecast->level;
    }
}

static void smooth(struct forecast *forecast, int32_t value)
{
    int32_t *season = &forecast->season[forecast->slot % FORECAST_SLOTS];
    int64_t base = (int64_t)forecast->level + forecast->trend;
    int64_t error = value - base - *season;
    int64_t level = base + error / LEVEL_PART;
    int64_t trend = forecast->trend + error / TREND_PART;
    forecast->level = bounded(level);
    forecast->trend = bounded(trend - trend / DAMP_PART);
    *season = bounded(*season + (error - error / LEVEL_PART) / SEASON_PART);
}

static void close_slot(struct forecast *forecast)
{
    int32_t value = forecast->slot_most;
    if (forecast->closed < FORECAST_SLOTS) {
        forecast->season[forecast->slot % FORECAST_SLOTS] = value;
    } else {
        judge(forecast, value);
        smooth(forecast, value);
    }
    forecast->closed++;
    if (forecast->closed == FORECAST_SLOTS) {
        begin(forecast);
    }
    forecast->rival_last = forecast->fifth_most;
    forecast->rival_level += (value - forecast->rival_level) / LEVEL_PART;
    forecast->slot_most = forecast->fifth_most = 0;
    forecast->slot++;
}

static void learn_rate(struct forecast *forecast, const struct forecast_look *look)
{
    uint32_t came = look->arrivals - forecast->arrivals;
    uint64_t sample = (uint64_t)came * 256 * 1000 / look->elapsed_ms;
    int64_t change = (int64_t)(sample < MOST ? sample : MOST) - forecast->rate_x256;
    bool is_small = change > -RATE_WEIGHT && change < RATE_WEIGHT;
    if (look->elapsed_ms < RATE_STALE_MS && !is_small) {
        change /= RATE_WEIGHT;
    }
    forecast->rate_x256 = (uint32_t)(forecast->rate_x256 + change);
    forecast->arrivals = look->arrivals;
}

static void raise(int32_t *most, uint32_t value)
{
    if ((int32_t)value > *most) {
        *most = (int32_t)value;
    }
}

static void begin_anew(struct forecast *forecast, const struct forecast_look *look)
{
    memset(forecast, 0, sizeof *forecast);
    forecast->season_ms = look->season_ms;
    forecast->slot = look->now_ms / slot_ms_of(forecast);
    forecast->fifth = look->now_ms * 5 / slot_ms_of(forecast);
    forecast->arrivals = look->arrivals;
}

static bool is_lost(const struct forecast *forecast, const struct forecast_look *look)
{
    return look->season_ms != forecast->season_ms
           || look->now_ms / slot_ms_of(forecast) - forecast->slot >= (uint64_t)2 * FORECAST_SLOTS;
}

void forecast_learn(struct forecast *forecast, const struct forecast_look *look)
{
    if (is_lost(forecast, look)) {
        begin_anew(forecast, look);
        return;
    }
    uint64_t slot = look->now_ms / slot_ms_of(forecast);
    uint64_t fifth = look->now_ms * 5 / slot_ms_of(forecast);
    while (forecast->slot < slot) {
        close_slot(forecast);
    }
    if (fifth != forecast->fifth) {
        forecast->fifth = fifth;
        forecast->fifth_most = 0;
    }
    if (look->elapsed_ms > 0) {
        learn_rate(forecast, look);
    }
    raise(&forecast->slot_most, forecast->rate_x256);
    raise(&forecast->fifth_most, forecast->rate_x256);
}

uint32_t forecast_rate_x16(const struct forecast *forecast)
{
    if (!forecast->is_trusted) {
        return 0;
    }
    int32_t rate = expected(forecast, forecast->slot, 1);
    if (forecast->fifth % 5 == 4) {
        int32_t next = expected(forecast, forecast->slot + 1, 2);
        rate = next > rate ? next : rate;
    }
    return (uint32_t)rate / 16;
}

uint32_t forecast_error_pct(const struct forecast *forecast)
{
    uint64_t rival = better_rival(forecast);
    uint64_t pct = rival > 0 ? forecast->error * 100 / rival : 0;
    return (uint32_t)(pct < UINT32_MAX ? pct : UINT32_MAX); /* cover: none is so bad */
}
