/* SPDX-License-Identifier: Apache-2.0
 *
 * Adaptive concurrency, naively: what ended at each endpoint, and the limit that follows from it by
 * the text of core/concurrency.h. The core's own limit is looked up where it is kept; the report
 * that shows it costs too much for every step.
 */
#include "core/crowd.h"

#include "sim/world.h"

#include <string.h>

enum { WINDOW_MS = 250, WINDOW_ENDS = 10, LONG_WINDOWS = 256 };

static struct sim_endpoint *endpoint_of(struct sim_pool *pool, uint32_t key)
{
    return &pool->endpoints[key / TENANTS_AND_NONE];
}

bool crowd_is_at_play(const struct sim_pool *pool)
{
    return pool->opt.concurrency != WEIR_OFF;
}

uint32_t crowd_held(const struct world *world, const struct sim_pool *pool, uint32_t key)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *client = &world->clients[i];
        held += client->phase == CLIENT_HOLDING && client->pool == pool->number
                && client->key / TENANTS_AND_NONE == key / TENANTS_AND_NONE;
    }
    return held;
}

uint32_t crowd_most(const struct world *world, const struct sim_pool *pool, uint32_t key)
{
    if (!crowd_is_at_play(pool)) {
        return UINT32_MAX;
    }
    weir_list_each(it, &pool->pool->endpoints) {
        const struct group *endpoint = list_entry(it, const struct group, on_pool);
        if (strcmp(endpoint->text + strlen(endpoint->text) + 1, world->hosts[key]) == 0) {
            return crowd_limit(endpoint);
        }
    }
    return UINT32_MAX; /* not known, or without a group */
}

bool crowd_is_full(const struct world *world, const struct sim_pool *pool, uint32_t key)
{
    uint32_t most = crowd_most(world, pool, key);
    return most != UINT32_MAX && crowd_held(world, pool, key) >= most;
}

bool crowd_has_no_place(const struct world *world, const struct sim_pool *pool, uint32_t key)
{
    uint32_t most = crowd_most(world, pool, key);
    uint32_t first = key - key % TENANTS_AND_NONE;
    uint32_t places = 0;
    for (uint32_t k = first; k < first + TENANTS_AND_NONE && k < world->keys_count; k++) {
        const struct sim_pair *pair = &pool->pairs[k];
        bool may_keep = pair->counted + 1 >= world->steps && pair->waiting > 0
                        && (pair->up == 0 || pair->waiting_fresh > 0);
        places += k != key && may_keep;
    }
    return most != UINT32_MAX && crowd_held(world, pool, key) + places >= most;
}

/* --- the limit ----------------------------------------------------------------------------------
 */

static double within(const weir_pool_options *opt, double limit)
{
    limit = limit < opt->concurrency_min ? opt->concurrency_min : limit;
    return limit > opt->concurrency_max ? opt->concurrency_max : limit;
}

static double next_limit(struct sim_endpoint *it, const weir_pool_options *opt, double limit)
{
    bool half_used = it->most >= (uint32_t)(limit / 2);
    if (opt->concurrency == WEIR_AIMD) {
        bool bad = it->dropped > 0 || it->now_us > (double)opt->concurrency_slow_ms * 1000;
        return bad ? limit * 0.9 : half_used ? limit + 1 : limit;
    }
    if (it->dropped > 0) {
        return limit * 0.9;
    }
    double slope = it->now_us > 0 ? 1.5 * it->long_us / it->now_us : 1;
    slope = slope > 1 ? 1 : slope < 0.5 ? 0.5 : slope;
    double next = limit * slope + 4;
    return next > limit && !half_used ? limit : limit * 0.8 + next * 0.2;
}

static void end_window(struct sim_endpoint *it, const weir_pool_options *opt, uint64_t now_ms)
{
    double before = within(opt, it->limit > 0 ? it->limit : opt->concurrency_first);
    if (it->told + it->held > 0) {
        it->now_us = it->told > 0 ? it->told_us / it->told : it->held_us / it->held;
        it->windows += it->windows < LONG_WINDOWS;
        it->long_us += (it->now_us - it->long_us) / it->windows;
        it->long_us *= it->long_us > 2 * it->now_us ? 0.95 : 1;
    }
    it->limit = within(opt, next_limit(it, opt, before));
    it->begun_ms = now_ms;
    it->told_us = it->held_us = 0;
    it->told = it->held = it->dropped = it->most = 0;
}

void crowd_told(struct sim_pool *pool, uint32_t key, uint32_t latency_us)
{
    struct sim_endpoint *it = endpoint_of(pool, key);
    it->told_us += latency_us;
    it->told++;
}

void crowd_ended(const struct world *world, struct sim_pool *pool, const struct sim_client *client,
                 weir_fate fate, weir_err why)
{
    struct sim_endpoint *it = endpoint_of(pool, client->key);
    bool dropped = why == WEIR_ERESET || why == WEIR_EREAD_TIMEOUT;
    if (!crowd_is_at_play(pool) || (fate == WEIR_BROKEN && !dropped)) {
        return;
    }
    uint32_t in_flight = crowd_held(world, pool, client->key);
    it->most = in_flight > it->most ? in_flight : it->most;
    it->dropped += dropped;
    it->held += !dropped;
    it->held_us += dropped ? 0 : (double)(world->now_ms - client->since_ms) * 1000 + 500;
    uint64_t mean_ms = (uint64_t)it->now_us / 1000;
    uint64_t due_ms = mean_ms > WINDOW_MS ? mean_ms : WINDOW_MS;
    if (it->held + it->dropped >= WINDOW_ENDS && world->now_ms - it->begun_ms >= due_ms) {
        end_window(it, &pool->opt, world->now_ms);
    }
}

void crowd_begins(struct sim_pool *pool)
{
    memset(pool->endpoints, 0, sizeof pool->endpoints);
}

/* Whole numbers may differ by a rounding; where several things happen at once the model does not
 * know how many were in flight. */
static void check_limit(struct world *world, struct sim_pool *pool, uint32_t key)
{
    struct sim_endpoint *it = endpoint_of(pool, key);
    double limit = within(&pool->opt, it->limit > 0 ? it->limit : pool->opt.concurrency_first);
    uint32_t most = crowd_most(world, pool, key);
    if (most == UINT32_MAX) {
        *it = (struct sim_endpoint){0}; /* forgotten */
        return;
    }
    if (most < pool->opt.concurrency_min || most > pool->opt.concurrency_max) {
        fault(world, "%s takes %u leases at %s, allowed are %u to %u", pool->name, most,
              world->hosts[key], pool->opt.concurrency_min, pool->opt.concurrency_max);
    }
    bool exact = world->nature.burst == 0 && world->options.keys_max >= 600;
    if (exact && (most > limit + 1 || most + 2 < limit)) {
        fault(world, "%s takes %u leases at %s, the model says %.2f", pool->name, most,
              world->hosts[key], limit);
    }
}

void crowd_must_hold(struct world *world, struct sim_pool *pool)
{
    for (uint32_t k = 0; k < world->keys_count && !world->failed; k += TENANTS_AND_NONE) {
        check_limit(world, pool, k);
    }
}
