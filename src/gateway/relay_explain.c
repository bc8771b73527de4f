/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_explain.c - the way of a request that is not there.
 *
 *     listener ─▶ route ─▶ client ─▶ conversation ─▶ account ─▶ endpoint ─▶ key
 *
 * Each step writes what it found, and a reason for people; the first that leads nowhere is the end.
 */
#include "gateway/relay_explain.h"

#include "base/bytes.h"
#include "base/check.h"
#include "gateway/relay_parts.h"
#include "gateway/steer.h"
#include "io/loop.h"

#include <stdio.h>

#define REASONS_MAX 16U
#define ROWS_MAX    256U /* endpoints that are listed */

struct answer {
    struct relay *relay;
    const struct relay_question *question;
    struct json *json;
    char reasons[REASONS_MAX][256];
    uint32_t reasons_count;

    struct http_field fields[QUESTION_HEADERS_MAX + 1];
    char cookie[320];
    struct http_head head;
    const struct lane *lane;
    uint32_t route;
    struct upstream *upstream;
    uint32_t client; /* CLIENT_NOBODY: none */
    bool has_session, is_bound;
    struct affinity_key session;
    struct affinity_bound bound;
    uint32_t account;
};

__attribute__((format(printf, 2, 3))) static void because(struct answer *a, const char *format, ...)
{
    va_list args;
    if (a->reasons_count == REASONS_MAX)
        return;
    va_start(args, format);
    vsnprintf(a->reasons[a->reasons_count++], sizeof(a->reasons[0]), format, args);
    va_end(args);
}

static const struct config_route *route_of(const struct answer *a)
{
    return &a->lane->config->routes.at[a->route];
}

/* --- listener and route --------------------------------------------------------------------------
 */

static void make_head(struct answer *a)
{
    const struct relay_question *q = a->question;
    struct slice method = slice_of(q->method[0] != '\0' ? q->method : "GET");
    uint16_t count = 0;
    for (uint32_t i = 0; i < q->headers_count; i++, count++) {
        struct slice name = slice_of(q->headers[i].name);
        a->fields[count] = (struct http_field){.name = name,
                                               .value = slice_of(q->headers[i].value),
                                               .id = (uint8_t)http_field_id_of(name)};
    }
    a->head = (struct http_head){.method = method,
                                 .method_id = (uint8_t)http_method_of(method),
                                 .path = slice_of(q->path[0] != '\0' ? q->path : "/"),
                                 .authority = slice_of(q->host),
                                 .version_minor = 1,
                                 .fields = a->fields,
                                 .field_count = count};
    for (uint16_t i = 0; i < count; i++)
        a->head.present |= UINT64_C(1) << a->fields[i].id;
}

/* The listener that is named, or the first with a route for it. */
static bool find_route(struct answer *a)
{
    const struct config *config = a->relay->opt.config;
    const char *name = a->question->listener;
    a->route = ROUTE_NONE;
    for (uint32_t l = 0; a->route == ROUTE_NONE && l < config->listeners.count; l++) {
        if (name[0] != '\0' && strcmp(name, config->listeners.at[l].name) != 0)
            continue;
        a->lane = &a->relay->lanes[l];
        a->route = routes_match(a->lane->routes, &a->head);
    }
    json_text(a->json, "listener", a->lane != NULL ? a->lane->config->name : NULL);
    if (a->route != ROUTE_NONE)
        return true;
    json_null(a->json, "route");
    because(a, a->lane == NULL ? "there is no such listener"
                               : "no route matches: it is answered with 404, no_route");
    return false;
}

static void say_route(struct answer *a)
{
    const struct config_route *route = route_of(a);
    a->upstream = &a->relay->upstreams[route->upstream];
    json_open(a->json, "route", '{');
    json_u64(a->json, "index", a->route);
    json_text(a->json, "host", route->match.host);
    json_text(a->json, "path", route->match.path);
    json_close(a->json, '}');
    json_text(a->json, "upstream", a->upstream->config->name);
    because(a, "route %u is the most specific one that matches: host %s, path %s, %u conditions",
            (unsigned)a->route, route->match.host, route->match.path,
            (unsigned)(route->match.header.count + (route->match.method.count > 0)));
    bool is_paused = steer_is_paused(a->upstream->steer);
    json_bool(a->json, "paused", is_paused);
    if (is_paused)
        because(a, "the upstream is paused: it waits for the end of that first");
}

/* --- client --------------------------------------------------------------------------------------
 */

static bool find_client(struct answer *a)
{
    const struct client_keys *keys = a->relay->opt.shared->client_keys;
    const char *name = a->question->client;
    a->client = CLIENT_NOBODY;
    for (uint32_t i = 0; keys != NULL && i < client_keys_count(keys); i++)
        if (strcmp(client_keys_name(keys, i), name) == 0)
            a->client = i;
    if (keys == NULL) {
        json_null(a->json, "client");
        return true;
    }
    json_text(a->json, "client", a->client != CLIENT_NOBODY ? name : NULL);
    if (a->client == CLIENT_NOBODY)
        because(a, "a key of one of our clients is required: without it, 401");
    return a->client != CLIENT_NOBODY;
}

/* --- conversation --------------------------------------------------------------------------------
 */

/* What the session's key would look like in a body, for each source that looks there. */
static void make_body(const struct relay_question *q, struct bytes *body)
{
    bytes_append_text(body, "{\"model\":");
    bytes_append_json(body, slice_of(q->model));
    if (q->session[0] != '\0') {
        bytes_append_text(body, ",\"session_id\":");
        bytes_append_json(body, slice_of(q->session));
        bytes_append_text(body, ",\"metadata\":{\"user_id\":");
        bytes_append_json(body, slice_of(q->session));
        bytes_append_text(body, "},\"system\":");
        bytes_append_json(body, slice_of(q->session));
    }
    bytes_append_text(body, "}");
}

/* … and in a field: of the first source that looks at one. */
static void add_session_field(struct answer *a)
{
    const struct config_texts *sources = &route_of(a)->affinity.sources;
    struct http_field *field = &a->fields[a->head.field_count];
    struct slice session = slice_of(a->question->session);
    for (uint32_t i = 0; session.len > 0 && i < sources->count; i++) {
        const char *source = sources->at[i];
        if (strcmp(source, "session_header") == 0) {
            *field = (struct http_field){.name = SLICE("X-Session-Id"), .value = session};
        } else if (strncmp(source, "header:", 7) == 0) {
            *field = (struct http_field){.name = slice_of(source + 7), .value = session};
        } else if (strncmp(source, "cookie:", 7) == 0) {
            snprintf(a->cookie, sizeof(a->cookie), "%.60s=%s", source + 7, a->question->session);
            *field = (struct http_field){.name = SLICE("Cookie"), .value = slice_of(a->cookie)};
        } else {
            continue;
        }
        field->id = (uint8_t)http_field_id_of(field->name);
        a->head.present |= UINT64_C(1) << field->id;
        a->head.field_count++;
        return;
    }
}

static enum affinity key_of(struct answer *a)
{
    struct relay *relay = a->relay;
    struct bytes body;
    bytes_init(&body, &alloc_libc, 4096);
    make_body(a->question, &body);
    ai_request_begin(&relay->ai);
    ai_request_feed(&relay->ai, bytes_at(&body), bytes_len(&body));
    bool is_read = ai_request_end(&relay->ai);
    const struct client_keys *keys = relay->opt.shared->client_keys;
    uint64_t client = a->client != CLIENT_NOBODY ? client_keys_hash(keys, a->client)
                                                 : affinity_client(&a->head);
    const struct affinity_ask ask = {.sources = &route_of(a)->affinity.sources,
                                     .head = &a->head,
                                     .body = is_read && a->question->session[0] != '\0' ? &relay->ai
                                                                                        : NULL,
                                     .address = a->question->address,
                                     .scope = affinity_scope(client, a->upstream->config->name)};
    enum affinity found = affinity_key_of(&ask, &a->session);
    bytes_fini(&body);
    return found;
}

static void find_record(struct answer *a)
{
    struct affinities *affinities = a->relay->opt.shared->affinities;
    uint64_t now_ms = loop_now_ms(a->relay->opt.loop);
    char name[AFFINITY_NAME_TEXT];
    a->is_bound = a->upstream->accounts != NULL
                  && affinities_find(affinities, &a->session, now_ms, NULL, &a->bound)
                         == AFFINITY_BOUND;
    affinities_name(affinities, &a->session, name);
    json_text(a->json, "session", name);
    json_bool(a->json, "seen", affinities_seen(affinities, &a->session, now_ms));
    json_text(a->json, "bound", a->is_bound ? a->bound.account : NULL);
    if (a->is_bound)
        because(a, "a record says that its conversation is with account %s", a->bound.account);
    else
        because(a,
                "there is no record of its conversation: the hash of its key says where it goes");
}

static void find_session(struct answer *a)
{
    json_open(a->json, "affinity", '{');
    json_bool(a->json, "on", route_of(a)->affinity.is_on);
    if (route_of(a)->affinity.is_on) {
        add_session_field(a);
        enum affinity found = key_of(a);
        a->has_session = found == AFFINITY_HIT;
        json_text(a->json, "result", a->has_session ? "key" : affinity_word(found));
        if (a->has_session)
            find_record(a);
        else
            because(a, "none of the route's sources of affinity says whose conversation it is");
    } else {
        because(a, "the route has no affinity: every request is one of its own");
    }
    json_close(a->json, '}');
}

/* --- account -------------------------------------------------------------------------------------
 */

static void say_accounts(struct answer *a, const struct accounts_view *view)
{
    const struct config_upstream *config = a->upstream->config;
    json_open(a->json, "accounts", '[');
    for (uint32_t i = 0; i < config->accounts.count; i++) {
        json_open(a->json, NULL, '{');
        json_text(a->json, "account", config->accounts.at[i].name);
        json_text(a->json, "standing", view->rows[i].standing);
        json_text(a->json, "reason", cooldown_word(view->rows[i].reason));
        json_fixed(a->json, "left_seconds", view->rows[i].left_ms, 3);
        json_u64(a->json, "in_flight", view->rows[i].open);
        json_u64(a->json, "priority", config->accounts.at[i].priority);
        json_close(a->json, '}');
    }
    json_close(a->json, ']');
}

static const char *account_name(const struct answer *a, uint32_t index)
{
    return a->upstream->config->accounts.at[index].name;
}

static void because_of_account(struct answer *a, const struct accounts_view *view)
{
    bool has_home = view->home != BALANCE_NOBODY;
    if (has_home && view->home != view->chosen)
        because(a, "its account is %s, which is %s: another one serves it",
                account_name(a, view->home), view->rows[view->home].standing);
    if (view->chosen == BALANCE_NOBODY)
        because(a, "no account may be asked: %s", view->outcome);
    else if (has_home && view->home == view->chosen)
        because(a, "account %s is the one that it is with, and may be asked",
                account_name(a, view->chosen));
    else
        because(a, "account %s is chosen among those of the lowest priority that may be asked, %s",
                account_name(a, view->chosen),
                a->has_session ? "by the hash of its key" : "the least busy");
}

static bool find_account(struct answer *a)
{
    struct accounts *accounts = a->upstream->accounts;
    struct accounts_view view;
    if (accounts == NULL) {
        json_null(a->json, "account");
        return true;
    }
    const struct accounts_wish wish = {
        .has_hash = a->has_session,
        .hash = a->session.hash,
        .bound = a->is_bound ? a->bound.account : NULL,
        .model = slice_of(a->question->model),
        .priority = a->client != CLIENT_NOBODY
                        ? client_keys_priority(a->relay->opt.shared->client_keys, a->client)
                        : PRIORITY_NORMAL,
        .now_ms = loop_now_ms(a->relay->opt.loop)};
    accounts_view(accounts, &wish, &view);
    say_accounts(a, &view);
    because_of_account(a, &view);
    a->account = view.chosen == BALANCE_NOBODY ? 0 : view.chosen;
    json_text(a->json, "account",
              view.chosen != BALANCE_NOBODY ? account_name(a, view.chosen) : NULL);
    return view.chosen != BALANCE_NOBODY;
}

/* --- endpoint ------------------------------------------------------------------------------------
 */

static const char *standing_word(const struct answer *a, uint32_t index,
                                 const struct balance_peer *peer)
{
    const struct upstream *upstream = a->upstream;
    if (steer_mode(upstream->steer, index) != STEER_READY)
        return steer_word(steer_mode(upstream->steer, index));
    if (peer->weight == 0)
        return "drained";
    if (upstream->outliers.at[index].ejected)
        return "ejected";
    return peer->standing == BALANCE_GOOD      ? "good"
           : peer->standing == BALANCE_DOUBTED ? "doubted"
                                               : "out";
}

static bool find_endpoint(struct answer *a)
{
    struct upstream *upstream = a->upstream;
    uint64_t hash = a->has_session ? a->session.hash : upstream_hash(upstream, a->head.path);
    uint32_t chosen = upstream_view(upstream, a->account, hash);
    json_open(a->json, "endpoints", '[');
    for (uint32_t i = 0; i < upstream->count && i < ROWS_MAX; i++) {
        const struct balance_peer *peer = &upstream->peers[i];
        json_open(a->json, NULL, '{');
        json_text(a->json, "endpoint", upstream->endpoints[i].config->name);
        json_text(a->json, "standing", standing_word(a, i, peer));
        json_u64(a->json, "weight", peer->weight);
        json_u64(a->json, "priority", peer->tier);
        json_u64(a->json, "busy", peer->busy);
        json_close(a->json, '}');
    }
    json_close(a->json, ']');
    const char *name = chosen != BALANCE_NOBODY ? upstream->endpoints[chosen].config->name : NULL;
    json_text(a->json, "endpoint", name);
    if (name == NULL)
        because(a, "no endpoint may be asked: 503, down");
    else
        because(a, "endpoint %s is chosen by %s among %u", name,
                upstream_balance_word(upstream->config->balance), (unsigned)upstream->count);
    if (name != NULL) {
        char key[200];
        weir_key_text(pool_key_view(upstream->endpoints[chosen].pins[a->account]), key,
                      sizeof(key));
        json_text(a->json, "key", key);
    }
    return name != NULL;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static bool walk(struct answer *a)
{
    make_head(a);
    if (!find_route(a))
        return false;
    say_route(a);
    if (!find_client(a))
        return false;
    find_session(a);
    return find_account(a) && find_endpoint(a);
}

void relay_explain(struct relay *relay, const struct relay_question *question, struct json *json)
{
    struct answer *a = alloc_zeroed(&alloc_libc, sizeof(*a));
    if (a == NULL) {
        json->full = true;
        return;
    }
    a->relay = relay;
    a->question = question;
    a->json = json;
    bool arrives = walk(a);
    json_bool(json, "arrives", arrives);
    json_open(json, "reasons", '[');
    for (uint32_t i = 0; i < a->reasons_count; i++)
        json_text(json, NULL, a->reasons[i]);
    json_close(json, ']');
    alloc_free(&alloc_libc, a);
}
