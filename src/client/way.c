/* SPDX-License-Identifier: Apache-2.0 */
#include "client/way.h"

#include <errno.h>
#include <string.h>

#define WAY_ROOM_MAX  (2U << 20)
#define WAY_WRITE_MAX 65536U /* taken at a time */

static struct way *way_of(struct stream *stream)
{
    return container_of(stream, struct way, stream);
}

/* --- what its owner is told ---------------------------------------------------------------------
 */

static unsigned events_of(const struct way *way)
{
    bool is_end = way->has_ended || way->error != 0;
    unsigned events = bytes_len(&way->in) > 0 || is_end ? STREAM_READ : 0;
    events |= is_end ? STREAM_HANGUP : 0;
    events |= !way->is_blocked || way->error != 0 ? STREAM_WRITE : 0;
    return events & way->wants;
}

static void kick_if(struct way *way)
{
    if (events_of(way) != 0) {
        loop_later(way->loop, &way->kick);
    }
}

static void kicked(struct loop_later *later)
{
    struct way *way = container_of(later, struct way, kick);
    unsigned events = events_of(way);
    if (events != 0 && way->stream.on_ready != NULL) {
        way->stream.on_ready(&way->stream, events);
    }
}

/* --- as a stream --------------------------------------------------------------------------------
 */

static void pace(struct way *way)
{
    bool is_full = bytes_len(&way->in) >= WAY_KEPT_MAX;
    if (!way->is_over && is_full != way->is_paused) {
        way->is_paused = is_full;
        way->ops->pause(way, is_full);
    }
}

static ssize_t way_read(struct stream *stream, void *buf, size_t cap)
{
    struct way *way = way_of(stream);
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

static size_t len_of(const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += parts[i].iov_len;
    }
    return len;
}

static ssize_t way_writev(struct stream *stream, const struct iovec *parts, int count)
{
    struct way *way = way_of(stream);
    size_t taken = 0;
    if (way->error != 0 || way->is_shut) {
        return way->error != 0 ? way->error : -EPIPE;
    }
    if (way->is_over) { /* who has ended is told in vain, as behind a FIN of TCP */
        return (ssize_t)len_of(parts, count);
    }
    if (way->is_blocked) {
        return -EAGAIN;
    }
    for (int i = 0; i < count && taken < WAY_WRITE_MAX; i++) {
        size_t room = WAY_WRITE_MAX - taken;
        size_t len = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (len > 0) {
            way->ops->body(way, parts[i].iov_base, len);
        }
        taken += len;
    }
    way->is_blocked = way->ops->flush(way);
    return (ssize_t)taken;
}

static void way_want(struct stream *stream, unsigned events)
{
    struct way *way = way_of(stream);
    way->wants = events;
    kick_if(way);
}

static int way_shutdown(struct stream *stream)
{
    struct way *way = way_of(stream);
    if (!way->is_over && !way->is_shut) {
        way->is_shut = true;
        way->is_over = way->ops->end(way);
        way->has_ended |= way->is_over;
    }
    kick_if(way);
    return 0;
}

static void way_close(struct stream *stream)
{
    struct way *way = way_of(stream);
    way->ops->closed(way);
}

static int way_fd(const struct stream *stream)
{
    (void)stream;
    return -1; /* it has none of its own */
}

static const struct stream_ops stream_ops = {
    .read = way_read,
    .writev = way_writev,
    .want = way_want,
    .shutdown = way_shutdown,
    .close = way_close,
    .fd = way_fd,
};

void way_init(struct way *way, const struct way_ops *ops, struct loop *loop,
              const struct alloc *alloc)
{
    *way = (struct way){
        .stream = {.ops = &stream_ops}, .ops = ops, .loop = loop, .kick = {.run = kicked}};
    bytes_init(&way->in, alloc, WAY_ROOM_MAX);
}

void way_fini(struct way *way)
{
    loop_later_cancel(way->loop, &way->kick);
    bytes_fini(&way->in);
}

/* --- what happens -------------------------------------------------------------------------------
 */

static void fail(struct way *way, int error)
{
    way->error = error;
    way->is_blocked = false;
    kick_if(way);
}

void way_hear(struct way *way, const void *data, size_t len)
{
    if (way->error != 0) {
        return;
    }
    if (!bytes_append(&way->in, data, len)) {
        fail(way, -ENOMEM);
        return;
    }
    pace(way);
    kick_if(way);
}

void way_ended(struct way *way)
{
    way->has_ended = true;
    kick_if(way);
}

void way_drained(struct way *way)
{
    way->is_blocked = false;
    kick_if(way);
}

void way_broken(struct way *way, int error)
{
    way->is_over = true;
    fail(way, error);
}
