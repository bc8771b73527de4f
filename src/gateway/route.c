/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>

enum host_kind { HOST_EXACT, HOST_BELOW, HOST_ANY };

struct rule {
    enum host_kind kind;
    struct slice host; /* HOST_BELOW: with its leading dot */
    struct slice path;
    const struct config_route *route;
    uint32_t index;
    bool plain;       /* nothing but host and path to look at */
    uint32_t methods; /* a bit per enum http_method; 0: all */
    bool odd_methods; /* methods that have no number are asked for */
};

struct routes {
    uint32_t count;
    struct rule rules[];
};

static struct rule rule_of(const struct config_route *route, uint32_t index);
static int by_specificity(const void *left, const void *right);
static bool host_matches(const struct rule *rule, struct slice host);
static bool path_matches(struct slice prefix, struct slice path);
static bool conditions_match(const struct rule *rule, const struct http_head *head);

int routes_new(const struct config_listener *listener, struct routes **ret_routes)
{
    uint32_t count = listener->routes.count;
    struct routes *routes = alloc_zeroed(&alloc_libc, sizeof *routes + count * sizeof(struct rule));
    if (routes == NULL) {
        return -ENOMEM;
    }
    routes->count = count;
    for (uint32_t i = 0; i < count; i++) {
        routes->rules[i] = rule_of(&listener->routes.at[i], i);
    }
    if (count > 1) {
        qsort(routes->rules, count, sizeof(struct rule), by_specificity);
    }
    *ret_routes = routes;
    return 0;
}

void routes_free(struct routes *take_routes)
{
    alloc_free(&alloc_libc, take_routes);
}

uint32_t routes_match(const struct routes *routes, const struct http_head *head)
{
    struct slice host = route_host_of(head->authority);
    struct slice path = route_path_of(head->path);
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct rule *rule = &routes->rules[i];
        if (host_matches(rule, host) && path_matches(rule->path, path)
            && (rule->plain || conditions_match(rule, head))) {
            return rule->index;
        }
    }
    return ROUTE_NONE;
}

struct slice route_host_of(struct slice authority)
{
    if (authority.len > 0 && authority.at[0] == '[') {
        return slice_sub(authority, 1, slice_find(authority, ']'));
    }
    return slice_sub(authority, 0, slice_find(authority, ':'));
}

struct slice route_path_of(struct slice path)
{
    return slice_sub(path, 0, slice_find(path, '?'));
}

static struct rule rule_of(const struct config_route *route, uint32_t index)
{
    struct rule rule = {.route = route, .index = index, .path = slice_of(route->match.path)};
    struct slice host = slice_of(route->match.host);
    if (slice_is(host, "*") || host.len == 0) {
        rule.kind = HOST_ANY;
    } else if (slice_starts(host, SLICE("*."))) {
        rule.kind = HOST_BELOW;
        rule.host = slice_sub(host, 1, host.len);
    } else {
        rule.host = host.at[0] == '[' ? route_host_of(host) : host;
    }
    for (uint32_t i = 0; i < route->match.method.count; i++) {
        enum http_method method = http_method_of(slice_of(route->match.method.at[i]));
        if (method == HTTP_METHOD_OTHER) {
            rule.odd_methods = true;
        } else {
            rule.methods |= 1U << method;
        }
    }
    rule.plain = route->match.method.count == 0 && route->match.header.count == 0;
    return rule;
}

static uint32_t conditions_of(const struct rule *rule)
{
    return rule->route->match.header.count + (rule->route->match.method.count > 0 ? 1 : 0);
}

static int by_specificity(const void *left, const void *right)
{
    const struct rule *a = left, *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->host.len != b->host.len) {
        return a->host.len > b->host.len ? -1 : 1;
    }
    if (a->path.len != b->path.len) {
        return a->path.len > b->path.len ? -1 : 1;
    }
    if (conditions_of(a) != conditions_of(b)) {
        return conditions_of(a) > conditions_of(b) ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

static bool host_matches(const struct rule *rule, struct slice host)
{
    switch (rule->kind) {
    case HOST_ANY: return true;
    case HOST_BELOW:
        return host.len > rule->host.len
               && slice_same_nocase(slice_sub(host, host.len - rule->host.len, host.len),
                                    rule->host);
    case HOST_EXACT: break;
    }
    return slice_same_nocase(host, rule->host);
}

/* "/api" matches "/api" and "/api/x", not "/apis"; "/api/" matches what is below it. */
static bool path_matches(struct slice prefix, struct slice path)
{
    if (prefix.len == 1 || prefix.len == 0) {
        return true; /* "/": also "*" of OPTIONS */
    }
    return slice_starts(path, prefix)
           && (path.len == prefix.len || path.at[prefix.len] == '/'
               || prefix.at[prefix.len - 1] == '/');
}

static bool method_matches(const struct rule *rule, const struct http_head *head)
{
    const struct config_texts *method = &rule->route->match.method;
    if (method->count == 0 || (rule->methods >> head->method_id & 1) != 0) {
        return true;
    }
    for (uint32_t i = 0; rule->odd_methods && i < method->count; i++) {
        if (slice_is(head->method, method->at[i])) {
            return true;
        }
    }
    return false;
}

static bool has_field(const struct http_head *head, const struct config_field *wanted)
{
    struct slice name = slice_of(wanted->name);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (slice_same_nocase(field->name, name)
            && (slice_is(slice_of(wanted->value), "*") || slice_is(field->value, wanted->value))) {
            return true;
        }
    }
    return false;
}

static bool conditions_match(const struct rule *rule, const struct http_head *head)
{
    if (!method_matches(rule, head)) {
        return false;
    }
    const struct config_fields *header = &rule->route->match.header;
    for (uint32_t i = 0; i < header->count; i++) {
        if (!has_field(head, &header->at[i])) {
            return false;
        }
    }
    return true;
}
