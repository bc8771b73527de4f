/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_world.h - the world of shared.c, for the files that make it up.
 */
#pragma once
#include "base/rand.h"
#include "core/hub.h"
#include "sim/shared.h"

enum {
    ENGINES_MAX = 4,
    KEYS_MAX = 8,
    CLIENTS_MAX = 60,
    CONNS_MAX = 64,
    POST_MAX = 4096, /* messages under way to one */
    MOVING_MAX = 64,
    TENANTS = 3,
    ADDRESSES = 3,
    ANSWERS_MISSED = 3, /* in a row, and a connection is at an address that its name left */
    CALM_STEPS_MAX = 200000,
    RUSH_KEYS = 6, /* beside the others: their tenants in turns */
    RUSH_HOLD_MS = 5,
};

enum phase { NONE, DIALLING, UP, CLOSING };

struct conn_seen {
    uint64_t id;
    enum phase phase;
    uint32_t key, leases, leases_max;
    uint32_t address, missed; /* 0: not known; answers in a row without it */
    bool displaced;           /* three were, once */
    bool ends;                /* takes no more leases */
    weir_err why;
};

/* A connection between two engines. */
struct moving {
    bool is_there;
    struct conn_seen as; /* it left, but for its id */
};

struct client {
    enum { AWAY, WAITING, HOLDING } phase;
    uint32_t engine, key;
    weir_lease lease;
    uint64_t conn;
    uint64_t until_ms; /* of a rush: holds until then */
};

struct post {
    struct limit_msg messages[POST_MAX];
    uint32_t head, tail;
};

struct worker {
    uint32_t number;
    weir_engine *engine;
    weir_pool *pool;
    struct limit_port port;
    struct post to_hub, from_hub;
    struct conn_seen conns[CONNS_MAX];
    uint64_t next_ms;
    uint64_t warmed_ms; /* a dial of its warm-up */
    bool wanted[KEYS_MAX];
};

struct shared {
    struct rand rand;
    struct rand late; /* for what worlds were given later: older seeds stay as they were */
    char tenants[TENANTS][4];
    uint32_t streams; /* leases a connection may carry at most; 1: no streams */
    bool names, warm, has_tenants, settling;
    struct hub hub;
    weir_connector connector;
    weir_pool_options opt;
    weir_key keys[KEYS_MAX + RUSH_KEYS];
    char hosts[KEYS_MAX + RUSH_KEYS][16];
    struct worker workers[ENGINES_MAX];
    struct client clients[CLIENTS_MAX];
    struct moving moving[MOVING_MAX];
    uint64_t detached, attached, dropped;
    uint64_t served[KEYS_MAX + RUSH_KEYS];
    uint32_t workers_count, keys_count, clients_count, refuse;
    uint64_t now_ms;
    bool closing, failed;
    char *fault;
    size_t fault_size;
};

extern struct shared all;

/* What is wrong with it; the first word counts. */
void shared_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Carries one message to the worker, or to the hub for it; true when there was one. */
bool shared_carry(struct worker *worker);

/* A client asks, or gives back what it has. */
void shared_ask(struct client *client);
void shared_release(struct client *client);

/* The peer answers what was begun, a dial with refusals in it unless it is kind. */
void shared_answer(struct worker *worker, struct conn_seen *conn, bool kindly);

/* Every engine makes a step, and all is judged. */
void shared_turn(void);

/* All that was said arrives, all that was begun is done; nobody comes, nobody returns anything. */
void shared_calm(void);

/* rush.c: after the last step, when nobody waits or holds any more. */
void shared_rush(void);
