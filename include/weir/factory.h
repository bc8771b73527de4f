/* SPDX-License-Identifier: Apache-2.0
 *
 * factory.h - connections of a kind that only the program knows: how to create, validate and
 * destroy one.
 *
 * A factory answers three questions about an object that is opaque to weir: make one for this key,
 * is this one alive, be rid of it. It answers on the spot, or says WEIR_EAGAIN and answers later,
 * once, from any thread, with weir_factory_answer().
 *
 * Where it is called: with threads_max 0, on the loop of the pool's worker; it must not block. With
 * threads_max n, on threads that the pool starts for it, at most n at a time; it may block as long
 * as it likes. No lock of weir is held while it is called, but for `usable`.
 *
 * What goes wrong with a factory stays with its connection, is counted (weir_factory_stats) and
 * told (on_fault): an answer that never comes, that comes twice, or after the question was
 * withdrawn; an object that cannot be destroyed.
 */
#ifndef WEIR_FACTORY_H
#define WEIR_FACTORY_H

#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A question that was put to a factory and is to be answered once. A value; a stale one is answered
 * with WEIR_ESTALE, even when its pool and its runtime are long gone. */
typedef struct weir_task {
    uint64_t pool, id;
} weir_task;

/* What is to be created. The pointers live until the answer. */
typedef struct weir_create {
    size_t size;
    weir_task task; /* for weir_factory_answer(), after WEIR_EAGAIN */
    const weir_key *key;
    /* Which of its key's connections this will be: 0 … max_per_key - 1. No other one has the number
     * from now until this one is destroyed. */
    uint32_t slot;
    uint32_t timeout_ms; /* connect_timeout, or WEIR_NEVER */
} weir_create;

/* What a factory did wrong. */
typedef enum weir_factory_fault {
    WEIR_FAULT_LATE,        /* an object came after its creation was withdrawn; it is destroyed */
    WEIR_FAULT_TWICE,       /* a task was answered again; that answer is ignored */
    WEIR_FAULT_STUCK,       /* no answer for abandon_after: the connection is given up */
    WEIR_FAULT_UNDESTROYED, /* destroy said that it failed */
    WEIR_FAULT_CRASHED,     /* destroy crashed on its thread, which is lost (contain_crashes) */
    WEIR_FAULTS
} weir_factory_fault;

/* "late", "twice", … */
WEIR_API const char *weir_factory_fault_word(weir_factory_fault fault);

typedef struct weir_factory {
    size_t size;
    const char *scheme;   /* for the pool's name, when it has none; copied */
    uint32_t threads_max; /* threads that may be inside the factory at a time; 0: on the loop */
    uint32_t leases_max;  /* leases that one object carries at a time [1] */
    /* A question that was withdrawn keeps its place in the limits, and its slot, until it is
     * answered; after this time it is given up [10 000]. */
    uint32_t abandon_after_ms;
    /* A `destroy` that crashes on its thread (SIGSEGV, SIGBUS, SIGFPE, SIGILL; not abort(), nor a
     * stack that overflows) costs that thread and its object, not the program: the thread sleeps
     * for ever, with whatever locks it held. Takes these signals for the whole process, and passes
     * on what happens elsewhere. Only with threads_max. */
    bool contain_crashes;

    /* Make one. WEIR_OK with *ret_object, WEIR_EAGAIN: later, or the reason why not. Required. */
    weir_err (*create)(void *self, const weir_create *create, void **ret_object);
    /* Is it alive? WEIR_OK, WEIR_EAGAIN: later, or the reason why not. Asked every probe_every
     * while it is idle, and after a lease that ended WEIR_UNKNOWN. NULL: never. */
    weir_err (*validate)(void *self, weir_task task, void *object);
    /* Be rid of it. Anything but WEIR_OK: it could not be done, and the object is forgotten.
     * Required. */
    weir_err (*destroy)(void *self, void *object, weir_err why);
    /* The answer to the task is not wanted any more. It still has to come, and may be an error; so
     * this is the place to hurry. Called on the loop of the pool's worker. NULL: nothing to do. */
    void (*cancel)(void *self, weir_task task);
    /* Its lease is overdue: end what it waits for (shutdown(2)), free nothing. On the loop. NULL:
     * it is destroyed when it is returned. */
    void (*cut)(void *self, void *object);
    /* A last look before it is leased again. On the caller's thread, under the pool's lock: quick,
     * and without a call to weir. NULL: always. */
    bool (*usable)(void *self, void *object);
    /* Something went wrong; key may be NULL. On any thread. NULL: counted alone. */
    void (*on_fault)(void *self, weir_factory_fault fault, const weir_key *key);
} weir_factory;

/* Answers a task, from any thread, also from inside the call that put it. For a creation: WEIR_OK
 * and the object, or an error. For a validation: WEIR_OK or an error; the object is ignored.
 *
 * WEIR_OK: taken. WEIR_ECANCELED: taken as well, but nobody wants it any more; it is destroyed.
 * WEIR_ESTALE: the task was answered before, or given up; the object stays the caller's. */
WEIR_API weir_err weir_factory_answer(weir_task task, weir_err err, void *object);

/* What a factory is doing, and did. */
typedef struct weir_factory_stats {
    size_t size;
    uint32_t creating, validating, destroying; /* now; withdrawn creations among the first */
    uint32_t threads, threads_busy;            /* now */
    uint32_t threads_lost;                     /* inside a question that was given up */
    uint64_t created, failed, destroyed;
    uint64_t faults[WEIR_FAULTS];
} weir_factory_stats;

#ifdef __cplusplus
}
#endif
#endif
