/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_session.h - what http2.c (the connection), http2_frames.c (what comes), http2_call.c (its
 * calls) and http2_message.c (heads and fields) share; nobody else includes it.
 *
 * nghttp2 calls back while it is given bytes or asked for some; in there it must not be fed, asked
 * or freed. So nothing of that happens in a callback: a connection that has to end is `doomed`
 * there, and ends when nghttp2 has returned.
 */
#pragma once
#include "base/bytes.h"
#include "base/list.h"
#include "base/shelf.h"
#include "connector/http2.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/stream.h"
#include "proto/http2_scan.h"

#include <nghttp2/nghttp2.h>

struct session;

enum call_state {
    CALL_NEW,  /* no request was given yet */
    CALL_HEAD, /* the answer's head is awaited */
    CALL_BODY, /* its body, or trailers */
    CALL_OVER, /* told, or cancelled: waits to be used again */
};

/* When each of a call's deadlines is; UINT64_MAX: not now. */
struct call_deadlines {
    uint64_t answer_ms; /* first byte, then the next read */
    uint64_t write_ms;
    uint64_t total_ms;
};

/* Trailers of a request, kept until its body has left; or all its fields, until it may be sent. */
struct call_fields {
    size_t count;
    nghttp2_nv at[];
};

struct call {
    struct http_call call; /* first */
    struct session *session;
    struct node on_list;  /* session->calls or connector->spare */
    struct node on_read;  /* session->heard: to be flushed at this read's end */
    struct node on_write; /* session->writing: some of its body waits, or its giver does */
    int32_t stream_id;    /* 0: none yet */
    uint8_t state;        /* enum call_state */
    uint8_t method_id;    /* of the request */
    bool request_done;    /* its end was given */
    bool has_body;        /* the request's head did not say that there is none */
    bool answered;        /* something of the answer came */
    bool paused;          /* the caller wants no more of the body now */
    bool blocked;         /* the giver was told to wait */
    bool deferred;        /* nghttp2 waits for more of the body */
    bool reset_by_peer;   /* RST_STREAM came */
    bool bad;             /* the answer is not one */
    bool failing;         /* could not begin: to be told in a later event */
    bool untimed;         /* its caller keeps the time */
    uint16_t interim;     /* answers of 1xx so far */
    uint32_t unconsumed;  /* bytes of the answer not yet given back to its window */
    struct bytes out;     /* of the request's body, not yet sent */
    size_t waited;        /* how much that was after the last write */
    struct call_fields *trailers;
    struct call_fields *waiting; /* a request that waits for the peer's SETTINGS; NULL: none */
    struct call_deadlines deadline;
    uint64_t armed_ms; /* what the timer is set to, or earlier; UINT64_MAX: it is not set */
    struct loop_timer timer;
};

/* Where the fields of one section are gathered: kept alive by reference, not copied. */
struct gathering {
    struct node on_spare;
    uint32_t count;
    uint32_t bytes; /* names, values, and 32 for each field (RFC 9113 §6.5.2) */
    struct http_field fields[HTTP_FIELDS_MAX];
    nghttp2_rcbuf *bufs[2 * HTTP_FIELDS_MAX];
    uint16_t status;      /* :status */
    bool is_length_known; /* content-length */
    uint64_t length;
};

enum session_state {
    SESSION_OPEN,
    SESSION_GOING, /* GOAWAY: no new calls; those there are go on */
    SESSION_DEAD,  /* no stream; waits to be freed */
};

struct session {
    struct http_link link; /* first */
    struct http2_connector *connector;
    struct stream *stream;
    nghttp2_session *ng;
    weir_conn id;
    uint8_t state;    /* enum session_state */
    uint8_t interest; /* what the stream was told to want */
    bool is_tls;
    bool is_inside;    /* nghttp2 is at work: see above */
    bool is_up;        /* weir_conn_up() was said */
    bool is_greeted;   /* the peer's SETTINGS came */
    bool has_settings; /* in this read, too */
    bool is_probing;   /* the pool waits for a verdict */
    bool is_pinging;   /* a PING is out */
    bool has_failing;  /* a call could not begin */
    weir_err doom;     /* WEIR_OK: none */
    enum http_fault doom_fault;
    uint32_t room; /* what the pool was told */
    uint32_t uses;
    struct http_took took;
    struct list calls;
    struct list heard; /* calls that something came for, in this read */
    struct list writing;
    struct gathering *gathering;
    struct outbox out;
    struct http2_scan scan;
    uint64_t opened_ms, heard_ms, pinged_ms;
    uint64_t write_ms; /* UINT64_MAX: nothing waits */
    uint64_t tokens_milli, tokens_ms;
    uint8_t ping[8];
    uint64_t armed_ms;
    struct loop_timer timer;
    struct loop_later sending;
    struct loop_later freeing;
    struct node on_list; /* connector->sessions */
};

struct http2_connector {
    const struct http_connector_options *opt;
    weir_pool *pool;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    uint32_t header_bytes_max, headers_max;
    uint32_t ping_least_ms; /* grows where a peer complains */
    struct list sessions;   /* all of them, of every state */
    struct list spare;      /* calls */
    struct list rooms;      /* gatherings */
    struct shelf shelf;     /* nghttp2's blocks */
    nghttp2_nv nva[2 * HTTP_FIELDS_MAX];
};

static inline uint64_t session_now_ms(const struct session *session)
{
    return loop_now_ms(session->connector->opt->loop);
}

static inline uint64_t session_later(uint64_t now_ms, uint32_t timeout_ms)
{
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : now_ms + timeout_ms;
}

/* --- http2.c ------------------------------------------------------------------------------------
 */

void session_want(struct session *session);
/* At the end of this turn. */
void session_send_soon(struct session *session);
/* Ends when nghttp2 has returned; the first reason counts. */
void session_doom(struct session *session, weir_err why, enum http_fault fault);
/* It takes no new calls, and the pool knows. */
void session_go(struct session *session);

/* --- http2_frames.c -----------------------------------------------------------------------------
 */

/* 0 or -errno: makes connector->callbacks. */
int frames_listen(struct http2_connector *connector);
/* Every frame that comes, those that nghttp2 passes over in silence too. */
void frames_count(struct session *session, const uint8_t *at, size_t len);
/* A frame with something in it went either way: tokens come back. */
void frames_earn(struct session *session, size_t bytes);

/* --- http2_memory.c -----------------------------------------------------------------------------
 */

/* Where its connections' nghttp2 has its memory from. */
nghttp2_mem memory_of(struct http2_connector *connector);

/* --- http2_call.c -------------------------------------------------------------------------------
 */

struct http_call *call_open(struct session *session, const struct http_caller *caller, void *user);
void call_free(struct call *call);
/* The call of that stream, or NULL: it is over. */
struct call *call_of(const struct session *session, int32_t stream_id);

/* The peer's SETTINGS are there. */
void call_greeted(struct call *call);
/* What nghttp2 tells. */
void call_head(struct call *call, struct gathering *fields, bool is_end);
void call_data(struct call *call, const void *data, size_t len);
void call_answer_end(struct call *call, const struct http_head *trailers);
void call_stream_closed(struct call *call, uint32_t error_code);
void call_not_sent(struct call *call);
/* Bytes of the request were handed to the connection; is_end: the last ones. */
void call_sent(struct call *call, size_t bytes, bool is_end);

/* At the end of a read, and of a write. */
void call_flushed(struct call *call);
void call_written(struct call *call);
/* Tells on_fail; the call is over. */
void call_fail(struct call *call, enum http_fault why);

/* --- http2_message.c ----------------------------------------------------------------------------
 */

struct gathering *gathering_take(struct http2_connector *connector); /* NULL: no memory */
void gathering_give(struct http2_connector *connector, struct gathering *gathering);
/* False: too much, or not a field. */
bool gathering_add(const struct http2_connector *connector, struct gathering *gathering,
                   nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* The answer's head; `asked`: the request's method. False: it is not one. */
bool gathering_head(struct gathering *gathering, uint8_t asked, bool is_end,
                    struct http_head *ret_head);

/* The fields of a request, into connector->nva; how many. `length`: room for its text. */
size_t request_fields(struct http2_connector *connector, const struct http_head *head, bool is_tls,
                      char length[20]);
/* A copy, or NULL: no memory. */
struct call_fields *fields_copy(const nghttp2_nv *nva, size_t count);
/* A copy, or NULL: memory, or there are none. Uses connector->nva. */
struct call_fields *trailers_copy(struct http2_connector *connector,
                                  const struct http_head *trailers);
