/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.h - latencies in a fixed table: 32 buckets per power of two, so within 3 % of the
 * truth, from one nanosecond to minutes, whatever their number.
 */
#pragma once
#include <stdint.h>

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS     (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS   (HISTOGRAM_STEPS * 40)

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned power = ns < HISTOGRAM_STEPS
                         ? 0
                         : 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS + 1;
    uint64_t step = power ? (ns >> (power - 1)) - HISTOGRAM_STEPS : ns;
    uint64_t at = (uint64_t)power * HISTOGRAM_STEPS + step;
    h->bucket[at < HISTOGRAM_BUCKETS ? at : HISTOGRAM_BUCKETS - 1]++;
    h->count++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

/* The smallest latency that at least `share` of all did not exceed. */
static inline uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count);
    uint64_t seen = 0;
    for (unsigned at = 0; at < HISTOGRAM_BUCKETS; at++) {
        seen += h->bucket[at];
        if (seen > wanted || (seen == h->count && seen > 0)) {
            unsigned power = at / HISTOGRAM_STEPS;
            uint64_t step = at % HISTOGRAM_STEPS;
            return power ? (HISTOGRAM_STEPS + step) << (power - 1) : step;
        }
    }
    return h->max_ns;
}
