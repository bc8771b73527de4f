/* SPDX-License-Identifier: Apache-2.0
 *
 * pressure.h - how much this process has of what it may have: descriptors and memory.
 *
 * Descriptors are counted as they come and go (io/socket.h), not listed; those that are no sockets
 * are few, and counted anew now and then.
 *
 * The limit of memory is the configuration's, the control group's (memory.max, or version 1's
 * memory.limit_in_bytes, of the group or whichever above it allows least), RLIMIT_AS or
 * RLIMIT_DATA: whichever is used up most. A group that has this process alone, and children of its
 * own, is measured as a whole, without what the kernel would give back (inactive files): then what
 * sockets hold in the kernel counts, too. Of the address space counts what was left at the start:
 * allocators reserve more of it than they use.
 */
#pragma once
#include "gateway/overload.h"

#include <stdbool.h>
#include <stdint.h>

#define PRESSURE_PATH_MAX 512U

struct pressure_options {
    const char *root;     /* of /proc and /sys, for tests; "" */
    uint32_t descriptors; /* at most; 0: as many as the system allows */
    uint64_t memory;      /* bytes at most; 0: what the system allows */
};

struct pressure {
    struct pressure_options opt;
    uint32_t descriptors_most;
    uint32_t others;                    /* descriptors that are no sockets */
    char group_used[PRESSURE_PATH_MAX]; /* file of the group that limits; "": no group does */
    char group_stat[PRESSURE_PATH_MAX], group_procs[PRESSURE_PATH_MAX];
    uint64_t group_most;
    bool is_alone;                   /* in that group, when it was counted last */
    uint64_t space_most, space_base; /* RLIMIT_AS, and what was taken of it at the start */
    uint64_t data_most, data_base;   /* RLIMIT_DATA */
    struct overload_use use[OVERLOAD_RESOURCES]; /* as of the last look */
};

void pressure_init(struct pressure *pressure, const struct pressure_options *opt);
/* Other limits of the configuration, from the next look on. */
void pressure_limit(struct pressure *pressure, uint32_t descriptors, uint64_t memory);
/* Counts what is not counted all the time. */
void pressure_recount(struct pressure *pressure);
void pressure_look(struct pressure *pressure);
