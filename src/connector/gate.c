/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/gate.h"

static void look(struct gate_side *side);

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    look(container_of(timer, struct gate_side, timer));
}

void gate_side_init(struct gate_side *side, struct gate *gate, struct loop *loop)
{
    *side = (struct gate_side){.gate = gate, .loop = loop, .timer = {.fire = on_time}};
    list_init(&side->waiting);
}

void gate_side_fini(struct gate_side *side)
{
    if (side->gate != NULL) {
        loop_timer_stop(side->loop, &side->timer);
    }
}

/* Counted before it is compared, so that two sides never take the same place. */
static bool enter(struct gate *gate)
{
    if (atomic_fetch_add(&gate->connecting, 1) < gate->connecting_max) {
        return true;
    }
    atomic_fetch_sub(&gate->connecting, 1);
    return false;
}

static void look(struct gate_side *side)
{
    while (!list_is_empty(&side->waiting)) {
        if (!enter(side->gate)) {
            loop_timer_set(side->loop, &side->timer, loop_now_ms(side->loop) + GATE_LOOK_MS);
            return;
        }
        struct node *node = list_pop_front(&side->waiting);
        struct gate_pass *pass = container_of(node, struct gate_pass, on_side);
        atomic_fetch_sub(&side->gate->waiting, 1);
        pass->is_inside = true;
        side->begin(side->self, pass);
    }
}

void gate_arrive(struct gate_side *side, struct gate_pass *pass)
{
    list_push_back(&side->waiting, &pass->on_side);
    atomic_fetch_add(&side->gate->waiting, 1);
    look(side);
}

void gate_leave(struct gate_side *side, struct gate_pass *pass)
{
    if (list_holds(&pass->on_side)) {
        list_remove(&side->waiting, &pass->on_side);
        atomic_fetch_sub(&side->gate->waiting, 1);
    }
    if (pass->is_inside) {
        pass->is_inside = false;
        atomic_fetch_sub(&side->gate->connecting, 1);
        if (!list_is_empty(&side->waiting)) {
            loop_timer_set(side->loop, &side->timer, loop_now_ms(side->loop));
        }
    }
}

static _Atomic uint64_t *place_of(struct gate *gate, const struct dial_result *result)
{
    if (result->error == DIAL_OK || result->step > DIAL_PASSING) {
        return &gate->ok;
    }
    if (result->error == DIAL_TIMEOUT) {
        return &gate->timeout;
    }
    if (result->error == DIAL_LOCAL) {
        return &gate->local;
    }
    switch (result->step) {
    case DIAL_RESOLVING: return &gate->resolve;
    case DIAL_CONNECTING: return &gate->connect;
    case DIAL_GREETING: return &gate->tls;
    default: return &gate->proxy;
    }
}

void gate_tell(struct gate *gate, const struct dial_result *result)
{
    atomic_fetch_add_explicit(place_of(gate, result), 1, memory_order_relaxed);
}
