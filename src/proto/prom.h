/* SPDX-License-Identifier: Apache-2.0
 *
 * prom.h - writes metrics as text: Prometheus 0.0.4, or OpenMetrics 1.0.
 *
 * A family is begun once, with HELP and TYPE, and all its samples follow it. The two formats differ
 * in what a counter's family is called and in the last line; whoever writes samples need not know.
 * Names are ours; labels' values may be anything and are escaped.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum prom_type { PROM_GAUGE, PROM_COUNTER, PROM_HISTOGRAM };

struct prom {
    struct bytes *out; /* a refused append shows as `full` */
    bool openmetrics;
    bool full;
    const char *family; /* the current one, without "_total" */
    enum prom_type type;
};

struct prom_label {
    const char *name, *value;
};

#define PROM_CONTENT_TYPE        "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void prom_init(struct prom *prom, struct bytes *out, bool openmetrics);

/* `name` ends in "_total" for a counter, and only then. */
void prom_family(struct prom *prom, const char *name, enum prom_type type, const char *help);

/* One sample of the family; `labels` ends with one whose name is NULL, or is NULL. */
void prom_u64(struct prom *prom, const struct prom_label *labels, uint64_t value);
void prom_double(struct prom *prom, const struct prom_label *labels, double value);

/* `counts[i]` values were at most `ends[i]` seconds and above ends[i - 1]; `rest` were above all.
 */
struct prom_histogram {
    const double *ends;
    const uint64_t *counts;
    uint32_t buckets;
    uint64_t rest;
    double sum;
};
void prom_histogram(struct prom *prom, const struct prom_label *labels,
                    const struct prom_histogram *histogram);

void prom_end(struct prom *prom); /* "# EOF" where the format wants it */
