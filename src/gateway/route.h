/* SPDX-License-Identifier: Apache-2.0
 *
 * route.h - which of a listener's routes a request takes.
 *
 * Compiled once from the configuration: the most specific route comes first - an exact host before
 * "*.name" (the longer one first) before "*", then the longer path, then more conditions, then the
 * order of the file - so that the first that matches is the answer. What is matched is the path as
 * it is forwarded, byte for byte; the query takes no part.
 */
#pragma once
#include "gateway/config.h"
#include "proto/http.h"

#include <stdint.h>

struct routes;

/* 0 or -ENOMEM. The listener's configuration must outlive it. */
int routes_new(const struct config_listener *listener, struct routes **ret_routes);
void routes_free(struct routes *take_routes);

#define ROUTE_NONE UINT32_MAX

/* Its index in listener->routes, or ROUTE_NONE. */
uint32_t routes_match(const struct routes *routes, const struct http_head *head);

/* The host of an authority: without its port, "[::1]" without its brackets. */
struct slice route_host_of(struct slice authority);
/* The path without its query. */
struct slice route_path_of(struct slice path);
