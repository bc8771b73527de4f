/* SPDX-License-Identifier: Apache-2.0
 *
 * station.h - an engine that any thread may use, and the loop whose thread steps it.
 *
 *      any thread                              the home's thread
 *   station_enter()  ---- lock ---->        at the end of a turn, when it is due:
 *     weir_try_acquire() ...                  lock, weir_step(), unlock
 *   station_leave()  ---- unlock, wake -->
 *
 * A station belongs to a home: a loop, with a hook that steps the stations that are due. The engine
 * decides under the lock and within microseconds; no callback of the program runs under it. One
 * that is called from inside a step is called between station_out() and station_back(), which give
 * the lock away meanwhile: the core allows every call from inside a callback, so it allows those
 * of other threads, too, as long as none of them steps.
 *
 * Callbacks that are `direct` need not wait for the step: station_leave() runs them. They are the
 * ones that wake a sleeping thread.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HOME_STATIONS_MAX 4096U

struct home;

struct station {
    pthread_mutex_t mutex;
    weir_engine *engine; /* NULL: nothing is open here now */
    weir_lease_fn *direct;
    struct home *home;
    /* More that is to be done in time, under the lock: returns when next. May be NULL. */
    uint64_t (*tick)(void *self, uint64_t now_ms);
    /* After a step, without the lock. May be NULL. */
    void (*after)(void *self);
    void *self;
    _Atomic uint64_t armed_ms; /* the home looks at it at the latest then; it alone writes this */
    _Atomic bool is_due;       /* somebody has asked for a step */
};

struct home {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_wake *wake;
    _Atomic uint32_t count;
    uint32_t stations_max;
    pthread_mutex_t adding;
    _Atomic(struct station *) *stations;
};

/* Before the loop runs. 0 or -errno. */
int home_init(struct home *home, struct loop *loop, uint32_t stations_max);
/* When the loop has stopped, and before it is freed. */
void home_fini(struct home *home);

/* Any thread. A station stays at its home for both their lives; only its engine comes and goes.
 * False: stations_max. */
bool station_init(struct station *station, struct home *home);
void station_fini(struct station *station); /* after home_fini() */

/* The lock, and the time: to within a few milliseconds, or exact. */
void station_enter(struct station *station);
void station_enter_now(struct station *station);
/* Runs the direct callbacks, sees to it that what is due will be done, and unlocks. */
void station_leave(struct station *station);

/* Around a call of the program's, on a thread that holds the lock. */
void station_out(struct station *station);
void station_back(struct station *station);

/* Has a step taken, soon. With or without the lock. */
void station_poke(struct station *station);
