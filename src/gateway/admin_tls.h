/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_tls.h - what the admin interface tells of TLS: in the rows of listeners and of upstreams'
 * pools, and a row for each certificate.
 */
#pragma once
#include "io/tls_profile.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

/* "tls": handshakes, how many of them were resumed, why others failed, how many certificates there
 * are and in how many days the first of them expires. null where there is no TLS. Hub's thread. */
void admin_tls_add(struct json *row, const struct server *server, bool is_listener, uint32_t index);

/* Days are whole ones, and negative for one that has expired. */
void admin_tls_certificate(struct json *row, const struct tls_certificate *certificate);
