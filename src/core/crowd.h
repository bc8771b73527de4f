/* SPDX-License-Identifier: Apache-2.0
 *
 * crowd.h - adaptive concurrency: leases at one endpoint, over all of its keys, are held to the
 * limit that concurrency.h learns there.
 *
 * Keys with more callers than the limit leaves room for are in the endpoint's crowd; whatever ends
 * there is given on to them in turns (pool_serve). One that has no connection when its turn comes
 * keeps a place while it dials. Off, by default, it costs a comparison. An
 * engine learns alone: workers that share an endpoint each find out their part. Where there are
 * more endpoints than groups_max, those that have no group have no limit either.
 */
#pragma once
#include "core/parts.h"

static inline bool crowd_is_limited(const struct key *key)
{
    return key->pool->opt.concurrency != WEIR_OFF && group_is_named(key->endpoint);
}

/* How many leases more the key's endpoint takes now; UINT32_MAX without a limit. */
uint32_t crowd_room(const struct key *key);

/* How many it takes in all; 0 without a limit. */
uint32_t crowd_limit(const struct group *endpoint);

/* A lease of the key has been released: what is learned from it. */
void crowd_learn(const struct lease *lease, weir_fate fate, weir_err why);

/* Joins the crowd where anybody waits for it, else leaves it. */
void crowd_line_up(struct key *key);
/* The same, once its dials are begun: the place it keeps is given up, if it keeps it for none. */
void crowd_review(struct key *key);
void crowd_leave(struct key *key);

/* Its turn has come, and it has to dial first: a place is kept for it until it is served, or
 * neither dials nor waits for room to dial. */
void crowd_keep_place(struct key *key);
void crowd_give_place(struct key *key);

/* The next of the crowd, which leaves it; NULL: nobody, or no room for it. */
struct key *crowd_next(struct group *endpoint);

/* The rule is another one. */
void crowd_update(weir_pool *pool, const weir_pool_options *old);
