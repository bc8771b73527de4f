/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.c - the connector's side of a connection: what it reports, and what it is told.
 *
 * Reports may come at any time, in a step too, and for ids long dead. What the connector is told
 * waits on engine->todo for the next step; of two words for one connection only the later is said.
 */
#include "core/peer.h"

#include "base/text.h"
#include "core/breaker.h"
#include "core/conn.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/hedge.h"
#include "core/key.h"
#include "core/move.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/queue.h"
#include "core/size.h"
#include "core/warm.h"

/* EWMA of latency: a weight of 1/4, and a best that is forgotten by 1/64 with each sample. */
#define LATENCY_WEIGHT 4
#define BEST_FADE      64U

static struct conn *find(const weir_pool *pool, weir_conn id)
{
    struct conn *conn = slots_at(&pool->engine->conns, id.id);
    return conn != NULL && conn->key->pool == pool ? conn : NULL;
}

/* --- up ----------------------------------------------------------------------------------- */

static void begin_life(struct conn *conn, void *object)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    uint64_t now_ms = pool->engine->now_ms;
    conn->object = object;
    conn->was_up = true;
    conn->created_ms = conn->used_ms = now_ms;
    conn->until_ms = size_retire_at_ms(pool);
    conn->probe_ms = probe_every_ms(pool);
    pool->counters.created++;
    key->created++;
    event_tell(pool, WEIR_EVENT_CONNECTION_ADDED, key, conn, WEIR_OK);
}

/* Those that were too old and only kept until their replacement was there, or has failed. */
static void close_aged(struct key *key)
{
    weir_list_each_safe(it, &key->by_state[WEIR_IDLE]) {
        if (conn_on_key(it)->aged) {
            pool_conn_close(conn_on_key(it), ends_why(conn_on_key(it)));
        }
    }
    weir_list_each_safe(it, &key->by_state[WEIR_SHARED]) {
        if (conn_on_key(it)->aged) {
            pool_conn_retire(conn_on_key(it), ends_why(conn_on_key(it)), WEIR_NEVER);
        }
    }
}

static void learn_leases(struct key *key, uint32_t leases_max)
{
    key->leases_seen = (uint16_t)(leases_max < UINT16_MAX ? leases_max : UINT16_MAX);
}

static void dial_succeeded(struct conn *conn, void *object, uint32_t leases_max)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    uint64_t now_ms = pool->engine->now_ms;
    hedge_learn(key, now_ms - conn->created_ms);
    group_connected(key, (conn->handshaking ? conn->since_ms : now_ms) - conn->created_ms,
                    conn->handshaking ? now_ms - conn->since_ms : UINT64_MAX);
    conn_tell(conn, TODO_NOTHING);
    conn->leases_max = leases_max;
    conn->growing = leases_max == 1 && key_leases_likely(key) > 1;
    if (!conn->growing) {
        learn_leases(key, leases_max);
    }
    key->owed -= key->owed > 0;
    begin_life(conn, object);
    if (breaker_succeeded(key)) {
        event_tell(pool, WEIR_EVENT_KEY_UP, key, NULL, WEIR_OK);
    }
    conn_enter(conn, WEIR_IDLE);
    close_aged(key);
    if (leases_max == 0) {
        pool_conn_close(conn, WEIR_EGOAWAY);
    }
    if (conn->state == WEIR_IDLE && key->waiting.count == 0 && warm_probes(key)) {
        probe_start(conn);
    }
    pool_serve(key);
    warm_check(key);
    struct conn *surplus = size_surplus(key);
    if (surplus != NULL) {
        pool_conn_close(surplus, WEIR_ESURPLUS);
    }
}

weir_err weir_conn_up(weir_pool *pool, weir_conn id, void *object, uint32_t leases_max)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    if (conn->state == WEIR_DIALLING && conn->moved) {
        conn->leases_max = leases_max;
        learn_leases(conn->key, leases_max);
        move_is_up(conn, object);
        return WEIR_OK;
    }
    if (conn->state == WEIR_DIALLING) {
        dial_succeeded(conn, object, leases_max);
        return WEIR_OK;
    }
    if (conn->state == WEIR_PROBING && conn->todo != TODO_PROBE) {
        struct key *key = conn->key;
        pool_conn_settle(conn);
        warm_check(key);
        return WEIR_OK;
    }
    return WEIR_ESTATE;
}

weir_err weir_conn_handshake(weir_pool *pool, weir_conn id)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    if (conn->state != WEIR_DIALLING || conn->handshaking) {
        return WEIR_ESTATE;
    }
    conn->handshaking = true;
    conn->since_ms = pool->engine->now_ms;
    conn_arm(conn);
    warm_check(conn->key);
    return WEIR_OK;
}

bool weir_pool_can_admit(const weir_pool *pool)
{
    const struct slots *conns = &pool->engine->conns;
    return !pool->closing && conns->count < conns->capacity
           && (ledger_has_room(&pool->ledger, pool_total(pool)) || ledger_may_grow(&pool->ledger));
}

static weir_err refuse_peer(weir_pool *pool, weir_err err)
{
    ledger_settle(pool->engine, &pool->ledger, pool_total(pool));
    pool->counters.acquires++;
    pool->counters.refused++;
    pool->counters.refused_by[err]++;
    if (!pool->limit_told) {
        pool->limit_told = true;
        event_tell(pool, WEIR_EVENT_POOL_LIMIT_REACHED, NULL, NULL, err);
    }
    return err;
}

static bool has_room(weir_engine *engine, struct ledger *ledger, uint32_t used)
{
    if (!ledger_has_room(ledger, used)) {
        ledger_ask(engine, ledger, 1);
    }
    return ledger_has_room(ledger, used);
}

static weir_err admit_key(weir_pool *pool, const weir_key *peer, struct key **ret_key)
{
    struct key_text text;
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    if (!key_canonical(pool, peer, &text)) {
        return WEIR_EINVAL;
    }
    if (!has_room(pool->engine, &pool->ledger, pool_total(pool))) {
        return refuse_peer(pool, WEIR_EFULL);
    }
    weir_err err = key_intern(pool, &text, ret_key);
    if (err != WEIR_OK) {
        return refuse_peer(pool, err);
    }
    bool is_free = has_room(pool->engine, &(*ret_key)->ledger, key_total(*ret_key));
    return is_free ? WEIR_OK : refuse_peer(pool, WEIR_EFULL);
}

weir_err weir_admit(weir_pool *pool, const weir_key *peer, const char *note, void *object,
                    weir_conn *ret_conn)
{
    struct key *key;
    weir_err err = admit_key(pool, peer, &key);
    if (err != WEIR_OK) {
        return err;
    }
    struct conn *conn = conn_new(key, WEIR_IDLE);
    if (conn == NULL) {
        ledger_settle(pool->engine, &key->ledger, key_total(key));
        return refuse_peer(pool, WEIR_ECONNS);
    }
    conn->admitted = true;
    conn->told = true;
    key->used_ms = pool->engine->now_ms;
    slice_copy(conn->note, sizeof conn->note, slice_of(note != NULL ? note : ""));
    begin_life(conn, object);
    conn_arm(conn);
    pool->limit_told = false;
    ret_conn->id = conn_id(conn);
    pool_serve(key);
    return WEIR_OK;
}

/* --- while it lives ----------------------------------------------------------------------- */

weir_err weir_conn_room(weir_pool *pool, weir_conn id, uint32_t leases_max)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    if (!conn->was_up || conn->state == WEIR_CLOSING) {
        return WEIR_ESTATE;
    }
    conn->leases_max = leases_max;
    conn->growing = false;
    if (leases_max == 0) {
        pool_conn_retire(conn, WEIR_EGOAWAY, WEIR_NEVER);
    } else if (conn->leases.count > 0) {
        pool_conn_settle(conn);
    }
    if (leases_max > 0 && pool->connector->leases != NULL) {
        learn_leases(conn->key, leases_max);
    }
    struct key *key = conn->key;
    pool_serve(key);
    warm_check(key);
    return WEIR_OK;
}

weir_err weir_conn_lease(weir_pool *pool, weir_conn id, weir_lease *ret_lease)
{
    struct conn *conn = find(pool, id);
    return conn != NULL ? pool_lease_conn(conn, ret_lease) : WEIR_ESTALE;
}

weir_err weir_conn_used(weir_pool *pool, weir_conn id)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    if (conn->state == WEIR_IDLE) {
        conn->since_ms = pool->engine->now_ms;
    }
    return WEIR_OK;
}

weir_err weir_conn_latency(weir_pool *pool, weir_conn id, uint32_t latency_us)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    struct key *key = conn->key;
    if (conn->samples == 0) {
        conn->latency_us = latency_us;
    } else {
        int64_t change = ((int64_t)latency_us - conn->latency_us) / LATENCY_WEIGHT;
        conn->latency_us = (uint32_t)(conn->latency_us + change);
    }
    conn->samples += conn->samples < UINT8_MAX;
    uint64_t faded_us = key->best_us + key->best_us / BEST_FADE + 1;
    bool is_best = key->best_us == 0 || conn->latency_us < faded_us;
    uint64_t now_ms = pool->engine->now_ms;
    histogram_add(&key->endpoint->spans.first_byte, now_ms, latency_us / 1000);
    if (group_is_named(key->tenant)) {
        histogram_add(&key->tenant->spans.first_byte, now_ms, latency_us / 1000);
    }
    if (pool->opt.concurrency != WEIR_OFF) {
        concurrency_told(&key->endpoint->concurrency, latency_us);
    }
    key->best_us = is_best ? conn->latency_us : (uint32_t)faded_us;
    return WEIR_OK;
}

weir_err weir_conn_idle(weir_pool *pool, weir_conn id, uint32_t idle_timeout_ms)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    conn->idle_ms = idle_timeout_ms == WEIR_NONE ? 0 : idle_timeout_ms;
    conn_arm(conn);
    return WEIR_OK;
}

weir_err weir_conn_retire(weir_pool *pool, weir_conn id, weir_err why)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    pool_conn_retire(conn, why != WEIR_OK ? why : WEIR_ERETIRED, WEIR_NEVER);
    pool_serve(conn->key);
    return WEIR_OK;
}

void pool_conn_moved(weir_pool *pool, weir_conn id, void *object)
{
    struct conn *conn = find(pool, id);
    check(conn != NULL && conn->object != NULL && object != NULL);
    conn->object = object;
}

void *weir_conn_object(const weir_pool *pool, weir_conn id)
{
    const struct conn *conn = find(pool, id);
    return conn != NULL ? conn->object : NULL;
}

/* --- down --------------------------------------------------------------------------------- */

/* Callers that no other dial and no connection of the key will serve. */
static void fail_unserved(struct key *key, weir_err why)
{
    if (key_alive(key) > key->by_state[WEIR_DIALLING].count) {
        return;
    }
    uint32_t served = MUTANT(22) ? 0 : key->by_state[WEIR_DIALLING].count;
    if (served > 0 && key_is_unknown(key)) {
        return;
    }
    if (key->leases_seen > 1) {
        served *= key->leases_seen;
    }
    while (key->waiting.count > served) {
        struct node *last = list_last(&key->waiting);
        health_count(&key->pool->window, key->pool->engine->now_ms, false);
        queue_end(list_entry(last, struct lease, on_owner), why, pool_key_retry_after(key));
    }
}

void peer_dial_failed(struct conn *conn, weir_err why)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    bool is_news = breaker_failed(key, conn->round, why);
    bool went_down = is_news && key->state == WEIR_KEY_DOWN;
    explain(key, DECIDED_FAILED, conn, why);
    event_tell(pool, went_down ? WEIR_EVENT_KEY_DOWN : WEIR_EVENT_CONNECTION_ERROR, key, conn, why);
    close_aged(key);
}

void peer_fail_callers(struct key *key, weir_err why)
{
    if (key->pool->opt.on_dial_error == WEIR_FAIL) {
        fail_unserved(key, why);
    }
    if (key->state == WEIR_KEY_DOWN) {
        pool_fail_waiting(key, WEIR_EDOWN);
    }
}

/* The peer ended a connection that was up. */
static void dropped(struct conn *conn, weir_err why)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    uint64_t now_ms = pool->engine->now_ms;
    /* Who was admitted comes from many places, and each leaves when it likes. */
    bool is_hangup = (why == WEIR_EHANGUP || why == WEIR_ERESET) && !conn->admitted;
    if (conn->state == WEIR_IDLE && is_hangup && key_learn_hangup(key, now_ms - conn->used_ms)) {
        weir_list_each(it, &key->by_state[WEIR_IDLE]) {
            conn_arm(conn_on_key(it));
        }
    }
    if (conn->state == WEIR_PROBING) {
        pool->counters.failed_by[why]++;
    }
    if (pool->opt.reconnect == WEIR_EAGER && !conn->retiring && size_is_in_use(key)
        && key->owed < UINT8_MAX) {
        key->owed++;
    }
}

weir_err weir_conn_down(weir_pool *pool, weir_conn id, weir_err why)
{
    struct conn *conn = find(pool, id);
    if (conn == NULL) {
        return WEIR_ESTALE;
    }
    struct key *key = conn->key;
    if (why <= WEIR_OK || why >= WEIR_ERRS) {
        why = WEIR_EIO;
    }
    if (conn->moved) {
        move_is_down(conn, conn->state == WEIR_CLOSING ? (weir_err)conn->why : why);
    } else if (conn->state == WEIR_DIALLING) {
        conn->why = (uint8_t)why;
        peer_dial_failed(conn, why);
        pool_conn_gone(conn, why);
        peer_fail_callers(key, why);
    } else if (conn->state == WEIR_CLOSING) {
        pool_conn_gone(conn, (weir_err)conn->why);
    } else {
        dropped(conn, why);
        pool_conn_gone(conn, why);
    }
    pool_serve(key);
    return WEIR_OK;
}

/* --- what the connector is told ----------------------------------------------------------- */

static void tell(struct conn *conn)
{
    weir_pool *pool = conn->key->pool;
    const weir_connector *connector = pool->connector;
    weir_conn id = {conn_id(conn)};
    void *object = conn->was_up ? conn->object : NULL;
    enum conn_todo todo = (enum conn_todo)conn->todo;
    conn->todo = TODO_NOTHING;
    conn->told = true;
    if (todo == TODO_CLOSE && move_is_parcel(conn)) {
        move_drop(conn);
        return;
    }
    switch (todo) { /* cover: every word is named */
    case TODO_DIAL:
        pool->counters.dials++;
        connector->dial(pool->self, id, &conn->key->view);
        break;
    case TODO_ATTACH:
        object = conn->object;
        conn->object = NULL;
        connector->attach(pool->self, id, object);
        break;
    case TODO_DETACH: move_detach(conn); break;
    case TODO_PROBE: connector->probe(pool->self, id, object); break;
    case TODO_CUT: connector->cut(pool->self, id, object); break;
    case TODO_CLOSE: connector->close(pool->self, id, object, (weir_err)conn->why); break;
    case TODO_NOTHING: unreachable();
    }
}

bool peer_deliver(weir_engine *engine)
{
    bool any = false;
    struct node *node;
    while ((node = list_pop_front(&engine->todo)) != NULL) {
        tell(list_entry(node, struct conn, on_todo));
        any = true;
    }
    return any;
}
