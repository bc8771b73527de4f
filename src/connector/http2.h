/* SPDX-License-Identifier: Apache-2.0
 *
 * http2.h - connections to peers that speak HTTP/2 (RFC 9113, on nghttp2): many calls at a time
 * over each. connector/http.h dials and hands the streams over.
 *
 *     open ──▶ up, one lease ──▶ SETTINGS: as many leases as the peer allows ──▶ GOAWAY: no new
 * ones │ each lease: http_call_open ──▶ a stream ──▶ on_end │ on_fail: release KEEP └──▶ dead:
 * weir_conn_down, then on_fail for every call there is
 *
 * Always true:
 *   - All that is to be said in a turn of the loop leaves at its end, in one write where it fits.
 *   - A stream that ends badly harms no other one. What the peer has not touched is told so
 *     (http_call.untouched): streams above the last of a GOAWAY, REFUSED_STREAM, and requests that
 *     had not left.
 *   - What a peer can make us keep is bounded: HTTP2_WINDOW of each answer ahead of a client that
 *     does not read, which holds up no other (the connection's window opens at once); one head of
 *     header_bytes_max at a time; HTTP2_AHEAD and one read of a request's body; HTTP2_QUEUE_MAX
 *     frames, HTTP2_KEPT_MAX bytes.
 *   - Frames that carry nothing cost tokens, and data brings some back; who has none left is told
 *     ENHANCE_YOUR_CALM.
 *   - A malformed answer (§8.1.1) fails its call alone; a broken frame ends the connection.
 *   - While calls are open a silent peer is asked by PING; idle connections the pool probes.
 */
#pragma once
#include "connector/http.h"

#define HTTP2_INTERIM_MAX  100U        /* answers of 1xx to one request */
#define HTTP2_WINDOW       (64U << 10) /* of a stream, of what it may send us */
#define HTTP2_WINDOW_ALL   (1U << 20)  /* of a connection */
#define HTTP2_AHEAD        (32U << 10) /* of a body the peer has no room for: then the giver waits */
#define HTTP2_BODY_MAX     (1U << 20)  /* … and more than this is never kept */
#define HTTP2_KEPT_MAX     (4U << 20)  /* that the socket does not take; more fails */
#define HTTP2_QUEUE_MAX    10000U      /* frames that wait to be sent */
#define HTTP2_SETTINGS_MS  10000U      /* for the peer's first SETTINGS */
#define HTTP2_IDLE_BURST   1000U       /* frames that carry nothing: so many at once, */
#define HTTP2_IDLE_RATE    100U        /* these a second, */
#define HTTP2_EARN_FRAME   3U          /* and these for each frame that carries something, either */
#define HTTP2_EARN_BYTES   512U        /* way: peers answer one with window updates and a ping */
#define HTTP2_SPARE_MAX    256U        /* calls kept for the next ones */
#define HTTP2_OUT_KEPT     512U        /* of memory for a body that one of them keeps */
#define HTTP2_SHELF_MAX    (128U << 10) /* bytes of nghttp2's kept for the next calls */
#define HTTP2_PING_MS      30000U       /* [ping_interval_ms] */
#define HTTP2_PING_WAIT_MS 5000U        /* [ping_timeout_ms] */

struct http2_connector;

/* 0 or -errno. `opt` is borrowed: its time-outs may change at any time. */
int http2_connector_new(const struct http_connector_options *opt,
                        struct http2_connector **ret_connector);

/* Closes what is left. The engine must be gone, or its pool closed. */
void http2_connector_free(struct http2_connector *take_connector);

/* The pool to report to. */
void http2_connector_serve(struct http2_connector *connector, weir_pool *pool);

struct http2_open {
    weir_conn id; /* 0: no pool knows it */
    struct stream *take_stream;
    struct http_took took;
    struct gate_place *take_place;
    bool is_tls;
    /* Up at once, with one lease until SETTINGS are there; else up when they are. */
    bool is_trusted;
};

/* A connection over this stream, which is taken in any case. It says weir_conn_up() or
 * weir_conn_down(). NULL: no memory, and nothing is said; the place may be taken all the same. */
struct http_link *http2_open(struct http2_connector *connector, const struct http2_open *how);
