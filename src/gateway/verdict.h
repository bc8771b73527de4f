/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict.h - how each part of the gateway fares, and the rule that says so: pools, listeners,
 * upstreams, accounts, and from them the whole.
 *
 * A pool is as its worst worker's; a listener as its pool, an upstream as its pool, its endpoints
 * and its accounts. The whole is unavailable where it does not serve or every upstream is; it is
 * overloaded or degraded where some part of it is worse than healthy, an alert fires (early
 * warnings are none), or descriptors or memory run short.
 */
#pragma once
#include <weir/weir.h>

#include "gateway/census.h"

struct accounts_info;

struct health_verdict {
    weir_health health;
    char why[200];
};

/* `census` has pools; for upstreams and the whole endpoints as well. */
struct health_verdict verdict_of_pool(const struct census *census, uint32_t pool);
struct health_verdict verdict_of_listener(const struct server *server, const struct census *census,
                                          uint32_t listener);
struct health_verdict verdict_of_upstream(const struct server *server, const struct census *census,
                                          uint32_t upstream);
struct health_verdict verdict_of_account(const struct accounts_info *info, uint64_t now_ms);
struct health_verdict verdict_of_all(const struct server *server, const struct census *census);
