/* SPDX-License-Identifier: Apache-2.0
 *
 * hub_parts.h - what the hub's files share: an account, and each engine's share of it.
 *
 * hub.c keeps the accounts, hands out their credits and says so; hub_tenants.c keeps the order of
 * those tenants that need some. Nobody else includes this.
 */
#pragma once
#include "core/hub.h"

/* A connection that waits to be fetched. */
struct waiting_parcel {
    struct waiting_parcel *next;
    struct limit_parcel parcel;
};

/* What one engine has of an account. */
struct share {
    struct node on_door; /* hub->doors[engine] while anything below is to be told */
    struct account *account;
    uint32_t number;  /* the engine's name for the account; 0: not joined */
    uint32_t granted; /* credits it holds, or that are on their way there */
    uint32_t need;    /* more that it could use */
    uint32_t wanted;  /* what it has been asked to give back, as far as we know */
    uint32_t grant_due;
    uint32_t parcels_due; /* in the list below */
    uint32_t due; /* a pool: credits that its tenants there are to give up, and have not yet */
    uint32_t alive, fed; /* a tenant: as it stands there (struct limit_standing) */
    uint32_t sent;       /* a tenant: credits that it was granted; fed with them later */
    uint64_t spent_ms;   /* a tenant: of connections */
    bool is_pressed;
    bool refusal_due;
    bool want_due;
    struct waiting_parcel *first, *last;
};

struct account {
    const char *name;
    uint32_t name_len;
    uint32_t limit;
    uint32_t out;  /* the sum of what is granted */
    uint32_t turn; /* the engine that is served next */
    uint32_t joined;
    uint64_t hash;
    struct list hungry;    /* a pool: tenants in need, those served longest ago first */
    uint32_t tenants, due; /* a pool: how many; what they are to give up, in all */
    uint64_t lease_ms;     /* a pool: what a lease takes, EWMA × LEASE_SCALE */
    uint64_t most_ms;      /* a pool: what any of them has spent */
    struct account *pool;  /* a tenant's; NULL: none */
    struct node on_hungry; /* a tenant: pool->hungry while it is in need */
    uint32_t has, need;    /* a tenant: at all engines */
    uint64_t spent_ms;     /* a tenant: at all engines */
    struct share shares[];
};

static inline uint32_t hub_engine_of(const struct share *share)
{
    return (uint32_t)(share - share->account->shares);
}

/* --- hub.c -------------------------------------------------------------------------------- */

/* The engine is to be told what is due of the share. */
void hub_ring(struct hub *hub, struct share *share);

/* Asks for so many of its credits, in all; pressed, for those of busy connections, too. */
void hub_want(struct hub *hub, struct share *share, uint32_t count, bool is_pressed);

/* Hands out what is free, and asks those who have for what the others need. */
void hub_settle(struct hub *hub, struct account *account);

/* --- hub_tenants.c ------------------------------------------------------------------------ */

/* Where the next credit of the pool goes, if any tenant needs one: to the one that is furthest
 * behind, where it is so; else NULL. */
struct share *hub_tenant_next(const struct hub *hub, const struct account *pool);

/* It was granted one. */
void hub_tenant_fed(struct share *share);

/* It says how it stands there, and is pressed to give up a connection, or no longer. */
void hub_tenant_stands(struct hub *hub, struct share *share, const struct limit_msg *msg);

/* It leaves the engine; what was on its way to it there is for anybody there. */
void hub_tenant_leaves(struct hub *hub, struct share *share);

/* Checks its records, and whether its place in the line is right. */
void hub_tenant_verify(const struct hub *hub, const struct account *tenant);
