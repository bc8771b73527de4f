/* SPDX-License-Identifier: Apache-2.0 */
#include "core/group.h"

#include "core/crowd.h"
#include "core/key.h"
#include "core/pool.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A group's name: scheme and host as the canonical form has them, and the port; or the tenant. */
struct name {
    const char *text;
    uint32_t len;
    uint16_t port;
    enum group_kind kind;
    const weir_pool *pool;
};

void group_init(struct group *group, weir_pool *pool, enum group_kind kind)
{
    group->pool = pool;
    group->kind = (uint8_t)kind;
    group->deficit = (int32_t)TURN_GRANTS;
    list_init(&group->hungry);
    list_init(&group->crowd);
}

static struct name endpoint_of(const struct key *key)
{
    const char *scheme = key->view.scheme;
    const char *end = key->view.host + strlen(key->view.host) + 1;
    return (struct name){.text = scheme,
                         .len = (uint32_t)(end - scheme),
                         .port = key->view.port,
                         .kind = GROUP_ENDPOINT,
                         .pool = key->pool};
}

static struct name tenant_of(const struct key *key)
{
    return (struct name){.text = key->view.tenant,
                         .len = (uint32_t)strlen(key->view.tenant) + 1,
                         .kind = GROUP_TENANT,
                         .pool = key->pool};
}

static bool is_named(const void *value, const void *wanted)
{
    const struct group *group = value;
    const struct name *name = wanted;
    bool is_alike = (group->kind == name->kind) & (group->pool == name->pool)
                    & (group->port == name->port) & (group->text_len == name->len);
    return is_alike && !memcmp(group->text, name->text, name->len); /* cover: no hashes collide */
}

static uint64_t hash_of(const weir_engine *engine, const struct name *name)
{
    uint64_t salt = ((uint64_t)name->pool->number << 24) + name->port * UINT64_C(2)
                    + (uint64_t)name->kind;
    return XXH3_64bits_withSeed(name->text, name->len, engine->hash_seed ^ rand_mix(salt));
}

static struct list *home_of(weir_pool *pool, enum group_kind kind)
{
    return kind == GROUP_ENDPOINT ? &pool->endpoints : &pool->tenants;
}

static void group_free(struct group *group)
{
    weir_pool *pool = group->pool;
    weir_engine *engine = pool->engine;
    check(group->hungry.count == 0);
    check(group->alive == 0);
    check(group->crowd.count == 0);
    check(group->leases == 0 && group->places == 0);
    if (group->kind == GROUP_ENDPOINT) {
        spans_merge(&pool->rest.spans, &group->spans, engine->now_ms);
    }
    ledger_close_tenant(group);
    map_remove(&engine->by_group, group->hash, group);
    list_remove(home_of(pool, (enum group_kind)group->kind), &group->on_pool);
    arena_give(&engine->group_texts, group->text, group->text_len);
    slots_give(&engine->groups, slots_id_of(&engine->groups, group));
}

static struct group *group_new(weir_pool *pool, const struct name *name, uint64_t hash)
{
    weir_engine *engine = pool->engine;
    uint64_t id;
    char *text = arena_cut(&engine->group_texts, name->len);
    struct group *group = text != NULL ? slots_take(&engine->groups, &id) : NULL;
    if (group == NULL) {
        if (text != NULL) {
            arena_give(&engine->group_texts, text, name->len);
        }
        return NULL;
    }
    group_init(group, pool, name->kind);
    memcpy(text, name->text, name->len);
    group->text = text;
    group->text_len = name->len;
    group->port = name->port;
    group->hash = hash;
    bool is_there = map_put(&engine->by_group, hash, group);
    check(is_there);
    list_push_back(home_of(pool, name->kind), &group->on_pool);
    if (name->kind == GROUP_TENANT && ledger_open_tenant(group) != WEIR_OK) {
        group_free(group);
        return NULL;
    }
    return group;
}

/* The group of that name, made if need be; `nameless` where there is no room. */
static struct group *find(weir_pool *pool, const struct name *name, struct group *nameless)
{
    uint64_t hash = hash_of(pool->engine, name);
    struct group *group = map_find(&pool->engine->by_group, hash, is_named, name);
    if (group == NULL) {
        group = group_new(pool, name, hash);
    }
    return group != NULL ? group : nameless;
}

void group_join(struct key *key)
{
    weir_pool *pool = key->pool;
    struct name endpoint = endpoint_of(key);
    key->endpoint = find(pool, &endpoint, &pool->rest);
    key->tenant = &pool->nobody;
    if (key->view.tenant != NULL) {
        struct name tenant = tenant_of(key);
        key->tenant = find(pool, &tenant, &pool->nobody);
    }
    key->endpoint->keys++;
    key->tenant->keys++;
}

void group_refused(struct key *key)
{
    key->endpoint->refused++;
    key->tenant->refused++;
}

static void add_dial(struct spans *spans, uint64_t now_ms, uint64_t connect_ms, uint64_t tls_ms)
{
    histogram_add(&spans->connect, now_ms, connect_ms);
    if (tls_ms != UINT64_MAX) {
        histogram_add(&spans->tls, now_ms, tls_ms);
    }
}

void group_connected(const struct key *key, uint64_t connect_ms, uint64_t tls_ms)
{
    uint64_t now_ms = key->pool->engine->now_ms;
    add_dial(&key->endpoint->spans, now_ms, connect_ms, tls_ms);
    if (group_is_named(key->tenant)) {
        add_dial(&key->tenant->spans, now_ms, connect_ms, tls_ms);
    }
}

static void leave(struct group *group, const struct key *key)
{
    group->grants += key->grants;
    group->reused += key->reused;
    group->created += key->created;
    group->errors += key->errors;
    check(group->keys > 0);
    group->keys--;
    if (group->keys == 0 && group_is_named(group)) {
        group_free(group);
    }
}

void group_leave(struct key *key)
{
    leave(key->endpoint, key);
    leave(key->tenant, key);
}

void group_sum(const weir_pool *pool, uint64_t now_ms, struct spans *ret_spans)
{
    memset(ret_spans, 0, sizeof *ret_spans);
    spans_merge(ret_spans, &pool->rest.spans, now_ms);
    weir_list_each(it, &pool->endpoints) {
        spans_merge(ret_spans, &list_entry(it, const struct group, on_pool)->spans, now_ms);
    }
}

/* --- as they are shown -------------------------------------------------------------------- */

static void add_key(weir_group_info *info, const struct key *key)
{
    info->dialling += key->by_state[WEIR_DIALLING].count;
    info->idle += key->by_state[WEIR_IDLE].count;
    info->shared += key->by_state[WEIR_SHARED].count;
    info->active += key->by_state[WEIR_ACTIVE].count;
    info->probing += key->by_state[WEIR_PROBING].count;
    info->closing += key->by_state[WEIR_CLOSING].count;
    info->waiting += key->waiting.count;
    info->grants += key->grants;
    info->reused += key->reused;
    info->created += key->created;
    info->errors += key->errors;
}

static void show(const struct group *group, const weir_key *name, weir_group_info *ret_info)
{
    const weir_pool *pool = group->pool;
    *ret_info = (weir_group_info){.size = sizeof *ret_info,
                                  .key = name,
                                  .keys = group->keys,
                                  .grants = group->grants,
                                  .reused = group->reused,
                                  .created = group->created,
                                  .errors = group->errors,
                                  .refused = group->refused};
    if (group->kind == GROUP_ENDPOINT) {
        ret_info->leases = group->leases;
        ret_info->leases_max = crowd_limit(group);
    }
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        if (key->endpoint == group || key->tenant == group) {
            add_key(ret_info, key);
        }
    }
    struct spans spans = {0}; /* with what is old halved, as of now */
    spans_merge(&spans, &group->spans, pool->engine->now_ms);
    histogram_report(&spans.wait, &ret_info->wait);
    histogram_report(&spans.connect, &ret_info->connect);
    histogram_report(&spans.tls, &ret_info->tls);
    histogram_report(&spans.first_byte, &ret_info->first_byte);
    histogram_report(&spans.hold, &ret_info->hold);
}

static void show_each(const struct list *groups, bool (*fn)(void *arg, const weir_group_info *info),
                      void *arg)
{
    weir_group_info info;
    weir_list_each(it, groups) {
        const struct group *group = list_entry(it, struct group, on_pool);
        weir_key name = {.tenant = group->text};
        if (group->kind == GROUP_ENDPOINT) {
            name = (weir_key){.scheme = group->text,
                              .host = group->text + strlen(group->text) + 1,
                              .port = group->port};
        }
        show(group, &name, &info);
        if (!fn(arg, &info)) {
            return;
        }
    }
}

void weir_pool_each_endpoint(const weir_pool *pool,
                             bool (*fn)(void *arg, const weir_group_info *info), void *arg)
{
    show_each(&pool->endpoints, fn, arg);
}

void weir_pool_each_tenant(const weir_pool *pool,
                           bool (*fn)(void *arg, const weir_group_info *info), void *arg)
{
    show_each(&pool->tenants, fn, arg);
}
