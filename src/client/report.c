/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - what a shared pool says of itself, and what may be changed while it is open: the
 * functions of weir.h under its lock.
 */
#include "client/runtime.h"

#include <string.h>

const char *weir_shared_name(const weir_shared *pool)
{
    return pool->name;
}

void weir_shared_options_of(weir_shared *pool, weir_pool_options *ret_opt)
{
    if (shared_enter(pool, 0) != WEIR_OK) {
        return;
    }
    weir_pool_options_of(pool->pool, ret_opt);
    ret_opt->name = pool->name;
    ret_opt->connector = NULL;
    ret_opt->connector_self = NULL;
    station_leave(&pool->station);
}

weir_err weir_shared_update(weir_shared *pool, const weir_pool_options *opt)
{
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return err;
    }
    weir_pool_options own = *opt;
    own.connector = custom_connector(pool->custom);
    own.connector_self = pool->custom;
    err = weir_pool_update(pool->pool, &own);
    if (err == WEIR_OK) {
        park_allow(pool, shared_may_park(pool));
        weir_pool_options now;
        weir_pool_options_of(pool->pool, &now);
        custom_set_timeout(pool->custom, now.connect_timeout_ms);
    } else if (err == WEIR_EINVAL) {
        runtime_fault(weir_engine_fault(pool->station.engine));
    }
    station_leave(&pool->station);
    return err;
}

void weir_shared_flush(weir_shared *pool, const weir_key *only, uint32_t grace_ms)
{
    if (shared_enter(pool, 0) == WEIR_OK) {
        park_sweep_all(pool);
        weir_pool_flush(pool->pool, only, grace_ms);
        station_leave(&pool->station);
    }
}

weir_err weir_shared_probe(weir_shared *pool, bool on)
{
    weir_err err = shared_enter(pool, 0);
    if (err == WEIR_OK) {
        err = weir_pool_probe(pool->pool, on);
        station_leave(&pool->station);
    }
    return err;
}

void weir_shared_stats(weir_shared *pool, weir_stats *ret_stats)
{
    if (shared_enter(pool, 0) == WEIR_OK) {
        park_sweep(pool);
        weir_pool_stats(pool->pool, ret_stats);
        station_leave(&pool->station);
    }
}

void weir_shared_health(weir_shared *pool, weir_health_report *ret_report)
{
    if (shared_enter(pool, 0) == WEIR_OK) {
        park_sweep(pool);
        weir_pool_health(pool->pool, ret_report);
        station_leave(&pool->station);
    }
}

void weir_shared_factory_stats(weir_shared *pool, weir_factory_stats *ret_stats)
{
    if (shared_enter(pool, 0) == WEIR_OK) {
        custom_stats(pool->custom, ret_stats);
        station_leave(&pool->station);
    }
}

/* The pool knows our record; the program is shown its own object. */
struct showing {
    bool (*fn)(void *arg, const weir_conn_info *info);
    void *arg;
};

static bool show(void *arg, const weir_conn_info *info)
{
    const struct showing *showing = arg;
    weir_conn_info own = *info;
    own.object = info->object != NULL ? custom_object(info->object) : NULL;
    return showing->fn(showing->arg, &own);
}

void weir_shared_each(weir_shared *pool, bool (*fn)(void *arg, const weir_conn_info *info),
                      void *arg)
{
    struct showing showing = {fn, arg};
    if (shared_enter(pool, 0) == WEIR_OK) {
        park_sweep(pool);
        weir_pool_each(pool->pool, show, &showing);
        station_leave(&pool->station);
    }
}

void weir_shared_each_key(weir_shared *pool, bool (*fn)(void *arg, const weir_key_info *info),
                          void *arg)
{
    if (shared_enter(pool, 0) == WEIR_OK) {
        park_sweep(pool);
        weir_pool_each_key(pool->pool, fn, arg);
        station_leave(&pool->station);
    }
}

weir_err weir_shared_key_of(weir_shared *pool, const weir_key *key, weir_key_info *ret_info)
{
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return err;
    }
    park_sweep(pool);
    err = weir_pool_key_of(pool->pool, key, ret_info);
    if (err == WEIR_OK) {
        ret_info->key = NULL;
    }
    station_leave(&pool->station);
    return err;
}

size_t weir_shared_explain(weir_shared *pool, const weir_key *key, char *ret_text, size_t size)
{
    if (shared_enter(pool, 0) != WEIR_OK) {
        return 0;
    }
    size_t len = weir_pool_explain(pool->pool, key, ret_text, size);
    station_leave(&pool->station);
    return len;
}

/* The open pool that was opened first after `opened`, or NULL. */
static weir_shared *next_pool(weir_runtime *runtime, uint64_t *opened)
{
    weir_shared *next = NULL;
    pthread_mutex_lock(&runtime->mutex);
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        weir_shared *pool = runtime->pools[i];
        if (pool->state == SHARED_OPEN && pool->opened > *opened
            && (next == NULL || pool->opened < next->opened)) {
            next = pool;
        }
    }
    if (next != NULL) {
        *opened = next->opened;
    }
    pthread_mutex_unlock(&runtime->mutex);
    return next;
}

void weir_runtime_each(weir_runtime *runtime,
                       bool (*fn)(void *arg, weir_shared *pool, const weir_stats *stats), void *arg)
{
    uint64_t opened = 0;
    weir_shared *pool;
    while ((pool = next_pool(runtime, &opened)) != NULL) {
        weir_stats stats = {.size = sizeof stats};
        weir_shared_stats(pool, &stats);
        if (!fn(arg, pool, &stats)) {
            return;
        }
    }
}
