/* SPDX-License-Identifier: Apache-2.0
 *
 * ground.h - what clients and servers need of the runtime they live in, and nothing else.
 */
#pragma once
#include <weir/runtime.h>

#include "runtime/worker.h"

#include <pthread.h>

/* A client or server, known to its runtime by a name that no other one has. */
struct ground_member {
    struct ground_member *next;
    const void *kind; /* set by its owner: the same for all clients, another for all servers */
    char name[64];
};

/* Its workers: one to each, guests included. */
struct crew *ground_crew(weir_runtime *runtime);

/* name NULL: `base`, or "base-2", …, whatever is free. WEIR_EINVAL: too long; WEIR_EEXISTS;
 * WEIR_ECLOSED: the runtime is closing. */
weir_err ground_join(weir_runtime *runtime, struct ground_member *member, const char *name,
                     const char *base);
void ground_leave(weir_runtime *runtime, struct ground_member *member);
/* Shows those of a kind, in the order in which they joined. The runtime is locked meanwhile, so
 * none leaves; fn calls nothing of this header. It returns false to stop. */
void ground_each(weir_runtime *runtime, const void *kind,
                 bool (*fn)(void *arg, struct ground_member *member), void *arg);

/* The worker whose thread this is, with its loop turning; NULL elsewhere. */
struct worker *ground_here(const weir_runtime *runtime);
const struct alloc *ground_alloc(const weir_runtime *runtime);

/* May this thread wait for the runtime's workers? WEIR_ESTATE: it is one of them, or in a callback
 * of a guest. */
weir_err ground_may_wait(const weir_runtime *runtime);

/* Something that a thread waits for; all zeroes, it has not happened. */
struct ground_wait {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool is_over;
};
void ground_wait_init(struct ground_wait *wait);
void ground_wait_fini(struct ground_wait *wait);
void ground_wait_end(struct ground_wait *wait); /* any thread; the last to touch it */
/* Until it has ended; turns a hosted runtime meanwhile, where this is its thread. */
void ground_wait_for(struct ground_wait *wait, weir_runtime *runtime);

/* Sets what weir_runtime_fault() answers on this thread, and returns err. */
void ground_note_fault(const char *word);
static inline weir_err ground_fault(weir_err err, const char *word)
{
    ground_note_fault(word);
    return err;
}
