/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole state, against the model: every connection, every key, every figure.
 */
#include "sim/world.h"

#include <inttypes.h>
#include <string.h>

struct comparison {
    struct world *world;
    struct sim_pool *pool;
    uint32_t seen;
    uint64_t gauges[WEIR_STATES];
    uint64_t leases;
};

static weir_state state_of(const struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = &world->pools[conn->pool].opt;
    uint64_t most = conn->leases_max < opt->leases_hard ? conn->leases_max : opt->leases_hard;
    switch ((enum conn_phase)conn->phase) {
    case PHASE_DIALLING: return WEIR_DIALLING;
    case PHASE_PROBING: return WEIR_PROBING;
    case PHASE_CLOSING: return WEIR_CLOSING;
    case PHASE_UP:
        if (conn->leases == 0) {
            return WEIR_IDLE;
        }
        return conn->leases < most && conn->ends == WEIR_OK && !conn->doubted ? WEIR_SHARED
                                                                              : WEIR_ACTIVE;
    case PHASE_NONE: break;
    }
    return WEIR_STATES;
}

static void differs(struct comparison *it, const char *what, uint64_t is, uint64_t should)
{
    if (is != should) {
        fault(it->world, "%s: %s is %" PRIu64 ", the model says %" PRIu64, it->pool->name, what, is,
              should);
    }
}

/* Whether it may have been retired for a reason that the model does not see: its age, its uses, an
 * address to where its name no longer leads. */
static bool may_retire_unseen(const struct comparison *it, const struct sim_conn *conn)
{
    const weir_pool_options *opt = &it->pool->opt;
    return opt->max_age_ms != WEIR_NEVER || conn->uses >= opt->max_uses || conn->cut
           || conn->outlawed || conn->displaced || opt->reuse == WEIR_NO_REUSE;
}

static bool compare_conn(void *arg, const weir_conn_info *info)
{
    struct comparison *it = arg;
    const struct sim_conn *conn = conn_of(it->world, info->conn.id);
    it->seen++;
    if (conn == NULL) {
        fault(it->world, "%s lists a connection that does not live", it->pool->name);
        return false;
    }
    weir_state should = state_of(it->world, conn);
    bool either = (should == WEIR_SHARED || should == WEIR_ACTIVE) && may_retire_unseen(it, conn);
    if (!either || (info->state != WEIR_SHARED && info->state != WEIR_ACTIVE)) {
        differs(it, "state of a connection", info->state, should);
    }
    it->gauges[info->state]++;
    it->leases += info->leases;
    differs(it, "leases of a connection", info->leases, conn->leases);
    differs(it, "uses of a connection", info->uses, conn->uses);
    differs(it, "pool of a connection", conn->pool, it->pool->number);
    if (strcmp(info->key->host, it->world->hosts[conn->key]) != 0) {
        fault(it->world, "%s lists a connection under another key", it->pool->name);
    }
    if (conn->was_up) {
        differs(it, "birth of a connection", info->created_ms, conn->up_ms);
        if (info->state == WEIR_IDLE && !keeps_ready(&it->pool->opt)) {
            differs(it, "last use of a connection", info->last_used_ms, conn->used_ms);
        }
    }
    return !it->world->failed;
}

/* A key that backs off between two bounds may be in either state there. */
static void compare_state(struct comparison *it, const struct sim_pair *pair,
                          const weir_key_info *info)
{
    uint64_t now_ms = it->world->now_ms;
    weir_key_state should = pair->state;
    bool over = now_ms >= pair->retry_most_ms;
    if (now_ms >= pair->retry_least_ms && !over) {
        return;
    }
    if (over && should == WEIR_KEY_BACKING_OFF) {
        should = WEIR_KEY_UP;
    }
    if (over && should == WEIR_KEY_DOWN) {
        should = WEIR_KEY_TRIAL;
    }
    differs(it, "state of a key", info->state, should);
}

static void compare_key(struct comparison *it, uint32_t key)
{
    const struct sim_pair *pair = &it->pool->pairs[key];
    weir_key_info info = {.size = sizeof info};
    bool counted = pair->counted == it->world->steps;
    weir_err err = weir_pool_key_of(it->pool->pool, &it->world->keys[key], &info);
    if (err != WEIR_OK) {
        differs(it, "connections of a forgotten key", counted ? pair->total + pair->waiting : 0, 0);
        return;
    }
    if (!counted) {
        return;
    }
    differs(it, "waiting for a key", info.waiting, pair->waiting);
    differs(it, "dialling of a key", info.dialling, pair->dialling);
    differs(it, "closing of a key", info.closing, pair->closing);
    differs(it, "idle of a key", info.idle, pair->idle);
    differs(it, "failures of a key", info.failures, pair->failures);
    differs(it, "errors of a key", info.errors, pair->errors);
    differs(it, "grants of a key", info.grants, pair->grants);
    if (!it->pool->reused_unknown) {
        differs(it, "reused of a key", info.reused, pair->reused);
    }
    differs(it, "created of a key", info.created, pair->created);
    compare_state(it, pair, &info);
}

struct sums {
    uint64_t keys, total, waiting, held, waited;
};

static bool add_group(void *arg, const weir_group_info *info)
{
    struct sums *sums = arg;
    sums->keys += info->keys;
    sums->total += (uint64_t)info->dialling + info->idle + info->shared + info->active
                   + info->probing + info->closing;
    sums->waiting += info->waiting;
    sums->held += info->hold.count;
    sums->waited += info->wait.count;
    return true;
}

/* Every key has an endpoint, and everything that took time is counted at one. */
static void compare_groups(struct comparison *it, const weir_stats *stats)
{
    struct sums sums = {0};
    weir_pool_each_endpoint(it->pool->pool, add_group, &sums);
    differs(it, "waits in the histogram", stats->wait.count, stats->grants);
    differs(it, "leases in the histogram", stats->hold.count, stats->released);
    if (sums.held > stats->hold.count || sums.waited > stats->wait.count) {
        fault(it->world, "%s: endpoints counted more than the pool", it->pool->name);
    }
    if (it->world->options.groups_max < GROUPS_ENOUGH) {
        return;
    }
    differs(it, "keys of all endpoints", sums.keys, stats->keys);
    differs(it, "connections of all endpoints", sums.total, stats->total);
    differs(it, "waiting at all endpoints", sums.waiting, stats->waiting);
}

static void compare_figures(struct comparison *it)
{
    static weir_stats stats;
    const struct sim_pool *pool = it->pool;
    stats.size = sizeof stats;
    weir_pool_stats(pool->pool, &stats);
    uint64_t waiting = 0;
    uint64_t holding = 0;
    for (uint32_t i = 0; i < it->world->clients_count; i++) {
        const struct sim_client *client = &it->world->clients[i];
        bool mine = client->pool == pool->number;
        waiting += mine && client->phase == CLIENT_WAITING;
        holding += mine && client->phase == CLIENT_HOLDING;
    }
    differs(it, "total", stats.total, it->seen);
    differs(it, "dialling", stats.dialling, it->gauges[WEIR_DIALLING]);
    differs(it, "idle", stats.idle, it->gauges[WEIR_IDLE]);
    differs(it, "shared", stats.shared, it->gauges[WEIR_SHARED]);
    differs(it, "active", stats.active, it->gauges[WEIR_ACTIVE]);
    differs(it, "probing", stats.probing, it->gauges[WEIR_PROBING]);
    differs(it, "closing", stats.closing, it->gauges[WEIR_CLOSING]);
    differs(it, "waiting", stats.waiting, waiting);
    differs(it, "leases", stats.leases, holding);
    differs(it, "created", stats.created, pool->created);
    differs(it, "dials", stats.dials, pool->dials_begun);
    differs(it, "dials failed", stats.dials_failed, pool->failed);
    differs(it, "acquires", stats.acquires, pool->acquires);
    differs(it, "grants", stats.grants, pool->grants);
    if (!pool->reused_unknown) {
        differs(it, "reused", stats.reused, pool->reused);
    }
    differs(it, "released", stats.released, pool->released);
    differs(it, "closed", stats.closed, pool->closed);
    differs(it, "refused", stats.refused, pool->refused);
    differs(it, "events lost", stats.events_lost, 0);
    compare_groups(it, &stats);
    differs(it, "added less removed", pool->added - pool->removed, stats.created - stats.closed);
    for (int err = 0; err < WEIR_ERRS; err++) {
        differs(it, weir_err_word((weir_err)err), stats.closed_by[err], pool->closed_by[err]);
        differs(it, weir_err_word((weir_err)err), stats.failed_by[err], pool->failed_by[err]);
    }
}

void compare_all(struct world *world)
{
    for (uint32_t p = 0; p < world->pools_count && !world->failed; p++) {
        struct sim_pool *pool = &world->pools[p];
        struct comparison it = {.world = world, .pool = pool};
        uint32_t living = 0;
        if (pool->pool == NULL) {
            continue;
        }
        weir_pool_each(pool->pool, compare_conn, &it);
        for (uint32_t i = 0; i < world->conns_top; i++) {
            living += world->conns[i].phase != PHASE_NONE && world->conns[i].pool == p;
        }
        differs(&it, "connections listed", it.seen, living);
        for (uint32_t k = 0; k < world->keys_count && !world->failed; k++) {
            compare_key(&it, k);
        }
        compare_figures(&it);
    }
}

static bool adopt(void *arg, const weir_conn_info *info)
{
    struct world *world = arg;
    struct sim_conn *conn = conn_of(world, info->conn.id);
    if (conn != NULL && info->state == WEIR_IDLE && info->last_used_ms == world->now_ms
        && info->since_ms == world->now_ms) {
        conn->used_ms = world->now_ms;
    }
    return true;
}

void model_recanted(struct world *world, struct sim_pool *pool)
{
    pool->recanted = false;
    pool->reused_unknown = true;
    if (pool->pool != NULL) {
        weir_pool_each(pool->pool, adopt, world);
    }
}
