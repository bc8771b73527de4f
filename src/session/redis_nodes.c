/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_nodes.c - the Cluster that the store is, on the store's own connector and pool.
 */
#include "session/redis_parts.h"

/* Some of the nodes may say nothing, and the map is still had in time. */
static uint32_t time_of_each(const struct redis_store *store)
{
    return store->timeout_ms / 4 + 1;
}

int redis_nodes_open(struct redis_store *store)
{
    const struct redis_hosts_url *url = &store->cluster_url;
    if (!store->is_cluster) {
        return 0;
    }
    for (uint32_t i = 0; i < url->count; i++) {
        struct redis_place *seed = &store->seeds[i];
        slice_copy(seed->host, sizeof seed->host, slice_of(url->at[i].host));
        seed->port = url->at[i].port;
    }
    const struct redis_cluster_options opt = {.loop = store->loop,
                                              .alloc = &alloc_libc,
                                              .connector = store->connector,
                                              .scheme = url->is_tls ? "rediss" : "redis",
                                              .seeds = store->seeds,
                                              .count = url->count,
                                              .timeout_ms = time_of_each(store),
                                              .seed = redis_fresh_epoch()};
    return redis_cluster_new(&opt, &store->cluster);
}

void redis_nodes_stop(struct redis_store *store)
{
    if (store->cluster != NULL) {
        redis_cluster_stop(store->cluster);
    }
}

void redis_nodes_close(struct redis_store *store)
{
    redis_cluster_free(store->cluster);
    store->cluster = NULL;
    explicit_bzero(&store->cluster_url, sizeof store->cluster_url);
}
