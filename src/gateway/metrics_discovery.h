/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_discovery.h - families of endpoints that come and go.
 */
#pragma once
#include "gateway/server.h"
#include "proto/prom.h"

void metrics_discovery_write(const struct server *server, struct prom *prom);
