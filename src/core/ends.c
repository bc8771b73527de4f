/* SPDX-License-Identifier: Apache-2.0
 *
 * ends.c - how a connection leaves its pool: told to close, retired, cut, timed out, gone.
 *
 * Closing tells the connector and waits for its report; what was granted on the connection, but not
 * told yet, goes back to its place in the queue. A retired connection closes when its last lease
 * ends. One that is gone has left every list, and what it freed is given on by the caller, with
 * pool_serve() or pool_feed().
 */
#include "core/ends.h"

#include "core/conn.h"
#include "core/event.h"
#include "core/hedge.h"
#include "core/key.h"
#include "core/peer.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/queue.h"
#include "core/size.h"

static void take_back_untold(struct conn *conn)
{
    struct node *node = list_last(&conn->leases);
    while (node != NULL) {
        struct lease *lease = list_entry(node, struct lease, on_owner);
        node = list_prev(node);
        if (list_holds(&lease->on_answer)) {
            conn->uses--;
            queue_again(lease);
        }
    }
}

void pool_conn_close(struct conn *conn, weir_err why)
{
    if (conn->state == WEIR_CLOSING) {
        return;
    }
    take_back_untold(conn);
    conn->why = (uint8_t)why;
    explain(conn->key, DECIDED_CLOSE, conn, why);
    if (conn->told) {
        conn_enter(conn, WEIR_CLOSING);
        conn_tell(conn, TODO_CLOSE);
    } else {
        conn_free(conn); /* a dial nobody has heard of */
    }
}

weir_err ends_why(const struct conn *conn)
{
    return conn->displaced ? WEIR_EADDRESS : WEIR_EAGE;
}

bool ends_of_age(struct conn *conn)
{
    const struct key *key = conn->key;
    uint64_t now_ms = key->pool->engine->now_ms;
    if (conn->until_ms > now_ms || !size_may_retire(conn)) {
        return false;
    }
    if (conn->aged || !size_is_in_use(key) || !pool_dial_spare(conn->key)) {
        return true;
    }
    conn->aged = true;
    conn->until_ms = now_ms
                     + key->pool->opt.max_age_ms; /* should its replacement come to nothing */
    return false;
}

static uint64_t after(uint64_t now_ms, uint32_t grace_ms)
{
    return grace_ms == WEIR_NEVER ? UINT64_MAX : now_ms + grace_ms;
}

void pool_conn_retire(struct conn *conn, weir_err why, uint32_t grace_ms)
{
    if (conn->leases.count == 0) {
        pool_conn_close(conn, why);
        return;
    }
    if (conn->state == WEIR_CLOSING) {
        return;
    }
    uint64_t until_ms = after(conn->key->pool->engine->now_ms, grace_ms);
    if (!conn->retiring || until_ms < conn->until_ms) {
        conn->until_ms = until_ms;
    }
    if (!conn->retiring) {
        conn->retiring = true;
        conn->why = (uint8_t)why;
        explain(conn->key, DECIDED_RETIRE, conn, why);
    }
    if (conn->state == WEIR_SHARED) {
        conn_enter(conn, WEIR_ACTIVE);
    }
    conn_arm(conn);
}

void pool_conn_cut(struct conn *conn, weir_err why)
{
    if (conn->state == WEIR_CLOSING || conn->todo == TODO_CUT) {
        return;
    }
    if (conn->key->pool->connector->cut == NULL) {
        pool_conn_close(conn, why);
        return;
    }
    pool_conn_retire(conn, why, WEIR_NEVER);
    conn_tell(conn, TODO_CUT);
}

void pool_conn_gone(struct conn *conn, weir_err why)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    conn->why = (uint8_t)why;
    if (conn->was_up) {
        pool->counters.closed++;
        pool->counters.closed_by[why]++;
        event_tell(pool, WEIR_EVENT_CONNECTION_REMOVED, key, conn, why);
    } else {
        pool->counters.dials_failed++;
        pool->counters.failed_by[why]++;
    }
    explain(key, DECIDED_GONE, conn, why);
    pool_mark_active(pool);
    conn_free(conn);
    ledger_settle(engine, &key->ledger, key_total(key));
    ledger_settle(engine, &pool->ledger, pool_total(pool));
}

static void replace_or_close(struct conn *conn)
{
    if (ends_of_age(conn)) {
        pool_conn_retire(conn, ends_why(conn), WEIR_NEVER);
    } else {
        conn_arm(conn);
    }
}

static void time_out_idle(struct conn *conn)
{
    weir_pool *pool = conn->key->pool;
    if (size_is_kept(conn)) {
        conn_keep_idle(conn);
        return;
    }
    event_tell(pool, WEIR_EVENT_CONNECTION_TIMEOUT, conn->key, conn, WEIR_EIDLE);
    pool_conn_close(conn, WEIR_EIDLE);
}

static void time_out_dial(struct conn *conn, weir_err why)
{
    struct key *key = conn->key;
    event_tell(key->pool, WEIR_EVENT_CONNECTION_TIMEOUT, key, conn, why);
    if (conn->moved) {
        pool_conn_close(conn, why);
        return;
    }
    peer_dial_failed(conn, why);
    pool_conn_close(conn, why);
    peer_fail_callers(key, why);
}

void pool_conn_timer(struct conn *conn)
{
    struct key *key = conn->key;
    weir_err due = conn_due(conn);
    conn->armed_ms = UINT64_MAX;
    switch (due) {
    case WEIR_EIDLE: time_out_idle(conn); break;
    case WEIR_EAGE: replace_or_close(conn); break;
    case WEIR_EPROBE: probe_start(conn); break;
    case WEIR_EAGAIN: hedge_start(conn); break;
    case WEIR_EPROBE_TIMEOUT:
        key->pool->counters.failed_by[due]++;
        event_tell(key->pool, WEIR_EVENT_CONNECTION_TIMEOUT, key, conn, due);
        pool_conn_close(conn, due);
        break;
    case WEIR_ECONNECT_TIMEOUT:
    case WEIR_ETLS_TIMEOUT: time_out_dial(conn, due); break;
    case WEIR_ELEASE_TIMEOUT:
        conn->until_ms = UINT64_MAX;
        pool_conn_cut(conn, (weir_err)conn->why);
        break;
    default: conn_arm(conn); return;
    }
    pool_serve(key);
}
