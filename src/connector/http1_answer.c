/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_answer.c - what comes on a connection in a call: heads, bodies, their end.
 */
#include "connector/http1_parts.h"
#include "io/socket.h"

#define IDLE_MARGIN_MS 2000U

static size_t answer_head(struct conn *conn, const char *at, size_t len);
static size_t answer_body(struct conn *conn, const char *at, size_t len);
static void heed_idle_hint(struct conn *conn, const struct http_head *head);
static size_t answer_switch(struct conn *conn, struct http_head *head, struct slice ahead);

void http1_answer_read(struct conn *conn, const char *at, size_t len)
{
    bool carried = conn->carries;
    if (carried) {
        if (!bytes_append(&conn->carry, at, len)) {
            http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
            return;
        }
        at = bytes_at(&conn->carry);
        len = bytes_len(&conn->carry);
    }
    uint32_t call = conn->uses;
    size_t used = 0;
    for (size_t step = 1; step > 0 && used < len && http1_in_call(conn); used += step) {
        step = conn->state == CONN_HEAD ? answer_head(conn, at + used, len - used)
                                        : answer_body(conn, at + used, len - used);
    }
    if (!http1_in_call(conn) || conn->uses != call) { /* over, and maybe the next one has begun */
        http1_carry_drop(conn);
        return;
    }
    if (carried) {
        bytes_consume(&conn->carry, used);
    } else if (used < len && !bytes_append(&conn->carry, at + used, len - used)) {
        http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
        return;
    }
    conn->carries = used < len;
    struct bytes spent = {0};
    if (carried && !conn->carries) {
        spent = bytes_take(&conn->carry); /* what was told lies there until the flush */
    }
    if (!conn->paused) {
        conn->deadline.answer_ms = http1_later(http1_now_ms(conn),
                                               conn->connector->opt->read_timeout_ms);
        http1_conn_arm(conn, conn->deadline.answer_ms);
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
            http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
        }
        return 0;
    }
    if (head.status == 101) {
        return answer_switch(conn, &head,
                             (struct slice){at + took, (uint32_t)(len - (size_t)took)});
    }
    if (head.status < 200) {
        if (++conn->interim > HTTP1_INTERIM_MAX) {
            http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
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
    if (empty && http1_in_call(conn)) {
        http1_answer_end(conn, NULL, len - (size_t)took);
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
        http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
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
    } while (event == HTTP1_BODY_DATA && http1_in_call(conn));
    if (!http1_in_call(conn)) {
        return used;
    }
    if (event == HTTP1_BODY_BAD) {
        http1_answer_fail(conn, HTTP_FAULT_BAD_ANSWER);
    } else if (event == HTTP1_BODY_END) {
        http1_answer_end(conn, trailers.field_count > 0 ? &trailers : NULL, len - used);
    }
    return used;
}

/* `surplus`: bytes behind the answer that nobody asked for. */
void http1_answer_end(struct conn *conn, const struct http_head *trailers, size_t surplus)
{
    bool reusable = conn->keep_alive && surplus == 0 && http1_is_all_sent(conn)
                    && !socket_holds_more(conn->stream);
    if (reusable) {
        conn->state = CONN_IDLE;
        conn->paused = false;
        http1_conn_want(conn);
    } else {
        conn->state = CONN_SPENT;
    }
    conn->call.caller->on_end(&conn->call, trailers, reusable);
    if (!reusable) {
        http1_conn_spend(conn);
    }
}

/* What was given of the body is borrowed until the caller has flushed it: the buffers go last. */
void http1_answer_fail(struct conn *conn, enum http_fault why)
{
    conn->state = CONN_SPENT;
    conn->call.caller->on_fail(&conn->call, why);
    http1_conn_spend(conn);
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
