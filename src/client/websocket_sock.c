/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection's record: its place, its id, its end.
 */
#include "base/check.h"
#include "client/websocket.h"

#define WORKER_SHIFT 24U
#define INDEX_MASK   ((1U << WORKER_SHIFT) - 1)

/* --- ids ----------------------------------------------------------------------------------------
 * Those of the slots, with the worker in the upper eight bits of the index.
 */

static uint64_t slot_of(uint64_t id)
{
    return id & ~((uint64_t)0xff << WORKER_SHIFT);
}

struct bay *bay_of(weir_websocket ws)
{
    uint32_t worker = (uint32_t)ws.id >> WORKER_SHIFT;
    return ws.manager != NULL && worker < ws.manager->bays_count ? ws.manager->bays[worker] : NULL;
}

static bool is_alive(const struct bay *bay, uint64_t slot)
{
    uint32_t index = (uint32_t)slot;
    return slot >> 32 != 0 && index < bay->socks.capacity
           && atomic_load_explicit(&bay->tags[index].generation, memory_order_acquire)
                  == slot >> 32;
}

struct tag *tag_of(weir_websocket ws)
{
    struct bay *bay = bay_of(ws);
    uint64_t slot = slot_of(ws.id);
    return bay != NULL && is_alive(bay, slot) ? &bay->tags[(uint32_t)slot] : NULL;
}

struct sock *sock_at(const struct bay *bay, uint64_t id)
{
    uint64_t slot = slot_of(id);
    return is_alive(bay, slot) ? (void *)(slots_nth(&bay->socks, (uint32_t)slot) + 1) : NULL;
}

struct sock *bay_next(struct bay *bay, uint32_t *at)
{
    struct sock *sock;
    pthread_mutex_lock(&bay->mutex); /* slots are taken by any thread */
    do {
        sock = slots_walk(&bay->socks, at);
    } while (sock != NULL && !is_alive(bay, slots_id_of(&bay->socks, sock)));
    pthread_mutex_unlock(&bay->mutex);
    return sock;
}

weir_websocket sock_name(const struct sock *sock)
{
    const struct bay *bay = sock->bay;
    uint64_t worker = worker_index(bay->worker);
    return (weir_websocket){.manager = bay->manager,
                            .id = slots_id_of(&bay->socks, sock) | worker << WORKER_SHIFT};
}

/* --- coming and going ---------------------------------------------------------------------------
 */

static bool take_seat(weir_websocket_manager *manager)
{
    uint32_t taken = atomic_load(&manager->seats);
    do {
        if (taken >= atomic_load(&manager->seats_max)) {
            atomic_fetch_add(&manager->refused, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&manager->seats, &taken, taken + 1));
    return true;
}

weir_err sock_new(struct bay *bay, const weir_websocket_handler *handler, void *arg,
                  struct sock **ret_sock)
{
    uint64_t id;
    if (!take_seat(bay->manager)) {
        return WEIR_EFULL;
    }
    pthread_mutex_lock(&bay->mutex);
    struct sock *sock = slots_take(&bay->socks, &id);
    pthread_mutex_unlock(&bay->mutex);
    if (sock == NULL) {
        atomic_fetch_sub(&bay->manager->seats, 1);
        return WEIR_EFULL;
    }
    sock->bay = bay;
    sock->handler = handler;
    sock->arg = arg;
    *ret_sock = sock;
    return WEIR_OK;
}

void sock_show(struct sock *sock)
{
    const struct bay *bay = sock->bay;
    uint64_t slot = slots_id_of(&bay->socks, sock);
    struct tag *tag = &bay->tags[(uint32_t)slot];
    atomic_store_explicit(&tag->owed, 0, memory_order_relaxed);
    atomic_store_explicit(&tag->generation, (uint32_t)(slot >> 32), memory_order_release);
}

void sock_undo(struct sock *sock)
{
    struct bay *bay = sock->bay;
    alloc_free(bay->manager->alloc, sock->is_dialled ? sock->host : NULL);
    pthread_mutex_lock(&bay->mutex);
    slots_give(&bay->socks, slots_id_of(&bay->socks, sock));
    pthread_mutex_unlock(&bay->mutex);
    atomic_fetch_sub(&bay->manager->seats, 1);
}

void bay_bury(struct loop_later *later)
{
    struct bay *bay = container_of(later, struct bay, bury);
    while (bay->graves != NULL) {
        struct sock *sock = bay->graves;
        bay->graves = sock->next_grave;
        sock_undo(sock);
    }
    bay_look_empty(bay);
}

/* Nobody finds it any more. */
static void hide(struct sock *sock)
{
    weir_websocket_manager *manager = sock->bay->manager;
    struct tag *tag = &sock->bay->tags[(uint32_t)slots_id_of(&sock->bay->socks, sock)];
    pthread_mutex_lock(&manager->mutex);
    atomic_store(&tag->generation, 0);
    while (tag->names != NULL) {
        ws_names_remove(&manager->names, tag->names);
    }
    pthread_mutex_unlock(&manager->mutex);
}

void sock_opened(struct sock *sock, const weir_websocket_opening *opening)
{
    struct bay *bay = sock->bay;
    sock->was_open = true;
    bay_count(sock->is_dialled ? &bay->dialled : &bay->accepted, 1);
    bay_count(&bay->open, 1);
    if (sock->handler->on_open != NULL) {
        sock->handler->on_open(sock->arg, sock_name(sock), opening);
    }
}

static void count_end(struct sock *sock, weir_err err)
{
    struct bay *bay = sock->bay;
    if (!sock->was_open) {
        bay_count(&bay->failed, 1);
        return;
    }
    bay_count(&bay->open, (uint64_t)-1);
    bay_count(&bay->closed, 1);
    bay_count(&bay->unanswered, err == WEIR_EPROBE_TIMEOUT);
    bay_count(&bay->timed_out, err == WEIR_EIDLE);
}

void sock_gone(struct sock *sock, const weir_websocket_end *end)
{
    weir_websocket ws = sock_name(sock);
    weir_err why = end->err != WEIR_OK ? end->err : WEIR_ERETIRED;
    count_end(sock, end->err);
    hide(sock);
    if (sock->handler->on_close != NULL) {
        sock->handler->on_close(sock->arg, ws, end);
    }
    if (sock->is_dialled) {
        line_release(sock, why);
    } else {
        sock->tunnel.stream = NULL;
        sock->tunnel.close(&sock->tunnel);
    }
    sock->next_grave = sock->bay->graves; /* the stack may still be in it */
    sock->bay->graves = sock;
    loop_later(sock->bay->loop, &sock->bay->bury);
}

void sock_close(struct sock *sock, uint16_t code, struct slice reason)
{
    if (sock->was_open) {
        ws_end_close(&sock->end, code, reason);
    } else {
        sock_cancel(sock);
    }
}

/* --- what its end tells -------------------------------------------------------------------------
 */

static struct sock *sock_of(struct ws_end *end)
{
    return container_of(end, struct sock, end);
}

static void on_message(struct ws_end *end, unsigned opcode, const char *at, size_t len)
{
    struct sock *sock = sock_of(end);
    if (sock->handler->on_message != NULL) {
        weir_websocket_kind kind = opcode == WS_TEXT ? WEIR_WEBSOCKET_TEXT : WEIR_WEBSOCKET_BINARY;
        sock->handler->on_message(sock->arg, sock_name(sock), kind, at != NULL ? at : "", len);
    }
}

static void on_pong(struct ws_end *end, struct slice payload)
{
    struct sock *sock = sock_of(end);
    if (sock->handler->on_pong != NULL) {
        sock->handler->on_pong(sock->arg, sock_name(sock), payload.at, payload.len);
    }
}

static void on_drain(struct ws_end *end)
{
    struct sock *sock = sock_of(end);
    if (sock->handler->on_drain != NULL) {
        sock->handler->on_drain(sock->arg, sock_name(sock));
    }
}

static void on_gone(struct ws_end *end, const struct ws_farewell *farewell)
{
    const weir_websocket_end told = {
        .size = sizeof told,
        .err = farewell->err,
        .code = farewell->code,
        .was_open = true,
        .reason = {farewell->reason.at, farewell->reason.len},
        .detail = farewell->detail,
    };
    sock_gone(sock_of(end), &told);
}

const struct ws_end_ops sock_end_ops = {
    .on_message = on_message,
    .on_pong = on_pong,
    .on_drain = on_drain,
    .on_gone = on_gone,
};
