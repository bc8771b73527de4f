/* SPDX-License-Identifier: Apache-2.0
 *
 * http1.h - the connector of HTTP/1.1: it dials, keeps idle connections honest, and carries one
 * call at a time over each (RFC 9112).
 *
 * One per pool, on the loop of the pool's engine. To the pool it is a weir_connector; to whoever
 * holds a lease it is http1_call_open(), which makes a connection a `struct http_call`.
 *
 *     dial ──▶ idle ◀──────────────┐ on_end, reusable: release KEEP
 *               │ call_open        │
 *               ▼                  │
 *             in a call ───────────┴──▶ spent: on_end, not reusable, or on_fail: release BROKEN
 *
 * Always true:
 *   - An idle connection stays readable in the loop. A FIN or a byte that nobody asked for takes it
 *     out of the pool when it happens, not when it is next used.
 *   - A call costs one send, one receive, no allocation and no change of interest, unless the peer
 *     cannot keep up.
 *   - The call is part of the connection's object: it is over at on_end and on_fail, and the
 * pointer is not used again by either side.
 *   - http_call.sent counts what the peer's socket has accepted; a failed write is told by on_fail
 *     only when what the peer may have answered was read.
 */
#pragma once
#include <weir/weir.h>

#include "proto/http.h"

#include <stddef.h>
#include <stdint.h>

struct cork;
struct dns;
struct loop;
struct stream;

struct http1_connector;

#define HTTP1_INTERIM_MAX 100U /* answers of 1xx to one request; more are a bad answer */

struct http1_connector_options {
    struct loop *loop;
    struct dns *dns;
    struct cork *cork;              /* of that loop */
    uint32_t connect_timeout_ms;    /* WEIR_NEVER, here and below: none */
    uint32_t first_byte_timeout_ms; /* from the end of the request */
    uint32_t read_timeout_ms;       /* between two reads of an answer */
    uint32_t write_timeout_ms;      /* while the peer takes nothing */
    uint32_t total_timeout_ms;      /* from the request's head to the answer's end */
    uint32_t header_bytes_max;      /* of an answer's head [32 KiB] */
    uint32_t headers_max;           /* fields in it [100] */
};

int http1_connector_new(const struct http1_connector_options *opt,
                        struct http1_connector **ret_connector); /* 0 or -errno */

/* Closes what is left. The engine must be gone, or its pool closed. */
void http1_connector_free(struct http1_connector *take_connector);

/* The time-outs of `opt`, from the next call or dial on. */
void http1_connector_update(struct http1_connector *connector,
                            const struct http1_connector_options *opt);

/* For weir_pool_options: .connector = &http1_pool_connector, .connector_self = the connector. */
extern const weir_connector http1_pool_connector;

/* The pool to report to; called once, right after it was opened. */
void http1_connector_serve(struct http1_connector *connector, weir_pool *pool);

/* Begins a call on a leased connection: `object` as the lease gave it. Never fails; a connection
 * that has died meanwhile fails the call in a later event. */
struct http_call *http1_call_open(void *object, const struct http_caller *caller, void *user);

/* The connection has carried a call before this one. */
bool http1_call_is_reused(const struct http_call *call);

/* Tells the pool how long the peer took to answer, for its choice among connections. */
void http1_call_took(const struct http_call *call, uint32_t us);

/* How long its dial took, in microseconds. */
uint32_t http1_call_connect_us(const struct http_call *call);

/* A connection that no pool knows, for one call (health checks): takes the stream. It ends with
 * http1_lone_close(), which cancels a call under way. */
void *http1_lone_open(struct http1_connector *connector, struct stream *take_stream);
void http1_lone_close(void *take_object);
