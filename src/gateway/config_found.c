/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_found.h"

#include "gateway/config_arena.h"

#include <string.h>

bool config_discovers(const struct config_upstream *upstream)
{
    return upstream->discover.dns != DISCOVER_OFF || upstream->discover.file[0] != '\0'
           || upstream->discover.http[0] != '\0';
}

uint32_t config_endpoints_most(const struct config_upstream *upstream)
{
    uint32_t most = upstream->endpoints.count;
    return config_discovers(upstream) && most < upstream->discover.max ? upstream->discover.max
                                                                       : most;
}

static bool any_https(const struct config_endpoints *endpoints)
{
    for (uint32_t i = 0; i < endpoints->count; i++)
        if (strcmp(endpoints->at[i].scheme, "https") == 0)
            return true;
    return false;
}

bool config_has_https(const struct config_upstream *upstream)
{
    bool is_list = upstream->discover.file[0] != '\0' || upstream->discover.http[0] != '\0';
    return any_https(&upstream->listed) || any_https(&upstream->endpoints)
           || (is_list && upstream->discover.scheme == SCHEME_HTTPS);
}

void config_found_begin(struct config_upstream *upstream)
{
    upstream->is_found = false;
    upstream->endpoints = upstream->listed;
    if (upstream->discover.dns == DISCOVER_SRV) /* a service is no host to connect to */
        upstream->endpoints = (struct config_endpoints){0};
}

static const char *copy(struct config_arena *arena, const char *text)
{
    return config_arena_copy(arena, text, strlen(text));
}

static void take_endpoints(struct config_arena *arena, struct config_upstream *upstream,
                           const struct config_endpoints *found)
{
    struct config_endpoint *at = config_arena_take(arena, found->count * sizeof(*at));
    for (uint32_t i = 0; at != NULL && i < found->count; i++) {
        at[i] = found->at[i];
        at[i].url = copy(arena, found->at[i].url);
        at[i].name = copy(arena, found->at[i].name);
        at[i].scheme = copy(arena, found->at[i].scheme);
        at[i].host = copy(arena, found->at[i].host);
        at[i].zone = copy(arena, found->at[i].zone);
    }
    upstream->endpoints = (struct config_endpoints){at, found->count};
    upstream->is_found = true;
}

struct config *config_with_found(const struct config *config, config_found_fn *found, void *self)
{
    static const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
    const struct config *root = config->root != NULL ? config->root : config;
    struct config_arena *arena = config_arena_new(&memory);
    if (arena == NULL)
        return NULL;
    config_arena_join(arena, root->arena);
    struct config *with = config_arena_take(arena, sizeof(*with));
    struct config_upstream *at = config_arena_take(arena, root->upstreams.count * sizeof(*at));
    for (uint32_t i = 0; with != NULL && at != NULL && i < root->upstreams.count; i++) {
        at[i] = root->upstreams.at[i];
        const struct config_endpoints *endpoints = config_discovers(&at[i]) ? found(self, &at[i])
                                                                            : NULL;
        if (endpoints != NULL)
            take_endpoints(arena, &at[i], endpoints);
    }
    if (with == NULL || config_arena_is_short(arena)) {
        config_arena_free(arena);
        return NULL;
    }
    *with = *root;
    with->upstreams.at = at;
    with->root = root;
    with->arena = arena;
    return with;
}
