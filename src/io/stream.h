/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h - a byte stream that tells when it is ready and is read and written by its owner.
 *
 * Streams are chains: a socket is one, TLS and tunnels are streams over a stream (`below`). The
 * owner never learns how deep the chain is. The model is readiness, not completion: on_ready says
 * what may be tried now; read and writev try once and never block. So one read buffer serves a
 * whole loop, an idle stream holds no buffer, and a head with its body leaves in one system call.
 *
 *   - Interest is level-triggered. A new stream wants nothing; want() with the same mask costs
 *     nothing, so an owner that keeps STREAM_READ on pays no system call per request.
 *   - After a short writev or -EAGAIN the owner adds STREAM_WRITE, and drops it when it is done.
 *   - close() frees the stream; nothing calls back after it. It may be called inside on_ready.
 *   - One stream belongs to one loop and is touched by that loop's thread only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define STREAM_READ   1U
#define STREAM_WRITE  2U
#define STREAM_HANGUP 4U /* the peer closed its direction: for owners that do not read now */

struct stream;

struct stream_ops {
    /* > 0 bytes read; 0 end of stream (a FIN, or TLS close_notify); -EAGAIN nothing now; other
     * -errno: the stream is broken (-EPROTO: TLS ended without close_notify, …). */
    ssize_t (*read)(struct stream *stream, void *buf, size_t cap);
    /* Bytes taken (may be fewer than offered); -EAGAIN none; other -errno: broken. */
    ssize_t (*writev)(struct stream *stream, const struct iovec *parts, int count);
    void (*want)(struct stream *stream, unsigned events);
    int (*shutdown)(struct stream *stream); /* ends our direction: FIN, close_notify */
    void (*close)(struct stream *stream);   /* frees */
    int (*fd)(const struct stream *stream); /* the descriptor at the bottom */
};

struct stream {
    const struct stream_ops *ops;
    /* events: STREAM_READ, … as they apply; errors show as readable, and read() then
     * tells which. */
    void (*on_ready)(struct stream *stream, unsigned events);
    void *owner;
    struct stream *below; /* NULL at the bottom */
};

static inline ssize_t stream_read(struct stream *stream, void *buf, size_t cap)
{
    return stream->ops->read(stream, buf, cap);
}

static inline ssize_t stream_writev(struct stream *stream, const struct iovec *parts, int count)
{
    return stream->ops->writev(stream, parts, count);
}

static inline void stream_want(struct stream *stream, unsigned events)
{
    stream->ops->want(stream, events);
}

static inline int stream_shutdown(struct stream *stream)
{
    return stream->ops->shutdown(stream);
}

static inline void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}

static inline int stream_fd(const struct stream *stream)
{
    return stream->ops->fd(stream);
}
