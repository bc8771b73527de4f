/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds after every step: no limit is passed, no deadline has passed, nobody waits for what is
 * there, nobody was overtaken, and the engine will wake in time for what comes next.
 */
#include "sim/world.h"

#include <inttypes.h>

enum { OVERAGE_TURNS_MAX = 3 };

static uint64_t count_of(uint32_t option)
{
    return option == WEIR_NONE ? 0 : option;
}

/* Something is due at that time: not later than now, and the engine must not sleep past it. */
static void due(struct world *world, uint64_t at_ms, const char *what)
{
    if (at_ms <= world->now_ms) {
        fault(world, "%s was due at %" PRIu64 " ms", what, at_ms);
    } else if (world->next_ms > at_ms) {
        fault(world, "%s is due at %" PRIu64 " ms, and the engine sleeps until %" PRIu64, what,
              at_ms, world->next_ms);
    }
}

static void due_after(struct world *world, uint64_t from_ms, uint32_t time_ms, const char *what)
{
    if (time_ms != WEIR_NEVER) {
        due(world, from_ms + time_ms, what);
    }
}

static void check_idle(struct world *world, const struct sim_conn *conn)
{
    const struct sim_pool *pool = &world->pools[conn->pool];
    const weir_pool_options *opt = &pool->opt;
    uint64_t limit_ms = model_idle_limit(world, conn);
    if (limit_ms != UINT64_MAX && !keeps_ready(opt)) {
        due(world, conn->used_ms + limit_ms, "the end of an idle connection");
    }
    if (pool->probes && opt->probe_every_ms != WEIR_NEVER) {
        uint64_t from_ms = conn->used_ms > conn->verified_ms ? conn->used_ms : conn->verified_ms;
        uint64_t most_ms = (uint64_t)opt->probe_every_ms * (100 + count_of(opt->jitter_pct)) / 100;
        due(world, from_ms + most_ms, "a probe");
    }
    if (conn->ends != WEIR_OK || conn->doubted || pool->closing || conn->uses >= opt->max_uses) {
        fault(world, "a connection that should have been closed or probed is idle");
    }
}

static struct sim_pair *counted_pair(struct world *world, uint32_t pool, uint32_t key)
{
    struct sim_pair *pair = &world->pools[pool].pairs[key];
    if (pair->counted != world->steps) {
        pair->counted = world->steps;
        pair->waiting = pair->dialling = pair->idle = pair->open = pair->up = 0;
        pair->closing = pair->total = pair->waiting_fresh = pair->dialling_before = 0;
        pair->waiting_careful = 0;
    }
    return pair;
}

/* Too old, and idle: it closes when its turn comes. */
static bool is_overage(const struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = &world->pools[conn->pool].opt;
    uint64_t most_ms = (uint64_t)opt->max_age_ms * (100 + count_of(opt->jitter_pct)) / 100;
    return opt->max_age_ms != WEIR_NEVER && conn->leases == 0
           && world->now_ms > conn->up_ms + most_ms;
}

/* Those of a key go one at a time, each of them up to max_age after the one before, however long
 * all of them are overdue: a clock that jumps far is still one turn. So the last one is asked for
 * only when it is alone, and has had turns of its own: one may go to a replacement that failed at
 * once, and only the next one closes it. */
static void check_overage(struct world *world, const struct sim_pool *pool, struct sim_pair *pair)
{
    if (pair->total != 1 || pair->idle != 1 || !pair->overage) {
        pair->overage_ms = world->now_ms;
        pair->overage_turns = 0;
        return;
    }
    if (world->timers_ran && world->now_ms > pair->overage_ms + pool->opt.max_age_ms) {
        pair->overage_ms = world->now_ms;
        pair->overage_turns++;
    }
    if (pair->overage_turns > OVERAGE_TURNS_MAX) {
        fault(world, "the idle connection of %s/%u is older than it may be", pool->name,
              (unsigned)(pair - pool->pairs));
    }
}

static void check_conn(struct world *world, struct sim_conn *conn)
{
    const weir_pool_options *opt = &world->pools[conn->pool].opt;
    struct sim_pair *pair = counted_pair(world, conn->pool, conn->key);
    pair->total++;
    switch ((enum conn_phase)conn->phase) {
    case PHASE_DIALLING:
        pair->dialling++;
        pair->dialling_before += conn->born_step < world->steps;
        if (conn->handshaking) {
            due_after(world, conn->since_ms, opt->tls_timeout_ms, "the end of a handshake");
        } else {
            due_after(world, conn->since_ms, opt->connect_timeout_ms, "the end of a dial");
        }
        break;
    case PHASE_PROBING:
        due_after(world, conn->since_ms, opt->probe_timeout_ms, "the end of a probe");
        break;
    case PHASE_UP: {
        uint64_t most = conn->leases_max < opt->leases_hard ? conn->leases_max : opt->leases_hard;
        pair->up++;
        pair->idle += conn->leases == 0;
        pair->overage = is_overage(world, conn);
        pair->open += conn->leases < most && conn->ends == WEIR_OK && !conn->doubted && !conn->unfit
                      && !conn->cut && conn->uses < opt->max_uses && conn->leases == 0;
        if (conn->leases == 0) {
            check_idle(world, conn);
        } else if (!conn->cut && conn->cut_ms != UINT64_MAX) {
            due(world, conn->cut_ms, "a cut");
        }
        break;
    }
    case PHASE_CLOSING: pair->closing++; break;
    case PHASE_NONE: break;
    }
}

static void check_client(struct world *world, const struct sim_client *client)
{
    const weir_pool_options *opt = &world->pools[client->pool].opt;
    if (client->phase == CLIENT_WAITING) {
        struct sim_pair *pair = counted_pair(world, client->pool, client->key);
        pair->waiting++;
        pair->waiting_fresh += (client->flags & WEIR_FRESH) != 0;
        pair->waiting_careful += !(client->flags & WEIR_FRESH) && model_is_careful(world, client);
        due(world, client->deadline_ms, "the end of a wait");
        if (client->canceled) {
            fault(world, "canceled, and still waiting");
        }
        return;
    }
    struct sim_conn *conn = conn_of(world, client->conn);
    if (conn != NULL && conn->phase == PHASE_UP && !conn->cut
        && opt->lease_timeout_ms != WEIR_NEVER) {
        due(world, client->since_ms + opt->lease_timeout_ms, "the cut of a lease");
    }
}

struct gauge {
    uint32_t total, closing, idle, waiting;
};

/* Nobody waits while something can be leased, or could be dialled. */
static void check_pair(struct world *world, const struct sim_pool *pool, struct sim_pair *pair,
                       const struct gauge *gauge, uint32_t of_engine)
{
    uint32_t unleased = pair->dialling + pair->idle; /* those that a lower limit closes at once */
    if (unleased > pool->opt.max_per_key) {
        fault(world, "%u connections of a key, %u allowed", unleased, pool->opt.max_per_key);
    }
    if (pool->dials && pair->idle > count_of(pool->opt.max_idle) && pool->updated_step == 0) {
        fault(world, "%u idle connections of a key, %u allowed", pair->idle, pool->opt.max_idle);
    }
    bool quiet = !world->burst && !world->timers_ran;
    bool others = pair->dialling_before > pair->waiting && pair->state != WEIR_KEY_DOWN;
    if (quiet && pair->abandoned == world->steps && others) {
        fault(world, "a failed dial failed somebody whom another dial would serve");
    }
    check_overage(world, pool, pair);
    bool crowded = crowd_is_at_play(pool)
                   && crowd_has_no_place(world, pool, (uint32_t)(pair - pool->pairs));
    if (pair->waiting == 0 || crowded) {
        return;
    }
    bool down = pair->state == WEIR_KEY_DOWN && world->now_ms < pair->retry_most_ms;
    /* Those who thought it too great a risk wait for their dial, though it may be less by now. */
    uint32_t choosy = pair->waiting_fresh + (pair->dialling > 0 ? pair->waiting_careful : 0);
    if (pair->waiting > choosy && pair->open > 0 && !down) {
        fault(world, "somebody waits while a connection of the key is idle");
    }
    bool up = world->now_ms >= pair->retry_most_ms; /* surely: no jitter is longer */
    bool key_room = pair->total < pool->opt.max_per_key && pair->dialling == 0;
    if (!up || !key_room || (pool->streams && pair->total > pair->closing)) {
        return;
    }
    if (gauge->total < pool->opt.max_total && of_engine < world->options.conns_max) {
        fault(world, "somebody waits for %s/%u while there is room for a dial", pool->name,
              (unsigned)(pair - pool->pairs));
    }
    bool evicts = pool->opt.refuse_when_full != WEIR_ON && gauge->total <= pool->opt.max_total;
    if (evicts && gauge->closing == 0 && gauge->idle > pair->idle) {
        fault(world, "somebody waits for %s/%u while another key's connection is idle", pool->name,
              (unsigned)(pair - pool->pairs));
    }
}

/* Whoever is still there was not passed by somebody who came later. */
static void check_order(struct world *world, const struct sim_client *client)
{
    for (uint32_t i = 0; i < world->granted_count; i++) {
        const struct granted *granted = &world->granted[i];
        bool same = granted->pool == client->pool && granted->key == client->key;
        /* One that wants a fresh connection lets others have the used ones, and one that cannot be
         * sent twice those that may be about to close. */
        bool is_fresh = client->flags & WEIR_FRESH, is_careful = model_is_careful(world, client);
        bool excused = (is_fresh && granted->used) || (is_careful && granted->risky)
                       || ((is_fresh || is_careful) && (granted->used || world->recanted));
        if (same && granted->turn > client->turn && !excused) {
            fault(world, "served before c%u, who came first",
                  (unsigned)(client - world->clients) + 1);
        }
    }
}

/* Whoever is to be warm is seen to in time, where nothing keeps it from that. */
static void check_warming(struct world *world, const struct sim_pool *pool,
                          const struct sim_pair *pair, const struct gauge *gauge,
                          uint32_t of_engine)
{
    bool may_be_warm = pool->opt.warm == WEIR_WARM_TCP && pair->handshakes > 0;
    bool cold = pair->created == 0 && !may_be_warm
                && (pair->counted != world->steps || pair->total == 0);
    bool room = gauge->total < pool->opt.max_total && of_engine < world->options.conns_max
                && gauge->waiting == 0;
    bool quiet = pair->errors == 0 && !pool->closing && !world->burst;
    if (cold && room && quiet && world->next_ms > world->now_ms + pool->opt.warm_every_ms) {
        fault(world, "%s/%u is to be warm, and nothing is done about it", pool->name,
              (unsigned)(pair - pool->pairs));
    }
}

static void check_pool(struct world *world, const struct sim_pool *pool, const struct gauge *gauge)
{
    if (pool->added - pool->removed > gauge->total) {
        fault(world, "more were added than are there");
    }
    if (pool->closing && gauge->waiting > 0) {
        fault(world, "somebody waits in a pool that closes");
    }
}

void must_hold(struct world *world)
{
    struct gauge gauges[WORLD_POOLS_MAX] = {0};
    uint32_t of_engine = 0;
    uint32_t leases = 0;
    for (uint32_t i = 0; i < world->conns_top && !world->failed; i++) {
        struct sim_conn *conn = &world->conns[i];
        if (conn->phase != PHASE_NONE) {
            check_conn(world, conn);
            gauges[conn->pool].total++;
            gauges[conn->pool].closing += conn->phase == PHASE_CLOSING;
            gauges[conn->pool].idle += conn->phase == PHASE_UP && conn->leases == 0;
            of_engine++;
        }
    }
    for (uint32_t i = 0; i < world->clients_count && !world->failed; i++) {
        const struct sim_client *client = &world->clients[i];
        if (client->phase != CLIENT_AWAY && world->pools[client->pool].pool != NULL) {
            check_client(world, client);
            leases++;
            gauges[client->pool].waiting += client->phase == CLIENT_WAITING;
        }
        if (client->phase == CLIENT_WAITING && world->granted_count > 0 && !world->upheaval) {
            check_order(world, client);
        }
    }
    if (leases > world->options.conns_max + world->options.waiting_max) {
        fault(world, "%u leases, more than there is room for", leases);
    }
    if (of_engine > world->options.conns_max) {
        fault(world, "%u connections, %u allowed", of_engine, world->options.conns_max);
    }
    for (uint32_t p = 0; p < world->pools_count; p++) {
        struct sim_pool *pool = &world->pools[p];
        if (pool->pool == NULL) {
            if (gauges[p].total > 0) {
                fault(world, "%s told that it closed, with connections left", pool->name);
            }
            continue;
        }
        check_pool(world, pool, &gauges[p]);
        if (crowd_is_at_play(pool)) {
            crowd_must_hold(world, pool);
        }
        for (uint32_t k = 0; k < world->keys_count; k++) {
            if (pool->pairs[k].unknown) {
                model_learn(world, p, k);
            }
            if (pool->pairs[k].wanted && warms_by_dials(&pool->opt)) {
                check_warming(world, pool, &pool->pairs[k], &gauges[p], of_engine);
            }
            if (pool->pairs[k].counted == world->steps) {
                check_pair(world, pool, &pool->pairs[k], &gauges[p], of_engine);
            }
        }
    }
}
