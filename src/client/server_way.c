/* SPDX-License-Identifier: Apache-2.0
 *
 * The stream of HTTP/2 that an extended CONNECT has opened (RFC 8441), as a byte stream: what comes
 * is kept until it is read, at most WAY_KEPT_MAX and what the stream's window lets come beyond;
 * what is written is the exchange's body.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "client/server.h"
#include "io/stream.h"

#include <errno.h>
#include <string.h>

#define WAY_KEPT_MAX  65536U /* then no more is asked for */
#define WAY_ROOM_MAX  (2U << 20)
#define WAY_WRITE_MAX 65536U /* taken at a time */

struct server_way {
    struct stream stream; /* first */
    struct stall *stall;
    struct http_exchange *ex; /* NULL: it is over */
    struct http_tunnel *tunnel;
    struct node on_stall;
    struct bytes in;
    struct loop_later kick; /* its owner hears in an event of its own */
    unsigned wants;
    int error; /* 0, or what reading tells once `in` is empty */
    bool has_ended : 1;
    bool is_blocked : 1;
    bool is_paused : 1;
    bool is_cut : 1; /* its end must not look like one */
};

static struct server_way *way_of(struct stream *stream)
{
    return container_of(stream, struct server_way, stream);
}

/* --- what its owner is told ---------------------------------------------------------------------
 */

static unsigned events_of(const struct server_way *way)
{
    bool is_over = way->has_ended || way->error != 0;
    unsigned events = bytes_len(&way->in) > 0 || is_over ? STREAM_READ : 0;
    events |= is_over ? STREAM_HANGUP : 0;
    events |= !way->is_blocked || way->error != 0 ? STREAM_WRITE : 0;
    return events & way->wants;
}

static void kick_if(struct server_way *way)
{
    if (events_of(way) != 0) {
        loop_later(way->stall->loop, &way->kick);
    }
}

static void kicked(struct loop_later *later)
{
    struct server_way *way = container_of(later, struct server_way, kick);
    unsigned events = events_of(way);
    if (events != 0 && way->stream.on_ready != NULL) {
        way->stream.on_ready(&way->stream, events);
    }
}

/* --- as a stream --------------------------------------------------------------------------------
 */

static void pace(struct server_way *way)
{
    bool is_full = bytes_len(&way->in) >= WAY_KEPT_MAX;
    if (way->ex != NULL && is_full != way->is_paused) {
        way->is_paused = is_full;
        way->ex->ops->pause(way->ex, is_full);
    }
}

static ssize_t way_read(struct stream *stream, void *buf, size_t cap)
{
    struct server_way *way = way_of(stream);
    size_t len = bytes_len(&way->in);
    if (len == 0) {
        return way->error != 0 ? way->error : way->has_ended ? 0 : -EAGAIN;
    }
    len = len < cap ? len : cap;
    memcpy(buf, bytes_at(&way->in), len);
    bytes_consume(&way->in, len);
    pace(way);
    kick_if(way); /* there may be more */
    return (ssize_t)len;
}

static ssize_t way_writev(struct stream *stream, const struct iovec *parts, int count)
{
    struct server_way *way = way_of(stream);
    size_t taken = 0;
    if (way->ex == NULL) {
        return way->error != 0 ? way->error : -EPIPE;
    }
    if (way->is_blocked) {
        return -EAGAIN;
    }
    for (int i = 0; i < count && taken < WAY_WRITE_MAX; i++) {
        size_t room = WAY_WRITE_MAX - taken;
        size_t len = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (len > 0) {
            way->ex->ops->body(way->ex, parts[i].iov_base, len);
        }
        taken += len;
    }
    way->is_blocked = way->ex->ops->flush(way->ex);
    return (ssize_t)taken;
}

static void way_want(struct stream *stream, unsigned events)
{
    struct server_way *way = way_of(stream);
    way->wants = events;
    kick_if(way);
}

/* The answer ends, and with it the exchange. */
static void finish(struct server_way *way)
{
    struct http_exchange *ex = way->ex;
    if (ex != NULL) {
        way->ex = NULL;
        way->has_ended = true;
        ex->user = NULL;
        if (way->is_cut) {
            ex->ops->abort(ex);
            return;
        }
        ex->ops->end(ex, NULL);
        ex->ops->flush(ex);
    }
}

static int way_shutdown(struct stream *stream)
{
    struct server_way *way = way_of(stream);
    finish(way);
    kick_if(way);
    return 0;
}

static void way_close(struct stream *stream)
{
    struct server_way *way = way_of(stream);
    finish(way);
    loop_later_cancel(way->stall->loop, &way->kick);
    list_remove(&way->stall->ways, &way->on_stall);
    bytes_fini(&way->in);
    alloc_free(way->stall->server->alloc, way);
}

static int way_fd(const struct stream *stream)
{
    (void)stream;
    return -1; /* it has none of its own */
}

static const struct stream_ops way_ops = {
    .read = way_read,
    .writev = way_writev,
    .want = way_want,
    .shutdown = way_shutdown,
    .close = way_close,
    .fd = way_fd,
};

/* --- from the listener --------------------------------------------------------------------------
 */

static void broken(struct server_way *way, int error)
{
    way->error = error;
    way->is_blocked = false;
    kick_if(way);
}

static void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct server_way *way = ex->user;
    if (way == NULL || way->error != 0) {
        return;
    }
    if (!bytes_append(&way->in, data, len)) {
        broken(way, -ENOMEM);
        return;
    }
    pace(way);
    kick_if(way);
}

static void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct server_way *way = ex->user;
    (void)trailers;
    if (way != NULL) {
        way->has_ended = true;
        kick_if(way);
    }
}

static void on_flush(struct http_exchange *ex)
{
    (void)ex;
}

static void on_drain(struct http_exchange *ex)
{
    struct server_way *way = ex->user;
    if (way != NULL) {
        way->is_blocked = false;
        kick_if(way);
    }
}

static void on_abort(struct http_exchange *ex, enum http_fault why)
{
    struct server_way *way = ex->user;
    (void)why;
    if (way != NULL) {
        way->ex = NULL;
        broken(way, -ECONNRESET);
    }
}

static const struct http_handler way_handler = {
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};

/* --- opening, draining --------------------------------------------------------------------------
 */

/* The stream is closed already, and there is nothing else. */
static void tunnel_close(struct http_tunnel *tunnel)
{
    tunnel->stream = NULL;
}

int server_way_open(weir_exchange *ex, const struct http_head *answer, struct http_tunnel *tunnel)
{
    struct stall *stall = ex->stall;
    struct http_exchange *under = ex->ex;
    struct server_way *way = alloc_zeroed(stall->server->alloc, sizeof *way);
    if (way == NULL) {
        return -ENOMEM;
    }
    *way = (struct server_way){.stream = {.ops = &way_ops},
                               .stall = stall,
                               .ex = under,
                               .tunnel = tunnel,
                               .kick = {.run = kicked}};
    bytes_init(&way->in, stall->server->alloc, WAY_ROOM_MAX);
    list_push_back(&stall->ways, &way->on_stall);
    server_exchange_became(ex);
    under->handler = &way_handler;
    under->user = way;
    under->ops->untime(under);
    under->ops->respond(under, answer);
    way->is_blocked = under->ops->flush(under);
    tunnel->stream = &way->stream;
    tunnel->close = tunnel_close;
    tunnel->giver = way;
    return 0;
}

void server_ways_drain(struct stall *stall)
{
    weir_list_each_safe(it, &stall->ways) {
        struct http_tunnel *tunnel = list_entry(it, struct server_way, on_stall)->tunnel;
        if (tunnel->taker->on_drain != NULL) {
            tunnel->taker->on_drain(tunnel);
        }
    }
}

void server_ways_cut(struct stall *stall)
{
    while (!list_is_empty(&stall->ways)) {
        struct server_way *way = list_entry(list_first(&stall->ways), struct server_way, on_stall);
        way->is_cut = true;
        way->tunnel->taker->on_cut(way->tunnel);
    }
}
