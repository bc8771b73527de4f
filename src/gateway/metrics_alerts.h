/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_alerts.h - families of alerts and of the webhook that hears of them.
 */
#pragma once
#include "proto/prom.h"

struct server;
void metrics_alerts_write(const struct server *server, struct prom *prom);
