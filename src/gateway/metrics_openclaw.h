/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_openclaw.h - the families of upstreams of OpenClaw gateways: how connecting went, what
 * was asked, what was told. There are none where there is no such upstream.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_openclaw_write(const struct server *server, struct prom *prom);
