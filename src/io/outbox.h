/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox.h - what a connection has to say: corked while an event is handled, sent in one system
 * call, kept only when the peer's window is full.
 *
 * A `struct cork` belongs to a loop's thread and is where the bytes of the event at hand are
 * gathered: text that is written in place (heads, chunk sizes) and borrowed slices (bodies, where
 * they were read). A `struct outbox` belongs to a connection and is empty nearly always: it owns
 * memory only while something could not be sent.
 *
 * Always true: at most one outbox is corked per cork; when another one begins, what the first had
 * gathered is copied to its own memory, so that order and borrowed slices are safe whatever the
 * caller does. Bytes leave in outbox_flush() only. After a failure everything
 * given is dropped: the stream's reader will learn why.
 */
#pragma once
#include "base/bytes.h"
#include "io/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CORK_PARTS_MAX  32U
#define CORK_TEXT_BYTES 16384U
/* Slices up to here are copied rather than given an iovec of their own. */
#define CORK_COPY_BYTES 512U

struct outbox;

struct cork {
    struct outbox *owner; /* who is corked now, or NULL */
    size_t text_used;
    size_t bytes; /* in all parts */
    int count;
    struct iovec parts[CORK_PARTS_MAX];
    char text[CORK_TEXT_BYTES];
};

struct outbox {
    struct cork *cork;
    struct bytes kept; /* what the socket did not take */
    bool failed;
};

void cork_init(struct cork *cork);

/* kept_max bounds what is kept; one more byte and the outbox fails. */
void outbox_init(struct outbox *outbox, struct cork *cork, size_t kept_max);
void outbox_fini(struct outbox *outbox);

/* `len` bytes to be written in place; all of them count as given, but for those handed back at once
 * with outbox_unused(). NULL: it has failed (memory, or kept_max). */
char *outbox_room(struct outbox *outbox, size_t len);
void outbox_unused(struct outbox *outbox, size_t len);

/* `data` is borrowed until the next flush. */
void outbox_refer(struct outbox *outbox, const void *data, size_t len);

/* Copies. */
void outbox_text(struct outbox *outbox, const void *data, size_t len);

/* Sends what was kept and what is corked, and keeps the rest. Returns the bytes that the stream
 * took; 0 or more also after a failure, which `outbox->failed` tells. */
size_t outbox_flush(struct outbox *outbox, struct stream *stream);

/* Something waits for the stream to take more. */
static inline bool outbox_is_blocked(const struct outbox *outbox)
{
    return bytes_len(&outbox->kept) > 0;
}
