/* SPDX-License-Identifier: Apache-2.0
 *
 * prefer.h - which family of a name's addresses is tried first (RFC 6724 §6, rules 1 and 6).
 *
 * IPv6, unless this host has no way there, or the address is of a kind that comes behind IPv4:
 * 6to4, Teredo, unique local. Within a family the order is the name server's.
 */
#pragma once
#include "io/address.h"

#include <stdbool.h>

/* The precedence of RFC 6724 §2.1. */
uint32_t prefer_precedence(const struct ip *ip);

/* Whether addresses like this one of IPv6 come before those of IPv4. Asks the kernel for a route,
 * and sends nothing. */
bool prefer_v6(const struct ip *v6);
