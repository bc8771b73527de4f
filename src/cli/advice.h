/* SPDX-License-Identifier: Apache-2.0
 *
 * advice.h - which sizes a pool needs for a trace: found by trying them, in the busiest hour.
 */
#pragma once
#include "cli/rehearsal.h"

#define ADVICE_RUNS_MAX 32U
#define ADVICE_SIZE_MAX 16384U
#define ADVICE_WINDOW_S 3600U

/* One size that was tried. */
struct advice_run {
    uint32_t max_per_key;
    bool is_enough;
    struct rehearsal *result;
};

struct advice {
    uint64_t from_s, to_s; /* the busiest hour */
    bool found;            /* else no size up to ADVICE_SIZE_MAX was enough */
    uint32_t max_per_key;  /* the least that keeps 99 of 100 waits within the target */
    uint32_t max_total;
    uint32_t size_min;    /* what the quiet times need */
    uint32_t waiting_max; /* twice the longest queue at that size */
    uint32_t runs_count;
    struct advice_run runs[ADVICE_RUNS_MAX]; /* by size */
};

/* As rehearse(); leaks are left out: no size is enough for them. */
weir_err advise(const struct rehearsal_plan *plan, uint32_t target_ms, struct advice *ret,
                const char **ret_fault);
void advice_fini(struct advice *advice, const struct alloc *alloc);
