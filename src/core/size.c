/* SPDX-License-Identifier: Apache-2.0 */
#include "core/size.h"

#include "core/conn.h"
#include "core/ends.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"

#define AGE_MOST_MS                                                                                \
    1800000U /* retirements of a key are spaced by a part of max_age, or of this                   \
              */

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
    uint32_t age_ms = key->pool->opt.max_age_ms;
    age_ms = age_ms < AGE_MOST_MS ? age_ms : AGE_MOST_MS;
    key->spaced_ms = now_ms + (size > 1 ? age_ms / size : 0);
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

static uint32_t target_of(const struct key *key)
{
    return key->pool->opt.size_min > 0 ? key->adapt.target : 0;
}

bool size_is_kept(const struct conn *conn)
{
    const struct key *key = conn->key;
    bool is_needed = key->by_state[WEIR_IDLE].count <= key->pool->opt.min_idle
                     || key_alive(key) <= target_of(key);
    return is_needed && size_is_in_use(key);
}

uint32_t size_missing(const struct key *key)
{
    uint32_t ready = key->by_state[WEIR_IDLE].count + key->by_state[WEIR_PROBING].count;
    uint32_t min_idle = key->pool->opt.min_idle;
    return min_idle > ready && size_is_in_use(key) && !MUTANT(13) ? min_idle - ready : 0;
}

uint32_t size_short(const struct key *key)
{
    uint32_t idle = key->by_state[WEIR_IDLE].count + key->by_state[WEIR_PROBING].count;
    uint32_t up = key_alive(key) - key->by_state[WEIR_DIALLING].count;
    uint32_t max_idle = key->pool->opt.max_idle;
    uint32_t target = target_of(key);
    if (target <= up || idle >= max_idle || !size_is_in_use(key)) {
        return 0;
    }
    uint32_t more = target - up;
    return more < max_idle - idle ? more : max_idle - idle;
}

/* Its share of what the pool expects: as much as it had of what came. */
static uint32_t ahead_x16(const struct key *key)
{
    const weir_pool *pool = key->pool;
    uint32_t rate_x16 = forecast_rate_x16(&pool->forecast);
    double share = (double)key->grants / (double)(pool->counters.grants + 1);
    return (uint32_t)(rate_x16 * share); /* never all of it: a key's grants are the pool's */
}

/* True while its target may still change although nobody comes. */
static bool review(struct key *key, uint64_t elapsed_ms)
{
    const weir_pool_options *opt = &key->pool->opt;
    struct adapt *adapt = &key->adapt;
    struct list *idle = &key->by_state[WEIR_IDLE];
    uint32_t busy = key->by_state[WEIR_ACTIVE].count + key->by_state[WEIR_SHARED].count;
    adapt_learn(adapt, &(struct adapt_look){.arrivals = (uint32_t)key->grants,
                                            .ahead_x16 = ahead_x16(key),
                                            .elapsed_ms = elapsed_ms,
                                            .hold_x16 = key->leases_seen > 1 ? 0 : key->hold_ms,
                                            .busy = busy,
                                            .min = opt->size_min,
                                            .max = key_most(key)});
    uint32_t surplus = adapt_shrink(adapt, key_alive(key), elapsed_ms);
    for (; surplus > 0 && idle->count > opt->min_idle; surplus--) {
        pool_conn_close(conn_on_key(list_first(idle)), WEIR_ESURPLUS);
    }
    pool_serve(key);
    return adapt->rate_x16 > 0 || (idle->count > opt->min_idle && key_alive(key) > adapt->target);
}

void size_look_ahead(weir_pool *pool, uint64_t elapsed_ms)
{
    if (pool->opt.size_min > 0 && pool->opt.forecast_ms != WEIR_NEVER) {
        forecast_learn(&pool->forecast,
                       &(struct forecast_look){.season_ms = pool->opt.forecast_ms,
                                               .now_ms = pool->engine->now_ms,
                                               .elapsed_ms = elapsed_ms,
                                               .arrivals = (uint32_t)pool->counters.grants});
    }
}

struct pool_forecast pool_forecast_of(const weir_pool *pool)
{
    return (struct pool_forecast){.slots = pool->forecast.closed,
                                  .rate_x16 = forecast_rate_x16(&pool->forecast)};
}

bool size_review(weir_pool *pool)
{
    if (pool->opt.size_min == 0 || pool->closing) {
        return false;
    }
    uint64_t elapsed_ms = pool->engine->now_ms - pool->adapted_ms;
    bool is_moving = false;
    size_look_ahead(pool, elapsed_ms);
    weir_list_each(it, &pool->keys) {
        struct key *key = list_entry(it, struct key, on_pool);
        bool is_expected = pool->forecast.is_trusted && size_is_in_use(key);
        if (key_alive(key) > 0 || key->adapt.rate_x16 > 0 || is_expected) {
            is_moving |= review(key, elapsed_ms) || is_expected;
        }
    }
    pool->adapted_ms = pool->engine->now_ms;
    return is_moving;
}

struct conn *size_surplus(const struct key *key)
{
    const struct list *idle = &key->by_state[WEIR_IDLE];
    return idle->count > key->pool->opt.max_idle && !MUTANT(17) ? conn_on_key(list_first(idle))
                                                                : NULL;
}
