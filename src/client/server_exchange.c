/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer, between the listener's exchange and the program's handler. A body
 * that the handler does not take piece by piece is gathered first, and the head is copied for that
 * time; a request without a body is told as it was parsed.
 */
#include "base/check.h"
#include "client/server.h"
#include "proto/grpc.h"

#include <string.h>

#define BIT(id) (1ULL << (id))
#define FRAMING                                                                                    \
    (BIT(HTTP_CONTENT_LENGTH) | BIT(HTTP_TRANSFER_ENCODING) | BIT(HTTP_CONNECTION)                 \
     | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION) | BIT(HTTP_TE) | BIT(HTTP_TRAILER)        \
     | BIT(HTTP_UPGRADE) | BIT(HTTP_HTTP2_SETTINGS) | BIT(HTTP_EXPECT))

static void tell_request(struct weir_exchange *exchange, const struct http_head *head, bool end);

/* --- the life of one ----------------------------------------------------------------------------
 */

static struct weir_exchange *exchange_new(struct stall *stall, struct http_exchange *ex)
{
    uint64_t id;
    struct weir_exchange *exchange = slots_take(&stall->exchanges, &id);
    if (exchange != NULL) {
        exchange->stall = stall;
        exchange->ex = ex;
        exchange->begun_ns = loop_now_ns(stall->loop);
        stall_count(&stall->open, 1);
        ex->user = exchange;
    }
    return exchange;
}

static void drop_copy(struct weir_exchange *exchange)
{
    const struct alloc *alloc = exchange->stall->server->alloc;
    alloc_free(alloc, exchange->text);
    exchange->text = NULL;
    if (exchange->body.max > 0) {
        bytes_fini(&exchange->body);
        exchange->body.max = 0;
    }
}

void server_forget(struct weir_exchange *exchange)
{
    struct stall *stall = exchange->stall;
    exchange->ex->user = NULL;
    drop_copy(exchange);
    rpc_free(exchange->rpc);
    stall_count(&stall->open, (uint64_t)-1);
    slots_give(&stall->exchanges, slots_id_of(&stall->exchanges, exchange));
}

void server_settle(struct weir_exchange *exchange, bool is_complete)
{
    struct stall *stall = exchange->stall;
    uint64_t took_ns = loop_now_ns(stall->loop) - exchange->begun_ns;
    stall_count(&stall->answered, 1);
    stall_count(&stall->answer_us, took_ns / 1000);
    stall_count(&stall->bad, !is_complete || exchange->status >= 500);
    server_watch(stall);
    server_forget(exchange);
}

/* --- gathering ----------------------------------------------------------------------------------
 */

static char *put_slice(char *to, struct slice *slice)
{
    if (slice->len > 0) {
        memcpy(to, slice->at, slice->len);
        slice->at = to;
    }
    return to + slice->len;
}

size_t server_fields_size(const struct http_field *fields, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (size_t)fields[i].name.len + fields[i].value.len;
    }
    return size;
}

char *server_fields_copy(const struct http_field *fields, size_t count, char *text,
                         struct http_field *ret_copies)
{
    for (size_t i = 0; i < count; i++) {
        ret_copies[i] = fields[i];
        text = put_slice(text, &ret_copies[i].name);
        text = put_slice(text, &ret_copies[i].value);
    }
    return text;
}

/* Each part by itself: only some readers have them side by side. */
static bool copy_head(struct weir_exchange *exchange, const struct http_head *head)
{
    struct http_head *own = &exchange->own;
    *own = *head;
    struct slice *parts[] = {&own->method, &own->target, &own->path, &own->authority};
    size_t fields = head->field_count * sizeof(struct http_field);
    size_t size = fields + server_fields_size(head->fields, head->field_count);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size += parts[i]->len;
    }
    exchange->text = alloc_new(exchange->stall->server->alloc, size);
    if (exchange->text == NULL) {
        return false;
    }
    char *to = exchange->text + fields;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        to = put_slice(to, parts[i]);
    }
    own->fields = (struct http_field *)(void *)exchange->text;
    server_fields_copy(head->fields, head->field_count, to, own->fields);
    return true;
}

/* Its client waits to be told that the body is wanted (RFC 9110 §10.1.1). */
static void welcome(struct weir_exchange *exchange)
{
    static const struct http_head go_on = {
        .status = 100, .reason = SLICE("Continue"), .version_minor = 1};
    if (exchange->is_waited_for) {
        exchange->is_waited_for = false;
        exchange->ex->ops->respond(exchange->ex, &go_on);
        exchange->ex->ops->flush(exchange->ex);
    }
}

static void gather(struct weir_exchange *exchange, const struct http_head *head)
{
    const struct weir_server *server = exchange->stall->server;
    uint64_t most = server->body_max < SIZE_MAX / 4 ? server->body_max : SIZE_MAX / 4;
    bytes_init(&exchange->body, server->alloc, (size_t)most + 1);
    if (!copy_head(exchange, head)) {
        struct http_exchange *ex = exchange->ex;
        server_forget(exchange);
        server_refuse(ex, 503, SLICE("Service Unavailable"));
        return;
    }
    welcome(exchange);
}

/* --- from the listener --------------------------------------------------------------------------
 */

/* An answer of the server's own. */
void server_refuse(struct http_exchange *ex, uint16_t status, struct slice reason)
{
    const struct http_head head = {
        .status = status, .reason = reason, .version_minor = 1, .framing = HTTP_LENGTH};
    ex->ops->respond(ex, &head);
    ex->ops->end(ex, NULL);
    ex->ops->flush(ex);
}

static uint8_t version_of(const struct http_exchange *ex, const struct http_head *head)
{
    return ex->ops->untime != NULL ? 20 : (uint8_t)(10 + head->version_minor);
}

static void on_request(void *self, struct http_exchange *ex, struct http_head *head, bool end)
{
    struct stall *stall = self;
    struct weir_server *server = stall->server;
    bool is_call = server->grpc != NULL && ex->ops->untime != NULL
                   && http_has(head, HTTP_CONTENT_TYPE) && grpc_is(head);
    if (!is_call && server->handler->on_request == NULL) {
        server_refuse(ex, 415, SLICE("Unsupported Media Type"));
        return;
    }
    if (!is_call && head->framing == HTTP_LENGTH && head->content_length > server->body_max) {
        server_refuse(ex, 413, SLICE("Content Too Large"));
        return;
    }
    struct weir_exchange *exchange = exchange_new(stall, ex);
    if (exchange == NULL) {
        server_refuse(ex, 503, SLICE("Service Unavailable"));
        return;
    }
    exchange->is_waited_for = head->expect_continue && !end;
    exchange->version = version_of(ex, head);
    exchange->is_connect = head->upgrade && ex->ops->tunnel == NULL;
    if (is_call) {
        rpc_open(exchange, head, end);
    } else if (end || exchange->is_connect || server->handler->on_body != NULL) {
        tell_request(exchange, head, end);
    } else {
        gather(exchange, head);
    }
}

static void tell_end(struct weir_exchange *exchange)
{
    const struct weir_server *server = exchange->stall->server;
    if (server->handler->on_body != NULL && server->handler->on_end != NULL) {
        server->handler->on_end(server->self, exchange);
    }
}

/* `end`: and that is all of it. */
static void tell_request(struct weir_exchange *exchange, const struct http_head *head, bool end)
{
    struct stall *stall = exchange->stall;
    uint64_t id = slots_id_of(&stall->exchanges, exchange);
    exchange->state = EXCHANGE_OPEN;
    exchange->head = head;
    stall->server->handler->on_request(stall->server->self, exchange);
    exchange = slots_at(&stall->exchanges, id);
    if (exchange == NULL) {
        return;
    }
    exchange->head = NULL;
    drop_copy(exchange);
    if (end) {
        tell_end(exchange);
    } else {
        welcome(exchange);
    }
}

/* More than the server takes: whoever has heard of it hears that it is over. */
static void too_large(struct weir_exchange *exchange)
{
    const struct weir_server *server = exchange->stall->server;
    struct http_exchange *ex = exchange->ex;
    uint8_t state = exchange->state;
    if (state != EXCHANGE_GATHERING && server->handler->on_abort != NULL) {
        server->handler->on_abort(server->self, exchange, WEIR_ETOO_LARGE);
    }
    exchange->status = 413;
    server_settle(exchange, state != EXCHANGE_ANSWERING);
    if (state == EXCHANGE_ANSWERING) {
        ex->ops->abort(ex);
    } else {
        server_refuse(ex, 413, SLICE("Content Too Large"));
    }
}

/* There is no memory to gather it in; nobody has heard of it yet. */
static void too_little(struct weir_exchange *exchange)
{
    struct http_exchange *ex = exchange->ex;
    exchange->status = 503;
    server_settle(exchange, true);
    server_refuse(ex, 503, SLICE("Service Unavailable"));
}

static void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct weir_exchange *exchange = ex->user;
    if (exchange == NULL) {
        return; /* it was answered by the server itself */
    }
    if (exchange->rpc != NULL) {
        rpc_body(exchange, data, len);
        return;
    }
    const struct weir_server *server = exchange->stall->server;
    exchange->is_waited_for = false;
    exchange->received += len;
    if (exchange->received > server->body_max) {
        too_large(exchange);
    } else if (exchange->state != EXCHANGE_GATHERING) {
        if (server->handler->on_body != NULL) { /* else it came behind an extended CONNECT */
            server->handler->on_body(server->self, exchange, data, len);
        }
    } else if (!bytes_append(&exchange->body, data, len)) {
        too_little(exchange);
    }
}

static void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct weir_exchange *exchange = ex->user;
    (void)trailers;
    if (exchange == NULL) {
        return;
    }
    if (exchange->rpc != NULL) {
        rpc_finish(exchange);
    } else if (exchange->state == EXCHANGE_GATHERING) {
        tell_request(exchange, &exchange->own, true);
    } else {
        tell_end(exchange);
    }
}

static void on_flush(struct http_exchange *ex)
{
    (void)ex;
}

static void on_drain(struct http_exchange *ex)
{
    struct weir_exchange *exchange = ex->user;
    if (exchange == NULL) {
        return;
    }
    const struct weir_server *server = exchange->stall->server;
    if (exchange->rpc != NULL) {
        rpc_drain(exchange);
    } else if (server->handler->on_drain != NULL) {
        server->handler->on_drain(server->self, exchange);
    }
}

static weir_err err_of(enum http_fault why)
{
    switch (why) {
    case HTTP_FAULT_BAD_REQUEST: return WEIR_EPROTOCOL;
    case HTTP_FAULT_READ_TIMEOUT:
    case HTTP_FAULT_IDLE: return WEIR_EREAD_TIMEOUT;
    case HTTP_FAULT_WRITE_TIMEOUT: return WEIR_EWRITE_TIMEOUT;
    default: return WEIR_EHANGUP;
    }
}

static void on_abort(struct http_exchange *ex, enum http_fault why)
{
    struct weir_exchange *exchange = ex->user;
    if (exchange == NULL) {
        return;
    }
    struct stall *stall = exchange->stall;
    const struct weir_server *server = stall->server;
    stall_count(&stall->aborted, 1);
    if (exchange->rpc != NULL) {
        rpc_abort(exchange, why == HTTP_FAULT_CANCELLED ? WEIR_ECANCELED : err_of(why));
    } else if (exchange->state != EXCHANGE_GATHERING && server->handler->on_abort != NULL) {
        server->handler->on_abort(server->self, exchange, err_of(why));
    }
    server_forget(exchange);
}

const struct http_handler server_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};

/* --- what the program may look at ---------------------------------------------------------------
 */

static weir_text text_of(struct slice text)
{
    return (weir_text){text.at, text.len};
}

weir_text weir_request_method(const weir_exchange *ex)
{
    return text_of(ex->head->method);
}

weir_text weir_request_path(const weir_exchange *ex)
{
    struct slice path = ex->head->path;
    return text_of(slice_sub(path, 0, slice_find(path, '?')));
}

weir_text weir_request_query(const weir_exchange *ex)
{
    struct slice path = ex->head->path;
    uint32_t mark = slice_find(path, '?');
    return mark < path.len ? text_of(slice_sub(path, mark + 1, path.len)) : (weir_text){0};
}

weir_text weir_request_host(const weir_exchange *ex)
{
    return text_of(ex->head->authority);
}

const struct http_field *server_field_of(const struct http_head *head, struct slice name)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (slice_same_nocase(head->fields[i].name, name)) {
            return &head->fields[i];
        }
    }
    return NULL;
}

weir_text weir_request_field_of(const weir_exchange *ex, const char *name)
{
    const struct http_field *field = server_field_of(ex->head, slice_of(name));
    return field != NULL ? text_of(field->value) : (weir_text){0};
}

size_t weir_request_field_count(const weir_exchange *ex)
{
    return ex->head->field_count;
}

bool weir_request_field_at(const weir_exchange *ex, size_t n, weir_text *ret_name,
                           weir_text *ret_value)
{
    if (n >= ex->head->field_count) {
        return false;
    }
    *ret_name = text_of(ex->head->fields[n].name);
    *ret_value = text_of(ex->head->fields[n].value);
    return true;
}

weir_text weir_request_body(const weir_exchange *ex)
{
    return (weir_text){ex->body.max > 0 ? bytes_at(&ex->body) : NULL,
                       ex->body.max > 0 ? bytes_len(&ex->body) : 0};
}

uint32_t weir_request_version(const weir_exchange *ex)
{
    return ex->version;
}

const char *weir_exchange_server_name(const weir_exchange *ex)
{
    const struct http_peer *peer = ex->ex->peer;
    if (!peer->tls) {
        return NULL;
    }
    return peer->server_name != NULL ? peer->server_name : "";
}

const char *weir_exchange_peer(const weir_exchange *ex)
{
    return ex->ex->peer->text;
}

uint32_t weir_exchange_worker(const weir_exchange *ex)
{
    return worker_index(ex->stall->worker);
}

weir_server *weir_exchange_server(const weir_exchange *ex)
{
    return ex->stall->server;
}

void weir_exchange_set_user(weir_exchange *ex, void *user)
{
    ex->user = user;
}

void *weir_exchange_user(const weir_exchange *ex)
{
    return ex->user;
}

/* --- answering ----------------------------------------------------------------------------------
 */

bool server_take_field(struct http_field *to, const weir_http_field *from)
{
    if (from->name == NULL || from->value == NULL) {
        return false;
    }
    *to = (struct http_field){.name = slice_of(from->name),
                              .value = slice_trim(slice_of(from->value))};
    to->id = http_field_id_of(to->name);
    return http_name_valid(to->name) && http_value_valid(to->value)
           && (BIT(to->id) & FRAMING & ~BIT(HTTP_FIELD_OTHER)) == 0;
}

static weir_err take_reply(struct weir_exchange *exchange, const weir_reply *reply,
                           struct http_head *ret_head)
{
    struct http_field *fields = exchange->stall->fields;
    uint16_t status = reply->status != 0 ? reply->status : 200;
    if (exchange->state != EXCHANGE_OPEN) {
        return WEIR_ESTATE;
    }
    if (reply->size > sizeof *reply) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    if (status < 200 || status > 599) {
        return ground_fault(WEIR_EINVAL, "status");
    }
    if (exchange->is_connect && status < 300) {
        status = 501; /* who answers so has not seen that a WebSocket was asked for */
    }
    struct http_head head = {.status = status,
                             .reason = http_reason_of(status),
                             .version_minor = 1,
                             .fields = fields,
                             .field_count = (uint16_t)reply->field_count};
    for (size_t i = 0; i < reply->field_count; i++) {
        if (i == HTTP_FIELDS_MAX || !server_take_field(&fields[i], &reply->fields[i])) {
            return ground_fault(WEIR_EINVAL, "fields");
        }
        head.present |= BIT(fields[i].id);
    }
    head.framing = reply->body_len == WEIR_HTTP_UNKNOWN ? HTTP_CHUNKED : HTTP_LENGTH;
    head.content_length = head.framing == HTTP_LENGTH ? reply->body_len : 0;
    *ret_head = head;
    return WEIR_OK;
}

static void begin(struct weir_exchange *exchange, const struct http_head *head)
{
    exchange->status = head->status;
    exchange->state = EXCHANGE_ANSWERING;
    exchange->ex->ops->respond(exchange->ex, head);
}

/* What was kept of a request. */
struct kept {
    const struct alloc *alloc;
    char *text;
    struct bytes body;
};

static struct kept take_kept(struct weir_exchange *exchange)
{
    struct kept kept = {exchange->stall->server->alloc, exchange->text, exchange->body};
    exchange->text = NULL;
    exchange->body = (struct bytes){0};
    return kept;
}

weir_err weir_exchange_reply(weir_exchange *ex, const weir_reply *reply)
{
    struct http_exchange *under = ex->ex;
    struct http_head head;
    if (reply->body_len > 0 && (reply->body == NULL || reply->body_len == WEIR_HTTP_UNKNOWN)) {
        return ground_fault(WEIR_EINVAL, "body");
    }
    weir_err err = take_reply(ex, reply, &head);
    if (err != WEIR_OK) {
        return err;
    }
    begin(ex, &head);
    if (reply->body_len > 0) {
        under->ops->body(under, reply->body, (size_t)reply->body_len);
    }
    struct kept kept = take_kept(ex); /* an echo points into it: it lives until that is sent */
    server_settle(ex, true);
    under->ops->end(under, NULL);
    under->ops->flush(under);
    bytes_fini(&kept.body);
    alloc_free(kept.alloc, kept.text);
    return WEIR_OK;
}

weir_err weir_exchange_begin(weir_exchange *ex, const weir_reply *reply)
{
    struct http_head head;
    weir_err err = take_reply(ex, reply, &head);
    if (err != WEIR_OK) {
        return err;
    }
    if (head.status < 400 && ex->stall->server->handler->on_body != NULL) {
        welcome(ex); /* an answer made of the body */
    }
    begin(ex, &head);
    ex->is_waited_for = false;
    return WEIR_OK;
}

bool weir_exchange_write(weir_exchange *ex, const void *data, size_t len)
{
    struct http_exchange *under = ex->ex;
    if (ex->state != EXCHANGE_ANSWERING) {
        return false;
    }
    under->ops->body(under, data, len);
    return under->ops->flush(under);
}

void weir_exchange_end(weir_exchange *ex)
{
    struct http_exchange *under = ex->ex;
    bool has_begun = ex->state == EXCHANGE_ANSWERING;
    server_settle(ex, has_begun);
    if (has_begun) {
        under->ops->end(under, NULL);
        under->ops->flush(under);
    } else {
        under->ops->abort(under);
    }
}

void weir_exchange_abort(weir_exchange *ex)
{
    struct http_exchange *under = ex->ex;
    server_settle(ex, false);
    under->ops->abort(under);
}

void weir_exchange_pause(weir_exchange *ex, bool paused)
{
    ex->ex->ops->pause(ex->ex, paused);
}

/* --- another protocol ---------------------------------------------------------------------------
 */

struct http_exchange *server_exchange_under(const weir_exchange *ex,
                                            const struct http_head **ret_head)
{
    if (ex->head == NULL || ex->state != EXCHANGE_OPEN) {
        return NULL;
    }
    *ret_head = ex->head;
    return ex->ex;
}

void server_exchange_became(weir_exchange *take_ex)
{
    take_ex->status = 101;
    server_settle(take_ex, true);
}

/* --- answers from other threads -----------------------------------------------------------------
 */

weir_exchange_id weir_exchange_id_of(const weir_exchange *ex)
{
    return (weir_exchange_id){.worker = worker_index(ex->stall->worker),
                              .id = slots_id_of(&ex->stall->exchanges, ex)};
}

/* A reply on its way, with all that it points to. */
struct letter_home {
    struct worker_note note; /* first */
    struct stall *stall;
    uint64_t id;
    weir_reply reply;
};

static void letter_arrives(struct worker_note *note)
{
    struct letter_home *letter = container_of(note, struct letter_home, note);
    struct weir_exchange *exchange = slots_at(&letter->stall->exchanges, letter->id);
    if (exchange != NULL && weir_exchange_reply(exchange, &letter->reply) == WEIR_EINVAL) {
        weir_exchange_abort(exchange);
    }
    alloc_free(letter->stall->server->alloc, letter);
}

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static char *put(char *to, const char *text, const char **ret_copy)
{
    size_t size = text_size(text);
    *ret_copy = size > 0 ? memcpy(to, text, size) : NULL;
    return to + size;
}

weir_err weir_server_reply(weir_server *server, weir_exchange_id id, const weir_reply *reply)
{
    if (id.worker >= server->stalls_count || reply->field_count > HTTP_FIELDS_MAX
        || reply->body_len > SIZE_MAX / 4 || (reply->body_len > 0 && reply->body == NULL)) {
        return ground_fault(WEIR_EINVAL, "reply");
    }
    size_t text = 0;
    for (size_t i = 0; i < reply->field_count; i++) {
        text += text_size(reply->fields[i].name) + text_size(reply->fields[i].value);
    }
    size_t fields = reply->field_count * sizeof(weir_http_field);
    struct letter_home *letter =
        alloc_new(server->alloc, sizeof *letter + fields + text + (size_t)reply->body_len);
    if (letter == NULL) {
        return WEIR_ENOMEM;
    }
    weir_http_field *copies = (weir_http_field *)(void *)(letter + 1);
    char *to = (char *)(letter + 1) + fields;
    for (size_t i = 0; i < reply->field_count; i++) {
        to = put(to, reply->fields[i].name, &copies[i].name);
        to = put(to, reply->fields[i].value, &copies[i].value);
    }
    *letter = (struct letter_home){
        .note = {.run = letter_arrives}, .stall = &server->stalls[id.worker], .id = id.id};
    letter->reply = *reply;
    letter->reply.fields = copies;
    if (reply->body_len > 0) {
        letter->reply.body = memcpy(to, reply->body, (size_t)reply->body_len);
    }
    worker_note(letter->stall->worker, &letter->note);
    return WEIR_OK;
}

/* --- errands ------------------------------------------------------------------------------------
 */

struct visit {
    struct worker_note note; /* first */
    struct stall *stall;
    uint64_t id;
    void (*fn)(void *arg, weir_exchange *ex);
    void *arg;
};

static void visit_arrives(struct worker_note *note)
{
    struct visit *visit = container_of(note, struct visit, note);
    struct weir_exchange *exchange = slots_at(&visit->stall->exchanges, visit->id);
    bool is_over = exchange != NULL && exchange->rpc != NULL && rpc_has_ended(exchange->rpc);
    visit->fn(visit->arg, is_over ? NULL : exchange);
    alloc_free(visit->stall->server->alloc, visit);
}

weir_err weir_server_run(weir_server *server, weir_exchange_id id,
                         void (*fn)(void *arg, weir_exchange *ex), void *arg)
{
    if (id.worker >= server->stalls_count) {
        return ground_fault(WEIR_EINVAL, "worker");
    }
    struct visit *visit = alloc_new(server->alloc, sizeof *visit);
    if (visit == NULL) {
        return WEIR_ENOMEM;
    }
    *visit = (struct visit){.note = {.run = visit_arrives},
                            .stall = &server->stalls[id.worker],
                            .id = id.id,
                            .fn = fn,
                            .arg = arg};
    worker_note(visit->stall->worker, &visit->note);
    return WEIR_OK;
}
