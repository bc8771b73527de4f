/* SPDX-License-Identifier: Apache-2.0
 *
 * custom.h - the connector for connections that only the program can make: a pool's questions
 * (dial, probe, close) put to a weir_factory, and its answers, however late or odd, put to the
 * pool.
 *
 *               create              answer            validate
 *     (new) ----------> CREATING -----------> UP <--------------> VALIDATING
 *                          |  close            |  close               |  close
 *                          v                   v                      v
 *                      WITHDRAWN ----------> ENDING <------------ WITHDRAWN
 *                          |     answered      |  destroyed
 *                          |                   +-------> (down, gone)
 *                          |  abandon_after    |  abandon_after
 *                          +-----------------> GIVEN_UP: down at once, gone when its thread is back
 *
 * While the factory is asked - on the pool's loop, or on threads of the factory's own - the record
 * is the pool's connection's, and keeps its slot; both go together, when the object is destroyed or
 * given up. A question is open until it is answered: one that is withdrawn waits for its answer.
 *
 * Everything here runs under the host's lock, but for the factory's own functions.
 */
#pragma once
#include <weir/factory.h>

#include "base/alloc.h"

#include <stdint.h>

struct custom;

/* What there is around a pool: its lock and its loop. */
struct custom_host {
    void *self;
    /* The lock, on a thread that does not hold it; leave() sees to what was caused. */
    void (*enter)(void *self);
    void (*leave)(void *self);
    /* Around a call of the factory's, on a thread that holds it. */
    void (*out)(void *self);
    void (*back)(void *self);
    /* custom_tick() has something to do now. With or without the lock. */
    void (*poke)(void *self);
};

struct custom_options {
    const weir_factory *factory; /* valid; copied */
    void *factory_self;
    struct custom_host host;
    uint32_t conns_max;        /* of the engine */
    uint32_t timeout_ms;       /* what a creation is told it may take: the pool's connect_timeout */
    const struct alloc *alloc; /* thread-safe */
    /* The last of its memory is freed: threads that were given up may keep it for long. */
    void (*gone)(void *gone_self);
    void *gone_self;
};

#define CUSTOM_ABANDON_AFTER_MS 10000U

/* The name of the first field that is not valid, or NULL. */
const char *custom_fault_of(const weir_factory *factory);

/* 0 or -errno. */
int custom_new(const struct custom_options *opt, struct custom **ret_custom);

/* For the pool's options; `self` is the custom. */
const weir_connector *custom_connector(const struct custom *custom);
/* The pool that it serves, once that is open, and before its first step. */
void custom_serve(struct custom *custom, weir_pool *pool);
void custom_set_timeout(struct custom *custom, uint32_t timeout_ms);

/* To be called when poked, after each step, and not later than it last returned; on the loop's
 * thread, under the lock. */
uint64_t custom_tick(struct custom *custom, uint64_t now_ms);

/* The pool is over. Without the lock. Waits for threads, but for those that were given up. */
void custom_close(struct custom *take_custom);

/* What the pool knows as an object, read. */
void *custom_object(const void *made);
weir_conn custom_conn(const void *made);
uint32_t custom_slot(const void *made);
const weir_key *custom_key(const void *made);
const char *custom_scheme(const void *made); /* of keys that name none */
uint32_t custom_number(const void *made);    /* of the record: 0 … custom_records() - 1 */
/* Counts a lease on it; whether there was one before. */
bool custom_lease(void *made);

uint32_t custom_leases_max(const struct custom *custom);
bool custom_has_usable(const struct custom *custom);
/* How many records there are where there may be that many connections. */
uint32_t custom_records(uint32_t conns_max);

void custom_stats(struct custom *custom, weir_factory_stats *ret_stats);
bool custom_is_same(const struct custom *custom, const weir_factory *factory, void *factory_self);
