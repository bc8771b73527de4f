/* SPDX-License-Identifier: Apache-2.0
 *
 * park.h - where a thread leaves what it returns, to take it again without the pool's lock.
 *
 * Most loans are short, and what a thread returns it is the first to ask for again. So a loan that
 * is returned sound is *parked*: to the engine it is still leased, and the thread's *seat* says
 * which connection that is. The same thread takes it again from there. That is one atomic operation
 * to park it and one to take it. It never lies there at anybody's cost:
 *
 *   - While anybody waits at the pool, nothing is parked (`wanted`), and whoever finds nothing idle
 *     sweeps all seats first. Both sides write, then look: one of them sees the other.
 *   - Nothing stays parked, nor goes on from loan to loan unheard of by the engine, for longer than
 *     two ticks. Ages, idle times and figures are late by that at most, and whoever reads figures,
 *     flushes, updates or closes sweeps first.
 *   - Pools whose rules need the engine at each lease do without.
 *
 * A connection has a *turn*, which each loan, parking and return moves on:
 *
 *      even: lent, or the engine's                     odd: parked
 *           n  ----- park_put() ----------------------->  n + 1
 *         n + 2 <---- park_take(), or a sweep ----------  n + 1
 *           n  ----- park_end_turn() --> n + 2
 *
 * Whoever moves it on has the connection. So a loan that was returned before has a wrong turn,
 * whatever became of its connection since, and a seat is no more than a hint: its connection may
 * have gone, and lie on somebody else's by now. A thread moves its seat to another connection only
 * while that of before is not parked, so all that is parked is on the seat of who parked it.
 *
 * The first threads to come have a seat of their own for good; the others share some, one thread at
 * a time. Any thread may return any loan.
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

struct seat {
    _Alignas(64) _Atomic uint32_t number; /* 1 + its connection's; 0: none */
    _Atomic bool is_busy;                 /* where threads share it: one is at it */
};

/* Of each connection, by its record's number. What is not atomic is the holder's. */
struct turn {
    _Alignas(64) _Atomic uint64_t number;
    _Atomic uint32_t parked_tick; /* when it was parked */
    _Atomic uint32_t heard_tick;  /* when the engine last heard of a lease */
    uint32_t renewed;             /* leases that the engine has not heard of */
    void *made;                   /* the connector's record of it */
    weir_lease lease;
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

/* Parks it. False: the engine has to have it, or it was returned before. */
bool park_put(weir_shared *pool, const weir_loan *loan);

/* The loan's turn ends, and it is the engine's. False: it was returned before. */
bool park_end_turn(weir_shared *pool, const weir_loan *loan);

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
uint64_t park_begin_turn(weir_shared *pool, void *made, weir_lease lease);
/* The engine is about to end the lease: it hears of what came of it first. */
void park_settle(weir_shared *pool, uint32_t number, weir_lease lease);
