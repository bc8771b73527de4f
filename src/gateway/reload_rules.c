/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reload_rules.h"

#include "gateway/client_keys.h"
#include "gateway/config_claw.h"
#include "gateway/config_diff.h"
#include "gateway/config_found.h"
#include "gateway/config_way.h"
#include "gateway/engine_room.h"
#include "gateway/generation.h"
#include "gateway/server.h"
#include "listener/accept.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
    const struct server *server;
    const struct config *is, *wanted;
    char *why;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct check *check, const char *format,
                                                         ...)
{
    va_list args;
    if (check->why[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(check->why, check->size, format, args);
    va_end(args);
}

static void check_listener(struct check *check, uint32_t of, const struct config_listener *wanted)
{
    const struct config_listener *is = &check->is->listeners.at[of];
    if (is->tls.is_on != wanted->tls.is_on)
        refuse(check,
               "listeners[%s].tls: TLS comes or goes with a restart, or with a listener of another "
               "name",
               is->name);
    if (wanted->pool.max_per_ip != 0 && !accept_port_counts(check->server->generation->ports[of]))
        refuse(check,
               "listeners[%s].pool.max_per_ip: the first limit needs a restart, or a listener of "
               "another name: so far nobody counts",
               is->name);
}

static bool is_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}

/* What is open to OpenClaw gateways goes by numbers of accounts and endpoints: another order alone,
 * which is no change of an option, would have one account's token shown on another's way. */
static const char *rows_that_differ(const struct config_upstream *is,
                                    const struct config_upstream *wanted)
{
    if (is->endpoints.count != wanted->endpoints.count)
        return "endpoints";
    if (is->accounts.count != wanted->accounts.count)
        return "accounts";
    for (uint32_t i = 0; i < is->endpoints.count; i++)
        if (!is_endpoint(&is->endpoints.at[i], &wanted->endpoints.at[i]))
            return "endpoints";
    for (uint32_t i = 0; i < is->accounts.count; i++)
        if (strcmp(is->accounts.at[i].name, wanted->accounts.at[i].name) != 0)
            return "accounts";
    return NULL;
}

/* The gateways, who we are to them but for the words that we show, and how we get there: what its
 * connections were opened for. */
static void check_openclaw(struct check *check, const struct config_upstream *is,
                           const struct config_upstream *wanted)
{
    const char *rows = rows_that_differ(is, wanted);
    if (rows != NULL)
        refuse(check,
               "upstreams[%s].%s: in another order, or others; those of an upstream with protocol "
               "openclaw change with a restart, or under another name",
               is->name, rows);
    for (uint32_t i = 0; rows == NULL && i < config_ways(is); i++) {
        bool is_same_way = strcmp(config_way(is, i), config_way(wanted, i)) == 0;
        bool is_same_device =
            strcmp(config_claw_of(is, i).identity, config_claw_of(wanted, i).identity) == 0;
        if (!is_same_way || !is_same_device)
            refuse(check,
                   "upstreams[%s]: another %s for %s%s; that of an upstream with protocol openclaw "
                   "changes with a restart, or under another name",
                   is->name, is_same_way ? "openclaw.identity" : "proxy",
                   is->accounts.count > 0 ? "account " : "it",
                   is->accounts.count > 0 ? is->accounts.at[i].name : "");
    }
}

static void check_upstream(struct check *check, const struct config_upstream *is,
                           const struct config_upstream *wanted)
{
    if (is->protocol == PROTOCOL_AUTO && config_has_https(is) != config_has_https(wanted))
        refuse(
            check,
            "upstreams[%s].endpoints: with protocol auto the first endpoint of https://, and the "
            "last, needs a restart, or an upstream of another name",
            is->name);
    if (is->protocol == PROTOCOL_OPENCLAW && wanted->protocol == PROTOCOL_OPENCLAW)
        check_openclaw(check, is, wanted);
}

/* Whether both name a proxy, for themselves or for accounts, that is to have other limits. */
static bool has_other_limits(const struct config_upstream *is, const struct config_upstream *wanted)
{
    if (is->proxy_limits.max_connections == wanted->proxy_limits.max_connections
        && is->proxy_limits.connecting_max == wanted->proxy_limits.connecting_max)
        return false;
    for (uint32_t i = 0; i < config_ways(is); i++)
        for (uint32_t k = 0; k < config_ways(wanted); k++) {
            const char *proxy = config_way(wanted, k);
            if (proxy[0] != '\0' && strcmp(config_way(is, i), proxy) == 0)
                return true;
        }
    return false;
}

/* What a proxy may carry is known by its URL, whichever upstream names it. */
static void check_proxies(struct check *check, const struct config_upstream *wanted)
{
    for (uint32_t i = 0; i < check->is->upstreams.count; i++) {
        const struct config_upstream *is = &check->is->upstreams.at[i];
        if (has_other_limits(is, wanted))
            refuse(
                check,
                "upstreams[%s].proxy_limits: its proxy has others as upstream %s's; another limit "
                "of a proxy that is in use needs a restart",
                wanted->name, is->name);
    }
}

/* Whether that is one of an upstream's options of TLS, with its endpoints or its proxy. */
static bool is_of_tls(const char *path, const char *upstream)
{
    static const char *const groups[] = {"tls", "proxy_tls"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        char prefix[100];
        size_t len = (size_t)snprintf(prefix, sizeof(prefix), "upstreams[%s].%s", upstream,
                                      groups[i]);
        is_one = is_one
                 || (strncmp(path, prefix, len) == 0 && (path[len] == '.' || path[len] == '\0'));
    }
    return is_one;
}

static void check_change(void *self, const struct config_change *change)
{
    struct check *check = self;
    bool is_shared = client_keys_are_shared(check->is) || client_keys_are_shared(check->wanted);
    if (is_shared && strncmp(change->path, "clients", strlen("clients")) == 0)
        refuse(
            check,
            "%s: clients whose limits are shared with other gateways (sessions.redis) change with "
            "a restart",
            change->path);
    for (uint32_t i = 0; i < check->is->upstreams.count; i++) {
        const struct config_upstream *is = &check->is->upstreams.at[i];
        if (is->protocol == PROTOCOL_OPENCLAW && is_of_tls(change->path, is->name))
            refuse(check,
                   "%s: the TLS of an upstream with protocol openclaw changes with a restart, or "
                   "under another name",
                   change->path);
    }
}

static void check_listeners(struct check *check)
{
    for (uint32_t w = 0; w < check->wanted->listeners.count; w++) {
        const struct config_listener *wanted = &check->wanted->listeners.at[w];
        for (uint32_t i = 0; i < check->is->listeners.count; i++)
            if (strcmp(check->is->listeners.at[i].name, wanted->name) == 0)
                check_listener(check, i, wanted);
    }
}

void reload_rules_check(const struct server *server, const struct config *wanted, char *ret_why,
                        size_t size)
{
    struct check check = {server, server->config, wanted, ret_why, size};
    const struct engine_room room = engine_room_of(wanted);
    ret_why[0] = '\0';
    check_listeners(&check);
    for (uint32_t w = 0; w < wanted->upstreams.count; w++)
        check_proxies(&check, &wanted->upstreams.at[w]);
    for (uint32_t w = 0; w < wanted->upstreams.count; w++)
        for (uint32_t i = 0; i < check.is->upstreams.count; i++)
            if (strcmp(check.is->upstreams.at[i].name, wanted->upstreams.at[w].name) == 0)
                check_upstream(&check, &check.is->upstreams.at[i], &wanted->upstreams.at[w]);
    if (config_diff(check.is, wanted, check_change, &check) == UINT32_MAX)
        refuse(&check, "what it changes is not known: no memory");
    const char *lack = engine_room_lacks(&server->room, &room);
    if (lack != NULL)
        refuse(&check, "%s: more than was reserved at the start; this needs a restart", lack);
}
