/* SPDX-License-Identifier: Apache-2.0 */
#include "core/concurrency.h"

#include "core/mutant.h"

#define WINDOW_MS   250U
#define WINDOW_ENDS 10U
#define ONE         256U /* the limit's unit */

/* gradient2. */
#define NOISE_PCT    150U /* of the long mean: as good as equal */
#define SLOPE_LEAST  (ONE / 2)
#define HEADROOM     4U /* requests that may queue at the endpoint */
#define STEP_PART    5U /* of the way to the new limit, in one window */
#define LONG_WINDOWS 256U
#define FADE_PCT     95U /* of the long mean, a window, once answers take half as long again */

/* aimd, and gradient2 where something was dropped. */
#define BACK_PCT 90U

void concurrency_told(struct concurrency *it, uint64_t latency_us)
{
    it->told_us += latency_us > 0 ? latency_us : 1; /* a mean of nothing has no slope */
    it->told++;
}

void concurrency_ended(struct concurrency *it, uint64_t held_ms, uint32_t in_flight,
                       bool was_dropped)
{
    it->most = in_flight > it->most ? in_flight : it->most;
    if (was_dropped) {
        it->dropped++;
    } else {
        it->held_us += held_ms * 1000 + 500; /* in the middle of its millisecond */
        it->held++;
    }
}

static uint64_t mean_of(const struct concurrency *it)
{
    return it->told > 0 ? it->told_us / it->told : it->held_us / it->held;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static uint64_t limit_of(const struct concurrency *it, const struct concurrency_rule *rule)
{
    uint64_t limit = it->limit_x256 > 0 ? it->limit_x256 : (uint64_t)rule->first * ONE;
    return clamp(limit, (uint64_t)rule->min * ONE, (uint64_t)rule->max * ONE);
}

uint32_t concurrency_limit(const struct concurrency *it, const struct concurrency_rule *rule)
{
    return (uint32_t)(limit_of(it, rule) / ONE);
}

/* The mean of all windows at first, of the last LONG_WINDOWS later. */
static void learn_long(struct concurrency *it)
{
    it->windows += it->windows < LONG_WINDOWS;
    int64_t change = ((int64_t)it->now_us - (int64_t)it->long_us) / it->windows;
    it->long_us = (uint64_t)((int64_t)it->long_us + change);
    if (it->long_us > 2 * it->now_us) {
        it->long_us = it->long_us * FADE_PCT / 100; /* a long bad time is over: forget it sooner */
    }
}

static uint64_t by_gradient(const struct concurrency *it, uint64_t limit)
{
    if (it->dropped > 0) {
        return limit * BACK_PCT / 100;
    }
    uint64_t slope = clamp(it->long_us * NOISE_PCT * ONE / 100 / it->now_us, SLOPE_LEAST, ONE);
    uint64_t next = limit * slope / ONE + (uint64_t)HEADROOM * ONE;
    if (next > limit && it->most < limit / ONE / 2) {
        return limit;
    }
    return (limit * (STEP_PART - 1) + next) / STEP_PART;
}

static uint64_t by_drops(const struct concurrency *it, const struct concurrency_rule *rule,
                         uint64_t limit)
{
    if (it->dropped > 0 || it->now_us > (uint64_t)rule->slow_ms * 1000) {
        return limit * BACK_PCT / 100;
    }
    return it->most >= limit / ONE / 2 ? limit + ONE : limit;
}

bool concurrency_review(struct concurrency *it, const struct concurrency_rule *rule,
                        uint64_t now_ms)
{
    uint64_t due_ms = it->now_us / 1000 > WINDOW_MS ? it->now_us / 1000 : WINDOW_MS;
    if (it->held + it->dropped < WINDOW_ENDS || now_ms - it->begun_ms < due_ms) {
        return false;
    }
    uint64_t before = limit_of(it, rule);
    if (it->told + it->held > 0) {
        it->now_us = mean_of(it);
        learn_long(it);
    }
    uint64_t next = rule->kind == CONCURRENCY_AIMD ? by_drops(it, rule, before)
                                                   : by_gradient(it, before);
    next = MUTANT(35) && next < before ? before : next;
    it->limit_x256 = (uint32_t)clamp(next, (uint64_t)rule->min * ONE, (uint64_t)rule->max * ONE);
    it->begun_ms = now_ms;
    it->told_us = it->held_us = 0;
    it->told = it->held = it->dropped = it->most = 0;
    return it->limit_x256 / ONE != before / ONE;
}
