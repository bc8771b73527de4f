/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of gRPC at a server: an exchange of HTTP/2 whose bodies are messages, and whose answer ends
 * with a status. Its `struct rpc` is made when it begins and goes with the exchange.
 *
 *   TALKING ──▶ ENDING ──▶ gone
 *       │         what was answered before the status has to go first; the program knows no more
 *       └──────▶ gone
 *
 * Whatever tells the program something may find the call gone when that returns: it is looked up
 * again by its id.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "client/server.h"
#include "proto/grpc.h"

#include <stdio.h>
#include <string.h>

#define RECEIVE_MAX (4U << 20)
#define UNSENT_MAX  (1U << 20)
#define MESSAGE_MAX 1024U       /* of a status, as it is written */
#define PIECE       (16U << 10) /* given to the listener at a time */
#define OWN_FIELDS  3U          /* content-type, grpc-status, grpc-message */

/* The fields that end a call, kept until they may go. */
struct farewell {
    struct http_head head; /* of these fields, and nothing else */
    struct http_field *fields;
    char code[4], message[MESSAGE_MAX];
};

struct rpc {
    struct weir_exchange *exchange;
    const weir_grpc_method *method; /* NULL: nobody knows of it */
    void *self;
    struct grpc_scan scan;
    struct bytes in;  /* the message at hand, when it came in pieces */
    struct bytes out; /* what the listener has not taken yet */
    struct loop_timer deadline;
    uint64_t deadline_ms;      /* 0: none */
    struct farewell *farewell; /* ENDING */
    bool is_headed;            /* the head of the answer is given */
    bool is_blocked;           /* on_drain will come */
    bool was_full;             /* on_writable is due */
};

static void deadline_passed(struct loop_timer *timer, uint64_t now_ms);
static void end_with(struct rpc *rpc, enum grpc_code code, const char *message);

/* --- what the service says ----------------------------------------------------------------------
 */

const char *rpc_check(const weir_grpc_service *service)
{
    if (service->size > sizeof *service
        || (service->method_count > 0 && service->methods == NULL)) {
        return "grpc";
    }
    for (size_t i = 0; i < service->method_count; i++) {
        const weir_grpc_method *method = &service->methods[i];
        bool is_last = i + 1 == service->method_count;
        if (method->path == NULL ? !is_last : method->path[0] != '/') {
            return "grpc.methods.path";
        }
        if (method->on_call == NULL && method->on_message == NULL) {
            return "grpc.methods.on_message";
        }
    }
    bool is_switch = service->health == 0 || service->health == WEIR_ON
                     || service->health == WEIR_OFF;
    return is_switch ? NULL : "grpc.health";
}

static bool is_path(const weir_grpc_method *method, struct slice path)
{
    return method->path == NULL || slice_same(path, slice_of(method->path));
}

static const weir_grpc_method *method_of(struct rpc *rpc, struct slice path)
{
    const struct weir_server *server = rpc->exchange->stall->server;
    const weir_grpc_service *service = server->grpc;
    rpc->self = server->self;
    for (size_t i = 0; i < sizeof health_methods / sizeof *health_methods; i++) {
        if (service->health == WEIR_ON && is_path(&health_methods[i], path)) {
            rpc->self = rpc->exchange->stall;
            return &health_methods[i];
        }
    }
    for (size_t i = 0; i < service->method_count; i++) {
        if (is_path(&service->methods[i], path)) {
            return &service->methods[i];
        }
    }
    return NULL;
}

static uint32_t limit(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* --- telling the program ------------------------------------------------------------------------
 */

static struct rpc *rpc_at(const struct stall *stall, uint64_t id)
{
    struct weir_exchange *exchange = slots_at(&stall->exchanges, id);
    return exchange != NULL && exchange->rpc->farewell == NULL ? exchange->rpc : NULL;
}

static uint64_t id_of(const struct rpc *rpc)
{
    return slots_id_of(&rpc->exchange->stall->exchanges, rpc->exchange);
}

/* Is it still being talked about afterwards? */
static bool tell_message(struct rpc *rpc, const void *data, size_t len)
{
    const struct stall *stall = rpc->exchange->stall;
    uint64_t id = id_of(rpc);
    if (rpc->method->on_message != NULL) {
        rpc->method->on_message(rpc->self, rpc->exchange, data, len);
    }
    return rpc_at(stall, id) != NULL;
}

static void tell_abort(struct rpc *rpc, weir_err why)
{
    const weir_grpc_method *method = rpc->method;
    rpc->method = NULL;
    if (method != NULL && method->on_abort != NULL && rpc->farewell == NULL) {
        method->on_abort(rpc->self, rpc->exchange, why);
    }
}

/* Ended from here: the program first, then the client. */
static void give_up(struct rpc *rpc, weir_err why, enum grpc_code code, const char *message)
{
    tell_abort(rpc, why);
    bytes_clear(&rpc->out);
    end_with(rpc, code, message);
}

/* --- beginning ----------------------------------------------------------------------------------
 */

void rpc_free(struct rpc *take_rpc)
{
    if (take_rpc == NULL) {
        return;
    }
    const struct stall *stall = take_rpc->exchange->stall;
    loop_timer_stop(stall->loop, &take_rpc->deadline);
    bytes_fini(&take_rpc->in);
    bytes_fini(&take_rpc->out);
    alloc_free(stall->server->alloc, take_rpc->farewell);
    alloc_free(stall->server->alloc, take_rpc);
}

static struct rpc *rpc_new(struct weir_exchange *exchange)
{
    const struct weir_server *server = exchange->stall->server;
    struct rpc *rpc = alloc_zeroed(server->alloc, sizeof *rpc);
    if (rpc != NULL) {
        rpc->exchange = exchange;
        rpc->deadline.fire = deadline_passed;
        bytes_init(&rpc->in, server->alloc, limit(server->grpc->receive_max, RECEIVE_MAX));
        bytes_init(&rpc->out, server->alloc, 2 * (size_t)UINT32_MAX); /* unsent_max, a message */
    }
    return rpc;
}

/* False: grpc-timeout is none. */
static bool set_deadline(struct rpc *rpc, const struct http_head *head)
{
    struct loop *loop = rpc->exchange->stall->loop;
    const struct http_field *timeout = server_field_of(head, SLICE("grpc-timeout"));
    uint64_t after_ms;
    if (timeout == NULL) {
        return true;
    }
    if (!grpc_timeout_ms(timeout->value, &after_ms)) {
        return false;
    }
    rpc->deadline_ms = loop_now_ms(loop) + after_ms;
    loop_timer_set(loop, &rpc->deadline, rpc->deadline_ms);
    return true;
}

static void tell_call(struct rpc *rpc, const struct http_head *head, bool end)
{
    struct weir_exchange *exchange = rpc->exchange;
    const struct stall *stall = exchange->stall;
    uint64_t id = id_of(rpc);
    if (rpc->method->on_call != NULL) {
        exchange->head = head;
        rpc->method->on_call(rpc->self, exchange);
    }
    rpc = rpc_at(stall, id);
    if (rpc == NULL) {
        return;
    }
    rpc->exchange->head = NULL;
    if (end) {
        rpc_finish(rpc->exchange);
    }
}

void rpc_open(struct weir_exchange *exchange, const struct http_head *head, bool end)
{
    struct http_exchange *ex = exchange->ex;
    struct rpc *rpc = rpc_new(exchange);
    exchange->state = EXCHANGE_CALL;
    if (rpc == NULL) {
        server_forget(exchange);
        ex->ops->abort(ex);
        return;
    }
    exchange->rpc = rpc;
    ex->ops->untime(ex);
    rpc->method = method_of(rpc, slice_sub(head->path, 0, slice_find(head->path, '?')));
    if (head->method_id != HTTP_POST) {
        end_with(rpc, GRPC_INTERNAL, "a call is a POST");
    } else if (rpc->method == NULL) {
        end_with(rpc, GRPC_UNIMPLEMENTED, "there is no such method");
    } else if (!set_deadline(rpc, head)) {
        end_with(rpc, GRPC_INTERNAL, "grpc-timeout is not one");
    } else {
        tell_call(rpc, head, end);
    }
}

/* --- messages that come -------------------------------------------------------------------------
 */

/* A message begins: false, the call was given up. */
static bool begin_message(struct rpc *rpc)
{
    uint32_t most = limit(rpc->exchange->stall->server->grpc->receive_max, RECEIVE_MAX);
    if (rpc->scan.prefix[0] != 0) {
        give_up(rpc, WEIR_EPROTOCOL, GRPC_UNIMPLEMENTED, "no message may be compressed");
        return false;
    }
    if (most != WEIR_UNLIMITED && rpc->scan.left > most) {
        give_up(rpc, WEIR_ETOO_LARGE, GRPC_RESOURCE_EXHAUSTED, "the message is too large");
        return false;
    }
    return true;
}

/* Some of the message at hand, or all of it. False: the call is over. */
static bool take_piece(struct rpc *rpc, const char *at, size_t len)
{
    bool is_whole = rpc->scan.left == 0;
    if (is_whole && bytes_len(&rpc->in) == 0) {
        return tell_message(rpc, at, len); /* from where it lies */
    }
    if (!bytes_append(&rpc->in, at, len)) {
        give_up(rpc, WEIR_ENOMEM, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    if (!is_whole) {
        return true;
    }
    struct bytes message = rpc->in; /* the call may go, and a message stays until it was told */
    bytes_init(&rpc->in, message.alloc, message.max);
    bool goes_on = tell_message(rpc, bytes_at(&message), bytes_len(&message));
    bytes_fini(&message);
    return goes_on;
}

void rpc_body(struct weir_exchange *exchange, const char *data, size_t len)
{
    struct rpc *rpc = exchange->rpc;
    bool goes_on = rpc->farewell == NULL;
    while (goes_on && len > 0) {
        size_t piece = len < rpc->scan.left ? len : (size_t)rpc->scan.left;
        bool begun = false;
        if (piece > 0) {
            rpc->scan.left -= piece;
            goes_on = take_piece(rpc, data, piece);
        } else {
            piece = grpc_scan_next(&rpc->scan, data, len, &begun);
            goes_on = !begun || begin_message(rpc);
            if (goes_on && begun && rpc->scan.left == 0) {
                goes_on = tell_message(rpc, "", 0);
            }
        }
        data += piece;
        len -= piece;
    }
}

void rpc_finish(struct weir_exchange *exchange)
{
    struct rpc *rpc = exchange->rpc;
    if (rpc->farewell != NULL) {
        return;
    }
    if (!grpc_scan_is_whole(&rpc->scan)) {
        give_up(rpc, WEIR_EPROTOCOL, GRPC_INTERNAL, "the request ends in the middle of a message");
    } else if (rpc->method->on_finish != NULL) {
        rpc->method->on_finish(rpc->self, exchange);
    }
}

/* --- messages that go ---------------------------------------------------------------------------
 */

static const struct http_field grpc_type = {.name = SLICE("content-type"),
                                            .value = SLICE("application/grpc"),
                                            .id = HTTP_CONTENT_TYPE};

static void give_head(struct rpc *rpc, struct http_field *fields, size_t count)
{
    struct http_exchange *ex = rpc->exchange->ex;
    fields[count] = grpc_type;
    const struct http_head head = {.status = 200,
                                   .version_minor = 1,
                                   .framing = HTTP_CHUNKED,
                                   .fields = fields,
                                   .field_count = (uint16_t)(count + 1),
                                   .present = UINT64_C(1) << HTTP_CONTENT_TYPE};
    rpc->is_headed = true;
    ex->ops->respond(ex, &head);
}

/* The last of it: the exchange goes. */
static void give_farewell(struct rpc *rpc)
{
    struct weir_exchange *exchange = rpc->exchange;
    struct http_exchange *ex = exchange->ex;
    struct farewell *farewell = rpc->farewell;
    const struct alloc *alloc = exchange->stall->server->alloc;
    bool is_headed = rpc->is_headed;
    rpc->farewell = NULL;
    server_settle(exchange, true);
    if (!is_headed) {
        ex->ops->respond(ex, &farewell->head);
    }
    ex->ops->end(ex, is_headed ? &farewell->head : NULL);
    ex->ops->flush(ex);
    alloc_free(alloc, farewell);
}

/* Gives the listener what it takes of `out`, then what comes behind it. */
static void pump(struct rpc *rpc)
{
    struct http_exchange *ex = rpc->exchange->ex;
    while (!rpc->is_blocked && bytes_len(&rpc->out) > 0) {
        size_t piece = bytes_len(&rpc->out) < PIECE ? bytes_len(&rpc->out) : PIECE;
        ex->ops->body(ex, bytes_at(&rpc->out), piece);
        rpc->is_blocked = ex->ops->flush(ex);
        bytes_consume(&rpc->out, piece);
    }
    if (bytes_len(&rpc->out) == 0) {
        bytes_release(&rpc->out);
        if (rpc->farewell != NULL) {
            give_farewell(rpc);
        }
    }
}

void rpc_drain(struct weir_exchange *exchange)
{
    const struct stall *stall = exchange->stall;
    uint64_t id = id_of(exchange->rpc);
    exchange->rpc->is_blocked = false;
    pump(exchange->rpc);
    struct rpc *rpc = rpc_at(stall, id);
    if (rpc != NULL && rpc->was_full && bytes_len(&rpc->out) == 0) {
        rpc->was_full = false;
        if (rpc->method->on_writable != NULL) {
            rpc->method->on_writable(rpc->self, rpc->exchange);
        }
    }
}

/* --- how it ends --------------------------------------------------------------------------------
 */

/* For the health of the server: is it to blame? */
static bool is_fault(enum grpc_code code)
{
    return code == GRPC_UNKNOWN || code == GRPC_DEADLINE_EXCEEDED || code == GRPC_INTERNAL
           || code == GRPC_UNAVAILABLE || code == GRPC_DATA_LOSS;
}

static void add_status(struct farewell *farewell, enum grpc_code code, const char *message)
{
    struct http_head *head = &farewell->head;
    int digits = snprintf(farewell->code, sizeof farewell->code, "%u", (unsigned)code);
    head->fields[head->field_count++] = (struct http_field){
        .name = SLICE("grpc-status"), .value = {farewell->code, (uint32_t)digits}};
    if (message != NULL && message[0] != '\0') {
        size_t len = grpc_message_write(message, farewell->message, sizeof farewell->message);
        head->fields[head->field_count++] = (struct http_field){
            .name = SLICE("grpc-message"), .value = {farewell->message, (uint32_t)len}};
    }
}

/* With copies of these fields. A head that is all, where none was given (trailers only). */
static struct farewell *farewell_new(const struct rpc *rpc, enum grpc_code code,
                                     const char *message, const struct http_field *fields,
                                     size_t count)
{
    const struct alloc *alloc = rpc->exchange->stall->server->alloc;
    size_t table = (count + OWN_FIELDS) * sizeof(struct http_field);
    struct farewell *farewell =
        alloc_new(alloc, sizeof *farewell + table + server_fields_size(fields, count));
    if (farewell == NULL) {
        return NULL;
    }
    farewell->fields = (struct http_field *)(void *)(farewell + 1);
    farewell->head = (struct http_head){
        .status = 200, .version_minor = 1, .framing = HTTP_NO_BODY, .fields = farewell->fields};
    if (!rpc->is_headed) {
        farewell->head.present = UINT64_C(1) << HTTP_CONTENT_TYPE;
        farewell->fields[farewell->head.field_count++] = grpc_type;
    }
    add_status(farewell, code, message);
    server_fields_copy(fields, count, (char *)farewell->fields + table,
                       farewell->fields + farewell->head.field_count);
    farewell->head.field_count += (uint16_t)count;
    return farewell;
}

static void end_by(struct rpc *rpc, enum grpc_code code, const char *message,
                   const struct http_field *fields, size_t count)
{
    struct weir_exchange *exchange = rpc->exchange;
    rpc->farewell = farewell_new(rpc, code, message, fields, count);
    exchange->status = is_fault(code) ? 500 : 200;
    if (rpc->farewell == NULL) {
        struct http_exchange *ex = exchange->ex;
        server_settle(exchange, false);
        ex->ops->abort(ex);
        return;
    }
    rpc->method = NULL;
    pump(rpc);
}

static void end_with(struct rpc *rpc, enum grpc_code code, const char *message)
{
    end_by(rpc, code, message, NULL, 0);
}

static void deadline_passed(struct loop_timer *timer, uint64_t now_ms)
{
    struct rpc *rpc = container_of(timer, struct rpc, deadline);
    (void)now_ms;
    if (rpc->farewell != NULL) { /* its client does not take what there is */
        struct http_exchange *ex = rpc->exchange->ex;
        server_settle(rpc->exchange, false);
        ex->ops->abort(ex);
    } else {
        give_up(rpc, WEIR_ETOTAL_TIMEOUT, GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
    }
}

/* A client that has set a deadline takes its leave when that has passed. */
void rpc_abort(struct weir_exchange *exchange, weir_err why)
{
    struct rpc *rpc = exchange->rpc;
    bool is_late = rpc->deadline_ms != 0 && loop_now_ms(exchange->stall->loop) >= rpc->deadline_ms;
    tell_abort(rpc, is_late ? WEIR_ETOTAL_TIMEOUT : why);
}

bool rpc_has_ended(const struct rpc *rpc)
{
    return rpc->farewell != NULL;
}

/* --- what the program may do --------------------------------------------------------------------
 */

static struct rpc *rpc_of(const weir_exchange *call)
{
    return call->state == EXCHANGE_CALL && call->rpc->farewell == NULL ? call->rpc : NULL;
}

uint32_t weir_grpc_time_left(const weir_exchange *call)
{
    const struct rpc *rpc = rpc_of(call);
    if (rpc == NULL || rpc->deadline_ms == 0) {
        return WEIR_NEVER;
    }
    uint64_t now_ms = loop_now_ms(call->stall->loop);
    uint64_t left_ms = rpc->deadline_ms > now_ms ? rpc->deadline_ms - now_ms : 0;
    return left_ms < WEIR_NONE ? (uint32_t)left_ms : WEIR_NONE - 1;
}

/* What gRPC says itself. */
static bool is_reserved(struct slice name)
{
    return slice_same_nocase(name, SLICE("grpc-status"))
           || slice_same_nocase(name, SLICE("grpc-message"))
           || slice_same_nocase(name, SLICE("grpc-encoding"))
           || slice_same_nocase(name, SLICE("content-type"));
}

static bool take_metadata(struct http_field *to, const weir_http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i >= HTTP_FIELDS_MAX - OWN_FIELDS || !server_take_field(&to[i], &fields[i])
            || is_reserved(to[i].name)) {
            return false;
        }
    }
    return true;
}

weir_err weir_grpc_begin(weir_exchange *call, const weir_http_field *fields, size_t field_count)
{
    struct rpc *rpc = rpc_of(call);
    if (rpc == NULL || rpc->is_headed) {
        return WEIR_ESTATE;
    }
    if (!take_metadata(call->stall->fields, fields, field_count)) {
        return ground_fault(WEIR_EINVAL, "fields");
    }
    give_head(rpc, call->stall->fields, field_count);
    call->ex->ops->flush(call->ex);
    return WEIR_OK;
}

weir_err weir_grpc_answer(weir_exchange *call, const void *message, size_t len)
{
    struct rpc *rpc = rpc_of(call);
    const weir_grpc_service *service = call->stall->server->grpc;
    if (rpc == NULL) {
        return WEIR_ESTATE;
    }
    if (len > UINT32_MAX || len > limit(service->send_max, WEIR_UNLIMITED)) {
        return WEIR_ETOO_LARGE;
    }
    size_t unsent = bytes_len(&rpc->out);
    if (unsent > 0 && unsent + len > limit(service->unsent_max, UNSENT_MAX)) {
        rpc->was_full = true;
        return WEIR_EAGAIN;
    }
    if (!grpc_put(&rpc->out, message, (uint32_t)len)) {
        return WEIR_ENOMEM;
    }
    if (!rpc->is_headed) {
        give_head(rpc, call->stall->fields, 0);
    }
    pump(rpc);
    return WEIR_OK;
}

weir_err weir_grpc_end(weir_exchange *call, weir_grpc_code code, const char *message,
                       const weir_http_field *fields, size_t field_count)
{
    struct rpc *rpc = rpc_of(call);
    if (rpc == NULL) {
        return WEIR_ESTATE;
    }
    if ((unsigned)code > WEIR_GRPC_UNAUTHENTICATED) {
        return ground_fault(WEIR_EINVAL, "code");
    }
    if (!take_metadata(call->stall->fields, fields, field_count)) {
        return ground_fault(WEIR_EINVAL, "fields");
    }
    end_by(rpc, (enum grpc_code)code, message, call->stall->fields, field_count);
    return WEIR_OK;
}
