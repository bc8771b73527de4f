/* SPDX-License-Identifier: Apache-2.0
 *
 * custom_parts.h - what a custom connector is made of: a record for each connection, on the list of
 * its state. For custom.c, which moves them, and custom_read.c, which shows them.
 */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "base/slots.h"
#include "connector/berths.h"
#include "connector/custom.h"
#include "connector/keycopy.h"
#include "connector/registry.h"
#include "io/offload.h"

#include <pthread.h>
#include <stdatomic.h>

#define NOTES_MAX  16U
#define SCHEME_MAX 64U

enum made_state {
    MADE_CREATING,
    MADE_UP,
    MADE_VALIDATING,
    MADE_WITHDRAWN, /* a question is open that nobody wants answered */
    MADE_ENDING,    /* is to be destroyed, or is being */
    MADE_GONE,      /* the pool has forgotten it; a call of the factory's has not returned */
    MADE_STATES
};

enum call { CALL_NONE, CALL_CREATE, CALL_VALIDATE, CALL_DESTROY };

struct made {
    struct node on_state; /* custom->by_state[state] */
    struct custom *custom;
    weir_conn conn;
    void *object;
    struct key_copy key;
    struct offload_job job;
    uint64_t since_ms; /* withdrawn, or ending */
    uint32_t question; /* open; 0: none */
    uint32_t asked;    /* what the job is about */
    uint32_t next_asked;
    uint32_t number; /* of the record */
    uint32_t slot;
    uint32_t leases; /* so far */
    uint32_t timeout_ms;
    uint8_t state;
    uint8_t call;       /* that the job is, or was */
    uint8_t next_call;  /* its thread has answered and not returned: what follows then */
    uint8_t why;        /* it ends for */
    uint8_t calls;      /* of the factory's that have not returned, on the loop */
    bool is_on_thread;  /* its job is queued or runs */
    bool was_abandoned; /* its thread was given up */
    atomic_bool has_crashed;
};

struct note {
    weir_factory_fault fault;
    struct key_copy key;
};

struct custom {
    struct registered registered; /* its users: the owner, jobs, answers at the gate */
    pthread_mutex_t gate; /* taken before the host's lock by whoever does not come from there */
    bool is_closed;

    weir_connector connector;
    weir_factory factory;
    void *self;
    struct custom_host host;
    weir_pool *pool;
    uint32_t timeout_ms, abandon_ms;
    uint32_t questions; /* so far */
    struct slots records;
    struct map by_conn;
    struct berths berths;
    struct list by_state[MADE_STATES];
    struct offload *offload; /* NULL: on the loop */
    uint64_t created, failed, destroyed;
    uint64_t faults[WEIR_FAULTS];
    _Atomic uint32_t crashes;     /* to be looked for */
    struct note notes[NOTES_MAX]; /* of faults, for the loop's thread to tell */
    uint32_t notes_count;
    const struct alloc *alloc;
    void (*gone)(void *gone_self);
    void *gone_self;
    char scheme[SCHEME_MAX];
};
