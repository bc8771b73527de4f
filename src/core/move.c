/* SPDX-License-Identifier: Apache-2.0 */
#include "core/move.h"

#include "core/conn.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"

/* --- out ---------------------------------------------------------------------------------- */

bool move_out(struct conn *conn)
{
    struct key *key = conn->key;
    struct ledger *ledger = &key->ledger;
    const weir_connector *connector = key->pool->connector;
    check(conn->state == WEIR_IDLE);
    if (conn->admitted || connector->detach == NULL || ledger->wanted == 0 || !ledger->may_move) {
        return false;
    }
    ledger->wanted--;
    ledger->is_pressing &= ledger->wanted > 0;
    conn->why = WEIR_EEVICTED; /* should it not get away */
    explain(key, DECIDED_MOVE_OUT, conn, WEIR_OK);
    conn_enter(conn, WEIR_CLOSING);
    conn_tell(conn, TODO_DETACH);
    return true;
}

void move_idle(struct key *key)
{
    struct node *newest;
    while ((newest = list_last(&key->by_state[WEIR_IDLE])) != NULL
           && move_out(conn_on_key(newest))) {
    }
}

static struct limit_parcel pack(const struct conn *conn, void *object)
{
    const weir_pool *pool = conn->key->pool;
    return (struct limit_parcel){
        .object = object,
        .attach = pool->connector->attach,
        .pool_account = pool->ledger.account,
        .uses = conn->uses,
        .leases_max = conn->leases_max,
        .idle_ms = conn->idle_ms,
        .probe_ms = conn->probe_ms,
        .latency_us = conn->latency_us,
        .created_ms = conn->created_ms,
        .used_ms = conn->used_ms,
        .since_ms = conn->since_ms,
        .until_ms = conn->until_ms,
        .samples = conn->samples,
        .aged = conn->aged,
        .displaced = conn->displaced,
        .address = conn->peer.address,
    };
}

/* Its credits go with it. */
static void send(struct key *key, const struct limit_parcel *parcel)
{
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    const struct limit_msg msg = {
        .account = key->ledger.account, .word = LIMIT_MOVE, .count = 1, .parcel = *parcel};
    check(key->ledger.credits > 0 && pool->ledger.credits > 0);
    if (!MUTANT(29)) {
        key->ledger.credits--;
    }
    if (pool->ledger.account != 0) {
        pool->ledger.credits--;
    }
    engine->port->send(engine->port->arg, &msg);
}

void move_detach(struct conn *conn)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    void *object = key->ledger.account != 0 && !pool->closing
                       ? pool->connector->detach(pool->self, conn->object)
                       : NULL;
    if (object == NULL) {
        key->ledger.wanted += key->ledger.account != 0;
        conn_tell(conn, TODO_CLOSE);
        return;
    }
    struct limit_parcel parcel = pack(conn, object);
    conn->why = WEIR_EMOVED;
    pool->counters.moved_out++;
    event_tell(pool, WEIR_EVENT_CONNECTION_REMOVED, key, conn, WEIR_EMOVED);
    conn_free(conn);
    send(key, &parcel);
    pool_serve(key);
}

/* --- in ----------------------------------------------------------------------------------- */

/* There is no place for it. */
static void turn_away(weir_pool *pool, const struct limit_parcel *parcel, weir_err why)
{
    parcel_drop(parcel);
    pool->counters.moved_in++;
    pool->counters.closed++;
    pool->counters.closed_by[why]++;
}

static void unpack(struct conn *conn, const struct limit_parcel *parcel)
{
    conn->object = parcel->object;
    conn->uses = parcel->uses;
    conn->leases_max = parcel->leases_max;
    conn->idle_ms = parcel->idle_ms;
    conn->probe_ms = parcel->probe_ms;
    conn->latency_us = parcel->latency_us;
    conn->created_ms = parcel->created_ms;
    conn->used_ms = parcel->used_ms;
    conn->until_ms = parcel->until_ms;
    conn->samples = parcel->samples;
    conn->aged = parcel->aged;
    conn->displaced = parcel->displaced;
    conn->peer.address = parcel->address;
}

void move_in(struct key *key, const struct limit_parcel *parcel)
{
    weir_pool *pool = key->pool;
    key->ledger.credits++;
    key->ledger.asked -= key->ledger.asked > 0;
    if (pool->ledger.account != 0 && pool->ledger.account == parcel->pool_account) {
        pool->ledger.credits++;
    }
    struct conn *conn = NULL;
    if (!pool->closing && ledger_has_room(&pool->ledger, pool_total(pool))) {
        conn = conn_new(key, WEIR_DIALLING);
    }
    if (conn == NULL) {
        turn_away(pool, parcel, pool->closing ? WEIR_ECLOSED : WEIR_EEVICTED);
    } else {
        unpack(conn, parcel);
        conn->moved = true;
        conn->told = true;
        conn->hedged = true; /* nobody dials */
        conn_arm(conn);
        conn_tell(conn, TODO_ATTACH);
        explain(key, DECIDED_MOVE_IN, conn, WEIR_OK);
    }
    pool_serve(key);
}

static void enter_life(struct conn *conn, void *object)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    conn->object = object;
    conn->was_up = true;
    pool->counters.moved_in++;
    event_tell(pool, WEIR_EVENT_CONNECTION_ADDED, key, conn, WEIR_EMOVED);
}

void move_is_up(struct conn *conn, void *object)
{
    struct key *key = conn->key;
    conn_tell(conn, TODO_NOTHING);
    enter_life(conn, object);
    conn_enter(conn, WEIR_IDLE);
    conn->moved = false;
    pool_serve(key);
}

void move_is_down(struct conn *conn, weir_err why)
{
    enter_life(conn, NULL);
    pool_conn_gone(conn, why);
}

void move_drop(struct conn *conn)
{
    struct key *key = conn->key;
    key->pool->connector->attach(NULL, (weir_conn){0}, conn->object);
    move_is_down(conn, (weir_err)conn->why);
    pool_serve(key);
}
