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
    bool closed;
    bool is_shared; /* with other loops: an event wakes one of them (EPOLLEXCLUSIVE). Reads only. */
};

static inline void watch_init(struct watch *watch, struct loop *loop, int fd,
                              void (*on_ready)(struct watch *watch, unsigned events))
{
    *watch = (struct watch){.loop = loop, .on_ready = on_ready, .fd = fd};
}

/* Of what `ahead` leads to. */
#define WATCH_AHEAD_BYTES 192U

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
