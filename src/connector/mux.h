/* SPDX-License-Identifier: Apache-2.0
 *
 * mux.h - calls on connections that carry many of them at a time: what each has with its pool, from
 * the wish to the end, whatever is said on the connection. Underneath connector/redis and openclaw.
 *
 *   begin ──▶ WAITING (for a lease) ──▶ ASKED ──▶ answered, lost ──▶ ENDING ──▶ IDLE
 *     │          ▲  │                     │                             │ ▲
 *     │          │  └── time, cancelled ──┴──▶ IDLE      once more      │ │
 *     │          └──────────────────────────────────────────────────────┘ │
 *     └── no lease, or it could not be said: told in a later event ───────┘
 *
 * Always true: no call is told from inside mux_call_begin(); once it is IDLE nothing of it is left
 * with the pool, and it is not told any more. A wait that was cancelled outlives its call, which
 * may be gone when the pool answers.
 */
#pragma once
#include <weir/weir.h>

#include "base/alloc.h"
#include "io/loop.h"

struct mux_call;
struct mux_wait;

struct mux_ops {
    /* There is a lease of call->conn: say it there, or mux_call_fail(). Also from inside begin. */
    void (*ask)(struct mux_call *call);
    /* It has given up: its answer is nobody's. */
    void (*forget)(struct mux_call *call);
    /* Its deadline, while it is WAITING or ASKED: mux_call_end(), or what ends its connection. */
    void (*late)(struct mux_call *call);
    /* The end: the pool gave no lease, or what was said to mux_call_fail(). It is IDLE. */
    void (*failed)(struct mux_call *call, weir_err err, uint32_t retry_after_ms);
};

/* The calls of a connector. */
struct mux {
    const struct mux_ops *ops;
    struct loop *loop;
    const struct alloc *alloc;
    weir_pool *pool; /* once there is one */
    uint32_t acquire_timeout_ms;
    struct mux_wait *spare_waits;
    uint32_t waits; /* not spare */
};

enum mux_state { MUX_IDLE, MUX_WAITING, MUX_ASKED, MUX_ENDING };

/* Lies inside its owner; all zeroes is IDLE. */
struct mux_call {
    struct mux *mux;
    void *conn; /* while it is ASKED: the pool's object */
    weir_lease lease;
    weir_key key; /* borrowed */
    uint64_t tag; /* of the lease */
    struct loop_timer timer;
    struct mux_wait *wait;
    uint64_t deadline_ms, asked_ns;
    weir_err err; /* to be told */
    uint32_t retry_after_ms;
    enum mux_state state;
};

/* Its pool has closed: no call waits. */
void mux_fini(struct mux *mux);

/* timeout_ms: of all of it; WEIR_NEVER: none. */
void mux_call_begin(struct mux *mux, struct mux_call *call, const weir_key *key, uint64_t tag,
                    uint32_t timeout_ms);
/* For ask(): it could not be said. How the lease ends; and failed() is to come with `err`. */
void mux_call_fail(struct mux_call *call, weir_fate fate, weir_err err);
/* All of its answer is here, or its connection is gone: its lease ends, and it is ENDING. */
void mux_call_answered(struct mux_call *call, weir_conn id);
void mux_call_lost(struct mux_call *call, weir_err why);
/* One that is ENDING tries again, in the time that it has. */
void mux_call_again(struct mux_call *call);
/* IDLE, whatever it was: nothing comes any more. */
void mux_call_end(struct mux_call *call);
