/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event.h"

#include "core/pool.h"

static uint32_t retry_after_of(const struct key *key)
{
    return key->retry_ms > key->pool->engine->now_ms
               ? (uint32_t)(key->retry_ms - key->pool->engine->now_ms)
               : 0;
}

static void add_key(struct queued_event *event, const struct key *key)
{
    event->key_id = slots_id_of(&key->pool->engine->keys, key);
    event->failures = key->failures;
    event->retry_after_ms = retry_after_of(key);
}

static void add_conn(struct queued_event *event, const struct conn *conn)
{
    event->conn_id = conn_id(conn);
    event->age_ms = (uint32_t)(event->now_ms - conn->created_ms);
    event->uses = conn->uses;
}

static void add_lease(struct queued_event *event, const struct lease *lease)
{
    event->lease_id = lease_id(lease);
    event->tag = lease->tag;
    event->age_ms = (uint32_t)(event->now_ms - lease->since_ms);
}

void event_queue(weir_pool *pool, weir_event_kind kind, const struct key *key,
                 const struct conn *conn, const struct lease *lease, weir_err why)
{
    weir_engine *engine = pool->engine;
    struct queued_event *event = ring_push(&engine->events);
    if (event == NULL) {
        engine->events_lost++;
        pool->counters.events_lost++;
        return;
    }
    *event = (struct queued_event){
        .pool = pool,
        .kind = (uint8_t)kind,
        .why = (uint8_t)why,
        .health = pool->window.health,
        .now_ms = engine->now_ms,
        .total = pool_total(pool),
        .idle = pool->by_state[WEIR_IDLE].count,
        .leases = pool->held.count + pool->overdue.count,
        .waiting = pool->waiting.count,
    };
    if (key != NULL) {
        add_key(event, key);
    }
    if (conn != NULL) {
        add_conn(event, conn);
    }
    if (lease != NULL) {
        add_lease(event, lease);
    }
}

/* The engine's listener hears it, and then the pool's own. */
static void tell(weir_engine *engine, const struct queued_event *queued)
{
    const weir_pool *pool = queued->pool;
    const struct key *key = slots_at(&engine->keys, queued->key_id);
    weir_event event = {
        .size = sizeof event,
        .kind = (weir_event_kind)queued->kind,
        .why = (weir_err)queued->why,
        .now_ms = queued->now_ms,
        .pool = queued->pool,
        .pool_name = queued->pool->name,
        .key = key != NULL ? &key->view : NULL,
        .conn = {queued->conn_id},
        .lease = {queued->lease_id},
        .tag = queued->tag,
        .retry_after_ms = queued->retry_after_ms,
        .age_ms = queued->age_ms,
        .uses = queued->uses,
        .failures = queued->failures,
        .total = queued->total,
        .idle = queued->idle,
        .leases = queued->leases,
        .waiting = queued->waiting,
        .health = (weir_health)queued->health,
    };
    if (engine->event_mask >> event.kind & 1) {
        engine->on_event(engine->event_arg, &event);
    }
    if (pool->event_mask >> event.kind & 1) {
        pool->on_event(pool->event_arg, &event);
    }
}

static void tell_lost(weir_engine *engine)
{
    weir_event event = {.size = sizeof event,
                        .kind = WEIR_EVENT_EVENTS_LOST,
                        .now_ms = engine->now_ms,
                        .count = engine->events_lost};
    engine->events_lost = 0;
    if (engine->event_mask >> WEIR_EVENT_EVENTS_LOST & 1) {
        engine->on_event(engine->event_arg, &event);
    }
}

bool event_deliver(weir_engine *engine)
{
    bool any = false;
    struct queued_event *queued;
    while ((queued = ring_front(&engine->events)) != NULL) {
        struct queued_event event = *queued;
        ring_pop(&engine->events);
        tell(engine, &event);
        any = true;
    }
    if (engine->events_lost > 0) {
        tell_lost(engine);
        any = true;
    }
    return any;
}

void event_pool_closed(weir_pool *pool)
{
    weir_engine *engine = pool->engine;
    if (!event_is_heard(pool, WEIR_EVENT_POOL_CLOSED)) {
        return;
    }
    struct queued_event event = {
        .pool = pool, .kind = WEIR_EVENT_POOL_CLOSED, .now_ms = engine->now_ms};
    tell(engine, &event);
}

void weir_pool_on_event(weir_pool *pool, weir_event_fn *fn, void *arg, uint32_t events)
{
    pool->on_event = fn;
    pool->event_arg = arg;
    pool->event_mask = fn == NULL ? 0 : events != 0 ? events : UINT32_MAX;
}
