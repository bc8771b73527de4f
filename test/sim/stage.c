/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core calls. Everything is written down in the model first and judged on the spot.
 */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fault(struct world *world, const char *format, ...)
{
    va_list args;
    if (world->failed) {
        return;
    }
    world->failed = true;
    va_start(args, format);
    vsnprintf(world->fault, sizeof world->fault, format, args);
    va_end(args);
}

/* --- the model's connections --------------------------------------------------------------------
 */

struct sim_conn *conn_of(struct world *world, uint64_t id)
{
    uint32_t slot = (uint32_t)id; /* base/slots.h */
    if (id == 0 || slot >= WORLD_CONNS_MAX || world->conns[slot].id != id) {
        return NULL;
    }
    return &world->conns[slot];
}

struct sim_conn *conn_born(struct world *world, uint64_t id, uint32_t pool, uint32_t key)
{
    uint32_t slot = (uint32_t)id;
    if (id == 0 || slot >= WORLD_CONNS_MAX || world->conns[slot].phase != PHASE_NONE) {
        fault(world, "a new connection has the id of one that lives");
        return NULL;
    }
    struct sim_conn *conn = &world->conns[slot];
    *conn = (struct sim_conn){.id = id,
                              .pool = (uint8_t)pool,
                              .key = (uint16_t)key,
                              .idle_ms = UINT32_MAX,
                              .born_step = world->steps,
                              .leases_max = 1,
                              .begun_ms = world->now_ms,
                              .since_ms = world->now_ms,
                              .cut_ms = UINT64_MAX};
    if (slot >= world->conns_top) {
        world->conns_top = slot + 1;
    }
    return conn;
}

void conn_dies(struct world *world, struct sim_conn *conn)
{
    world->ghosts[world->ghosts_count++ % GHOSTS] = conn->id;
    conn->phase = PHASE_NONE;
    conn->id = 0;
}

struct sim_pair *pair_of(struct world *world, const struct sim_conn *conn)
{
    return &world->pools[conn->pool].pairs[conn->key];
}

/* --- the connector ------------------------------------------------------------------------------
 */

/* self is the pool's place in the world; the world stands before it. */
static struct world *the_world;

static void heard(const struct sim_pool *pool)
{
    the_world->outputs++;
    if (the_world->dead) {
        fault(the_world, "a freed engine called back");
    }
    if (pool->pool == NULL) {
        fault(the_world, "%s is closed and called back", pool->name);
    }
}

static int key_number(const weir_key *key)
{
    for (uint32_t i = 0; i < the_world->keys_count; i++) {
        const weir_key *other = &the_world->keys[i];
        const char *tenant = key->tenant != NULL ? key->tenant : "";
        const char *others = other->tenant != NULL ? other->tenant : "";
        if (strcmp(other->host, key->host) == 0 && other->port == key->port
            && strcmp(others, tenant) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The dial was decided earlier in the step than it is told: in the same round, unless one has
 * ended. */
static bool world_is_unclear(const struct sim_pair *pair)
{
    return pair->failed_step == the_world->steps || pair->forgiven_step == the_world->steps;
}

static void on_dial(void *self, weir_conn id, const weir_key *key)
{
    struct sim_pool *pool = self;
    int number = key_number(key);
    heard(pool);
    if (number < 0 || !pool->dials) {
        fault(the_world, "dialled a key that nobody asked for, or in a pool that does not dial");
        return;
    }
    judge_dial(the_world, pool->number, (uint32_t)number);
    struct sim_conn *conn = conn_born(the_world, id.id, pool->number, (uint32_t)number);
    if (conn != NULL) {
        conn->phase = PHASE_DIALLING;
        conn->round = pool->pairs[number].round;
        conn->round_unknown = world_is_unclear(&pool->pairs[number]);
        pool->dials_begun++;
        trace_core(the_world, conn, "dial", "");
    }
}

static struct sim_conn *living(struct sim_pool *pool, weir_conn id, void *object, const char *what)
{
    struct sim_conn *conn = conn_of(the_world, id.id);
    heard(pool);
    if (conn == NULL || conn->pool != pool->number) {
        fault(the_world, "%s of a connection that does not live in this pool", what);
        return NULL;
    }
    void *own = conn->admitted ? (void *)the_world : (void *)(uintptr_t)conn->id;
    if (object != (conn->was_up ? own : NULL)) {
        fault(the_world, "%s with another connection's object", what);
    }
    return conn;
}

static void on_probe(void *self, weir_conn id, void *object)
{
    struct sim_conn *conn = living(self, id, object, "probe");
    if (conn != NULL) {
        trace_core(the_world, conn, "probe", "");
        judge_probe(the_world, conn);
        conn->phase = PHASE_PROBING;
        conn->since_ms = the_world->now_ms;
        conn->doubted = false;
    }
}

static void on_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct sim_conn *conn = living(self, id, object, "close");
    if (conn != NULL) {
        trace_core(the_world, conn, "close", weir_err_word(why));
        judge_close(the_world, conn, why);
        conn->phase = PHASE_CLOSING;
        conn->since_ms = the_world->now_ms;
        conn->closes = why;
    }
}

static void on_cut(void *self, weir_conn id, void *object)
{
    struct sim_conn *conn = living(self, id, object, "cut");
    if (conn != NULL) {
        trace_core(the_world, conn, "cut", "");
        judge_cut(the_world, conn);
        conn->cut = true;
    }
}

static bool is_reusable(void *self, void *object)
{
    const struct sim_conn *conn = conn_of(the_world, (uint64_t)(uintptr_t)object);
    (void)self;
    if (conn == NULL) {
        fault(the_world, "asked whether a connection is reusable that does not live");
        return false;
    }
    return !conn->unfit;
}

void world_granted(void *arg, const weir_grant *grant)
{
    struct sim_client *client = arg;
    struct world *world = the_world;
    struct sim_pool *pool = &world->pools[client->pool];
    heard(pool);
    trace_client(world, client, grant->err == WEIR_OK ? "holds" : "fails",
                 weir_err_word(grant->err));
    judge_grant(world, client, grant);
    if (grant->err != WEIR_OK) {
        struct sim_pair *pair = &pool->pairs[client->key];
        pair->left_count = pair->left == world->steps ? pair->left_count + 1 : 1;
        pair->left = world->steps;
        bool is_late = grant->err == WEIR_EACQUIRE_TIMEOUT || grant->err == WEIR_ECONNECT_TIMEOUT
                       || grant->err == WEIR_ETLS_TIMEOUT;
        if (is_late && (client->flags & WEIR_FRESH)) {
            pair->gave_up_fresh = world->steps;
        }
        if (grant->err != WEIR_ECANCELED && grant->err != WEIR_EDOWN
            && pair->failed_step == world->steps) {
            pair->abandoned = world->steps;
        }
        client->phase = CLIENT_AWAY;
        client->lease = 0;
        pool->refused++;
        return;
    }
    struct sim_conn *conn = conn_of(world, grant->conn.id);
    if (conn == NULL) {
        fault(world, "a lease on a connection that does not live");
        return;
    }
    if (world->granted_count < GRANTS_A_STEP_MAX) {
        world->granted[world->granted_count++] = (struct granted){
            .pool = client->pool,
            .key = client->key,
            .turn = client->turn,
            .used = conn->uses > 0,
            .risky = model_is_risky(world, conn),
        };
    }
    pool->grants++;
    pool->reused += conn->uses > 0;
    pool->pairs[client->key].grants++;
    pool->pairs[client->key].reused += conn->uses > 0;
    conn->uses++;
    conn->leases++;
    client->phase = CLIENT_HOLDING;
    client->conn = conn->id;
    client->since_ms = world->now_ms;
}

static void on_event(void *arg, const weir_event *event)
{
    struct world *world = arg;
    for (uint32_t i = 0; i < world->pools_count; i++) {
        struct sim_pool *pool = &world->pools[i];
        if (pool->pool != event->pool) {
            continue;
        }
        pool->added += event->kind == WEIR_EVENT_CONNECTION_ADDED;
        pool->removed += event->kind == WEIR_EVENT_CONNECTION_REMOVED;
        if (event->kind == WEIR_EVENT_POOL_WARM) {
            judge_warm(world, pool);
        }
        if (event->kind == WEIR_EVENT_POOL_CLOSED) {
            if (!pool->closing) {
                fault(world, "%s closed without being asked", pool->name);
            }
            pool->pool = NULL;
        }
    }
    world->outputs++;
}

/* --- memory -------------------------------------------------------------------------------------
 */

static void *sim_alloc(void *arg, size_t bytes)
{
    struct world *world = arg;
    if (world->sealed) {
        fault(world, "%zu bytes were allocated after opening", bytes);
    }
    return calloc(1, bytes);
}

static void sim_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

/* --- making and ending a world
 * -------------------------------------------------------------------- */

/* Small numbers are as likely as large ones: 1 … most, by powers. */
static uint32_t some(struct rand *rand, uint32_t most)
{
    uint32_t bits = 1;
    while (most >> bits != 0) {
        bits++;
    }
    uint32_t limit = UINT32_C(1) << rand_between(rand, 1, bits);
    return (uint32_t)rand_between(rand, 1, limit < most ? limit : most);
}

static uint32_t sometimes(struct rand *rand, uint32_t permille, uint32_t value)
{
    return rand_chance(rand, permille) ? value : 0;
}

/* A season of the least length: worlds are short. */
#define FORECAST_MS 288000U

static uint32_t some_time(struct rand *rand, uint32_t most_ms)
{
    return 10 * some(rand, most_ms / 10);
}

/* Not where some of an endpoint's keys may be without a group, hence without its limit. */
static void draw_concurrency(struct world *world, struct sim_pool *pool)
{
    struct rand *rand = &world->late;
    weir_pool_options *opt = &pool->opt;
    bool has_groups = world->options.groups_max >= GROUPS_ENOUGH;
    if (!pool->dials || !has_groups || !rand_chance(rand, 250)) {
        return;
    }
    opt->concurrency = rand_chance(rand, 500) ? WEIR_AIMD : WEIR_GRADIENT2;
    opt->concurrency_first = some(rand, 16);
    opt->concurrency_min = some(rand, 4);
    opt->concurrency_max = opt->concurrency_min + some(rand, 32);
    opt->concurrency_slow_ms = some_time(rand, 5000);
    pool->tells = rand_chance(rand, 500);
}

static void draw_times(struct rand *rand, weir_pool_options *opt)
{
    opt->acquire_timeout_ms = some_time(rand, 60000);
    opt->connect_timeout_ms = some_time(rand, 20000);
    opt->tls_timeout_ms = some_time(rand, 20000);
    opt->idle_timeout_ms = rand_chance(rand, 100) ? WEIR_NEVER : some_time(rand, 300000);
    opt->max_age_ms = rand_chance(rand, 400) ? WEIR_NEVER : some_time(rand, 1800000);
    opt->probe_every_ms = some_time(rand, 120000);
    opt->probe_timeout_ms = some_time(rand, 10000);
    opt->lease_warn_ms = sometimes(rand, 200, some_time(rand, 60000));
    opt->lease_timeout_ms = sometimes(rand, 200, some_time(rand, 60000));
    opt->key_idle_ms = some_time(rand, 600000);
    opt->retry_first_ms = some_time(rand, 2000);
    opt->retry_cap_ms = some_time(rand, 60000);
    opt->down_for_ms = some_time(rand, 60000);
    opt->jitter_pct = rand_chance(rand, 500) ? WEIR_NONE : (uint32_t)rand_between(rand, 1, 50);
}

static void draw_options(struct rand *rand, weir_pool_options *opt)
{
    opt->max_total = some(rand, 64);
    opt->max_per_key = sometimes(rand, 700, some(rand, 16));
    opt->max_idle = sometimes(rand, 300, some(rand, 8));
    opt->min_idle = sometimes(rand, 200, some(rand, 4));
    if (opt->max_idle != 0 && opt->min_idle > opt->max_idle) {
        opt->min_idle = opt->max_idle;
    }
    opt->size_min = sometimes(rand, 150, some(rand, 3));
    if (opt->max_per_key != 0 && opt->size_min > opt->max_per_key) {
        opt->size_min = opt->max_per_key;
    }
    opt->forecast_ms = opt->size_min != 0 ? sometimes(rand, 500, FORECAST_MS) : 0;
    opt->warm = rand_chance(rand, 800) ? WEIR_OFF
                                       : (uint32_t)rand_between(rand, WEIR_WARM_UP, WEIR_WARM_TLS);
    opt->warm_every_ms = some(rand, 200);
    opt->hedge = rand_chance(rand, 200) ? WEIR_ON : WEIR_OFF;
    opt->connecting_max = sometimes(rand, 500, some(rand, 8));
    opt->waiting_max = sometimes(rand, 300, some(rand, 64));
    opt->max_uses = sometimes(rand, 300, some(rand, 32));
    opt->leases_ideal = sometimes(rand, 500, some(rand, 8));
    opt->leases_hard = sometimes(rand, 300, some(rand, 16));
    opt->streams_conns_max = sometimes(rand, 500, some(rand, 4));
    opt->refuse_when_full = rand_chance(rand, 200) ? WEIR_ON : WEIR_OFF;
    opt->reuse = rand_chance(rand, 600) ? WEIR_NEWEST : (uint32_t)rand_between(rand, 1, 4);
    opt->failures_max = sometimes(rand, 700, some(rand, 6));
    opt->retry_factor = sometimes(rand, 300, (uint32_t)rand_between(rand, 1, 4));
    opt->on_dial_error = rand_chance(rand, 500) ? WEIR_FAIL : WEIR_WAIT;
    opt->reconnect = rand_chance(rand, 800) ? WEIR_LAZY : WEIR_EAGER;
    draw_times(rand, opt);
}

static void draw_nature(struct rand *rand, struct nature *nature)
{
    bool rough = rand_chance(rand, 700);
    *nature = (struct nature){
        .refuse = rough ? (uint32_t)rand_below(rand, 600) : 0,
        .stall = rough ? (uint32_t)rand_below(rand, 300) : 0,
        .hangup = rough ? (uint32_t)rand_below(rand, 300) : 0,
        .reset = rough ? (uint32_t)rand_below(rand, 300) : 0,
        .late = rough ? (uint32_t)rand_below(rand, 100) : 0,
        .unfit = rough ? (uint32_t)rand_below(rand, 100) : 0,
        .retire = (uint32_t)rand_below(rand, 100),
        .broken = (uint32_t)rand_below(rand, 200),
        .unknown = (uint32_t)rand_below(rand, 100),
        .cancel = (uint32_t)rand_below(rand, 500),
        .burst = rand_chance(rand, 500) ? (uint32_t)rand_below(rand, 300) : 0,
        .operate = rand_chance(rand, 500) ? (uint32_t)rand_below(rand, 20) : 0,
        .streams = rand_chance(rand, 300) ? (uint32_t)rand_below(rand, 1000) : 0,
        .jump = rand_chance(rand, 300) ? (uint32_t)rand_below(rand, 30) : 0,
        .fresh = rand_chance(rand, 300) ? (uint32_t)rand_below(rand, 300) : 0,
        .idempotent = (uint32_t)rand_below(rand, 1000),
        .tick_ms = some(rand, 1000),
    };
}

bool world_open_pool(struct world *world, uint32_t number)
{
    struct sim_pool *pool = &world->pools[number];
    bool sealed = world->sealed;
    world->sealed = false;
    weir_err err = weir_pool_open(world->engine, &pool->opt, &pool->pool);
    world->sealed = sealed;
    if (err != WEIR_OK) {
        fault(world, "a pool cannot be opened: %s (%s)", weir_err_text(err),
              weir_engine_fault(world->engine));
        return false;
    }
    weir_pool_options_of(pool->pool, &pool->opt);
    for (uint32_t i = 0; i < world->keys_count; i++) {
        pool->pairs[i] = (struct sim_pair){.state = WEIR_KEY_UP, .ramp = 1};
    }
    return true;
}

static void draw_pool(struct world *world, uint32_t number)
{
    struct sim_pool *pool = &world->pools[number];
    struct rand *rand = &world->rand;
    pool->number = (uint8_t)number;
    snprintf(pool->name, sizeof pool->name, "p%u", number);
    pool->dials = number == 0 || rand_chance(rand, 750);
    pool->probes = rand_chance(rand, 400);
    pool->streams = rand_chance(rand, world->nature.streams);
    pool->cut_ms = UINT64_MAX;
    pool->connector = (weir_connector){.scheme = "sim",
                                       .dial = pool->dials ? on_dial : NULL,
                                       .probe = pool->probes ? on_probe : NULL,
                                       .close = on_close,
                                       .cut = on_cut,
                                       .reusable = is_reusable};
    if (!pool->dials || rand_chance(rand, 500)) {
        pool->connector.reusable = NULL;
    }
    pool->opt = (weir_pool_options){.size = sizeof pool->opt,
                                    .name = pool->name,
                                    .connector = &pool->connector,
                                    .connector_self = pool};
    draw_options(rand, &pool->opt);
    draw_concurrency(world, pool);
}

static void draw_keys(struct world *world)
{
    world->keys_count = some(&world->rand, WORLD_KEYS_MAX);
    for (uint32_t i = 0; i < TENANTS; i++) {
        snprintf(world->tenants[i], sizeof world->tenants[i], "t%u", i);
    }
    for (uint32_t i = 0; i < world->keys_count; i++) {
        uint32_t tenant = i % TENANTS_AND_NONE; /* neighbours differ in the tenant alone */
        snprintf(world->hosts[i], sizeof world->hosts[i], "k%u", i - tenant);
        world->keys[i] = (weir_key){.scheme = "sim",
                                    .host = world->hosts[i],
                                    .port = 1,
                                    .tenant = tenant > 0 ? world->tenants[tenant - 1] : NULL};
    }
}

bool world_open(struct world *world, uint64_t seed, uint64_t trace_from)
{
    memset(world, 0, sizeof *world);
    the_world = world;
    world->seed = seed;
    world->trace_from = trace_from;
    rand_init(&world->rand, seed);
    rand_init(&world->late, ~seed);
    draw_nature(&world->rand, &world->nature);
    draw_keys(world);
    world->clients_count = some(&world->rand, WORLD_CLIENTS_MAX);
    world->pools_count = (uint32_t)rand_between(&world->rand, 1, WORLD_POOLS_MAX);
    world->options = (weir_engine_options){
        .size = sizeof world->options,
        .conns_max = rand_chance(&world->rand, 200) ? some(&world->rand, WORLD_CONNS_MAX)
                                                    : WORLD_CONNS_MAX,
        .waiting_max = rand_chance(&world->rand, 100) ? some(&world->rand, 100) : 1000,
        .keys_max = rand_chance(&world->rand, 100) ? some(&world->rand, 600) : 600,
        .groups_max = rand_chance(&world->rand, 200) ? some(&world->rand, 60) : GROUPS_ENOUGH,
        .pools_max = WORLD_POOLS_MAX + 1,
        .seed = rand_next(&world->rand),
        .on_event = on_event,
        .event_arg = world,
        .allocator = {sim_alloc, sim_free, world}};
    weir_err err = weir_engine_new(&world->options, &world->engine);
    if (err != WEIR_OK) {
        fault(world, "the engine cannot be made: %s", weir_err_text(err));
        return false;
    }
    for (uint32_t i = 0; i < world->pools_count; i++) {
        draw_pool(world, i);
        if (!world_open_pool(world, i)) {
            return false;
        }
    }
    world->sealed = true;
    world->next_ms = weir_step(world->engine, 0);
    return true;
}

void world_fini(struct world *world)
{
    world->dead = true;
    weir_engine_free(world->engine);
    world->engine = NULL;
}
