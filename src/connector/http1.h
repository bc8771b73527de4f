/* SPDX-License-Identifier: Apache-2.0
 *
 * http1.h - connections to peers that speak HTTP/1.1: keeps idle ones honest, and carries one call
 * at a time over each (RFC 9112). connector/http.h dials and hands the streams over.
 *
 *     open ──▶ idle ◀──────────────┐ on_end, reusable: release KEEP
 *               │ http_call_open   │
 *               ▼                  │
 *             in a call ───────────┴──▶ spent: on_end, not reusable, or on_fail: release BROKEN
 *
 * Always true:
 *   - An idle connection stays readable in the loop. A FIN or a byte that nobody asked for takes it
 *     out of the pool when it happens, not when it is next used.
 *   - A call costs one send, one receive, no allocation and no change of interest, unless the peer
 *     cannot keep up.
 *   - The call is part of the connection's object: it is over at on_end and on_fail, and the
 *     pointer is not used again by either side.
 *   - http_call.sent counts what the peer's socket has accepted; a failed write is told by on_fail
 *     only when what the peer may have answered was read.
 */
#pragma once
#include "connector/http.h"

#include <stddef.h>
#include <stdint.h>

#define HTTP1_INTERIM_MAX 100U /* answers of 1xx to one request; more are a bad answer */

struct http1_connector;

/* 0 or -errno. `opt` is borrowed: its time-outs may change at any time. */
int http1_connector_new(const struct http_connector_options *opt,
                        struct http1_connector **ret_connector);

/* Closes what is left. The engine must be gone, or its pool closed. */
void http1_connector_free(struct http1_connector *take_connector);

/* The pool to report to. */
void http1_connector_serve(struct http1_connector *connector, weir_pool *pool);

/* A connection over this stream, which is taken in any case; weir_conn_up() is said, or, where the
 * pool does not want it any more, weir_conn_down(). id 0: no pool knows it. NULL: no memory, and
 * nothing is said, nor the place taken. */
struct http_link *http1_open(struct http1_connector *connector, weir_conn id,
                             struct stream *take_stream, struct http_took took,
                             struct gate_place *take_place);

/* Between the two a connection moves by its descriptor: one over TLS stays, since what its library
 * keeps for it belongs to its worker. */
struct http1_connector *http1_of(struct http_connector *connector); /* in http.c */
