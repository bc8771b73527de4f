/* SPDX-License-Identifier: Apache-2.0
 *
 * pick.h - rule 2 of acquire: which of a key's connections a request gets.
 *
 * Where a connection takes one lease, the best idle one: by default the newest, unless it is slow
 * for its key; a request that cannot be sent twice looks at hazards too (hazard.h). Where it takes
 * several, the fullest one below its ideal, else an idle one, else the least loaded.
 */
#pragma once
#include "core/parts.h"

/* For a request of these flags (WEIR_FRESH | ...), or NULL. Those that their connector disowns are
 * closed on the way; where all are busy beyond the ideal, the key owes another dial from now on. */
struct conn *pick_conn(struct key *key, uint32_t flags);

/* A request with these flags looks at hazards, and may leave an idle connection to others while it
 * waits for a dial. */
bool pick_is_careful(const struct key *key, uint32_t flags);

/* Connections dialling or up, and to stay: one that retires takes no more leases and is no reason
 * not to dial. */
uint32_t pick_lasting(const struct key *key);
