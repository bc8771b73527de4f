/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_latency.h - /api/v1/latency: how often something took how long, for the dashboard and for
 * whoever wants more than a quantile.
 *
 *     { "bounds_us": [...], "bounds_ms": [...],           the ends of the classes
 *       "routes":    [ { listener, upstream, codes: {"2xx": n, ...}, first_byte_us, total_us } ],
 *       "pools":     [ { pool, wait_ms, connect_ms, tls_ms, first_byte_ms, hold_ms } ],
 *       "endpoints": [ { upstream, endpoint, grants, errors, leases, first_byte_ms, hold_ms } ] }
 *
 * A distribution is a flat list of pairs, class and count, of the classes that are not empty.
 * Counts are since the gateway began: two of these, subtracted, are what happened between them.
 */
#pragma once
#include "gateway/census.h"

#define LATENCY_CENSUS (CENSUS_POOLS | CENSUS_GROUPS)
