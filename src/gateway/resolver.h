/* SPDX-License-Identifier: Apache-2.0
 *
 * resolver.h - the resolver that the configuration asks for.
 */
#pragma once
#include "gateway/config.h"

#include <stdbool.h>

#define RESOLVER_LIST_MAX 1024U /* eight of the longest */

struct bytes;
struct dns;
struct loop;

/* The servers as one text, "a,b:53" with a NUL; of none, nothing. False: no memory. */
bool resolver_list(const struct config *config, struct bytes *ret_list);

int resolver_open(const struct config *config, struct loop *loop, struct dns **ret_dns);
