/* SPDX-License-Identifier: Apache-2.0 */
#include "core/queue.h"

#include "base/fetch.h"
#include "core/conn.h"
#include "core/crowd.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/standing.h"

/* EWMA with a weight of 1/8, kept × 16. */
#define HOLD_SCALE  16U
#define HOLD_WEIGHT 8

struct lease *queue_new(struct key *key, uint64_t *ret_id)
{
    struct lease *lease = slots_take(&key->pool->engine->leases, ret_id);
    if (lease != NULL) {
        lease->key = key;
        lease->timer.kind = TIMER_LEASE;
        lease->turn = key->pool->engine->turns++;
        lease->since_ms = key->pool->engine->now_ms;
    }
    return lease;
}

void queue_wait(struct lease *lease)
{
    struct key *key = lease->key;
    weir_engine *engine = key->pool->engine;
    lease->state = LEASE_WAITING;
    list_insert_before(&key->waiting, MUTANT(24) ? key->waiting.head.next : &key->waiting.head,
                       &lease->on_owner);
    list_push_back(&key->pool->waiting, &lease->on_pool);
    key->tenant->waiting++;
    if (lease->deadline_ms != UINT64_MAX && !MUTANT(2)) {
        heap_set(&engine->timers, &lease->timer.node, lease->deadline_ms);
    }
    key_review(key);
}

/* Back to its place: behind those who came before it, near the front. */
static void rejoin(struct lease *lease)
{
    struct list *of_key = &lease->key->waiting;
    struct list *of_pool = &lease->key->pool->waiting;
    struct node *at = of_key->head.next;
    while (at != &of_key->head && list_entry(at, struct lease, on_owner)->turn < lease->turn) {
        at = at->next;
    }
    list_insert_before(of_key, at, &lease->on_owner);
    at = of_pool->head.next;
    while (at != &of_pool->head && list_entry(at, struct lease, on_pool)->turn < lease->turn) {
        at = at->next;
    }
    list_insert_before(of_pool, at, &lease->on_pool);
    lease->key->tenant->waiting++;
}

void queue_again(struct lease *lease)
{
    struct key *key = lease->key;
    weir_engine *engine = key->pool->engine;
    check(list_holds(&lease->on_answer));
    if (key->pool->closing) {
        queue_end(lease, WEIR_ECLOSED, 0);
        return;
    }
    if (key->state == WEIR_KEY_DOWN && !(lease->flags & WEIR_WAIT_DOWN)) {
        queue_end(lease, WEIR_EDOWN, pool_key_retry_after(key));
        return;
    }
    list_remove(&engine->answers, &lease->on_answer);
    list_leave(&lease->on_owner);
    list_leave(&lease->on_pool);
    key->endpoint->leases--;
    lease->state = LEASE_WAITING;
    lease->conn = NULL;
    lease->was_cut = false;
    lease->since_ms -= lease->waited_ms;
    rejoin(lease);
    if (lease->deadline_ms != UINT64_MAX) {
        heap_set(&engine->timers, &lease->timer.node, lease->deadline_ms);
    }
}

void queue_end(struct lease *lease, weir_err err, uint32_t retry_after_ms)
{
    weir_pool *pool = lease->key->pool;
    check(lease->state == LEASE_WAITING || list_holds(&lease->on_answer));

    lease->key->pins++; /* until the caller knows */
    lease->key->tenant->waiting -= lease->state == LEASE_WAITING;
    lease->key->endpoint->leases -= lease->state == LEASE_HELD;
    lease->state = LEASE_ENDED;
    lease->err = (uint8_t)err;
    lease->retry_after_ms = retry_after_ms;
    lease->waited_ms = (uint32_t)(pool->engine->now_ms - lease->since_ms);
    lease->conn = NULL;
    heap_clear(&pool->engine->timers, &lease->timer.node);
    list_leave(&lease->on_owner);
    list_leave(&lease->on_pool);
    list_leave(&lease->on_answer);
    list_push_back(&pool->engine->answers, &lease->on_answer);
    pool->counters.refused++;
    pool->counters.refused_by[err]++;
    group_refused(lease->key);
}

void queue_hold(struct lease *lease, struct conn *conn)
{
    struct key *key = lease->key;
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    if (list_holds(&lease->on_owner)) {
        heap_clear(&engine->timers, &lease->timer.node);
        list_remove(&key->waiting, &lease->on_owner);
        list_remove(&pool->waiting, &lease->on_pool);
        key->tenant->waiting--;
    }
    if (lease->fn != NULL) {
        lease->waited_ms = (uint32_t)(engine->now_ms - lease->since_ms);
        list_push_back(&engine->answers, &lease->on_answer);
    }
    key->endpoint->leases++;
    lease->state = LEASE_HELD;
    lease->conn = conn;
    lease->since_ms = engine->now_ms;
    list_push_back(&conn->leases, &lease->on_owner);
    list_push_back(&pool->held, &lease->on_pool);
}

void queue_count_grant(const struct lease *lease)
{
    struct key *key = lease->key;
    weir_pool *pool = key->pool;
    pool->counters.grants++;
    key->grants++;
    if (lease->reused) {
        pool->counters.reused++;
        key->reused++;
        event_tell(pool, WEIR_EVENT_CONNECTION_REUSED, key, lease->conn, WEIR_OK);
    }
    if (lease->waited_ms > 0) {
        pool->counters.waits++;
        pool->counters.wait_ms += lease->waited_ms;
    }
    uint64_t now_ms = pool->engine->now_ms;
    histogram_add(&key->endpoint->spans.wait, now_ms, lease->waited_ms);
    if (group_is_named(key->tenant)) {
        histogram_add(&key->tenant->spans.wait, now_ms, lease->waited_ms);
    }
}

static void learn_hold(struct key *key, uint64_t held_ms)
{
    uint64_t sample = held_ms < UINT32_MAX / HOLD_SCALE ? held_ms * HOLD_SCALE : UINT32_MAX;
    int64_t change = ((int64_t)sample - (int64_t)key->hold_ms) / HOLD_WEIGHT;
    key->hold_ms = (uint32_t)((int64_t)key->hold_ms + change);
}

void queue_drop(struct lease *lease)
{
    struct key *key = lease->key;
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    uint64_t held_ms = engine->now_ms - lease->since_ms;
    histogram_add(&key->endpoint->spans.hold, engine->now_ms, held_ms);
    if (group_is_named(key->tenant)) {
        histogram_add(&key->tenant->spans.hold, engine->now_ms, held_ms);
    }
    pool->counters.hold_ms += held_ms;
    pool->counters.released++;
    key->endpoint->leases--;
    learn_hold(key, held_ms);
    if (lease->conn == NULL) {
        check(key->pins > 0);
        key->pins--;
    } else {
        standing_spend(key->tenant, lease->conn, held_ms);
        list_remove(&lease->conn->leases, &lease->on_owner);
    }
    list_remove(lease->on_pool.home, &lease->on_pool);
    slots_give(&engine->leases, lease_id(lease));
}

/* Its caller waits no more; the record of a failed one goes first, so that its id is dead when it
 * hears. */
static void answer(weir_engine *engine, struct lease *lease)
{
    struct key *key = lease->key;
    weir_lease_fn *fn = lease->fn;
    void *arg = lease->arg;
    check(fn != NULL); /* an answer is queued once, for a lease that waits for it */
    weir_grant grant = {.err = (weir_err)lease->err,
                        .lease = {lease_id(lease)},
                        .reused = lease->reused,
                        .waited_ms = lease->waited_ms,
                        .retry_after_ms = lease->retry_after_ms};
    lease->fn = NULL;
    if (lease->state == LEASE_HELD) {
        queue_count_grant(lease);
        grant.conn.id = conn_id(lease->conn);
        grant.object = lease->conn->object;
    } else {
        slots_give(&engine->leases, grant.lease.id);
        check(key->pins > 0);
        key->pins--;
        key_review(key);
    }
    fn(arg, &grant);
}

bool queue_deliver(weir_engine *engine)
{
    bool any = false;
    struct node *node;
    while ((node = list_pop_front(&engine->answers)) != NULL) {
        answer(engine, list_entry(node, struct lease, on_answer));
        any = true;
    }
    return any;
}

void queue_deliver_to(weir_engine *engine, weir_lease_fn *fn)
{
    weir_list_each_safe(it, &engine->answers) {
        struct lease *lease = list_entry(it, struct lease, on_answer);
        if (lease->fn == fn) {
            list_remove(&engine->answers, it);
            answer(engine, lease);
        }
    }
}

static void renew_spans(struct spans *spans, uint64_t now_ms, uint32_t times)
{
    histogram_add_times(&spans->wait, now_ms, 0, times);
    histogram_add_times(&spans->hold, now_ms, 0, times);
}

void queue_renewed(struct lease *lease, uint32_t times)
{
    struct key *key = lease->key;
    weir_pool *pool = key->pool;
    pool->counters.acquires += times;
    pool->counters.grants += times;
    pool->counters.reused += times;
    pool->counters.released += times;
    health_count_good(&pool->window, pool->engine->now_ms, times);
    renew_spans(&key->endpoint->spans, pool->engine->now_ms, times);
    if (group_is_named(key->tenant)) {
        renew_spans(&key->tenant->spans, pool->engine->now_ms, times);
    }
    key->grants += times;
    key->reused += times;
    key->used_ms = pool->engine->now_ms;
    if (lease->conn != NULL) {
        lease->conn->uses += times;
    }
}

uint32_t queue_waiting(const weir_engine *engine)
{
    uint32_t waiting = 0;
    weir_list_each(it, &engine->pools) {
        waiting += list_entry(it, struct weir_pool, on_engine)->waiting.count;
    }
    return waiting;
}

static struct group *fullest(weir_pool *pool)
{
    struct group *fullest = &pool->nobody;
    weir_list_each(it, &pool->tenants) {
        struct group *tenant = list_entry(it, struct group, on_pool);
        if (tenant->waiting > fullest->waiting) {
            fullest = tenant;
        }
    }
    return fullest;
}

struct lease *queue_rival(const struct key *key)
{
    weir_pool *pool = key->pool;
    const struct group *tenant = fullest(pool);
    if (tenant->waiting <= key->tenant->waiting + 1 || MUTANT(34)) {
        return NULL;
    }
    struct node *it = list_last(&pool->waiting);
    while (list_entry(it, struct lease, on_pool)->key->tenant != tenant) {
        it = list_prev(it);
    }
    return list_entry(it, struct lease, on_pool);
}

/* All that the key may have is out, some of it with other engines: how many of them the hub sees to
 * that it has here as long as somebody waits, however few there are now. */
static uint32_t due_here(const struct key *key)
{
    const weir_pool *pool = key->pool;
    const weir_pool_options *opt = &pool->opt;
    if (key->ledger.account == 0 || ledger_has_room(&key->ledger, key_total(key))) {
        return 0;
    }
    uint32_t most = opt->max_per_key < opt->max_total ? opt->max_per_key : opt->max_total;
    uint32_t engines = pool->engine->port->engines;
    return engines > 0 ? most / engines : 0;
}

uint64_t queue_predict_ms(const struct key *key)
{
    uint64_t capacity = key_alive(key);
    uint32_t due = due_here(key);
    capacity = capacity > due ? capacity : due;
    if (key->leases_seen > 1) {
        capacity *= key->leases_seen < key->pool->opt.leases_hard ? key->leases_seen
                                                                  : key->pool->opt.leases_hard;
    }
    uint64_t hold_ms = key->hold_ms / HOLD_SCALE;
    uint32_t limit = crowd_limit(key->endpoint);
    capacity = limit > 0 && capacity > limit ? limit : capacity;
    return (key->waiting.count + UINT64_C(1)) * hold_ms / (capacity > 0 ? capacity : 1);
}

bool queue_has_settled(const struct key *key)
{
    if (key->waiting.count == 0) {
        return false;
    }
    const struct lease *first = list_entry(list_first(&key->waiting), struct lease, on_owner);
    return key->pool->engine->now_ms - first->since_ms >= key->hold_ms / HOLD_SCALE;
}

const void *pool_lease_at(const weir_pool *pool, weir_lease id)
{
    return slots_nth(&pool->engine->leases, (uint32_t)id.id);
}

void pool_conn_fetch(const weir_pool *pool, weir_conn id)
{
    fetch(slots_nth(&pool->engine->conns, (uint32_t)id.id),
          sizeof(struct slot) + sizeof(struct conn));
}

void pool_lease_fetch_conn(const weir_pool *pool, weir_lease id)
{
    const struct lease *lease = slots_at(&pool->engine->leases, id.id);
    if (lease != NULL) {
        fetch(lease->conn, sizeof(struct conn));
    }
}

static void tell_overdue(struct lease *lease, weir_err why)
{
    weir_pool *pool = lease->key->pool;
    pool->counters.overdue++;
    if (event_is_heard(pool, WEIR_EVENT_LEASE_OVERDUE)) {
        event_queue(pool, WEIR_EVENT_LEASE_OVERDUE, lease->key, lease->conn, lease, why);
    }
}

static uint64_t warn_overdue(weir_pool *pool)
{
    uint64_t now_ms = pool->engine->now_ms;
    struct node *node;
    while (pool->opt.lease_warn_ms != WEIR_NEVER && (node = list_first(&pool->held)) != NULL) {
        struct lease *lease = list_entry(node, struct lease, on_pool);
        uint64_t due_ms = lease->since_ms + pool->opt.lease_warn_ms;
        if (due_ms > now_ms) {
            return due_ms;
        }
        tell_overdue(lease, WEIR_OK);
        list_move_back(&pool->held, &pool->overdue, node);
    }
    return UINT64_MAX;
}

/* The first that was not cut yet. Both lists are sorted by since_ms. */
static struct lease *first_uncut(const struct list *leases)
{
    weir_list_each(it, leases) {
        struct lease *lease = list_entry(it, struct lease, on_pool);
        if (!lease->was_cut) {
            return lease;
        }
    }
    return NULL;
}

static uint64_t cut_overdue(weir_pool *pool, const struct list *leases)
{
    struct lease *lease;
    while ((lease = first_uncut(leases)) != NULL) {
        uint64_t due_ms = lease->since_ms + pool->opt.lease_timeout_ms;
        if (due_ms > pool->engine->now_ms) {
            return due_ms;
        }
        lease->was_cut = true;
        tell_overdue(lease, WEIR_ELEASE_TIMEOUT);
        if (lease->conn != NULL && !MUTANT(25)) {
            struct key *key = lease->key;
            pool_conn_cut(lease->conn, WEIR_ELEASE_TIMEOUT);
            pool_serve(key);
        }
    }
    return UINT64_MAX;
}

uint64_t queue_overdue(weir_pool *pool)
{
    uint64_t due_ms = warn_overdue(pool);
    if (pool->opt.lease_timeout_ms == WEIR_NEVER) {
        return due_ms;
    }
    uint64_t held_ms = cut_overdue(pool, &pool->held);
    uint64_t overdue_ms = cut_overdue(pool, &pool->overdue);
    held_ms = held_ms < overdue_ms ? held_ms : overdue_ms;
    return held_ms < due_ms ? held_ms : due_ms;
}
