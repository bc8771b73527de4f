/* SPDX-License-Identifier: Apache-2.0
 *
 * forecast.h - how many callers a pool will have soon, as far as one season is like the last.
 *
 * Holt and Winters' exponential smoothing, additive: a level, a damped trend and 288 seasonal
 * terms, five minutes each where the season is a day. What it learns and foretells is the highest
 * arrival rate of a slot. A season is learned, then the forecast is judged for at least another
 * one: its error must stay below 0.8 of that of both its rivals, "what was most in the last minute"
 * (the last fifth of a slot) and the level alone, without a season. Only then is it said; where it
 * becomes worse than 0.9 of the better rival it is silent again. So steady load, however noisy, and
 * load that never repeats itself have no forecast: there is nothing to know about them.
 *
 * Pure, of fixed size; the caller looks every second or so. A caller that did not look for a slot
 * had nobody come in it; after two seasons without a look everything is forgotten.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define FORECAST_SLOTS         288U
#define FORECAST_SEASON_MIN_MS (FORECAST_SLOTS * 1000U)

/* Rates are arrivals per second. */
struct forecast {
    uint64_t season_ms;  /* 0: has not looked yet */
    uint64_t slot;       /* under way, counted from time 0 */
    uint64_t fifth;      /* of a slot, likewise */
    uint64_t closed;     /* slots learned from */
    uint32_t arrivals;   /* counted up to the last look */
    uint32_t rate_x256;  /* EWMA */
    int32_t slot_most;   /* × 256, as all of the following */
    int32_t fifth_most;  /* since the last fifth of a slot began */
    int32_t rival_last;  /* what the last fifth of the slot before says of this one */
    int32_t rival_level; /* and the level without a season */
    int32_t level, trend;
    uint64_t error, error_last, error_level; /* sums over about a season */
    bool is_trusted;
    int32_t season[FORECAST_SLOTS];
};

struct forecast_look {
    uint64_t season_ms; /* FORECAST_SEASON_MIN_MS at least; another one than before begins anew */
    uint64_t now_ms;
    uint64_t elapsed_ms; /* the time in which those came who are new */
    uint32_t arrivals;   /* counted in all; may wrap */
};

void forecast_learn(struct forecast *forecast, const struct forecast_look *look);

/* The rate expected in the slot under way or, towards its end, in the next one if that is more;
 * × 16. 0 while it is not trusted. */
uint32_t forecast_rate_x16(const struct forecast *forecast);

/* Its error as a part of the better rival's, in percent; 0 while it is not judged. */
uint32_t forecast_error_pct(const struct forecast *forecast);
