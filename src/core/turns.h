/* SPDX-License-Identifier: Apache-2.0
 *
 * turns.h - whose turn it is, where several want the same room: deficit round-robin, tenants first,
 * and among the keys of a tenant.
 *
 * A key that would dial if its pool had room is hungry; so is its tenant. Room that comes free goes
 * to the tenants in turns, and to the keys of each in turns: one dial. Who has connections and
 * callers of its own keeps serving these meanwhile, but for two rules: who has more than one
 * connection more than the next in turn gives one up at once; who has one more gives it up when it
 * has served TURN_GRANTS leases since it last did. So tenants with equal demand have equal shares,
 * however many keys each has and however few connections there are (Shreedhar and Varghese 1995).
 * Where workers share the limit, the hub says which tenant gives way, and to whom (standing.h).
 */
#pragma once
#include "core/parts.h"

/* Hungry keys of the pool. */
uint32_t turns_count(const weir_pool *pool);

static inline bool turns_is_waiting(const struct key *key)
{
    return key->on_list.home == &key->tenant->hungry;
}

/* The key becomes hungry, last of all; or is no longer. */
void turns_join(struct key *key);
void turns_leave(struct key *key);

/* The key whose turn it is, no longer hungry; the pool has one. */
struct key *turns_take(weir_pool *pool);

/* It had its turn; or it wanted none. */
void turns_passed(struct key *key);
void turns_lapse(struct key *key);

/* Room came that is meant for the tenant, which has hungry keys. */
void turns_promise(struct group *tenant, uint32_t count);

/* Room that went to another worker is nobody's here: no more is promised than there is, or will be
 * when what closes has closed. */
void turns_review(weir_pool *pool);

/* Whether a connection of the key that became free, with callers of its own waiting, should make
 * room for others: it counts as one more lease served. */
bool turns_should_yield(struct key *key);

/* The same, where another worker asks for what this one has: as if there were one more key. To be
 * asked when the other says no. */
bool turns_should_pass_on(struct key *key);
