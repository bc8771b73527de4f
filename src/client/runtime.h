/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h - the inside of a runtime: a crew of workers, a home on each worker's loop, and the
 * shared pools that live there.
 *
 * A shared pool is a station (runtime/station.h) with one pool in its engine and a custom connector
 * (connector/custom.h). It never moves and its memory stays until the runtime is closed: a thread
 * that has just returned the last loan of a closed pool may still be leaving its lock. What was
 * closed is used again for the next pool that is opened; `serial` tells one from the other.
 *
 * Locks: the runtime's (names and places), then a station's. Nothing of the program's runs under
 * either.
 */
#pragma once
#include <weir/runtime.h>

#include "base/slots.h"
#include "client/park.h"
#include "connector/custom.h"
#include "runtime/station.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RUNTIME_POOLS_MAX 64U
#define RUNTIME_POSTS_MAX 1024U
#define SHARED_NAME_SIZE  64

struct ground_member;

enum shared_state { SHARED_FREE, SHARED_OPEN, SHARED_CLOSING };

struct weir_shared {
    struct station station;
    struct weir_runtime *runtime;
    /* Under the runtime's lock. */
    enum shared_state state;
    uint64_t opened; /* the order in which they were opened */
    /* Under the station's. */
    uint64_t serial; /* of what is open here; grows with each */
    weir_pool *pool; /* NULL: over */
    struct custom *custom;
    struct slots asks; /* callers of weir_acquire_async() that were not called yet */
    bool is_over;      /* in its last step */
    struct park park;
    char name[SHARED_NAME_SIZE];
};

/* Something to be run on a worker. */
struct post {
    struct node node;
    weir_worker_fn *fn;
    void *arg;
};

/* A worker, and what waits for it. */
struct place {
    struct weir_runtime *runtime;
    struct worker *worker;
    struct home home;
    struct loop_wake *wake;
    struct list posts; /* under the runtime's lock */
};

/* The program's allocator, as ours. Threads that a factory did not return in time keep it beyond
 * the runtime's end. */
struct memory {
    weir_allocator hooks;
    struct alloc alloc;
    _Atomic uint32_t users;
};

/* Who hears of events behind the log (logline.c). */
struct logline {
    weir_event_fn *on_event;
    void *event_arg;
    uint32_t events;
};

/* Puts the runtime's log before its listener of events. */
void logline_attach(struct weir_runtime *runtime);

struct weir_runtime {
    struct crew *crew;
    uint32_t workers;
    bool is_hosted;         /* one worker, without a thread of its own */
    _Atomic pthread_t host; /* the thread that turns it */
    bool is_running;

    pthread_mutex_t mutex;
    pthread_cond_t change; /* a pool is over */
    bool is_closing;
    struct weir_shared **pools;
    uint32_t pools_count, pools_max;
    uint64_t opens;
    struct list spare_posts;
    struct post *posts;
    struct ground_member *members; /* clients and servers that live here (ground.h) */

    weir_runtime_options opt; /* events go by way of the log, where there is one */
    struct logline logline;
    struct memory *memory;
    struct alloc alloc; /* the memory's */
    struct place places[];
};

/* Whether this thread must not wait for the runtime: it is one of its workers', or inside one of
 * its callbacks. */
bool runtime_is_inside(const weir_runtime *runtime);
/* Whether this thread turns the runtime: it then has to while it waits. */
bool runtime_is_host(const weir_runtime *runtime);
struct loop *runtime_host_loop(const weir_runtime *runtime);

void memory_use(struct memory *memory);
void memory_drop(struct memory *memory);

struct crew *runtime_crew(weir_runtime *runtime);
const struct alloc *runtime_alloc(const weir_runtime *runtime);

/* Remembers what weir_runtime_fault() answers on this thread. */
weir_err runtime_fault(const char *word);

/* Enters the pool's lock if what was open at `serial` (0: whatever is open) still is; else
 * WEIR_ECLOSED, without it. */
weir_err shared_enter(weir_shared *pool, uint64_t serial);

/* A lease at once, or WEIR_EAGAIN. Locked. */
weir_err shared_try(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                    weir_loan *ret_loan);

/* Whether loans may be parked by the rules that are in force. Locked. */
bool shared_may_park(const weir_shared *pool);

/* What is held, from what the core granted. Locked. */
void shared_fill(weir_shared *pool, weir_lease lease, void *made, uint32_t waited_ms,
                 weir_loan *ret_loan);

/* A connection's lease callback that wakes a thread (wait.c). */
void wait_is_over(void *arg, const weir_grant *grant);
