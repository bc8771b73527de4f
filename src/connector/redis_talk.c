/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_talk.c - bytes of a connection: what is said, what is heard, and whose it is.
 */
#include "base/check.h"
#include "connector/redis_parts.h"

#include <errno.h>

#define KEEP_MAX (64U << 10) /* of memory for replies, between two of them */

static void ready(struct stream *stream, unsigned events);

static uint32_t places_of(const struct redis_conn *conn)
{
    return conn->connector->opt.calls_max + 1;
}

static struct redis_owed *owed_nth(struct redis_conn *conn, uint32_t n)
{
    return &conn->owed[(conn->owed_first + n) % places_of(conn)];
}

static void want(struct redis_conn *conn)
{
    unsigned wants = STREAM_READ | (outbox_is_blocked(&conn->out) ? STREAM_WRITE : 0);
    if (wants != conn->wants) {
        conn->wants = (uint8_t)wants;
        stream_want(conn->stream, wants);
    }
}

void redis_talk_begin(struct redis_conn *conn)
{
    conn->stream->owner = conn;
    conn->stream->on_ready = ready;
    want(conn);
}

/* --- saying -------------------------------------------------------------------------------------
 */

bool redis_talk_say(struct redis_conn *conn, struct slice commands)
{
    if (conn->stream == NULL) {
        return false;
    }
    outbox_refer(&conn->out, commands.at, commands.len);
    outbox_flush(&conn->out, conn->stream);
    if (conn->out.failed) {
        return false;
    }
    want(conn);
    return true;
}

bool redis_talk_owe(struct redis_conn *conn, struct redis_call *call, uint32_t count, bool is_own)
{
    uint32_t most = conn->connector->opt.calls_max + is_own; /* a probe has a place of its own */
    if (conn->owed_count >= most) {
        return false;
    }
    *owed_nth(conn, conn->owed_count) = (struct redis_owed){call, count, is_own};
    conn->owed_count++;
    return true;
}

void redis_talk_forget(struct redis_conn *conn, const struct redis_call *call)
{
    for (uint32_t i = 0; i < conn->owed_count; i++) {
        struct redis_owed *owed = owed_nth(conn, i);
        owed->call = owed->call != call ? owed->call : NULL;
    }
}

/* --- hearing ------------------------------------------------------------------------------------
 */

static void probe_replied(struct redis_conn *conn, const struct resp_value *value)
{
    struct redis_connector *connector = conn->connector;
    conn->is_probed = false;
    if (value->type == RESP_STATUS && slice_is(value->text, "PONG")) {
        weir_conn_up(connector->mux.pool, conn->named.id, conn, connector->opt.calls_max);
    } else {
        redis_conn_gone(conn, WEIR_EPROBE, "");
    }
}

/* A server that has lost what it was: the next connection finds out anew whom it is with. */
static void heed_error(struct redis_conn *conn, const struct resp_value *value)
{
    struct redis_connector *connector = conn->connector;
    enum redis_says says = value->type == RESP_FAILED ? redis_says_of(value->text) : REDIS_FINE;
    if (says == REDIS_READONLY) {
        redis_count(&connector->counters.read_only, 1);
    }
    if (says == REDIS_READONLY || says == REDIS_MASTERDOWN || says == REDIS_LOADING
        || says == REDIS_NOAUTH) {
        weir_conn_retire(connector->mux.pool, conn->named.id, WEIR_EGOAWAY);
    }
}

static void replied(struct redis_conn *conn, const struct resp_value *value,
                    struct resp_walk *inside)
{
    struct redis_connector *connector = conn->connector;
    if (conn->stage == REDIS_TALKING) {
        redis_dial_heard(conn, value, inside);
        return;
    }
    if (conn->owed_count == 0) {
        redis_count(&connector->counters.bad, 1);
        redis_conn_gone(conn, WEIR_EPROTOCOL, "a reply that nobody had asked for");
        return;
    }
    struct redis_owed *first = owed_nth(conn, 0), own = *first;
    bool is_last = --first->left == 0;
    if (is_last) {
        conn->owed_first = (conn->owed_first + 1) % places_of(conn);
        conn->owed_count--;
    }
    redis_count(&connector->counters.replies, 1);
    heed_error(conn, value);
    if (own.call != NULL) {
        redis_call_replied(own.call, value, inside, is_last);
    } else if (own.is_own) {
        probe_replied(conn, value);
    } else {
        redis_count(&connector->counters.late, 1);
    }
}

/* Whole replies at the start of the bytes; how many bytes they were. */
static size_t work_through(struct redis_conn *conn, const char *at, size_t len)
{
    size_t used = 0, whole;
    while (conn->stage != REDIS_GONE
           && (whole = resp_read(&conn->reader, at + used, len - used)) > 0) {
        struct resp_walk walk = resp_walk_of(at + used, whole);
        struct resp_value value;
        used += whole;
        bool is_there = resp_next(&walk, &value);
        check(is_there);
        if (value.type != RESP_PUSH) { /* what it tells of itself, nobody has asked for */
            replied(conn, &value, &walk);
        }
    }
    if (conn->stage != REDIS_GONE && conn->reader.error != RESP_FINE) {
        redis_count(&conn->connector->counters.bad, 1);
        redis_conn_gone(conn, WEIR_EPROTOCOL, resp_error_text(conn->reader.error));
    }
    return used;
}

static void heard(struct redis_conn *conn, const char *at, size_t len)
{
    bool is_kept = bytes_len(&conn->in) > 0;
    bool is_there = !is_kept || bytes_append(&conn->in, at, len);
    if (is_there && is_kept) {
        bytes_consume(&conn->in, work_through(conn, bytes_at(&conn->in), bytes_len(&conn->in)));
    } else if (is_there) {
        size_t used = work_through(conn, at, len);
        is_there = conn->stage == REDIS_GONE || used == len
                   || bytes_append(&conn->in, at + used, len - used);
    }
    if (!is_there) {
        redis_conn_gone(conn, WEIR_ENOMEM, "");
    } else if (bytes_len(&conn->in) == 0 && conn->in.size > KEEP_MAX) {
        bytes_release(&conn->in);
    }
}

static void readable(struct redis_conn *conn)
{
    struct loop *loop = conn->connector->opt.loop;
    size_t cap;
    char *buf = loop_buffer(loop, &cap);
    ssize_t n = stream_read(conn->stream, buf, cap);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        redis_conn_gone(conn, n == 0 ? WEIR_EHANGUP : WEIR_ERESET, "");
        return;
    }
    conn->heard_ns = loop_turn_ns(loop);
    /* Those who are told may read others of this loop, into the same buffer. */
    bool is_kept = loop_buffer_keep(loop, buf, (size_t)n);
    if (is_kept) {
        heard(conn, buf, (size_t)n);
        loop_buffer_let_go(loop);
    } else if (!bytes_append(&conn->in, buf, (size_t)n)) {
        redis_conn_gone(conn, WEIR_ENOMEM, "");
    } else {
        bytes_consume(&conn->in, work_through(conn, bytes_at(&conn->in), bytes_len(&conn->in)));
    }
}

static void ready(struct stream *stream, unsigned events)
{
    struct redis_conn *conn = stream->owner;
    if ((events & STREAM_WRITE) != 0) {
        outbox_flush(&conn->out, stream);
        if (conn->out.failed) {
            redis_conn_gone(conn, WEIR_ERESET, "");
            return;
        }
        want(conn);
    }
    if ((events & (STREAM_READ | STREAM_HANGUP)) != 0) {
        readable(conn);
    }
}
