/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.h - asking an idle connection whether it is alive, before somebody's request does.
 */
#pragma once
#include "core/parts.h"

/* Draws the connection's own share of probe_every; WEIR_NEVER where nothing is to be probed. */
uint32_t probe_every_ms(const weir_pool *pool);

/* When an idle connection is to be probed, and when a probe under way has taken too long. */
uint64_t probe_due_ms(const struct conn *conn);
uint64_t probe_timeout_ms(const struct conn *conn);

/* IDLE, SHARED or ACTIVE without leases, to PROBING. */
void probe_start(struct conn *conn);

/* Whether the protocol can be probed. */
bool probe_is_possible(const weir_pool *pool);
