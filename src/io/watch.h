/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - a descriptor being watched by a loop: what sockets, intakes, the resolver and signals
 * are made of. For io/ alone: it is the one place where uv.h shows.
 *
 *   - A watch wants nothing until watch_want(); wanting what it wants already costs nothing.
 *   - It does not own its descriptor. Close the watch first, then the descriptor, in one go.
 *   - After watch_close() on_ready() is not called any more, but the loop lets go of the memory
 *     only when it calls gone(), in a later turn.
 */
#pragma once
#include "io/loop.h"
#include "io/stream.h"

#include <uv.h>

struct watch {
    uv_poll_t poll; /* data: the loop */
    union {
        void (*on_ready)(struct watch *watch, unsigned events); /* STREAM_READ, STREAM_WRITE */
        void (*gone)(struct watch *watch);                      /* once closed; may be NULL */
    };
    uint8_t wants;
};

/* 0 or -errno. The descriptor must be non-blocking. */
int watch_open(struct watch *watch, struct loop *loop, int fd,
               void (*on_ready)(struct watch *watch, unsigned events));
void watch_want(struct watch *watch, unsigned events);
void watch_close(struct watch *watch, void (*gone)(struct watch *watch));

static inline struct loop *watch_loop(const struct watch *watch)
{
    return watch->poll.data;
}

static inline int watch_fd(const struct watch *watch)
{
    return watch->poll.io_watcher.fd;
}

/* Memory for sockets: kept by the loop for the next one, up to LOOP_SPARE_MAX. One size only. */
#define LOOP_SPARE_MAX 1024U
void *loop_cell_take(struct loop *loop, size_t size);
void loop_cell_give(struct loop *loop, void *cell);
