/* SPDX-License-Identifier: Apache-2.0 */
#include "core/warm.h"

#include "core/conn.h"
#include "core/demand.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/size.h"

bool warm_dials(const weir_pool *pool)
{
    return pool->opt.warm != WEIR_OFF && pool->opt.warm != WEIR_WARM_DNS;
}

static bool is_warming(const struct key *key)
{
    return warm_dials(key->pool) && key->wanted > 0 && !key->is_warm;
}

/* Dials that have their transport. */
static uint32_t count_handshakes(const struct key *key)
{
    uint32_t count = 0;
    weir_list_each(it, &key->by_state[WEIR_DIALLING]) {
        count += conn_on_key(it)->handshaking;
    }
    return count;
}

static uint32_t count_growing(const struct list *conns)
{
    uint32_t count = 0;
    weir_list_each(it, conns) {
        count += conn_on_key(it)->growing;
    }
    return count;
}

/* Connections at the grade that is wanted. */
static uint32_t count_warm(const struct key *key)
{
    uint32_t up = key->by_state[WEIR_IDLE].count + key->by_state[WEIR_SHARED].count
                  + key->by_state[WEIR_ACTIVE].count;
    switch (key->pool->opt.warm) {
    case WEIR_WARM_TCP: return up + count_handshakes(key);
    case WEIR_WARM_UP:
    case WEIR_WARM_PROBE:
        return up - count_growing(&key->by_state[WEIR_IDLE])
               - count_growing(&key->by_state[WEIR_ACTIVE]);
    default: return up;
    }
}

static uint32_t goal_of(const struct key *key)
{
    const weir_pool_options *opt = &key->pool->opt;
    uint32_t goal = opt->min_idle > opt->size_min ? opt->min_idle : opt->size_min;
    goal = goal > 0 ? goal : 1;
    goal = goal < key_most(key) ? goal : key_most(key);
    if (key->leases_seen > 1 && goal > opt->streams_conns_max) {
        goal = opt->streams_conns_max; /* no more are dialled ahead */
    }
    return goal < opt->max_idle ? goal : opt->max_idle;
}

static bool is_at_grade(const struct key *key)
{
    if (key->pool->opt.warm == WEIR_WARM_DNS) {
        return key->addresses != 0 || key->view.proxy != NULL;
    }
    return count_warm(key) >= goal_of(key);
}

uint32_t warm_missing(const struct key *key)
{
    uint32_t up = key_alive(key) - key->by_state[WEIR_DIALLING].count;
    if (!is_warming(key) || up >= goal_of(key)) {
        return 0;
    }
    return goal_of(key) - up;
}

bool warm_must_wait(struct key *key)
{
    weir_pool *pool = key->pool;
    if (!is_warming(key) || pool->warm_ms <= pool->engine->now_ms || MUTANT(31)) {
        return false;
    }
    pool_arm(pool, pool->warm_ms);
    return true;
}

void warm_dialled(const struct key *key)
{
    if (is_warming(key)) {
        key->pool->warm_ms = key->pool->engine->now_ms + key->pool->opt.warm_every_ms;
    }
}

bool warm_probes(const struct key *key)
{
    return is_warming(key) && key->pool->opt.warm == WEIR_WARM_PROBE && probe_is_possible(key->pool)
           && !MUTANT(32);
}

static bool is_all_warm(const weir_pool *pool)
{
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        if (key->wanted > 0 && !key->is_warm) {
            return false;
        }
    }
    return true;
}

void warm_check(struct key *key)
{
    weir_pool *pool = key->pool;
    bool is_off = pool->opt.warm == WEIR_OFF;
    if (key->is_warm || (is_off && pool->opt.min_idle == 0) || (!is_off && key->wanted == 0)) {
        return;
    }
    if (is_off ? size_missing(key) > 0 : !is_at_grade(key)) {
        return;
    }
    key->is_warm = true;
    if (!pool->was_warm && is_all_warm(pool)) {
        pool->was_warm = true;
        event_tell(pool, WEIR_EVENT_POOL_WARM, NULL, NULL, WEIR_OK);
    }
}

/* The one that has least, of those that want more and may dial. */
static struct key *coldest(const weir_pool *pool)
{
    struct key *coldest = NULL;
    weir_list_each(it, &pool->keys) {
        struct key *key = list_entry(it, struct key, on_pool);
        bool wants = warm_missing(key) > key->by_state[WEIR_DIALLING].count
                     && demand_take_dial(key);
        if (wants && (coldest == NULL || key_alive(key) < key_alive(coldest))) {
            coldest = key;
        }
    }
    return coldest;
}

void warm_wake(weir_pool *pool)
{
    if (pool->is_cold) {
        uint64_t now_ms = pool->engine->now_ms;
        pool->warm_ms = pool->warm_ms > now_ms ? pool->warm_ms : now_ms;
        pool_arm(pool, pool->warm_ms);
    }
}

void warm_turn(weir_pool *pool)
{
    if (!pool->is_cold) {
        return;
    }
    if (pool->warm_ms <= pool->engine->now_ms) {
        struct key *key = coldest(pool);
        pool->warm_ms = 0;
        pool->is_cold = !is_all_warm(pool);
        if (key != NULL) {
            pool_serve(key);
        }
    }
    if (pool->warm_ms > 0) {
        pool_arm(pool, pool->warm_ms);
    }
}

static weir_err keep_warm(weir_pool *pool, const weir_key *name)
{
    struct key *key;
    weir_err err = pool_key_pin(pool, name, &key);
    if (err != WEIR_OK) {
        return err;
    }
    if (key->is_named) {
        pool_key_unpin(pool, key); /* once is enough */
    }
    key->is_named = true;
    return WEIR_OK;
}

weir_err weir_pool_warm(weir_pool *pool, const weir_key *name, bool on)
{
    struct key_text text;
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    if (on) {
        return keep_warm(pool, name);
    }
    if (!key_canonical(pool, name, &text)) {
        return WEIR_EINVAL;
    }
    struct key *key = key_find(pool, &text);
    if (key != NULL && key->is_named) {
        key->is_named = false;
        pool_key_unpin(pool, key);
    }
    return WEIR_OK;
}
