/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h - /metrics: every family that this program has a source for.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/census.h"

#include <stdbool.h>

#define METRICS_CENSUS (CENSUS_POOLS | CENSUS_ENDPOINTS | CENSUS_GROUPS)

/* False when it did not fit. */
bool metrics_write(const struct server *server, const struct census *census, bool openmetrics,
                   struct bytes *out);
/* What of it has been counted, for a process that takes over (proto/prom_totals.h). */
bool metrics_record(const struct server *server, const struct census *census, struct bytes *out);
