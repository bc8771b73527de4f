/* SPDX-License-Identifier: Apache-2.0
 *
 * http2.h - the listener of HTTP/2 (RFC 9113, on nghttp2): the clients of one worker that speak it,
 * each a connection of the pool "listener:NAME", each stream a lease on it and an exchange with a
 * handler. A front brings the clients: by ALPN, or by the preface that they begin with.
 *
 * Always true:
 *   - To the handler a stream is what a request of HTTP/1.1 is: the same calls, the same bounds.
 *   - What is written in one turn of the loop leaves in one write.
 *   - What a client sends ahead of the other side is bounded by the windows it was given; what it
 *     does not read by HTTP2_BODY_HIGH and one read of its giver for each stream, and all of a
 *     connection, what nghttp2 needs included, by max_session_memory.
 *   - Frames that cost us more than their sender have a budget (http2_budget.h); beyond it comes
 *     GOAWAY with ENHANCE_YOUR_CALM, and the end.
 *   - Priorities are not obeyed (RFC 9113 §5.3.2): streams take turns.
 *   - A call of gRPC that is refused hears it as a status of gRPC.
 *   - A malformed message is a reset of its stream (§8.1.1); what else cannot be served is answered
 *     as listener/http1 answers it.
 *   - No handler is called inside a call of a handler.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"
#include "io/stream.h"
#include "listener/counters.h"
#include "listener/front.h"
#include "listener/http1.h"
#include "listener/http2_budget.h"
#include "proto/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP2_STREAM_WINDOW     65535U       /* bytes of a body ahead of its reader, */
#define HTTP2_CONNECTION_WINDOW (1U << 20)   /* and of all of a connection's */
#define HTTP2_WITHHELD_MAX      (1U << 20)   /* of paused bodies: beyond, the connection waits */
#define HTTP2_BODY_HIGH         (16U << 10)  /* of an answer ahead of its client: its giver waits */
#define HTTP2_PENDING_HIGH      (1U << 20)   /* of all answers of a connection: all givers wait */
#define HTTP2_KEPT_MAX          (1U << 20)   /* framed, and not taken by the client's socket */
#define HTTP2_FRAMES_MAX        10000U       /* waiting to be framed, */
#define HTTP2_ACKS_MAX          1000U        /* and of these, answers to PING and SETTINGS */
#define HTTP2_HEADER_EXCESS     8U           /* times max_header_list_size: the connection ends */
#define HTTP2_DRAIN_MS          1000U        /* from the notice of a drain to its last word */
#define HTTP2_LINGER_MAX        (256U << 10) /* read and forgotten behind our last word, */
#define HTTP2_LINGER_MS         2000U        /* and for how long */
#define HTTP2_REFUSALS_MAX      64U          /* clients being told 503 at a time, */
#define HTTP2_SHORT_MAX         16U          /* and where each has one of the last descriptors */
#define HTTP2_SPARE_MAX         1024U        /* stream records kept for the next requests */
#define HTTP2_SHELF_MAX         (256U << 10) /* bytes of nghttp2's kept for the next requests */
#define HTTP2_SPARE_BODY_MAX    (16U << 10)  /* of memory that each may keep */

extern const char http2_preface[24];

struct http2_listener;

/* Zero is the default. A time of UINT32_MAX never comes. Times are those of listener/http1.h, with
 * a stream in the place of a connection's request. */
struct http2_listener_options {
    struct front *front; /* where clients come from; NULL: by hand */
    const char *name;    /* of the listener; must outlive it */
    const char *server;  /* who speaks in Proxy-Status [weir]; must outlive it */
    uint32_t headers_timeout_ms;
    uint32_t request_timeout_ms;
    uint64_t min_rate;
    uint32_t idle_timeout_ms;
    uint32_t answer_timeout_ms;
    uint32_t keepalive_timeout_ms;   /* without a stream */
    uint32_t write_timeout_ms;       /* also of a stream whose window is shut */
    uint32_t max_headers;            /* [100] fields, crumbs of cookies included */
    uint32_t max_concurrent_streams; /* [100] */
    uint32_t max_header_list_size;   /* [32 KiB] */
    uint32_t max_session_memory;     /* [10 MiB] */
    uint32_t ping_interval_ms;       /* [30 s] of silence until a PING; as long again: closed */
    /* For connections that have carried a call of gRPC. */
    uint32_t grpc_keepalive_time_ms; /* [30 s] the same, also without a call */
    uint32_t grpc_max_age_ms;        /* [never] a tenth more or less: told to open no more calls, */
    uint32_t grpc_max_age_grace_ms;  /* [never] and so long after that it is cut */
    bool websocket;                  /* extended CONNECT is offered (RFC 8441) */
    void (*on_refuse)(void *self, const struct http_peer *peer,
                      const struct http1_refusal *refusal);
    /* Told of every client that was turned away for want of a place, at once. May be NULL. */
    void (*on_full)(void *self, enum accept_refusal why);
    void *refuse_self;
    const struct alloc *alloc; /* [the loop's] */
};

/* Any thread may read them, with http2_counter(). */

#define HTTP2_OWN_COUNTERS(ROW)                                                                    \
    ROW(connections, "connections that spoke HTTP/2")                                              \
    ROW(ping_timeouts, "clients that answered no PING")                                            \
    ROW(aged, "connections of gRPC that reached their greatest age")                               \
    ROW(resets_in, "streams reset by clients")                                                     \
    ROW(resets_out, "streams reset by us")                                                         \
    ROW(refused_streams, "streams beyond max_concurrent_streams")                                  \
    ROW(protocol_errors, "connections ended for breaking the protocol")

struct http2_counters {
#define HTTP2_ROW(name, text) _Atomic uint64_t name;
    LISTENER_COUNTERS(HTTP2_ROW)
    HTTP2_OWN_COUNTERS(HTTP2_ROW)
#undef HTTP2_ROW
    _Atomic uint64_t floods[HTTP2_FLOOD_COUNT]; /* connections told to be calm, by why */
};

static inline uint64_t http2_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* 0 or -errno. On the worker's thread or before it runs, like all that follows. Handler and self,
 * pool and front outlive it. */
int http2_listener_new(struct loop *loop, weir_pool *pool, const struct http2_listener_options *opt,
                       const struct http_handler *handler, void *handler_self,
                       struct http2_listener **ret_listener);

/* For front_read_with(). */
struct front_reader http2_listener_reader(struct http2_listener *listener);

/* Other limits and time-outs from now on; clients that are there keep what their SETTINGS said.
 * Name, server, those who are told and alloc stay. 0, or -EINVAL and nothing has changed. */
int http2_listener_update(struct http2_listener *listener,
                          const struct http2_listener_options *opt);

/* Requests to come are for this self of the handler; exchanges that are open stay where they are.
 */
void http2_listener_hand_to(struct http2_listener *listener, void *handler_self);

/* A client of any stream, which is taken also on failure. `ahead`: what was read already. */
int http2_listener_serve(struct http2_listener *listener, struct stream *take_stream,
                         const struct front_client *from);

/* Clients are told to open no more streams, idle ones go; what is left after grace_ms is cut.
 * on_drained(arg) comes once, in a later event, when no client is left. */
void http2_listener_drain(struct http2_listener *listener, struct drain_time time,
                          void (*on_drained)(void *arg), void *arg);

const struct http2_counters *http2_listener_counters(const struct http2_listener *listener);

/* Cuts every client (handlers hear on_abort). */
void http2_listener_free(struct http2_listener *take_listener);
