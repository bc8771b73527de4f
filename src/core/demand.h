/* SPDX-License-Identifier: Apache-2.0
 *
 * demand.h - rules 3 and 4: who may dial, how often, and into whose room.
 *
 * A key that wants a dial and may begin one itself, but for the pool's room, is hungry. Hungry keys
 * are fed in turns, one dial each; where the pool is full, what has been idle for longest goes.
 */
#pragma once
#include "core/parts.h"

/* What one more caller of the key would meet: a dial begun for it, or what keeps it from that. */
enum decision demand_outlook(struct key *key);

/* Takes what the key needs to dial ahead of its callers; the pool's room is still to be had.
 * False: something keeps it from that. */
bool demand_take_dial(struct key *key);

/* Somebody waits whom no connection of the key's will ever serve, but a dial may. */
bool demand_must_dial(const struct key *key);

/* Dials for those who wait, and, into room that nobody wants, for those who will come. */
void demand_meet(struct key *key);

/* A caller met a limit; told once until somebody has found room. */
void demand_tell_limit(struct key *key, weir_err why);
