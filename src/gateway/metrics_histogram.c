/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_histogram.h"

#define STEP 4U /* of the core's buckets, four to an octave, every fourth is shown */

void metrics_histogram_add(weir_histogram *sum, const weir_histogram *one)
{
    sum->count += one->count;
    sum->sum_ms += one->sum_ms;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++)
        sum->buckets[i] += one->buckets[i];
}

void metrics_histogram(struct prom *prom, const struct prom_label *labels,
                       const weir_histogram *histogram)
{
    double ends[WEIR_BUCKETS / STEP];
    uint64_t counts[WEIR_BUCKETS / STEP] = {0};
    uint32_t buckets = 0;
    uint64_t all = 0;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        counts[buckets] += histogram->buckets[i];
        all += histogram->buckets[i];
        if (i % STEP == STEP - 1)
            ends[buckets++] = (double)weir_bucket_end_ms(i) / 1000;
        if (buckets == WEIR_BUCKETS / STEP - 1)
            break; /* the last step is the rest: its end is no bound */
    }
    uint64_t rest = histogram->count > all ? histogram->count - all : 0;
    const struct prom_histogram shown = {
        ends, counts, buckets, rest, (double)histogram->sum_ms / 1000, NULL};
    prom_histogram(prom, labels, &shown);
}
