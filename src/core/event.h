/* SPDX-License-Identifier: Apache-2.0
 *
 * event.h - what a pool tells its owner, in the next step, in the order in which it happened.
 *
 * The queue is bounded; an event that does not fit is counted, and events_lost says how many.
 * pool_closed never passes through it: it is told when all others have been.
 */
#pragma once
#include "core/parts.h"

/* What is queued: everything that may have changed by the time it is told. */
struct queued_event {
    weir_pool *pool;
    uint64_t key_id, conn_id, lease_id;
    uint64_t now_ms, tag;
    uint32_t retry_after_ms, age_ms, uses, failures;
    uint32_t total, idle, leases, waiting;
    uint8_t kind, why, health;
};

/* key, conn and lease may be NULL; what they say about themselves is added. */
void event_queue(weir_pool *pool, weir_event_kind kind, const struct key *key,
                 const struct conn *conn, const struct lease *lease, weir_err why);

static inline bool event_is_heard(const weir_pool *pool, weir_event_kind kind)
{
    return (pool->engine->event_mask | pool->event_mask) >> kind & 1;
}

static inline void event_tell(weir_pool *pool, weir_event_kind kind, const struct key *key,
                              const struct conn *conn, weir_err why)
{
    if (event_is_heard(pool, kind)) {
        event_queue(pool, kind, key, conn, NULL, why);
    }
}

/* Tells all that is queued; true when there was anything. */
bool event_deliver(weir_engine *engine);

/* The last event of a pool, told at once. */
void event_pool_closed(weir_pool *pool);
