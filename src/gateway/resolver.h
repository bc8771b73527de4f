/* SPDX-License-Identifier: Apache-2.0
 *
 * resolver.h - the resolver that the configuration asks for.
 */
#pragma once
#include "gateway/config.h"

struct dns;
struct loop;

int resolver_open(const struct config *config, struct loop *loop, struct dns **ret_dns);
