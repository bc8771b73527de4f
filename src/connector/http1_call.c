/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_call.c - a call as its caller sees it: the request's head, body and end, and the stream
 * itself where the answer was 101.
 */
#include "base/check.h"
#include "connector/http1_parts.h"

/* After a failed write: how long an answer that was sent before the peer hung up may take. */
#define EARLY_ANSWER_MS 1000U

static bool call_tunnel(struct http_call *call, struct http_tunnel *tunnel,
                        struct slice *ret_ahead);

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
        conn->deadline.total_ms = http1_now_ms(conn) + conn->connector->opt->total_timeout_ms;
        http1_conn_arm(conn, conn->deadline.total_ms);
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
    http1_conn_want(conn);
    if (blocked) {
        if (sent > 0 || conn->deadline.write_ms == UINT64_MAX) {
            conn->deadline.write_ms = http1_later(http1_now_ms(conn), opt->write_timeout_ms);
            http1_conn_arm(conn, conn->deadline.write_ms);
        }
        return true;
    }
    conn->deadline.write_ms = UINT64_MAX;
    if (conn->out.failed) {
        /* The reader finds out why, and whether an answer came first. */
        conn->deadline.total_ms = http1_now_ms(conn) + EARLY_ANSWER_MS;
        http1_conn_arm(conn, conn->deadline.total_ms);
    } else if (conn->request_done && conn->state == CONN_HEAD && !conn->answered) {
        conn->deadline.answer_ms = http1_later(http1_now_ms(conn), opt->first_byte_timeout_ms);
        http1_conn_arm(conn, conn->deadline.answer_ms);
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
    http1_conn_spend(conn_of(call));
}

static void call_pause(struct http_call *call, bool paused)
{
    struct conn *conn = conn_of(call);
    if (!http1_in_call(conn) || conn->paused == paused) {
        return;
    }
    conn->paused = paused;
    conn->deadline.answer_ms = paused ? UINT64_MAX
                                      : http1_later(http1_now_ms(conn),
                                                    conn->connector->opt->read_timeout_ms);
    http1_conn_arm(conn, conn->deadline.answer_ms);
    http1_conn_want(conn);
}

static void call_took(struct http_call *call, uint32_t us)
{
    const struct conn *conn = conn_of(call);
    weir_conn_latency(conn->connector->pool, conn->id, us);
}

const struct http_call_ops http1_call_ops = {
    .request = call_request,
    .body = call_body,
    .end = call_end,
    .flush = call_flush,
    .cancel = call_cancel,
    .pause = call_pause,
    .took = call_took,
    .tunnel = call_tunnel,
};

static bool call_tunnel(struct http_call *call, struct http_tunnel *tunnel, struct slice *ret_ahead)
{
    struct conn *conn = conn_of(call);
    struct http1_connector *connector = conn->connector;
    bool is_fit = conn->state == CONN_SWITCH && conn->id.id != 0 && http1_is_all_sent(conn);
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
