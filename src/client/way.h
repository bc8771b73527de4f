/* SPDX-License-Identifier: Apache-2.0
 *
 * way.h - a stream of HTTP/2 that an extended CONNECT has opened (RFC 8441), as a byte stream,
 * whichever side it is of: what comes is kept until it is read, at most WAY_KEPT_MAX and what the
 * stream's window lets come beyond; what is written is the body.
 *
 * Always true: its owner hears in an event of its own, never from inside a call.
 */
#pragma once
#include "base/bytes.h"
#include "io/loop.h"
#include "io/stream.h"

#include <stdbool.h>
#include <stddef.h>

#define WAY_KEPT_MAX 65536U /* then no more is asked for */

struct way;

/* The exchange, or the call. None is asked for anything once it is over. */
struct way_ops {
    void (*body)(struct way *way, const void *at, size_t len);
    bool (*flush)(struct way *way); /* true: it is blocked, until way_drained() */
    void (*pause)(struct way *way, bool paused);
    bool (*end)(struct way *way);    /* no more will be said. True: nor heard, and it is over */
    void (*closed)(struct way *way); /* by its owner: way_fini() */
};

struct way {
    struct stream stream; /* first */
    const struct way_ops *ops;
    struct loop *loop;
    struct bytes in;
    struct loop_later kick;
    unsigned wants;
    int error;          /* 0, or what reading tells once `in` is empty */
    bool is_over : 1;   /* there is nobody to ask */
    bool has_ended : 1; /* no more will be heard */
    bool is_shut : 1;   /* no more will be said */
    bool is_blocked : 1;
    bool is_paused : 1;
};

void way_init(struct way *way, const struct way_ops *ops, struct loop *loop,
              const struct alloc *alloc);
void way_fini(struct way *way);

/* What happens to the exchange, or the call. */
void way_hear(struct way *way, const void *data, size_t len);
void way_ended(struct way *way);
void way_drained(struct way *way);
void way_broken(struct way *way, int error); /* and it is over */
