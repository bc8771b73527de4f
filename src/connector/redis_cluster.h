/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_cluster.h - a Redis Cluster: who serves which slot, and calls that find their way there.
 *
 *   begin ──▶ the slot's master ──▶ replies ──▶ done
 *                ▲        │ MOVED: the map is set right, and asked for anew
 *                │        │ ASK: there, with ASKING before each command
 *                ├────────┤ TRYAGAIN, CLUSTERDOWN, LOADING, …: after a pause
 *                │        │ the connection failed: after a pause, by a map that was asked for anew
 *                └────────┘ … until the call's time is up, or it was sent on too often
 *
 * One connector, and one pool in which each node is a key, carry them. The map comes from CLUSTER
 * SLOTS, asked of one node after the other until one says it: of who was named by a MOVED, of the
 * masters that are known, of those that were written down. One question is under way at a time, and
 * after each there is a pause.
 *
 * Always true: a route's commands have their keys in one slot, and may be done twice: what is to be
 * repeated is repeated as a whole. done() comes once, never from inside redis_route_begin(), and
 * nothing after redis_route_cancel(). What nodes say is a hint: it is they who refuse what is not
 * theirs. A node that a route has failed at is down until another one succeeds there; meanwhile
 * those that are not stubborn fail at once. Where a node will not have us for who we are, nobody
 * waits: with WEIR_EDENIED they fail at once, too.
 */
#pragma once
#include "base/rand.h"
#include "connector/redis.h"
#include "proto/redis_slots.h"

#define REDIS_REDIRECTS_MAX 8U   /* MOVED and ASK of one route */
#define REDIS_PAUSE_MS      10U  /* before it is repeated; doubles, */
#define REDIS_PAUSE_MAX_MS  200U /* up to this */
#define REDIS_MAP_PAUSE_MS  100U /* between two questions for the map, give or take a half */

struct redis_cluster;

#define REDIS_CLUSTER_COUNTERS(ROW)                                                                \
    ROW(maps)      /* that were read */                                                            \
    ROW(unmapped)  /* questions for one that no node answered */                                   \
    ROW(moved)     /* routes that were sent on by MOVED, */                                        \
    ROW(asked)     /* or by ASK */                                                                 \
    ROW(repeated)  /* or that were repeated, */                                                    \
    ROW(failed)    /* or that have failed */                                                       \
    ROW(nodes)     /* masters that are known now */                                                \
    ROW(down)      /* of these, those that did not serve a route */                                \
    ROW(uncovered) /* slots that nobody serves now */

struct redis_cluster_counters {
#define REDIS_ROW(name) _Atomic uint64_t name;
    REDIS_CLUSTER_COUNTERS(REDIS_ROW)
#undef REDIS_ROW
};

struct redis_cluster_options {
    struct loop *loop;
    const struct alloc *alloc;
    struct redis_connector *connector; /* to all of them; borrowed, with its pool */
    const char *scheme;                /* of their keys; borrowed */
    const struct redis_place *seeds;   /* who is asked at first; borrowed */
    uint32_t count;                    /* not 0 */
    uint32_t timeout_ms;               /* of one question for the map */
    uint64_t seed;                     /* of the pauses */
};

int redis_cluster_new(const struct redis_cluster_options *opt,
                      struct redis_cluster **ret_cluster); /* 0 or -ENOMEM */
/* No route is under way. */
void redis_cluster_free(struct redis_cluster *take_cluster);
/* The map is not asked for any more; before the pool closes. */
void redis_cluster_stop(struct redis_cluster *cluster);
/* Any thread may read them. */
const struct redis_cluster_counters *redis_cluster_counters(const struct redis_cluster *cluster);

/* Who serves a slot, as far as it is known; NULL: nobody. Until the loop turns. */
const struct redis_place *redis_cluster_find(const struct redis_cluster *cluster, uint16_t slot);
/* Whether it was that process that answered from there before, while it has been a master all the
 * time; it is, from here on. */
bool redis_cluster_meet(struct redis_cluster *cluster, const struct redis_place *place,
                        const char *run_id);

/* --- routes -------------------------------------------------------------------------------------
 */

enum redis_route_state {
    REDIS_ROUTE_IDLE,
    REDIS_ROUTE_ASKED,
    REDIS_ROUTE_PAUSED,
    REDIS_ROUTE_ENDING
};

/* Lies inside its owner, who keeps what it points to until done(); all zeroes is IDLE. */
struct redis_route {
    /* As a call's. When it is repeated, `index` begins at 0 again, and what was heard before is
     * void. */
    void (*on_reply)(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
    /* `place` is where it was answered. WEIR_EREFUSED: `detail` has what the last node said. */
    void (*done)(struct redis_route *route, const struct redis_outcome *outcome);
    struct slice commands;
    uint32_t count;
    uint16_t slot;
    bool is_stubborn;         /* asks a node that is down as well */
    struct redis_place place; /* who is asked */
    /* What follows is its own. */
    struct redis_cluster *cluster; /* NULL: it goes to one place, as any call */
    struct redis_call call;
    struct bytes asking; /* the commands, with ASKING before each */
    enum redis_route_state state;
    bool is_asking;
    enum redis_says says, before; /* this time, and the last one: what it cannot go on with */
    uint32_t asks;                /* replies of this time that say ASK */
    struct redis_place to;
    uint32_t redirects, repeats;
    uint64_t deadline_ms;
    struct loop_timer timer;
    struct loop_later ending;
    weir_err err;
    char detail[REDIS_DETAIL_MAX];
};

void redis_route_begin(struct redis_cluster *cluster, struct redis_route *route,
                       uint32_t timeout_ms);
/* Of a Redis that is no Cluster: to that key, once. */
void redis_route_to(struct redis_connector *connector, struct redis_route *route,
                    const weir_key *key, uint32_t timeout_ms);
/* Does nothing to one that is IDLE. */
void redis_route_cancel(struct redis_route *route);
