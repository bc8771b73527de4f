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

#define STAT_FIELD_gauge(field)
#define STAT_FIELD_counter(field) uint64_t field;

struct histogram {
    uint64_t count, sum_ms, max_ms;
    uint64_t decayed_ms; /* when the recent half was last halved */
    uint64_t recent_count;
    uint64_t buckets[WEIR_BUCKETS];
    uint32_t recent[WEIR_BUCKETS];
};

struct counters {
#define WEIR_STAT(field, kind, text) STAT_FIELD_##kind(field)
#include <weir/def/stat.def>
#undef WEIR_STAT
    uint64_t closed_by[WEIR_ERRS], refused_by[WEIR_ERRS], failed_by[WEIR_ERRS];
    struct histogram wait, connect, hold;
};

/* The bucket of a value; the last one takes all that is longer. */
unsigned bucket_of(uint64_t ms);

void histogram_add(struct histogram *histogram, uint64_t now_ms, uint64_t ms);
/* The same value so many times. */
void histogram_add_times(struct histogram *histogram, uint64_t now_ms, uint64_t ms, uint32_t times);
void histogram_report(const struct histogram *histogram, weir_histogram *ret_report);

/* The least value that permille of the recent ones do not exceed, as the end of its bucket; 0
 * without any. */
uint32_t histogram_at(const struct histogram *histogram, uint32_t permille);
