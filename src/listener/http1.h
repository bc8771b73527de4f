/* SPDX-License-Identifier: Apache-2.0
 *
 * http1.h - the listener of HTTP/1.1: the clients of one worker, each a connection of the core's
 * pool "listener:NAME", each request a lease on it and an exchange with a handler.
 *
 * Always true:
 *   - A request is one read and one write, where nothing is in the way; it allocates nothing and
 *     sets no timer anew.
 *   - Requests of a connection are answered in their order: the next one is not looked at before
 *     the exchange before it has ended.
 *   - What is kept for a client is bounded: nothing while it is idle; an incomplete head, or what
 *     it sent ahead, up to one read; HTTP1_PENDING_MAX of an answer it does not read.
 *   - What cannot be served is answered (400, 405, 408, 414, 417, 431, 501, 503, 504, 505), with a
 *     JSON body and Proxy-Status, and then read and forgotten for a while, so that the client gets
 *     the answer and not a reset.
 *   - No handler is called inside a call of a handler.
 *
 * Each time-out is its own: see the options.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"
#include "io/stream.h"
#include "listener/counters.h"
#include "listener/front.h"
#include "proto/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP1_PENDING_MAX    (1U << 20)   /* of an answer, ahead of a client that does not read */
#define HTTP1_DRAIN_BODY_MAX (64U << 10)  /* of a body nobody wants, to save the connection */
#define HTTP1_LINGER_MAX     (256U << 10) /* read and forgotten behind a last answer, */
#define HTTP1_LINGER_MS      2000U        /* and for how long */
#define HTTP1_REFUSALS_MAX   256U         /* clients being told 503 at a time, */
#define HTTP1_SHORT_MAX      16U          /* and where each has one of the last descriptors */
#define HTTP1_SPARE_MAX      1024U        /* request records kept for the next requests */

struct http1_listener;

/* An answer of the listener's own. */
struct http1_refusal {
    uint16_t status;
    const char *code;        /* "head_size": the word of logs and of the body */
    const char *message;     /* a sentence */
    const char *proxy_error; /* RFC 9209 §2.3 */
    uint32_t retry_after_s;  /* 0: does not say */
};

/* Zero is the default. A time of UINT32_MAX never comes. */
struct http1_listener_options {
    const char *name;              /* "web": its pool is "listener:web"; must outlive it */
    const char *server;            /* who speaks in Proxy-Status [weir]; must outlive it */
    uint32_t max_connections;      /* of this worker [1000]; the port holds the sum */
    uint32_t headers_timeout_ms;   /* [10 s] from accept, or the first byte, to the head's end */
    uint32_t request_timeout_ms;   /* [30 s] a whole request; longer while its body keeps */
    uint64_t min_rate;             /* this many bytes a second; 0: no rate extends it */
    uint32_t idle_timeout_ms;      /* [30 s] no byte either way while a request is open */
    uint32_t answer_timeout_ms;    /* [idle_timeout_ms] the same, until the answer begins */
    uint32_t keepalive_timeout_ms; /* [5 s] between requests */
    uint32_t write_timeout_ms;     /* [30 s] a client that takes nothing of what waits for it */
    uint32_t max_header_bytes;     /* [32 KiB] at most half of the loop's read buffer */
    uint32_t max_headers;          /* [100] at most HTTP_FIELDS_MAX */
    /* Told of every refusal that no handler saw, for logs. May be NULL. */
    void (*on_refuse)(void *self, const struct http_peer *peer,
                      const struct http1_refusal *refusal);
    /* Told of every client that was turned away for want of a place, at once. May be NULL. */
    void (*on_full)(void *self, enum accept_refusal why);
    void *refuse_self;
    const struct alloc *alloc; /* [the loop's] */
    /* Who brings the clients, and has their pool; outlives it. NULL: the listener has a pool of its
     * own, and clients come by http1_listener_accept() or by hand. */
    struct front *front;
    bool hands_on_only; /* to HTTP/2: who does not begin with its preface is told 505 */
};

/* Any thread may read them, with http1_counter(). */
struct http1_counters {
#define HTTP1_ROW(name, text) _Atomic uint64_t name;
    LISTENER_COUNTERS(HTTP1_ROW)
#undef HTTP1_ROW
};

/* Of either protocol: what counts those refused for that. */
#define http1_refused(counters, why)                                                               \
    ((why) == ACCEPT_FULL     ? &(counters)->refused_full                                          \
     : (why) == ACCEPT_PER_IP ? &(counters)->refused_per_ip                                        \
                              : &(counters)->refused_short)

static inline uint64_t http1_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* 0 or -errno. On the worker's thread or before it runs, like all that follows. Handler and self
 * outlive it. The engine is stepped by its worker. */
int http1_listener_new(struct loop *loop, weir_engine *engine,
                       const struct http1_listener_options *opt, const struct http_handler *handler,
                       void *handler_self, struct http1_listener **ret_listener);

/* Takes clients from this port from the next turn on, as this worker. post: as in accept.h, NULL
 * where there is one worker. 0 or -errno. */
typedef bool http1_post_fn(void *self, uint32_t worker, void (*run)(void *arg, uint64_t value),
                           void *arg, uint64_t value);
int http1_listener_accept(struct http1_listener *listener, struct accept_port *port,
                          uint32_t worker, http1_post_fn *post, void *post_self);

/* For front_read_with(). */
struct front_reader http1_listener_reader(struct http1_listener *listener);

/* Other limits and time-outs from now on, for clients that are there, too. Name, server, those who
 * are told, front and alloc stay; max_connections is for the port to obey. 0, or -EINVAL and
 * nothing has changed. */
int http1_listener_update(struct http1_listener *listener,
                          const struct http1_listener_options *opt);

/* Requests to come are for this self of the handler; exchanges that are open stay where they are.
 */
void http1_listener_hand_to(struct http1_listener *listener, void *handler_self);

/* A client by hand, of any stream, which is taken also on failure. 0 or -errno. */
int http1_listener_serve(struct http1_listener *listener, struct stream *take_stream,
                         const uint8_t address[16]);

/* No new clients; idle connections close; the answer under way is the last of its connection; what
 * is left after its grace_ms is cut. on_drained(arg) comes once, in a later event, when no client
 * is left. */
void http1_listener_drain(struct http1_listener *listener, struct drain_time time,
                          void (*on_drained)(void *arg), void *arg);

/* As accept_door_pause(), _resume() and _shut(), of a listener that has a door of its own. */
void http1_listener_pause(struct http1_listener *listener);
void http1_listener_resume(struct http1_listener *listener);
void http1_listener_shut_door(struct http1_listener *listener);

const struct http1_counters *http1_listener_counters(const struct http1_listener *listener);
weir_pool *http1_listener_pool(const struct http1_listener *listener);
uint32_t http1_listener_clients(const struct http1_listener *listener);

/* Cuts every client (handlers hear on_abort), closes door and pool. */
void http1_listener_free(struct http1_listener *take_listener);
