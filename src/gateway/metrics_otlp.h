/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_otlp.h - what became of spans.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_otlp_write(const struct server *server, struct prom *prom);
