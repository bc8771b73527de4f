/* SPDX-License-Identifier: Apache-2.0
 *
 * config_found.h - a configuration whose endpoints are found while it serves (upstreams.discover).
 *
 * A configuration never changes: what was found makes another one, which has all else from the one
 * that was read. It is put in force as after a reload, with all that holds for one.
 */
#pragma once
#include "gateway/config.h"

/* Whether endpoints of it come and go. */
bool config_discovers(const struct config_upstream *upstream);
/* As many as it may have at a time. */
uint32_t config_endpoints_most(const struct config_upstream *upstream);
/* Whether one of its endpoints is reached by TLS, or may be once it is found. */
bool config_has_https(const struct config_upstream *upstream);

/* Nothing was found yet. */
void config_found_begin(struct config_upstream *upstream);

/* What was found for an upstream; NULL: nothing. Good until the call returns. */
typedef const struct config_endpoints *config_found_fn(void *self,
                                                       const struct config_upstream *upstream);
/* The same configuration with what was found; to be freed as any. The one that was read lives as
 * long as it does. NULL: no memory. */
struct config *config_with_found(const struct config *config, config_found_fn *found, void *self);
