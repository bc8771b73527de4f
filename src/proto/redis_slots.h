/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_slots.h - a Redis Cluster's slots: which one a key is in, who serves it, and what a node
 * says that does not. Pure; for connector/redis_cluster.
 *
 *     key ──▶ CRC16 of its tag ──▶ one of 16384 slots ──▶ redis_map ──▶ host and port
 *                                                            ▲
 *              CLUSTER SLOTS ──▶ redis_map_read ─────────────┤
 *              "MOVED 866 10.0.0.7:7001" ──▶ redis_moved_read ──▶ redis_map_set
 *
 * Always true: a slot's owner is a node of the map or nobody; a place has a host and a port. What
 * is garbage leaves a map as it was. No node can make it larger than REDIS_NODES_MAX.
 */
#pragma once
#include "proto/resp.h"

#define REDIS_SLOTS     16384U
#define REDIS_NODES_MAX 256U /* masters; a thousand nodes is what Redis itself advises against */
#define REDIS_NOBODY    UINT16_MAX
#define REDIS_HOST_MAX  256U

struct redis_place {
    char host[REDIS_HOST_MAX]; /* "": unknown */
    uint16_t port;
};

bool redis_place_same(const struct redis_place *a, const struct redis_place *b);

/* Of the part between the first "{" and the next "}" where that is not empty, else of all. */
uint16_t redis_slot_of(struct slice key);

/* Of "MOVED slot host:port" or "ASK slot host:port"; without a host it is `asked`'s, who said so.
 * False: it is neither. */
bool redis_moved_read(struct slice error, const struct redis_place *asked, uint16_t *ret_slot,
                      struct redis_place *ret_place);

struct redis_map {
    uint32_t count;               /* of the nodes */
    uint32_t covered;             /* slots that have an owner */
    uint16_t owners[REDIS_SLOTS]; /* in `nodes`, or REDIS_NOBODY */
    struct redis_place nodes[REDIS_NODES_MAX];
};

/* No node, and no slot served. */
void redis_map_clear(struct redis_map *map);
/* NULL: nobody. */
const struct redis_place *redis_map_find(const struct redis_map *map, uint16_t slot);
/* One slot is served there. False: there is no room for one more node. */
bool redis_map_set(struct redis_map *map, uint16_t slot, const struct redis_place *place);
/* What CLUSTER SLOTS was answered with by `asked`. NULL: it was read; else what is wrong with it,
 * in words, and the map is garbage. */
const char *redis_map_read(const struct resp_value *value, struct resp_walk *inside,
                           const struct redis_place *asked, struct redis_map *ret_map);
