/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_overload.h - how short the process is of what it may have.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_overload_write(const struct server *server, struct prom *prom);
