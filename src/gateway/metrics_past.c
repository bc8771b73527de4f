/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_past.h"

#include "gateway/census.h"
#include "gateway/server.h"

#include <string.h>

static bool is_listener(const struct config *config, const char *name)
{
    bool any = false;
    for (uint32_t i = 0; i < config->listeners.count && !any; i++)
        any = strcmp(config->listeners.at[i].name, name) == 0;
    return any;
}

static const struct config_upstream *upstream_of(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        if (strcmp(config->upstreams.at[i].name, name) == 0)
            return &config->upstreams.at[i];
    return NULL;
}

static bool has_endpoint(const struct config_upstream *upstream, const char *name)
{
    bool any = false;
    for (uint32_t i = 0; upstream != NULL && i < upstream->endpoints.count && !any; i++)
        any = strcmp(upstream->endpoints.at[i].name, name) == 0;
    return any;
}

static bool has_account(const struct config_upstream *upstream, const char *name)
{
    bool any = false;
    for (uint32_t i = 0; upstream != NULL && i < upstream->accounts.count && !any; i++)
        any = strcmp(upstream->accounts.at[i].name, name) == 0;
    return any;
}

static bool is_pool(const struct server *server, const char *name)
{
    bool any = false;
    for (uint32_t i = 0; i < census_pools_count(server) && !any; i++)
        any = strcmp(census_who_of(server, i).name, name) == 0;
    return any;
}

static const char *value_of(const struct prom_label *labels, const char *name)
{
    for (; labels->name != NULL; labels++)
        if (strcmp(labels->name, name) == 0)
            return labels->value;
    return "";
}

/* Requests without an upstream, and those that are too many to be told apart. */
static bool is_general(const char *value)
{
    return value[0] == '\0' || strcmp(value, "other") == 0;
}

static bool is_known(const void *self, const struct prom_label *labels)
{
    const struct server *server = self;
    const struct config *config = server->config;
    const char *name = value_of(labels, "upstream");
    const struct config_upstream *upstream = upstream_of(config, name);
    if (!is_general(name) && upstream == NULL)
        return false;
    name = value_of(labels, "listener");
    if (!is_general(name) && !is_listener(config, name))
        return false;
    name = value_of(labels, "endpoint");
    if (!is_general(name) && !has_endpoint(upstream, name))
        return false;
    name = value_of(labels, "account");
    if (!is_general(name) && !has_account(upstream, name))
        return false;
    name = value_of(labels, "pool");
    if (!is_general(name) && !is_pool(server, name))
        return false;
    /* Of clients and proxies that there are, every sample is on the page. */
    return is_general(value_of(labels, "client")) && is_general(value_of(labels, "proxy"));
}

struct prom_past metrics_past_of(const struct server *server)
{
    return (struct prom_past){.totals = server->totals, .is_known = is_known, .self = server};
}
