/* SPDX-License-Identifier: Apache-2.0
 *
 * group.h - what keys have in common: an endpoint (scheme, host and port), and a tenant.
 *
 * A key belongs to one group of each kind as long as it is known. An endpoint's group keeps how
 * long things took there: the figures of a pool are the sum over its endpoints, and cost nothing
 * twice. A tenant's group keeps the same for the tenant, and is who takes turns where the pool is
 * full (turns.h). A group without keys goes; what it counted stays in the pool's figures. How many
 * leases an endpoint takes at once may be limited by what it is seen to stand (crowd.h).
 *
 * There is room for groups_max of them. A key for whose endpoint there is none counts for the pool
 * alone; keys without a tenant, or for whose tenant there is none, share their turns: both belong
 * to a group that is part of the pool and has no name.
 */
#pragma once
#include "base/list.h"
#include "core/concurrency.h"
#include "core/limit.h"
#include "core/stats.h"

struct key;

enum group_kind { GROUP_ENDPOINT, GROUP_TENANT };

struct group {
    weir_pool *pool;
    struct node on_pool;  /* pool->endpoints or pool->tenants, unless it is the nameless one */
    struct node on_turns; /* a tenant: pool->turns while it has hungry keys */
    struct list hungry;   /* a tenant: its keys that would dial if the pool had room, in turns */
    struct list crowd; /* an endpoint: its keys whose callers wait for its concurrency, in turns */
    const char *text;  /* in engine->group_texts; NULL: nameless */
    uint32_t text_len;
    uint16_t port;
    uint8_t kind; /* enum group_kind */
    uint64_t hash;
    uint32_t keys;        /* that belong to it */
    uint32_t leases;      /* an endpoint: held there, now */
    uint32_t places;      /* an endpoint: kept for keys that dial for their turn */
    uint32_t alive;       /* a tenant: their connections, but those that close */
    uint32_t waiting;     /* a tenant: their callers that wait */
    uint32_t promised;    /* a tenant: of those that close, the ones that make room for it */
    int32_t deficit;      /* a tenant: leases it may still serve while others wait for room */
    struct ledger ledger; /* a tenant: its account at the hub, without credits (standing.h) */
    struct node on_news;  /* pool->news while the hub is to hear of it */
    uint32_t told_alive;  /* what it heard last */
    uint32_t fed;         /* credits that came for it */
    uint32_t ended;       /* leases, since */
    uint64_t spent_ms;    /* of connections, by these */
    uint8_t released;     /* and others waited */
    bool is_told : 1;     /* the hub counts it */
    bool has_yielded : 1; /* and has to hear of that */
    uint64_t grants, reused, created, errors; /* of keys that were forgotten */
    uint64_t refused;
    struct concurrency concurrency;
    struct spans spans;
};

/* For a pool that opens. */
void group_init(struct group *group, weir_pool *pool, enum group_kind kind);

/* The key joins its endpoint and its tenant, and leaves them. */
void group_join(struct key *key);
void group_leave(struct key *key);

/* A caller of the key was refused, or failed. */
void group_refused(struct key *key);

/* The key's dial has come up: TLS took tls_ms of it, or there was none (UINT64_MAX). */
void group_connected(const struct key *key, uint64_t connect_ms, uint64_t tls_ms);

/* The spans of all endpoints of the pool together, past and present. */
void group_sum(const weir_pool *pool, uint64_t now_ms, struct spans *ret_spans);

static inline bool group_is_named(const struct group *group)
{
    return group->text != NULL;
}
