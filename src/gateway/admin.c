/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.c - the admin interface as a handler of the listener that serves it.
 *
 *     request ─▶ page ─▶ allowed? ─▶ its body, of a command ─▶ census of the workers, job ─▶ answer
 *
 * A request holds its answer until the client has taken it; at most ADMIN_REQUESTS_MAX do.
 */
#include "gateway/admin.h"

#include "base/list.h"
#include "gateway/admin_files.h"
#include "gateway/admin_live.h"
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/admin_tail.h"
#include "gateway/capacity.h"
#include "gateway/config_address.h"
#include "gateway/host.h"
#include "proto/basic.h"
#include "proto/http.h"
#include "proto/json.h"
#include "proto/prom.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES      65536U /* handed to the listener at a time */
#define LAST_ANSWERS_MS  1000U  /* for who asks while another process takes over, or at the end */
#define ADMIN_TARGET_MAX 4096U  /* of a path and its query */

/* Who has sent wrong tokens lately. */
struct guesser {
    uint8_t address[16];
    uint64_t since_ms;
    uint32_t count;
};

struct admin {
    struct server *server;
    struct loop *loop;
    struct host *host;
    struct admin_live *live;
    struct list requests;
    struct tail tail;
    struct guesser guessers[ADMIN_GUESSERS_MAX];
};

struct admin_request {
    struct node on_admin;
    struct admin *admin;
    struct http_exchange *exchange; /* NULL: the client left */
    const struct admin_page *page;
    struct census *census;      /* under way, or NULL */
    struct admin_job *job;      /* the same */
    struct live_reader *reader; /* of the event stream, or NULL */
    bool is_following;
    struct follower follower;
    bool head_only, openmetrics;
    struct bytes input; /* of a command */
    struct admin_ask ask;
    char target[ADMIN_TARGET_MAX]; /* its path and query, for the ask */
    char who[ADMIN_NAME_LEN + 1];
    struct bytes body;
    size_t sent;
};

_Static_assert(LIVE_READERS_MAX + TAIL_FOLLOWERS_MAX < ADMIN_REQUESTS_MAX,
               "streams keep nobody else out");

static const struct http_handler admin_handler;

static void end_streams(struct admin *admin);

/* --- life ----------------------------------------------------------------------------------------
 */

int admin_open(struct server *server, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return -ENOMEM;
    admin->server = server;
    admin->loop = server->opt.loop;
    list_init(&admin->requests);
    tail_init(&admin->tail, server, admin->loop);
    struct host_options opt = {.name = "admin",
                               .address = server_address(&server->config->admin.address),
                               .inherited = server->opt.inherited,
                               .clients_max = ADMIN_CLIENTS_MAX,
                               .reserve = ADMIN_RESERVE,
                               .keepalive_timeout_ms = 30000,
                               .handler = &admin_handler,
                               .self = admin};
    admin->live = admin_live_new(server);
    server->capacity = capacity_new(server);
    int error = admin->live == NULL || server->capacity == NULL
                    ? -ENOMEM
                    : host_open(admin->loop, &opt, &admin->host);
    if (error != 0) {
        capacity_free(server->capacity);
        server->capacity = NULL;
        admin_live_free(admin->live);
        free(admin);
        return error;
    }
    *ret_admin = admin;
    return 0;
}

void admin_close(struct admin *admin)
{
    if (admin == NULL)
        return;
    host_close(admin->host);
    admin_live_free(admin->live);
    tail_fini(&admin->tail);
    capacity_free(admin->server->capacity);
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return host_port(admin->host);
}

struct accept_port *admin_socket(const struct admin *admin)
{
    return host_socket(admin->host);
}

void admin_pause(struct admin *admin)
{
    host_pause(admin->host);
}

void admin_resume(struct admin *admin)
{
    host_resume(admin->host);
}

void admin_give(struct admin *admin)
{
    end_streams(admin);
    host_give(admin->host, LAST_ANSWERS_MS);
}

void admin_end(struct admin *admin, void (*ended)(void *arg), void *arg)
{
    end_streams(admin);
    host_end(admin->host, LAST_ANSWERS_MS, ended, arg);
}

/* --- who may -------------------------------------------------------------------------------------
 */

/* Takes the same time wherever the first difference is. An empty secret is nobody's. */
static bool is_secret(struct slice shown, const char *secret)
{
    size_t len = strlen(secret);
    unsigned difference = shown.len == len && len > 0 ? 0 : 1;
    for (size_t i = 0; i < shown.len; i++)
        difference |= (unsigned char)shown.at[i] ^ (unsigned char)secret[i % (len + 1)];
    return difference == 0;
}

static struct guesser *guesser_of(struct admin *admin, const uint8_t address[16])
{
    struct guesser *oldest = &admin->guessers[0];
    for (uint32_t i = 0; i < ADMIN_GUESSERS_MAX; i++) {
        struct guesser *g = &admin->guessers[i];
        if (g->count > 0 && memcmp(g->address, address, 16) == 0)
            return g;
        if (g->since_ms < oldest->since_ms)
            oldest = g;
    }
    *oldest = (struct guesser){.count = 0};
    memcpy(oldest->address, address, 16);
    return oldest;
}

static bool guesses_too_much(struct admin *admin, const uint8_t address[16])
{
    uint64_t now_ms = loop_now_ms(admin->loop);
    for (uint32_t i = 0; i < ADMIN_GUESSERS_MAX; i++) {
        struct guesser *g = &admin->guessers[i];
        if (g->count >= ADMIN_GUESSES_MAX && memcmp(g->address, address, 16) == 0)
            return now_ms - g->since_ms < 60000;
    }
    return false;
}

static void guess_noted(struct admin *admin, const uint8_t address[16])
{
    uint64_t now_ms = loop_now_ms(admin->loop);
    struct guesser *g = guesser_of(admin, address);
    if (g->count == 0 || now_ms - g->since_ms >= 60000)
        *g = (struct guesser){.since_ms = now_ms};
    memcpy(g->address, address, 16);
    g->count++;
}

static struct slice bearer_of(const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_AUTHORIZATION);
    if (field == NULL || field->value.len < 7
        || !slice_is_nocase(slice_sub(field->value, 0, 7), "bearer "))
        return (struct slice){"", 0};
    return slice_trim(slice_sub(field->value, 7, field->value.len));
}

/* What a request may have: a page, or the methods that there are at its path. */
struct wanted {
    const struct admin_page *page;
    unsigned methods; /* 0: there is no such path */
};

/* A browser shows a password by itself wherever it has learned one, also when another site sends it
 * here. So it opens the one page that is for browsers without JavaScript, which changes nothing and
 * that no other site can read, and its user's name is not looked at. */
static bool takes_password(const struct wanted *wanted)
{
    return wanted->page != NULL && wanted->page->write == admin_status_write;
}

static struct slice shown_by(const struct http_head *head, const struct wanted *wanted,
                             char room[static BASIC_BYTES_MAX])
{
    const struct http_field *field = http_find(head, HTTP_AUTHORIZATION);
    struct slice password;
    bool is_password = field != NULL && takes_password(wanted)
                       && basic_password(field->value, room, &password);
    return is_password ? password : bearer_of(head);
}

/* The host of an authority, without port and brackets. */
static struct slice host_of(struct slice authority)
{
    if (authority.len > 0 && authority.at[0] == '[')
        return slice_sub(authority, 1, slice_find(authority, ']'));
    return slice_sub(authority, 0, slice_find(authority, ':'));
}

/* A page on the web can make a browser send requests here under a name of its own (DNS rebinding);
 * it cannot make it send a literal address. So on this machine only "localhost" is a name; an
 * interface that others reach has a token, which no such page knows. */
static bool host_is_ours(const struct admin *admin, struct slice authority)
{
    struct config_cidr literal;
    char text[64];
    struct slice host = host_of(authority);
    const struct config_address *bound = &admin->server->config->admin.address;
    if (bound->unix_path[0] != '\0' || !config_address_is_local(bound))
        return true;
    if (slice_is_nocase(host, "localhost"))
        return true;
    return slice_copy(text, sizeof(text), host) < sizeof(text) && strchr(text, '/') == NULL
           && config_cidr_of(text, &literal) == NULL;
}

/* Where there is an Origin, it is this very site. */
static bool origin_is_ours(const struct http_head *head)
{
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (!slice_is_nocase(head->fields[i].name, "origin"))
            continue;
        struct slice origin = head->fields[i].value;
        if (!slice_starts(origin, SLICE("http://"))
            || !slice_same_nocase(slice_sub(origin, 7, origin.len), head->authority))
            return false;
    }
    return true;
}

static bool is_open(const struct wanted *wanted)
{
    return wanted->page != NULL && wanted->page->role == ADMIN_ANYONE;
}

/* 0, or the status of the refusal; in *ret_role whose token it shows. */
static uint16_t refusal_of(struct admin *admin, const struct http_exchange *exchange,
                           const struct http_head *head, const struct wanted *wanted,
                           enum admin_role *ret_role)
{
    const struct config *config = admin->server->config;
    const uint8_t *address = exchange->peer->address;
    *ret_role = ADMIN_OPERATOR;
    if (!host_is_ours(admin, head->authority) || !origin_is_ours(head))
        return 403;
    if (config->admin.token[0] != '\0' && !is_open(wanted)) {
        if (guesses_too_much(admin, address))
            return 429;
        char room[BASIC_BYTES_MAX];
        struct slice shown = shown_by(head, wanted, room);
        bool is_operator = is_secret(shown, config->admin.token);
        bool is_viewer = is_secret(shown, config->admin.viewer_token);
        if (!is_operator && !is_viewer) {
            if (http_has(head, HTTP_AUTHORIZATION))
                guess_noted(admin, address);
            return 401;
        }
        *ret_role = is_operator ? ADMIN_OPERATOR : ADMIN_VIEWER;
    }
    if (wanted->methods == 0)
        return 404;
    if (wanted->page == NULL)
        return 405;
    return wanted->page->role > *ret_role ? 403 : 0;
}

/* --- answers -------------------------------------------------------------------------------------
 */

static const char *status_reason(uint16_t status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    default: return "Service Unavailable";
    }
}

/* As an Allow field has them. */
static void write_methods(unsigned methods, char *ret_text, size_t size)
{
    static const struct {
        unsigned bit;
        const char *text;
    } all[] = {{1U << HTTP_GET, "GET, HEAD"}, {1U << HTTP_POST, "POST"}, {1U << HTTP_PUT, "PUT"}};
    size_t len = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if ((methods & all[i].bit) != 0 && len < size)
            len += (size_t)snprintf(ret_text + len, size - len, "%s%s", len > 0 ? ", " : "",
                                    all[i].text);
}

/* What an answer may have beside what all have. */
struct answer_more {
    unsigned methods; /* of 405 */
    const char *tag;  /* or NULL */
    bool asks_password;
};

static void answer_head(struct http_exchange *exchange, uint16_t status, const char *type,
                        size_t length, const struct answer_more *more)
{
    char allow[32];
    struct http_field fields[6] = {
        {.name = SLICE("Content-Type"), .value = slice_of(type), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Cache-Control"), .value = SLICE("no-store")},
        {.name = SLICE("X-Content-Type-Options"), .value = SLICE("nosniff")},
        {.name = SLICE("Content-Security-Policy"),
         .value = SLICE("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'")},
    };
    uint16_t count = 4;
    if (status == 401)
        fields[count++] = (struct http_field){.name = SLICE("WWW-Authenticate"),
                                              .value = SLICE("Bearer realm=\"weir\"")};
    if (status == 401 && more->asks_password)
        fields[count++] = (struct http_field){
            .name = SLICE("WWW-Authenticate"),
            .value = SLICE("Basic realm=\"weir: the password is the token\", charset=\"UTF-8\"")};
    if (status == 405) {
        write_methods(more->methods, allow, sizeof(allow));
        fields[count++] = (struct http_field){.name = SLICE("Allow"), .value = slice_of(allow)};
    }
    if (more->tag != NULL)
        fields[count++] = (struct http_field){.name = SLICE("ETag"), .value = slice_of(more->tag)};
    if (status == 429 || status == 503)
        fields[count++] = (struct http_field){
            .name = SLICE("Retry-After"), .value = SLICE("1"), .id = HTTP_RETRY_AFTER};
    struct http_head head = {.status = status,
                             .reason = slice_of(status_reason(status)),
                             .framing = HTTP_LENGTH,
                             .content_length = length,
                             .version_minor = 1,
                             .keep_alive = true,
                             .field_count = count,
                             .fields = fields};
    exchange->ops->respond(exchange, &head);
}

/* A refusal needs no request to be remembered. */
static void refuse(struct http_exchange *exchange, uint16_t status, bool head_only,
                   const struct answer_more *more)
{
    struct bytes body;
    bytes_init(&body, &alloc_libc, ROW_BYTES);
    rows_fault(&body, status, status_reason(status));
    exchange->user = NULL;
    answer_head(exchange, status, "application/json", bytes_len(&body), more);
    if (!head_only)
        exchange->ops->body(exchange, bytes_at(&body), bytes_len(&body));
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
    bytes_fini(&body);
}

static void request_free(struct admin_request *request)
{
    list_remove(&request->admin->requests, &request->on_admin);
    bytes_fini(&request->input);
    bytes_fini(&request->body);
    free(request);
}

/* Gives the listener as much as it takes; the rest when it has drained. */
static void body_send(struct admin_request *request)
{
    struct http_exchange *exchange = request->exchange;
    size_t all = request->head_only ? 0 : bytes_len(&request->body);
    while (request->sent < all) {
        size_t piece = all - request->sent;
        if (piece > PIECE_BYTES)
            piece = PIECE_BYTES;
        exchange->ops->body(exchange, bytes_at(&request->body) + request->sent, piece);
        request->sent += piece;
        if (request->sent < all && exchange->ops->flush(exchange))
            return;
    }
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
    exchange->user = NULL;
    request_free(request);
}

/* What was written is sent, with that status. */
static void answer_send(struct admin_request *request, uint16_t status)
{
    const char *type = request->page->type;
    if (type == NULL)
        type = request->openmetrics ? OPENMETRICS_CONTENT_TYPE : PROM_CONTENT_TYPE;
    bool has_tag = request->page->write == admin_config || request->page->start == admin_config_put;
    char tag[ADMIN_TAG_TEXT];
    if (has_tag)
        admin_config_tag(request->admin->server, tag);
    const struct answer_more more = {.tag = has_tag ? tag : NULL};
    answer_head(request->exchange, status, type, bytes_len(&request->body), &more);
    body_send(request);
}

/* What was written is a fault, whatever the page is of. */
static void fault_send(struct admin_request *request, uint16_t status)
{
    const struct answer_more nothing = {.tag = NULL};
    answer_head(request->exchange, status, "application/json", bytes_len(&request->body), &nothing);
    body_send(request);
}

static void census_done(void *arg, struct census *census)
{
    struct admin_request *request = arg;
    uint16_t status = request->page->write(request->admin->server, census, request->openmetrics,
                                           &request->body);
    request->census = NULL;
    census_free(census);
    answer_send(request, status);
}

static void job_done(void *self, uint16_t status)
{
    struct admin_request *request = self;
    request->job = NULL;
    answer_send(request, status);
}

/* What the workers have to say, or to do. */
static void census_begin(struct admin_request *request)
{
    const struct admin_page *page = request->page;
    struct server *server = request->admin->server;
    struct census_order order = {.run = NULL};
    uint16_t status = page->order != NULL
                          ? page->order(server, &request->ask, &order, &request->body)
                          : 0;
    if (status == 0
        && census_take(server, page->census, &order, census_done, request, &request->census) != 0)
        status = rows_fault(&request->body, 503, "the workers cannot be asked now");
    if (status != 0)
        fault_send(request, status);
}

/* The event stream; of it, a HEAD has the head. */
static void live_begin(struct admin_request *request)
{
    if (request->head_only) {
        answer_send(request, 200);
        return;
    }
    request->reader = admin_live_join(request->admin->live, request->exchange);
    if (request->reader == NULL)
        fault_send(request, rows_fault(&request->body, 503, "too many read it already"));
}

/* All of it is here. */
static void request_run(struct admin_request *request)
{
    const struct admin_page *page = request->page;
    struct server *server = request->admin->server;
    uint16_t status = 500;
    request->ask.input = bytes_slice(&request->input);
    if (page->start != NULL) {
        request->job = page->start(server, &request->ask, &request->body, job_done, request,
                                   &status);
        if (request->job == NULL)
            answer_send(request, status);
    } else if (page->streams) {
        live_begin(request);
    } else if (page->run != NULL) {
        answer_send(request, page->run(server, &request->ask, &request->body));
    } else if (page->order != NULL || page->census != 0) {
        census_begin(request);
    } else {
        answer_send(request, page->write(server, NULL, request->openmetrics, &request->body));
    }
}

/* --- the handler ---------------------------------------------------------------------------------
 */

static bool accepts(const struct http_head *head, const char *type)
{
    for (uint16_t i = 0; i < head->field_count; i++) {
        struct slice value = head->fields[i].value;
        if (!slice_is_nocase(head->fields[i].name, "accept"))
            continue;
        for (uint32_t from = 0; from < value.len; from++)
            if (slice_starts(slice_sub(value, from, value.len), slice_of(type)))
                return true;
    }
    return false;
}

static struct admin_request *request_new(struct admin *admin, struct http_exchange *exchange,
                                         const struct http_head *head)
{
    struct admin_request *request = admin->requests.count < ADMIN_REQUESTS_MAX
                                        ? calloc(1, sizeof(*request))
                                        : NULL;
    if (request == NULL)
        return NULL;
    request->admin = admin;
    request->exchange = exchange;
    request->head_only = head->method_id == HTTP_HEAD;
    request->openmetrics = accepts(head, "application/openmetrics-text");
    bytes_init(&request->body, &alloc_libc, ADMIN_ANSWER_MAX);
    bytes_init(&request->input, &alloc_libc,
               head->method_id == HTTP_PUT ? ADMIN_PUT_MAX : ADMIN_INPUT_MAX);
    list_push_back(&admin->requests, &request->on_admin);
    exchange->user = request;
    return request;
}

/* What it asks, from its own memory: the head is gone when its body is here. */
static bool take_ask(struct admin_request *request, const struct http_head *head,
                     const struct admin_ask *found, enum admin_role role)
{
    bool has_token = request->admin->server->config->admin.token[0] != '\0';
    struct admin_ask *ask = &request->ask;
    *ask = *found;
    if (slice_copy(request->target, sizeof(request->target), head->path) >= sizeof(request->target))
        return false;
    struct slice target = slice_of(request->target);
    ask->path = slice_sub(target, 0, slice_find(target, '?'));
    ask->query = slice_sub(target, ask->path.len + 1, target.len);
    ask->who = request->who;
    for (uint16_t i = 0; i < head->field_count; i++)
        if (slice_is_nocase(head->fields[i].name, "if-match"))
            slice_copy(ask->if_match, sizeof(ask->if_match), head->fields[i].value);
    snprintf(request->who, sizeof(request->who), "%s@%s",
             !has_token               ? "anyone"
             : role == ADMIN_OPERATOR ? "operator"
                                      : "viewer",
             request->exchange->peer->text);
    return true;
}

/* The event behind which it begins: as a browser says it, or as a query does. */
static struct slice after_of(const struct admin_ask *ask, const struct http_head *head)
{
    struct slice rest = ask->query, pair;
    for (uint16_t i = 0; i < head->field_count; i++)
        if (slice_is_nocase(head->fields[i].name, "last-event-id"))
            return head->fields[i].value;
    while (slice_split(&rest, '&', &pair))
        if (slice_starts(pair, SLICE("after=")))
            return slice_sub(pair, 6, pair.len);
    return (struct slice){"", 0};
}

static void follow(struct admin_request *request, const struct http_head *head)
{
    struct http_exchange *exchange = request->exchange;
    request->is_following = tail_join(&request->admin->tail, &request->follower, exchange,
                                      after_of(&request->ask, head));
    if (!request->is_following) {
        request_free(request);
        refuse(exchange, 503, false, &(struct answer_more){.tag = NULL});
    }
}

/* The dashboard's files: anybody's, as what they show is not in them. */
static const struct admin_page file_page = {.role = ADMIN_ANYONE};

static void on_request(void *self, struct http_exchange *exchange, struct http_head *head, bool end)
{
    struct admin *admin = self;
    bool head_only = head->method_id == HTTP_HEAD;
    struct admin_ask ask;
    struct wanted wanted;
    enum admin_role role;
    struct slice path = slice_sub(head->path, 0, slice_find(head->path, '?'));
    memset(&ask, 0, sizeof(ask));
    wanted.page = admin_page_find(path, (enum http_method)head->method_id, &ask, &wanted.methods);
    const struct page_file *file = admin_file_of(head);
    if (file != NULL)
        wanted = (struct wanted){.page = &file_page, .methods = 1U << HTTP_GET};
    uint16_t status = refusal_of(admin, exchange, head, &wanted, &role);
    if (status == 0 && file != NULL) {
        admin_file_send(file, exchange, head);
        return;
    }
    struct admin_request *request = status == 0 ? request_new(admin, exchange, head) : NULL;
    if (request == NULL) {
        const struct answer_more more = {.methods = wanted.methods,
                                         .asks_password = takes_password(&wanted)};
        refuse(exchange, status != 0 ? status : 503, head_only, &more);
        return;
    }
    request->page = wanted.page;
    if (!take_ask(request, head, &ask, role)) {
        request_free(request);
        refuse(exchange, 414, head_only, &(struct answer_more){.tag = NULL});
    } else if (request->page->follows && !head_only && accepts(head, "text/event-stream")) {
        follow(request, head);
    } else if (end || !admin_changes(request->page)) {
        request_run(request);
    }
}

static void on_body(struct http_exchange *exchange, const void *data, size_t len)
{
    struct admin_request *request = exchange->user;
    if (request == NULL || !admin_changes(request->page))
        return; /* a GET's body is nobody's */
    if (!bytes_append(&request->input, data, len)) {
        request_free(request);
        refuse(exchange, 413, false, &(struct answer_more){.tag = NULL});
    }
}

static void on_request_end(struct http_exchange *exchange, const struct http_head *trailers)
{
    (void)trailers;
    struct admin_request *request = exchange->user;
    if (request != NULL && admin_changes(request->page))
        request_run(request);
}

static void on_flush(struct http_exchange *exchange)
{
    (void)exchange;
}

static void on_drain(struct http_exchange *exchange)
{
    struct admin_request *request = exchange->user;
    if (request != NULL && request->reader != NULL)
        admin_live_drained(request->reader);
    else if (request != NULL && request->is_following)
        tail_drained(&request->admin->tail, &request->follower);
    else if (request != NULL)
        body_send(request);
}

static void on_abort(struct http_exchange *exchange, enum http_fault why)
{
    (void)why;
    struct admin_request *request = exchange->user;
    if (request == NULL)
        return;
    if (request->census != NULL)
        census_abandon(request->census);
    if (request->is_following)
        tail_leave(&request->admin->tail, &request->follower);
    if (request->job != NULL)
        request->job->cancel(request->job);
    if (request->reader != NULL)
        admin_live_leave(request->reader);
    request_free(request);
}

/* Nothing more comes on them: who reads one hears that it is whole, and asks another process. */
static void end_streams(struct admin *admin)
{
    weir_list_each_safe(it, &admin->requests) {
        struct admin_request *request = list_entry(it, struct admin_request, on_admin);
        struct http_exchange *exchange = request->exchange;
        if (request->reader == NULL && !request->is_following)
            continue;
        if (request->is_following)
            tail_leave(&admin->tail, &request->follower);
        else
            admin_live_leave(request->reader);
        exchange->user = NULL;
        exchange->ops->end(exchange, NULL);
        exchange->ops->flush(exchange);
        request_free(request);
    }
}

static const struct http_handler admin_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};
