/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.h - one configuration and all that was built from it: the tables that its workers
 * share, its certificates, its ports, and on each worker a relay and the inlets of its listeners.
 *
 *      hub              each worker               hub                   each worker
 *     _new ──▶ _join (may fail) ──▶ _take_over ──▶ _switch ──▶ hub: _settle
 *        └────────▶ _abandon: nothing has happened                the elder serves what it has
 * begun with, then leaves by itself
 *
 * What outlives a configuration (workers, their loops and engines, logs, the admin interface) is
 * the server's. A listener whose name two generations share is carried over: its port, its inlets
 * and its clients go to the younger one, and the next request of each client goes by that. Its
 * address may be another one: clients stay, new ones come to the new one. A listener that is gone
 * drains. Upstreams: relay.h.
 */
#pragma once
#include "base/list.h"
#include "gateway/config.h"
#include "gateway/steer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENERATIONS_MAX         8U    /* with the one in force; more: the eldest is drained */
#define GENERATIONS_FOUND_MAX   32U   /* of those that discovery has made, likewise */
#define GENERATION_LOOK_MS      10U   /* until it is looked whether an older one has ended, */
#define GENERATION_LOOK_MOST_MS 1000U /* and less often as it goes on */
#define GENERATION_NEW_ONE      UINT32_MAX

struct accept_port;
struct generation;
struct inlet;
struct relay;
struct relay_shared;
struct secure;
struct server;
struct site;

/* What one worker has of it. */
struct generation_part {
    struct node on_site; /* site->parts, the one in force last */
    struct generation *generation;
    struct relay *relay;
    struct inlet **inlets; /* one for each listener; NULL: it was carried over, or has drained */
    uint32_t draining;     /* inlets */
    uint64_t cut_ms;       /* when what is left of it is cut; 0: it may take its time */
};

struct generation {
    struct node on_server; /* server->generations, the one in force last */
    struct server *server;
    struct generation *elder; /* until it is settled; NULL: the first one */
    uint64_t number;          /* from 1 */
    bool is_found;            /* endpoints were found, and nothing else has changed */
    uint64_t since_wall_ms;
    const struct config *config;
    struct config *own; /* the same, to be freed with it */
    struct relay_shared *shared;
    struct secure *secure;
    struct accept_port **ports; /* one for each listener; NULL: it was carried over */
    uint32_t *before;           /* its place among the elder's listeners, or GENERATION_NEW_ONE */
    struct generation_part *parts; /* one for each worker */
    uint32_t left;                 /* workers that have ended with it */
    _Atomic bool is_shut;          /* no worker lets anybody in by it: its inlets may close */
    _Atomic bool is_ending;        /* was told to: there are too many */
};

/* On the hub's thread: binds the ports, reads the certificates, makes the tables. 0, or -errno
 * and why, in one line: then the configuration is freed. */
int generation_new(struct server *server, struct config *take_config, struct generation *elder,
                   struct generation **ret_generation, char *ret_fault);
/* One worker's part: before it runs, or on its thread. 0 or -errno, then it is to be abandoned. */
int generation_join(struct generation *generation, uint32_t worker);
/* The same of one that never was in force, on each worker's thread. */
void generation_abandon(struct generation *generation, uint32_t worker);
/* Of the first one: it is in force on that worker. */
void generation_begin(struct generation *generation, uint32_t worker);

/* It is in force. Hub's thread, then each worker's, then the hub's when each has. */
void generation_take_over(struct generation *generation);
void generation_switch(struct generation *generation, uint32_t worker);
void generation_settle(struct generation *generation);

/* On a worker's thread, now and then: takes down the parts that have nothing to do any more. */
void generation_look(struct site *site);
/* Whether there may be one more, of those that discovery makes, or of the others. Hub's thread. */
bool generation_is_room(const struct server *server, bool is_found);
uint32_t generation_count(const struct server *server, bool is_found);
/* Where there is none: the eldest one of that kind ends. Hub's thread. */
void generation_end_eldest(struct server *server, bool is_found);
/* An operator's word on an endpoint of the configuration in force: requests of older ones heed it,
 * too. Hub's thread. */
void generation_steer(struct server *server, uint32_t upstream, uint32_t endpoint,
                      enum steer_mode mode);
/* Its WebSockets are told to go, and what is left after the listeners' drain_timeout is cut. Hub's
 * thread. */
void generation_end(struct generation *generation);

/* The worker does not run: takes down every part it has, whatever is open. */
void generation_leave_all(struct site *site);
/* After all workers have left. */
void generation_free(struct generation *take_generation);
