/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_health.h - how the gateway and its parts fare: 0 healthy, 1 degraded, 2 overloaded, 3
 * unavailable.
 */
#pragma once
#include "gateway/census.h"
#include "proto/prom.h"

void metrics_health_write(const struct server *server, const struct census *census,
                          struct prom *prom);
