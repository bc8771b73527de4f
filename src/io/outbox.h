/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox.h - what a connection has to say: corked while an event is handled, sent in one system
 * call, kept only when the peer's window is full.
 *
 * A message that is complete may leave with others: outbox_depart() puts it off until the loop has
 * heard some more of what is ready, at the latest to the end of the turn. Then the kernel receives
 * for all of them, we decide for all of them, and the kernel sends for all of them, each with its
 * code in the caches. A body that lies in the loop's read buffer is kept there meanwhile.
 *
 * A `struct cork` belongs to a loop's thread and is where the bytes of the event at hand are
 * gathered: text that is written in place (heads, chunk sizes) and borrowed slices (bodies, where
 * they were read). A `struct outbox` belongs to a connection and is empty nearly always: it owns
 * memory only while something could not be sent.
 *
 * Always true: at most one outbox is corked per cork; when another one begins, what the first had
 * gathered is copied to its own memory, so that order and borrowed slices are safe whatever the
 * caller does. Bytes leave in outbox_flush() and at departures only, in the order they were given.
 * After a failure everything given is dropped: the stream's reader will learn why.
 */
#pragma once
#include "base/bytes.h"
#include "io/loop.h"
#include "io/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CORK_PARTS_MAX      32U
#define CORK_TEXT_BYTES     32768U
#define CORK_DEPARTURES_MAX 64U
#define DEPARTURE_PARTS_MAX 3 /* a head, a body where it was read, the end of a chunk */
/* Slices up to here are copied rather than given an iovec of their own. */
#define CORK_COPY_BYTES     512U

struct outbox;

/* Told when the message of an outbox has departed: `sent` bytes of it, and the rest is kept, or it
 * has failed. May do anything but free the cork. */
typedef void outbox_departed(struct outbox *outbox, size_t sent);

struct departure {
    struct outbox *outbox; /* NULL: called off */
    struct stream *stream;
    outbox_departed *departed;
    size_t bytes;
    int count;
    bool keeps;                              /* a part of it lies in the loop's buffer */
    struct iovec parts[DEPARTURE_PARTS_MAX]; /* in the cork's text and in the loop's buffer */
};

struct cork {
    struct outbox *owner; /* who is corked now, or NULL */
    size_t text_used;
    size_t text_base; /* before it lie the departures */
    size_t bytes;     /* in all parts */
    int count;
    unsigned departures;
    struct loop *loop;
    struct loop_later leaving;
    struct iovec parts[CORK_PARTS_MAX];
    struct departure departure[CORK_DEPARTURES_MAX];
    char text[CORK_TEXT_BYTES];
};

struct outbox {
    struct cork *cork;
    struct bytes kept; /* what the socket did not take */
    bool failed;
    bool departing; /* it has a message among the cork's departures */
};

/* `loop` outlives the cork. */
void cork_init(struct cork *cork, struct loop *loop);
void cork_fini(struct cork *cork); /* its outboxes must be gone */

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

/* Puts what is corked among the departures of the turn, where it goes first and is text, but for
 * one borrowed slice in the loop's buffer. False: it is to be flushed. More may be given to the
 * outbox; the departure comes at once then, as it does with a flush. Its end calls it off. */
bool outbox_depart(struct outbox *outbox, struct stream *stream, outbox_departed *departed);

/* Something waits for the stream to take more. */
static inline bool outbox_is_blocked(const struct outbox *outbox)
{
    return bytes_len(&outbox->kept) > 0;
}

/* Not all that was given has been taken by the stream: it is blocked, or departs. */
static inline bool outbox_holds(const struct outbox *outbox)
{
    return outbox->departing || outbox_is_blocked(outbox);
}
