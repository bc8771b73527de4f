/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.h - the connector of ws and wss to OpenClaw gateways: connections that dial, say who
 * they are, watch for ticks and carry many requests at a time; and requests, from the wish to the
 * answer.
 *
 *   dial ──▶ [places] ─▶ transport, TLS ──▶ upgrade ──▶ challenge, connect ──▶ hello-ok: up
 *     ▲         ▲             │                │               │
 *     │         └─ starting: in retryAfterMs, in the same dial ─┤
 *     │                       └── down: the pool backs off ─────┤
 *     └──────────── refused for who we are: WEIR_EDENIED, the key is down at once
 *
 * Of those of a process that are the same to a gateway one asks first, and its verdict is for all
 * (openclaw_standing.h): a wrong token is tried once, however many connectors and threads have it.
 *
 * One per pool, on the loop of the pool's engine. Who a key's connections speak as is its
 * *account*, which the connector asks its owner for: the key has to differ where accounts do.
 * A request is a struct of its owner's, so that none allocates; it gets a lease, is sent, and ends
 * with one done().
 *
 * What is always true: done() comes once, from an event of the loop or a step of the engine, never
 * from inside claw_call_begin(); nothing after claw_call_cancel(). What a gateway can make us keep
 * is bounded by message_max and requests_max. No more than handshakes_max handshakes with one host
 * and port are under way; what goes through a proxy has a place at its gate (gate.h) from its dial
 * to its end, and gives it up to others when it was idle for CLAW_STAY_MS and nobody listens.
 */
#pragma once
#include <weir/weir.h>

#include "connector/mux.h"
#include "connector/openclaw_identity.h"
#include "connector/openclaw_standing.h"
#include "proto/openclaw.h"

#include <stdatomic.h>

#define CLAW_HANDSHAKE_MS   15000U
#define CLAW_HANDSHAKES_MAX 16U
#define CLAW_REQUESTS_MAX   100U
#define CLAW_TRIES_MAX      3U    /* of one request, the first included */
#define CLAW_STAY_MS        1000U /* as dear as a handshake is */
#define CLAW_STARTING_MS    500U  /* where a gateway that starts does not say how long */

struct claw_connector;
struct dns;
struct gate;
struct tls_client;
struct tls_desk;

/* Who we are at one gateway. Stays where it is as long as the pool may have its key. */
struct claw_account {
    const char *path;    /* of the WebSocket, from '/' on */
    const char *version; /* ours, as the gateway shows it */
    /* How we prove it; all may be NULL. A device token that the identity holds for this gateway
     * goes alone. */
    const char *token, *password;
    struct claw_identity *identity;
    const char *const *scopes; /* NULL: read and write */
    size_t scopes_count;
    void *user; /* the owner's */

    /* The connector's: why we were refused last. "" : we were not, or were let in since. */
    struct claw_refusal refusal;
    bool is_denied;
    bool is_hearsay; /* it was another one of the process that was refused */
    struct claw_standing standing;
    uint64_t not_before_ms; /* connections that come up and drop at once are not dialled at once */
    bool was_short;         /* so was the life of the last one */
};

#define CLAW_COUNTERS(ROW)                                                                         \
    ROW(handshakes) /* begun */                                                                    \
    ROW(hellos)                                                                                    \
    ROW(denied)   /* refused for who we are */                                                     \
    ROW(starting) /* asked to come back later */                                                   \
    ROW(restarts) /* connections that were closed with 1012 */                                     \
    ROW(requests) /* sent, repetitions included */                                                 \
    ROW(answers)                                                                                   \
    ROW(late)     /* answers that nobody waits for any more */                                     \
    ROW(timeouts) /* requests without an answer in time */                                         \
    ROW(replays)  /* requests sent again */                                                        \
    ROW(events)                                                                                    \
    ROW(ticks)                                                                                     \
    ROW(ticks_missed) /* connections given up for that */                                          \
    ROW(strangers)    /* connections closed for an answer that nobody had asked for, */            \
    ROW(bad_frames)   /* for what is no frame, or comes too early, */                              \
    ROW(too_large)    /* or is too large */

struct claw_counters {
#define CLAW_ROW(name) _Atomic uint64_t name;
    CLAW_COUNTERS(CLAW_ROW)
#undef CLAW_ROW
};

/* What its owner hears; from events of the loop. All may be NULL. */
struct claw_ops {
    /* Whether somebody listens for its events: such a connection is not given up for others that
     * want its place at a proxy. NULL: nobody. */
    bool (*is_heard)(void *self, struct claw_account *account);
    void (*on_hello)(void *self, struct claw_account *account, const struct claw_hello *hello,
                     struct slice payload);
    void (*on_event)(void *self, struct claw_account *account, const struct claw_frame *frame);
    /* We were refused, for good: account->refusal says why, account->is_hearsay whether somebody
     * else was told already. NULL: nobody is told. */
    void (*on_denied)(void *self, struct claw_account *account);
};

struct claw_connector_options {
    struct loop *loop;
    struct dns *dns;
    const struct alloc *alloc;
    struct tls_desk *desk;        /* of the loop; where a key's scheme may be wss */
    struct tls_client *tls;       /* offers http/1.1; borrowed, as the next */
    struct tls_client *proxy_tls; /* for proxies of https:// */
    struct gate *const *gates;    /* of proxies that keys name; borrowed, as the array is */
    uint32_t gates_count;
    uint32_t connect_timeout_ms; /* WEIR_NEVER, here and below: none */
    uint32_t tls_timeout_ms;
    uint32_t write_timeout_ms;
    uint32_t handshake_timeout_ms; /* from the upgrade to hello-ok [CLAW_HANDSHAKE_MS] */
    uint32_t handshakes_max;       /* at one host and port, of all of the process's connectors
                                      [CLAW_HANDSHAKES_MAX] */
    uint32_t requests_max;         /* in flight on one connection [CLAW_REQUESTS_MAX] */
    uint64_t message_max;          /* bytes of a frame that comes [CLAW_PAYLOAD_MAX] */
    uint32_t unsent_max;           /* bytes kept for a gateway that does not read [the same] */
    uint32_t acquire_timeout_ms;   /* of the pool */
    uint32_t down_for_ms;          /* the same */
    uint32_t denied_for_ms; /* for which one that refused us is not asked again, where the pool
                               tries sooner [0: whenever the pool does] */
    uint64_t seed;
    /* The account of a key; NULL: there is none (any more), and the dial fails. */
    struct claw_account *(*account)(void *self, const weir_key *key);
    const struct claw_ops *ops;
    void *self;
};

/* It has no connection any more, and no dial. Does nothing to one that never had one. */
void claw_account_fini(struct claw_account *account);
/* What it shows (path, token, password) is another from now on: what is known of how it stands with
 * its gateway is forgotten. Connections that were let in end with the requests that they carry, and
 * tell of no events any more; its dials end now. Its pool's key was flushed right before. */
void claw_account_renew(struct claw_connector *connector, struct claw_account *account);

int claw_connector_new(const struct claw_connector_options *opt,
                       struct claw_connector **ret_connector);   /* 0 or -errno */
void claw_connector_free(struct claw_connector *take_connector); /* its pool has closed */
/* From now on by the times (and *_for_ms) and message_max of `opt`; connections that come up from
 * then on carry its requests_max. Of nothing else is there another. */
void claw_connector_update(struct claw_connector *connector,
                           const struct claw_connector_options *opt);
/* All connections end now, without waiting for their gateways' word; the engine still lives. */
void claw_connector_cut(struct claw_connector *connector);
/* From now on wss is spoken, too. */
void claw_connector_secure(struct claw_connector *connector, struct tls_desk *desk,
                           struct tls_client *tls);
void claw_connector_secure_proxies(struct claw_connector *connector, struct tls_desk *desk,
                                   struct tls_client *proxy_tls);
/* The pool to report to; called once, right after it was opened. */
void claw_connector_serve(struct claw_connector *connector, weir_pool *pool);
/* The pool has closed, and the loop runs on: names are looked up no more. */
void claw_connector_served(struct claw_connector *connector);
/* Any thread may read them. */
const struct claw_counters *claw_connector_counters(const struct claw_connector *connector);

/* For weir_pool_options.connector, with the connector as .connector_self. An idle connection is
 * probed with the method `health`. */
extern const weir_connector claw_pool_connector;

/* --- requests -----------------------------------------------------------------------------------
 */

/* How a request ended; valid until done() returns. */
struct claw_answer {
    /* WEIR_OK: it was answered, well or not. Else: what a lease may bring (WEIR_EDOWN: the key is
     * down, retry_after_ms says for how long; WEIR_EDENIED: that, since we were refused);
     * WEIR_ETOTAL_TIMEOUT: no answer in time; WEIR_ETOO_LARGE: the gateway would not take it;
     * WEIR_EAGAIN: it does not read, and unsent_max is kept for it; why the connection ended:
     * WEIR_EGOAWAY (it restarts), WEIR_EREAD_TIMEOUT (it missed ticks), WEIR_EPROTOCOL,
     * WEIR_EHANGUP, WEIR_ERESET, …; WEIR_ENOMEM. */
    weir_err err;
    bool is_ok;           /* as the gateway says */
    struct slice payload; /* JSON; empty: there is none */
    struct slice error;   /* the same */
    uint16_t code;        /* of the close that ended the connection; 0: none */
    const char *detail;   /* in words, or "" */
    uint32_t retry_after_ms;
    uint32_t replays; /* how often it was sent again */
    bool was_sent;    /* the gateway may have begun with it */
};

enum {
    CLAW_CALL_REPLAY = 1, /* it carries an idempotency key: sent again when its connection ends */
    CLAW_CALL_FINAL = 2   /* an answer that says no more than "accepted" is not waited for */
};

/* Lies inside its owner, who keeps what it points to until done(). */
struct claw_call {
    void (*done)(struct claw_call *call, const struct claw_answer *answer);
    const char *method;  /* at most CLAW_WORD_MAX - 1 bytes */
    struct slice params; /* an object, JSON that was checked (json_check); empty: {} */
    unsigned flags;      /* CLAW_CALL_REPLAY | … */
    uint64_t tag;        /* of the lease */
    /* What follows is its own. */
    struct mux_call mux;
    uint64_t id;
    uint32_t tries;
    bool was_sent;
};

/* Takes it: done() will be called, unless it is cancelled. The key's texts are borrowed as well.
 * timeout_ms: of all of it; WEIR_NEVER: none. */
void claw_call_begin(struct claw_connector *connector, struct claw_call *call, const weir_key *key,
                     uint32_t timeout_ms);
/* done() will not be called any more. Does nothing to one that has ended. */
void claw_call_cancel(struct claw_call *call);
