/* SPDX-License-Identifier: Apache-2.0
 *
 * channel_side.c - bytes in and out of a side: a stream of its own with HTTP/1.1, the body of an
 * exchange or of a call with HTTP/2.
 */
#include "gateway/channel_parts.h"
#include "io/stream.h"

#include <errno.h>
#include <string.h>

/* --- HTTP/1.1 --------------------------------------------------------------------------------- */

static void tunnel_want(struct channel_side *side)
{
    bool wants = side->is_blocked;
    bool reads = !side->is_paused && !side->is_ended;
    if (wants != side->wants || reads != side->reads) {
        side->wants = wants;
        side->reads = reads;
        unsigned without = side->is_ended ? 0 : STREAM_HANGUP;
        stream_want(side->tunnel.stream,
                    (wants ? STREAM_WRITE : 0) | (reads ? STREAM_READ : without));
    }
}

static bool put(struct channel_side *side, const struct iovec *parts, int count, size_t skip)
{
    if (side->kept == NULL) {
        side->kept = alloc_new(&alloc_libc, sizeof *side->kept);
        if (side->kept == NULL) {
            return false;
        }
        bytes_init(side->kept, &alloc_libc, CHANNEL_KEPT_MAX);
    }
    for (int i = 0; i < count; i++) {
        size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        if (!bytes_append(side->kept, (char *)parts[i].iov_base + cut, parts[i].iov_len - cut)) {
            return false;
        }
        skip -= cut;
    }
    return true;
}

static bool keep(struct channel_side *side, const struct iovec *parts, int count, size_t skip)
{
    if (!put(side, parts, count, skip)) {
        channel_of(side)->is_starved = true;
        return false;
    }
    if (!side->is_blocked) {
        side->is_blocked = true;
        side->blocked_ms = channel_now_ms(channel_of(side));
        tunnel_want(side);
    }
    return true;
}

static void forget(struct channel_side *side)
{
    if (side->kept != NULL) {
        bytes_fini(side->kept);
        alloc_free(&alloc_libc, side->kept);
        side->kept = NULL;
    }
}

/* --- departures --- */

static struct channels *channels_of(struct channel_side *side)
{
    return &channel_relay(channel_of(side))->channels;
}

/* True: it leaves with others, in this turn. */
static bool depart(struct channel_side *side, const struct iovec *parts, int count, size_t len)
{
    struct channels *channels = channels_of(side);
    struct loop *loop = channel_relay(channel_of(side))->opt.loop;
    if (len > CHANNEL_DEPART_BYTES || side->is_departing
        || channels->departures == CHANNEL_DEPARTURES_MAX || !loop_is_turning(loop)) {
        return false;
    }
    channels->departure[channels->departures++] =
        (struct channel_departure){.side = side, .at = channels->text_len, .len = (uint32_t)len};
    for (int i = 0; i < count; i++) {
        memcpy(channels->text + channels->text_len, parts[i].iov_base, parts[i].iov_len);
        channels->text_len += (uint32_t)parts[i].iov_len;
    }
    side->is_departing = true;
    loop_later(loop, &channels->leaving);
    return true;
}

static bool write_now(struct channel_side *side, const struct iovec *parts, int count, size_t len);

/* False: it is broken. */
static bool leave(struct channels *channels, struct channel_departure *departure)
{
    struct channel_side *side = departure->side;
    const struct iovec part = {channels->text + departure->at, departure->len};
    departure->side = NULL;
    side->is_departing = false;
    return write_now(side, &part, 1, departure->len);
}

/* What was sent before goes first. */
static bool leave_now(struct channel_side *side)
{
    struct channels *channels = channels_of(side);
    for (uint32_t i = 0; side->is_departing && i < channels->departures; i++) {
        if (channels->departure[i].side == side) {
            return leave(channels, &channels->departure[i]);
        }
    }
    return true;
}

static void leave_all(struct loop_later *leaving)
{
    struct channels *channels = container_of(leaving, struct channels, leaving);
    for (uint32_t i = 0; i < channels->departures; i++) {
        struct channel_side *side = channels->departure[i].side;
        if (side != NULL) {
            bool is_fine = leave(channels, &channels->departure[i]);
            if (!is_fine || side->is_blocked || channel_of(side)->state != CHANNEL_OPEN) {
                channel_departed(side, !is_fine);
            }
        }
    }
    channels->departures = channels->text_len = 0;
}

void channels_init(struct channels *channels, struct loop *loop)
{
    list_init(&channels->open);
    drain_init(&channels->drain, loop, channels_let_go, NULL);
    channels->leaving.run = leave_all;
}

static bool tunnel_send(struct channel_side *side, const struct iovec *parts, int count)
{
    if (side->kept != NULL) {
        return keep(side, parts, count, 0);
    }
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += parts[i].iov_len;
    }
    if (depart(side, parts, count, len)) {
        return true;
    }
    if (!leave_now(side)) {
        return false;
    }
    return side->kept != NULL ? keep(side, parts, count, 0) : write_now(side, parts, count, len);
}

static bool write_now(struct channel_side *side, const struct iovec *parts, int count, size_t len)
{
    ssize_t n = stream_writev(side->tunnel.stream, parts, count);
    if (n < 0 && n != -EAGAIN) {
        return false;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    return sent == len || keep(side, parts, count, sent);
}

static bool tunnel_drain(struct channel_side *side)
{
    const struct iovec part = {bytes_at(side->kept), bytes_len(side->kept)};
    ssize_t n = stream_writev(side->tunnel.stream, &part, 1);
    if (n < 0) {
        return n == -EAGAIN;
    }
    bytes_consume(side->kept, (size_t)n);
    side->blocked_ms = channel_now_ms(channel_of(side));
    if (bytes_len(side->kept) == 0) {
        forget(side);
        side->is_blocked = false;
        tunnel_want(side);
    }
    return true;
}

static void tunnel_shut(struct channel_side *side)
{
    stream_shutdown(side->tunnel.stream); /* a failure is read soon */
}

static void tunnel_close(struct channel_side *side)
{
    leave_now(side);
    forget(side);
    side->tunnel.close(&side->tunnel);
}

static void tunnel_read(struct channel_side *side)
{
    size_t cap;
    char *buf = loop_inbox(channel_relay(channel_of(side))->opt.loop, &cap);
    ssize_t n = stream_read(side->tunnel.stream, buf, cap);
    if (n > 0) {
        channel_heard(side, buf, (size_t)n);
    } else if (n == 0) {
        channel_side_ended(side);
    } else if (n != -EAGAIN) {
        channel_broken(side);
    }
}

static void tunnel_ready(struct stream *stream, unsigned events)
{
    struct channel_side *side = stream->owner;
    if ((events & STREAM_WRITE) != 0 && side->is_blocked) {
        channel_drained(side);
        return; /* the channel may be gone; what is to be read still is, next turn */
    }
    if ((events & STREAM_READ) != 0) {
        if (!side->is_paused) {
            tunnel_read(side);
        }
    } else if ((events & STREAM_HANGUP) != 0) {
        channel_broken(side);
    }
}

const struct channel_side_ops channel_tunnel_ops = {
    .send = tunnel_send,
    .drain = tunnel_drain,
    .want = tunnel_want,
    .shut = tunnel_shut,
    .close = tunnel_close,
};

static void tunnel_cut(struct http_tunnel *tunnel)
{
    channel_cut(container_of(tunnel, struct channel_side, tunnel));
}

const struct http_tunneler channel_tunneler = {.on_cut = tunnel_cut};

void channel_tunnel_begin(struct channel_side *side)
{
    struct stream *stream = side->tunnel.stream;
    stream->owner = side;
    stream->on_ready = tunnel_ready;
    side->reads = true;
    stream_want(stream, STREAM_READ);
}

/* --- HTTP/2, towards the client --------------------------------------------------------------- */

static void note_blocked(struct channel_side *side, bool is_blocked)
{
    if (is_blocked && !side->is_blocked) {
        side->blocked_ms = channel_now_ms(channel_of(side));
    }
    side->is_blocked = is_blocked;
}

static bool exchange_send(struct channel_side *side, const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++) {
        side->ex->ops->body(side->ex, parts[i].iov_base, parts[i].iov_len);
    }
    note_blocked(side, side->ex->ops->flush(side->ex));
    return true;
}

static bool is_drained(struct channel_side *side)
{
    note_blocked(side, false);
    return true;
}

static void exchange_want(struct channel_side *side)
{
    if (!side->is_ended) {
        side->ex->ops->pause(side->ex, side->is_paused);
    }
}

/* The end of an exchange is the last that is heard of it: the side closes with it. */
static void shut_later(struct channel_side *side)
{
    side->is_ended = true;
}

static void exchange_close(struct channel_side *side)
{
    struct http_exchange *ex = side->ex;
    if (ex == NULL) {
        return; /* it left */
    }
    side->ex = NULL;
    if (side->was_told_close || side->is_shut) {
        ex->ops->end(ex, NULL);
        ex->ops->flush(ex);
    } else {
        ex->ops->abort(ex);
    }
}

const struct channel_side_ops channel_exchange_ops = {
    .send = exchange_send,
    .drain = is_drained,
    .want = exchange_want,
    .shut = shut_later,
    .close = exchange_close,
};

/* --- HTTP/2, towards the upstream ------------------------------------------------------------- */

static bool call_send(struct channel_side *side, const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++) {
        side->call->ops->body(side->call, parts[i].iov_base, parts[i].iov_len);
    }
    note_blocked(side, side->call->ops->flush(side->call));
    return true;
}

static void call_want(struct channel_side *side)
{
    if (side->call != NULL) {
        side->call->ops->pause(side->call, side->is_paused);
    }
}

static void call_shut(struct channel_side *side)
{
    if (side->call != NULL) {
        side->call->ops->end(side->call, NULL);
        side->call->ops->flush(side->call);
    }
}

static void call_close(struct channel_side *side)
{
    if (side->call != NULL) {
        side->call->ops->cancel(side->call);
        side->call = NULL;
    }
}

const struct channel_side_ops channel_call_ops = {
    .send = call_send,
    .drain = is_drained,
    .want = call_want,
    .shut = call_shut,
    .close = call_close,
};

static void on_call_head(struct http_call *call, struct http_head *head)
{
    (void)call;
    (void)head; /* there is one final head, and that was it */
}

static void on_call_body(struct http_call *call, const void *data, size_t len)
{
    union {
        const void *given;
        char *at; /* nobody writes to it: the reader is transparent */
    } body = {data};
    channel_heard(call->user, body.at, len);
}

static void on_call_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    struct channel_side *side = call->user;
    (void)trailers;
    (void)reusable;
    side->call = NULL;
    side->is_shut = true; /* the stream is gone both ways */
    channel_side_ended(side);
}

static void on_call_flush(struct http_call *call)
{
    (void)call; /* everything was sent with the body that brought it */
}

static void on_call_drain(struct http_call *call)
{
    channel_drained(call->user);
}

static void on_call_fail(struct http_call *call, enum http_fault why)
{
    struct channel_side *side = call->user;
    (void)why;
    side->call = NULL;
    channel_broken(side);
}

const struct http_caller channel_caller = {
    .on_head = on_call_head,
    .on_body = on_call_body,
    .on_end = on_call_end,
    .on_flush = on_call_flush,
    .on_drain = on_call_drain,
    .on_fail = on_call_fail,
};
