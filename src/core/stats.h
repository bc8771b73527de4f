/* SPDX-License-Identifier: Apache-2.0
 *
 * stats.h - what a pool counts, and how long things took.
 *
 * Gauges are not here: they are lengths of lists. A histogram is log-linear, four buckets to an
 * octave, so that a percentile is right within 25 % whatever its size; one half of it never falls
 * (for those who scrape it), the other is halved every minute (for those who ask how it is now).
 */
#pragma once
#include <weir/weir.h>

#include "base/uncounted.h"

#define STAT_FIELD_gauge(field)
#define STAT_FIELD_counter(field) uint64_t field;

/* How many there are is the sum of the buckets; it is added up when somebody asks. */
struct histogram {
    uint64_t sum_ms, max_ms;
    uint64_t decayed_ms; /* when the recent half was last halved */
    uint64_t buckets[WEIR_BUCKETS];
    uint32_t recent[WEIR_BUCKETS];
};

#define HISTOGRAM_OCTAVE_LOG2 2U
#define HISTOGRAM_OCTAVE      (1U << HISTOGRAM_OCTAVE_LOG2)
#define HISTOGRAM_DECAY_MS    60000U

struct counters {
#define WEIR_STAT(field, kind, text) STAT_FIELD_##kind(field)
#include <weir/def/stat.def>
#undef WEIR_STAT
    uint64_t closed_by[WEIR_ERRS], refused_by[WEIR_ERRS], failed_by[WEIR_ERRS];
};

/* How long things took. */
struct spans {
    struct histogram wait, connect, tls, first_byte, hold;
};

/* The bucket of a value; the last one takes all that is longer. */
static inline unsigned bucket_of(uint64_t ms)
{
    if (ms < HISTOGRAM_OCTAVE) {
        return (unsigned)ms;
    }
    unsigned octave = 63U - (unsigned)__builtin_clzll(ms);
    unsigned part = (unsigned)(ms >> (octave - HISTOGRAM_OCTAVE_LOG2)) & (HISTOGRAM_OCTAVE - 1);
    unsigned bucket = (octave - HISTOGRAM_OCTAVE_LOG2 + 1) * HISTOGRAM_OCTAVE + part;
    return bucket < WEIR_BUCKETS ? bucket : WEIR_BUCKETS - 1;
}

void histogram_decay(struct histogram *histogram, uint64_t now_ms);

/* The same value so many times. */
static inline void histogram_add_times(struct histogram *histogram, uint64_t now_ms, uint64_t ms,
                                       uint32_t times)
{
    if (!IS_COUNTED) {
        return;
    }
    if (now_ms - histogram->decayed_ms >= HISTOGRAM_DECAY_MS) {
        histogram_decay(histogram, now_ms);
    }
    unsigned bucket = bucket_of(ms);
    uint32_t recent = histogram->recent[bucket] + times;
    histogram->recent[bucket] = recent >= times ? recent : UINT32_MAX;
    histogram->buckets[bucket] += times;
    histogram->sum_ms += ms * times;
    if (ms > histogram->max_ms) {
        histogram->max_ms = ms;
    }
}

static inline void histogram_add(struct histogram *histogram, uint64_t now_ms, uint64_t ms)
{
    histogram_add_times(histogram, now_ms, ms, 1);
}

/* Adds what the other one counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *other, uint64_t now_ms);
void spans_merge(struct spans *spans, const struct spans *other, uint64_t now_ms);

void histogram_report(const struct histogram *histogram, weir_histogram *ret_report);

/* The least value that permille of the recent ones do not exceed, as the end of its bucket; 0
 * without any. */
uint32_t histogram_at(const struct histogram *histogram, uint32_t permille);
