/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/http1.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/fetch.h"
#include "base/list.h"
#include "connector/http1_given.h"
#include "core/pool.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/socket.h"
#include "io/stream.h"
#include "proto/http1.h"

#include <errno.h>
#include <unistd.h>

/* What may wait for a peer that does not read: the giver stops when told so, at most one read
 * buffer and a head later. */
#define KEPT_MAX        (1U << 20)
/* After a failed write: how long an answer that was sent before the peer hung up may take. */
#define EARLY_ANSWER_MS 1000U
#define IDLE_MARGIN_MS  2000U

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

static void conn_free(struct conn *conn);
static void conn_freed(struct loop_later *put_off);
static void conn_spend(struct conn *conn);
static void conn_down(struct conn *conn, weir_err why);
static void carry_drop(struct conn *conn);
static void conn_want(struct conn *conn);
static void conn_ready(struct stream *stream, unsigned events);
static void conn_writable(struct conn *conn);
static void conn_readable(struct conn *conn);
static void conn_closed(struct conn *conn, ssize_t how);
static void answer_read(struct conn *conn, const char *at, size_t len);
static size_t answer_head(struct conn *conn, const char *at, size_t len);
static size_t answer_body(struct conn *conn, const char *at, size_t len);
static void answer_end(struct conn *conn, const struct http_head *trailers, size_t surplus);
static void answer_fail(struct conn *conn, enum http_fault why);
static void heed_idle_hint(struct conn *conn, const struct http_head *head);
static void arm(struct conn *conn, uint64_t deadline_ms);
static void timer_fire(struct loop_timer *timer, uint64_t now_ms);
static size_t answer_switch(struct conn *conn, struct http_head *head, struct slice ahead);
static bool call_tunnel(struct http_call *call, struct http_tunnel *tunnel,
                        struct slice *ret_ahead);
static const struct http_link_ops link_ops;

static bool in_call(const struct conn *conn)
{
    return conn->state == CONN_HEAD || conn->state == CONN_BODY;
}

static uint64_t now_ms(const struct conn *conn)
{
    return loop_now_ms(conn->connector->opt->loop);
}

static uint64_t later(uint64_t now, uint32_t timeout_ms)
{
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : now + timeout_ms;
}

/* --- what its connections share -----------------------------------------------------------------
 */

int http1_connector_new(const struct http_connector_options *opt,
                        struct http1_connector **ret_connector)
{
    struct http1_connector *connector = alloc_zeroed(&alloc_libc, sizeof *connector);
    if (connector == NULL) {
        return -ENOMEM;
    }
    connector->opt = opt;
    connector->limits = HTTP1_LIMITS_DEFAULT;
    if (opt->header_bytes_max != 0) {
        connector->limits.head_bytes_max = opt->header_bytes_max;
    }
    if (opt->headers_max != 0) {
        uint32_t most = opt->headers_max < HTTP_FIELDS_MAX ? opt->headers_max : HTTP_FIELDS_MAX;
        connector->limits.fields_max = (uint16_t)most;
    }
    list_init(&connector->conns);
    list_init(&connector->givens.all);
    *ret_connector = connector;
    return 0;
}

void http1_connector_free(struct http1_connector *take_connector)
{
    if (take_connector == NULL) {
        return;
    }
    for (struct node *it; (it = list_first(&take_connector->conns)) != NULL;) {
        conn_free(list_entry(it, struct conn, on_list));
    }
    http1_givens_cut(&take_connector->givens);
    alloc_free(&alloc_libc, take_connector);
}

void http1_connector_serve(struct http1_connector *connector, weir_pool *pool)
{
    connector->pool = connector->givens.pool = pool;
}

/* --- a connection ------------------------------------------------------------------------------
 */

struct http_link *http1_open(struct http1_connector *connector, weir_conn id,
                             struct stream *take_stream, struct http_took took,
                             struct gate_place *take_place)
{
    struct conn *conn = alloc_zeroed(&alloc_libc, sizeof *conn);
    if (conn == NULL) {
        stream_close(take_stream);
        return NULL;
    }
    conn->link = (struct http_link){&link_ops, gate_move(take_place)};
    conn->connector = connector;
    conn->id = id;
    conn->took = took;
    conn->armed_ms = UINT64_MAX;
    conn->timer.fire = timer_fire;
    conn->freeing.run = conn_freed;
    outbox_init(&conn->out, connector->opt->cork, KEPT_MAX);
    size_t once; /* the rest of a head comes with what is behind it */
    loop_buffer(connector->opt->loop, &once);
    bytes_init(&conn->carry, &alloc_libc,
               connector->limits.head_bytes_max + connector->limits.trailer_bytes_max + once);
    list_push_back(&connector->conns, &conn->on_list);
    conn->stream = take_stream;
    conn->state = CONN_IDLE;
    take_stream->owner = conn;
    take_stream->on_ready = conn_ready;
    socket_read_ahead(take_stream);
    conn_want(conn);
    weir_err err = id.id != 0 ? weir_conn_up(connector->pool, id, conn, 1) : WEIR_OK;
    if (err != WEIR_OK) {
        conn_down(conn, err); /* it was told to close meanwhile */
    }
    return &conn->link;
}

/* --- to another worker --------------------------------------------------------------------------
 */

struct parcel {
    struct http_parcel parcel;
    int fd;
    uint32_t uses;
    struct http_took took;
};

static void parcel_land(struct http_parcel *take_parcel, struct http_connector *connector,
                        weir_conn id)
{
    struct parcel own = *container_of(take_parcel, struct parcel, parcel);
    alloc_free(&alloc_libc, take_parcel);
    if (connector == NULL) {
        close(own.fd);
        return;
    }
    struct http1_connector *http1 = http1_of(connector);
    struct stream *stream;
    struct http_link *link = NULL;
    if (socket_adopt(http1->opt->loop, own.fd, &stream) == 0) {
        link = http1_open(http1, id, stream, own.took, &own.parcel.place);
    }
    if (link != NULL) {
        container_of(link, struct conn, link)->uses = own.uses;
    } else {
        gate_give(&own.parcel.place);
        weir_conn_down(http1->pool, id, WEIR_ENOMEM);
    }
}

static struct http_parcel *link_detach(struct http_link *take_link)
{
    struct conn *conn = container_of(take_link, struct conn, link);
    if (conn->state != CONN_IDLE || !stream_is_socket(conn->stream)
        || socket_has_arrived(conn->stream)) {
        return NULL;
    }
    struct parcel *parcel = alloc_zeroed(&alloc_libc, sizeof *parcel);
    if (parcel == NULL) {
        return NULL;
    }
    *parcel = (struct parcel){.parcel = {.land = parcel_land},
                              .fd = socket_detach(conn->stream),
                              .uses = conn->uses,
                              .took = conn->took};
    conn->stream = NULL;
    conn_free(conn);
    return &parcel->parcel;
}

static void conn_free(struct conn *conn)
{
    conn_spend(conn);
    gate_give(&conn->link.place);
    list_leave(&conn->on_list);
    loop_later_cancel(conn->connector->opt->loop, &conn->freeing);
    alloc_free(&alloc_libc, conn);
}

static void conn_freed(struct loop_later *put_off)
{
    conn_free(container_of(put_off, struct conn, freeing));
}

/* Takes everything from it but its memory. */
static void conn_spend(struct conn *conn)
{
    conn->state = CONN_SPENT;
    if (conn->stream != NULL) {
        stream_close(conn->stream);
        conn->stream = NULL;
    }
    loop_timer_stop(conn->connector->opt->loop, &conn->timer);
    conn->armed_ms = UINT64_MAX;
    outbox_fini(&conn->out);
    outbox_init(&conn->out, conn->connector->opt->cork, KEPT_MAX);
    carry_drop(conn);
}

static void carry_drop(struct conn *conn)
{
    if (conn->carries) {
        conn->carries = false;
        bytes_release(&conn->carry);
    }
}

static void conn_down(struct conn *conn, weir_err why)
{
    weir_pool *pool = conn->connector->pool;
    weir_conn id = conn->id;
    conn_free(conn);
    weir_conn_down(pool, id, why);
}

/* Tells the stream what it waits for; nothing where that has not changed. */
static void conn_want(struct conn *conn)
{
    unsigned interest = (conn->paused ? 0 : STREAM_READ)
                        | (outbox_is_blocked(&conn->out) ? STREAM_WRITE : 0);
    if (conn->stream != NULL && interest != conn->interest) {
        conn->interest = (uint8_t)interest;
        stream_want(conn->stream, interest);
    }
}

static void conn_ready(struct stream *stream, unsigned events)
{
    struct conn *conn = stream->owner;
    if ((events & STREAM_WRITE) != 0 && outbox_is_blocked(&conn->out)) {
        conn_writable(conn);
    }
    if ((events & STREAM_READ) != 0 && conn->stream == stream) {
        conn_readable(conn);
    }
}

static void conn_writable(struct conn *conn)
{
    conn->call.ops->flush(&conn->call);
    if (in_call(conn) && !outbox_is_blocked(&conn->out) && !conn->out.failed) {
        conn->call.caller->on_drain(&conn->call);
    }
}

/* The answer comes long after the request: what it will touch is fetched while the kernel copies.
 */
static void conn_warm(struct conn *conn)
{
    fetch(conn, CONN_HOT_BYTES);
    if (!in_call(conn)) {
        return;
    }
    for (int i = 0; i < HTTP_AHEAD && conn->call.ahead[i] != NULL; i++) {
        fetch(conn->call.ahead[i], HTTP_AHEAD_BYTES);
    }
    if (conn->id.id != 0) {
        pool_conn_fetch(conn->connector->pool, conn->id);
    }
}

static void conn_readable(struct conn *conn)
{
    size_t cap;
    char *buf = loop_inbox(conn->connector->opt->loop, &cap);
    conn_warm(conn);
    ssize_t n = stream_read(conn->stream, buf, cap);
    if (n == -EAGAIN) {
        return;
    }
    if (!in_call(conn)) {
        /* Idle: it hung up, or said something that nobody asked for. */
        weir_err why = n == 0 ? WEIR_EHANGUP : n < 0 ? WEIR_ERESET : WEIR_EPROTOCOL;
        if (conn->id.id == 0) {
            conn_spend(conn);
        } else {
            conn_down(conn, why);
        }
    } else if (n <= 0) {
        conn_closed(conn, n);
    } else {
        conn->answered = true;
        answer_read(conn, buf, (size_t)n);
    }
}

/* The peer ended the connection while a call is under way. */
static void conn_closed(struct conn *conn, ssize_t how)
{
    if (how == 0 && conn->state == CONN_BODY && http1_body_ends_with_close(&conn->body)) {
        conn->keep_alive = false;
        answer_end(conn, NULL, 0);
    } else if (conn->uses > 1 && !conn->answered) {
        answer_fail(conn, HTTP_FAULT_STALE);
    } else {
        answer_fail(conn, HTTP_FAULT_RESET);
    }
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void answer_read(struct conn *conn, const char *at, size_t len)
{
    bool carried = conn->carries;
    if (carried) {
        if (!bytes_append(&conn->carry, at, len)) {
            answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
            return;
        }
        at = bytes_at(&conn->carry);
        len = bytes_len(&conn->carry);
    }
    uint32_t call = conn->uses;
    size_t used = 0;
    for (size_t step = 1; step > 0 && used < len && in_call(conn); used += step) {
        step = conn->state == CONN_HEAD ? answer_head(conn, at + used, len - used)
                                        : answer_body(conn, at + used, len - used);
    }
    if (!in_call(conn) || conn->uses != call) { /* over, and maybe the next one has begun */
        carry_drop(conn);
        return;
    }
    if (carried) {
        bytes_consume(&conn->carry, used);
    } else if (used < len && !bytes_append(&conn->carry, at + used, len - used)) {
        answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
        return;
    }
    conn->carries = used < len;
    struct bytes spent = {0};
    if (carried && !conn->carries) {
        spent = bytes_take(&conn->carry); /* what was told lies there until the flush */
    }
    if (!conn->paused) {
        conn->deadline.answer_ms = later(now_ms(conn), conn->connector->opt->read_timeout_ms);
        arm(conn, conn->deadline.answer_ms);
    }
    conn->call.caller->on_flush(&conn->call);
    bytes_fini(&spent);
}

/* Returns what it took; 0 where more bytes are needed, or the call is over. */
static size_t answer_head(struct conn *conn, const char *at, size_t len)
{
    struct http1_connector *connector = conn->connector;
    struct http_head head;
    head.fields = connector->fields;
    ssize_t took = http1_parse_response(&conn->progress, at, len, &connector->limits, conn->asked,
                                        &head);
    if (took <= 0) {
        if (took < 0) {
            answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
        }
        return 0;
    }
    if (head.status == 101) {
        return answer_switch(conn, &head,
                             (struct slice){at + took, (uint32_t)(len - (size_t)took)});
    }
    if (head.status < 200) {
        if (++conn->interim > HTTP1_INTERIM_MAX) {
            answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
            return 0;
        }
        conn->call.caller->on_head(&conn->call, &head);
        return (size_t)took;
    }
    conn->keep_alive = head.keep_alive;
    conn->state = CONN_BODY;
    heed_idle_hint(conn, &head);
    bool empty = head.framing == HTTP_NO_BODY;
    if (!empty) {
        http1_body_init(&conn->body, &head, &connector->limits);
    }
    conn->call.caller->on_head(&conn->call, &head);
    if (empty && in_call(conn)) {
        answer_end(conn, NULL, len - (size_t)took);
    }
    return (size_t)took;
}

/* It was asked to switch, and does (the parser has seen to both). */
static size_t answer_switch(struct conn *conn, struct http_head *head, struct slice ahead)
{
    conn->state = CONN_SWITCH;
    conn->ahead = ahead;
    conn->call.caller->on_head(&conn->call, head);
    if (conn->state == CONN_SWITCH) {
        answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
    }
    return 0;
}

static size_t answer_body(struct conn *conn, const char *at, size_t len)
{
    struct http_head trailers = {.fields = conn->connector->trailers};
    struct http1_piece piece = {0};
    size_t used = 0;
    enum http1_body_event event;
    do {
        event = http1_body_next(&conn->body, at + used, len - used, &trailers, &piece);
        used += piece.used;
        if (event == HTTP1_BODY_DATA) {
            conn->call.caller->on_body(&conn->call, piece.data.at, piece.data.len);
        }
    } while (event == HTTP1_BODY_DATA && in_call(conn));
    if (!in_call(conn)) {
        return used;
    }
    if (event == HTTP1_BODY_BAD) {
        answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
    } else if (event == HTTP1_BODY_END) {
        answer_end(conn, trailers.field_count > 0 ? &trailers : NULL, len - used);
    }
    return used;
}

/* The request is complete, and the stream has taken all of it. */
static bool is_all_sent(const struct conn *conn)
{
    return conn->request_done && !conn->out.failed && !conn->corked && !outbox_holds(&conn->out);
}

/* `surplus`: bytes behind the answer that nobody asked for. */
static void answer_end(struct conn *conn, const struct http_head *trailers, size_t surplus)
{
    bool reusable = conn->keep_alive && surplus == 0 && is_all_sent(conn)
                    && !socket_holds_more(conn->stream);
    if (reusable) {
        conn->state = CONN_IDLE;
        conn->paused = false;
        conn_want(conn);
    } else {
        conn->state = CONN_SPENT;
    }
    conn->call.caller->on_end(&conn->call, trailers, reusable);
    if (!reusable) {
        conn_spend(conn);
    }
}

/* What was given of the body is borrowed until the caller has flushed it: the buffers go last. */
static void answer_fail(struct conn *conn, enum http_fault why)
{
    conn->state = CONN_SPENT;
    conn->call.caller->on_fail(&conn->call, why);
    conn_spend(conn);
}

/* Keep-Alive: timeout=N (draft-thomson-hybi-http-timeout): be gone before the peer is. What is kept
 * for less than a second (Node says 0) is not used again. */
static void heed_idle_hint(struct conn *conn, const struct http_head *head)
{
    if (!http_has(head, HTTP_KEEP_ALIVE) || conn->id.id == 0) {
        return;
    }
    struct slice rest = http_find(head, HTTP_KEEP_ALIVE)->value, part;
    while (slice_split(&rest, ',', &part)) {
        struct slice word = slice_trim(part);
        uint64_t seconds;
        if (!slice_starts(word, SLICE("timeout="))
            || !text_parse_u64(slice_sub(word, 8, word.len), &seconds) || seconds > 86400) {
            continue;
        }
        conn->keep_alive = conn->keep_alive && seconds > 0;
        uint32_t told_ms = (uint32_t)seconds * 1000;
        uint32_t hint_ms = told_ms > 2 * IDLE_MARGIN_MS ? told_ms - IDLE_MARGIN_MS : told_ms / 2;
        if (hint_ms != conn->idle_hint_ms) {
            conn->idle_hint_ms = hint_ms;
            weir_conn_idle(conn->connector->pool, conn->id, hint_ms > 0 ? hint_ms : 1);
        }
    }
}

/* --- the call ----------------------------------------------------------------------------------
 */

static struct conn *conn_of(struct http_call *call)
{
    return container_of(call, struct conn, call);
}

static void call_request(struct http_call *call, const struct http_head *head)
{
    struct conn *conn = conn_of(call);
    const struct http1_writing writing = {.upgrade = head->upgrade};
    conn->asked = (struct http1_asked){.method_id = head->method_id, .upgrade = head->upgrade};
    conn->framing = head->framing;
    conn->corked = true;
    if (conn->connector->opt->total_timeout_ms != WEIR_NEVER) {
        conn->deadline.total_ms = now_ms(conn) + conn->connector->opt->total_timeout_ms;
        arm(conn, conn->deadline.total_ms);
    }
    size_t cap = http1_head_size(head, &writing);
    char *room = outbox_room(&conn->out, cap);
    if (room != NULL) {
        ssize_t len = http1_write_request(head, &writing, room, cap);
        check(len > 0);
        outbox_unused(&conn->out, cap - (size_t)len);
    }
}

static bool call_body(struct http_call *call, const void *data, size_t len)
{
    struct conn *conn = conn_of(call);
    check(!conn->request_done);
    if (len > 0) {
        conn->corked = true;
        if (conn->framing == HTTP_CHUNKED) {
            char line[HTTP1_CHUNK_HEAD_MAX];
            outbox_text(&conn->out, line, http1_write_chunk_head(len, line));
            outbox_refer(&conn->out, data, len);
            outbox_text(&conn->out, HTTP1_CHUNK_TAIL, sizeof HTTP1_CHUNK_TAIL - 1);
        } else {
            outbox_refer(&conn->out, data, len);
        }
    }
    return outbox_is_blocked(&conn->out);
}

static void call_end(struct http_call *call, const struct http_head *trailers)
{
    struct conn *conn = conn_of(call);
    check(!conn->request_done);
    conn->request_done = true;
    if (conn->framing != HTTP_CHUNKED) {
        return;
    }
    conn->corked = true;
    size_t cap = 8;
    for (unsigned i = 0; trailers != NULL && i < trailers->field_count; i++) {
        cap += trailers->fields[i].name.len + trailers->fields[i].value.len + 4U;
    }
    char *room = outbox_room(&conn->out, cap);
    if (room != NULL) {
        ssize_t len = http1_write_last_chunk(trailers, room, cap);
        check(len > 0);
        outbox_unused(&conn->out, cap - (size_t)len);
    }
}

/* So much of the request has been sent now. True: there is more that the stream did not take. */
static bool conn_sent(struct conn *conn, size_t sent)
{
    const struct http_connector_options *opt = conn->connector->opt;
    bool blocked = outbox_is_blocked(&conn->out);
    conn->call.sent += sent;
    conn_want(conn);
    if (blocked) {
        if (sent > 0 || conn->deadline.write_ms == UINT64_MAX) {
            conn->deadline.write_ms = later(now_ms(conn), opt->write_timeout_ms);
            arm(conn, conn->deadline.write_ms);
        }
        return true;
    }
    conn->deadline.write_ms = UINT64_MAX;
    if (conn->out.failed) {
        /* The reader finds out why, and whether an answer came first. */
        conn->deadline.total_ms = now_ms(conn) + EARLY_ANSWER_MS;
        arm(conn, conn->deadline.total_ms);
    } else if (conn->request_done && conn->state == CONN_HEAD && !conn->answered) {
        conn->deadline.answer_ms = later(now_ms(conn), opt->first_byte_timeout_ms);
        arm(conn, conn->deadline.answer_ms);
    }
    return false;
}

static void conn_departed(struct outbox *outbox, size_t sent)
{
    conn_sent(container_of(outbox, struct conn, out), sent);
}

/* A request that is complete has nobody to tell how it went: it may leave with others. */
static bool call_flush(struct http_call *call)
{
    struct conn *conn = conn_of(call);
    if (conn->stream == NULL) {
        return false;
    }
    conn->corked = false;
    if (conn->request_done && outbox_depart(&conn->out, conn->stream, conn_departed)) {
        return false;
    }
    return conn_sent(conn, outbox_flush(&conn->out, conn->stream));
}

static void call_cancel(struct http_call *call)
{
    conn_spend(conn_of(call));
}

static void call_pause(struct http_call *call, bool paused)
{
    struct conn *conn = conn_of(call);
    if (!in_call(conn) || conn->paused == paused) {
        return;
    }
    conn->paused = paused;
    conn->deadline.answer_ms = paused ? UINT64_MAX
                                      : later(now_ms(conn), conn->connector->opt->read_timeout_ms);
    arm(conn, conn->deadline.answer_ms);
    conn_want(conn);
}

static void call_took(struct http_call *call, uint32_t us)
{
    const struct conn *conn = conn_of(call);
    weir_conn_latency(conn->connector->pool, conn->id, us);
}

static const struct http_call_ops call_ops = {
    .request = call_request,
    .body = call_body,
    .end = call_end,
    .flush = call_flush,
    .cancel = call_cancel,
    .pause = call_pause,
    .took = call_took,
    .tunnel = call_tunnel,
};

static struct http_call *link_call(struct http_link *link, const struct http_caller *caller,
                                   void *user)
{
    struct conn *conn = container_of(link, struct conn, link);
    check(conn->state == CONN_IDLE);
    __builtin_prefetch(conn->stream);
    conn->state = CONN_HEAD;
    conn->interim = 0;
    conn->request_done = false;
    conn->answered = false;
    conn->progress = (struct http1_progress){0};
    conn->deadline = (struct deadlines){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    conn->call = (struct http_call){.ops = &call_ops,
                                    .caller = caller,
                                    .user = user,
                                    .took = conn->took,
                                    .reused = conn->uses > 0,
                                    .can_upgrade = true};
    conn->uses++;
    return &conn->call;
}

static bool link_reusable(struct http_link *link)
{
    const struct conn *conn = container_of(link, struct conn, link);
    fetch(conn, CONN_HOT_BYTES); /* it is about to be called */
    return conn->state == CONN_IDLE && !socket_has_arrived(conn->stream);
}

/* Nothing to ask by: what it is known to be is all there is to say. */
static void link_probe(struct http_link *link)
{
    struct conn *conn = container_of(link, struct conn, link);
    weir_conn_up(conn->connector->pool, conn->id, conn, 1);
}

static void link_close(struct http_link *link, weir_err why)
{
    struct conn *conn = container_of(link, struct conn, link);
    if (conn->id.id == 0) {
        conn_spend(conn);
        loop_later(conn->connector->opt->loop, &conn->freeing);
        return;
    }
    check(!in_call(conn));
    conn_down(conn, why);
}

static int link_fd(struct http_link *link)
{
    const struct conn *conn = container_of(link, struct conn, link);
    return conn->stream != NULL ? stream_fd(conn->stream) : -1;
}

static const struct http_link_ops link_ops = {
    .call = link_call,
    .reusable = link_reusable,
    .probe = link_probe,
    .close = link_close,
    .fd = link_fd,
    .detach = link_detach,
};

/* --- tunnels -----------------------------------------------------------------------------------
 */

static bool call_tunnel(struct http_call *call, struct http_tunnel *tunnel, struct slice *ret_ahead)
{
    struct conn *conn = conn_of(call);
    struct http1_connector *connector = conn->connector;
    bool is_fit = conn->state == CONN_SWITCH && conn->id.id != 0 && is_all_sent(conn);
    if (!is_fit || !http1_give(&connector->givens, &conn->link, conn->id, tunnel)) {
        return false;
    }
    *ret_ahead = conn->ahead;
    tunnel->stream = conn->stream;
    conn->stream = NULL;
    conn->id = (weir_conn){0};
    conn->state = CONN_SPENT; /* its memory is still in use: `ahead`, and the stack */
    loop_later(connector->opt->loop, &conn->freeing);
    return true;
}

/* --- time --------------------------------------------------------------------------------------
 */

/* The timer may be early, never late: pushing a deadline back costs nothing here. */
static void arm(struct conn *conn, uint64_t deadline_ms)
{
    if (conn->armed_ms <= deadline_ms) {
        return;
    }
    conn->armed_ms = deadline_ms;
    loop_timer_set(conn->connector->opt->loop, &conn->timer, deadline_ms);
}

static void timer_fire(struct loop_timer *timer, uint64_t now)
{
    struct conn *conn = container_of(timer, struct conn, timer);
    const struct deadlines *deadline = &conn->deadline;
    conn->armed_ms = UINT64_MAX;
    if (!in_call(conn)) {
        return; /* the next call arms it again */
    }
    if (deadline->total_ms <= now) {
        answer_fail(conn, conn->out.failed ? HTTP_FAULT_RESET : HTTP_FAULT_TOTAL_TIMEOUT);
    } else if (deadline->write_ms <= now) {
        answer_fail(conn, HTTP_FAULT_WRITE_TIMEOUT);
    } else if (deadline->answer_ms <= now) {
        answer_fail(conn, conn->answered ? HTTP_FAULT_READ_TIMEOUT : HTTP_FAULT_FIRST_BYTE_TIMEOUT);
    } else {
        arm(conn, deadline->total_ms);
        arm(conn, deadline->write_ms);
        arm(conn, deadline->answer_ms);
    }
}
