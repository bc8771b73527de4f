/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_probe.c - the prober, which asks for an epoch alone: of a Cluster, each master that has
 * tags for one of them.
 */
#include "session/redis_parts.h"

#define ASKS_MAX     (REDIS_NODES_MAX + 1) /* and one for what nobody serves */
#define COMMANDS_MAX 1024U
#define REPLIES      2U /* SET NX, GET */

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void done(struct redis_route *route, const struct redis_outcome *outcome);

static uint32_t asks_max(const struct redis_store *store)
{
    return store->is_cluster ? ASKS_MAX : 1;
}

bool redis_probe_init(struct redis_store *store)
{
    uint32_t most = asks_max(store);
    store->asks = alloc_array(&alloc_libc, most, sizeof *store->asks);
    if (store->asks == NULL) {
        return false;
    }
    memset(store->asks, 0, most * sizeof *store->asks);
    for (uint32_t i = 0; i < most; i++) {
        struct redis_ask *ask = &store->asks[i];
        ask->store = store;
        ask->route.on_reply = on_reply;
        ask->route.done = done;
        ask->route.count = REPLIES;
        ask->route.is_stubborn = true; /* who is down is asked, or it stays so */
        bytes_init(&ask->commands, &alloc_libc, COMMANDS_MAX);
    }
    return true;
}

void redis_probe_fini(struct redis_store *store)
{
    for (uint32_t i = 0; store->asks != NULL && i < asks_max(store); i++) {
        bytes_fini(&store->asks[i].commands);
    }
    alloc_free(&alloc_libc, store->asks);
}

void redis_probe_cancel(struct redis_store *store)
{
    for (uint32_t i = 0; i < store->asks_count; i++) {
        redis_route_cancel(&store->asks[i].route);
    }
}

/* --- whom to ask --------------------------------------------------------------------------------
 */

static void add_ask(struct redis_store *store, uint32_t tag)
{
    store->asks[store->asks_count++].tag = tag;
}

/* Somebody is asked already who serves it, or nobody does, as another one. */
static bool is_asked(const struct redis_store *store, const struct redis_place *place)
{
    for (uint32_t i = 0; i < store->asks_count; i++) {
        const struct redis_place *at = redis_cluster_find(store->cluster,
                                                          redis_wire_slot(store->asks[i].tag));
        if (at == place || (at != NULL && place != NULL && redis_place_same(at, place))) {
            return true;
        }
    }
    return false;
}

/* Where it is known what the epoch was, that tag is asked for. */
static void choose(struct redis_store *store, bool is_known)
{
    for (uint32_t tag = 0; tag < REDIS_TAGS && store->asks_count < ASKS_MAX; tag++) {
        bool counts = is_known == (store->epochs[tag][0] != '\0');
        if (counts && !is_asked(store, redis_cluster_find(store->cluster, redis_wire_slot(tag)))) {
            add_ask(store, tag);
        }
    }
}

/* As a batch would: a server that refuses writes is not back. */
void redis_probe_begin(struct redis_store *store)
{
    bool is_said = true;
    store->asks_count = 0;
    if (store->cluster != NULL) {
        choose(store, true);
        choose(store, false);
    } else {
        add_ask(store, REDIS_UNTAGGED);
    }
    for (uint32_t i = 0; i < store->asks_count; i++) {
        struct redis_ask *ask = &store->asks[i];
        bytes_clear(&ask->commands);
        ask->is_refused = false;
        ask->epoch[0] = '\0';
        is_said = is_said
                  && redis_wire_epoch(&store->wire, &ask->commands, ask->tag, redis_fresh_epoch());
        ask->route.commands = bytes_slice(&ask->commands);
    }
    if (!is_said) {
        return;
    }
    store->doing = REDIS_PROBING;
    store->probe_failed = false;
    store->asks_left = store->asks_count;
    for (uint32_t i = 0; i < store->asks_count; i++) {
        redis_route_start(store, &store->asks[i].route, store->asks[i].tag);
    }
}

/* --- what they say ------------------------------------------------------------------------------
 */

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_ask *ask = container_of(route, struct redis_ask, route);
    (void)inside;
    bool is_fine = index == 1 ? redis_keep_epoch(value, ask->epoch) : value->type != RESP_FAILED;
    if (!is_fine) {
        redis_store_refused(ask->store, value);
    }
    ask->is_refused = (index > 0 && ask->is_refused) || !is_fine;
}

static void done(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct redis_ask *ask = container_of(route, struct redis_ask, route);
    struct redis_store *store = ask->store;
    bool is_fine = outcome->err == WEIR_OK && !ask->is_refused;
    if (is_fine && !redis_known_note(store, route, ask->tag, ask->epoch, outcome->run_id, false)) {
        weir_sessions_renew(store->sessions);
    }
    if (!is_fine) {
        store->probe_failed = true;
        redis_store_failed(store, outcome->err != WEIR_OK ? outcome->err : WEIR_EIO,
                           outcome->detail);
    }
    if (--store->asks_left > 0) {
        return;
    }
    store->doing = REDIS_IDLE;
    if (!store->probe_failed) {
        redis_store_answered(store);
    }
    redis_batch_begin(store); /* what was written meanwhile */
}
