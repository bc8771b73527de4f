/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.c - gRPC over the HTTP client: a call is a request whose body is pulled from a queue of
 * messages, and whose answer's body is cut into messages.
 *
 * What the program's threads and the worker's both touch lies under the call's mutex: the queue and
 * what was said of it. The rest belongs to the worker that tells. A call has two owners, the
 * program's handle and the request; the last one frees it.
 */
#include "proto/grpc.h"

#include <weir/grpc.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "client/ground.h"
#include "client/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define RECEIVE_MAX  (4U << 20)
#define UNSENT_MAX   (1U << 20)
#define MESSAGE_MAX  1024U /* of a status */
#define METADATA_MAX 64U
#define KEPT_MAX     (64U << 10) /* of messages that have gone, for a peer that did not touch them */
#define TIMEOUT_GRACE                                                                              \
    100U /* ms that the peer may take to say itself that the deadline has passed */

struct weir_grpc_client {
    weir_runtime *runtime;
    weir_http_client *http;
    uint32_t receive_max, send_max, unsent_max;
};

struct weir_grpc_call {
    weir_grpc_client *client;
    weir_grpc_handler handler;
    void *arg;
    atomic_uint owners;

    pthread_mutex_t mutex;
    weir_http_call http;
    struct bytes out;
    size_t gone; /* of it: kept while `keeps`, in case they have to go again */
    bool keeps;
    bool is_finished; /* by the program */
    bool is_over;     /* on_end came */
    bool waits;       /* for the program: pull had nothing */
    bool was_full;

    /* The worker's. */
    struct grpc_scan scan;
    struct bytes in; /* the message at hand, when it came in pieces */
    uint32_t code;
    bool has_code;
    bool is_told;   /* on_end was called */
    bool is_grpc;   /* what answered */
    weir_err fault; /* why it was called off from here */
    uint16_t http_status;
    char message[MESSAGE_MAX + 1];
};

/* --- the client ---------------------------------------------------------------------------------
 */

weir_err weir_grpc_client_new(weir_runtime *runtime, const weir_grpc_client_options *opt,
                              weir_grpc_client **ret_client)
{
    weir_grpc_client_options mine = {0};
    size_t size = opt != NULL && opt->size != 0 ? opt->size : sizeof mine;
    if (size > sizeof mine) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    if (opt != NULL) {
        memcpy(&mine, opt, size);
    }
    weir_grpc_client *client = alloc_zeroed(&alloc_libc, sizeof *client);
    if (client == NULL) {
        return WEIR_ENOMEM;
    }
    client->runtime = runtime;
    client->receive_max = mine.receive_max != 0 ? mine.receive_max : RECEIVE_MAX;
    client->send_max = mine.send_max != 0 ? mine.send_max : WEIR_UNLIMITED;
    client->unsent_max = mine.unsent_max != 0 ? mine.unsent_max : UNSENT_MAX;
    weir_http_client_options http = {
        .size = sizeof http,
        .pool = mine.pool,
        .redirects_max = WEIR_NONE,
        .user_agent = mine.user_agent != NULL ? mine.user_agent : "grpc-c-weir/" WEIR_VERSION,
        .http2 = WEIR_ON,
        .tls = mine.tls,
        .proxy = mine.proxy,
        .proxy_tls = mine.proxy_tls,
    };
    uint32_t *never[] = {&http.pool.total_timeout_ms, &http.pool.read_timeout_ms,
                         &http.pool.first_byte_timeout_ms};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        *never[i] = *never[i] != 0 ? *never[i] : WEIR_NEVER;
    }
    weir_err err = weir_http_client_new(runtime, &http, &client->http);
    if (err != WEIR_OK) {
        alloc_free(&alloc_libc, client);
        return err;
    }
    *ret_client = client;
    return WEIR_OK;
}

weir_err weir_grpc_client_free(weir_grpc_client *take_client)
{
    if (take_client == NULL) {
        return WEIR_OK;
    }
    weir_err err = weir_http_client_free(take_client->http);
    if (err == WEIR_OK) {
        alloc_free(&alloc_libc, take_client);
    }
    return err;
}

void weir_grpc_client_stats(const weir_grpc_client *client, weir_http_stats *ret_stats)
{
    weir_http_client_stats(client->http, ret_stats);
}

/* --- messages that go ---------------------------------------------------------------------------
 */

static void call_disown(weir_grpc_call *call)
{
    if (atomic_fetch_sub(&call->owners, 1) == 1) {
        pthread_mutex_destroy(&call->mutex);
        bytes_fini(&call->out);
        bytes_fini(&call->in);
        alloc_free(&alloc_libc, call);
    }
}

/* The functions that follow: under the mutex, or before anybody else knows the call. */

static size_t unsent_of(const weir_grpc_call *call)
{
    return bytes_len(&call->out) - call->gone;
}

static void forget_what_has_gone(weir_grpc_call *call)
{
    bytes_consume(&call->out, call->gone);
    call->gone = 0;
    call->keeps = false;
}

static weir_err put_message(weir_grpc_call *call, const void *message, size_t len)
{
    return grpc_put(&call->out, message, (uint32_t)len) ? WEIR_OK : WEIR_ENOMEM;
}

static bool is_too_large(const weir_grpc_client *client, size_t len)
{
    return len > UINT32_MAX || (client->send_max != WEIR_UNLIMITED && len > client->send_max);
}

/* Has the worker ask for what there is now. */
static weir_err unlock_and_pull(weir_grpc_call *call, weir_err err)
{
    bool wakes = err == WEIR_OK && call->waits;
    weir_http_call http = call->http;
    call->waits = call->waits && !wakes;
    pthread_mutex_unlock(&call->mutex);
    if (wakes) {
        http_client_pull(call->client->http, http);
    }
    return err;
}

weir_err weir_grpc_send(weir_grpc_call *call, const void *message, size_t len)
{
    if (is_too_large(call->client, len)) {
        return WEIR_ETOO_LARGE;
    }
    pthread_mutex_lock(&call->mutex);
    weir_err err = WEIR_OK;
    if (call->is_finished || call->is_over) {
        err = WEIR_ESTATE;
    } else if (unsent_of(call) > 0 && unsent_of(call) + len > call->client->unsent_max) {
        call->was_full = true;
        err = WEIR_EAGAIN;
    } else {
        err = put_message(call, message, len);
    }
    return unlock_and_pull(call, err);
}

weir_err weir_grpc_finish(weir_grpc_call *call)
{
    pthread_mutex_lock(&call->mutex);
    weir_err err = call->is_finished || call->is_over ? WEIR_ESTATE : WEIR_OK;
    call->is_finished = true;
    return unlock_and_pull(call, err);
}

/* The worker takes what the peer has room for. */
static size_t pull(void *arg, void *buf, size_t cap)
{
    weir_grpc_call *call = arg;
    pthread_mutex_lock(&call->mutex);
    size_t len = unsent_of(call) < cap ? unsent_of(call) : cap;
    if (len > 0) {
        memcpy(buf, bytes_at(&call->out) + call->gone, len);
        call->gone += len;
    }
    if (!call->keeps || call->gone > KEPT_MAX) {
        forget_what_has_gone(call);
    }
    bool tells = call->was_full && unsent_of(call) == 0;
    call->was_full = call->was_full && !tells;
    call->waits = len == 0 && !call->is_finished;
    size_t result = len > 0 || call->is_finished ? len : WEIR_HTTP_LATER;
    pthread_mutex_unlock(&call->mutex);
    if (tells && call->handler.on_writable != NULL) {
        call->handler.on_writable(call->arg);
    }
    return result;
}

/* From the first message on, for a peer that has not touched it (GOAWAY, REFUSED_STREAM). */
static bool rewind_messages(void *arg)
{
    weir_grpc_call *call = arg;
    pthread_mutex_lock(&call->mutex);
    bool keeps = call->keeps;
    call->gone = keeps ? 0 : call->gone;
    call->waits = false; /* it is asked again anyway */
    pthread_mutex_unlock(&call->mutex);
    return keeps;
}

/* --- messages that come -------------------------------------------------------------------------
 */

/* Its id may not be known here yet: then send_request() does it. */
static void call_off(weir_grpc_call *call, uint32_t code, const char *message)
{
    pthread_mutex_lock(&call->mutex);
    bool is_first = call->fault == WEIR_OK;
    weir_http_call http = call->http;
    call->fault = WEIR_ECANCELED;
    pthread_mutex_unlock(&call->mutex);
    if (is_first) {
        call->code = code;
        snprintf(call->message, sizeof call->message, "%s", message);
        weir_http_cancel(call->client->http, http);
    }
}

static bool tell_message(weir_grpc_call *call, const void *data, size_t len)
{
    return call->handler.on_message == NULL || call->handler.on_message(call->arg, data, len);
}

/* A message begins: false, it was called off. */
static bool begin_message(weir_grpc_call *call)
{
    if (call->scan.prefix[0] != 0) {
        call_off(call, GRPC_UNIMPLEMENTED, "the message is compressed, which was not offered");
        return false;
    }
    if (call->client->receive_max != WEIR_UNLIMITED
        && call->scan.left > call->client->receive_max) {
        call_off(call, GRPC_RESOURCE_EXHAUSTED, "the message is larger than receive_max");
        return false;
    }
    return true;
}

/* Some of the message at hand, or all of it; *ret_goes_on: the program wants more. */
static void take_piece(weir_grpc_call *call, const char *at, size_t len, bool *ret_goes_on)
{
    bool is_whole = call->scan.left == 0;
    if (is_whole && bytes_len(&call->in) == 0) {
        *ret_goes_on &= tell_message(call, at, len); /* from where it lies */
        return;
    }
    if (len > 0 && !bytes_append(&call->in, at, len)) {
        call_off(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    } else if (is_whole) {
        *ret_goes_on &= tell_message(call, bytes_at(&call->in), bytes_len(&call->in));
        bytes_release(&call->in);
    }
}

static bool on_body(void *arg, const void *data, size_t len)
{
    weir_grpc_call *call = arg;
    const char *at = data;
    bool goes_on = true;
    len = call->is_grpc ? len : 0; /* a page for people says nothing to a program */
    while (len > 0 && call->fault == WEIR_OK) {
        bool begun;
        if (call->scan.left > 0) {
            size_t piece = len < call->scan.left ? len : (size_t)call->scan.left;
            call->scan.left -= piece;
            take_piece(call, at, piece, &goes_on);
            at += piece;
            len -= piece;
            continue;
        }
        size_t used = grpc_scan_next(&call->scan, at, len, &begun);
        at += used;
        len -= used;
        if (begun && begin_message(call) && call->scan.left == 0) {
            goes_on &= tell_message(call, at, 0);
        }
    }
    return goes_on;
}

/* --- how it ends --------------------------------------------------------------------------------
 */

static void read_status(weir_grpc_call *call, const weir_http_answer *answer)
{
    weir_text status = weir_http_field_of(answer, "grpc-status");
    if (status.at == NULL || call->fault != WEIR_OK) {
        return;
    }
    weir_text message = weir_http_field_of(answer, "grpc-message");
    call->has_code = true;
    call->code = grpc_code_of((struct slice){status.at, (uint32_t)status.len});
    size_t len = 0;
    if (message.at != NULL) {
        len = grpc_message_read((struct slice){message.at, (uint32_t)message.len}, call->message,
                                MESSAGE_MAX);
    }
    call->message[len] = '\0';
}

static bool on_head(void *arg, const weir_http_answer *answer)
{
    weir_grpc_call *call = arg;
    weir_text type = weir_http_field_of(answer, "content-type");
    pthread_mutex_lock(&call->mutex);
    forget_what_has_gone(call);
    pthread_mutex_unlock(&call->mutex);
    call->http_status = weir_http_status(answer);
    call->is_grpc = call->http_status == 200 && type.at != NULL
                    && grpc_is_type((struct slice){type.at, (uint32_t)type.len});
    read_status(call, answer); /* where there is nothing else: trailers only */
    if (call->http_status == 200 && call->handler.on_head != NULL) {
        call->handler.on_head(call->arg, answer);
    }
    return true;
}

static void tell_end(weir_grpc_call *call, const weir_grpc_status *status)
{
    pthread_mutex_lock(&call->mutex);
    call->is_over = true;
    pthread_mutex_unlock(&call->mutex);
    call->is_told = true;
    call->handler.on_end(call->arg, status);
}

/* The fields live only now: so the program hears of the end now, and on_end has nothing to add. */
static void on_trailers(void *arg, const weir_http_answer *trailers)
{
    weir_grpc_call *call = arg;
    read_status(call, trailers);
    if (!call->has_code || call->fault != WEIR_OK || !grpc_scan_is_whole(&call->scan)) {
        return;
    }
    const weir_grpc_status status = {
        .size = sizeof status, .code = call->code, .message = call->message, .trailers = trailers};
    tell_end(call, &status);
}

static uint32_t code_of_err(weir_err err)
{
    switch (err) {
    case WEIR_ECANCELED:
    case WEIR_ECLOSED: return GRPC_CANCELLED;
    case WEIR_ETOTAL_TIMEOUT: return GRPC_DEADLINE_EXCEEDED;
    case WEIR_EPROTOCOL:
    case WEIR_ENOMEM: return GRPC_INTERNAL;
    default: return GRPC_UNAVAILABLE;
    }
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    weir_grpc_call *call = arg;
    (void)result;
    if (call->is_told) {
        call_disown(call);
        return;
    }
    weir_grpc_status status = {.size = sizeof status, .message = call->message};
    if (call->fault != WEIR_OK) {
        status.code = call->code;
        status.err = call->fault;
    } else if (err != WEIR_OK) {
        status.code = code_of_err(err);
        status.err = err;
        status.message = weir_err_text(err);
    } else if (!call->has_code && !call->is_grpc) {
        status.code = grpc_code_of_http(call->http_status);
        status.err = WEIR_EPROTOCOL;
        status.message = "what answered does not speak gRPC";
    } else if (!call->has_code || !grpc_scan_is_whole(&call->scan)) {
        status.code = GRPC_INTERNAL;
        status.err = WEIR_EPROTOCOL;
        status.message = "the answer has no status, or ends in the middle of a message";
    } else {
        status.code = call->code;
    }
    tell_end(call, &status);
    call_disown(call);
}

static const weir_http_handler http_handler = {
    .size = sizeof http_handler,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .pull = pull,
    .rewind = rewind_messages,
    .on_trailers = on_trailers,
};

/* --- a call -------------------------------------------------------------------------------------
 */

static weir_grpc_call *call_new(weir_grpc_client *client, const weir_grpc_handler *handler,
                                void *arg)
{
    weir_grpc_call *call = alloc_zeroed(&alloc_libc, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    size_t size = handler->size != 0 ? handler->size : sizeof *handler;
    memcpy(&call->handler, handler, size);
    call->client = client;
    call->arg = arg;
    call->keeps = true;
    atomic_init(&call->owners, 2);
    pthread_mutex_init(&call->mutex, NULL);
    bytes_init(&call->out, &alloc_libc, 2 * (size_t)UINT32_MAX); /* unsent_max and a message */
    bytes_init(&call->in, &alloc_libc, client->receive_max);
    return call;
}

static const char *fault_of(const weir_grpc_request *request, const weir_grpc_handler *handler)
{
    if (request->size > sizeof *request || handler->size > sizeof *handler) {
        return "size";
    }
    if (handler->on_end == NULL) {
        return "on_end";
    }
    if (request->message == NULL && request->message_len > 0) {
        return "message";
    }
    return request->field_count > METADATA_MAX ? "field_count" : NULL;
}

static weir_err send_request(weir_grpc_call *call, const weir_grpc_request *request)
{
    weir_http_field fields[METADATA_MAX + 2];
    char timeout[GRPC_TIMEOUT_MAX];
    size_t count = 0;
    fields[count++] = (weir_http_field){.name = "content-type", .value = "application/grpc"};
    if (request->deadline_ms > 0) {
        grpc_timeout_write(request->deadline_ms, timeout);
        fields[count++] = (weir_http_field){.name = "grpc-timeout", .value = timeout};
    }
    for (size_t i = 0; i < request->field_count; i++) {
        fields[count++] = request->fields[i];
    }
    const weir_http_request http = {
        .size = sizeof http,
        .method = "POST",
        .url = request->url,
        .fields = fields,
        .field_count = count,
        .body_len = WEIR_HTTP_UNKNOWN,
        .flags = WEIR_HTTP_NO_REDIRECT | WEIR_HTTP_RAW,
        .timeout_ms = request->deadline_ms > 0 ? request->deadline_ms + TIMEOUT_GRACE : 0,
        .tenant = request->tenant,
        .proxy = request->proxy,
    };
    weir_http_call id;
    weir_err err = weir_http_send(call->client->http, &http, &http_handler, call, &id);
    if (err != WEIR_OK) {
        return err;
    }
    pthread_mutex_lock(&call->mutex);
    call->http = id;
    bool is_off = call->fault != WEIR_OK;
    pthread_mutex_unlock(&call->mutex);
    if (is_off) {
        weir_http_cancel(call->client->http, id);
    }
    return WEIR_OK;
}

weir_err weir_grpc_call_open(weir_grpc_client *client, const weir_grpc_request *request,
                             const weir_grpc_handler *handler, void *arg, weir_grpc_call **ret_call)
{
    const char *fault = fault_of(request, handler);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    if (is_too_large(client, request->message_len)) {
        return WEIR_ETOO_LARGE;
    }
    weir_grpc_call *call = call_new(client, handler, arg);
    if (call == NULL) {
        return WEIR_ENOMEM;
    }
    weir_err err = WEIR_OK;
    bool has_message = request->message != NULL || request->unary == WEIR_ON;
    call->is_finished = request->unary == WEIR_ON;
    if (has_message) {
        err = put_message(call, request->message, request->message_len);
    }
    if (err == WEIR_OK) {
        err = send_request(call, request);
    }
    if (err != WEIR_OK) {
        call_disown(call);
        call_disown(call);
        return err;
    }
    *ret_call = call;
    return WEIR_OK;
}

static weir_err order(weir_grpc_call *call, weir_err (*fn)(weir_http_client *, weir_http_call))
{
    pthread_mutex_lock(&call->mutex);
    bool is_over = call->is_over;
    weir_http_call http = call->http;
    pthread_mutex_unlock(&call->mutex);
    return is_over || fn(call->client->http, http) != WEIR_OK ? WEIR_ESTATE : WEIR_OK;
}

weir_err weir_grpc_resume(weir_grpc_call *call)
{
    return order(call, weir_http_resume);
}

weir_err weir_grpc_cancel(weir_grpc_call *call)
{
    return order(call, weir_http_cancel);
}

void weir_grpc_call_free(weir_grpc_call *take_call)
{
    if (take_call != NULL) {
        call_disown(take_call);
    }
}

/* --- a unary call that waits --------------------------------------------------------------------
 */

struct weir_grpc_reply {
    struct ground_wait wait;
    struct bytes message;
    bool has_message;
    bool is_short; /* of memory */
    uint32_t code;
    char error[MESSAGE_MAX + 1];
};

static bool reply_message(void *arg, const void *data, size_t len)
{
    weir_grpc_reply *reply = arg;
    bytes_clear(&reply->message);
    reply->has_message = true;
    reply->is_short |= !bytes_append(&reply->message, data, len)
                       || !bytes_append(&reply->message, "", 1); /* a NUL behind it */
    return true;
}

static void reply_end(void *arg, const weir_grpc_status *status)
{
    weir_grpc_reply *reply = arg;
    reply->code = reply->is_short ? (uint32_t)GRPC_RESOURCE_EXHAUSTED : status->code;
    if (reply->code == GRPC_OK && !reply->has_message) {
        reply->code = GRPC_INTERNAL;
        snprintf(reply->error, sizeof reply->error, "no message came");
    } else {
        snprintf(reply->error, sizeof reply->error, "%s", status->message);
    }
    ground_wait_end(&reply->wait);
}

static const weir_grpc_handler reply_handler = {.size = sizeof reply_handler,
                                                .on_message = reply_message,
                                                .on_end = reply_end};

weir_err weir_grpc_fetch(weir_grpc_client *client, const char *url, const void *message, size_t len,
                         uint32_t deadline_ms, weir_grpc_reply **ret_reply)
{
    weir_err err = ground_may_wait(client->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    weir_grpc_reply *reply = alloc_zeroed(&alloc_libc, sizeof *reply);
    if (reply == NULL) {
        return WEIR_ENOMEM;
    }
    ground_wait_init(&reply->wait);
    bytes_init(&reply->message, &alloc_libc, SIZE_MAX / 2);
    const weir_grpc_request request = {.size = sizeof request,
                                       .url = url,
                                       .message = message,
                                       .message_len = len,
                                       .unary = WEIR_ON,
                                       .deadline_ms = deadline_ms};
    weir_grpc_call *call = NULL;
    err = weir_grpc_call_open(client, &request, &reply_handler, reply, &call);
    if (err != WEIR_OK) {
        weir_grpc_reply_free(reply);
        return err;
    }
    ground_wait_for(&reply->wait, client->runtime);
    weir_grpc_call_free(call);
    *ret_reply = reply;
    return WEIR_OK;
}

uint32_t weir_grpc_reply_status(const weir_grpc_reply *reply)
{
    return reply->code;
}

const char *weir_grpc_reply_error(const weir_grpc_reply *reply)
{
    return reply->error;
}

weir_text weir_grpc_reply_message(const weir_grpc_reply *reply)
{
    size_t len = bytes_len(&reply->message);
    return reply->has_message && len > 0 ? (weir_text){bytes_at(&reply->message), len - 1}
                                         : (weir_text){NULL, 0};
}

void weir_grpc_reply_free(weir_grpc_reply *take_reply)
{
    if (take_reply != NULL) {
        ground_wait_fini(&take_reply->wait);
        bytes_fini(&take_reply->message);
        alloc_free(&alloc_libc, take_reply);
    }
}
