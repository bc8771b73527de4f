/* SPDX-License-Identifier: Apache-2.0
 *
 * prom.h - writes metrics as text: Prometheus 0.0.4, or OpenMetrics 1.0.
 *
 * A family is begun once, with HELP and TYPE, and all its samples follow it. The two formats differ
 * in what a counter's family is called, in how the end of a bucket is written, and in the last
 * line, and OpenMetrics alone has exemplars; whoever writes samples need not know. Names are ours;
 * labels' values may be anything and are escaped.
 *
 * A filter leaves out families by their names. A family has at most `series_max` label sets; those
 * that come beyond it are summed up in one more, whose values are all "other", and counted.
 *
 * Counters and histograms may go on from what an earlier page has counted (prom_totals.h).
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum prom_type { PROM_GAUGE, PROM_COUNTER, PROM_HISTOGRAM };

#define PROM_NAME_MAX    128U /* of a family, with its NUL */
#define PROM_LABELS_MAX  8U   /* of one sample */
#define PROM_BUCKETS_MAX 64U  /* of a histogram */

struct prom_label {
    const char *name, *value;
};

/* Patterns (pattern.h) of names; what is shown is in `include`, if there are any there, and not in
 * `exclude`. */
struct prom_filter {
    const char *const *include, *const *exclude;
    uint32_t include_count, exclude_count;
    uint32_t series_max; /* 0: no limit */
};

struct prom_totals;

/* What was counted before, by somebody else; all of it outlives the page. */
struct prom_past {
    struct prom_totals *totals; /* NULL: nothing */
    /* Whether a sample that this page has not got is shown all the same. */
    bool (*is_known)(const void *self, const struct prom_label *labels);
    const void *self;
};

/* What a family has beyond its limit. */
struct prom_fold {
    bool is_used, is_whole; /* is_whole: of whole numbers */
    struct prom_label labels[PROM_LABELS_MAX + 1];
    uint64_t whole;
    double sum; /* of numbers, or of a histogram */
    uint32_t buckets;
    double ends[PROM_BUCKETS_MAX];
    uint64_t counts[PROM_BUCKETS_MAX], rest;
};

/* The ends of buckets as text: those of one histogram are mostly those of the next. */
struct prom_end {
    double end;
    char text[24]; /* "": none yet */
};

struct prom {
    struct bytes *out; /* a refused append shows as `full` */
    bool openmetrics;
    bool is_record; /* no text: a file of totals */
    bool full;
    char family[PROM_NAME_MAX]; /* the current one; "": there is none yet */
    enum prom_type type;
    struct prom_filter filter;
    struct prom_past past;
    bool is_hidden;  /* the family */
    uint32_t series; /* label sets of it so far */
    uint64_t folded; /* label sets, of all families */
    struct prom_fold fold;
    struct prom_end ends[PROM_BUCKETS_MAX];
};

#define PROM_CONTENT_TYPE        "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void prom_init(struct prom *prom, struct bytes *out, bool openmetrics);
/* Before the first family. What it points to outlives the page. */
void prom_filter_by(struct prom *prom, const struct prom_filter *filter);

/* Writes no text, but a file from which later pages can go on. */
void prom_init_record(struct prom *prom, struct bytes *out);
/* From the next family on. */
void prom_go_on_from(struct prom *prom, const struct prom_past *past);

/* `name` ends in "_total" for a counter, and only then. */
void prom_family(struct prom *prom, const char *name, enum prom_type type, const char *help);

/* One sample of the family; `labels` ends with one whose name is NULL, or is NULL. */
void prom_u64(struct prom *prom, const struct prom_label *labels, uint64_t value);
void prom_double(struct prom *prom, const struct prom_label *labels, double value);

/* One value of a bucket, with the id of its trace; an empty one is none. */
struct prom_exemplar {
    char trace[33];
    double value;
    double at_s; /* wall time, since 1970 */
};

/* `counts[i]` values were at most `ends[i]` seconds and above ends[i - 1]; `rest` were above all.
 */
struct prom_histogram {
    const double *ends;
    const uint64_t *counts;
    uint32_t buckets;
    uint64_t rest;
    double sum;
    const struct prom_exemplar *exemplars; /* of the buckets and the rest; NULL: there are none */
};
void prom_histogram(struct prom *prom, const struct prom_label *labels,
                    const struct prom_histogram *histogram);

void prom_end(struct prom *prom); /* "# EOF" where the format wants it */
