/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.h - the end of serving, whatever the protocol: clients are let go, whoever is left when the
 * time is over is cut, and when none is left that is told once, in a later event.
 */
#pragma once
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct drain {
    struct loop *loop;
    void (*cut)(struct drain *drain); /* ends every client that is left */
    bool is_on;
    uint64_t begun_ms;
    struct loop_timer timer;
    struct loop_later ended;
    void (*on_drained)(void *arg);
    void *arg;
};

void drain_init(struct drain *drain, struct loop *loop, void (*cut)(struct drain *drain));
void drain_fini(struct drain *drain); /* nothing is told any more */

/* From now on; the owner lets its idle clients go, and then waits. */
void drain_begin(struct drain *drain, void (*on_drained)(void *arg), void *arg);
/* For whoever is left; WEIR_NEVER: as long as it takes. */
void drain_wait(struct drain *drain, uint32_t grace_ms);
/* Nobody is left. Without a drain it means nothing. */
void drain_end(struct drain *drain);
