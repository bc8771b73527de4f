/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_histogram.h - the core's histograms as the metrics show them.
 */
#pragma once
#include <weir/weir.h>

#include "proto/prom.h"

void metrics_histogram_add(weir_histogram *sum, const weir_histogram *one);
/* A sample of the family at hand. */
void metrics_histogram(struct prom *prom, const struct prom_label *labels,
                       const weir_histogram *histogram);
