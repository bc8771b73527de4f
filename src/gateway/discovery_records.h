/* SPDX-License-Identifier: Apache-2.0
 *
 * discovery_records.h - what DNS has under the name of an endpoint, as endpoints. Pure.
 *
 * All else is as that endpoint is written: scheme, zone, and of addresses port, weight and
 * priority.
 */
#pragma once
#include "gateway/config.h"

struct config_arena;
struct dns_records;

/* Each once, behind those that are there; there is room for as many as there are records. */
void discovery_addresses(const struct dns_records *records, const struct config_endpoint *listed,
                         struct config_arena *arena, struct config_endpoints *found);
/* The same of services: the lowest priority of theirs is the endpoint's own, each next one is one
 * more. What has no target or port is none. */
void discovery_services(const struct dns_records *records, const struct config_endpoint *listed,
                        struct config_arena *arena, struct config_endpoints *found);
