/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.h - a worker: one thread, one loop, one engine, one mailbox; and the crew of them.
 *
 * Everything a worker owns is touched by its own thread only. Others reach it by worker_post(),
 * which is one letter in a ring and one wake. The engine takes its step at the end of every turn
 * in which something happened, so whoever calls the core from a loop's event need not step it.
 *
 * Life: crew_new(); set each worker up, by calls or by letters; crew_start(); serve; crew_stop(),
 * which lets every loop end its turn; crew_join(); tear down what lives on the loops, from the
 * joining thread, which owns them all by then; crew_free().
 *
 * The thread that made the crew is its hub: a party of the mailbox with the number crew_size(). It
 * may lend a loop of its own to run letters on (crew_hub()); without one it only writes.
 */
#pragma once
#include <weir/weir.h>

#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define CREW_WORKERS_MAX 256U

struct crew;
struct worker;

struct crew_options {
    uint32_t workers;           /* [1] at most CREW_WORKERS_MAX */
    struct loop_options loop;   /* of each worker; uv_loop must be NULL */
    weir_engine_options engine; /* of each worker; its seed is varied by the worker's number */
};

/* 0 or -errno. Loops and engines are there, threads are not yet. */
int crew_new(const struct crew_options *opt, struct crew **ret_crew);
void crew_free(struct crew *crew); /* not running */

uint32_t crew_size(const struct crew *crew);
struct worker *crew_worker(struct crew *crew, uint32_t index);

/* Letters to the hub are run on this loop, which belongs to the thread that made the crew. */
int crew_hub(struct crew *crew, struct loop *loop);

int crew_start(struct crew *crew); /* one thread each; on an error none runs */
void crew_stop(struct crew *crew); /* any thread; each loop ends its turn */
void crew_join(struct crew *crew); /* after crew_stop() */

uint32_t worker_index(const struct worker *worker);
struct loop *worker_loop(struct worker *worker);
weir_engine *worker_engine(struct worker *worker);

/* The worker whose thread this is; NULL on any other. */
struct worker *worker_here(void);

/* Runs run(self, value) on the worker's thread, later. From a worker's thread of the same crew or
 * from the hub's. False: its ring from here is full, and nothing was done. */
bool worker_post(struct worker *worker, void (*run)(void *self, uint64_t value), void *self,
                 uint64_t value);
/* The same on the hub's loop. */
bool crew_post_hub(struct crew *crew, void (*run)(void *self, uint64_t value), void *self,
                   uint64_t value);
