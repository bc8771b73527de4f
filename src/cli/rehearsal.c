/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rehearsal.h"

#include "base/heap.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/slots.h"

#include <math.h>
#include <stdio.h>

#define PROGRESS_EVERY 65536U /* arrivals */

const char *const service_words[SERVICES] = {"exponential", "fixed", "lognormal"};

/* One end of a connection. */
struct peer {
    struct heap_node due; /* its dial is done */
    weir_conn conn;
    struct call *call; /* who holds it, or NULL */
};

/* Somebody who came. */
struct call {
    struct heap_node due; /* gives its connection back */
    struct world *world;
    struct peer *peer;
    weir_lease lease;
    uint32_t hold_ms, latency_ms;
    bool breaks, leaks;
};

/* What is being played: the line, and how much of it is left. */
struct player {
    uint32_t line;
    uint64_t left;  /* arrivals of the line */
    double at_ms;   /* the next arrival, from the beginning of the trace */
    double rest_ms; /* of the line, after it */
};

struct world {
    const struct rehearsal_plan *plan;
    struct rehearsal *result;
    weir_engine *engine;
    weir_pool *pool;
    struct rand rand;
    struct player player;
    struct heap dials, holds;
    struct peer *peers; /* by the slot in their id */
    struct slots calls;
    weir_key *keys;
    char (*hosts)[24];
    uint32_t *waits; /* how many waited that long */
    uint64_t now_ms, end_ms;
    uint32_t waiting, conns, busy;
    uint32_t conns_max;
    double conns_ms, busy_ms, wait_sum_ms;
};

/* --- chance ------------------------------------------------------------------------------- */

static double uniform(struct rand *rand)
{
    return ((double)(rand_next(rand) >> 11) + 0.5) / 9007199254740992.0; /* never 0, never 1 */
}

static uint32_t whole(double ms)
{
    return ms < TRACE_HOLD_MAX ? (uint32_t)lround(ms) : TRACE_HOLD_MAX;
}

static uint32_t draw_service(struct world *world, uint32_t mean_ms)
{
    double u = uniform(&world->rand);
    switch (world->plan->service) {
    case SERVICE_FIXED: return mean_ms;
    case SERVICE_LOGNORMAL: {
        /* of sigma 1: one in a hundred takes six times as long as the mean */
        double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * uniform(&world->rand));
        return whole(mean_ms * exp(normal - 0.5));
    }
    case SERVICE_EXPONENTIAL:
    case SERVICES: break;
    }
    return whole(-(double)mean_ms * log(u));
}

static uint32_t draw_dial(struct world *world)
{
    return (uint32_t)rand_jitter(&world->rand, world->plan->dial_ms, 50);
}

static bool is_one_of(struct world *world, uint64_t part, uint64_t all)
{
    return part > 0 && rand_below(&world->rand, all) < part;
}

/* --- figures ------------------------------------------------------------------------------ */

static uint32_t more(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static struct rehearsal_point *point_at(struct world *world, uint64_t now_ms)
{
    uint64_t i = now_ms * REHEARSAL_POINTS / world->end_ms;
    return &world->result->points[i < REHEARSAL_POINTS ? i : REHEARSAL_POINTS - 1];
}

static void note_point(struct world *world, struct rehearsal_point *point)
{
    point->waiting = more(point->waiting, world->waiting);
    point->conns = more(point->conns, world->conns);
    point->busy = more(point->busy, world->busy);
}

static void note(struct world *world)
{
    struct rehearsal *result = world->result;
    note_point(world, point_at(world, world->now_ms));
    result->waiting_most = more(result->waiting_most, world->waiting);
    result->conns_most = more(result->conns_most, world->conns);
    result->busy_most = more(result->busy_most, world->busy);
}

/* Time moves on; what there is has been there since it last moved. */
static void move_to(struct world *world, uint64_t now_ms)
{
    struct rehearsal_point *first = point_at(world, world->now_ms);
    struct rehearsal_point *last = point_at(world, now_ms);
    for (struct rehearsal_point *point = first; point <= last; point++)
        note_point(world, point);
    double passed_ms = (double)(now_ms - world->now_ms);
    world->conns_ms += passed_ms * world->conns;
    world->busy_ms += passed_ms * world->busy;
    world->now_ms = now_ms;
}

static void note_wait(struct world *world, uint64_t waited_ms)
{
    struct rehearsal *result = world->result;
    result->granted++;
    result->wait_most_ms = waited_ms > result->wait_most_ms ? waited_ms : result->wait_most_ms;
    world->wait_sum_ms += (double)waited_ms;
    world->waits[waited_ms < REHEARSAL_WAIT_MAX ? waited_ms : REHEARSAL_WAIT_MAX - 1]++;
}

static uint32_t wait_at(const struct world *world, uint32_t percent)
{
    uint64_t rank = (world->result->granted * percent + 99) / 100;
    uint64_t seen = 0;
    for (uint32_t ms = 0; ms < REHEARSAL_WAIT_MAX; ms++) {
        seen += world->waits[ms];
        if (seen >= rank)
            return ms;
    }
    return REHEARSAL_WAIT_MAX;
}

static void refuse(struct world *world, weir_err err)
{
    world->result->refused++;
    world->result->refused_by[err]++;
    point_at(world, world->now_ms)->refused++;
}

/* --- the connector ------------------------------------------------------------------------ */

static struct peer *peer_of(struct world *world, weir_conn conn)
{
    return &world->peers[(uint32_t)conn.id];
}

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct world *world = self;
    struct peer *peer = peer_of(world, conn);
    (void)key;
    *peer = (struct peer){.conn = conn};
    heap_set(&world->dials, &peer->due, world->now_ms + draw_dial(world));
    world->conns++;
    world->result->dialled++;
    note(world);
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    struct world *world = self;
    (void)object;
    heap_clear(&world->dials, &peer_of(world, conn)->due);
    world->conns--;
    weir_conn_down(world->pool, conn, why);
}

/* Its lease is overdue: its owner notices, and gives it back. */
static void on_cut(void *self, weir_conn conn, void *object)
{
    struct world *world = self;
    struct call *call = peer_of(world, conn)->call;
    (void)object;
    if (call != NULL) {
        call->breaks = true;
        heap_set(&world->holds, &call->due, world->now_ms);
    }
}

static const weir_connector connector = {.scheme = "trace",
                                         .dial = on_dial,
                                         .close = on_close,
                                         .cut = on_cut};

/* --- callers ------------------------------------------------------------------------------ */

static void forget(struct world *world, struct call *call)
{
    slots_give(&world->calls, slots_id_of(&world->calls, call));
}

static void hold(struct world *world, struct call *call, weir_lease lease, struct peer *peer)
{
    call->lease = lease;
    call->peer = peer;
    peer->call = call;
    world->busy++;
    if (call->leaks)
        world->result->leaked++;
    else
        heap_set(&world->holds, &call->due, world->now_ms + call->hold_ms);
    note(world);
}

static void on_grant(void *arg, const weir_grant *grant)
{
    struct call *call = arg;
    struct world *world = call->world;
    world->waiting--;
    if (grant->err != WEIR_OK) {
        refuse(world, grant->err);
        forget(world, call);
        return;
    }
    note_wait(world, grant->waited_ms);
    hold(world, call, grant->lease, grant->object);
}

static void give_back(struct world *world, struct call *call)
{
    struct peer *peer = call->peer;
    if (world->plan->trace->has_latency)
        weir_conn_latency(world->pool, peer->conn, call->latency_ms * 1000);
    peer->call = NULL;
    world->busy--;
    world->result->broken += call->breaks;
    weir_release_why(world->pool, call->lease, call->breaks ? WEIR_BROKEN : WEIR_KEEP, WEIR_ERESET);
    forget(world, call);
}

static void arrive(struct world *world, const struct trace_line *line)
{
    const struct rehearsal_plan *plan = world->plan;
    const weir_key *key = &world->keys[rand_below(&world->rand, plan->keys)];
    uint64_t id;
    struct call *call = slots_take(&world->calls, &id);
    weir_lease lease;
    void *object;
    world->result->arrivals++;
    point_at(world, world->now_ms)->arrivals++;
    if (call == NULL) {
        refuse(world, WEIR_EQUEUE);
        return;
    }
    call->world = world;
    call->hold_ms = draw_service(world, plan->trace->has_hold ? line->hold_ms : plan->hold_ms);
    call->latency_ms = line->latency_ms;
    call->breaks = is_one_of(world, line->errors, line->arrivals);
    call->leaks = !plan->without_leaks && is_one_of(world, line->leaked, line->arrivals);
    weir_err err = weir_try_acquire(world->pool, key, 0, &lease, &object);
    if (err == WEIR_OK) {
        note_wait(world, 0);
        hold(world, call, lease, object);
        return;
    }
    err = weir_acquire(world->pool, key, NULL, on_grant, call, &lease);
    if (err == WEIR_OK) {
        world->waiting++;
        note(world);
        return;
    }
    refuse(world, err);
    forget(world, call);
}

/* --- time --------------------------------------------------------------------------------- */

/* Of those that are left the first comes after a share of the rest that chance gives it: so the
 * times of an interval are those of a Poisson process that had as many arrivals in it. */
static void draw_arrival(struct world *world)
{
    const struct trace *trace = world->plan->trace;
    struct player *player = &world->player;
    while (player->left == 0) {
        if (++player->line >= trace->count) {
            player->at_ms = INFINITY;
            return;
        }
        const struct trace_line *line = &trace->lines[player->line];
        player->left = line->arrivals;
        player->at_ms = (double)(line->second - trace->lines[0].second) * 1000;
        player->rest_ms = (double)line->seconds * 1000;
    }
    double gap_ms = player->rest_ms * (1 - pow(uniform(&world->rand), 1 / (double)player->left));
    player->at_ms += gap_ms;
    player->rest_ms -= gap_ms;
    player->left--;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_arrival_ms(const struct world *world)
{
    return isinf(world->player.at_ms) ? UINT64_MAX : (uint64_t)world->player.at_ms;
}

static void do_due(struct world *world)
{
    const struct trace *trace = world->plan->trace;
    struct heap_node *node;
    while ((node = heap_pop_due(&world->dials, world->now_ms)) != NULL) {
        struct peer *peer = container_of(node, struct peer, due);
        weir_conn_up(world->pool, peer->conn, peer, 1);
    }
    while ((node = heap_pop_due(&world->holds, world->now_ms)) != NULL)
        give_back(world, container_of(node, struct call, due));
    if (world->waiting > 0)
        weir_step(world->engine, world->now_ms); /* who is served waits no more */
    while (next_arrival_ms(world) <= world->now_ms) {
        arrive(world, &trace->lines[world->player.line]);
        draw_arrival(world);
    }
}

static void play(struct world *world)
{
    const struct rehearsal_plan *plan = world->plan;
    uint64_t told = 0;
    uint64_t next_ms = weir_step(world->engine, 0);
    draw_arrival(world);
    for (;;) {
        next_ms = least(next_ms, next_arrival_ms(world));
        next_ms = least(next_ms, heap_first_ms(&world->dials));
        next_ms = least(next_ms, heap_first_ms(&world->holds));
        if (next_ms >= world->end_ms)
            break;
        if (next_ms > world->now_ms)
            move_to(world, next_ms);
        do_due(world);
        next_ms = weir_step(world->engine, world->now_ms);
        if (plan->on_progress != NULL && world->result->arrivals >= told + PROGRESS_EVERY) {
            told = world->result->arrivals;
            plan->on_progress(plan->arg, told, plan->trace->arrivals);
        }
    }
    move_to(world, world->end_ms);
}

/* --- the whole ---------------------------------------------------------------------------- */

static uint32_t or_most(uint32_t value, uint32_t most)
{
    return value < most ? value : most;
}

static void *get_memory(void *arg, size_t bytes)
{
    return alloc_zeroed(((struct world *)arg)->plan->alloc, bytes);
}

static void free_memory(void *arg, void *memory)
{
    alloc_free(((struct world *)arg)->plan->alloc, memory);
}

static weir_err open_pool(struct world *world, const char **ret_fault)
{
    const struct rehearsal_plan *plan = world->plan;
    weir_pool_options opt = plan->pool;
    uint32_t waiting_max = opt.waiting_max == 0 ? 1000 : or_most(opt.waiting_max, 1U << 20);
    opt.size = sizeof(opt);
    opt.name = "trace";
    opt.connector = &connector;
    opt.connector_self = world;
    opt.probe_every_ms = WEIR_NEVER; /* the connector has none */
    world->conns_max = or_most(opt.max_total == 0 ? 100 : opt.max_total, REHEARSAL_CONNS_MAX);
    weir_engine_options engine = {.size = sizeof(engine),
                                  .conns_max = world->conns_max,
                                  .waiting_max = waiting_max,
                                  .keys_max = plan->keys,
                                  .events_max = 16,
                                  .seed = plan->seed,
                                  .allocator = {get_memory, free_memory, world}};
    weir_err err = weir_engine_new(&engine, &world->engine);
    if (err == WEIR_OK)
        err = weir_pool_open(world->engine, &opt, &world->pool);
    *ret_fault = err == WEIR_EINVAL && world->engine != NULL ? weir_engine_fault(world->engine)
                                                             : "";
    if (err != WEIR_OK)
        return err;
    const struct alloc *alloc = plan->alloc;
    world->peers = alloc_array(alloc, world->conns_max, sizeof(*world->peers));
    bool fine = world->peers != NULL && heap_init(&world->dials, alloc, world->conns_max)
                && heap_init(&world->holds, alloc, world->conns_max + waiting_max)
                && slots_init(&world->calls, alloc, sizeof(struct call),
                              world->conns_max + waiting_max);
    return fine ? WEIR_OK : WEIR_ENOMEM;
}

static bool name_keys(struct world *world)
{
    uint32_t count = world->plan->keys;
    world->waits = alloc_zeroed(world->plan->alloc, REHEARSAL_WAIT_MAX * sizeof(*world->waits));
    world->hosts = alloc_array(world->plan->alloc, count, sizeof(*world->hosts));
    world->keys = alloc_array(world->plan->alloc, count, sizeof(*world->keys));
    if (world->waits == NULL || world->hosts == NULL || world->keys == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(world->hosts[i], sizeof(world->hosts[i]), "endpoint-%u", i + 1);
        world->keys[i] = (weir_key){.scheme = "trace", .host = world->hosts[i], .port = 1};
    }
    return true;
}

static void sum_up(struct world *world)
{
    struct rehearsal *result = world->result;
    weir_stats stats;
    weir_pool_stats(world->pool, &stats);
    result->reused = stats.reused;
    result->still_waiting = world->waiting;
    result->conns_mean = world->conns_ms / (double)world->end_ms;
    result->busy_mean = world->busy_ms / (double)world->end_ms;
    if (result->granted > 0) {
        result->wait_p50_ms = wait_at(world, 50);
        result->wait_p90_ms = wait_at(world, 90);
        result->wait_p99_ms = wait_at(world, 99);
        result->wait_mean_ms = world->wait_sum_ms / (double)result->granted;
    }
}

static void fini(struct world *world)
{
    const struct alloc *alloc = world->plan->alloc;
    weir_engine_free(world->engine);
    heap_fini(&world->dials);
    heap_fini(&world->holds);
    slots_fini(&world->calls);
    alloc_free(alloc, world->peers);
    alloc_free(alloc, world->waits);
    alloc_free(alloc, world->hosts);
    alloc_free(alloc, world->keys);
}

weir_err rehearse(const struct rehearsal_plan *plan, struct rehearsal *ret, const char **ret_fault)
{
    struct world world = {.plan = plan, .result = ret, .player = {.line = UINT32_MAX}};
    *ret = (struct rehearsal){.begin_s = plan->trace->lines[0].second,
                              .seconds = trace_end(plan->trace) - plan->trace->lines[0].second};
    world.end_ms = ret->seconds * 1000;
    rand_init(&world.rand, plan->seed);
    weir_err err = open_pool(&world, ret_fault);
    if (err == WEIR_OK && !name_keys(&world))
        err = WEIR_ENOMEM;
    if (err == WEIR_OK) {
        play(&world);
        sum_up(&world);
    }
    fini(&world);
    return err;
}
