/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_tls.h - the families of TLS: handshakes on both sides, by how they ended; when
 * certificates expire. Listeners and upstreams without TLS have no samples.
 */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_tls_write(const struct server *server, struct prom *prom);
