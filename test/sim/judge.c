/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the core may do what it does: for each thing that it can do, the rule of pool.md that
 * allows it. What it must do is in must.c.
 */
#include "sim/world.h"

#include <string.h>

static const weir_pool_options *opt_of(const struct world *world, const struct sim_conn *conn)
{
    return &world->pools[conn->pool].opt;
}

/* A count of the options, in which zero has a value of its own. */
static uint64_t count_of(uint32_t option)
{
    return option == WEIR_NONE ? 0 : option;
}

static uint64_t least_of(uint64_t ms, uint32_t jitter_pct)
{
    return ms - ms * count_of(jitter_pct) / 100;
}

static uint64_t most_of(uint64_t ms, uint32_t jitter_pct)
{
    return ms + ms * count_of(jitter_pct) / 100;
}

/* --- keys: failure and recovery
 * ------------------------------------------------------------------- */

/* Back-off ends by itself; a hold-down becomes a trial. */
static void pass_time(const struct world *world, struct sim_pair *pair)
{
    if (world->now_ms < pair->retry_least_ms) {
        return;
    }
    if (pair->state == WEIR_KEY_BACKING_OFF) {
        pair->state = WEIR_KEY_UP;
    } else if (pair->state == WEIR_KEY_DOWN) {
        pair->state = WEIR_KEY_TRIAL;
    }
}

static uint64_t pause_ms(const weir_pool_options *opt, uint32_t failures)
{
    uint64_t ms = opt->retry_first_ms;
    for (uint32_t i = 1; i < failures && ms < opt->retry_cap_ms; i++) {
        ms *= opt->retry_factor;
        if (opt->retry_factor <= 1) {
            break;
        }
    }
    return ms < opt->retry_cap_ms ? ms : opt->retry_cap_ms;
}

/* Dials that fail together are one failure: only the first of a round counts. */
void model_dial_failed(struct world *world, struct sim_conn *conn, weir_err why)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    struct sim_pair *pair = &pool->pairs[conn->key];
    pair->errors++;
    pair->failed_step = world->steps;
    world->failed_dials[conn->pool][why] = world->steps;
    /* Once one of an unknown round has failed, the present round is not known either: if that one
     * counted, this one is of the round before, and does not. */
    if (conn->round_unknown || pair->unknown) {
        pair->unknown = true;
        return;
    }
    if (conn->round != pair->round) {
        return;
    }
    pair->round++;
    pair->failures++;
    pair->ramp = pair->ramp > 1 ? pair->ramp / 2 : 1;
    if (pair->failures >= pool->opt.failures_max || why == WEIR_EDENIED) {
        pair->ramp = 1;
        pair->state = WEIR_KEY_DOWN;
        pair->retry_least_ms = pair->retry_most_ms = world->now_ms + pool->opt.down_for_ms;
    } else {
        uint64_t ms = pause_ms(&pool->opt, pair->failures);
        pair->state = WEIR_KEY_BACKING_OFF;
        pair->retry_least_ms = world->now_ms + least_of(ms, pool->opt.jitter_pct);
        pair->retry_most_ms = world->now_ms + most_of(ms, pool->opt.jitter_pct);
    }
}

void model_dial_up(struct world *world, const struct sim_conn *conn)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    struct sim_pair *pair = &pool->pairs[conn->key];
    pass_time(world, pair);
    bool was_down = pair->state == WEIR_KEY_DOWN || pair->state == WEIR_KEY_TRIAL;
    pair->ramp = was_down ? 1 : pair->ramp * 2;
    if (pair->ramp > pool->opt.connecting_max) {
        pair->ramp = pool->opt.connecting_max;
    }
    pair->failures = 0;
    pair->state = WEIR_KEY_UP;
    pair->retry_least_ms = pair->retry_most_ms = 0;
}

void model_learn(struct world *world, uint32_t pool, uint32_t key)
{
    struct sim_pair *pair = &world->pools[pool].pairs[key];
    weir_key_info info = {.size = sizeof info};
    pair->unknown = false;
    if (world->pools[pool].pool == NULL
        || weir_pool_key_of(world->pools[pool].pool, &world->keys[key], &info) != WEIR_OK) {
        return;
    }
    if (info.failures > pair->failures) {
        pair->round++;
        pair->ramp = pair->ramp > 1 ? pair->ramp / 2 : 1;
        pair->ramp = info.state == WEIR_KEY_DOWN ? 1 : pair->ramp;
    }
    for (uint32_t i = 0; i < world->conns_top; i++) { /* nor is it known what came before it */
        struct sim_conn *conn = &world->conns[i];
        conn->round_unknown |= conn->pool == pool && conn->key == key;
    }
    pair->failures = info.failures;
    pair->state = info.state;
    pair->retry_least_ms = pair->retry_most_ms = world->now_ms + info.retry_after_ms;
}

void model_remember(struct world *world, uint32_t pool, uint32_t key)
{
    struct sim_pair *pair = &world->pools[pool].pairs[key];
    weir_key_info info = {.size = sizeof info};
    if (weir_pool_key_of(world->pools[pool].pool, &world->keys[key], &info) == WEIR_OK) {
        return;
    }
    pass_time(world, pair);
    if (pair->state == WEIR_KEY_BACKING_OFF || pair->state == WEIR_KEY_DOWN) {
        fault(world, "a key was forgotten while it backed off");
    }
    *pair = (struct sim_pair){.state = WEIR_KEY_UP, .ramp = 1};
}

/* --- dials
 * ------------------------------------------------------------------------------------------ */

struct tally {
    uint32_t of_engine, of_pool, of_key, dialling;
    uint32_t waiting;       /* for the key */
    uint32_t waiting_fresh; /* for the key, and for a connection that has not served */
    uint32_t waiting_total; /* in the pool, for other keys */
};

static struct tally tally_of(const struct world *world, uint32_t pool, uint32_t key)
{
    struct tally tally = {0};
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *conn = &world->conns[i];
        bool lives = conn->phase != PHASE_NONE;
        bool mine = lives && conn->pool == pool && conn->key == key;
        tally.of_engine += lives;
        tally.of_pool += lives && conn->pool == pool;
        tally.of_key += mine;
        tally.dialling += mine && conn->phase == PHASE_DIALLING;
    }
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *client = &world->clients[i];
        bool waits = client->phase == CLIENT_WAITING && client->pool == pool;
        tally.waiting += waits && client->key == key;
        tally.waiting_fresh += waits && client->key == key && (client->flags & WEIR_FRESH);
        tally.waiting_total += waits && client->key != key;
    }
    return tally;
}

static bool dials_unasked(const struct sim_pool *pool)
{
    const weir_pool_options *opt = &pool->opt;
    return pool->streams || pool->displaces || keeps_ready(opt) || opt->hedge == WEIR_ON
           || opt->warm != WEIR_OFF || opt->reconnect == WEIR_EAGER
           || opt->max_age_ms != WEIR_NEVER;
}

void judge_warm(struct world *world, struct sim_pool *pool)
{
    if (pool->warm) {
        fault(world, "%s was told to be warm a second time", pool->name);
    }
    pool->warm = true;
    bool is_by_conns = warms_by_dials(&pool->opt) && pool->opt.warm != WEIR_WARM_TCP;
    for (uint32_t k = 0; k < world->keys_count && is_by_conns && !world->burst; k++) {
        if (pool->pairs[k].wanted && pool->pairs[k].created == 0) {
            fault(world, "%s is warm, and has never had a connection of %u", pool->name, k);
        }
    }
}

/* A dial of a warm-up that nobody waits for comes at its pace. */
static void judge_pace(struct world *world, struct sim_pool *pool, const struct sim_pair *pair,
                       uint32_t waiting)
{
    bool may_be_warm = pair->created > 0
                       || (pool->opt.warm == WEIR_WARM_TCP && pair->handshakes > 0);
    if (!warms_by_dials(&pool->opt) || !pair->wanted || may_be_warm || waiting > 0
        || pool->opt.reconnect == WEIR_EAGER) {
        return;
    }
    if (pool->warmed_ms > 0 && world->now_ms < pool->warmed_ms + pool->opt.warm_every_ms) {
        fault(world, "a warm-up in a hurry");
    }
    pool->warmed_ms = world->now_ms;
}

void judge_dial(struct world *world, uint32_t pool, uint32_t key)
{
    struct sim_pool *home = &world->pools[pool];
    struct sim_pair *pair = &home->pairs[key];
    struct tally tally = tally_of(world, pool, key);
    pass_time(world, pair);
    if (home->closing) {
        fault(world, "a dial in a pool that closes");
    }
    bool updated = home->updated_step == world->steps && world->burst;
    if (updated) {
        return; /* the limits were others when it was decided */
    }
    if (tally.of_engine >= world->options.conns_max || tally.of_pool >= home->opt.max_total
        || tally.of_key >= home->opt.max_per_key) {
        fault(world, "a dial above a limit: %u of the engine, %u of the pool, %u of the key",
              tally.of_engine, tally.of_pool, tally.of_key);
    }
    if (world->burst || pair->failed_step == world->steps) {
        return; /* it was decided before the rest of this step */
    }
    if (pair->state == WEIR_KEY_BACKING_OFF || pair->state == WEIR_KEY_DOWN) {
        fault(world, "a dial while the key is %s", weir_key_state_word(pair->state));
    }
    uint32_t most = pair->state == WEIR_KEY_TRIAL ? 1 : pair->ramp;
    most = most < home->opt.connecting_max ? most : home->opt.connecting_max;
    if (tally.dialling >= most) {
        fault(world, "%u dials under way, %u allowed", tally.dialling + 1, most);
    }
    uint32_t joined = pair->joined == world->steps ? pair->joined_count : 0;
    joined += pair->left == world->steps ? pair->left_count : 0;
    judge_pace(world, home, pair, tally.waiting + joined);
    if (!dials_unasked(home) && tally.dialling >= tally.waiting + joined) {
        fault(world, "a dial that nobody asked for");
    }
}

/* --- time-outs and closing
 * -------------------------------------------------------------------------- */

uint64_t model_idle_limit(const struct world *world, const struct sim_conn *conn)
{
    uint64_t limit_ms = opt_of(world, conn)->idle_timeout_ms;
    limit_ms = conn->idle_ms < limit_ms ? conn->idle_ms : limit_ms;
    return limit_ms == WEIR_NEVER ? UINT64_MAX : limit_ms;
}

void judge_probe(struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = opt_of(world, conn);
    if (conn->phase != PHASE_UP || conn->leases > 0) {
        fault(world, "a probe of a connection that is not idle");
    }
    bool warming = opt->warm == WEIR_WARM_PROBE
                   && (world->burst || world->pools[conn->pool].pairs[conn->key].wanted)
                   && conn->up_ms == world->now_ms;
    if (conn->doubted || warming) {
        return;
    }
    uint64_t least_ms = least_of(opt->probe_every_ms, opt->jitter_pct);
    if (opt->probe_every_ms == WEIR_NEVER || world->now_ms < conn->used_ms + least_ms
        || world->now_ms < conn->verified_ms + least_ms) {
        fault(world, "a probe before its time");
    }
}

void judge_cut(struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = opt_of(world, conn);
    if (conn->phase != PHASE_UP || conn->leases == 0) {
        fault(world, "cut a connection without a lease");
    }
    if (world->now_ms >= conn->cut_ms) {
        return;
    }
    bool overdue = false;
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *client = &world->clients[i];
        overdue |= client->phase == CLIENT_HOLDING && client->conn == conn->id
                   && opt->lease_timeout_ms != WEIR_NEVER
                   && world->now_ms >= client->since_ms + opt->lease_timeout_ms;
    }
    if (!overdue) {
        fault(world, "cut a connection before its time");
    }
}

/* What ends the dial now, or WEIR_OK. */
static weir_err dial_end(const struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = opt_of(world, conn);
    uint32_t limit_ms = conn->handshaking ? opt->tls_timeout_ms : opt->connect_timeout_ms;
    if (conn->phase != PHASE_DIALLING || limit_ms == WEIR_NEVER
        || world->now_ms < conn->since_ms + limit_ms) {
        return WEIR_OK;
    }
    return conn->handshaking ? WEIR_ETLS_TIMEOUT : WEIR_ECONNECT_TIMEOUT;
}

void model_time(struct world *world)
{
    for (uint32_t i = 0; i < world->conns_top; i++) {
        struct sim_conn *conn = &world->conns[i];
        weir_err why = conn->phase == PHASE_DIALLING ? dial_end(world, conn) : WEIR_OK;
        if (why != WEIR_OK) {
            model_dial_failed(world, conn, why);
        }
    }
}

static bool is_idle(const struct sim_conn *conn)
{
    return conn->phase == PHASE_UP && conn->leases == 0;
}

static bool is_idle_due(struct world *world, const struct sim_conn *conn)
{
    bool learned = pair_of(world, conn)->hangups >= 3;
    return is_idle(conn)
           && (learned || world->now_ms >= conn->used_ms + model_idle_limit(world, conn));
}

static bool is_age_due(const struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = opt_of(world, conn);
    return is_idle(conn) && opt->max_age_ms != WEIR_NEVER
           && world->now_ms >= conn->up_ms + least_of(opt->max_age_ms, opt->jitter_pct);
}

/* Evicted: somebody waits for another key, there is no room, and nothing was idle for longer. */
static bool may_be_evicted(const struct world *world, const struct sim_conn *conn)
{
    const struct sim_pool *home = &world->pools[conn->pool];
    struct tally tally = tally_of(world, conn->pool, conn->key);
    if (is_idle(conn) && (tally.waiting_fresh > 0 || world->burst)) {
        return true; /* for a caller of its own key that wants a fresh one */
    }
    /* Or for one whose time, or whose dial's, is up by now. Where the clock jumps, the end of a
     * back-off, or a review of the size, and the end of that caller's wait come in one step, in
     * their order: at the first, a connection goes for it; and it hears that its time is up before
     * the connector hears that. */
    if (is_idle(conn) && world->timers_ran && tally.of_key >= home->opt.max_per_key
        && home->pairs[conn->key].gave_up_fresh == world->steps) {
        return true;
    }
    if (!is_idle(conn) || home->opt.refuse_when_full == WEIR_ON) {
        return false;
    }
    if (!world->burst && tally.of_pool < home->opt.max_total
        && tally.of_engine < world->options.conns_max) {
        return false;
    }
    bool exact = !world->burst && !keeps_ready(&home->opt); /* the ones that are kept move up */
    for (uint32_t i = 0; i < world->conns_top && exact; i++) {
        const struct sim_conn *other = &world->conns[i];
        bool rival = other->phase == PHASE_UP && other->leases == 0 && other->ends == WEIR_OK
                     && other->pool == conn->pool && other->used_ms < conn->used_ms;
        const struct sim_pair *pair = &home->pairs[other->key];
        if (rival && pair->waiting == 0 && !world->timers_ran) {
            return false;
        }
    }
    return tally.waiting_total > 0 || world->burst || world->timers_ran;
}

static bool is_surplus(const struct world *world, const struct sim_conn *conn)
{
    const weir_pool_options *opt = opt_of(world, conn);
    struct tally tally = tally_of(world, conn->pool, conn->key);
    uint32_t idle = 0;
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *other = &world->conns[i];
        idle += other->phase == PHASE_UP && other->leases == 0 && other->pool == conn->pool
                && other->key == conn->key;
    }
    bool lowered = tally.of_pool > opt->max_total || tally.of_key > opt->max_per_key;
    if (conn->phase == PHASE_DIALLING || conn->phase == PHASE_PROBING) {
        return lowered || world->burst;
    }
    return is_idle(conn)
           && (world->burst || lowered || opt->size_min != WEIR_NONE || conn->outlawed
               || idle > count_of(opt->max_idle));
}

static bool may_close(struct world *world, const struct sim_conn *conn, weir_err why)
{
    const weir_pool_options *opt = opt_of(world, conn);
    const struct sim_pool *home = &world->pools[conn->pool];
    bool dialling = conn->phase == PHASE_DIALLING;
    switch ((int)why) {
    case WEIR_ECONNECT_TIMEOUT:
    case WEIR_ETLS_TIMEOUT: return dial_end(world, conn) == why;
    case WEIR_EIDLE: return is_idle_due(world, conn);
    case WEIR_EAGE: return is_age_due(world, conn);
    case WEIR_EADDRESS: return is_idle(conn) && conn->displaced;
    case WEIR_EPROBE_TIMEOUT:
        return conn->phase == PHASE_PROBING
               && world->now_ms >= conn->since_ms + opt->probe_timeout_ms;
    case WEIR_EUSES: return is_idle(conn) && conn->uses >= opt->max_uses;
    case WEIR_EEVICTED: return may_be_evicted(world, conn);
    case WEIR_ESURPLUS: return is_surplus(world, conn);
    case WEIR_EFLUSHED: return conn->flushed && (dialling || conn->leases == 0);
    case WEIR_ECLOSED: return home->closing && (dialling || conn->leases == 0);
    case WEIR_EHANGUP: return is_idle(conn) && conn->unfit;
    case WEIR_ELEASE_TIMEOUT: return conn->cut && is_idle(conn);
    case WEIR_ERETIRED:
        return is_idle(conn)
               && (conn->ends == WEIR_ERETIRED || (opt->reuse == WEIR_NO_REUSE && conn->uses > 0));
    case WEIR_EBROKEN: return conn->ends == WEIR_EBROKEN || (conn->doubted && !home->probes);
    default: return conn->ends == why && conn->ends != WEIR_OK;
    }
}

void judge_close(struct world *world, struct sim_conn *conn, weir_err why)
{
    if (conn->phase == PHASE_CLOSING) {
        fault(world, "closed twice");
    }
    if (!may_close(world, conn, why)) {
        fault(world, "closed for %s, which was not the case", weir_err_word(why));
    }
    if (why == WEIR_EPROBE_TIMEOUT) {
        world->pools[conn->pool].failed_by[why]++;
    }
}

/* --- leases
 * ------------------------------------------------------------------------------------------- */

/* The idle connection that the order of reuse puts first. */
static bool goes_before(const weir_pool_options *opt, const struct sim_conn *a,
                        const struct sim_conn *b)
{
    switch (opt->reuse) {
    case WEIR_OLDEST: return a->used_ms < b->used_ms;
    case WEIR_FEWEST: return a->uses < b->uses;
    default: return a->used_ms > b->used_ms;
    }
}

static uint64_t heard_ms(const struct sim_conn *conn)
{
    return conn->used_ms > conn->verified_ms ? conn->used_ms : conn->verified_ms;
}

bool model_is_careful(const struct world *world, const struct sim_client *client)
{
    const uint32_t replay = WEIR_IDEMPOTENT | WEIR_REPLAYABLE;
    return (client->flags & replay) != replay
           && world->pools[client->pool].opt.reuse == WEIR_NEWEST;
}

bool model_is_risky(const struct world *world, const struct sim_conn *conn)
{
    bool learned = world->pools[conn->pool].pairs[conn->key].hangups >= 3;
    uint64_t idle_ms = world->now_ms - conn->used_ms;
    return learned || (conn->idle_ms != WEIR_NEVER && idle_ms * 4 >= conn->idle_ms * UINT64_C(3));
}

static bool is_choosable(const struct sim_conn *conn, const struct sim_client *client)
{
    return conn->phase == PHASE_UP && conn->leases == 0 && !conn->unfit && conn->ends == WEIR_OK
           && conn->pool == client->pool && conn->key == client->key;
}

/* What cannot be sent twice goes where the peer was heard last, unless the newest was heard within
 * a second. Where time-outs of the peer's own are at play, the model has no opinion. */
static uint64_t choice_by_hazard(const struct world *world, const struct sim_client *client,
                                 const struct sim_conn *newest)
{
    const struct sim_conn *best = newest;
    uint32_t count = 0, ties = 0;
    if (world->now_ms - heard_ms(newest) <= 1000) {
        return newest->idle_ms == WEIR_NEVER ? newest->id : 0;
    }
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *conn = &world->conns[i];
        if (!is_choosable(conn, client)) {
            continue;
        }
        if (conn->idle_ms != WEIR_NEVER || ++count > 16) {
            return 0;
        }
        ties += conn != best && heard_ms(conn) == heard_ms(best);
        if (heard_ms(conn) > heard_ms(best)) {
            best = conn;
            ties = 0;
        }
    }
    return ties == 0 ? best->id : 0;
}

uint64_t model_choice(const struct world *world, const struct sim_client *client)
{
    const struct sim_pool *pool = &world->pools[client->pool];
    bool careful = model_is_careful(world, client);
    const struct sim_conn *best = NULL;
    if (world->burst || pool->streams || keeps_ready(&pool->opt) || (client->flags & WEIR_FRESH)) {
        return 0;
    }
    if (crowd_is_at_play(pool) && (pool->tells || crowd_has_no_place(world, pool, client->key))) {
        return 0; /* which are slow is not the model's to know; who waits for turns gets nothing */
    }
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *conn = &world->conns[i];
        if (!is_choosable(conn, client)) {
            continue;
        }
        if (best != NULL && !goes_before(&pool->opt, conn, best)
            && !goes_before(&pool->opt, best, conn)) {
            return 0; /* a tie: no opinion */
        }
        if (best == NULL || goes_before(&pool->opt, conn, best)) {
            best = conn;
        }
    }
    if (best != NULL && careful) {
        return pool->pairs[client->key].hangups < 3 ? choice_by_hazard(world, client, best) : 0;
    }
    return best != NULL ? best->id : 0;
}

static void judge_room(struct world *world, const struct sim_client *client,
                       const weir_grant *grant)
{
    const struct sim_conn *conn = conn_of(world, grant->conn.id);
    if (conn == NULL) {
        fault(world, "a lease on a connection that is gone");
        return;
    }
    const weir_pool_options *opt = opt_of(world, conn);
    void *object = (void *)(uintptr_t)conn->id;
    if (conn->pool != client->pool || conn->key != client->key) {
        fault(world, "a lease on a connection of another key");
    }
    if (conn->phase != PHASE_UP || (conn->ends != WEIR_OK && !world->burst)) {
        fault(world, "a lease on a connection that is not for use");
    }
    if (grant->object != object && !conn->admitted) {
        fault(world, "a lease with another connection's object");
    }
    bool room = conn->leases < conn->leases_max && conn->leases < opt->leases_hard;
    if (!room && !world->burst) {
        fault(world, "lease %u on a connection that takes %u", conn->leases + 1, conn->leases_max);
    }
    if (!world->burst && crowd_is_full(world, &world->pools[client->pool], client->key)) {
        fault(world, "a lease more than its endpoint takes");
    }
    if (conn->uses >= opt->max_uses) {
        fault(world, "a lease on a connection that has served enough");
    }
    bool stale = (client->flags & WEIR_FRESH) && conn->uses > 0;
    if ((grant->reused != (conn->uses > 0) || stale) && !world->burst) {
        fault(world, "fresh or reused, against what was said or asked");
    }
    if (client->expected_conn != 0 && conn->uses > 0 && client->since_ms == world->now_ms
        && !world->timers_ran && client->turn == world->turns
        && client->expected_conn != conn->id) {
        fault(world, "another connection than the order of reuse has it");
    }
}

static bool may_fail(const struct world *world, const struct sim_client *client, weir_err err)
{
    const struct sim_pool *pool = &world->pools[client->pool];
    const struct sim_pair *pair = &pool->pairs[client->key];
    switch ((int)err) {
    case WEIR_ECANCELED: return client->canceled;
    case WEIR_EACQUIRE_TIMEOUT: return world->now_ms >= client->deadline_ms;
    case WEIR_ECLOSED: return pool->closing;
    case WEIR_EDOWN:
        return !(client->flags & WEIR_WAIT_DOWN)
               && (pair->state == WEIR_KEY_DOWN || pair->failed_step == world->steps);
    case WEIR_EFULL: return pool->opt.refuse_when_full == WEIR_ON;
    case WEIR_EQUEUE: return pool->crowded_step == world->steps;
    default:
        return pool->opt.on_dial_error == WEIR_FAIL
               && world->failed_dials[client->pool][err] == world->steps
               && pair->failed_step == world->steps;
    }
}

void judge_grant(struct world *world, const struct sim_client *client, const weir_grant *grant)
{
    if (client->phase != CLIENT_WAITING || client->lease != grant->lease.id) {
        fault(world, "called back twice, or for another lease");
    } else if (grant->err != WEIR_OK) {
        if (!may_fail(world, client, grant->err)) {
            fault(world, "failed with %s, which was not the case", weir_err_word(grant->err));
        }
    } else if (client->canceled) {
        fault(world, "served after it had canceled");
    } else {
        judge_room(world, client, grant);
    }
}

/* --- answers of acquire and try_acquire
 * ---------------------------------------------------------------- */

static uint64_t leases_max_of(const struct world *world)
{
    return (uint64_t)world->options.conns_max + world->options.waiting_max;
}

/* Callers that wait in a pool, by their tenant: keys have five in turn, of which one is none. */
static void count_tenants(const struct world *world, uint32_t pool, uint32_t ret_waiting[static 5])
{
    memset(ret_waiting, 0, 5 * sizeof *ret_waiting);
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *client = &world->clients[i];
        bool waits = client->phase == CLIENT_WAITING && client->pool == pool;
        ret_waiting[client->key % 5] += waits;
    }
}

/* Where the queue is full it is the tenant with the most callers there that goes without. */
static bool is_share_full(const struct world *world, const struct sim_client *client)
{
    uint32_t waiting[5];
    count_tenants(world, client->pool, waiting);
    bool is_full = true;
    for (uint32_t i = 0; i < 5; i++) {
        is_full &= waiting[i] <= waiting[client->key % 5] + 1;
    }
    return is_full || world->burst || world->options.groups_max < GROUPS_ENOUGH;
}

static bool is_crowded(const struct world *world, const struct sim_client *client)
{
    const struct sim_pool *pool = &world->pools[client->pool];
    struct tally tally = tally_of(world, client->pool, client->key);
    uint32_t in_engine = 0;
    for (uint32_t i = 0; i < world->clients_count; i++) {
        in_engine += world->clients[i].phase == CLIENT_WAITING;
    }
    return tally.waiting + tally.waiting_total >= count_of(pool->opt.waiting_max)
           || in_engine >= world->options.waiting_max;
}

/* Where a key has not all that it may have, those who come first wait for what others have. */
static bool is_wait_known(const struct world *world, const struct sim_pool *pool,
                          const struct tally *tally)
{
    return tally->waiting > 0 || tally->of_key >= pool->opt.max_per_key
           || tally->of_key == tally->of_pool || pool->opt.concurrency != WEIR_OFF || world->burst;
}

static bool may_refuse(const struct world *world, const struct sim_client *client, weir_err err)
{
    const struct sim_pool *pool = &world->pools[client->pool];
    const struct sim_pair *pair = &pool->pairs[client->key];
    struct tally tally = tally_of(world, client->pool, client->key);
    uint64_t in_pool = tally.waiting + tally.waiting_total;
    uint64_t in_engine = 0;
    uint64_t leases = 0;
    uint64_t most_ms = (tally.waiting + UINT64_C(1)) * pair->hold_most_ms;
    uint64_t backs_off_ms = pair->retry_most_ms > world->now_ms
                                ? pair->retry_most_ms - world->now_ms
                                : 0;
    for (uint32_t i = 0; i < world->clients_count; i++) {
        in_engine += world->clients[i].phase == CLIENT_WAITING;
        leases += world->clients[i].phase != CLIENT_AWAY;
    }
    switch ((int)err) {
    case WEIR_EDOWN:
        return (pair->state == WEIR_KEY_DOWN || pair->unknown) && !(client->flags & WEIR_WAIT_DOWN);
    case WEIR_EQUEUE:
        return leases >= leases_max_of(world)
               || ((in_pool >= count_of(pool->opt.waiting_max)
                    || in_engine >= world->options.waiting_max)
                   && is_share_full(world, client));
    case WEIR_EWAIT:
        return pair->unknown || backs_off_ms > client->deadline_ms - client->since_ms
               || (most_ms > client->deadline_ms - client->since_ms
                   && is_wait_known(world, pool, &tally));
    case WEIR_EFULL:
        return pool->opt.refuse_when_full == WEIR_ON
               && (world->burst || tally.of_pool >= pool->opt.max_total
                   || tally.of_engine >= world->options.conns_max);
    case WEIR_ECONNS: return tally.of_engine >= world->options.conns_max;
    case WEIR_EKEYS: return world->options.keys_max < 600;
    default: return false;
    }
}

void judge_acquire(struct world *world, const struct sim_client *client, weir_err err)
{
    struct sim_pair *pair = &world->pools[client->pool].pairs[client->key];
    pass_time(world, pair);
    if (err == WEIR_OK) {
        if (is_crowded(world, client)) {
            world->pools[client->pool].crowded_step = world->steps;
        }
        if (pair->state == WEIR_KEY_DOWN && !(client->flags & WEIR_WAIT_DOWN)) {
            fault(world, "not refused although the key is down");
        }
    } else if (!may_refuse(world, client, err)) {
        fault(world, "refused with %s, which was not the case", weir_err_word(err));
    }
}

void judge_try(struct world *world, const struct sim_client *client, weir_err err)
{
    struct sim_pair *pair = &world->pools[client->pool].pairs[client->key];
    bool somebody_waits = false;
    uint64_t leases = 0;
    pass_time(world, pair);
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *other = &world->clients[i];
        leases += other->phase != CLIENT_AWAY;
        somebody_waits |= other->phase == CLIENT_WAITING && !other->canceled
                          && other->pool == client->pool && other->key == client->key;
    }
    if (err == WEIR_OK && somebody_waits && !world->burst) {
        fault(world, "overtook somebody who waits");
    }
    bool record = leases < leases_max_of(world); /* for one more lease */
    if (err == WEIR_EAGAIN && client->expected_conn != 0 && !somebody_waits && record) {
        fault(world, "nothing at once, although one is idle");
    }
    if (err != WEIR_OK && err != WEIR_EAGAIN && !may_refuse(world, client, err)) {
        fault(world, "refused with %s, which was not the case", weir_err_word(err));
    }
}
