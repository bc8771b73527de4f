/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_websocket.h - the families of WebSockets that pass: how many, what was said on them, how
 * they ended.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_websocket_write(const struct server *server, struct prom *prom);
