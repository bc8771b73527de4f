/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.h - one configuration and all that was built from it: the tables that its workers
 * share, its certificates, its ports, and on each worker a relay and the inlets of its listeners.
 *
 *     generation_new ──▶ generation_join, on each worker ──▶ … ──▶ generation_leave ──▶ _free
 *     hub: ports, tables      its relay and inlets                 each worker
 *
 * What outlives a configuration (workers, their loops and engines, logs, the admin interface) is
 * the server's.
 */
#pragma once
#include "gateway/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct accept_port;
struct generation;
struct inlet;
struct relay;
struct relay_shared;
struct secure;
struct server;

/* What one worker has of it. */
struct generation_part {
    struct relay *relay;
    struct inlet **inlets; /* one for each listener */
};

struct generation {
    struct server *server;
    uint64_t number; /* from 1 */
    uint64_t since_wall_ms;
    const struct config *config;
    struct relay_shared *shared;
    struct secure *secure;
    struct accept_port **ports;    /* one for each listener */
    struct generation_part *parts; /* one for each worker */
};

/* On the hub's thread: binds the ports, reads the certificates, makes the tables. 0, or -errno and
 * why, in one line. The configuration outlives it. */
int generation_new(struct server *server, const struct config *config,
                   struct generation **ret_generation, char *ret_fault);
/* One worker's part: before it runs. 0 or -errno. */
int generation_join(struct generation *generation, uint32_t worker);
/* Takes that part down, whatever is open; the worker does not run. */
void generation_leave(struct generation *generation, uint32_t worker);
/* After all workers have left. */
void generation_free(struct generation *take_generation);
