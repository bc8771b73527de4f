/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_past.h - what processes before this one have counted, from which its metrics go on.
 *
 * A sample that nothing was counted of since is shown as long as the configuration in force has
 * what it is of: after a reload it is gone as it would be without an upgrade.
 */
#pragma once
#include "proto/prom.h"

struct server;

struct prom_past metrics_past_of(const struct server *server);
