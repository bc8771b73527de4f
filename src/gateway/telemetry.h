/* SPDX-License-Identifier: Apache-2.0
 *
 * telemetry.h - counters and histograms with one writer: a worker counts, the admin reads.
 *
 * Relaxed atomics that only their worker writes: a count costs a load and a store, and a reader on
 * another thread sees each number whole, if not all of the same instant.
 */
#pragma once
#include "base/uncounted.h"

#include <stdbool.h>
#include <stdint.h>

/* NOLINTNEXTLINE(readability-non-const-parameter): the store is a builtin */
static inline void count_add(uint64_t *counter, uint64_t n)
{
    if (IS_COUNTED)
        __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void count_one(uint64_t *counter)
{
    count_add(counter, 1);
}

static inline uint64_t count_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Times in powers of two of 64 µs: bucket i counts times up to timing_end_us(i), the last one all
 * others (about 9 minutes and more). */
#define TIMING_BUCKETS 24U

struct timing {
    uint64_t bucket[TIMING_BUCKETS];
    uint64_t sum_us;
};

static inline uint64_t timing_end_us(unsigned bucket)
{
    return UINT64_C(64) << bucket;
}

/* Its bucket. */
static inline unsigned timing_add(struct timing *timing, uint64_t us)
{
    unsigned bucket = 0;
    if (us > 64) {
        bucket = 64U - (unsigned)__builtin_clzll((us - 1) >> 6);
    }
    if (bucket >= TIMING_BUCKETS) {
        bucket = TIMING_BUCKETS - 1;
    }
    count_one(&timing->bucket[bucket]);
    count_add(&timing->sum_us, us);
    return bucket;
}
