/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_http.h - requests by listener and upstream: codes, times with their exemplars, bytes,
 * retries.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_http_write(const struct server *server, struct prom *prom);
