/* SPDX-License-Identifier: Apache-2.0
 *
 * offload.h - threads for calls that block: at most so many, started as they are needed.
 *
 * A job lies inside its owner and is queued, then run by one of the threads, or withdrawn before
 * that. The queue has no bound of its own: there are as many jobs as there are owners, and those
 * are bounded.
 *
 * A thread that does not come back from a job can be given up: another may then take its place. It
 * ends when the job does, which may be long after the close: the memory has to stay until then.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define OFFLOAD_THREADS_MAX 256U
#define OFFLOAD_LOST_MAX    64U /* threads given up; beyond that, they are not replaced */

struct offload;

/* All zeroes but for `run`, it is not queued. */
struct offload_job {
    struct node node;
    void (*run)(struct offload_job *job); /* on one of the threads; may free the job */
    struct offload_thread *thread;        /* that runs it */
};

struct offload_options {
    uint32_t threads_max;      /* [1] at most OFFLOAD_THREADS_MAX */
    const char *name;          /* of the threads, at most 15 bytes */
    const struct alloc *alloc; /* [libc] thread-safe */
    /* A thread that was given up has come back: the last that it does here. */
    void (*lost_ends)(void *self);
    void *self;
};

/* 0 or -errno. */
int offload_new(const struct offload_options *opt, struct offload **ret_offload);

/* Any thread. 0, or -errno where there is no thread and none can be started. */
int offload_submit(struct offload *offload, struct offload_job *job);

/* True: it was not begun, and will not be. False: it runs, or has run. */
bool offload_withdraw(struct offload *offload, struct offload_job *job);

/* Gives the thread up that is inside the job, which has not returned. */
void offload_abandon(struct offload *offload, struct offload_job *job);

struct offload_count {
    uint32_t threads, busy; /* without the lost ones */
    uint32_t lost;          /* and not back yet */
};
struct offload_count offload_count(struct offload *offload);

/* Waits for jobs that run; none is queued. Threads that were given up are left to themselves. */
void offload_close(struct offload *offload);
/* All of them are back, too. */
void offload_free(struct offload *take_offload);
