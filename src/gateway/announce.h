/* SPDX-License-Identifier: Apache-2.0
 *
 * announce.h - PROXY headers at both ends: from whom a listener believes them, and what an upstream
 * that is told them (upstreams.proxy_protocol) makes of a client.
 *
 * A connection that was announced as one client's serves no other: the client's two ends are the
 * tenant of its key, written as a PROXY header of version 1 writes them, "TCP4 192.0.2.7 10.0.0.1
 * 51234 443". A key without a tenant (a check, a connection made ahead) is announced as the
 * gateway's own.
 */
#pragma once
#include "gateway/config.h"
#include "proto/http.h"
#include "proto/proxy_protocol.h"

#define ANNOUNCE_TENANT_MAX PROXY_WRITTEN_MAX

/* For a port and a front: `listener` is a struct config_listener. Where it trusts nobody in
 * particular, this machine. */
bool announce_trusts(const void *listener, const uint8_t address[16]);

void announce_tenant(const struct http_peer *peer, char ret_tenant[ANNOUNCE_TENANT_MAX]);
/* For http_connector_options.announce. */
struct proxy_header announce_of(const weir_key *key);
