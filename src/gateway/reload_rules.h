/* SPDX-License-Identifier: Apache-2.0
 *
 * reload_rules.h - what cannot change while the gateway runs although the options that say it can
 * (option.def): it depends on what else there is.
 */
#pragma once
#include "gateway/config.h"

#include <stddef.h>

struct server;

/* "": it may be put in force; else which option, why not, and what helps. */
void reload_rules_check(const struct server *server, const struct config *wanted, char *ret_why,
                        size_t size);
