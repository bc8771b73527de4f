/* SPDX-License-Identifier: Apache-2.0
 *
 * standing.h - how a tenant stands here, for the hub to share a pool's limit out among tenants
 * wherever their callers are.
 *
 * Engines say of a tenant: so many connections, so many that it asks for, and how long it has had
 * connections since that was said last. The hub adds this up over all engines, gives what comes
 * free to the tenant that is furthest behind, and presses those that are ahead to give up one
 * (hub_tenants.c). Nothing is said before a tenant asks for room that there is not, or others do:
 * so a pool with room to spare costs no message, and a lease two additions.
 */
#pragma once
#include "core/parts.h"

/* A tenant gives an account of itself whenever it has gone on serving its own callers so often
 * while others waited: twice in a turn, for one that the hub has ended must not end here before it
 * is known. */
#define STANDING_EVERY (TURN_GRANTS / 2)

static inline bool standing_is_shared(const struct group *tenant)
{
    return tenant->ledger.account != 0;
}

/* Something of it has changed, which the hub may want to know. */
static inline void standing_note(struct group *tenant)
{
    if (standing_is_shared(tenant) && !list_holds(&tenant->on_news)) {
        list_push_back(&tenant->pool->news, &tenant->on_news);
    }
}

/* A lease has ended on that connection, which had it among others: it is shared out among them. */
static inline void standing_spend(struct group *tenant, const struct conn *conn, uint64_t held_ms)
{
    uint64_t spent_ms = conn->leases.count > 1 ? held_ms / conn->leases.count : held_ms;
    tenant->spent_ms += spent_ms > 0 ? spent_ms : 1; /* what is too short to be measured counts */
    tenant->ended++;
}

/* Tells all that was noted. */
void standing_tell(weir_pool *pool);

/* So many credits have come for the tenant. */
void standing_fed(struct group *tenant, uint32_t count);

/* Whether a connection of the tenant that became free, with callers of its own waiting, should make
 * room for another: the hub has said so. */
bool standing_should_yield(struct group *tenant);
