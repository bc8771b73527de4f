/* SPDX-License-Identifier: Apache-2.0
 *
 * hazard.h - how likely it is that an idle connection is dead, and nobody knows yet.
 *
 * It grows with the time since the peer was last heard (a lease, a probe), and faster as the time
 * nears at which the peer is known to hang up (Keep-Alive, or what the key has learned). A request
 * that can be sent twice does not care; one that cannot gets the connection with the least hazard,
 * or, where even that is great, a fresh one.
 */
#pragma once
#include "core/parts.h"

/* Milliseconds of silence, made longer by the nearness of the peer's own time-out. Pure. */
uint64_t hazard_of(const struct conn *idle, uint64_t now_ms);

/* The last quarter of the time has begun that its peer is known to keep it idle: it may hang up as
 * the request comes. */
bool hazard_is_great(const struct conn *idle, uint64_t now_ms);

/* The least hazardous idle connection of the key; `newest` where that was heard just now, and in
 * case of a tie. Looks at a bounded number. */
struct conn *hazard_least(const struct key *key, struct conn *newest);
