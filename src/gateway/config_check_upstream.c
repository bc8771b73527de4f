/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check_upstream.c - what upstreams say: endpoints, discovery, pools, proxies, accounts.
 */
#include "base/text.h"
#include "connector/tunnel.h"
#include "gateway/config_check_parts.h"
#include "gateway/config_claw.h"
#include "gateway/config_way.h"

#include <string.h>
#include <unistd.h>

static void check_endpoints(const struct check *c, const struct config_upstream *u)
{
    uint32_t weights = 0;
    for (uint32_t i = 0; i < u->endpoints.count; i++) {
        const struct config_endpoint *e = &u->endpoints.at[i];
        weights += e->weight;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(e->name, u->endpoints.at[j].name) == 0)
                config_error(c->faults, AT(c, e->url),
                             "upstreams.endpoints.url: upstream %s has %s already", u->name,
                             e->name);
        for (uint32_t j = 0; j < c->config->listeners.count; j++) {
            const struct config_address *a = &c->config->listeners.at[j].address;
            if (a->port == e->port && strcmp(a->host, e->host) == 0)
                config_error(c->faults, AT(c, e->url),
                             "upstreams.endpoints.url: %s is listener %s of this same gateway",
                             e->url, c->config->listeners.at[j].name);
        }
    }
    if (weights == 0 && u->endpoints.count > 0)
        config_error(c->faults, AT(c, u->endpoints.at[0].weight),
                     "upstreams.endpoints.weight: upstream %s has no endpoint above zero", u->name);
}

/* Addresses are found, and certificates are of names. */
static void check_discovered_tls(const struct check *c, const struct config_upstream *u)
{
    for (uint32_t i = 0; u->tls.sni[0] == '\0' && i < u->listed.count; i++)
        if (u->discover.dns == DISCOVER_ADDRESS && strcmp(u->listed.at[i].scheme, "https") == 0) {
            config_error(
                c->faults, AT(c, u->discover.dns),
                "upstream %s: with discover.dns: address, https:// needs tls.sni: the name "
                "that the certificates are for",
                u->name);
            return;
        }
}

static void check_discover(const struct check *c, const struct config_upstream *u)
{
    bool has_file = u->discover.file[0] != '\0', has_http = u->discover.http[0] != '\0';
    int sources = (u->discover.dns != DISCOVER_OFF) + has_file + has_http;
    struct config_place here = AT(c, u->discover.dns);
    if (WRITTEN(c, u->discover.file) && has_file)
        here = AT(c, u->discover.file);
    if (WRITTEN(c, u->discover.http) && has_http)
        here = AT(c, u->discover.http);
    bool is_asked = WRITTEN(c, u->discover.interval_ms) || WRITTEN(c, u->discover.timeout_ms)
                    || WRITTEN(c, u->discover.max) || WRITTEN(c, u->discover.headers)
                    || WRITTEN(c, u->discover.ca) || WRITTEN(c, u->discover.scheme);
    if (sources > 1)
        config_error(c->faults, here, "upstream %s: discover takes one of dns, file and http",
                     u->name);
    if (sources == 0 && is_asked)
        config_error(c->faults, AT(c, u->name), "upstream %s: discover needs dns, file or http",
                     u->name);
    if (sources > 0 && u->protocol == PROTOCOL_OPENCLAW)
        config_error(c->faults, here, "upstream %s: OpenClaw gateways are not discovered", u->name);
    if (!config_check_is_url(c, u->discover.http))
        config_error(c->faults, here,
                     "upstreams.discover.http is no URL such as https://host/path");
    if (has_file && c->opens_files && access(u->discover.file, R_OK) != 0)
        config_advise(c->faults, here, "upstream %s: %s cannot be read as yet", u->name,
                      u->discover.file);
    if (u->discover.dns != DISCOVER_OFF && u->listed.count > u->discover.max)
        config_error(c->faults, AT(c, u->discover.max),
                     "upstream %s: discover.max is less than the endpoints that are written",
                     u->name);
    check_discovered_tls(c, u);
}

static void check_pool(const struct check *c, const struct config_upstream *u)
{
    const weir_pool_options *p = &u->pool;
    uint32_t min_idle = config_check_zero_of(p->min_idle);
    if (p->max_per_key != WEIR_UNLIMITED && min_idle > p->max_per_key)
        config_error(c->faults, AT(c, u->pool.min_idle),
                     "upstream %s: min_idle is above max_per_endpoint", u->name);
    else if ((uint64_t)min_idle * u->endpoints.count > p->max_total)
        config_error(c->faults, AT(c, u->pool.min_idle),
                     "upstream %s: min_idle for each endpoint is above max_connections", u->name);
    if (min_idle > config_check_zero_of(p->max_idle))
        config_error(c->faults, AT(c, u->pool.min_idle), "upstream %s: min_idle is above max_idle",
                     u->name);
    if (p->max_per_key != WEIR_UNLIMITED && p->max_per_key > p->max_total
        && WRITTEN(c, u->pool.max_per_key))
        config_advise(c->faults, AT(c, u->pool.max_per_key),
                      "upstream %s: max_per_endpoint is above max_connections and never acts",
                      u->name);
    if (p->connect_timeout_ms > p->acquire_timeout_ms)
        config_advise(c->faults, AT(c, u->pool.connect_timeout_ms),
                      "upstream %s: connect_timeout is longer than acquire_timeout, which ends it",
                      u->name);
    if (p->first_byte_timeout_ms > p->total_timeout_ms && WRITTEN(c, u->pool.first_byte_timeout_ms))
        config_advise(c->faults, AT(c, u->pool.first_byte_timeout_ms),
                      "upstream %s: first_byte_timeout is longer than total_timeout, which ends it",
                      u->name);
    if (config_check_zero_of(p->size_min) > p->max_per_key)
        config_error(c->faults, AT(c, u->pool.size_min),
                     "upstream %s: size_min is above max_per_endpoint", u->name);
    if (p->concurrency_min > p->concurrency_max)
        config_error(c->faults, AT(c, u->pool.concurrency_min),
                     "upstream %s: concurrency_min is above concurrency_max", u->name);
    if (p->retry_first_ms > p->retry_cap_ms)
        config_error(c->faults, AT(c, u->pool.retry_first_ms),
                     "upstream %s: retry_first is longer than retry_cap", u->name);
}

static void check_health(const struct check *c, const struct config_upstream *u)
{
    bool asked = WRITTEN(c, u->health.interval_ms) || WRITTEN(c, u->health.timeout_ms)
                 || WRITTEN(c, u->health.failures) || WRITTEN(c, u->health.recovery_ms);
    if (asked && u->health.path[0] == '\0')
        config_error(c->faults, AT(c, u->name), "upstream %s: health needs a path", u->name);
    if (u->health.path[0] != '\0' && u->health.timeout_ms > u->health.interval_ms)
        config_advise(c->faults, AT(c, u->health.timeout_ms),
                      "upstream %s: health.timeout is longer than health.interval", u->name);
}

static void check_announced(const struct check *c, const struct config_upstream *u)
{
    if (u->proxy_protocol != 0
        && (u->warm != WARM_OFF || config_check_zero_of(u->pool.min_idle) > 0))
        config_advise(c->faults, AT(c, u->proxy_protocol),
                      "upstream %s: with proxy_protocol a connection is made for one client: those "
                      "of warm and min_idle serve nobody",
                      u->name);
}

static void check_openclaw(const struct check *c, const struct config_upstream *u)
{
    bool asked = WRITTEN(c, u->openclaw.token) || WRITTEN(c, u->openclaw.password)
                 || WRITTEN(c, u->openclaw.identity) || WRITTEN(c, u->openclaw.path)
                 || WRITTEN(c, u->openclaw.requests_max) || WRITTEN(c, u->openclaw.message_max)
                 || WRITTEN(c, u->openclaw.request_timeout_ms);
    if (asked && u->protocol != PROTOCOL_OPENCLAW)
        config_error(c->faults, AT(c, u->name), "upstream %s: openclaw needs protocol: openclaw",
                     u->name);
    if (u->protocol == PROTOCOL_OPENCLAW && u->proxy_protocol != 0)
        config_error(c->faults, AT(c, u->proxy_protocol),
                     "upstream %s: OpenClaw gateways take no PROXY header", u->name);
}

/* Its text is a secret: what is wrong is said without it. */
static void check_proxy(const struct check *c, const struct config_upstream *u)
{
    struct proxy proxy;
    if (u->proxy[0] != '\0' && !proxy_parse(slice_of(u->proxy), &proxy))
        config_error(c->faults, AT(c, u->proxy),
                     "upstream %s: proxy must be socks5://host:port, http://host:port or "
                     "https://host:port, with user:password@ before the host if it wants them, "
                     "%%-escaped",
                     u->name);
}

static bool names_proxy(const struct config_upstream *u, const char *proxy)
{
    bool is_named = strcmp(u->proxy, proxy) == 0;
    for (uint32_t i = 0; i < u->accounts.count; i++)
        is_named |= strcmp(u->accounts.at[i].proxy, proxy) == 0;
    return is_named && proxy[0] != '\0';
}

/* One proxy has one limit. */
static void check_proxy_limits(const struct check *c, uint32_t index)
{
    const struct config_upstream *u = &c->config->upstreams.at[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct config_upstream *other = &c->config->upstreams.at[i];
        bool is_shared = names_proxy(other, u->proxy);
        for (uint32_t k = 0; k < u->accounts.count; k++)
            is_shared |= names_proxy(other, u->accounts.at[k].proxy);
        bool is_same = u->proxy_limits.connecting_max == other->proxy_limits.connecting_max
                       && u->proxy_limits.max_connections == other->proxy_limits.max_connections;
        if (is_shared && !is_same) {
            config_error(c->faults, AT(c, u->proxy),
                         "upstream %s: its proxy has other proxy_limits in upstream %s", u->name,
                         other->name);
            return;
        }
    }
}

static void check_account(const struct check *c, const struct config_upstream *u, uint32_t index)
{
    const struct config_account *a = &u->accounts.at[index];
    struct proxy proxy;
    for (uint32_t j = 0; j < index; j++)
        if (strcmp(a->name, u->accounts.at[j].name) == 0)
            config_error(c->faults, AT(c, a->name),
                         "upstreams.accounts.name: upstream %s has %s already", u->name, a->name);
    for (uint32_t j = 0; j < a->headers.count; j++)
        if (slice_is_nocase(slice_of(a->headers.at[j].name), "host"))
            config_error(c->faults, AT(c, a->name),
                         "upstream %s: account %s: Host is not a credential; a route's "
                         "request_headers may set it",
                         u->name, a->name);
    if (a->proxy[0] != '\0' && !proxy_parse(slice_of(a->proxy), &proxy))
        config_error(c->faults, AT(c, a->proxy),
                     "upstream %s: account %s: proxy must be socks5://host:port, "
                     "http://host:port or https://host:port, with user:password@ before the host "
                     "if it wants them, %%-escaped",
                     u->name, a->name);
    if (a->proxy[0] != '\0' && u->health.path[0] != '\0' && config_way_of_check(u, 0)[0] == '\0')
        config_advise(c->faults, AT(c, a->proxy),
                      "upstream %s: health checks belong to no account and go without this proxy",
                      u->name);
}

/* A gateway knows a device by the token that it gave to it last. */
static void check_device(const struct check *c, const struct config_upstream *u, uint32_t index)
{
    const struct config_account *a = &u->accounts.at[index];
    const char *file = config_claw_of(u, index).identity;
    for (uint32_t j = 0; j < index && file[0] != '\0'; j++)
        if (strcmp(file, config_claw_of(u, j).identity) == 0) {
            config_error(c->faults, AT(c, a->name),
                         "upstream %s: accounts %s and %s would be one device: give each an "
                         "openclaw.identity of its own",
                         u->name, u->accounts.at[j].name, a->name);
            return;
        }
}

static void check_claw(const struct check *c, const struct config_upstream *u, uint32_t index)
{
    const struct config_account *a = &u->accounts.at[index];
    bool asked = a->openclaw.token[0] != '\0' || a->openclaw.password[0] != '\0'
                 || a->openclaw.identity[0] != '\0';
    if (u->protocol == PROTOCOL_OPENCLAW)
        check_device(c, u, index);
    else if (asked)
        config_error(c->faults, AT(c, a->name),
                     "upstream %s: account %s: openclaw needs protocol: openclaw", u->name,
                     a->name);
}

static void check_accounts(const struct check *c, const struct config_upstream *u)
{
    uint32_t weights = 0;
    for (uint32_t i = 0; i < u->accounts.count; i++) {
        weights += u->accounts.at[i].weight;
        check_account(c, u, i);
        check_claw(c, u, i);
    }
    if (u->accounts.count == 0)
        return;
    if (weights == 0)
        config_error(c->faults, AT(c, u->accounts.at[0].weight),
                     "upstreams.accounts.weight: upstream %s has no account above zero", u->name);
    if (u->proxy_protocol != 0)
        config_error(c->faults, AT(c, u->accounts.at[0].name),
                     "upstream %s: accounts do not go with proxy_protocol", u->name);
}

void config_check_upstreams(const struct check *c)
{
    for (uint32_t i = 0; i < c->config->upstreams.count; i++) {
        const struct config_upstream *u = &c->config->upstreams.at[i];
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(u->name, c->config->upstreams.at[j].name) == 0)
                config_error(c->faults, AT(c, u->name),
                             "upstreams.name: %s is taken by the upstream in line %u", u->name,
                             AT(c, c->config->upstreams.at[j].name).line);
        check_endpoints(c, u);
        check_discover(c, u);
        check_accounts(c, u);
        check_pool(c, u);
        check_health(c, u);
        config_check_upstream_tls(c, u);
        check_announced(c, u);
        check_openclaw(c, u);
        check_proxy(c, u);
        config_check_proxy_tls(c, u);
        check_proxy_limits(c, i);
    }
}
