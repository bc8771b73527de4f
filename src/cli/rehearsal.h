/* SPDX-License-Identifier: Apache-2.0
 *
 * rehearsal.h - the real pool core under the arrivals of a trace, on a virtual clock.
 *
 * Nothing is dialled and nothing is waited for: a connector that answers after as long as it was
 * told, callers that come when chance and the trace say, and hold as long as the service takes.
 * Within an interval arrivals are a Poisson process that has as many as were recorded. All of it
 * follows from the seed. `weir simulate` is made of this.
 */
#pragma once
#include <weir/weir.h>

#include "cli/trace.h"

enum service { SERVICE_EXPONENTIAL, SERVICE_FIXED, SERVICE_LOGNORMAL, SERVICES };

/* The word of each. */
extern const char *const service_words[SERVICES];

#define REHEARSAL_CONNS_MAX 65536U /* of a pool without a limit */
#define REHEARSAL_KEYS_MAX  4096U
#define REHEARSAL_POINTS    240U
#define REHEARSAL_WAIT_MAX  65536U /* longer waits count as this long in percentiles, in ms */

struct rehearsal_plan {
    const struct trace *trace;
    weir_pool_options pool; /* name and connector are set here */
    uint32_t keys;          /* endpoints; callers go to any of them alike */
    uint32_t dial_ms;       /* on average; each takes between a half and one and a half of it */
    uint32_t hold_ms;       /* where the trace does not say */
    enum service service;
    bool without_leaks; /* everybody gives back what it got */
    uint64_t seed;
    void (*on_progress)(void *arg, uint64_t done, uint64_t all); /* arrivals; or NULL */
    void *arg;
    const struct alloc *alloc;
};

/* A part of the time: what was most in it. */
struct rehearsal_point {
    uint32_t waiting, conns, busy;
    uint64_t arrivals, refused;
};

struct rehearsal {
    uint64_t begin_s, seconds;
    uint64_t arrivals, granted, reused, dialled, leaked, broken;
    uint64_t refused, refused_by[WEIR_ERRS];
    uint64_t still_waiting; /* when the trace was over */
    uint32_t waiting_most, conns_most, busy_most;
    double conns_mean, busy_mean;
    uint32_t wait_p50_ms, wait_p90_ms, wait_p99_ms;
    uint64_t wait_most_ms;
    double wait_mean_ms;
    struct rehearsal_point points[REHEARSAL_POINTS];
};

/* WEIR_ENOMEM; WEIR_EINVAL: ret_fault names the option of the pool. */
weir_err rehearse(const struct rehearsal_plan *plan, struct rehearsal *ret, const char **ret_fault);
