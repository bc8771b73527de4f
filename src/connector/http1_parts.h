/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_parts.h - what http1.c (connections, as the pool keeps them), http1_call.c (a request, as
 * its caller gives it) and http1_answer.c (what comes) share; nobody else includes it.
 */
#pragma once
#include "base/list.h"
#include "connector/http1.h"
#include "connector/http1_given.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/stream.h"
#include "proto/http1.h"

enum conn_state {
    CONN_IDLE,   /* the pool's, or leased and about to be called */
    CONN_HEAD,   /* in a call: the answer's head is awaited */
    CONN_BODY,   /* in a call: its body */
    CONN_SWITCH, /* it said 101: the caller takes the stream, or the call has failed */
    CONN_SPENT,  /* never again; no stream; waits for its owner to let go of it */
};

/* When each of a call's deadlines is; UINT64_MAX: not now. One timer serves them all and is never
 * later than the earliest. */
struct deadlines {
    uint64_t answer_ms; /* first byte, then the next read */
    uint64_t write_ms;
    uint64_t total_ms;
};

/* What a call touches comes first, in as few cache lines as it takes: with many calls under way
 * each finds its connection cold. */
struct conn {
    struct http_link link; /* first */
    struct http_call call;
    struct http1_connector *connector;
    struct stream *stream;
    weir_conn id;      /* 0: no pool knows it */
    uint8_t state;     /* enum conn_state */
    uint8_t interest;  /* what the stream was told to want */
    uint8_t framing;   /* of the request */
    bool request_done; /* its end was given */

    bool answered;    /* a byte of the answer came */
    bool keep_alive;  /* as the answer's head said */
    bool paused;      /* the caller wants no more of the body now */
    bool corked;      /* given and not yet flushed */
    bool carries;     /* carry holds something */
    uint16_t interim; /* answers of 1xx so far */
    struct http1_asked asked;
    struct http1_progress progress;
    uint32_t uses;
    uint64_t armed_ms; /* what the timer is set to, or earlier; UINT64_MAX: it is not set */
    struct deadlines deadline;
    struct outbox out;
    struct http1_body body;

    struct loop_timer timer;
    struct bytes carry;        /* a head or trailers of which the end is missing */
    struct node on_list;       /* connector->conns */
    struct loop_later freeing; /* lone ones: the stack may still be in it */
    struct http_took took;
    uint32_t idle_hint_ms;
    struct slice ahead; /* in SWITCH: what came behind the head */
};

#define CONN_HOT_BYTES offsetof(struct conn, timer)

struct http1_connector {
    const struct http_connector_options *opt;
    struct http1_limits limits;
    weir_pool *pool;
    struct list conns; /* all of them, of every state */
    struct http1_givens givens;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_field trailers[HTTP_FIELDS_MAX];
};

extern const struct http_call_ops http1_call_ops; /* in http1_call.c */

/* Takes everything from it but its memory. */
void http1_conn_spend(struct conn *conn);
/* Tells the stream what it waits for; nothing where that has not changed. */
void http1_conn_want(struct conn *conn);
void http1_carry_drop(struct conn *conn);
/* The timer may be early, never late: pushing a deadline back costs nothing here. */
void http1_conn_arm(struct conn *conn, uint64_t deadline_ms);

void http1_answer_read(struct conn *conn, const char *at, size_t len);
/* `surplus`: bytes behind the answer that nobody asked for. */
void http1_answer_end(struct conn *conn, const struct http_head *trailers, size_t surplus);
void http1_answer_fail(struct conn *conn, enum http_fault why);

static inline bool http1_in_call(const struct conn *conn)
{
    return conn->state == CONN_HEAD || conn->state == CONN_BODY;
}

static inline uint64_t http1_now_ms(const struct conn *conn)
{
    return loop_now_ms(conn->connector->opt->loop);
}

static inline uint64_t http1_later(uint64_t now, uint32_t timeout_ms)
{
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : now + timeout_ms;
}

/* The request is complete, and the stream has taken all of it. */
static inline bool http1_is_all_sent(const struct conn *conn)
{
    return conn->request_done && !conn->out.failed && !conn->corked && !outbox_holds(&conn->out);
}
