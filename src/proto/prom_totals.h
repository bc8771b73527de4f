/* SPDX-License-Identifier: Apache-2.0
 *
 * prom_totals.h - what a page of metrics has counted, as bytes that another page goes on from.
 *
 *     file    =  "weirtots" | version u32 | samples u32 | sample…            all little endian
 *     sample  =  kind u8 | buckets u8 | key's length u16 | key | value
 *     key     =  family NUL (label's name NUL its value NUL)…                labels by their names
 *     value   =  u64                                                         of whole numbers
 *             =  double                                                      of others
 *             =  sum double | rest u64 | (end double, count u64) of each bucket
 *
 * Counters and histograms are in it; gauges are not. What is always true: reading stays within the
 * bytes it was given, and totals that are taken keep the limits of this header, and name each
 * sample once. Two pages may differ in their families, labels and buckets: a sample is found by its
 * family and labels in any order, and counts of buckets go to those that hold their values surely.
 */
#pragma once
#include "proto/prom.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROM_TOTALS_VERSION     1U
#define PROM_TOTALS_BYTES_MAX   ((size_t)32 << 20)
#define PROM_TOTALS_SAMPLES_MAX 100000U
#define PROM_TOTALS_KEY_MAX     2048U /* bytes */

enum prom_total_kind { PROM_TOTAL_WHOLE = 1, PROM_TOTAL_REAL, PROM_TOTAL_HISTOGRAM };

/* Of one sample; buckets are those of a histogram, `real` its sum. */
struct prom_total {
    enum prom_total_kind kind;
    uint64_t whole;
    double real;
    uint32_t buckets;
    double ends[PROM_BUCKETS_MAX];
    uint64_t counts[PROM_BUCKETS_MAX], rest;
};

/* --- written -------------------------------------------------------------------------------------
 * False: `out` has no room, or it is too long for this format; nothing was added.
 */

bool prom_totals_begin(struct bytes *out);
bool prom_totals_add(struct bytes *out, const char *family, const struct prom_label *labels,
                     const struct prom_total *total);
/* `out` has nothing else in it. False: it has no beginning, or more samples than there may be. */
bool prom_totals_end(struct bytes *out);

/* --- read ----------------------------------------------------------------------------------------
 */

struct prom_totals;

/* Of a copy of the bytes. 0; -EPROTO: they are no such file; -EPROTONOSUPPORT: one of a version
 * that is not understood; -ENOMEM. */
int prom_totals_read(const char *bytes, size_t len, struct prom_totals **ret_totals);
void prom_totals_free(struct prom_totals *take_totals); /* NULL is fine */
uint32_t prom_totals_count(const struct prom_totals *totals);

/* A page begins: none of them was taken yet. */
void prom_totals_rewind(struct prom_totals *totals);
/* The sample's; false: there is none. */
bool prom_totals_take(struct prom_totals *totals, const char *family,
                      const struct prom_label *labels, struct prom_total *ret_total);
/* One of the family's that was not taken, which it is then. Its labels, as many as there may be and
 * an end, lie in `totals`. False: there is none left. */
bool prom_totals_take_left(struct prom_totals *totals, const char *family,
                           struct prom_label ret_labels[PROM_LABELS_MAX + 1],
                           struct prom_total *ret_total);

/* --- a histogram that goes on from another
 * --------------------------------------------------------
 */

/* Adds the counts of `from`, whatever its buckets are, to one whose ends are set. */
void prom_total_add(struct prom_total *total, const struct prom_total *from);
