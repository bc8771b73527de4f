/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check.c - the checks, one function each, in their order; those of certificates, upstreams
 * and routes are files of their own.
 *
 * An error is what the program could not do; advice is what it will do, though it is probably not
 * what was meant.
 */
#include "base/text.h"
#include "gateway/config_address.h"
#include "gateway/config_arena.h"
#include "gateway/config_check_parts.h"
#include "gateway/config_found.h"
#include "gateway/config_sessions.h"
#include "proto/url.h"

#include <string.h>

static void check_admin(const struct check *c);
static void check_posts(const struct check *c);
static void check_listeners(const struct check *c);
static void check_clients(const struct check *c);
static void check_use(const struct check *c);

void config_check(struct config *config, const struct config_places *places, bool opens_files,
                  struct config_faults *faults)
{
    struct check c = {config, places, faults, opens_files};
    check_admin(&c);
    check_posts(&c);
    config_check_upstreams(&c);
    check_clients(&c);
    check_listeners(&c);
    for (uint32_t i = 0; i < config->listeners.count; i++)
        config_check_routes(&c, &config->listeners.at[i]);
    config_check_sessions(config, places, opens_files, faults);
    check_use(&c);
}

/* --- admin ---------------------------------------------------------------------------------------
 */

static void check_admin(const struct check *c)
{
    const struct config_address *address = &c->config->admin.address;
    bool off = address->host[0] == '\0' && address->unix_path[0] == '\0';
    if (!off && !config_address_is_local(address) && c->config->admin.token[0] == '\0')
        config_error(c->faults, AT(c, c->config->admin.address),
                     "admin.address: %s can be reached from elsewhere and needs admin.token",
                     address->text);
    if (c->config->admin.viewer_token[0] != '\0' && c->config->admin.token[0] == '\0')
        config_error(c->faults, AT(c, c->config->admin.viewer_token),
                     "admin.viewer_token: without admin.token everybody may do everything");
    else if (c->config->admin.viewer_token[0] != '\0'
             && strcmp(c->config->admin.viewer_token, c->config->admin.token) == 0)
        config_error(c->faults, AT(c, c->config->admin.viewer_token),
                     "admin.viewer_token: admin.token is the same, and nobody could do anything");
}

/* --- who is posted to
 * --------------------------------------------------------------------------------------
 */

/* "" is none. */
bool config_check_is_url(const struct check *c, const char *text)
{
    struct url url;
    if (text[0] == '\0')
        return true;
    char *room = config_arena_take(c->config->arena, url_room(slice_of(text)));
    return room == NULL || url_parse(slice_of(text), room, &url);
}

static void check_posts(const struct check *c)
{
    if (!config_check_is_url(c, c->config->alerts.webhook.url))
        config_error(c->faults, AT(c, c->config->alerts.webhook.url),
                     "alerts.webhook is no URL such as https://host/path");
    if (!config_check_is_url(c, c->config->log.otlp.url))
        config_error(c->faults, AT(c, c->config->log.otlp.url),
                     "log.otlp.url is no URL such as http://127.0.0.1:4318/v1/traces");
}

/* --- listeners -----------------------------------------------------------------------------------
 */

static bool same_address(const struct config_address *a, const struct config_address *b)
{
    if (a->unix_path[0] != '\0' || b->unix_path[0] != '\0')
        return strcmp(a->unix_path, b->unix_path) == 0;
    return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void check_listener_alone(const struct check *c, const struct config_listener *l)
{
    if (l->address.unix_path[0] != '\0')
        config_error(c->faults, AT(c, l->address), "listeners.address: a listener needs a port");
    if (same_address(&l->address, &c->config->admin.address))
        config_error(c->faults, AT(c, l->address), "listeners.address: %s is admin.address as well",
                     l->address.text);
    if (l->routes.count == 0)
        config_advise(c->faults, AT(c, l->name), "listener %s has no routes: every request is 404",
                      l->name);
    if (l->pool.headers_timeout_ms > l->pool.request_timeout_ms)
        config_advise(c->faults, AT(c, l->pool.headers_timeout_ms),
                      "listener %s: headers_timeout is longer than request_timeout, which ends it",
                      l->name);
    if (l->proxy_protocol != HEADER_OFF && l->trusted_proxies.count == 0)
        config_advise(c->faults, AT(c, l->proxy_protocol),
                      "listener %s: proxy_protocol without trusted_proxies: only this machine is "
                      "believed",
                      l->name);
    if (l->pool.max_per_ip > l->pool.max_connections)
        config_advise(c->faults, AT(c, l->pool.max_per_ip),
                      "listener %s: max_per_ip is above max_connections and never acts", l->name);
}

static void check_listeners(const struct check *c)
{
    const struct config *config = c->config;
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        check_listener_alone(c, l);
        config_check_listener_tls(c, l);
        for (uint32_t j = 0; j < i; j++) {
            const struct config_listener *other = &config->listeners.at[j];
            if (strcmp(l->name, other->name) == 0)
                config_error(c->faults, AT(c, l->name),
                             "listeners.name: %s is taken by the listener in line %u", l->name,
                             AT(c, other->name).line);
            if (same_address(&l->address, &other->address))
                config_error(c->faults, AT(c, l->address),
                             "listeners.address: %s is the address of listener %s as well",
                             l->address.text, other->name);
        }
    }
}

/* --- clients -------------------------------------------------------------------------------------
 */

static void check_clients(const struct check *c)
{
    static const struct config_digest nothing = {{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                                  0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                                  0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
                                                  0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}};
    for (uint32_t i = 0; i < c->config->clients.count; i++) {
        const struct config_client *it = &c->config->clients.at[i];
        if (memcmp(&it->sha256, &nothing, sizeof(nothing)) == 0)
            config_error(c->faults, AT(c, it->sha256),
                         "clients.sha256: client %s: this is the hash of no key at all", it->name);
        for (uint32_t j = 0; j < i; j++) {
            const struct config_client *other = &c->config->clients.at[j];
            if (strcmp(it->name, other->name) == 0)
                config_error(c->faults, AT(c, it->name),
                             "clients.name: %s is taken by the client in line %u", it->name,
                             AT(c, other->name).line);
            if (memcmp(&it->sha256, &other->sha256, sizeof(it->sha256)) == 0)
                config_error(c->faults, AT(c, it->sha256),
                             "clients.sha256: client %s has the key of client %s", it->name,
                             other->name);
        }
    }
}

/* --- all together
 * --------------------------------------------------------------------------------- */

static bool is_used(const struct config *config, uint32_t upstream)
{
    for (uint32_t i = 0; i < config->listeners.count; i++)
        for (uint32_t j = 0; j < config->listeners.at[i].routes.count; j++)
            if (config->listeners.at[i].routes.at[j].upstream == upstream)
                return true;
    return false;
}

/* A pool and its queue against the clients that one listener lets in. */
static void check_use(const struct check *c)
{
    const struct config *config = c->config;
    uint64_t clients = 0;
    for (uint32_t i = 0; i < config->listeners.count; i++)
        clients += config->listeners.at[i].pool.max_connections;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *u = &config->upstreams.at[i];
        uint64_t room = u->pool.max_total;
        if (u->pool.max_per_key != WEIR_UNLIMITED && !config_discovers(u)
            && (uint64_t)u->pool.max_per_key * u->endpoints.count < room)
            room = (uint64_t)u->pool.max_per_key * u->endpoints.count;
        room += config_check_zero_of(u->pool.waiting_max);
        if (c->faults->errors == 0 && !is_used(config, i))
            config_advise(c->faults, AT(c, u->name), "no route leads to upstream %s", u->name);
        else if (room < clients)
            config_advise(
                c->faults, AT(c, u->name),
                "upstream %s serves and queues %llu requests at a time, its listeners let "
                "%llu clients in: the rest get 503",
                u->name, (unsigned long long)room, (unsigned long long)clients);
    }
}
