/* SPDX-License-Identifier: Apache-2.0
 *
 * http1.h - a listener's half of HTTP/1.1: clients on one worker, each a connection of the core's
 * pool "listener:NAME", each request a lease on it.
 *
 *     accepted            first byte            head complete           answer and request ended
 *   (new) ----> IDLE ----------------> HEAD -----------------> OPEN -----------------> IDLE
 *                 |                     |                       |
 *                 +--- time, drain ---> LINGER <----- close ----+        ----> (gone)
 *
 * IDLE holds no buffer. HEAD has a request record, taken from a free list at the first byte, and
 * keeps the bytes of an incomplete head. OPEN is an exchange with the handler. LINGER has said all
 * it will, and reads and forgets a bounded rest, so that the peer gets the last answer and not a
 * reset.
 *
 * Always true: one read and one write per request where nothing is in the way; the next request of
 * a connection is not looked at before the exchange before it ended; what is kept for a client is
 * bounded (HTTP1_HELD, HTTP1_PENDING_MAX); no handler is called inside a call of the handler.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"
#include "io/stream.h"
#include "listener/accept.h"
#include "proto/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP1_PENDING_MAX                                                                          \
    (1U << 20) /* bytes a handler may be ahead of a client that does not read */
#define HTTP1_LINGER_MS      2000U
#define HTTP1_LINGER_MAX     (256U << 10) /* bytes read and forgotten while lingering */
#define HTTP1_DRAIN_BODY_MAX (64U << 10)  /* of a body nobody wants, to save the connection */
#define HTTP1_REFUSALS_MAX   256U         /* clients being told 503 at a time, per worker */

/* Zero is the default; UINT32_MAX a time that does not come. */
struct http1_listener_options {
    const char *name;              /* "web": the pool is "listener:web" */
    const char *server;            /* who we are in Proxy-Status [weir] */
    uint32_t max_connections;      /* [1000] of this worker's pool; the port holds the sum */
    uint32_t headers_timeout_ms;   /* [10 s] from accept or the first byte to the end of the head */
    uint32_t request_timeout_ms;   /* [30 s] the whole request, while its body is slower than */
    uint64_t min_rate;             /* bytes per second; 0: however fast */
    uint32_t idle_timeout_ms;      /* [30 s] no byte either way while a request is open */
    uint32_t keepalive_timeout_ms; /* [5 s] between requests */
    uint32_t write_timeout_ms;     /* [30 s] a client that takes nothing of what waits for it */
    uint32_t max_header_bytes;     /* [32 KiB] */
    uint32_t max_headers;          /* [100] */
    const struct alloc *alloc;     /* [malloc] */
};

/* Written by the listener's worker with relaxed atomics; read by anyone. */
#define HTTP1_COUNTERS(X)                                                                          \
    X(requests, "requests begun")                                                                  \
    X(answers_1xx, "answers of class 1xx")                                                         \
    X(answers_2xx, "answers of class 2xx")                                                         \
    X(answers_3xx, "answers of class 3xx")                                                         \
    X(answers_4xx, "answers of class 4xx")                                                         \
    X(answers_5xx, "answers of class 5xx")                                                         \
    X(bytes_in, "bytes received")                                                                  \
    X(bytes_out, "bytes sent")                                                                     \
    X(reads, "receive calls that brought bytes")                                                   \
    X(writes, "send calls")                                                                        \
    X(bad_requests, "requests refused for their form")                                             \
    X(aborted, "requests whose client left")                                                       \
    X(cut, "answers that could not be completed")                                                  \
    X(headers_timeouts, "heads that took too long")                                                \
    X(request_timeouts, "requests that took too long")                                             \
    X(idle_timeouts, "open requests without a byte for too long")                                  \
    X(keepalive_timeouts, "connections closed between requests")                                   \
    X(write_timeouts, "clients that did not read")                                                 \
    X(refused_full, "clients refused over max_connections")                                        \
    X(refused_per_ip, "clients refused over max_per_ip")                                           \
    X(drained, "idle connections closed by a drain")

struct http1_counters {
#define X(name, text) _Atomic uint64_t name;
    HTTP1_COUNTERS(X)
#undef X
};

struct http1_listener;

/* On the worker's thread or before it runs. The handler and self outlive it. The listener steps
 * nothing: the engine's step at the end of each turn does what the core wants done. */
int http1_listener_new(struct loop *loop, weir_engine *engine,
                       const struct http1_listener_options *opt, const struct http_handler *handler,
                       void *handler_self, struct http1_listener **ret_listener);

/* Takes clients from this port from now on, as this worker. */
int http1_listener_accept(struct http1_listener *listener, struct accept_port *port,
                          uint32_t worker, const struct acceptor_ops *post);

/* A client by hand: any stream (a pair of sockets in a test, TLS later). */
int http1_listener_serve(struct http1_listener *listener, struct stream *take_stream,
                         const uint8_t address[16]);

/* No new clients; idle connections close; the answer under way is the last of its connection. After
 * grace_ms what is left is cut. on_drained(arg) runs once, when no client is left. */
void http1_listener_drain(struct http1_listener *listener, uint32_t grace_ms,
                          void (*on_drained)(void *arg), void *arg);

const struct http1_counters *http1_listener_counters(const struct http1_listener *listener);
weir_pool *http1_listener_pool(const struct http1_listener *listener);
uint32_t http1_listener_clients(const struct http1_listener *listener); /* this worker's thread */

/* Cuts every client (handlers hear on_abort) and closes the acceptor. */
void http1_listener_free(struct http1_listener *listener);
