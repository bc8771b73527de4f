/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_nodes.h - a real Redis Cluster for tests, of three masters with a replica each; and who has
 * what in it.
 */
#pragma once
#include "support/redis_sharing.h"

#define NODES_MASTERS 3U
#define NODES         6U /* the replica of n is n + 3, in the beginning */

static struct redis_server nodes[NODES];
static char nodes_bus[NODES][8];

static inline void nodes_run(unsigned n)
{
    redis_run(&nodes[n]);
}

static inline void nodes_start_one(unsigned n, const char *const *more)
{
    static const char *const words[] = {"--cluster-enabled",
                                        "yes",
                                        "--cluster-node-timeout",
                                        "600",
                                        "--repl-diskless-sync-delay",
                                        "0",
                                        "--cluster-require-full-coverage",
                                        "no",
                                        "--cluster-port"};
    unsigned count = sizeof words / sizeof *words;
    snprintf(nodes_bus[n], sizeof nodes_bus[n], "%u", (unsigned)redis_free_port());
    nodes[n] = (struct redis_server){0};
    memcpy(nodes[n].more, words, sizeof words);
    nodes[n].more[count++] = nodes_bus[n];
    for (; more != NULL && *more != NULL; more++) {
        nodes[n].more[count++] = *more;
    }
    redis_start(&nodes[n]);
}

static inline const char *nodes_id(unsigned n, char ret_id[64])
{
    snprintf(ret_id, 64, "%s", redis_says(&nodes[n], "CLUSTER", "MYID"));
    return ret_id;
}

static inline bool nodes_alive(unsigned n)
{
    return nodes[n].fd >= 0;
}

/* All that live know each other as they are, all slots are served, and the replicas are linked. */
static inline bool nodes_agree(void)
{
    for (unsigned n = 0; n < NODES; n++) {
        if (!nodes_alive(n)) {
            continue;
        }
        const char *said = redis_says(&nodes[n], "CLUSTER", "INFO");
        if (strstr(said, "cluster_state:ok") == NULL
            || strstr(said, "cluster_slots_ok:16384") == NULL
            || strstr(said, "cluster_known_nodes:6") == NULL) {
            return false;
        }
        said = redis_says(&nodes[n], "INFO", "replication");
        if (strstr(said, "role:slave") != NULL && strstr(said, "master_link_status:up") == NULL) {
            return false;
        }
        if (strstr(said, "role:master") != NULL && strstr(said, "connected_slaves:0") != NULL) {
            return false;
        }
    }
    return true;
}

static inline void nodes_meet(void)
{
    char port[8], number[8], id[64];
    for (unsigned n = 0; n < NODES; n++) {
        snprintf(number, sizeof number, "%u", n + 1);
        redis_says(&nodes[n], "CLUSTER", "SET-CONFIG-EPOCH", number);
        snprintf(port, sizeof port, "%u", (unsigned)nodes[0].port);
        if (n > 0) {
            assert_string_equal(
                redis_says(&nodes[n], "CLUSTER", "MEET", "127.0.0.1", port, nodes_bus[0]), "OK");
        }
    }
    static const char *const ranges[][2] = {{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}};
    for (unsigned n = 0; n < NODES_MASTERS; n++) {
        assert_string_equal(
            redis_says(&nodes[n], "CLUSTER", "ADDSLOTSRANGE", ranges[n][0], ranges[n][1]), "OK");
    }
    for (unsigned n = 0; n < NODES_MASTERS; n++) {
        nodes_id(n, id);
        until(strcmp(redis_says(&nodes[n + NODES_MASTERS], "CLUSTER", "REPLICATE", id), "OK") == 0);
    }
    until(nodes_agree());
}

static inline int nodes_start_with(const char *const *more)
{
    for (unsigned n = 0; n < NODES; n++) {
        nodes_start_one(n, more);
    }
    nodes_meet();
    assert_true(redis_wire_init(&wire, "test", 1, 1000));
    return 0;
}

static inline int nodes_start(void **state)
{
    (void)state;
    return nodes_start_with(NULL);
}

static inline int nodes_end(void **state)
{
    (void)state;
    for (unsigned n = 0; n < NODES; n++) {
        if (!nodes_alive(n)) {
            nodes_run(n);
        }
        redis_end(&nodes[n]);
    }
    return 0;
}

/* "MOVED …", "CLUSTERDOWN …": it is not its own. */
static inline bool nodes_refuses(const char *said)
{
    return strncmp(said, "MOVED ", 6) == 0 || strncmp(said, "ASK ", 4) == 0
           || strncmp(said, "CLUSTERDOWN ", 12) == 0;
}

/* Which node serves a key; NODES: none. */
static inline unsigned nodes_owner(const char *key)
{
    char own[160];
    snprintf(own, sizeof own, "%s", key);
    for (unsigned n = 0; n < NODES; n++) {
        if (nodes_alive(n) && !nodes_refuses(redis_says(&nodes[n], "EXISTS", own))) {
            return n;
        }
    }
    return NODES;
}

/* NODES: it has none. */
static inline unsigned nodes_replica(unsigned master)
{
    char port[16];
    for (unsigned n = 0; n < NODES; n++) {
        snprintf(port, sizeof port, "port=%u,", (unsigned)nodes[n].port);
        if (strstr(redis_says(&nodes[master], "INFO", "replication"), port) != NULL) {
            return n;
        }
    }
    return NODES;
}

static inline bool nodes_have(char kind, weir_session_id id)
{
    char key[160];
    snprintf(key, sizeof key, "%s", key_of(kind, id));
    unsigned owner = nodes_owner(key);
    return owner < NODES && strcmp(redis_says(&nodes[owner], "EXISTS", key), "1") == 0;
}

static inline const char *nodes_field(weir_session_id id, const char *field)
{
    char key[160];
    snprintf(key, sizeof key, "%s", key_of('s', id));
    unsigned owner = nodes_owner(key);
    return owner < NODES ? redis_says(&nodes[owner], "HGET", key, field) : "(nobody)";
}

/* Of the first two masters: one that is none any more is asked as well. */
static inline void nodes_url(char *ret_url, size_t size)
{
    snprintf(ret_url, size, "redis://127.0.0.1:%u,127.0.0.1:%u", (unsigned)nodes[0].port,
             (unsigned)nodes[1].port);
}
