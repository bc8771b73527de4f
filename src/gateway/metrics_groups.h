/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_groups.h - what the pools of upstreams know of each endpoint, and of each account: a
 * tenant of a pool is one.
 *
 * At most METRICS_GROUPS_MAX of either kind have a series of their own; the others are one
 * together, whose label is "other".
 */
#pragma once
#include <stdbool.h>

struct census;
struct prom;
struct server;

#define METRICS_GROUPS_MAX 128U

/* False where memory is refused. */
bool metrics_groups_write(const struct server *server, const struct census *census,
                          struct prom *prom);
