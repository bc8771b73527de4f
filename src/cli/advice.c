/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/advice.h"

#include <math.h>
#include <stdlib.h>

#define WAITING_MIN 10U

/* How many are busy on average during a line. */
static double load_of(const struct rehearsal_plan *plan, const struct trace_line *line)
{
    uint32_t hold_ms = plan->trace->has_hold ? line->hold_ms : plan->hold_ms;
    return (double)line->arrivals * hold_ms / 1000 / line->seconds;
}

static uint32_t staff_of(double load)
{
    return (uint32_t)ceil(load + 2 * sqrt(load));
}

/* --- the busiest hour --------------------------------------------------------------------- */

static struct trace busiest(const struct rehearsal_plan *plan)
{
    const struct trace *trace = plan->trace;
    double sum = 0, most = -1;
    uint32_t first = 0, best_first = 0, best_count = trace->count;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_line *line = &trace->lines[i];
        sum += load_of(plan, line) * line->seconds;
        while (first < i
               && line->second + line->seconds - trace->lines[first].second > ADVICE_WINDOW_S) {
            sum -= load_of(plan, &trace->lines[first]) * trace->lines[first].seconds;
            first++;
        }
        if (sum > most) {
            most = sum;
            best_first = first;
            best_count = i - first + 1;
        }
    }
    struct trace part = *trace;
    part.lines += best_first;
    part.count = best_count;
    part.arrivals = 0;
    for (uint32_t i = 0; i < best_count; i++)
        part.arrivals += part.lines[i].arrivals;
    return part;
}

/* --- the quiet times ---------------------------------------------------------------------- */

static int by_load(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The load below which a tenth of the lines are; false without memory. */
static bool quiet_load(const struct rehearsal_plan *plan, double *ret)
{
    uint32_t count = plan->trace->count;
    double *loads = alloc_array(plan->alloc, count, sizeof(*loads));
    if (loads == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        loads[i] = load_of(plan, &plan->trace->lines[i]);
    qsort(loads, count, sizeof(*loads), by_load);
    *ret = loads[count / 10];
    alloc_free(plan->alloc, loads);
    return true;
}

/* --- trying sizes ------------------------------------------------------------------------- */

struct search {
    struct rehearsal_plan plan; /* of the busiest hour */
    uint32_t target_ms;
    struct advice *advice;
    const char **ret_fault;
};

static struct advice_run *run_of(struct advice *advice, uint32_t size)
{
    for (uint32_t i = 0; i < advice->runs_count; i++)
        if (advice->runs[i].max_per_key == size)
            return &advice->runs[i];
    return NULL;
}

static void insert(struct advice *advice, struct advice_run run)
{
    uint32_t at = advice->runs_count++;
    for (; at > 0 && advice->runs[at - 1].max_per_key > run.max_per_key; at--)
        advice->runs[at] = advice->runs[at - 1];
    advice->runs[at] = run;
}

static weir_err try_size(struct search *search, uint32_t size, bool *ret_is_enough)
{
    struct rehearsal_plan plan = search->plan;
    struct rehearsal *result = alloc_new(plan.alloc, sizeof(*result));
    if (result == NULL)
        return WEIR_ENOMEM;
    plan.pool.max_per_key = size;
    plan.pool.max_total = size * plan.keys < REHEARSAL_CONNS_MAX ? size * plan.keys
                                                                 : REHEARSAL_CONNS_MAX;
    uint32_t min = plan.pool.size_min;
    plan.pool.size_min = min != WEIR_NONE && min > size ? size : min;
    weir_err err = rehearse(&plan, result, search->ret_fault);
    if (err != WEIR_OK) {
        alloc_free(plan.alloc, result);
        return err;
    }
    *ret_is_enough = result->refused == 0 && result->wait_p99_ms <= search->target_ms;
    insert(search->advice,
           (struct advice_run){.max_per_key = size, .is_enough = *ret_is_enough, .result = result});
    return WEIR_OK;
}

/* Doubles until it is enough, then halves the gap. */
static weir_err search_size(struct search *search, uint32_t first)
{
    uint32_t too_few = 0, enough = first;
    bool is_enough = false;
    weir_err err;
    while ((err = try_size(search, enough, &is_enough)) == WEIR_OK && !is_enough) {
        too_few = enough;
        if (enough >= ADVICE_SIZE_MAX)
            return WEIR_OK;
        enough = 2 * enough < ADVICE_SIZE_MAX ? 2 * enough : ADVICE_SIZE_MAX;
    }
    while (err == WEIR_OK && enough - too_few > 1) {
        uint32_t middle = too_few + (enough - too_few) / 2;
        err = try_size(search, middle, &is_enough);
        if (is_enough)
            enough = middle;
        else
            too_few = middle;
    }
    search->advice->found = true;
    search->advice->max_per_key = enough;
    return err;
}

static uint32_t waiting_max_of(struct advice *advice)
{
    uint32_t twice = 2 * run_of(advice, advice->max_per_key)->result->waiting_most;
    return twice > WAITING_MIN ? twice : WAITING_MIN;
}

weir_err advise(const struct rehearsal_plan *plan, uint32_t target_ms, struct advice *ret,
                const char **ret_fault)
{
    struct trace part = busiest(plan);
    struct search search = {*plan, target_ms, ret, ret_fault};
    double quiet;
    *ret = (struct advice){.from_s = part.lines[0].second, .to_s = trace_end(&part)};
    *ret_fault = "";
    if (!quiet_load(plan, &quiet))
        return WEIR_ENOMEM;
    search.plan.trace = &part;
    search.plan.without_leaks = true;
    search.plan.on_progress = NULL;
    double load = 0;
    for (uint32_t i = 0; i < part.count; i++)
        load += load_of(plan, &part.lines[i]) * part.lines[i].seconds;
    uint32_t first = staff_of(load / (double)(ret->to_s - ret->from_s) / plan->keys);
    first = first < ADVICE_SIZE_MAX ? first : ADVICE_SIZE_MAX;
    weir_err err = search_size(&search, first > 0 ? first : 1);
    if (err != WEIR_OK || !ret->found)
        return err;
    uint32_t size_min = staff_of(quiet / plan->keys);
    ret->size_min = size_min < ret->max_per_key ? size_min : ret->max_per_key;
    ret->max_total = ret->max_per_key * plan->keys;
    ret->waiting_max = waiting_max_of(ret);
    return WEIR_OK;
}

void advice_fini(struct advice *advice, const struct alloc *alloc)
{
    for (uint32_t i = 0; i < advice->runs_count; i++)
        alloc_free(alloc, advice->runs[i].result);
    advice->runs_count = 0;
}
