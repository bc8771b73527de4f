/* SPDX-License-Identifier: Apache-2.0
 *
 * stage.h - the world a story plays in: a real engine with real pools, a connector that only writes
 * down what it is told, and clients. Everything the core says becomes an *output*, a short text;
 * the story says which outputs each line must have.
 *
 * Connections are called #1, #2, … in the order of their dials and admissions, over all pools.
 */
#pragma once
#include <weir/weir.h>

#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    NAME_MAX_ = 32,
    OUTPUT_MAX = 160,
    OUTPUTS_MAX = 256,
    STAGE_CONNS_MAX = 512,
    STAGE_LEASES_MAX = 512,
    STAGE_POOLS_MAX = 8,
    STAGE_KEYS_MAX = 64
};

struct stage;

struct stage_pool {
    struct stage *stage;
    char name[NAME_MAX_];
    weir_connector connector;
    weir_pool *pool; /* NULL once closed */
};

struct stage_key {
    char name[NAME_MAX_];
    weir_key key;
    char text[6][NAME_MAX_ * 2]; /* what key points to */
};

struct stage_conn {
    struct stage_pool *home;
    weir_conn id;
    struct stage_key *key;
    weir_state state; /* as last seen; WEIR_STATES: gone */
    bool unfit;       /* reusable() says no */
};

struct stage_lease {
    struct stage *stage;
    struct stage_pool *home;
    char client[NAME_MAX_];
    weir_lease id;
    weir_conn conn;
    bool waits, holds; /* neither: over */
    uint32_t calls;    /* of its callback: at most one */
};

struct stage {
    weir_engine *engine;
    weir_engine_options options;
    uint64_t now_ms;
    bool all_events;
    bool failed_at_once; /* a fault of the runner's own world, told in `fault` */
    char fault[OUTPUT_MAX];
    struct stage_pool pools[STAGE_POOLS_MAX];
    uint32_t pools_count;
    struct stage_key keys[STAGE_KEYS_MAX];
    uint32_t keys_count;
    struct stage_conn conns[STAGE_CONNS_MAX]; /* #1 is conns[0] */
    uint32_t conns_count;
    struct stage_lease leases[STAGE_LEASES_MAX];
    uint32_t leases_count;
    char outputs[OUTPUTS_MAX][OUTPUT_MAX];
    uint32_t outputs_count;
};

void stage_init(struct stage *stage);
void stage_fini(struct stage *stage);

/* Opens a pool (and, before the first, the engine). `probes`, `dials`: what its connector can. */
bool stage_open(struct stage *stage, struct slice name, weir_pool_options *opt, bool probes,
                bool dials);

/* NULL: no such. An empty name is the first pool; a key is made when it is first named. */
struct stage_pool *stage_pool_of(struct stage *stage, struct slice name);
struct stage_key *stage_key_of(struct stage *stage, struct slice name);
/* "#3". */
struct stage_conn *stage_conn_of(struct stage *stage, struct slice name);
struct stage_lease *stage_lease_new(struct stage *stage, struct stage_pool *home,
                                    struct slice client);
/* A connection that was just born. */
struct stage_conn *stage_conn_new(struct stage_pool *home, weir_conn id, struct stage_key *key);

/* Moves time, stopping at each deadline on the way. */
void stage_move(struct stage *stage, uint64_t to_ms);
/* Steps until nothing is pending, and notes which connections became idle. */
void stage_settle(struct stage *stage);

void stage_output(struct stage *stage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Remembers the first fault; the story fails with it. */
void stage_fault(struct stage *stage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The lease callback; arg is the struct stage_lease. */
void stage_granted(void *arg, const weir_grant *grant);

/* "WEIR_EDOWN" and so on. */
const char *stage_err_name(weir_err err);
bool stage_err_parse(struct slice word, weir_err *ret);
