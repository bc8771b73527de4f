/* SPDX-License-Identifier: Apache-2.0
 *
 * life.c - a pool's life: open, found by name, updated, flushed, closed.
 */
#include "core/life.h"

#include "core/breaker.h"
#include "core/conn.h"
#include "core/crowd.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/option.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/queue.h"
#include "core/size.h"
#include "core/warm.h"

#include <stdio.h>
#include <string.h>

/* --- open and find ------------------------------------------------------------------------ */

weir_pool *weir_pool_find(const weir_engine *engine, const char *name)
{
    weir_list_each(it, &engine->pools) {
        weir_pool *pool = list_entry(it, struct weir_pool, on_engine);
        if (strcmp(pool->name, name) == 0) {
            return pool;
        }
    }
    return NULL;
}

static void pool_init(weir_pool *pool, weir_engine *engine, const weir_pool_options *opt)
{
    memset(pool, 0, sizeof *pool);
    pool->engine = engine;
    pool->opt = *opt;
    pool->connector = opt->connector;
    pool->self = opt->connector_self;
    pool->number = ++engine->pool_numbers;
    pool->timer.kind = TIMER_POOL;
    pool->armed_ms = pool->review_ms = UINT64_MAX;
    pool->adapted_ms = engine->now_ms;
    pool->window.begun_ms = engine->now_ms;
    memcpy(pool->name, opt->name, strlen(opt->name) + 1);
    pool->opt.name = pool->name;
    size_look_ahead(pool, 0);
    for (int i = 0; i < WEIR_STATES; i++) {
        list_init(&pool->by_state[i]);
    }
    list_init(&pool->waiting);
    list_init(&pool->held);
    list_init(&pool->overdue);
    list_init(&pool->keys);
    list_init(&pool->turns);
    list_init(&pool->news);
    list_init(&pool->endpoints);
    list_init(&pool->tenants);
    group_init(&pool->rest, pool, GROUP_ENDPOINT);
    group_init(&pool->nobody, pool, GROUP_TENANT);
}

static weir_err pool_create(weir_engine *engine, const weir_pool_options *opt, weir_pool **ret_pool)
{
    if (engine->pools.count >= engine->pools_max) {
        return WEIR_EFULL;
    }
    weir_pool *pool = alloc_new(&engine->alloc, sizeof *pool);
    if (pool == NULL) {
        return WEIR_ENOMEM;
    }
    pool_init(pool, engine, opt);
    weir_err err = ledger_open(pool, NULL, pool->opt.max_total);
    if (err != WEIR_OK) {
        alloc_free(&engine->alloc, pool);
        return err;
    }
    list_push_back(&engine->pools, &pool->on_engine);
    *ret_pool = pool;
    return WEIR_OK;
}

weir_err weir_pool_open(weir_engine *engine, const weir_pool_options *opt, weir_pool **ret_pool)
{
    weir_pool_options resolved;
    weir_err err = option_resolve(opt, &resolved, &engine->fault);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_pool_find(engine, resolved.name) != NULL) {
        return WEIR_EEXISTS;
    }
    return pool_create(engine, &resolved, ret_pool);
}

static bool is_same(const weir_pool *pool, const weir_pool_options *resolved)
{
    return !pool->closing && pool->connector == resolved->connector
           && pool->self == resolved->connector_self && option_is_same(&pool->opt, resolved);
}

/* Nobody named it: the name is the scheme, or, where that is taken, the scheme and a number. */
static weir_err create_unnamed(weir_engine *engine, const weir_pool_options *resolved,
                               weir_pool **ret_pool)
{
    char name[sizeof((weir_pool *)NULL)->name];
    weir_pool_options named = *resolved;
    for (unsigned n = 2; weir_pool_find(engine, named.name) != NULL; n++) {
        int len = snprintf(name, sizeof name, "%s-%u", resolved->name, n);
        if (len >= (int)sizeof name) {
            engine->fault = "name";
            return WEIR_EINVAL;
        }
        named.name = name;
    }
    return pool_create(engine, &named, ret_pool);
}

static weir_err get_unnamed(weir_engine *engine, const weir_pool_options *resolved,
                            weir_pool **ret_pool)
{
    weir_list_each(it, &engine->pools) {
        weir_pool *pool = list_entry(it, struct weir_pool, on_engine);
        if (is_same(pool, resolved)) {
            *ret_pool = pool;
            return WEIR_OK;
        }
    }
    return create_unnamed(engine, resolved, ret_pool);
}

weir_err weir_pool_get(weir_engine *engine, const weir_pool_options *opt, weir_pool **ret_pool)
{
    weir_pool_options resolved;
    weir_err err = option_resolve(opt, &resolved, &engine->fault);
    if (err != WEIR_OK) {
        return err;
    }
    if (opt->name == NULL) {
        return get_unnamed(engine, &resolved, ret_pool);
    }
    weir_pool *pool = weir_pool_find(engine, resolved.name);
    if (pool == NULL) {
        return pool_create(engine, &resolved, ret_pool);
    }
    if (!is_same(pool, &resolved)) {
        return WEIR_EEXISTS;
    }
    *ret_pool = pool;
    return WEIR_OK;
}

const char *weir_engine_fault(const weir_engine *engine)
{
    return engine->fault;
}

const char *weir_pool_name(const weir_pool *pool)
{
    return pool->name;
}

void *weir_pool_connector_self(const weir_pool *pool)
{
    return pool->self;
}

void weir_pool_options_of(const weir_pool *pool, weir_pool_options *ret_opt)
{
    option_show(&pool->opt, ret_opt);
}

/* --- update ------------------------------------------------------------------------------- */

/* What is above a limit goes: idle ones first, the longest idle before all, then dials, then those
 * in use when they are released. */
static void shrink(struct list *by_state, uint32_t limit, bool is_of_key)
{
    static const weir_state order[] = {WEIR_IDLE, WEIR_PROBING, WEIR_DIALLING, WEIR_SHARED,
                                       WEIR_ACTIVE};
    uint32_t total = 0;
    for (int i = 0; i < WEIR_CLOSING; i++) {
        total += by_state[i].count;
    }
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        weir_list_each_safe(it, &by_state[order[i]]) {
            if (total <= limit) {
                return;
            }
            pool_conn_retire(is_of_key ? conn_on_key(it) : conn_on_pool(it), WEIR_ESURPLUS,
                             WEIR_NEVER);
            total--;
        }
    }
}

/* New time-outs, and a new number of leases, count for what is there already. */
static void retime(weir_pool *pool, const weir_pool_options *old)
{
    bool has_age = pool->opt.max_age_ms != old->max_age_ms;
    bool has_probe = pool->opt.probe_every_ms != old->probe_every_ms;
    for (int i = 0; i < WEIR_CLOSING; i++) {
        weir_list_each_safe(it, &pool->by_state[i]) {
            struct conn *conn = conn_on_pool(it);
            if (conn->leases.count > 0 && conn->state != conn_state_of(conn)) {
                conn_enter(conn, conn_state_of(conn));
            }
            if (has_age && conn->was_up && !conn->retiring && !conn->aged && !conn->displaced) {
                uint64_t age_ms = pool->engine->now_ms - conn->created_ms;
                uint64_t at_ms = size_retire_at_ms(pool);
                conn->until_ms = at_ms == UINT64_MAX ? at_ms : at_ms - age_ms;
            }
            if (has_probe && conn->was_up) {
                conn->probe_ms = probe_every_ms(pool);
            }
            conn_arm(conn);
        }
    }
}

static void serve_all(weir_pool *pool)
{
    weir_list_each_safe(it, &pool->keys) {
        pool_serve(list_entry(it, struct key, on_pool));
    }
}

static weir_err reopen_ledgers(weir_pool *pool)
{
    weir_err err = ledger_open(pool, NULL, pool->opt.max_total);
    weir_list_each(it, &pool->keys) {
        if (err == WEIR_OK) {
            struct key *key = list_entry(it, struct key, on_pool);
            err = ledger_open(pool, key, key_most(key));
        }
    }
    return err;
}

weir_err weir_pool_update(weir_pool *pool, const weir_pool_options *opt)
{
    weir_pool_options resolved;
    weir_pool_options old = pool->opt;
    weir_err err = option_resolve(opt, &resolved, &pool->engine->fault);
    if (err != WEIR_OK) {
        return err;
    }
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    resolved.name = pool->name;
    resolved.connector = pool->connector;
    resolved.connector_self = pool->self;
    pool->opt = resolved;
    err = reopen_ledgers(pool);
    if (err != WEIR_OK) {
        pool->opt = old;
        weir_err undone = reopen_ledgers(pool);
        check(undone == WEIR_OK);
        return err;
    }
    if (resolved.forecast_ms != old.forecast_ms || resolved.size_min == 0) {
        pool->forecast = (struct forecast){0};
        size_look_ahead(pool, 0);
    }
    weir_list_each(it, &pool->keys) {
        struct key *key = list_entry(it, struct key, on_pool);
        shrink(key->by_state, key_most(key), true);
    }
    shrink(pool->by_state, resolved.max_total, false);
    retime(pool, &old);
    crowd_update(pool, &old);
    pool->is_cold = warm_dials(pool);
    warm_wake(pool);
    pool_arm(pool, pool->engine->now_ms);
    event_tell(pool, WEIR_EVENT_CONFIG_CHANGED, NULL, NULL, WEIR_OK);
    serve_all(pool);
    return WEIR_OK;
}

/* --- flush and close ---------------------------------------------------------------------- */

static void retire_all(struct list *by_state, bool is_of_key, weir_err why, uint32_t grace_ms)
{
    for (int i = 0; i < (MUTANT(21) ? WEIR_ACTIVE : WEIR_CLOSING); i++) {
        weir_list_each_safe(it, &by_state[i]) {
            pool_conn_retire(is_of_key ? conn_on_key(it) : conn_on_pool(it), why, grace_ms);
        }
    }
}

static void flush_key(struct key *key, uint32_t grace_ms)
{
    weir_pool *pool = key->pool;
    key->owed = 0;
    retire_all(key->by_state, true, WEIR_EFLUSHED, grace_ms);
    if (breaker_reset(key)) {
        event_tell(pool, WEIR_EVENT_KEY_UP, key, NULL, WEIR_EFLUSHED);
    }
}

void weir_pool_flush(weir_pool *pool, const weir_key *only, uint32_t grace_ms)
{
    if (grace_ms == WEIR_NONE) {
        grace_ms = 0;
    }
    if (only == NULL) {
        weir_list_each_safe(it, &pool->keys) {
            flush_key(list_entry(it, struct key, on_pool), grace_ms);
        }
        serve_all(pool); /* not before: nobody gets what is about to be flushed */
        return;
    }
    struct key_text text;
    struct key *key = key_canonical(pool, only, &text) ? key_find(pool, &text) : NULL;
    if (key != NULL) {
        flush_key(key, grace_ms);
        pool_serve(key);
    }
}

void weir_pool_close(weir_pool *pool, uint32_t grace_ms)
{
    pool->closing = true;
    weir_list_each_safe(it, &pool->keys) {
        struct key *key = list_entry(it, struct key, on_pool);
        key->owed = 0;
        pool_fail_waiting(key, MUTANT(20) ? WEIR_EDOWN : WEIR_ECLOSED);
        breaker_reset(key);
    }
    serve_all(pool);
    retire_all(pool->by_state, false, WEIR_ECLOSED, grace_ms == WEIR_NONE ? 0 : grace_ms);
}

/* --- the end ------------------------------------------------------------------------------ */

bool pool_is_over(const weir_pool *pool)
{
    return pool->closing && pool_total(pool) == 0 && pool->held.count == 0
           && pool->overdue.count == 0;
}

void pool_free(weir_pool *take_pool)
{
    weir_engine *engine = take_pool->engine;
    weir_list_each_safe(it, &take_pool->keys) {
        key_forget(list_entry(it, struct key, on_pool));
    }
    ledger_close(take_pool, NULL);
    heap_clear(&engine->timers, &take_pool->timer.node);
    list_remove(&engine->pools, &take_pool->on_engine);
    alloc_free(&engine->alloc, take_pool);
}

void pool_timer(weir_pool *pool)
{
    uint64_t now_ms = pool->engine->now_ms;
    pool->armed_ms = UINT64_MAX;
    pool_arm(pool, queue_overdue(pool));
    if (pool->review_ms <= now_ms) {
        bool is_restless = health_review(pool);
        bool is_moving = size_review(pool);
        bool is_settled = pool->window.health == WEIR_HEALTHY && !is_restless && !is_moving;
        pool->review_ms = is_settled ? UINT64_MAX : now_ms + POOL_REVIEW_MS;
    }
    warm_turn(pool);
    pool_arm(pool, pool->review_ms);
}
