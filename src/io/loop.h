/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.h - one thread's event loop: readiness, timers, wake-ups, one clock reading per turn.
 *
 * On epoll: sockets are our own descriptors, reads and writes plain system calls into one buffer
 * per loop. It is a loop of its own, a guest in a program's uv_loop_t, or one descriptor to poll
 * with a time-out. Nobody above io/ knows which.
 *
 * A turn is: poll; the hooks' word of the time; readiness callbacks, in groups: what has come for
 * those that read ahead (socket.h), the callbacks, what was put off by loop_later(); expired
 * timers; what was put off since; the turn hooks (the engine's step, flushing of counters), in the
 * order they were added. Hooks run once per turn, only when something happened.
 *
 * Nothing here is called from another thread but loop_wake_send().
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"
#include "base/wheel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_hook;

struct loop_options {
    size_t read_buffer_bytes;  /* [64 KiB] one per loop, shared by all streams */
    void *uv_loop;             /* a program's own uv_loop_t to live in, or NULL */
    const struct alloc *alloc; /* [libc] */
};

int loop_new(const struct loop_options *opt, struct loop **ret_loop); /* 0 or -errno */
void loop_free(struct loop *loop); /* every stream and timer must be gone */

int loop_run(struct loop *loop);                  /* until loop_stop(); 0 or -errno */
void loop_stop(struct loop *loop);                /* from the loop's thread */
int loop_turn(struct loop *loop, int timeout_ms); /* one turn; tests and foreign loops */
bool loop_is_turning(const struct loop *loop);    /* the caller is one of its callbacks */
int loop_fd(const struct loop *loop);             /* readable: loop_turn(loop, 0) */
int loop_timeout_ms(const struct loop *loop);     /* or at the latest then; -1: no deadline */

/* The time of this turn, monotonic. One reading per turn. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_turn_ns(const struct loop *loop); /* the same reading, finer */
uint64_t loop_now_ns(const struct loop *loop);  /* a fresh reading, for measuring */

/* The loop's read buffer: valid until the next read of any stream of this loop. */
void *loop_buffer(struct loop *loop, size_t *ret_cap);

/* Where a read of the stream whose callback this is costs least: what was received ahead lies there
 * (socket_read_ahead()), and a read to that very place copies nothing. Else the read buffer. */
void *loop_inbox(struct loop *loop, size_t *ret_cap);

/* Keeps what a read has brought beyond the next read: reads go behind it until everything kept is
 * let go, one call for each. False where `data` was not read there, or too much is kept already. */
bool loop_buffer_keep(struct loop *loop, const void *data, size_t len);
void loop_buffer_let_go(struct loop *loop);

/* Memory for what each connection has: cells of one cache line, from slabs that the loop keeps for
 * its life (so a loop holds 64 bytes for each it ever had at a time). A cell given back is
 * poisoned: under the address sanitizer a stream that is used after its close shows. */
#define LOOP_CELL_BYTES 64U
void *loop_cell_take(struct loop *loop);
bool loop_cell_ready(struct loop *loop); /* the next one that is taken is there; false: no memory */
void loop_cell_give(struct loop *loop, void *cell);

const struct alloc *loop_alloc(const struct loop *loop);
/* The Date field's value at this turn, 29 characters and a NUL; made once a second. */
const char *loop_http_date(struct loop *loop);

/* A timer lies inside its owner (container_of finds it); all zeroes but for `fire`, it is not set.
 * It lives in base/wheel: pushing a deadline back costs a store, and it fires up to 8 ms late,
 * never early. It is stopped before fire() is called, and may be set there again. */
struct loop_timer {
    struct wheel_node node;
    void (*fire)(struct loop_timer *timer, uint64_t now_ms);
};
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ms);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
    return wheel_is_set(&timer->node);
}

/* Something to be done later in this turn, out of the way of the caller's stack: how a callback
 * that could come at once never does. All zeroes but for `run`, it is not put off. */
struct loop_later {
    struct node node;
    void (*run)(struct loop_later *later);
};
void loop_later(struct loop *loop, struct loop_later *later); /* once, however often it is said */
void loop_later_cancel(struct loop *loop, struct loop_later *later);

/* Runs at the end of each turn in which something happened (a hook that was added before it and ran
 * is such a thing), and not later than the deadline it returned last (UINT64_MAX: none). `tick`,
 * where there is one, runs before anything of a turn is told, if time went on since it ran last:
 * what keeps a time of its own is never late with it. */
struct loop_hook {
    struct loop_hook *next;
    uint64_t (*run)(void *self, uint64_t now_ms);
    void (*tick)(void *self, uint64_t now_ms);
    void *self;
    uint64_t deadline_ms;
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);
void loop_hook_soon(struct loop *loop, struct loop_hook *hook); /* run it in this turn */

/* Any thread: run fn(self) on the loop's thread, coalesced. */
struct loop_wake;
int loop_wake_new(struct loop *loop, void (*fn)(void *self), void *self,
                  struct loop_wake **ret_wake);
/* Any thread; of a loop that is no guest, async-signal-safe. From the loop's own thread it costs no
 * system call: the loop is then due (loop_timeout_ms() is 0), and its descriptor does not say so.
 */
void loop_wake_send(struct loop_wake *wake);
void loop_wake_free(struct loop_wake *wake);
