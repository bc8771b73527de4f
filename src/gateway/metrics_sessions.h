/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_sessions.h - how conversations were found, and how what is kept of them is doing. */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_sessions_write(const struct server *server, struct prom *prom);
