/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check.c - the checks, one function each, and the places they point at.
 *
 * An error is what the program could not do; advice is what it will do, though it is probably not
 * what was meant.
 */
#include "gateway/config_check.h"

#include "base/text.h"
#include "connector/tunnel.h"
#include "gateway/affinity.h"
#include "gateway/config_address.h"
#include "gateway/config_arena.h"
#include "gateway/config_claw.h"
#include "gateway/config_found.h"
#include "gateway/config_sessions.h"
#include "gateway/config_way.h"
#include "gateway/secure.h"
#include "io/clock.h"
#include "proto/url.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define PLACE_BUCKETS 1024

struct config_places {
    struct config_arena *arena;
    struct place_entry {
        const void *field;
        struct config_place place;
        struct place_entry *next;
    } * buckets[PLACE_BUCKETS];
    struct config_place file; /* of the first one: the root */
};

/* One run of the checks. */
struct check {
    struct config *config;
    const struct config_places *places;
    struct config_faults *faults;
    bool opens_files;
};

static void check_admin(const struct check *c);
static void check_posts(const struct check *c);
static void check_listeners(const struct check *c);
static void check_upstreams(const struct check *c);
static void check_routes(const struct check *c, struct config_listener *listener);
static void check_clients(const struct check *c);
static void check_use(const struct check *c);

void config_check(struct config *config, const struct config_places *places, bool opens_files,
                  struct config_faults *faults)
{
    struct check c = {config, places, faults, opens_files};
    check_admin(&c);
    check_posts(&c);
    check_upstreams(&c);
    check_clients(&c);
    check_listeners(&c);
    for (uint32_t i = 0; i < config->listeners.count; i++)
        check_routes(&c, &config->listeners.at[i]);
    config_check_sessions(config, places, opens_files, faults);
    check_use(&c);
}

/* --- places --------------------------------------------------------------------------------------
 */

static size_t bucket_of(const void *field)
{
    return ((uintptr_t)field / 8) * UINT64_C(0x9e3779b97f4a7c15) >> 54;
}

struct config_places *config_places_new(struct config_arena *arena)
{
    struct config_places *places = config_arena_take(arena, sizeof(*places));
    if (places == NULL)
        return NULL;
    places->arena = arena;
    return places;
}

void config_places_add(struct config_places *places, const void *field, struct config_place place)
{
    struct place_entry *entry = config_arena_take(places->arena, sizeof(*entry));
    size_t bucket = bucket_of(field);
    if (entry == NULL)
        return;
    *entry = (struct place_entry){field, place, places->buckets[bucket]};
    places->buckets[bucket] = entry;
    if (places->file.file == NULL)
        places->file = place;
}

static const struct place_entry *place_find(const struct config_places *places, const void *field)
{
    const struct place_entry *e = places->buckets[bucket_of(field)];
    while (e != NULL && e->field != field)
        e = e->next;
    return e;
}

bool config_places_has(const struct config_places *places, const void *field)
{
    return place_find(places, field) != NULL;
}

struct config_place config_places_of(const struct config_places *places, const void *field)
{
    const struct place_entry *entry = place_find(places, field);
    return entry != NULL ? entry->place : places->file;
}

#define AT(c, field)      config_places_of((c)->places, &(field))
#define WRITTEN(c, field) config_places_has((c)->places, &(field))

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
static bool is_url(const struct check *c, const char *text)
{
    struct url url;
    if (text[0] == '\0')
        return true;
    char *room = config_arena_take(c->config->arena, url_room(slice_of(text)));
    return room == NULL || url_parse(slice_of(text), room, &url);
}

static void check_posts(const struct check *c)
{
    if (!is_url(c, c->config->alerts.webhook.url))
        config_error(c->faults, AT(c, c->config->alerts.webhook.url),
                     "alerts.webhook is no URL such as https://host/path");
    if (!is_url(c, c->config->log.otlp.url))
        config_error(c->faults, AT(c, c->config->log.otlp.url),
                     "log.otlp.url is no URL such as http://127.0.0.1:4318/v1/traces");
}

/* --- certificates --------------------------------------------------------------------------------
 */

#define EXPIRY_ADVICE_S ((int64_t)30 * 86400)

/* Where the path of a file was written. */
static struct config_place place_of_file(const struct check *c, const char *file,
                                         const char *const *fields[], uint32_t count,
                                         struct config_place otherwise)
{
    for (uint32_t i = 0; i < count; i++)
        if (*fields[i] == file)
            return config_places_of(c->places, fields[i]);
    return otherwise;
}

static void advise_certificate(const struct check *c, const char *whose, const char *name,
                               const struct tls_certificate *seen, struct config_place place)
{
    int64_t left_s = seen->not_after_s - (int64_t)(clock_wall_ms() / 1000);
    int64_t until_s = seen->not_before_s - (int64_t)(clock_wall_ms() / 1000);
    if (left_s < 0)
        config_advise(c->faults, place, "%s %s: the certificate in %s expired %lld days ago", whose,
                      name, seen->file, (long long)(-left_s / 86400));
    else if (left_s < EXPIRY_ADVICE_S)
        config_advise(c->faults, place, "%s %s: the certificate in %s expires in %lld days", whose,
                      name, seen->file, (long long)(left_s / 86400));
    if (until_s > 0)
        config_advise(c->faults, place, "%s %s: the certificate in %s is not valid yet", whose,
                      name, seen->file);
    if (seen->weakness != NULL)
        config_advise(c->faults, place, "%s %s: the certificate in %s is weak: %s", whose, name,
                      seen->file, seen->weakness);
}

static void advise_profile(const struct check *c, const char *whose, const char *name,
                           struct tls_profile *profile, struct config_place place)
{
    for (uint32_t i = 0; i < tls_profile_certificates(profile); i++) {
        struct tls_certificate seen;
        tls_profile_certificate(profile, i, &seen);
        advise_certificate(c, whose, name, &seen, place);
    }
    tls_profile_free(profile);
}

static void check_listener_tls(const struct check *c, const struct config_listener *l)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    struct config_place here = AT(c, l->tls.is_on);
    if (!l->tls.is_on)
        return;
    if (l->tls.pair.certificate[0] == '\0' || l->tls.pair.key[0] == '\0') {
        config_error(c->faults, here, "listener %s: tls needs a certificate and a key", l->name);
        return;
    }
    if (!c->opens_files)
        return;
    const char *const *fields[3 + 2 * 255] = {&l->tls.pair.certificate, &l->tls.pair.key,
                                              &l->tls.client_ca};
    for (uint32_t i = 0; i < l->tls.certificates.count; i++) {
        fields[3 + 2 * i] = &l->tls.certificates.at[i].certificate;
        fields[4 + 2 * i] = &l->tls.certificates.at[i].key;
    }
    if (secure_listener_profile(l, &profile, &fault) == 0)
        advise_profile(c, "listener", l->name, profile, here);
    else
        config_error(c->faults,
                     place_of_file(c, fault.file, fields, 3 + 2 * l->tls.certificates.count, here),
                     "listener %s: %s", l->name, fault.text);
}

static void check_upstream_tls(const struct check *c, const struct config_upstream *u)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    const char *const *fields[] = {&u->tls.ca, &u->tls.pair.certificate, &u->tls.pair.key};
    bool has_certificate = u->tls.pair.certificate[0] != '\0';
    if (has_certificate != (u->tls.pair.key[0] != '\0')) {
        config_error(c->faults,
                     has_certificate ? AT(c, u->tls.pair.certificate) : AT(c, u->tls.pair.key),
                     "upstream %s: a certificate needs a key, and a key its certificate", u->name);
        return;
    }
    if (!secure_is_needed(u)) {
        for (uint32_t i = 0; i < 3; i++)
            if ((*fields[i])[0] != '\0')
                config_advise(c->faults, config_places_of(c->places, fields[i]),
                              "upstream %s: tls is for https://, and no endpoint is", u->name);
        return;
    }
    if (u->tls.verify == WEIR_OFF)
        config_advise(
            c->faults, AT(c, u->tls.verify),
            "upstream %s: whoever stands between can read and change everything: verify is "
            "false",
            u->name);
    if (!c->opens_files)
        return;
    if (secure_upstream_profile(u, &profile, &fault) == 0)
        advise_profile(c, "upstream", u->name, profile, AT(c, u->tls.pair.certificate));
    else
        config_error(c->faults, place_of_file(c, fault.file, fields, 3, AT(c, u->name)),
                     "upstream %s: %s", u->name, fault.text);
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
        check_listener_tls(c, l);
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

/* --- upstreams -----------------------------------------------------------------------------------
 */

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
    if (!is_url(c, u->discover.http))
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

static uint32_t zero_of(uint32_t number)
{
    return number == WEIR_NONE ? 0 : number;
}

static void check_pool(const struct check *c, const struct config_upstream *u)
{
    const weir_pool_options *p = &u->pool;
    uint32_t min_idle = zero_of(p->min_idle);
    if (p->max_per_key != WEIR_UNLIMITED && min_idle > p->max_per_key)
        config_error(c->faults, AT(c, u->pool.min_idle),
                     "upstream %s: min_idle is above max_per_endpoint", u->name);
    else if ((uint64_t)min_idle * u->endpoints.count > p->max_total)
        config_error(c->faults, AT(c, u->pool.min_idle),
                     "upstream %s: min_idle for each endpoint is above max_connections", u->name);
    if (min_idle > zero_of(p->max_idle))
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
    if (zero_of(p->size_min) > p->max_per_key)
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
    if (u->proxy_protocol != 0 && (u->warm != WARM_OFF || zero_of(u->pool.min_idle) > 0))
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

static void check_proxy_tls(const struct check *c, const struct config_upstream *u)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    const char *const *fields[] = {&u->proxy_tls.ca, &u->proxy_tls.sni};
    if (!secure_is_needed_by_proxy(u)) {
        for (uint32_t i = 0; i < 2; i++)
            if ((*fields[i])[0] != '\0')
                config_advise(c->faults, config_places_of(c->places, fields[i]),
                              "upstream %s: proxy_tls is for a proxy of https://", u->name);
        return;
    }
    if (!c->opens_files)
        return;
    if (secure_proxy_profile(u, &profile, &fault) == 0)
        advise_profile(c, "proxy of upstream", u->name, profile, AT(c, u->proxy));
    else
        config_error(c->faults, place_of_file(c, fault.file, fields, 1, AT(c, u->proxy)),
                     "upstream %s: %s", u->name, fault.text);
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

static void check_upstreams(const struct check *c)
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
        check_upstream_tls(c, u);
        check_announced(c, u);
        check_openclaw(c, u);
        check_proxy(c, u);
        check_proxy_tls(c, u);
        check_proxy_limits(c, i);
    }
}

/* --- routes --------------------------------------------------------------------------------------
 */

static void find_upstream(const struct check *c, struct config_route *route)
{
    const struct config *config = c->config;
    const char **names = config_arena_take(config->arena,
                                           (config->upstreams.count + 1) * sizeof(*names));
    if (names == NULL)
        return;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        names[i] = config->upstreams.at[i].name;
        if (strcmp(names[i], route->upstream_name) == 0) {
            route->upstream = i;
            return;
        }
    }
    const char *near = text_did_you_mean(slice_of(route->upstream_name), names,
                                         config->upstreams.count);
    config_error(c->faults, AT(c, route->upstream_name),
                 "listeners.routes.upstream: there is no upstream %s%s%s%s", route->upstream_name,
                 near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                 near != NULL ? "?" : "");
}

static bool host_covers(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    if (strcmp(a, "*") == 0 || strcmp(a, b) == 0)
        return true;
    return a[0] == '*' && b_len >= a_len && strcmp(b + b_len - (a_len - 1), a + 1) == 0;
}

static bool path_covers(const char *a, const char *b)
{
    size_t len = strlen(a);
    if (strncmp(a, b, len) != 0)
        return false;
    return a[len - 1] == '/' || b[len] == '\0' || b[len] == '/' || b[len] == '?';
}

static bool method_in(const struct config_texts *texts, const char *method)
{
    for (uint32_t i = 0; i < texts->count; i++)
        if (strcmp(texts->at[i], method) == 0)
            return true;
    return false;
}

static bool methods_cover(const struct config_texts *a, const struct config_texts *b)
{
    if (a->count == 0)
        return true;
    for (uint32_t i = 0; i < b->count; i++)
        if (!method_in(a, b->at[i]))
            return false;
    return b->count > 0;
}

static bool field_in(const struct config_fields *fields, const struct config_field *field)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_is_nocase(slice_of(fields->at[i].name), field->name)
            && (strcmp(field->value, "*") == 0 || strcmp(fields->at[i].value, field->value) == 0))
            return true;
    return false;
}

/* True when whatever matches b matches a. */
static bool route_covers(const struct config_route *a, const struct config_route *b)
{
    for (uint32_t i = 0; i < a->match.header.count; i++)
        if (!field_in(&b->match.header, &a->match.header.at[i]))
            return false;
    return host_covers(a->match.host, b->match.host) && path_covers(a->match.path, b->match.path)
           && methods_cover(&a->match.method, &b->match.method);
}

static bool is_for_accounts(const struct check *c, const struct config_route *route)
{
    const struct config *config = c->config;
    return route->upstream < config->upstreams.count
           && config->upstreams.at[route->upstream].accounts.count > 0;
}

static void check_affinity(const struct check *c, const struct config_route *route)
{
    const struct config *config = c->config;
    const struct config_texts *sources = &route->affinity.sources;
    if (!route->affinity.is_on)
        return;
    for (uint32_t i = 0; i < sources->count; i++)
        if (!affinity_source_is_known(sources->at[i]))
            config_error(c->faults, AT(c, route->affinity.sources),
                         "listeners.routes.affinity.sources: %.80s is none of session_header, "
                         "openai, anthropic, content, address, header:NAME, cookie:NAME",
                         sources->at[i]);
    if (sources->count == 0)
        config_error(c->faults, AT(c, route->affinity.sources),
                     "listeners.routes.affinity.sources: there is none");
    if (route->upstream < config->upstreams.count
        && config->upstreams.at[route->upstream].accounts.count == 0
        && config->upstreams.at[route->upstream].balance != BALANCE_HASH)
        config_advise(c->faults, AT(c, route->affinity.sources),
                      "upstream %s has no accounts, and its balance is not hash: affinity chooses "
                      "nothing there",
                      route->upstream_name);
}

/* A conversation's connections are leased by requests, and are nobody else's. */
static void check_isolation(const struct check *c, const struct config_route *route)
{
    const struct config *config = c->config;
    if (route->isolate != ISOLATE_SESSION)
        return;
    if (!route->affinity.is_on)
        config_error(c->faults, AT(c, route->isolate),
                     "isolate: session needs affinity, which says what a session is");
    if (route->upstream < config->upstreams.count
        && (config->upstreams.at[route->upstream].protocol == PROTOCOL_OPENCLAW
            || config->upstreams.at[route->upstream].proxy_protocol != 0))
        config_error(c->faults, AT(c, route->isolate),
                     "upstream %s: isolate: session goes with neither protocol: openclaw nor "
                     "proxy_protocol",
                     route->upstream_name);
}

static void check_routes(const struct check *c, struct config_listener *listener)
{
    for (uint32_t i = 0; i < listener->routes.count; i++) {
        struct config_route *route = &listener->routes.at[i];
        find_upstream(c, route);
        if (!WRITTEN(c, route->affinity.ttl_ms))
            route->affinity.ttl_ms = c->config->sessions.affinity_ttl_ms;
        check_affinity(c, route);
        check_isolation(c, route);
        if (is_for_accounts(c, route) && !WRITTEN(c, route->forwarded))
            route->forwarded = FORWARDED_OFF; /* whose requests these are is nobody's business */
        for (uint32_t j = 0; j < i; j++) {
            if (!route_covers(&listener->routes.at[j], route))
                continue;
            config_advise(c->faults, AT(c, *route),
                          "listener %s: no request reaches this route; the one in line %u matches "
                          "all of them",
                          listener->name, AT(c, listener->routes.at[j]).line);
            break;
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
        room += zero_of(u->pool.waiting_max);
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
