/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check_route.c - routes: where they lead, what they ask of it, and those that nothing
 * reaches.
 */
#include "base/text.h"
#include "gateway/affinity.h"
#include "gateway/config_arena.h"
#include "gateway/config_check_parts.h"

#include <string.h>

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

void config_check_routes(const struct check *c, struct config_listener *listener)
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
