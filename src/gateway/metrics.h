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
