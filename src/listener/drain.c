/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.c - one timer, one thing to do later.
 */
#include "listener/drain.h"

#include <weir/weir.h>

#include "base/list.h"

static void tell(struct loop_later *later)
{
    struct drain *drain = container_of(later, struct drain, ended);
    void (*on_drained)(void *arg) = drain->on_drained;
    drain->on_drained = NULL;
    loop_timer_stop(drain->loop, &drain->timer);
    if (on_drained != NULL) {
        on_drained(drain->arg);
    }
}

static void time_is_over(struct loop_timer *timer, uint64_t now_ms)
{
    struct drain *drain = container_of(timer, struct drain, timer);
    (void)now_ms;
    drain->cut(drain);
}

void drain_init(struct drain *drain, struct loop *loop, void (*cut)(struct drain *drain))
{
    *drain = (struct drain){.loop = loop, .cut = cut};
    drain->timer.fire = time_is_over;
    drain->ended.run = tell;
}

void drain_fini(struct drain *drain)
{
    loop_timer_stop(drain->loop, &drain->timer);
    loop_later_cancel(drain->loop, &drain->ended);
}

void drain_begin(struct drain *drain, void (*on_drained)(void *arg), void *arg)
{
    drain->is_on = true;
    drain->begun_ms = loop_now_ms(drain->loop);
    drain->on_drained = on_drained;
    drain->arg = arg;
}

void drain_wait(struct drain *drain, uint32_t grace_ms)
{
    if (grace_ms != WEIR_NEVER) {
        loop_timer_set(drain->loop, &drain->timer, drain->begun_ms + grace_ms);
    }
}

void drain_end(struct drain *drain)
{
    if (drain->is_on) {
        loop_later(drain->loop, &drain->ended);
    }
}
