/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_cluster_parts.h - a Cluster from the inside: private to connector/redis_cluster.c and
 * redis_route.c.
 */
#pragma once
#include "connector/redis_cluster.h"

/* What is known of a map's node. */
struct redis_node {
    char run_id[REDIS_RUN_ID_MAX]; /* of its process, */
    bool is_met;                   /* which has answered */
    bool is_down;
};

/* A map, and its nodes in the map's order. */
struct redis_atlas {
    struct redis_map map;
    struct redis_node nodes[REDIS_NODES_MAX];
};

struct redis_cluster {
    struct redis_cluster_options opt;
    struct rand rand;
    struct redis_atlas *atlas, *next; /* the one that is read, and then the other */
    struct bytes command;
    struct redis_call call; /* for the map */
    struct redis_place asked, hint, later;
    uint32_t first, tried;
    bool is_asking, is_wanted; /* wanted: once more, and of `later` */
    struct loop_timer timer;
    uint64_t pause_ms; /* not asked for before then */
    uint64_t map_ms;   /* when it was read; 0: never */
    const char *fault; /* of the map that was read last */
    bool is_denied;    /* … and a node would not have us: there is no map to wait for */
    char detail[REDIS_DETAIL_MAX];
    struct redis_cluster_counters counters;
};

static inline void redis_tally(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, n, memory_order_relaxed);
}

/* The map is asked for, soon; at first of who is `hint`, which may be NULL. */
void redis_cluster_want(struct redis_cluster *cluster, const struct redis_place *hint);
/* A slot is served there. */
void redis_cluster_moved(struct redis_cluster *cluster, uint16_t slot,
                         const struct redis_place *place);
/* That it was not asked, or its node is down, is for who we are: which waiting does not mend. */
bool redis_cluster_denies(const struct redis_cluster *cluster, weir_err err);
/* NULL: it is not in the map. */
struct redis_node *redis_cluster_node(struct redis_cluster *cluster,
                                      const struct redis_place *place);
void redis_cluster_mark(struct redis_cluster *cluster, const struct redis_place *place,
                        bool is_down);
