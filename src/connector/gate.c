/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/gate.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>

static void look(struct gate_side *side);
static void on_wake(void *self);
static void want_no_more(struct gate_side *side);

/* --- gates and sides ----------------------------------------------------------------------------
 */

static bool counts_places(const struct gate *gate)
{
    return gate->connections_max != UINT32_MAX;
}

void gate_init(struct gate *gate, const char *url, uint32_t connecting_max,
               uint32_t connections_max)
{
    *gate = (struct gate){.users = 1,
                          .url = url,
                          .connecting_max = connecting_max,
                          .connections_max = connections_max,
                          .mutex = PTHREAD_MUTEX_INITIALIZER};
    list_init(&gate->sides);
    list_init(&gate->turns);
}

void gate_fini(struct gate *gate)
{
    check(list_is_empty(&gate->sides) && gate->connections == 0);
    pthread_mutex_destroy(&gate->mutex);
}

void gate_join(struct gate *gate)
{
    atomic_fetch_add(&gate->users, 1);
}

void gate_part(struct gate *gate)
{
    if (atomic_fetch_sub(&gate->users, 1) == 1 && gate->on_unused != NULL) {
        gate->on_unused(gate);
    }
}

/* Who waits here may wait for what another of the same side has idle. */
static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct gate_side *side = container_of(timer, struct gate_side, timer);
    (void)now_ms;
    look(side);
    if (list_holds(&side->on_turns) && side->held > 0) {
        side->yield(side->self, side);
    }
}

int gate_side_init(struct gate_side *side, struct gate *gate, struct loop *loop)
{
    side->gate = gate;
    side->loop = loop;
    side->timer.fire = on_time;
    list_init(&side->waiting);
    if (gate != NULL) {
        gate_join(gate);
    }
    if (gate == NULL || !counts_places(gate)) {
        return 0;
    }
    int error = loop_wake_new(loop, on_wake, side, &side->wake);
    if (error == 0) {
        pthread_mutex_lock(&gate->mutex);
        list_push_back(&gate->sides, &side->on_gate);
        pthread_mutex_unlock(&gate->mutex);
    }
    return error;
}

void gate_side_fini(struct gate_side *side)
{
    if (side->gate == NULL) {
        return;
    }
    loop_timer_stop(side->loop, &side->timer);
    if (side->wake != NULL) {
        want_no_more(side);
        pthread_mutex_lock(&side->gate->mutex);
        check(side->held == 0);
        list_leave(&side->on_gate);
        pthread_mutex_unlock(&side->gate->mutex);
        loop_wake_free(side->wake);
        side->wake = NULL;
    }
    gate_part(side->gate);
    side->gate = NULL;
}

int gate_sides_open(const struct gate_side *like, struct gate *const *gates, uint32_t count,
                    const struct alloc *alloc, struct gate_side **ret_sides)
{
    struct gate_side *sides = alloc_zeroed(alloc, (count + 1) * sizeof *sides);
    *ret_sides = sides;
    for (uint32_t i = 0; sides != NULL && i < count; i++) {
        sides[i] = *like;
        int error = gate_side_init(&sides[i], gates[i], like->loop);
        if (error != 0) {
            return error;
        }
    }
    return sides != NULL ? 0 : -ENOMEM;
}

void gate_sides_close(const struct alloc *alloc, struct gate_side *take_sides, uint32_t count)
{
    for (uint32_t i = 0; take_sides != NULL && i < count; i++) {
        gate_side_fini(&take_sides[i]);
    }
    alloc_free(alloc, take_sides);
}

struct gate_side *gate_side_of(struct gate_side *sides, uint32_t count, const char *proxy)
{
    for (uint32_t i = 0; proxy != NULL && i < count; i++) {
        if (strcmp(sides[i].gate->url, proxy) == 0) {
            return &sides[i];
        }
    }
    return NULL;
}

/* --- places -------------------------------------------------------------------------------------
 */

/* Under the mutex. */
static void call_first(struct gate *gate)
{
    struct node *first = list_first(&gate->turns);
    if (first != NULL && gate->connections < gate->connections_max) {
        loop_wake_send(list_entry(first, struct gate_side, on_turns)->wake);
    }
}

/* Under the mutex. */
static void leave_turns(struct gate_side *side)
{
    if (list_holds(&side->on_turns)) {
        list_remove(&side->gate->turns, &side->on_turns);
        atomic_fetch_sub(&side->gate->wanting, 1);
        call_first(side->gate);
    }
}

static void want_no_more(struct gate_side *side)
{
    if (list_holds(&side->on_turns)) {
        pthread_mutex_lock(&side->gate->mutex);
        leave_turns(side);
        pthread_mutex_unlock(&side->gate->mutex);
    }
}

/* Or wants one from now on. */
static bool take_place(struct gate_side *side, const void *of, struct gate_place *ret_place)
{
    struct gate *gate = side->gate;
    if (!counts_places(gate)) {
        return true;
    }
    pthread_mutex_lock(&gate->mutex);
    const struct node *first = list_first(&gate->turns);
    bool is_free = gate->connections < gate->connections_max
                   && (first == NULL || first == &side->on_turns);
    if (is_free) {
        gate->connections++;
        side->held++;
        leave_turns(side);
        *ret_place = (struct gate_place){side, loop_now_ms(side->loop), of};
    } else if (!list_holds(&side->on_turns)) {
        list_push_back(&gate->turns, &side->on_turns);
        atomic_fetch_add(&gate->wanting, 1);
    }
    pthread_mutex_unlock(&gate->mutex);
    return is_free;
}

uint32_t gate_places(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    uint32_t places = gate->connections;
    pthread_mutex_unlock(&gate->mutex);
    return places;
}

struct gate_place gate_move(struct gate_place *place)
{
    struct gate_place moved = *place;
    *place = (struct gate_place){0};
    return moved;
}

void gate_drop(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    check(gate->connections > 0);
    gate->connections--;
    call_first(gate);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_give(struct gate_place *place)
{
    struct gate *gate = gate_lift(place);
    if (gate != NULL) {
        gate_drop(gate);
    }
}

struct gate *gate_lift(struct gate_place *place)
{
    struct gate_side *side = place->side;
    if (side == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&side->gate->mutex);
    check(side->held > 0);
    side->held--;
    pthread_mutex_unlock(&side->gate->mutex);
    place->side = NULL;
    return side->gate;
}

struct gate_place gate_land(struct gate *gate, struct gate_side *side)
{
    if (gate == NULL) {
        return (struct gate_place){0};
    }
    check(side != NULL && side->gate == gate);
    pthread_mutex_lock(&gate->mutex);
    side->held++;
    pthread_mutex_unlock(&gate->mutex);
    return (struct gate_place){side, loop_now_ms(side->loop), NULL};
}

static bool others_want(const struct gate_side *side)
{
    uint32_t own = list_holds(&side->on_turns) ? 1 : 0;
    return atomic_load_explicit(&side->gate->wanting, memory_order_relaxed) > own;
}

/* The first that waits at the place's own side, for a place, is of another key. */
static bool own_wants(const struct gate_place *place)
{
    struct node *first = list_first(&place->side->waiting);
    const struct gate_pass *pass = first != NULL ? container_of(first, struct gate_pass, on_side)
                                                 : NULL;
    return list_holds(&place->side->on_turns) && pass != NULL && pass->of != place->of;
}

bool gate_is_wanted(const struct gate_place *place)
{
    const struct gate_side *side = place->side;
    return side != NULL && (others_want(side) || own_wants(place))
           && loop_now_ms(side->loop) >= place->since_ms + GATE_TURN_MS;
}

/* Those that have places are to see whether one is idle. */
static void ask_others(struct gate_side *side)
{
    struct gate *gate = side->gate;
    pthread_mutex_lock(&gate->mutex);
    weir_list_each(it, &gate->sides) {
        const struct gate_side *other = list_entry(it, struct gate_side, on_gate);
        if (other != side && other->held > 0) {
            loop_wake_send(other->wake);
        }
    }
    pthread_mutex_unlock(&gate->mutex);
}

static void on_wake(void *self)
{
    struct gate_side *side = self;
    look(side);
    if (others_want(side)) {
        side->yield(side->self, side);
    }
}

/* --- dials --------------------------------------------------------------------------------------
 */

/* Counted before it is compared, so that two sides never take the same place. */
static bool enter(struct gate_side *side, struct gate_pass *pass)
{
    struct gate *gate = side->gate;
    if (atomic_fetch_add(&gate->connecting, 1) < gate->connecting_max
        && take_place(side, pass->of, &pass->place)) {
        return true;
    }
    atomic_fetch_sub(&gate->connecting, 1);
    return false;
}

static struct gate_pass *take_first(struct gate_side *side)
{
    atomic_fetch_sub(&side->gate->waiting, 1);
    return container_of(list_pop_front(&side->waiting), struct gate_pass, on_side);
}

/* Who has waited for a place for as long as it would goes. */
static void refuse_late(struct gate_side *side)
{
    for (struct node *it; (it = list_first(&side->waiting)) != NULL;) {
        const struct gate_pass *pass = container_of(it, struct gate_pass, on_side);
        if (loop_now_ms(side->loop) < pass->until_ms) {
            return;
        }
        atomic_fetch_add_explicit(&side->gate->full, 1, memory_order_relaxed);
        side->refuse(side->self, take_first(side));
    }
}

static void look(struct gate_side *side)
{
    for (struct node *it; (it = list_first(&side->waiting)) != NULL;) {
        struct gate_pass *pass = container_of(it, struct gate_pass, on_side);
        if (!enter(side, pass)) {
            break;
        }
        take_first(side);
        pass->is_inside = true;
        side->begin(side->self, pass);
    }
    if (list_holds(&side->on_turns)) {
        refuse_late(side);
        ask_others(side);
    }
    if (list_is_empty(&side->waiting)) {
        want_no_more(side);
    } else {
        loop_timer_set(side->loop, &side->timer, loop_now_ms(side->loop) + GATE_LOOK_MS);
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
        if (list_is_empty(&side->waiting)) {
            want_no_more(side);
        }
    }
    gate_give(&pass->place);
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
