/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.c - two timers: the end, and the steps towards it; one thing to do later.
 */
#include "listener/drain.h"

#include <weir/weir.h>

#include "base/list.h"

#define FRESH_MS 1000U /* a drain waits so long for the first byte of a new client */

static void tell(struct loop_later *later)
{
    struct drain *drain = container_of(later, struct drain, ended);
    void (*on_drained)(void *arg) = drain->on_drained;
    drain->on_drained = NULL;
    loop_timer_stop(drain->loop, &drain->timer);
    loop_timer_stop(drain->loop, &drain->step);
    if (on_drained != NULL) {
        on_drained(drain->arg);
    }
}

static void time_is_over(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct drain *drain = container_of(timer, struct drain, timer);
    loop_timer_stop(drain->loop, &drain->step);
    drain->cut(drain);
}

static void next_step(struct drain *drain)
{
    uint64_t now_ms = loop_now_ms(drain->loop);
    uint64_t left_ms = drain->spread_until_ms > now_ms ? drain->spread_until_ms - now_ms : 0;
    if (left_ms > 0) {
        loop_timer_set(drain->loop, &drain->step,
                       now_ms + (left_ms < drain->step_ms ? left_ms : drain->step_ms));
    }
    drain->let_go(drain, 1 + (uint32_t)((left_ms + drain->step_ms - 1) / drain->step_ms));
}

static void step_fires(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    next_step(container_of(timer, struct drain, step));
}

void drain_init(struct drain *drain, struct loop *loop,
                void (*let_go)(struct drain *drain, uint32_t part),
                void (*cut)(struct drain *drain))
{
    *drain = (struct drain){.loop = loop, .let_go = let_go, .cut = cut};
    drain->timer.fire = time_is_over;
    drain->step.fire = step_fires;
    drain->ended.run = tell;
}

void drain_fini(struct drain *drain)
{
    loop_timer_stop(drain->loop, &drain->timer);
    loop_timer_stop(drain->loop, &drain->step);
    loop_later_cancel(drain->loop, &drain->ended);
}

void drain_begin(struct drain *drain, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg)
{
    uint64_t now_ms = loop_now_ms(drain->loop);
    drain->is_on = true;
    drain->begun_ms = now_ms;
    drain->spread_until_ms = now_ms + time.spread_ms;
    drain->step_ms = time.spread_ms / DRAIN_STEPS > DRAIN_STEP_MS ? time.spread_ms / DRAIN_STEPS
                                                                  : DRAIN_STEP_MS;
    drain->patience_ms = time.patience_ms;
    drain->on_drained = on_drained;
    drain->arg = arg;
    if (time.grace_ms != WEIR_NEVER) {
        loop_timer_set(drain->loop, &drain->timer, now_ms + time.grace_ms);
    }
    next_step(drain);
}

void drain_end(struct drain *drain)
{
    if (drain->is_on) {
        loop_later(drain->loop, &drain->ended);
    }
}

uint64_t drain_idle_until_ms(const struct drain *drain, uint64_t since_ms)
{
    uint64_t until_ms = since_ms + drain->patience_ms;
    if (!drain->is_on) {
        return UINT64_MAX;
    }
    return drain->spread_until_ms > until_ms ? drain->spread_until_ms : until_ms;
}

uint64_t drain_fresh_until_ms(const struct drain *drain)
{
    uint64_t least_ms = drain->begun_ms + FRESH_MS;
    return drain->spread_until_ms > least_ms ? drain->spread_until_ms : least_ms;
}

uint32_t drain_quota(struct drain *drain, uint32_t count, uint32_t part)
{
    if (part == 1) {
        return count;
    }
    drain->credit += ((uint64_t)count << 32) / part;
    uint32_t whole = (uint32_t)(drain->credit >> 32);
    drain->credit &= UINT32_MAX;
    return whole;
}
