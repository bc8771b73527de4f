/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.h - a worker: one thread, one loop, one engine, one mailbox; and the crew of them.
 *
 * Everything a worker owns is touched by its own thread only. Others reach it by worker_post(): one
 * letter in a ring and one wake. The engine takes its step at the end of every turn in which
 * something happened, so whoever calls the core from an event of the loop need not step it.
 *
 * Life: crew_new(); set the workers up from the same thread; crew_start(); serve; crew_stop(), at
 * which every loop ends its turn; crew_join(), which runs the letters that are still under way and
 * after which everything belongs to the joining thread again; tear down what lives on the loops;
 * crew_free().
 *
 * The limits of pools are one across a crew: pools of the same name in its engines share max_total
 * and max_per_key, exactly.
 *
 * The thread that made the crew is its hub, and a party of the mailbox. It receives letters if it
 * lends a loop of its own with crew_hub(); it can always write them.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CREW_WORKERS_MAX 128U

struct crew;
struct worker;

struct crew_options {
    uint32_t workers;           /* [1] at most CREW_WORKERS_MAX */
    struct loop_options loop;   /* of each worker; uv_loop: of the only one, never started */
    weir_engine_options engine; /* of each worker; seed is varied by its number, now_ms is set */
};

typedef void letter_fn(void *self, uint64_t value);

/* 0 or -errno. Loops and engines are there, threads are not yet. */
int crew_new(const struct crew_options *opt, struct crew **ret_crew);
void crew_free(struct crew *take_crew); /* not running */

uint32_t crew_size(const struct crew *crew);
struct worker *crew_worker(struct crew *crew, uint32_t index);

int crew_start(struct crew *crew); /* 0, or -errno and none runs */
void crew_stop(struct crew *crew); /* any thread, async-signal-safe */
void crew_join(struct crew *crew); /* after crew_stop(); the hub's thread */

/* Letters to the hub are run on this loop of the hub's thread, until crew_free() or NULL. */
int crew_hub(struct crew *crew, struct loop *loop);
/* From a worker's thread of this crew. False: the ring from here is full, nothing was done. */
bool crew_post_hub(struct crew *crew, letter_fn *run, void *self, uint64_t value);

uint32_t worker_index(const struct worker *worker);
struct loop *worker_loop(struct worker *worker);
weir_engine *worker_engine(struct worker *worker);

/* The worker whose thread this is; NULL on any other. */
struct worker *worker_here(void);

/* Runs run(self, value) on the worker's thread, in a later event. From the thread of a worker of
 * the same crew, or the hub's. False: the ring from here is full, nothing was done. */
bool worker_post(struct worker *worker, letter_fn *run, void *self, uint64_t value);

/* A note is a letter that lies inside its writer, for threads that are no party: it cannot be
 * refused, and one that was written and not yet read is not written again. All zeroes but for
 * `run`, it is not on its way. run() is called on the worker's thread, in a later event, with what
 * its writer did before; from then on the note may be written again, or freed. */
struct worker_note {
    struct worker_note *next;
    void (*run)(struct worker_note *note);
    atomic_bool written;
};
void worker_note(struct worker *worker, struct worker_note *note); /* any thread */
