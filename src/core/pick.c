/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pick.h"

#include "core/conn.h"
#include "core/demand.h"
#include "core/ends.h"
#include "core/hazard.h"
#include "core/key.h"
#include "core/mutant.h"

/* Reuse of the newest is guarded: one that answers slower than this, in percent of its key's best,
 * is passed over after so many samples, but for one time in a hundred. */
#define SLOW_PERCENT   150U
#define SLOW_SAMPLES   5U
#define SLOW_LOOKS     4U /* at so many of the newest: a lease must not cost a walk */
#define EXPLORE_PERMIL 10U

/* With both, a request that meets a stale connection is sent again, and hazards do not count. */
#define REPLAY (uint32_t)(WEIR_IDEMPOTENT | WEIR_REPLAYABLE)

static bool is_slow(const struct conn *conn)
{
    const struct key *key = conn->key;
    if (conn->samples < SLOW_SAMPLES
        || (uint64_t)conn->latency_us * 100 <= (uint64_t)key->best_us * SLOW_PERCENT) {
        return false;
    }
    return !rand_chance(&key->pool->engine->rand, EXPLORE_PERMIL);
}

/* Asks the connector as well, unless it came up this very moment; one that it disowns closes. */
static bool is_usable(struct conn *conn)
{
    weir_pool *pool = conn->key->pool;
    bool is_new = conn->uses == 0 && conn->created_ms == pool->engine->now_ms;
    if (pool->connector->reusable == NULL || is_new
        || pool->connector->reusable(pool->self, conn->object)) {
        return true;
    }
    explain(conn->key, DECIDED_SKIP_STALE, conn, WEIR_OK);
    pool_conn_close(conn, WEIR_EHANGUP);
    return false;
}

/* The newest that is not slow; if all are that were looked at, the newest. */
static struct conn *newest(const struct key *key)
{
    struct node *last = list_last(&key->by_state[WEIR_IDLE]);
    struct node *it = last;
    for (uint32_t looks = 0; looks < SLOW_LOOKS && it != NULL; looks++) {
        struct conn *conn = conn_on_key(it);
        if (!is_slow(conn) && !MUTANT(3)) {
            return conn;
        }
        explain(conn->key, DECIDED_SKIP_SLOW, conn, WEIR_OK);
        it = list_prev(it);
    }
    return conn_on_key(MUTANT(3) ? list_first(&key->by_state[WEIR_IDLE]) : last);
}

static struct conn *fewest_uses(const struct key *key)
{
    struct conn *best = NULL;
    weir_list_each_back(it, &key->by_state[WEIR_IDLE]) {
        struct conn *conn = conn_on_key(it);
        if (best == NULL || conn->uses < best->uses) {
            best = conn;
        }
    }
    return best;
}

bool pick_is_careful(const struct key *key, uint32_t flags)
{
    return key->pool->opt.reuse == WEIR_NEWEST && (flags & REPLAY) != REPLAY;
}

/* It cannot be sent twice, the peer may be about to hang up, and a dial will do better. Where
 * connections carry many leases there may be no more of them. */
static bool is_too_risky(struct key *key, const struct conn *conn)
{
    if (key->leases_seen > 1 || !hazard_is_great(conn, key->pool->engine->now_ms) || MUTANT(37)) {
        return false;
    }
    return key->by_state[WEIR_DIALLING].count > 0 || demand_outlook(key) == DECIDED_DIAL;
}

/* One that has not served yet, or NULL. */
static struct conn *unused(struct key *key)
{
    struct conn *conn = fewest_uses(key);
    if (conn->uses > 0) {
        explain(key, DECIDED_SKIP_USED, NULL, WEIR_OK);
        return NULL;
    }
    return conn;
}

/* The one that is next, or NULL: rather none than that one. */
static struct conn *next_one(struct key *key, uint32_t flags)
{
    struct conn *conn;
    switch (key->pool->opt.reuse) {
    case WEIR_OLDEST: conn = conn_on_key(list_first(&key->by_state[WEIR_IDLE])); break;
    case WEIR_FEWEST: conn = fewest_uses(key); break;
    default: conn = newest(key); break;
    }
    if (!pick_is_careful(key, flags)) {
        return conn;
    }
    conn = hazard_least(key, conn);
    if (is_too_risky(key, conn)) {
        explain(key, DECIDED_SKIP_RISK, conn, WEIR_OK);
        return NULL;
    }
    return conn;
}

/* The best idle one for the request, or NULL. */
static struct conn *pick_idle(struct key *key, uint32_t flags)
{
    while (key->by_state[WEIR_IDLE].count > 0) {
        struct conn *conn = flags & WEIR_FRESH ? unused(key) : next_one(key, flags);
        if (conn == NULL || is_usable(conn)) {
            return conn;
        }
    }
    return NULL;
}

/* The fullest shared one below its ideal number of leases, or, above that, the emptiest. */
static struct conn *pick_shared(struct key *key, bool below_ideal)
{
    uint32_t ideal = key->pool->opt.leases_ideal;
    struct conn *best = NULL;
    weir_list_each(it, &key->by_state[WEIR_SHARED]) {
        struct conn *conn = conn_on_key(it);
        uint32_t leases = conn->leases.count;
        if (below_ideal && leases >= ideal) {
            continue;
        }
        if (best == NULL || (leases > best->leases.count) == below_ideal) {
            best = conn;
        }
    }
    return best;
}

uint32_t pick_lasting(const struct key *key)
{
    uint32_t retiring = 0;
    weir_list_each(it, &key->by_state[WEIR_ACTIVE]) {
        retiring += conn_on_key(it)->retiring;
    }
    return key_alive(key) - retiring;
}

struct conn *pick_conn(struct key *key, uint32_t flags)
{
    if (key->by_state[WEIR_SHARED].count == 0 || (flags & WEIR_FRESH)) {
        return pick_idle(key, flags);
    }
    struct conn *conn = pick_shared(key, true);
    if (conn == NULL) {
        conn = pick_idle(key, flags);
    }
    if (conn == NULL) {
        conn = pick_shared(key, false);
        if (pick_lasting(key) < key->pool->opt.streams_conns_max && key->owed == 0) {
            key->owed = 1; /* busy beyond the ideal: another connection for those to come */
        }
    }
    return conn;
}
