/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_parts.h - a connection to a Redis from the inside: private to connector/redis*.c.
 *
 *     DIALLING ──▶ TALKING (a step of the handshake after the other) ──▶ UP ──▶ GONE
 *
 * Always true: replies come in the order of `owed`, and each belongs to its first; from GONE on the
 * pool knows nothing of the connection, no call hangs on it, and it is freed when the turn ends.
 */
#pragma once
#include "connector/keycopy.h"
#include "connector/named.h"
#include "connector/redis_sentinel.h"
#include "io/outbox.h"
#include "io/stream.h"

enum redis_stage { REDIS_DIALLING, REDIS_TALKING, REDIS_UP, REDIS_GONE };
enum redis_step {
    REDIS_STEP_HELLO,
    REDIS_STEP_AUTH, /* RESP2 from here on */
    REDIS_STEP_SELECT,
    REDIS_STEP_ROLE, /* where sentinels have said that it is the master */
    REDIS_STEP_INFO,
    REDIS_STEP_PING,
    REDIS_STEPS
};

/* Replies that are to come. */
struct redis_owed {
    struct redis_call *call; /* NULL: it has given up, or the connection itself has asked */
    uint32_t left;
    bool is_own; /* a probe */
};

struct redis_conn {
    struct redis_connector *connector;
    struct key_copy key;
    struct named named; /* connector->conns */
    struct redis_conn *next_grave;
    enum redis_stage stage;
    enum redis_step step;
    bool is_probed;
    uint8_t wants;
    struct redis_sentinels_query query;
    struct redis_place place; /* as the sentinels said */
    struct dial *dial;
    struct stream *stream;
    struct loop_timer timer; /* of the handshake */
    struct outbox out;
    struct bytes in; /* a reply of which the end is missing */
    struct resp_reader reader;
    uint64_t heard_ns;
    uint32_t owed_first, owed_count;
    char run_id[REDIS_RUN_ID_MAX];
    struct redis_owed owed[]; /* calls_max and one more: a probe */
};

struct redis_connector {
    struct redis_connector_options opt;
    struct mux mux;
    struct list conns;
    struct redis_conn *graves;
    struct loop_later bury;
    enum redis_says refusal;
    struct redis_counters counters;
    struct cork cork;
    char *texts; /* user, password, name */
};

static inline void redis_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* --- redis.c ------------------------------------------------------------------------------------
 */

/* It is over: the pool hears why, then every call that hangs on it. */
void redis_conn_gone(struct redis_conn *conn, weir_err why, const char *detail);

/* --- redis_dial.c -------------------------------------------------------------------------------
 */

void redis_dial_begin(struct redis_conn *conn);
/* A reply during the handshake. */
void redis_dial_heard(struct redis_conn *conn, const struct resp_value *value,
                      struct resp_walk *inside);

/* --- redis_talk.c -------------------------------------------------------------------------------
 */

void redis_talk_begin(struct redis_conn *conn);
/* False: it cannot be said (memory, or the server does not read). */
bool redis_talk_say(struct redis_conn *conn, struct slice commands);
/* So many replies are to come for the call, or for nobody. False: too many are owed already. */
bool redis_talk_owe(struct redis_conn *conn, struct redis_call *call, uint32_t count, bool is_own);
/* The call has given up. */
void redis_talk_forget(struct redis_conn *conn, const struct redis_call *call);

/* --- redis_call.c -------------------------------------------------------------------------------
 */

extern const struct mux_ops redis_mux_ops;
void redis_call_replied(struct redis_call *call, const struct resp_value *value,
                        struct resp_walk *inside, bool is_last);
/* Its connection is gone. */
void redis_call_lost(struct redis_call *call, weir_err why, const char *detail);
