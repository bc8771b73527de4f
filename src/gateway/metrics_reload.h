/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_reload.h - the families of configurations that were put in force, or refused.
 */
#pragma once
#include "gateway/server.h"
#include "proto/prom.h"

void reload_metrics_write(const struct server *server, struct prom *prom);
