/* SPDX-License-Identifier: Apache-2.0
 *
 * world.h - a random world around real engines, and the naive model that watches them.
 *
 *     act.c      draws what happens next and does it: clients, peers, operators, time
 *     stage.c    the connector and the callbacks: writes down what the core does
 *     judge.c    was the core allowed to do that? the rules of pool.md, one by one
 *     must.c     after every step: was anything left undone, is any limit passed?
 *     crowd.c    what an endpoint is seen to stand
 *     compare.c  now and then: is every connection, key and figure what the model says?
 *
 * The model knows the rules from pool.md and nothing of how the core works: plain arrays, linear
 * scans, no lists, no heaps. Where a rule leaves the choice open (jitter, the pace of dials) it
 * knows the bounds. Everything follows from the seed.
 */
#pragma once
#include <weir/weir.h>

#include "base/rand.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WORLD_POOLS_MAX = 3,
    WORLD_KEYS_MAX = 200,
    WORLD_CLIENTS_MAX = 500,
    WORLD_CONNS_MAX = 256,
    GHOSTS = 16,     /* ids of the dead, to be answered late and twice */
    TRACE_KEPT = 64, /* lines told of a failing seed */
    FAULT_MAX = 240,
    GRANTS_A_STEP_MAX = 600,
    GROUPS_ENOUGH = 1024,
    ADDRESSES = 3,
    TENANTS = 4,
    TENANTS_AND_NONE = TENANTS + 1 /* neighbouring keys differ in these, and share an endpoint */
};

enum conn_phase { PHASE_NONE, PHASE_DIALLING, PHASE_UP, PHASE_PROBING, PHASE_CLOSING };

struct sim_conn {
    uint64_t id;
    uint8_t phase; /* enum conn_phase */
    uint8_t pool;
    uint16_t key;
    bool was_up, admitted;
    bool unfit;         /* reusable() says no */
    bool broken;        /* a release said so: it closes at once */
    bool doubted;       /* released as unknown: to be probed */
    bool flushed;       /* a flush came over it */
    bool handshaking;   /* its dial is in TLS */
    bool outlawed;      /* was there when limits changed: may have been marked to go */
    bool cut;           /* has been told */
    bool displaced;     /* three answers in a row were without its address, once */
    bool round_unknown; /* begun in a burst in which a dial failed, too: before it, or after? */
    weir_err ends;      /* what a release, a retirement or the peer asked for; WEIR_OK: nothing */
    weir_err closes;    /* what the core said when it closed it */
    uint32_t leases, leases_max, uses;
    uint32_t address, missed; /* 0: not known; answers in a row without it */
    uint32_t idle_ms;         /* what the peer allows; UINT32_MAX: did not say */
    uint32_t round;           /* of its key's dials when it was begun */
    uint64_t begun_ms, up_ms, since_ms, used_ms, verified_ms;
    uint64_t cut_ms; /* by a flush or a close with grace; UINT64_MAX: never */
    uint64_t born_step;
    uint64_t idle_turn; /* grows with each time any connection becomes idle */
};

/* A key in a pool. */
struct sim_pair {
    weir_key_state state;
    uint32_t failures, round;
    uint32_t ramp;                          /* dials there may be under way */
    uint64_t retry_least_ms, retry_most_ms; /* backing off or down until somewhere between */
    uint64_t created, errors, grants, reused;
    uint64_t handshakes;   /* begun: dials that had their transport */
    uint64_t hold_most_ms; /* the longest lease so far */
    uint64_t drops;        /* connections that dropped while up: they may be redialled eagerly */
    uint64_t aged;         /* connections old enough to be replaced */
    uint64_t hangups;      /* while idle: the core may have learned from them */
    /* Counted afresh by must.c, after every step. */
    uint32_t waiting, dialling, idle, open, up, closing, total;
    uint32_t waiting_fresh;
    uint32_t waiting_careful; /* who wait for a dial rather than take a risk */
    uint32_t dialling_before; /* the step */
    uint32_t addresses;       /* the last answer to its name, a set of bits */
    bool wanted;              /* named to be warmed up */
    bool overage;             /* the last of them that was counted is idle and too old */
    uint64_t overage_ms;      /* it is the only one, since then, or since its last turn to go */
    uint32_t overage_turns;   /* it had since */
    uint64_t idle_up_ms;      /* when its idle connection came up, where it has only one */
    uint64_t abandoned;       /* a step in which somebody failed with the error of a dial */
    uint64_t counted;         /* the step in which they were */
    uint64_t joined;          /* a step in which callers joined the queue, */
    uint32_t joined_count;    /* and how many */
    uint64_t left;            /* a step in which some left it unserved, */
    uint32_t left_count;
    uint64_t gave_up_fresh; /* a step in which the time of a caller for a fresh connection, or of
                               his dial, ran out */
    uint64_t failed_step, forgiven_step;
    bool unknown; /* a dial of an unknown round failed: only the core knows whether it counted */
};

/* What came back from an endpoint since its limit moved, and the limit; 0: as at first. */
struct sim_endpoint {
    double limit, told_us, held_us, now_us, long_us;
    uint64_t begun_ms;
    uint32_t told, held, dropped, most, windows;
};

struct sim_pool {
    weir_pool *pool; /* NULL: closed, and not open again */
    weir_pool_options opt;
    weir_connector connector;
    char name[16];
    uint8_t number;
    bool dials, probes, streams, closing;
    bool tells;          /* its connections say how long answers took */
    bool reused_unknown; /* somebody recanted: whether the next one was the first user, is not known
                          */
    bool recanted;       /* in this burst somebody canceled who may have been served already */
    uint64_t cut_ms;
    uint64_t updated_step;
    uint64_t crowded_step; /* somebody came although its queue was full */
    struct sim_pair pairs[WORLD_KEYS_MAX];
    struct sim_endpoint endpoints[WORLD_KEYS_MAX / TENANTS_AND_NONE + 1];
    /* What the counters of the core must say. */
    uint64_t created, dials_begun, failed, acquires, grants, reused, released, closed;
    uint64_t closed_by[WEIR_ERRS], failed_by[WEIR_ERRS], refused;
    uint64_t added, removed; /* by events */
    bool warm;               /* has been told */
    bool displaces;          /* some were where their name no longer leads: they are replaced */
    uint64_t warmed_ms;      /* the last dial of a warm-up */
};

enum client_phase { CLIENT_AWAY, CLIENT_WAITING, CLIENT_HOLDING };

struct sim_client {
    uint8_t phase; /* enum client_phase */
    uint8_t pool;
    uint16_t key;
    uint32_t flags;
    bool canceled;
    uint64_t lease, conn;
    uint64_t since_ms, deadline_ms;
    uint64_t turn;          /* order of arrival */
    uint64_t expected_conn; /* the reuse rule's choice; 0: no opinion */
};

/* Somebody who was served in this step. */
struct granted {
    uint8_t pool;
    uint16_t key;
    uint64_t turn;
    bool used;  /* the connection had served before */
    bool risky; /* its peer might have been about to close it */
};

/* In a trace: 'c'lient, 'p'ool, '#' connection, 'L'ease, ' ' nothing. */
struct trace_id {
    char kind;
    uint64_t id;
};

struct trace_line {
    struct trace_id who, what;
    const char *did, *why;
    uint8_t pool;
    uint16_t key;
};

/* How the world behaves: chances in a thousand. */
struct nature {
    uint32_t refuse, stall, hangup, reset, late, unfit, retire, broken, unknown, cancel, burst;
    uint32_t operate, streams, jump, fresh, idempotent;
    uint32_t tick_ms; /* the usual advance of time */
};

struct world {
    uint64_t seed;
    struct rand rand;
    struct rand late; /* for what worlds were given later: older seeds stay as they were */
    struct nature nature;
    weir_engine *engine;
    weir_engine_options options;
    uint64_t now_ms, next_ms;
    uint64_t steps;
    uint64_t compare_every;
    uint64_t turns;
    uint32_t pools_count, keys_count, clients_count;
    struct sim_pool pools[WORLD_POOLS_MAX];
    struct sim_client clients[WORLD_CLIENTS_MAX];
    struct sim_conn conns[WORLD_CONNS_MAX]; /* by the slot in their id */
    uint32_t conns_top;                     /* slots below were in use */
    uint64_t ghosts[GHOSTS];
    uint32_t ghosts_count;
    char hosts[WORLD_KEYS_MAX][12];
    char tenants[TENANTS][8];
    weir_key keys[WORLD_KEYS_MAX];
    uint32_t outputs; /* of the step under way */
    bool burst;       /* several actions in one step */
    bool upheaval;    /* in this burst a connection ended: who was served on it waits again */
    bool recanted; /* in this burst somebody canceled: who was first on a connection is not known */
    bool timers_ran; /* time moved in this step */
    bool sealed;     /* opened: no more memory */
    bool calm;       /* faults are off */
    bool dead;       /* the engine is freed: nothing may call back */
    struct granted granted[GRANTS_A_STEP_MAX];
    uint32_t granted_count;
    uint64_t failed_dials[WORLD_POOLS_MAX][WEIR_ERRS]; /* the step in which one last failed so */
    bool failed;
    char fault[FAULT_MAX];
    uint64_t trace_from; /* this step */
    uint64_t traced;
};

static inline bool warms_by_dials(const weir_pool_options *opt)
{
    return opt->warm != WEIR_OFF && opt->warm != WEIR_WARM_DNS;
}

/* Connections may be dialled, and kept, that nobody waits for. */
static inline bool keeps_ready(const weir_pool_options *opt)
{
    return opt->min_idle != WEIR_NONE || opt->size_min != WEIR_NONE;
}

/* --- main.c, stage.c ---------------------------------------------------------------------------
 */

/* Makes the world of a seed; false (with a fault) when it cannot be made. */
bool world_open(struct world *world, uint64_t seed, uint64_t trace_from);
/* Opens the pool of that number, or opens it again. */
bool world_open_pool(struct world *world, uint32_t number);
/* Faults off: everybody is served and leaves; everything closes. */
void world_settle(struct world *world);
void world_fini(struct world *world);
/* One action and one step, judged. */
void world_step(struct world *world);
/* Steps the engine at the present time and judges what came of it. */
void world_turn(struct world *world);

/* The first fault stands; the seed has failed with it. */
void fault(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct sim_conn *conn_of(struct world *world, uint64_t id); /* NULL: not alive */
struct sim_conn *conn_born(struct world *world, uint64_t id, uint32_t pool, uint32_t key);
void conn_dies(struct world *world, struct sim_conn *conn);
struct sim_pair *pair_of(struct world *world, const struct sim_conn *conn);

void world_granted(void *arg, const weir_grant *grant); /* arg: the client */

/* --- act.c -------------------------------------------------------------------------------------
 */

void act_any(struct world *world);
/* What a well-behaved peer and client do next with it; true when something was done. */
bool act_kindly(struct world *world);
void act_down(struct world *world, struct sim_conn *conn, weir_err why);
void act_close_pool(struct world *world, struct sim_pool *pool, uint32_t grace_ms);
void act_advance(struct world *world, uint64_t to_ms);

/* --- judge.c -----------------------------------------------------------------------------------
 */

void judge_dial(struct world *world, uint32_t pool, uint32_t key);
/* It was told that all that was to be warm is. */
void judge_warm(struct world *world, struct sim_pool *pool);
void judge_probe(struct world *world, const struct sim_conn *conn);
void judge_close(struct world *world, struct sim_conn *conn, weir_err why);
void judge_cut(struct world *world, const struct sim_conn *conn);
void judge_grant(struct world *world, const struct sim_client *client, const weir_grant *grant);
/* An answer of weir_acquire() or weir_try_acquire(). */
void judge_acquire(struct world *world, const struct sim_client *client, weir_err err);
void judge_try(struct world *world, const struct sim_client *client, weir_err err);
/* The rules of failure, applied to the model: a dial failed, or came up. */
void model_dial_failed(struct world *world, struct sim_conn *conn, weir_err why);
/* Takes the core's word for it. */
void model_learn(struct world *world, uint32_t pool, uint32_t key);
/* Time has moved: dials that were too slow have failed. */
void model_time(struct world *world);
void model_dial_up(struct world *world, const struct sim_conn *conn);
/* The core may have forgotten a key on which nothing hangs; then so does the model. */
void model_remember(struct world *world, uint32_t pool, uint32_t key);
/* The connection that the reuse rule would lease, 0 without an opinion. */
uint64_t model_choice(const struct world *world, const struct sim_client *client);
/* It cannot be sent twice, and looks at hazards. */
bool model_is_careful(const struct world *world, const struct sim_client *client);
/* It may be within the last quarter of what its peer allows. */
bool model_is_risky(const struct world *world, const struct sim_conn *conn);
/* How long the connection may be idle. */
uint64_t model_idle_limit(const struct world *world, const struct sim_conn *conn);

/* --- crowd.c -----------------------------------------------------------------------------------
 */

bool crowd_is_at_play(const struct sim_pool *pool);
/* Leases held at the endpoint of the key, and how many the core allows there; UINT32_MAX: any. */
uint32_t crowd_held(const struct world *world, const struct sim_pool *pool, uint32_t key);
uint32_t crowd_most(const struct world *world, const struct sim_pool *pool, uint32_t key);
bool crowd_is_full(const struct world *world, const struct sim_pool *pool, uint32_t key);
/* The same, with the places that may be kept for other keys there, which dial. */
bool crowd_has_no_place(const struct world *world, const struct sim_pool *pool, uint32_t key);
/* Something is learned: a latency was told, a lease is about to be released, the rule is new. */
void crowd_told(struct sim_pool *pool, uint32_t key, uint32_t latency_us);
void crowd_ended(const struct world *world, struct sim_pool *pool, const struct sim_client *client,
                 weir_fate fate, weir_err why);
void crowd_begins(struct sim_pool *pool);
void crowd_must_hold(struct world *world, struct sim_pool *pool);

/* --- must.c, compare.c -------------------------------------------------------------------------
 */

void must_hold(struct world *world);
/* Whoever canceled when the core had served it, and did not know yet, has used a connection after
 * all. */
void model_recanted(struct world *world, struct sim_pool *pool);
void compare_all(struct world *world);

/* --- trace.c -----------------------------------------------------------------------------------
 */

/* Prints the line when the trace is on. */
void trace(struct world *world, struct trace_line line);
void trace_client(struct world *world, const struct sim_client *client, const char *did,
                  const char *why);
void trace_conn(struct world *world, const struct sim_conn *conn, const char *did, const char *why);
/* The core says something about the connection. */
void trace_core(struct world *world, const struct sim_conn *conn, const char *did, const char *why);
void trace_pool(struct world *world, const struct sim_pool *pool, const char *did, const char *why);
