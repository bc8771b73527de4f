/* SPDX-License-Identifier: Apache-2.0
 *
 * config_way.h - the ways that lead to an upstream's endpoints: for each account a proxy, its own
 * or the upstream's, or none; without accounts there is one way.
 */
#pragma once
#include "gateway/config.h"

#include <stdbool.h>

/* How many accounts ask for a way, at least 1: without accounts number 0 is the upstream itself. */
uint32_t config_ways(const struct config_upstream *upstream);

/* The URL of the proxy that connections of that account go through; "": none. */
const char *config_way(const struct config_upstream *upstream, uint32_t account);

/* Whether no account before it has the same way. */
bool config_way_is_new(const struct config_upstream *upstream, uint32_t account);

/* The URL of the proxy that a health check goes through, the `turn`-th one; "": none. Checks are no
 * account's: they go through the upstream's proxy, or as directly as some account does. Where each
 * account has a proxy of its own nothing goes directly, and checks take these in turn. */
const char *config_way_of_check(const struct config_upstream *upstream, uint32_t turn);
