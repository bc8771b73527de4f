/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fetch.h"
#include "connector/http1_parts.h"
#include "core/pool.h"
#include "io/socket.h"

#include <errno.h>
#include <unistd.h>

/* What may wait for a peer that does not read: the giver stops when told so, at most one read
 * buffer and a head later. */
#define KEPT_MAX (1U << 20)

static void conn_free(struct conn *conn);
static void conn_freed(struct loop_later *put_off);
static void conn_down(struct conn *conn, weir_err why);
static void conn_ready(struct stream *stream, unsigned events);
static void conn_writable(struct conn *conn);
static void conn_readable(struct conn *conn);
static void conn_closed(struct conn *conn, ssize_t how);
static void timer_fire(struct loop_timer *timer, uint64_t now_ms);
static const struct http_link_ops link_ops;

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
    http1_conn_want(conn);
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
    http1_conn_spend(conn);
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
void http1_conn_spend(struct conn *conn)
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
    http1_carry_drop(conn);
}

void http1_carry_drop(struct conn *conn)
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
void http1_conn_want(struct conn *conn)
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
    if (http1_in_call(conn) && !outbox_is_blocked(&conn->out) && !conn->out.failed) {
        conn->call.caller->on_drain(&conn->call);
    }
}

/* The answer comes long after the request: what it will touch is fetched while the kernel copies.
 */
static void conn_warm(struct conn *conn)
{
    fetch(conn, CONN_HOT_BYTES);
    if (!http1_in_call(conn)) {
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
    if (!http1_in_call(conn)) {
        /* Idle: it hung up, or said something that nobody asked for. */
        weir_err why = n == 0 ? WEIR_EHANGUP : n < 0 ? WEIR_ERESET : WEIR_EPROTOCOL;
        if (conn->id.id == 0) {
            http1_conn_spend(conn);
        } else {
            conn_down(conn, why);
        }
    } else if (n <= 0) {
        conn_closed(conn, n);
    } else {
        conn->answered = true;
        http1_answer_read(conn, buf, (size_t)n);
    }
}

/* The peer ended the connection while a call is under way. */
static void conn_closed(struct conn *conn, ssize_t how)
{
    if (how == 0 && conn->state == CONN_BODY && http1_body_ends_with_close(&conn->body)) {
        conn->keep_alive = false;
        http1_answer_end(conn, NULL, 0);
    } else if (conn->uses > 1 && !conn->answered) {
        http1_answer_fail(conn, HTTP_FAULT_STALE);
    } else {
        http1_answer_fail(conn, HTTP_FAULT_RESET);
    }
}

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
    conn->call = (struct http_call){.ops = &http1_call_ops,
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
        http1_conn_spend(conn);
        loop_later(conn->connector->opt->loop, &conn->freeing);
        return;
    }
    check(!http1_in_call(conn));
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

/* --- time --------------------------------------------------------------------------------------
 */

/* The timer may be early, never late: pushing a deadline back costs nothing here. */
void http1_conn_arm(struct conn *conn, uint64_t deadline_ms)
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
    if (!http1_in_call(conn)) {
        return; /* the next call arms it again */
    }
    if (deadline->total_ms <= now) {
        http1_answer_fail(conn, conn->out.failed ? HTTP_FAULT_RESET : HTTP_FAULT_TOTAL_TIMEOUT);
    } else if (deadline->write_ms <= now) {
        http1_answer_fail(conn, HTTP_FAULT_WRITE_TIMEOUT);
    } else if (deadline->answer_ms <= now) {
        http1_answer_fail(conn,
                          conn->answered ? HTTP_FAULT_READ_TIMEOUT : HTTP_FAULT_FIRST_BYTE_TIMEOUT);
    } else {
        http1_conn_arm(conn, deadline->total_ms);
        http1_conn_arm(conn, deadline->write_ms);
        http1_conn_arm(conn, deadline->answer_ms);
    }
}
