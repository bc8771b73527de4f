/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.h - the hub of core/hub.h behind a mutex: limits that are one across the workers of a
 * crew.
 *
 * A worker's engine calls the hub where it stands; what the hub has to say to another worker waits
 * there, and that worker is woken to fetch it. Nobody holds the mutex while an engine is called.
 */
#pragma once
#include "base/alloc.h"
#include "core/limit.h"

struct limits;

struct limits_options {
    uint32_t engines;
    uint32_t accounts_max; /* limits of pools and keys, in all */
    uint32_t name_bytes_max;
    uint64_t seed;
    void (*wake)(void *arg, uint32_t engine); /* any thread: limits_fetch() has something to do */
    void *wake_arg;
};

/* NULL where memory is refused. */
struct limits *limits_new(const struct alloc *alloc, const struct limits_options *opt);
void limits_free(struct limits *take_limits); /* its engines are gone */

/* For engine_share(). */
const struct limit_port *limits_port(struct limits *limits, uint32_t engine);

/* Tells the engine what the hub has for it. On the engine's thread, outside weir_step(). */
void limits_fetch(struct limits *limits, uint32_t number, weir_engine *engine);

/* Wakes nobody from now on: the workers are going away. No worker's thread may be running. */
void limits_hush(struct limits *limits);
