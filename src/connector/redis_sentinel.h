/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_sentinel.h - Sentinels, and where they say that the master is: for connector/redis, which
 * asks before each dial.
 *
 *   ask ──▶ a sentinel ──▶ host and port
 *             │ it says nothing, or knows no such master
 *             └──▶ the next one … ──▶ none knows
 *
 * Asked over a connector and a pool of their own. Whoever knew it last is asked first. While they
 * are watched they are asked every so often without being needed, since a master that was replaced
 * may go on as if it were one.
 *
 * Always true: done() comes once, never from inside redis_sentinels_ask(), and nothing after
 * redis_sentinels_cancel(). What they say is a hint: whoever is dialled is asked what it is.
 */
#pragma once
#include "connector/redis.h"
#include "proto/redis_slots.h"

struct redis_sentinels;

struct redis_sentinels_options {
    struct loop *loop;
    const struct alloc *alloc;
    struct redis_connector *connector; /* to them; borrowed, with its pool */
    const weir_key *keys;              /* where they are; borrowed */
    uint32_t count;                    /* not 0 */
    uint32_t timeout_ms;               /* of one of them */
    uint32_t watch_ms;                 /* between two questions, while they are watched */
    const char *master;                /* as they call it; copied */
};

int redis_sentinels_new(const struct redis_sentinels_options *opt,
                        struct redis_sentinels **ret_sentinels); /* 0 or -ENOMEM */
/* Nobody asks any more. */
void redis_sentinels_free(struct redis_sentinels *take_sentinels);

/* From here on `told` hears, again and again, where the master is: a redis_connector's
 * redis_connector_moved(). Not from inside. */
void redis_sentinels_watch(struct redis_sentinels *sentinels, struct redis_connector *told);
void redis_sentinels_unwatch(struct redis_sentinels *sentinels);

/* Lies inside its owner; all zeroes asks nothing. */
struct redis_sentinels_query {
    /* WEIR_OK: there. Else why the last one did not say. */
    void (*done)(struct redis_sentinels_query *query, weir_err err,
                 const struct redis_place *place);
    /* What follows is its own. */
    struct redis_sentinels *sentinels;
    struct redis_call call;
    struct redis_place found;
    uint32_t first, tried;
};

void redis_sentinels_ask(struct redis_sentinels *sentinels, struct redis_sentinels_query *query);
/* Does nothing to one that is not asked. */
void redis_sentinels_cancel(struct redis_sentinels_query *query);
