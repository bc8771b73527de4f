/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "client/runtime.h"
#include "core/lend.h"
#include "io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY_FIELDS 6U

/* Of everything that was ever opened, in any runtime: threads remember their seats by it. */
static _Atomic uint64_t serials;

/* A caller of weir_acquire_async(). */
struct ask {
    weir_shared *pool;
    weir_loan_fn *fn;
    void *arg;
};

static void lock(struct weir_runtime *runtime)
{
    pthread_mutex_lock(&runtime->mutex);
}

static void unlock(struct weir_runtime *runtime)
{
    pthread_mutex_unlock(&runtime->mutex);
}

/* --- what the connector and the engine call -----------------------------------------------------
 */

static void host_enter(void *self)
{
    station_enter_now(self);
}

static void host_leave(void *self)
{
    station_leave(self);
}

static void host_out(void *self)
{
    station_out(self);
}

static void host_back(void *self)
{
    station_back(self);
}

static void host_poke(void *self)
{
    station_poke(self);
}

/* The key's texts may go while the lock is given away; the copy does not. */
static const weir_key *key_of_event(const weir_key *key, char *texts, weir_key *ret_key)
{
    if (key == NULL) {
        return NULL;
    }
    const char *fields[KEY_FIELDS] = {key->scheme, key->host, key->source,
                                      key->proxy,  key->tls,  key->tenant};
    for (unsigned i = 0; i < KEY_FIELDS; i++) {
        if (fields[i] != NULL) {
            size_t size = strlen(fields[i]) + 1;
            memcpy(texts, fields[i], size);
            fields[i] = texts;
            texts += size;
        }
    }
    *ret_key = (weir_key){fields[0], fields[1], key->port, fields[2],
                          fields[3], fields[4], fields[5]};
    return ret_key;
}

static void on_event(void *self, const weir_event *event)
{
    weir_shared *pool = self;
    const weir_runtime_options *opt = &pool->runtime->opt;
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        pool->is_over = true;
        pool->pool = NULL; /* freed when this returns */
    }
    uint32_t wanted = opt->events != 0 ? opt->events : UINT32_MAX;
    if (opt->on_event == NULL || !(wanted >> event->kind & 1)) {
        return;
    }
    char texts[WEIR_KEY_BYTES_MAX];
    weir_key key;
    weir_event own = *event;
    own.key = key_of_event(event->key, texts, &key);
    own.pool = NULL;
    own.pool_name = pool->name;
    station_out(&pool->station);
    opt->on_event(opt->event_arg, &own);
    station_back(&pool->station);
}

static uint64_t tick(void *self, uint64_t now_ms)
{
    weir_shared *pool = self;
    uint64_t custom_ms = custom_tick(pool->custom, now_ms);
    uint64_t park_ms = park_tick(pool, now_ms);
    return custom_ms < park_ms ? custom_ms : park_ms;
}

/* --- its end ------------------------------------------------------------------------------------
 */

/* After its last step, on its home's thread, without its lock. */
static void after_step(void *self)
{
    weir_shared *pool = self;
    if (!pool->is_over) {
        return;
    }
    struct weir_runtime *runtime = pool->runtime;
    station_back(&pool->station);
    weir_engine *engine = pool->station.engine;
    struct custom *custom = pool->custom;
    struct slots asks = pool->asks;
    pool->station.engine = NULL;
    pool->custom = NULL;
    pool->is_over = false;
    pthread_mutex_unlock(&pool->station.mutex);
    weir_engine_free(engine);
    custom_close(custom);
    slots_fini(&asks);
    lock(runtime);
    pool->state = SHARED_FREE;
    pthread_cond_broadcast(&runtime->change);
    unlock(runtime);
}

/* --- opening ------------------------------------------------------------------------------------
 */

/* Locked. A place that nothing is open at, or NULL. */
static weir_shared *place_take(struct weir_runtime *runtime, weir_err *ret_err)
{
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        if (runtime->pools[i]->state == SHARED_FREE) {
            return runtime->pools[i];
        }
    }
    *ret_err = WEIR_EFULL;
    if (runtime->pools_count == runtime->pools_max) {
        return NULL;
    }
    *ret_err = WEIR_ENOMEM;
    weir_shared *pool = alloc_zeroed(&runtime->alloc, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    if (!park_init(&pool->park, &runtime->alloc, custom_records(runtime->opt.conns_max))) {
        alloc_free(&runtime->alloc, pool);
        return NULL;
    }
    struct place *place = &runtime->places[runtime->pools_count % runtime->workers];
    bool has_room = station_init(&pool->station, &place->home);
    check(has_room); /* each home has room for all */
    pool->runtime = runtime;
    runtime->pools[runtime->pools_count++] = pool;
    return pool;
}

static weir_err new_engine(weir_shared *pool, uint64_t seed, weir_engine **ret_engine)
{
    const weir_runtime_options *opt = &pool->runtime->opt;
    uint32_t wanted = opt->on_event == NULL ? 0 : opt->events != 0 ? opt->events : UINT32_MAX;
    const weir_engine_options engine = {
        .size = sizeof engine,
        .conns_max = opt->conns_max,
        .waiting_max = opt->waiting_max,
        .keys_max = opt->keys_max,
        .pools_max = 1,
        .seed = opt->seed + seed,
        .now_ms = clock_now_ms(),
        .on_event = on_event,
        .event_arg = pool,
        .events = wanted | 1U << WEIR_EVENT_POOL_CLOSED,
        .allocator = opt->allocator,
    };
    return weir_engine_new(&engine, ret_engine);
}

static void memory_is_free(void *self)
{
    memory_drop(self);
}

static weir_err new_custom(weir_shared *pool, const weir_shared_options *opt,
                           struct custom **ret_custom)
{
    struct memory *memory = pool->runtime->memory;
    const struct custom_options custom = {
        .factory = opt->factory,
        .factory_self = opt->factory_self,
        .host = {.self = &pool->station,
                 .enter = host_enter,
                 .leave = host_leave,
                 .out = host_out,
                 .back = host_back,
                 .poke = host_poke},
        .conns_max = pool->runtime->opt.conns_max,
        .alloc = &memory->alloc,
        .gone = memory_is_free,
        .gone_self = memory,
    };
    memory_use(memory);
    if (custom_new(&custom, ret_custom) == 0) {
        return WEIR_OK;
    }
    memory_drop(memory);
    return WEIR_ENOMEM;
}

/* What is being opened: all of it, or nothing. */
struct opening {
    weir_engine *engine;
    struct custom *custom;
    weir_pool *pool;
    struct slots asks;
};

static void opening_undo(struct opening *opening)
{
    if (opening->engine != NULL) {
        weir_engine_free(opening->engine);
    }
    if (opening->custom != NULL) {
        custom_close(opening->custom);
    }
    if (opening->asks.base != NULL) {
        slots_fini(&opening->asks);
    }
}

static weir_err opening_do(weir_shared *pool, const weir_shared_options *opt,
                           struct opening *opening)
{
    const weir_runtime_options *limits = &pool->runtime->opt;
    weir_err err = new_custom(pool, opt, &opening->custom);
    err = err == WEIR_OK ? new_engine(pool, atomic_load(&serials), &opening->engine) : err;
    if (err != WEIR_OK) {
        return err;
    }
    if (!slots_init(&opening->asks, &pool->runtime->alloc, sizeof(struct ask),
                    limits->conns_max + limits->waiting_max)) {
        return WEIR_ENOMEM;
    }
    weir_pool_options options = opt->pool;
    options.connector = custom_connector(opening->custom);
    options.connector_self = opening->custom;
    err = weir_pool_open(opening->engine, &options, &opening->pool);
    if (err == WEIR_EINVAL) {
        runtime_fault(weir_engine_fault(opening->engine));
    }
    return err;
}

static void set_timeout(struct custom *custom, const weir_pool *pool)
{
    weir_pool_options opt;
    weir_pool_options_of(pool, &opt);
    custom_set_timeout(custom, opt.connect_timeout_ms);
}

/* Runtime's lock held. */
static weir_err open_at(weir_shared *pool, const weir_shared_options *opt, const char *name)
{
    struct opening opening = {0};
    weir_err err = opening_do(pool, opt, &opening);
    if (err != WEIR_OK) {
        opening_undo(&opening);
        return err;
    }
    custom_serve(opening.custom, opening.pool);
    set_timeout(opening.custom, opening.pool);
    station_back(&pool->station);
    pool->serial = atomic_fetch_add(&serials, 1) + 1;
    pool->pool = opening.pool;
    pool->custom = opening.custom;
    pool->asks = opening.asks;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pool->station.engine = opening.engine;
    pool->station.direct = wait_is_over;
    pool->station.tick = tick;
    pool->station.after = after_step;
    pool->station.self = pool;
    park_open(pool, pool->serial);
    park_allow(pool, shared_may_park(pool));
    pthread_mutex_unlock(&pool->station.mutex);
    pool->state = SHARED_OPEN;
    pool->opened = ++pool->runtime->opens;
    return WEIR_OK;
}

/* Locked. */
static weir_shared *find(const struct weir_runtime *runtime, const char *name)
{
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        weir_shared *pool = runtime->pools[i];
        if (pool->state == SHARED_OPEN && strcmp(pool->name, name) == 0) {
            return pool;
        }
    }
    return NULL;
}

/* Locked. Whether it is what the options would open. */
static weir_err is_same(weir_shared *pool, const weir_shared_options *opt)
{
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return WEIR_EEXISTS;
    }
    weir_pool_options options = opt->pool;
    weir_pool *same;
    options.connector = custom_connector(pool->custom);
    options.connector_self = pool->custom;
    options.name = pool->name;
    err = custom_is_same(pool->custom, opt->factory, opt->factory_self)
              ? weir_pool_get(pool->station.engine, &options, &same)
              : WEIR_EEXISTS;
    station_leave(&pool->station);
    return err;
}

static weir_err resolve(const weir_shared_options *opt, weir_shared_options *ret_opt,
                        const char **ret_name)
{
    weir_shared_options own = {0};
    size_t size = opt->size != 0 ? opt->size : sizeof *opt;
    if (size > sizeof own) {
        return runtime_fault("size");
    }
    memcpy(&own, opt, size);
    const char *fault = custom_fault_of(own.factory);
    if (fault == NULL && own.pool.connector != NULL) {
        fault = "connector";
    }
    if (fault != NULL) {
        return runtime_fault(fault);
    }
    const char *scheme = own.factory->scheme != NULL ? own.factory->scheme : "custom";
    *ret_name = own.pool.name != NULL ? own.pool.name : scheme;
    *ret_opt = own;
    return WEIR_OK;
}

/* Locked. The first pool that is what the options would open, or NULL. */
static weir_shared *find_same(const struct weir_runtime *runtime, const weir_shared_options *opt)
{
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        weir_shared *pool = runtime->pools[i];
        if (pool->state == SHARED_OPEN && is_same(pool, opt) == WEIR_OK) {
            return pool;
        }
    }
    return NULL;
}

/* Locked. A name that is free: the scheme, or the scheme and a number. */
static weir_err name_it(const struct weir_runtime *runtime, const char *scheme,
                        char ret_name[static SHARED_NAME_SIZE])
{
    int len = snprintf(ret_name, SHARED_NAME_SIZE, "%s", scheme);
    for (unsigned n = 2; len < SHARED_NAME_SIZE && find(runtime, ret_name) != NULL; n++) {
        len = snprintf(ret_name, SHARED_NAME_SIZE, "%s-%u", scheme, n);
    }
    return len < SHARED_NAME_SIZE ? WEIR_OK : runtime_fault("name");
}

static weir_err open_or_get(weir_runtime *runtime, const weir_shared_options *opt, bool may_exist,
                            weir_shared **ret_pool)
{
    weir_shared_options own = {0};
    const char *name = "";
    char free_name[SHARED_NAME_SIZE];
    weir_err err = resolve(opt, &own, &name);
    if (err != WEIR_OK) {
        return err;
    }
    bool is_unnamed = may_exist && own.pool.name == NULL;
    lock(runtime);
    weir_shared *pool = is_unnamed ? find_same(runtime, &own) : find(runtime, name);
    if (runtime->is_closing) {
        err = WEIR_ECLOSED;
    } else if (pool != NULL) {
        err = is_unnamed ? WEIR_OK : may_exist ? is_same(pool, &own) : WEIR_EEXISTS;
    } else if (!is_unnamed || (err = name_it(runtime, name, free_name)) == WEIR_OK) {
        own.pool.name = is_unnamed ? free_name : own.pool.name;
        pool = place_take(runtime, &err);
        err = pool != NULL ? open_at(pool, &own, is_unnamed ? free_name : name) : err;
    }
    unlock(runtime);
    if (err == WEIR_OK) {
        *ret_pool = pool;
    }
    return err;
}

weir_err weir_shared_open(weir_runtime *runtime, const weir_shared_options *opt,
                          weir_shared **ret_pool)
{
    return open_or_get(runtime, opt, false, ret_pool);
}

weir_err weir_shared_get(weir_runtime *runtime, const weir_shared_options *opt,
                         weir_shared **ret_pool)
{
    return open_or_get(runtime, opt, true, ret_pool);
}

weir_shared *weir_shared_find(weir_runtime *runtime, const char *name)
{
    lock(runtime);
    weir_shared *pool = find(runtime, name);
    unlock(runtime);
    return pool;
}

void weir_shared_close(weir_shared *take_pool, uint32_t grace_ms)
{
    struct weir_runtime *runtime = take_pool->runtime;
    lock(runtime);
    if (take_pool->state == SHARED_OPEN) {
        take_pool->state = SHARED_CLOSING;
    }
    unlock(runtime);
    if (shared_enter(take_pool, 0) == WEIR_OK) {
        park_allow(take_pool, false);
        weir_pool_close(take_pool->pool, grace_ms);
        station_leave(&take_pool->station);
    }
}

weir_err shared_enter(weir_shared *pool, uint64_t serial)
{
    station_enter(&pool->station);
    if (pool->pool != NULL && (serial == 0 || serial == pool->serial)) {
        return WEIR_OK;
    }
    station_leave(&pool->station);
    return WEIR_ECLOSED;
}

/* --- loans --------------------------------------------------------------------------------------
 */

void shared_fill(weir_shared *pool, weir_lease lease, void *made, uint32_t waited_ms,
                 weir_loan *ret_loan)
{
    *ret_loan = (weir_loan){
        .pool = pool,
        .object = custom_object(made),
        .lease = lease,
        .conn = custom_conn(made),
        .slot = custom_slot(made),
        .waited_ms = waited_ms,
        .reused = custom_lease(made),
        .own = {.made = made,
                .serial = pool->serial,
                .turn = park_begin_turn(pool, made, lease),
                .number = custom_number(made)},
    };
}

/* Parked, a connection is passed on in no order but by its thread, and neither watched nor told
 * of. */
bool shared_may_park(const weir_shared *pool)
{
    const weir_runtime_options *opt = &pool->runtime->opt;
    uint32_t heard = opt->on_event == NULL ? 0 : opt->events != 0 ? opt->events : UINT32_MAX;
    uint32_t told = 1U << WEIR_EVENT_CONNECTION_REUSED | 1U << WEIR_EVENT_CONNECTION_RETURNED;
    weir_pool_options rules;
    weir_pool_options_of(pool->pool, &rules);
    return rules.reuse == WEIR_NEWEST && rules.max_uses == WEIR_UNLIMITED
           && rules.concurrency == WEIR_OFF && rules.lease_warn_ms == WEIR_NEVER
           && rules.lease_timeout_ms == WEIR_NEVER && (heard & told) == 0
           && !custom_has_usable(pool->custom);
}

weir_err shared_try(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                    weir_loan *ret_loan)
{
    weir_lease lease;
    void *made;
    weir_err err = weir_try_acquire(pool->pool, key, opt != NULL ? opt->flags : 0, &lease, &made);
    if (err == WEIR_OK) {
        if (opt != NULL && opt->tag != 0) {
            weir_lease_tag(pool->pool, lease, opt->tag);
        }
        shared_fill(pool, lease, made, 0, ret_loan);
    }
    return err;
}

weir_err weir_acquire_now(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                          weir_loan *ret_loan)
{
    if (park_take(pool, key, opt, ret_loan)) {
        return WEIR_OK;
    }
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return err;
    }
    err = shared_try(pool, key, opt, ret_loan);
    if (err == WEIR_EAGAIN && park_sweep(pool) > 0) {
        err = shared_try(pool, key, opt, ret_loan);
    }
    station_leave(&pool->station);
    return err;
}

static void on_async(void *arg, const weir_grant *grant)
{
    struct ask *ask = arg;
    struct ask own = *ask;
    weir_shared *pool = own.pool;
    weir_loan loan = {0};
    slots_give(&pool->asks, slots_id_of(&pool->asks, ask));
    park_want_no_more(pool);
    if (grant->err == WEIR_OK) {
        shared_fill(pool, grant->lease, grant->object, grant->waited_ms, &loan);
    }
    station_out(&pool->station);
    own.fn(own.arg, grant->err, grant->err == WEIR_OK ? &loan : NULL, grant->retry_after_ms);
    station_back(&pool->station);
}

weir_err weir_acquire_async(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                            weir_loan_fn *fn, void *arg, weir_lease *ret_lease)
{
    if (fn == NULL) {
        return WEIR_EINVAL;
    }
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return err;
    }
    uint64_t id;
    weir_lease lease;
    struct ask *ask = slots_take(&pool->asks, &id);
    err = WEIR_EQUEUE;
    if (ask != NULL) {
        *ask = (struct ask){.pool = pool, .fn = fn, .arg = arg};
        park_want(pool);
        park_sweep(pool);
        err = weir_acquire(pool->pool, key, opt, on_async, ask, &lease);
        if (err != WEIR_OK) {
            park_want_no_more(pool);
            slots_give(&pool->asks, id);
        }
    }
    station_leave(&pool->station);
    if (err == WEIR_OK && ret_lease != NULL) {
        *ret_lease = lease;
    }
    return err;
}

weir_err weir_acquire_cancel(weir_shared *pool, weir_lease lease)
{
    if (shared_enter(pool, 0) != WEIR_OK) {
        return WEIR_ESTALE;
    }
    weir_err err = lease_cancel(pool->pool, lease);
    station_leave(&pool->station);
    return err;
}

weir_err weir_loan_return_why(weir_loan *loan, weir_fate fate, weir_err why)
{
    weir_shared *pool = loan->pool;
    if (pool != NULL && fate == WEIR_KEEP && park_put(pool, loan)) {
        loan->pool = NULL;
        return WEIR_OK;
    }
    if (pool == NULL || !park_end_turn(pool, loan)) {
        return WEIR_ESTALE;
    }
    if (shared_enter(pool, loan->own.serial) != WEIR_OK) {
        return WEIR_ESTALE;
    }
    park_settle(pool, loan->own.number, loan->lease);
    weir_err err = weir_release_why(pool->pool, loan->lease, fate, why);
    station_leave(&pool->station);
    loan->pool = NULL;
    return err;
}

weir_err weir_loan_return(weir_loan *loan, weir_fate fate)
{
    return weir_loan_return_why(loan, fate, WEIR_OK);
}

void weir_scoped_lease_end(weir_scoped_lease *loan)
{
    if (loan->pool != NULL) {
        weir_loan_return(loan, loan->fate);
    }
}
