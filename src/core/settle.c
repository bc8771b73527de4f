/* SPDX-License-Identifier: Apache-2.0
 *
 * settle.c - where a connection belongs whose last lease has ended: back among the idle ones, to a
 * probe, to another key's turn, or out of the pool.
 */
#include "core/conn.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/move.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/size.h"
#include "core/standing.h"
#include "core/turns.h"

/* Why a connection without leases has to go, or WEIR_OK. */
static weir_err end_of(struct conn *conn)
{
    weir_pool *pool = conn->key->pool;
    if (conn->retiring) {
        return (weir_err)conn->why;
    }
    if (conn->uses >= pool->opt.max_uses && !MUTANT(16)) {
        return WEIR_EUSES;
    }
    bool is_replaced = conn->aged && conn->key->by_state[WEIR_DIALLING].count == 0;
    if (is_replaced || ends_of_age(conn)) {
        return ends_why(conn);
    }
    if (conn->unsure && !probe_is_possible(pool)) {
        return WEIR_EBROKEN;
    }
    return WEIR_OK;
}

void pool_give_idle(weir_pool *pool, struct key *key)
{
    if (MUTANT(30)) {
        return;
    }
    move_idle(key);
    if (pool->ledger.wanted > pool->by_state[WEIR_CLOSING].count
        && pool->by_state[WEIR_IDLE].count > 0) {
        pool_conn_close(conn_on_pool(list_first(&pool->by_state[WEIR_IDLE])), WEIR_EEVICTED);
    } else if (key->ledger.wanted > key->by_state[WEIR_CLOSING].count
               && key->by_state[WEIR_IDLE].count > 0) {
        pool_conn_close(conn_on_key(list_first(&key->by_state[WEIR_IDLE])), WEIR_EEVICTED);
    }
}

static void yield(struct conn *conn)
{
    explain(conn->key, DECIDED_YIELD, conn, WEIR_OK);
    conn->key->pool->counters.evicted++;
    pool_conn_close(conn, WEIR_EEVICTED);
    standing_tell(conn->key->pool);
}

static void become_idle(struct conn *conn)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    bool is_returned = conn->state != WEIR_PROBING;
    conn_enter(conn, WEIR_IDLE);
    if (is_returned) {
        event_tell(pool, WEIR_EVENT_CONNECTION_RETURNED, key, conn, WEIR_OK);
    }
    if ((key->waiting.count > 0 || pool->turns.count > 0) && !MUTANT(19)) {
        pool_serve(key);
    }
    struct conn *surplus = size_surplus(key);
    if (surplus != NULL) {
        pool_conn_close(surplus, WEIR_ESURPLUS);
    }
    if (pool->ledger.wanted > 0 || key->ledger.wanted > 0) {
        pool_give_idle(pool, key);
    }
}

/* To another worker, though its own callers wait: it goes there, or makes room. */
static void pass_on(struct conn *conn)
{
    conn_enter(conn, WEIR_IDLE);
    if (!conn->key->ledger.is_pressing || !move_out(conn)) {
        yield(conn);
    }
}

void pool_conn_settle(struct conn *conn)
{
    struct key *key = conn->key;
    if (conn->state == WEIR_CLOSING) {
        return;
    }
    if (conn->leases.count > 0) {
        if (!conn->retiring && ends_of_age(conn)) {
            pool_conn_retire(conn, ends_why(conn), WEIR_NEVER); /* full, it has no timer for that */
        }
        weir_state state = conn_state_of(conn);
        if (state != conn->state) {
            conn_enter(conn, state);
        }
        if (key->waiting.count > 0) {
            pool_serve(key);
        }
        return;
    }
    weir_err end = end_of(conn);
    bool is_wanted = key->waiting.count > 0 || key->ledger.wanted > 0; /* here, or elsewhere */
    if (end != WEIR_OK) {
        pool_conn_close(conn, end);
        pool_serve(key);
    } else if (conn->unsure) {
        probe_start(conn);
    } else if (is_wanted && turns_should_yield(key)) {
        yield(conn);
    } else if (key->waiting.count > 0 && turns_should_pass_on(key)) {
        pass_on(conn);
    } else {
        become_idle(conn);
    }
}
