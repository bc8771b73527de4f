/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_master.c - the sentinels that the store asks where its master is: a connector and a pool
 * beside the store's own, on its loop.
 */
#include "session/redis_parts.h"

/* Two of them may say nothing, and the master is still found in time. */
static uint32_t time_of_each(const struct redis_store *store)
{
    return store->timeout_ms / 3 + 1;
}

int redis_master_open(struct redis_store *store)
{
    const struct redis_hosts_url *url = &store->sentinels_url;
    struct redis_connector_options to = redis_store_connecting(store, time_of_each(store));
    to.user = url->user;
    to.password = url->password;
    if (url->count == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < url->count; i++) {
        store->sentinel_keys[i] = (weir_key){.scheme = url->is_tls ? "rediss" : "redis",
                                             .host = url->at[i].host,
                                             .port = url->at[i].port};
    }
    int error = redis_connector_new(&to, &store->sentinels_connector);
    if (error != 0) {
        return error;
    }
    const struct redis_sentinels_options opt = {.loop = store->loop,
                                                .alloc = &alloc_libc,
                                                .connector = store->sentinels_connector,
                                                .keys = store->sentinel_keys,
                                                .count = url->count,
                                                .timeout_ms = time_of_each(store),
                                                .watch_ms = store->vtable.again_ms,
                                                .master = store->url.host};
    return redis_sentinels_new(&opt, &store->sentinels);
}

static void on_pool(void *arg, const weir_event *event)
{
    struct redis_store *store = arg;
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        loop_stop(store->loop);
    }
}

int redis_master_serve(struct redis_store *store)
{
    uint32_t count = store->sentinels_url.count;
    if (count == 0) {
        return 0;
    }
    int error = redis_store_open_pool(store, store->sentinels_connector, "sentinels", count,
                                      &store->sentinels_pool);
    if (error == 0) {
        weir_pool_on_event(store->sentinels_pool, on_pool, store, 0);
    }
    return error;
}

void redis_master_watch(struct redis_store *store)
{
    if (store->sentinels != NULL) {
        redis_sentinels_watch(store->sentinels, store->connector);
    }
}

void redis_master_unwatch(struct redis_store *store)
{
    if (store->sentinels != NULL) {
        redis_sentinels_unwatch(store->sentinels);
    }
}

bool redis_master_end(struct redis_store *store)
{
    weir_pool *pool = store->sentinels_pool;
    store->sentinels_pool = NULL;
    if (pool == NULL) {
        return false;
    }
    weir_pool_close(pool, 0);
    loop_hook_soon(store->loop, &store->step);
    return true;
}

void redis_master_close(struct redis_store *store)
{
    redis_sentinels_free(store->sentinels);
    redis_connector_free(store->sentinels_connector);
    explicit_bzero(&store->sentinels_url, sizeof store->sentinels_url);
}
