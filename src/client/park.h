/* SPDX-License-Identifier: Apache-2.0
 *
 * park.h - where a thread leaves what it returns, to take it again without the pool's lock.
 *
 * Most loans are short, and what a thread returns it is the first to ask for again. So a loan that
 * is returned sound is parked: to the engine it is still leased, and it lies on the thread's
 * *seat*. The same thread takes it from there with two atomic operations. It never lies there at
 * anybody's cost:
 *
 *   - While anybody waits at the pool, nothing is parked (`wanted`), and whoever finds nothing idle
 *     sweeps all seats first. Both sides write, then look: one of them sees the other.
 *   - Nothing stays parked, nor goes on from loan to loan unheard of by the engine, for longer than
 *     two ticks. Ages, idle times and figures are late by that at most, and whoever reads figures,
 *     flushes, updates or closes sweeps first.
 *   - Pools whose rules need the engine at each lease do without.
 *
 * A connection has a *turn*, which each return moves on. A loan that was returned before has a
 * wrong one, whatever became of its connection since.
 *
 * The first threads to come have a seat of their own for good; the others share some. Any thread
 * may return any loan.
 */
#pragma once
#include <weir/runtime.h>

#include "base/alloc.h"

#include <stdatomic.h>

#define PARK_OWN     64U /* seats of one thread each */
#define PARK_SHARED  16U
#define PARK_SEATS   (PARK_OWN + PARK_SHARED)
#define PARK_TICK_MS 10U
#define TURN_NONE    UINT64_MAX /* of a connection that carries several loans at a time */

enum seat_state { SEAT_EMPTY, SEAT_BUSY, SEAT_TAKEN };

/* The fields are whose who made it BUSY; while it is EMPTY, of the one thread whose seat it is. */
struct seat {
    _Alignas(64) _Atomic uint32_t state; /* enum seat_state */
    uint32_t tick;                       /* when it was taken */
    void *made;                          /* the connector's record of what is parked */
    weir_lease lease;
};

/* Of each connection, by its record's number. The fields are the holder's. */
struct turn {
    _Alignas(64) _Atomic uint64_t number;
    uint32_t renewed; /* leases that the engine has not heard of */
    uint32_t tick;    /* when it last heard of one */
};

struct park {
    struct seat *seats;
    struct turn *turns;
    void *memory; /* of both */
    _Atomic bool is_on;
    bool has_turns;
    _Atomic bool is_ticking; /* the worker sweeps after every tick */
    _Atomic uint32_t wanted; /* callers that found nothing idle */
    _Atomic uint32_t tick;
    _Atomic uint32_t threads; /* that came so far */
    _Atomic uint64_t serial;  /* of what is open in the pool; 0: nothing */
    uint64_t ticked_ms;
};

/* For connections 0 … turns - 1. False where memory is refused. */
bool park_init(struct park *park, const struct alloc *alloc, uint32_t turns);
void park_fini(struct park *park, const struct alloc *alloc);

/* Something is open from now on. Under the lock. */
void park_open(weir_shared *pool, uint64_t serial);
/* The pool's rules are new: parks from now on, or not. Under the lock. */
void park_allow(weir_shared *pool, bool is_allowed);

/* --- without the lock ---------------------------------------------------------------------------
 */

/* What lies on this thread's seat, if it is of that key. */
bool park_take(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
               weir_loan *ret_loan);

/* The loan's turn ends. False: it was returned before. */
bool park_end_turn(weir_shared *pool, const weir_loan *loan);

/* Parks it, its turn having ended. False: the engine has to have it. */
bool park_put(weir_shared *pool, const weir_loan *loan);

/* Around a caller's search for more than its own seat, and its wait. */
void park_want(weir_shared *pool);
void park_want_no_more(weir_shared *pool);

/* --- under the lock -----------------------------------------------------------------------------
 */

/* Gives what is parked back to the engine; how many there were. */
uint32_t park_sweep(weir_shared *pool);

/* The same, and what is lent out will not be parked when it comes back. */
void park_sweep_all(weir_shared *pool);

/* In time; returns when next. */
uint64_t park_tick(weir_shared *pool, uint64_t now_ms);

/* The engine leased it, to nobody yet: which turn that is. */
uint64_t park_begin_turn(weir_shared *pool, uint32_t number);
/* The engine is about to end the lease: it hears of what came of it first. */
void park_settle(weir_shared *pool, uint32_t number, weir_lease lease);
