/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.h - the end of serving, whatever the protocol: clients are let go, whoever is left when the
 * time is over is cut, and when none is left that is told once, in a later event.
 *
 * Who is let go comes back at once, to another process or machine. So they are not all let go in
 * one instant where there is time: a part of them at each step, until `spread_ms` is over. Whoever
 * asks for something meanwhile hears with the answer that it is the last one here; and whoever was
 * told otherwise not long ago may be about to ask, and is not among those who are let go.
 */
#pragma once
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_STEPS   100U /* in which clients are let go, */
#define DRAIN_STEP_MS 20U  /* none of them shorter */

struct drain_time {
    uint32_t grace_ms;    /* for whoever is left; WEIR_NEVER: as long as it takes */
    uint32_t spread_ms;   /* until all have been let go; 0: at once */
    uint32_t patience_ms; /* how long who was told to keep its connection is given to use it; 0:
                             not at all */
};

struct drain {
    struct loop *loop;
    /* Lets one of `part` go, of those that wait for nothing: drain_quota(); 1: all of them. */
    void (*let_go)(struct drain *drain, uint32_t part);
    void (*cut)(struct drain *drain); /* ends every client that is left */
    bool is_on;
    uint64_t begun_ms, spread_until_ms;
    uint32_t step_ms, patience_ms;
    uint64_t credit; /* of clients, in 2^-32 */
    struct loop_timer timer, step;
    struct loop_later ended;
    void (*on_drained)(void *arg);
    void *arg;
};

void drain_init(struct drain *drain, struct loop *loop,
                void (*let_go)(struct drain *drain, uint32_t part),
                void (*cut)(struct drain *drain));
void drain_fini(struct drain *drain); /* nothing is told any more */

/* From now on. Lets the first go, or all of them. */
void drain_begin(struct drain *drain, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg);
/* Nobody is left. Without a drain it means nothing. */
void drain_end(struct drain *drain);
/* Until when a client is waited for that has not said anything yet. */
uint64_t drain_fresh_until_ms(const struct drain *drain);
/* When a client goes, by itself, that waits for nothing since then: UINT64_MAX: not yet. */
uint64_t drain_idle_until_ms(const struct drain *drain, uint64_t since_ms);
/* How many that are, of so many: what is less than one counts for the next step. */
uint32_t drain_quota(struct drain *drain, uint32_t count, uint32_t part);
