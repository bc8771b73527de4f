/* SPDX-License-Identifier: Apache-2.0 */
#include "core/size.h"

#include "core/conn.h"
#include "core/key.h"
#include "core/mutant.h"

uint64_t size_idle_due_ms(const struct conn *conn)
{
    uint32_t timeout_ms = conn->key->pool->opt.idle_timeout_ms;
    if (conn->idle_ms < timeout_ms) {
        timeout_ms = conn->idle_ms;
    }
    uint32_t horizon_ms = key_horizon_ms(conn->key, conn->used_ms);
    if (horizon_ms < timeout_ms) {
        timeout_ms = horizon_ms;
    }
    return timeout_ms == WEIR_NEVER || MUTANT(11) ? UINT64_MAX : conn->used_ms + timeout_ms;
}

uint64_t size_retire_at_ms(const weir_pool *pool)
{
    if (pool->opt.max_age_ms == WEIR_NEVER || MUTANT(12)) {
        return UINT64_MAX;
    }
    weir_engine *engine = pool->engine;
    return engine->now_ms + rand_jitter(&engine->rand, pool->opt.max_age_ms, pool->opt.jitter_pct);
}

bool size_may_retire(struct conn *conn)
{
    struct key *key = conn->key;
    uint64_t now_ms = key->pool->engine->now_ms;
    if (now_ms < key->spaced_ms) {
        conn->until_ms = key->spaced_ms;
        return false;
    }
    uint32_t size = key_alive(key);
    key->spaced_ms = now_ms + (size > 1 ? key->pool->opt.max_age_ms / size : 0);
    return true;
}

bool size_is_in_use(const struct key *key)
{
    const weir_pool *pool = key->pool;
    if (key->pins > 0 || pool->opt.idle_timeout_ms == WEIR_NEVER) {
        return true;
    }
    return pool->engine->now_ms - key->used_ms < pool->opt.idle_timeout_ms;
}

bool size_is_kept(const struct conn *conn)
{
    const struct key *key = conn->key;
    return key->by_state[WEIR_IDLE].count <= key->pool->opt.min_idle && size_is_in_use(key);
}

uint32_t size_missing(const struct key *key)
{
    uint32_t ready = key->by_state[WEIR_IDLE].count + key->by_state[WEIR_PROBING].count;
    uint32_t min_idle = key->pool->opt.min_idle;
    return min_idle > ready && size_is_in_use(key) && !MUTANT(13) ? min_idle - ready : 0;
}

struct conn *size_surplus(const struct key *key)
{
    const struct list *idle = &key->by_state[WEIR_IDLE];
    return idle->count > key->pool->opt.max_idle && !MUTANT(17) ? conn_on_key(list_first(idle))
                                                                : NULL;
}
