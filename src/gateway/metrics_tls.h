/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_tls.h - the families of TLS: handshakes on both sides, by how they ended; when
 * certificates expire. Listeners and upstreams without TLS have no samples.
 */
#pragma once
#include "io/tls_profile.h"
#include "proto/prom.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

/* Counters of one listener or upstream, over the workers. */
struct tls_sums {
    uint64_t handshakes, resumed, failed[TLS_ERROR_COUNT];
};

/* What is in use now; NULL where there is no TLS. Hub's thread, as all here. */
const struct tls_profile *tls_profile_of(const struct server *server, bool is_listener,
                                         uint32_t index);
/* False: there is no TLS. */
bool tls_sums_of(const struct server *server, bool is_listener, uint32_t index,
                 struct tls_sums *ret_sums);

void metrics_tls_write(const struct server *server, struct prom *prom);
