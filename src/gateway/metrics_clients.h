/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_clients.h - what is known of each client of the configuration, and of those who are none.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_clients_write(const struct server *server, struct prom *prom);
