/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens next: a client asks, gives back or leaves; a peer answers, late, twice or not at
 * all; an operator updates, flushes, closes; time passes. The answer of each call is judged where
 * it is made.
 */
#include "sim/world.h"

#include <stdio.h>
#include <string.h>

static bool is_open(const struct sim_pool *pool)
{
    return pool->pool != NULL && !pool->closing;
}

static struct sim_pool *some_pool(struct world *world)
{
    return &world->pools[rand_below(&world->rand, world->pools_count)];
}

/* A few keys are popular. */
static uint16_t some_key(struct world *world)
{
    return (uint16_t)rand_below(&world->rand, rand_below(&world->rand, world->keys_count) + 1);
}

static void expect(struct world *world, const char *what, weir_err is, weir_err should)
{
    if (is != should) {
        fault(world, "%s answered %s, expected %s", what, weir_err_word(is), weir_err_word(should));
    }
}

/* --- clients ------------------------------------------------------------------------------------
 */

static uint32_t some_flags(struct world *world)
{
    uint32_t flags = 0;
    flags |= rand_chance(&world->rand, 30) ? WEIR_WAIT_DOWN : 0U;
    flags |= rand_chance(&world->rand, world->nature.fresh) ? WEIR_FRESH : 0U;
    flags |= rand_chance(&world->rand, world->nature.idempotent) ? WEIR_IDEMPOTENT | WEIR_REPLAYABLE
                                                                 : 0U;
    return flags;
}

static void client_tries(struct world *world, struct sim_client *client)
{
    struct sim_pool *pool = &world->pools[client->pool];
    weir_lease lease = {0};
    void *object = NULL;
    client->canceled = false;
    client->turn = ++world->turns;
    client->since_ms = world->now_ms;
    client->expected_conn = model_choice(world, client);
    weir_err err = weir_try_acquire(pool->pool, &world->keys[client->key], client->flags, &lease,
                                    &object);
    client->lease = lease.id;
    trace_client(world, client, "try", weir_err_word(err));
    judge_try(world, client, err);
    if (err != WEIR_OK) {
        client->lease = 0;
        return;
    }
    client->phase = CLIENT_WAITING; /* for the length of the judgement */
    weir_grant grant = {.lease = lease, .conn = {(uint64_t)(uintptr_t)object}, .object = object};
    struct sim_conn *conn = conn_of(world, grant.conn.id);
    grant.reused = conn != NULL && conn->uses > 0;
    pool->acquires++;
    world_granted(client, &grant);
}

static void client_acquires(struct world *world, struct sim_client *client)
{
    struct sim_pool *pool = &world->pools[client->pool];
    weir_acquire_options opt = {.size = sizeof opt, .flags = client->flags};
    weir_lease lease = {0};
    if (rand_chance(&world->rand, 300)) {
        opt.timeout_ms = (uint32_t)rand_between(&world->rand, 1, 20000);
    }
    client->turn = ++world->turns;
    client->since_ms = world->now_ms;
    uint32_t timeout_ms = opt.timeout_ms != 0 ? opt.timeout_ms : pool->opt.acquire_timeout_ms;
    client->deadline_ms = world->now_ms + timeout_ms;
    client->canceled = false;
    client->expected_conn = model_choice(world, client);
    weir_err err = weir_acquire(pool->pool, &world->keys[client->key], &opt, world_granted, client,
                                &lease);
    client->lease = lease.id;
    trace_client(world, client, "acquire", weir_err_word(err));
    judge_acquire(world, client, err);
    pool->acquires++;
    if (err != WEIR_OK) {
        client->lease = 0;
        pool->refused++;
        return;
    }
    client->phase = CLIENT_WAITING;
    struct sim_pair *pair = &pool->pairs[client->key];
    pair->joined_count = pair->joined == world->steps ? pair->joined_count + 1 : 1;
    pair->joined = world->steps;
}

static void client_comes(struct world *world, struct sim_client *client)
{
    struct sim_pool *pool = some_pool(world);
    if (!is_open(pool) || !pool->dials) {
        return;
    }
    client->pool = pool->number;
    client->key = some_key(world);
    client->flags = some_flags(world);
    model_remember(world, client->pool, client->key);
    if (rand_chance(&world->rand, 300)) {
        client_tries(world, client);
    } else {
        client_acquires(world, client);
    }
}

static void client_cancels(struct world *world, struct sim_client *client)
{
    struct sim_pool *pool = &world->pools[client->pool];
    if (client->canceled) {
        return; /* in this burst already */
    }
    trace_client(world, client, "cancel", "");
    expect(world, "canceling a lease",
           weir_release(pool->pool, (weir_lease){client->lease}, WEIR_KEEP), WEIR_OK);
    client->canceled = true;
    world->pools[client->pool].recanted |= world->burst;
    world->recanted |= world->burst;
}

/* The model's side of a release. */
static void model_release(struct world *world, struct sim_client *client, weir_fate fate,
                          weir_err why)
{
    struct sim_pool *pool = &world->pools[client->pool];
    struct sim_conn *conn = conn_of(world, client->conn);
    struct sim_pair *pair = &pool->pairs[client->key];
    uint64_t held_ms = world->now_ms - client->since_ms;
    pair->hold_most_ms = held_ms > pair->hold_most_ms ? held_ms : pair->hold_most_ms;
    pool->released++;
    client->phase = CLIENT_AWAY;
    client->lease = 0;
    if (conn == NULL) {
        return;
    }
    conn->leases--;
    conn->used_ms = world->now_ms;
    conn->idle_turn = ++world->turns;
    if (conn->phase == PHASE_CLOSING) {
        return;
    }
    if (fate == WEIR_RETIRE && conn->ends == WEIR_OK) {
        conn->ends = WEIR_ERETIRED;
    }
    if (fate == WEIR_BROKEN) {
        world->upheaval |= world->burst;
        conn->ends = conn->broken ? conn->ends : why != WEIR_OK ? why : WEIR_EBROKEN;
        conn->unfit = conn->broken = true;
    }
    if (fate == WEIR_UNKNOWN) {
        conn->doubted = true;
    }
}

/* How long its answer took; loaded, it takes longer. */
static void conn_tells(struct world *world, struct sim_pool *pool, const struct sim_client *client)
{
    uint32_t load = crowd_held(world, pool, client->key);
    uint32_t latency_us = (uint32_t)rand_below(&world->late, 1000 + (uint64_t)load * load * 1000);
    if (conn_of(world, client->conn) != NULL) {
        expect(world, "latency",
               weir_conn_latency(pool->pool, (weir_conn){client->conn}, latency_us), WEIR_OK);
        crowd_told(pool, client->key, latency_us);
    }
}

static void client_releases(struct world *world, struct sim_client *client, weir_fate fate)
{
    static const weir_err whys[] = {WEIR_OK, WEIR_ERESET, WEIR_EPROTOCOL, WEIR_EREAD_TIMEOUT};
    struct sim_pool *pool = &world->pools[client->pool];
    weir_err why = fate == WEIR_BROKEN ? whys[rand_below(&world->rand, 4)] : WEIR_OK;
    weir_lease lease = {client->lease};
    trace_client(world, client, "release", weir_fate_word(fate));
    if (pool->tells && rand_chance(&world->late, 500)) {
        conn_tells(world, pool, client);
    }
    crowd_ended(world, pool, client, fate, why);
    expect(world, "releasing a lease", weir_release_why(pool->pool, lease, fate, why), WEIR_OK);
    model_release(world, client, fate, why);
    if (rand_chance(&world->rand, 20)) {
        expect(world, "releasing a lease twice", weir_release(pool->pool, lease, fate),
               WEIR_ESTALE);
    }
}

static weir_fate some_fate(struct world *world)
{
    uint32_t drawn = (uint32_t)rand_below(&world->rand, 1000);
    const struct nature *nature = &world->nature;
    if (drawn < nature->broken) {
        return WEIR_BROKEN;
    }
    drawn -= nature->broken;
    if (drawn < nature->retire) {
        return WEIR_RETIRE;
    }
    drawn -= nature->retire;
    return drawn < nature->unknown ? WEIR_UNKNOWN : WEIR_KEEP;
}

static void act_client(struct world *world)
{
    struct sim_client *client = &world->clients[rand_below(&world->rand, world->clients_count)];
    if (client->phase == CLIENT_AWAY) {
        client_comes(world, client);
    } else if (world->pools[client->pool].pool == NULL) {
        client->phase = CLIENT_AWAY; /* its pool is gone, and its lease with it */
    } else if (client->phase == CLIENT_WAITING) {
        if (rand_chance(&world->rand, world->nature.cancel)) {
            client_cancels(world, client);
        }
    } else {
        client_releases(world, client, some_fate(world));
    }
}

/* --- peers --------------------------------------------------------------------------------------
 */

static struct sim_conn *some_conn(struct world *world)
{
    for (int i = 0; i < 8 && world->conns_top > 0; i++) {
        struct sim_conn *conn = &world->conns[rand_below(&world->rand, world->conns_top)];
        if (conn->phase != PHASE_NONE) {
            return conn;
        }
    }
    return NULL;
}

struct search {
    uint64_t id;
    weir_state state;
};

static bool search(void *arg, const weir_conn_info *info)
{
    struct search *it = arg;
    if (info->conn.id == it->id) {
        it->state = info->state;
    }
    return it->state == WEIR_STATES;
}

/* Within a burst the core has decided what its connector has not heard of yet. */
static bool is_already(const struct world *world, const struct sim_conn *conn, weir_state state)
{
    struct search it = {.id = conn->id, .state = WEIR_STATES};
    if (world->burst) {
        weir_pool_each(world->pools[conn->pool].pool, search, &it);
    }
    return it.state == state;
}

static bool is_doomed(const struct world *world, const struct sim_conn *conn)
{
    return conn->phase != PHASE_CLOSING && is_already(world, conn, WEIR_CLOSING);
}

static void conn_up(struct world *world, struct sim_conn *conn, uint32_t leases_max)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    void *object = (void *)(uintptr_t)conn->id;
    weir_err should = conn->phase == PHASE_DIALLING || conn->phase == PHASE_PROBING ? WEIR_OK
                                                                                    : WEIR_ESTATE;
    trace_conn(world, conn, "up", "");
    expect(world, "up", weir_conn_up(pool->pool, (weir_conn){conn->id}, object, leases_max),
           should);
    if (should != WEIR_OK) {
        return;
    }
    conn->verified_ms = conn->since_ms = world->now_ms;
    if (conn->phase == PHASE_DIALLING) {
        conn->was_up = true;
        conn->leases_max = leases_max;
        conn->up_ms = conn->used_ms = world->now_ms;
        conn->idle_turn = ++world->turns;
        pool->created++;
        pair_of(world, conn)->created++;
        model_dial_up(world, conn);
        if (rand_chance(&world->rand, 500)) {
            conn->address = 1 + (uint32_t)rand_below(&world->rand, ADDRESSES);
            expect(world, "address",
                   weir_conn_address(pool->pool, (weir_conn){conn->id}, conn->address), WEIR_OK);
        }
    }
    conn->phase = PHASE_UP;
}

void act_down(struct world *world, struct sim_conn *conn, weir_err why)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    struct sim_pair *pair = pair_of(world, conn);
    world->upheaval |= world->burst;
    bool probing = conn->phase == PHASE_PROBING || is_already(world, conn, WEIR_PROBING);
    trace_conn(world, conn, "down", weir_err_word(why));
    expect(world, "down", weir_conn_down(pool->pool, (weir_conn){conn->id}, why), WEIR_OK);
    weir_err reason = conn->phase == PHASE_CLOSING ? conn->closes : why;
    if (conn->was_up) {
        pool->failed_by[why] += probing;
        pool->closed++;
        pool->closed_by[reason]++;
        pair->drops += conn->phase != PHASE_CLOSING;
        pair->hangups += conn->phase == PHASE_UP && conn->leases == 0;
    } else {
        pool->failed++;
        pool->failed_by[reason]++;
    }
    if (conn->phase == PHASE_DIALLING) {
        model_dial_failed(world, conn, why);
    }
    conn_dies(world, conn);
}

static void peer_of_dial(struct world *world, struct sim_conn *conn)
{
    static const weir_err whys[] = {WEIR_EREFUSED, WEIR_ECONNECT, WEIR_ERESOLVE, WEIR_ETLS};
    const uint64_t denied = 31;
    struct sim_pool *pool = &world->pools[conn->pool];
    uint32_t drawn = (uint32_t)rand_below(&world->rand, 1000);
    if (drawn < world->nature.stall) {
        return;
    }
    drawn -= world->nature.stall;
    if (drawn < world->nature.refuse) {
        uint64_t which = rand_below(&world->rand, denied + 1);
        act_down(world, conn, which == denied ? WEIR_EDENIED : whys[which % 4]);
    } else if (drawn % 8 == 0 && !conn->handshaking) {
        expect(world, "handshake", weir_conn_handshake(pool->pool, (weir_conn){conn->id}), WEIR_OK);
        conn->handshaking = true;
        pool->pairs[conn->key].handshakes++;
        conn->since_ms = world->now_ms;
        trace_conn(world, conn, "handshake", "");
    } else {
        conn_up(world, conn, pool->streams ? (uint32_t)rand_between(&world->rand, 1, 20) : 1);
    }
}

/* The peer changes its mind about how many streams it allows; 0 is GOAWAY. */
static void peer_room(struct world *world, struct sim_conn *conn)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    uint32_t room = (uint32_t)rand_below(&world->rand, 12);
    trace_conn(world, conn, "room", "");
    expect(world, "room", weir_conn_room(pool->pool, (weir_conn){conn->id}, room), WEIR_OK);
    if (room == 0) {
        conn->ends = conn->ends == WEIR_OK ? WEIR_EGOAWAY : conn->ends;
    }
    conn->leases_max = room;
}

static void peer_of_up(struct world *world, struct sim_conn *conn)
{
    struct sim_pool *pool = &world->pools[conn->pool];
    weir_conn id = {conn->id};
    uint32_t drop = conn->leases == 0 ? world->nature.hangup : world->nature.reset;
    if (rand_chance(&world->rand, drop / 4)) {
        act_down(world, conn, conn->leases == 0 ? WEIR_EHANGUP : WEIR_ERESET);
        return;
    }
    switch (rand_below(&world->rand, 24)) {
    case 0:
        expect(world, "used", weir_conn_used(pool->pool, id), WEIR_OK);
        conn->verified_ms = world->now_ms;
        trace_conn(world, conn, "used", "");
        break;
    case 1:
        conn->idle_ms = (uint32_t)rand_between(&world->rand, 1, 60000);
        expect(world, "idle", weir_conn_idle(pool->pool, id, conn->idle_ms), WEIR_OK);
        trace_conn(world, conn, "idles", "");
        break;
    case 2:
        if (rand_chance(&world->rand, world->nature.retire)) {
            conn->ends = conn->ends == WEIR_OK ? WEIR_ERETIRED : conn->ends;
            expect(world, "retire", weir_conn_retire(pool->pool, id, WEIR_ERETIRED), WEIR_OK);
            trace_conn(world, conn, "retires", "");
        }
        break;
    case 3:
        if (pool->connector.reusable != NULL && rand_chance(&world->rand, world->nature.unfit)) {
            conn->unfit = true;
        }
        break;
    case 4:
        if (pool->streams) {
            peer_room(world, conn);
        }
        break;
    default: break;
    }
}

static void peer_of_probe(struct world *world, struct sim_conn *conn)
{
    uint32_t drawn = (uint32_t)rand_below(&world->rand, 1000);
    if (drawn < world->nature.stall) {
        return;
    }
    if (drawn - world->nature.stall < world->nature.hangup) {
        act_down(world, conn, WEIR_EPROBE);
    } else {
        conn_up(world, conn, conn->leases_max);
    }
}

/* Somebody answers for the dead. */
static void act_ghost(struct world *world)
{
    uint64_t id = world->ghosts[rand_below(&world->rand, GHOSTS)];
    const struct sim_pool *pool = some_pool(world);
    if (id == 0 || pool->pool == NULL || conn_of(world, id) != NULL) {
        return;
    }
    weir_conn ghost = {id};
    expect(world, "up of a ghost", weir_conn_up(pool->pool, ghost, world, 1), WEIR_ESTALE);
    expect(world, "down of a ghost", weir_conn_down(pool->pool, ghost, WEIR_EHANGUP), WEIR_ESTALE);
    expect(world, "used of a ghost", weir_conn_used(pool->pool, ghost), WEIR_ESTALE);
    expect(world, "room of a ghost", weir_conn_room(pool->pool, ghost, 3), WEIR_ESTALE);
}

static void act_peer(struct world *world)
{
    struct sim_conn *conn = some_conn(world);
    if (conn != NULL && is_doomed(world, conn)) {
        return;
    }
    if (conn == NULL || rand_chance(&world->rand, world->nature.late)) {
        act_ghost(world);
        return;
    }
    switch ((enum conn_phase)conn->phase) {
    case PHASE_DIALLING: peer_of_dial(world, conn); break;
    case PHASE_UP: peer_of_up(world, conn); break;
    case PHASE_PROBING: peer_of_probe(world, conn); break;
    case PHASE_CLOSING:
        if (rand_chance(&world->rand, world->nature.late)) {
            conn_up(world, conn, 1); /* too late */
        } else {
            act_down(world, conn, conn->closes);
        }
        break;
    case PHASE_NONE: break;
    }
}

/* --- servers ------------------------------------------------------------------------------------
 */

static uint32_t living_of(const struct world *world, const struct sim_pool *pool, int key)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *conn = &world->conns[i];
        count += conn->phase != PHASE_NONE && (pool == NULL || conn->pool == pool->number)
                 && (key < 0 || conn->key == key);
    }
    return count;
}

static void server_admits(struct world *world, struct sim_pool *pool)
{
    uint16_t key = some_key(world);
    weir_conn id = {0};
    model_remember(world, pool->number, key);
    bool engine_full = living_of(world, NULL, -1) >= world->options.conns_max;
    bool pool_full = living_of(world, pool, -1) >= pool->opt.max_total
                     || living_of(world, pool, key) >= pool->opt.max_per_key;
    /* The object must be the id, which is not known before: the slot is, when it is born. */
    weir_err err = weir_admit(pool->pool, &world->keys[key], "peer", world, &id);
    trace_pool(world, pool, "admit", weir_err_word(err));
    pool->acquires += err != WEIR_OK; /* a peer that is refused is a caller that is */
    pool->refused += err != WEIR_OK;
    if (err == WEIR_EKEYS && world->options.keys_max < 600) {
        return;
    }
    if ((err == WEIR_OK) == (engine_full || pool_full) && !world->burst) {
        fault(world, "admit answered %s, full: %d %d", weir_err_word(err), engine_full, pool_full);
    }
    if (err != WEIR_OK) {
        return;
    }
    struct sim_conn *conn = conn_born(world, id.id, pool->number, key);
    if (conn != NULL) {
        conn->phase = PHASE_UP;
        conn->was_up = conn->admitted = true;
        conn->up_ms = conn->used_ms = conn->verified_ms = world->now_ms;
        conn->idle_turn = ++world->turns;
        pool->created++;
        pool->pairs[key].created++;
    }
}

static void server_leases(struct world *world, struct sim_pool *pool)
{
    struct sim_client *client = &world->clients[rand_below(&world->rand, world->clients_count)];
    struct sim_conn *conn = some_conn(world);
    if (conn == NULL || client->phase != CLIENT_AWAY || conn->pool != pool->number
        || conn->phase == PHASE_DIALLING || is_doomed(world, conn)) {
        return;
    }
    weir_lease lease = {0};
    weir_err err = weir_conn_lease(pool->pool, (weir_conn){conn->id}, &lease);
    bool alive = conn->phase == PHASE_UP || conn->phase == PHASE_PROBING;
    bool room = alive && conn->leases < conn->leases_max && conn->ends == WEIR_OK;
    if ((err == WEIR_OK) && !room) {
        fault(world, "a lease on a connection without room");
    }
    if (err != WEIR_OK) {
        return;
    }
    conn->phase = PHASE_UP; /* a probe under way has its answer */
    conn->doubted = false;
    client->pool = pool->number;
    client->key = conn->key;
    client->lease = lease.id;
    client->conn = conn->id;
    client->since_ms = world->now_ms;
    client->phase = CLIENT_HOLDING;
    pool->acquires++;
    pool->grants++;
    pool->reused += conn->uses > 0;
    pool->pairs[conn->key].grants++;
    pool->pairs[conn->key].reused += conn->uses > 0;
    conn->uses++;
    conn->leases++;
    trace_client(world, client, "leases", "");
}

/* Keys are to be warm before anybody comes, or no longer. */
static void operator_warms(struct world *world, struct sim_pool *pool)
{
    uint16_t key = some_key(world);
    struct sim_pair *pair = &pool->pairs[key];
    model_remember(world, pool->number, key);
    bool on = !pair->wanted;
    weir_err err = weir_pool_warm(pool->pool, &world->keys[key], on);
    trace_pool(world, pool, on ? "warm" : "cool", weir_err_word(err));
    if (err == WEIR_OK) {
        pair->wanted = on;
    } else if (err != WEIR_EKEYS || world->options.keys_max >= 600) {
        fault(world, "warming up answered %s", weir_err_word(err));
    }
}

/* Failures are forgotten. */
static void forgive(const struct world *world, struct sim_pair *pair)
{
    pair->forgiven_step = world->steps;
    pair->state = WEIR_KEY_UP;
    pair->failures = 0;
    pair->round++;
    pair->retry_least_ms = pair->retry_most_ms = 0;
}

/* A name is looked up: now these of its addresses are told, now those. */
static void name_resolves(struct world *world, struct sim_pool *pool)
{
    const char *host = world->hosts[some_key(world)];
    uint32_t set = (uint32_t)rand_between(&world->rand, 1, (1U << ADDRESSES) - 1);
    uint32_t addresses[ADDRESSES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        if (set >> i & 1) {
            addresses[count++] = i + 1;
        }
    }
    for (uint32_t k = 0; k < world->keys_count; k++) {
        struct sim_pair *pair = &pool->pairs[k];
        weir_key_info info = {.size = sizeof info};
        if (strcmp(world->hosts[k], host) != 0) {
            continue;
        }
        model_remember(world, pool->number, k);
        if (weir_pool_key_of(pool->pool, &world->keys[k], &info) != WEIR_OK) {
            continue;
        }
        if (pair->addresses != 0 && pair->addresses != set) {
            forgive(world, pair);
        }
        pair->addresses = set;
    }
    for (uint32_t i = 0; i < world->conns_top; i++) {
        struct sim_conn *conn = &world->conns[i];
        if (conn->phase != PHASE_NONE && conn->was_up && conn->pool == pool->number
            && strcmp(world->hosts[conn->key], host) == 0) {
            bool there = conn->address == 0 || (set >> (conn->address - 1) & 1);
            conn->missed = there ? 0 : conn->missed + 1;
            conn->displaced |= conn->missed >= 3;
            pool->displaces |= conn->displaced;
        }
    }
    weir_pool_resolved(pool->pool, host, addresses, count);
    trace_pool(world, pool, "resolve", host);
}

static void act_server(struct world *world)
{
    struct sim_pool *pool = some_pool(world);
    if (is_open(pool) && pool->dials && rand_chance(&world->rand, 200)) {
        name_resolves(world, pool);
        return;
    }
    if (is_open(pool) && pool->dials && pool->opt.warm != WEIR_OFF) {
        operator_warms(world, pool);
        return;
    }
    if (!is_open(pool) || pool->dials) {
        return;
    }
    if (rand_chance(&world->rand, 400)) {
        server_admits(world, pool);
    } else {
        server_leases(world, pool);
    }
}

/* --- operators ----------------------------------------------------------------------------------
 */

static void operator_updates(struct world *world, struct sim_pool *pool)
{
    weir_pool_options opt = {.size = sizeof opt};
    weir_pool_options_of(pool->pool, &opt);
    if (crowd_is_at_play(pool) && rand_chance(&world->late, 300)) {
        opt.concurrency = opt.concurrency == WEIR_AIMD ? WEIR_GRADIENT2 : WEIR_AIMD;
        crowd_begins(pool);
    }
    switch (rand_below(&world->rand, 6)) {
    case 0: opt.max_total = (uint32_t)rand_between(&world->rand, 1, 64); break;
    case 1: opt.max_per_key = (uint32_t)rand_between(&world->rand, 1, 16); break;
    case 2: opt.idle_timeout_ms = (uint32_t)rand_between(&world->rand, 10, 100000); break;
    case 3: opt.max_idle = (uint32_t)rand_between(&world->rand, 1, 8); break;
    case 4: opt.acquire_timeout_ms = (uint32_t)rand_between(&world->rand, 10, 60000); break;
    default: opt.failures_max = (uint32_t)rand_between(&world->rand, 1, 6); break;
    }
    if (opt.size_min != WEIR_NONE && opt.size_min > opt.max_per_key) {
        opt.size_min = opt.max_per_key;
    }
    if (opt.min_idle != WEIR_NONE && opt.max_idle < opt.min_idle) {
        opt.max_idle = opt.min_idle;
    }
    expect(world, "update", weir_pool_update(pool->pool, &opt), WEIR_OK);
    weir_pool_options_of(pool->pool, &pool->opt);
    pool->updated_step = world->steps;
    for (uint32_t i = 0; i < world->conns_top; i++) {
        world->conns[i].outlawed |= world->conns[i].pool == pool->number;
    }
    trace_pool(world, pool, "update", "");
}

static void operator_flushes(struct world *world, struct sim_pool *pool)
{
    bool one = rand_chance(&world->rand, 500);
    uint16_t key = some_key(world);
    uint32_t grace_ms = (uint32_t)rand_below(&world->rand, 5000);
    weir_pool_flush(pool->pool, one ? &world->keys[key] : NULL, grace_ms);
    trace_pool(world, pool, "flush", "");
    for (uint32_t i = 0; i < world->conns_top; i++) {
        struct sim_conn *conn = &world->conns[i];
        if (conn->phase != PHASE_NONE && conn->pool == pool->number && (!one || conn->key == key)) {
            conn->flushed = true;
            conn->ends = conn->ends == WEIR_OK ? WEIR_EFLUSHED : conn->ends;
            uint64_t cut_ms = world->now_ms + grace_ms;
            conn->cut_ms = cut_ms < conn->cut_ms ? cut_ms : conn->cut_ms;
        }
    }
    for (uint32_t i = 0; i < world->keys_count; i++) {
        if (!one || i == key) {
            forgive(world, &pool->pairs[i]);
        }
    }
}

void act_close_pool(struct world *world, struct sim_pool *pool, uint32_t grace_ms)
{
    trace_pool(world, pool, "close", "");
    weir_pool_close(pool->pool, grace_ms);
    for (uint32_t i = 0; i < world->keys_count; i++) {
        forgive(world, &pool->pairs[i]);
    }
    pool->closing = true;
    pool->cut_ms = world->now_ms + grace_ms;
    for (uint32_t i = 0; i < world->conns_top; i++) {
        struct sim_conn *conn = &world->conns[i];
        if (conn->phase != PHASE_NONE && conn->pool == pool->number) {
            conn->ends = conn->ends == WEIR_OK ? WEIR_ECLOSED : conn->ends;
            conn->cut_ms = pool->cut_ms < conn->cut_ms ? pool->cut_ms : conn->cut_ms;
        }
    }
}

/* A pool that is gone opens again, all its figures at zero. */
static void operator_reopens(struct world *world, struct sim_pool *pool)
{
    for (uint32_t i = 0; i < world->clients_count; i++) {
        struct sim_client *client = &world->clients[i];
        if (client->pool == pool->number && client->phase != CLIENT_AWAY) {
            client->phase = CLIENT_AWAY;
        }
    }
    struct sim_pool fresh = {.opt = pool->opt,
                             .connector = pool->connector,
                             .number = pool->number,
                             .dials = pool->dials,
                             .probes = pool->probes,
                             .streams = pool->streams,
                             .tells = pool->tells,
                             .cut_ms = UINT64_MAX};
    snprintf(fresh.name, sizeof fresh.name, "p%u", fresh.number);
    *pool = fresh;
    pool->opt.name = pool->name;
    pool->opt.connector = &pool->connector;
    world_open_pool(world, pool->number);
    trace_pool(world, pool, "open", "");
}

static void act_operator(struct world *world)
{
    struct sim_pool *pool = some_pool(world);
    if (pool->pool == NULL) {
        operator_reopens(world, pool);
    } else if (pool->closing) {
        return;
    } else if (rand_chance(&world->rand, 500)) {
        operator_updates(world, pool);
    } else if (rand_chance(&world->rand, 700)) {
        operator_flushes(world, pool);
    } else {
        act_close_pool(world, pool, (uint32_t)rand_below(&world->rand, 5000));
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

void act_advance(struct world *world, uint64_t to_ms)
{
    world->now_ms = to_ms > world->now_ms ? to_ms : world->now_ms;
    world->timers_ran = true;
}

static void act_time(struct world *world)
{
    if (rand_chance(&world->rand, world->nature.jump)) {
        act_advance(world, world->now_ms + rand_below(&world->rand, 3600000));
    } else if (world->next_ms != WEIR_NO_DEADLINE && rand_chance(&world->rand, 400)
               && world->next_ms - world->now_ms < 3600000) {
        act_advance(world, world->next_ms);
    } else {
        act_advance(world, world->now_ms + 1 + rand_below(&world->rand, world->nature.tick_ms));
    }
}

void act_any(struct world *world)
{
    uint32_t drawn = (uint32_t)rand_below(&world->rand, 1000);
    if (rand_chance(&world->rand, world->nature.operate)) {
        act_operator(world);
    } else if (drawn < 400) {
        act_client(world);
    } else if (drawn < 450) {
        act_server(world);
    } else if (drawn < 820) {
        act_peer(world);
    } else if (!world->burst) { /* a burst happens in one instant */
        act_time(world);
    }
}

bool act_kindly(struct world *world)
{
    for (uint32_t i = 0; i < world->conns_top; i++) {
        struct sim_conn *conn = &world->conns[i];
        if (conn->phase == PHASE_DIALLING || conn->phase == PHASE_PROBING) {
            conn_up(world, conn, conn->phase == PHASE_DIALLING ? 1 : conn->leases_max);
            return true;
        }
        if (conn->phase == PHASE_CLOSING) {
            act_down(world, conn, conn->closes);
            return true;
        }
    }
    for (uint32_t i = 0; i < world->clients_count; i++) {
        struct sim_client *client = &world->clients[i];
        if (client->phase == CLIENT_HOLDING && world->pools[client->pool].pool != NULL) {
            client_releases(world, client, WEIR_KEEP);
            return true;
        }
    }
    return false;
}
