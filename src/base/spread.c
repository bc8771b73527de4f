/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spread.h"

/* A share of a count need not be a whole number where it should be one. */
#define ROUNDING 1e-6

static unsigned class_of(uint64_t value)
{
    if (value < SPREAD_STEPS)
        return (unsigned)value;
    unsigned power = 64U - (unsigned)__builtin_clzll(value) - SPREAD_STEP_BITS;
    unsigned step = (unsigned)(value >> (power - 1)) - SPREAD_STEPS;
    unsigned at = power * SPREAD_STEPS + step;
    return at < SPREAD_CLASSES ? at : SPREAD_CLASSES - 1;
}

/* The largest value that belongs to it. */
static uint64_t end_of(unsigned at)
{
    unsigned power = at / SPREAD_STEPS;
    uint64_t step = at % SPREAD_STEPS;
    return power == 0 ? step : ((SPREAD_STEPS + step + 1) << (power - 1)) - 1;
}

void spread_add(struct spread *spread, uint64_t value)
{
    spread->classes[class_of(value)]++;
    spread->count++;
    spread->sum += value;
    if (value > spread->max)
        spread->max = value;
}

void spread_merge(struct spread *spread, const struct spread *other)
{
    for (unsigned i = 0; i < SPREAD_CLASSES; i++)
        spread->classes[i] += other->classes[i];
    spread->count += other->count;
    spread->sum += other->sum;
    if (other->max > spread->max)
        spread->max = other->max;
}

uint64_t spread_at(const struct spread *spread, double share)
{
    double wanted = share * (double)spread->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < SPREAD_CLASSES; i++) {
        seen += spread->classes[i];
        if (seen > 0 && (double)seen + ROUNDING >= wanted)
            return end_of(i) < spread->max ? end_of(i) : spread->max;
    }
    return spread->max;
}

uint64_t spread_count_to(const struct spread *spread, uint64_t value)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i <= class_of(value); i++)
        seen += spread->classes[i];
    return seen;
}
