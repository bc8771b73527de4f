/* SPDX-License-Identifier: Apache-2.0
 *
 * upgrade_steer.h - what an operator has said of upstreams (steer.h) goes along to the process that
 * takes over: an endpoint under maintenance gets no requests because of an upgrade.
 *
 * A word for each, of what is not as the configuration says: "UPSTREAM ENDPOINT" with its mode, or
 * "UPSTREAM" that is paused. What the new configuration has no such upstream or endpoint for is
 * left out.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

#define UPGRADE_STEER_PAUSED 100U /* no mode of an endpoint: the upstream's requests wait */

void upgrade_steer_each(const struct server *server,
                        void (*fn)(void *self, uint32_t mode, const char *text), void *self);
/* False: there is nothing here that it could be about. */
bool upgrade_steer_apply(struct server *server, uint32_t mode, struct slice text);

/* The same for the cooldowns of accounts (cooldown.h), "UPSTREAM ACCOUNT FAMILY", each until its
 * time of the monotonic clock, which both processes share. */
void upgrade_cooling_each(const struct server *server,
                          void (*fn)(void *self, uint32_t reason, uint64_t until_ms,
                                     const char *text),
                          void *self);
bool upgrade_cooling_apply(struct server *server, uint32_t reason, uint64_t until_ms,
                           struct slice text);
