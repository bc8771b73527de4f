/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - a descriptor being watched by a loop: what sockets, intakes, the resolver and signals
 * are made of. For io/ alone.
 *
 *   - A watch wants nothing until watch_want(); wanting what it wants already costs nothing, and a
 *     change costs one epoll_ctl().
 *   - It does not own its descriptor. Close the watch first, then the descriptor, in one go.
 *   - After watch_close() on_ready() is not called any more, but the poll's batch may still name
 * the watch: its memory is the loop's until gone() is called, at the end of the turn.
 */
#pragma once
#include "io/arrival.h"
#include "io/loop.h"
#include "io/stream.h"

struct watch {
    struct loop *loop;
    union {
        void (*on_ready)(struct watch *watch, unsigned events); /* STREAM_READ, STREAM_WRITE */
        void (*gone)(struct watch *watch);                      /* once closed */
    };
    union {
        void *const *ahead; /* points at a pointer to what on_ready() will touch; or NULL */
        struct watch *next_closed;
    };
    int fd;
    uint8_t wants;
    bool closed : 1;
    bool is_shared : 1; /* with other loops: an event wakes one of them (EPOLLEXCLUSIVE). Reads
                           only. */
    /* A socket whose owner reads all there is whenever he is told. */
    bool is_eager : 1;    /* the loop may receive for it before it tells him (arrival.h) */
    bool is_bulk : 1;     /* but not now: he reads more at a time */
    bool has_arrived : 1; /* and what has is to be read from there */
    bool is_full : 1;     /* what was received last filled its room: there may be more */
};

static inline void watch_init(struct watch *watch, struct loop *loop, int fd,
                              void (*on_ready)(struct watch *watch, unsigned events))
{
    *watch = (struct watch){.loop = loop, .on_ready = on_ready, .fd = fd};
}

/* Of what `ahead` leads to. */
#define WATCH_AHEAD_BYTES 192U

/* Of a watch for which something has arrived. */
ssize_t loop_arrival_read(struct watch *watch, void *buf, size_t cap);
ssize_t loop_arrival_peek(const struct watch *watch, void *buf, size_t cap);

void watch_change(struct watch *watch, unsigned events);

/* Where the kernel refuses (out of memory, the user's limit of watches) nothing is heard, and the
 * owner's time-out ends the matter. */
static inline void watch_want(struct watch *watch, unsigned events)
{
    if (events != watch->wants) {
        watch_change(watch, events);
    }
}

/* gone() may free the memory. */
void watch_close(struct watch *watch, void (*gone)(struct watch *watch));
