/* SPDX-License-Identifier: Apache-2.0
 *
 * redis.h - the connector of redis and rediss: connections that dial, say who they are, and carry
 * the commands of many at a time; and calls, from the wish to the replies.
 *
 *   dial ──▶ transport, TLS ──▶ HELLO 3 ──▶ SELECT ──▶ INFO server ──▶ PING ──▶ up
 *                                  │ an old one                          │ loading, master down
 *                                  └──▶ AUTH ──▶ (RESP2) ──▶ …           └──▶ down: backs off
 *
 * With sentinels (redis_sentinel.h) each dial begins with the question where the master is, and
 * ROLE comes before INFO.
 *
 * One per pool, on the loop of the pool's engine. A *call* is some commands that are written
 * together and whose replies come in their order; it lies inside its owner, so that none allocates.
 * Calls of many share a connection (a pipeline), each with a deadline of its own.
 *
 * What is always true: done() comes once, from an event of the loop or a step of the engine, never
 * from inside redis_call_begin(), and nothing comes after redis_call_cancel(). A call whose
 * connection dies ends with the reason; it is never sent again here, since only its owner knows
 * whether that does harm (`was_sent`). A reply goes to the call that asked for it or to nobody:
 * what a call that has given up is still owed is read and forgotten, and a server that says nothing
 * at all for a call's time loses the connection. What a server can make us keep is bounded by
 * `limits`.
 */
#pragma once
#include <weir/weir.h>

#include "connector/mux.h"
#include "proto/resp.h"

#include <stdatomic.h>

#define REDIS_HANDSHAKE_MS 5000U
#define REDIS_CALLS_MAX    64U         /* in flight on one connection */
#define REDIS_UNSENT_MAX   (16U << 20) /* kept for a server that does not read */
#define REDIS_RUN_ID_MAX   48U
#define REDIS_DETAIL_MAX   224U

struct redis_connector;
struct redis_place;
struct redis_sentinels;
struct dns;
struct tls_client;
struct tls_desk;

/* What a server says that it cannot do: a row is the name, the word that the error begins with. */
#define REDIS_SAYS(ROW)                                                                            \
    ROW(ERR, "ERR")                                                                                \
    ROW(LOADING, "LOADING")       /* it has just started */                                        \
    ROW(READONLY, "READONLY")     /* it is a replica, by now */                                    \
    ROW(MASTERDOWN, "MASTERDOWN") /* a replica without its master */                               \
    ROW(NOSCRIPT, "NOSCRIPT")                                                                      \
    ROW(WRONGTYPE, "WRONGTYPE")                                                                    \
    ROW(NOAUTH, "NOAUTH")                                                                          \
    ROW(WRONGPASS, "WRONGPASS")                                                                    \
    ROW(NOPERM, "NOPERM")                                                                          \
    ROW(NOPROTO, "NOPROTO")                                                                        \
    ROW(OOM, "OOM")                                                                                \
    ROW(MISCONF, "MISCONF")                                                                        \
    ROW(BUSY, "BUSY")                                                                              \
    ROW(NOREPLICAS, "NOREPLICAS")                                                                  \
    ROW(MOVED, "MOVED")                                                                            \
    ROW(ASK, "ASK")                                                                                \
    ROW(TRYAGAIN, "TRYAGAIN")                                                                      \
    ROW(CLUSTERDOWN, "CLUSTERDOWN")                                                                \
    ROW(CROSSSLOT, "CROSSSLOT")

enum redis_says {
    REDIS_FINE = 0, /* nothing of that kind */
#define REDIS_ROW(name, word) REDIS_##name,
    REDIS_SAYS(REDIS_ROW)
#undef REDIS_ROW
        REDIS_SAYS_COUNT
};

/* Of an error's text; what no row has is REDIS_ERR. */
enum redis_says redis_says_of(struct slice error);
const char *redis_says_word(enum redis_says says); /* "" for REDIS_FINE */

#define REDIS_COUNTERS(ROW)                                                                        \
    ROW(dials)                                                                                     \
    ROW(hellos)      /* connections that came up, */                                               \
    ROW(old)         /* of these, with RESP2 */                                                    \
    ROW(denied)      /* dials refused for who we are, */                                           \
    ROW(loading)     /* or while the server loads its data, */                                     \
    ROW(master_down) /* or has no master */                                                        \
    ROW(not_master)  /* or is none, where the master was looked for */                             \
    ROW(read_only)   /* connections given up, since the server is a replica by now */              \
    ROW(commands)                                                                                  \
    ROW(replies)                                                                                   \
    ROW(late)     /* replies that nobody waits for any more */                                     \
    ROW(timeouts) /* calls */                                                                      \
    ROW(silent)   /* connections given up for that */                                              \
    ROW(lost)     /* calls that were under way when their connection ended */                      \
    ROW(bad)      /* connections closed for what is not RESP, or was not asked for */

struct redis_counters {
#define REDIS_ROW(name) _Atomic uint64_t name;
    REDIS_COUNTERS(REDIS_ROW)
#undef REDIS_ROW
};

struct redis_connector_options {
    struct loop *loop;
    struct dns *dns;
    const struct alloc *alloc;
    struct tls_desk *desk;        /* of the loop; where a key's scheme may be rediss */
    struct tls_client *tls;       /* borrowed, as the next */
    struct tls_client *proxy_tls; /* for proxies of https:// */
    uint32_t connect_timeout_ms;  /* WEIR_NEVER, here and below: none */
    uint32_t tls_timeout_ms;
    uint32_t write_timeout_ms;
    uint32_t handshake_timeout_ms; /* from the transport to up [REDIS_HANDSHAKE_MS] */
    uint32_t acquire_timeout_ms;   /* of the pool */
    uint32_t calls_max;            /* in flight on one connection [REDIS_CALLS_MAX] */
    uint32_t unsent_max;           /* [REDIS_UNSENT_MAX] */
    struct resp_limits limits;
    const char *user, *password; /* NULL: none; a user without a password is none. Copied */
    const char *name;            /* as CLIENT LIST shows us; NULL: none. Copied */
    uint32_t database;
    /* Who says where the master is, whatever a key's host and port are; a server that is none is
     * not talked to. NULL: a key says where. Borrowed. */
    struct redis_sentinels *sentinels;
};

int redis_connector_new(const struct redis_connector_options *opt,
                        struct redis_connector **ret_connector);   /* 0 or -errno */
void redis_connector_free(struct redis_connector *take_connector); /* its pool has closed */
/* All connections end now, and calls that are on them; the engine still lives. */
void redis_connector_cut(struct redis_connector *connector);
/* The pool to report to; called once, right after it was opened. */
void redis_connector_serve(struct redis_connector *connector, weir_pool *pool);
/* The master is there: connections to anywhere else end with the calls that they carry. */
void redis_connector_moved(struct redis_connector *connector, const struct redis_place *place);
/* Any thread may read them. */
const struct redis_counters *redis_connector_counters(const struct redis_connector *connector);
/* What the last dial was refused with, if it was: REDIS_LOADING, REDIS_WRONGPASS, … */
enum redis_says redis_connector_refusal(const struct redis_connector *connector);

/* For weir_pool_options.connector, with the connector as .connector_self. A probe is a PING. */
extern const weir_connector redis_pool_connector;

/* --- calls --------------------------------------------------------------------------------------
 */

/* How a call ended; valid until done() returns. */
struct redis_outcome {
    /* WEIR_OK: all replies came, errors of the server's among them. Else: what a lease may bring
     * (WEIR_EDOWN: the key is down, …), WEIR_EACQUIRE_TIMEOUT: it was not sent;
     * WEIR_ETOTAL_TIMEOUT: not all replies came in time; WEIR_EREAD_TIMEOUT: the server says
     * nothing; why the connection ended: WEIR_EHANGUP, WEIR_ERESET, WEIR_EPROTOCOL, …;
     * WEIR_ENOMEM. */
    weir_err err;
    bool was_sent;           /* the server may have done some of it, or all */
    uint32_t replies;        /* that came */
    const char *run_id;      /* of the server's process that replied, or "": it does not say */
    const char *detail;      /* in words, or "" */
    uint32_t retry_after_ms; /* with WEIR_EDOWN */
};

/* Lies inside its owner, who keeps what it points to until done(). */
struct redis_call {
    /* The index-th reply; `inside` walks over what is in the value. Valid until it returns. NULL:
     * nobody listens. */
    void (*on_reply)(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
    void (*done)(struct redis_call *call, const struct redis_outcome *outcome);
    struct slice commands; /* as resp_command() writes them */
    uint32_t count;        /* of them; not 0 */
    /* What follows is its own. */
    struct mux_call mux;
    uint32_t replies;
    bool was_sent;
};

/* Takes it: done() will be called, unless it is cancelled. timeout_ms: of all of it; not
 * WEIR_NEVER.
 */
void redis_call_begin(struct redis_connector *connector, struct redis_call *call,
                      const weir_key *key, uint32_t timeout_ms);
/* on_reply() and done() will not be called any more; what was sent may be done all the same. Does
 * nothing to one that has ended. */
void redis_call_cancel(struct redis_call *call);
