/* SPDX-License-Identifier: Apache-2.0
 *
 * The client of gRPC: every kind of call to the library's own server, what it makes of answers that
 * are none, its limits, and how a call ends.
 */
#include <weir/grpc.h>

#include "support/pair.h"
#include "support/web.h"

#define HEARD_MAX 64U

/* --- the server's side --------------------------------------------------------------------------
 */

static void end_well(weir_exchange *call)
{
    static const weir_http_field field = {.name = "x-end", .value = "1"};
    weir_grpc_end(call, WEIR_GRPC_OK, NULL, &field, 1);
}

static void echo(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct fixture *f = self;
    f->requests++;
    assert_int_equal(weir_grpc_answer(call, message, len), WEIR_OK);
    end_well(call);
}

static void chat(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct fixture *f = self;
    f->requests++;
    assert_int_equal(weir_grpc_answer(call, message, len), WEIR_OK);
}

static void chat_finish(void *self, weir_exchange *call)
{
    (void)self;
    end_well(call);
}

/* As many messages as the number in its first one. */
static void count(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)len, (const char *)message);
    for (unsigned long left = strtoul(text, NULL, 10); left > 0; left--) {
        assert_int_equal(weir_grpc_answer(call, "0123456789", 10), WEIR_OK);
    }
    end_well(call);
}

static void bytes_in(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct fixture *f = self;
    (void)call;
    (void)message;
    f->streamed += len;
}

static void fail_call(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    (void)message;
    (void)len;
    weir_grpc_end(call, WEIR_GRPC_FAILED_PRECONDITION, "nicht möglich: 100%\n", NULL, 0);
}

/* Reads nothing until somebody lets it. */
static void hold(void *self, weir_exchange *call)
{
    struct fixture *f = self;
    pthread_mutex_lock(&f->mutex);
    f->held = weir_exchange_id_of(call);
    pthread_mutex_unlock(&f->mutex);
    weir_exchange_pause(call, true);
    f->is_held = true;
}

static void let_go(void *arg, weir_exchange *call)
{
    (void)arg;
    weir_exchange_pause(call, false);
}

static const weir_grpc_method methods[] = {
    {.path = "/t.T/Echo", .on_message = echo, .on_abort = on_abort},
    {.path = "/t.T/Chat", .on_message = chat, .on_finish = chat_finish, .on_abort = on_abort},
    {.path = "/t.T/Count", .on_message = count, .on_abort = on_abort},
    {.path = "/t.T/Fail", .on_message = fail_call},
    {.path = "/t.T/Hold",
     .on_call = hold,
     .on_message = bytes_in,
     .on_finish = chat_finish,
     .on_abort = on_abort},
};
static const weir_grpc_service service = {.methods = methods,
                                          .method_count = sizeof methods / sizeof *methods,
                                          .receive_max = 8U << 20};
static const weir_server_handler serving = {.grpc = &service};

/* --- the client's side --------------------------------------------------------------------------
 */

struct heard {
    _Atomic uint32_t heads, messages, writable, ends;
    _Atomic uint64_t bytes;
    _Atomic bool is_held; /* no more messages for now */
    uint32_t code;
    weir_err err, inside; /* what weir_grpc_fetch() said in a callback */
    char message[200], last[HEARD_MAX], trailer[HEARD_MAX];
    weir_grpc_client *client;
};

static void on_head(void *arg, const weir_http_answer *head)
{
    struct heard *heard = arg;
    assert_true(is(weir_http_field_of(head, "content-type"), "application/grpc"));
    heard->heads++;
}

static bool on_message(void *arg, const void *data, size_t len)
{
    struct heard *heard = arg;
    snprintf(heard->last, sizeof heard->last, "%.*s", len < 60 ? (int)len : 60, (const char *)data);
    heard->bytes += len;
    heard->messages++;
    return !heard->is_held;
}

static void on_writable(void *arg)
{
    struct heard *heard = arg;
    heard->writable++;
}

static void on_end(void *arg, const weir_grpc_status *status)
{
    struct heard *heard = arg;
    weir_grpc_reply *reply = NULL;
    heard->code = status->code;
    heard->err = status->err;
    snprintf(heard->message, sizeof heard->message, "%s", status->message);
    if (status->trailers != NULL) {
        weir_text field = weir_http_field_of(status->trailers, "x-end");
        snprintf(heard->trailer, sizeof heard->trailer, "%.*s", (int)field.len,
                 field.at != NULL ? field.at : "");
    }
    heard->inside = heard->client != NULL ? weir_grpc_fetch(
                        heard->client, "http://127.0.0.1:1/t.T/Echo", "", 0, 0, &reply)
                                          : WEIR_OK;
    heard->ends++;
}

static const weir_grpc_handler handler = {.on_head = on_head,
                                          .on_message = on_message,
                                          .on_writable = on_writable,
                                          .on_end = on_end};

static const char *url_of(const struct fixture *f, const char *method)
{
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)weir_server_port(f->server),
             method);
    return url;
}

static weir_grpc_client *client_of(const struct fixture *f, weir_grpc_client_options opt)
{
    weir_grpc_client *client;
    assert_int_equal(weir_grpc_client_new(f->runtime, &opt, &client), WEIR_OK);
    return client;
}

static weir_grpc_call *open_call(weir_grpc_client *client, const char *url, struct heard *heard,
                                 weir_grpc_request request)
{
    weir_grpc_call *call = NULL;
    memset(heard, 0, sizeof *heard);
    request.url = url;
    assert_int_equal(weir_grpc_call_open(client, &request, &handler, heard, &call), WEIR_OK);
    return call;
}

/* Until it has ended; the handle is given back. */
static void finish(weir_grpc_call *take_call, struct heard *heard, uint32_t code)
{
    until(heard->ends == 1);
    assert_int_equal(heard->code, code);
    assert_int_equal(weir_grpc_send(take_call, "", 0), WEIR_ESTATE);
    assert_int_equal(weir_grpc_cancel(take_call), WEIR_ESTATE);
    assert_int_equal(weir_grpc_resume(take_call), WEIR_ESTATE);
    weir_grpc_call_free(take_call);
}

/* A call with one message, to its end. */
static void ask(weir_grpc_client *client, const char *url, const char *message, struct heard *heard,
                uint32_t code)
{
    const weir_grpc_request request = {
        .message = message, .message_len = strlen(message), .unary = WEIR_ON};
    finish(open_call(client, url, heard, request), heard, code);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void every_kind_of_call(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    open_as(&f, (weir_server_options){0}, &serving, 2);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    ask(client, url_of(&f, "/t.T/Echo"), "hello", &heard, WEIR_GRPC_OK);
    assert_string_equal(heard.last, "hello");
    assert_string_equal(heard.trailer, "1");
    assert_int_equal(heard.heads, 1);
    ask(client, url_of(&f, "/t.T/Echo"), "", &heard, WEIR_GRPC_OK);
    assert_int_equal(heard.messages, 1);
    ask(client, url_of(&f, "/t.T/Count"), "2000", &heard, WEIR_GRPC_OK);
    assert_int_equal(heard.messages, 2000);
    assert_int_equal(heard.bytes, 20000);
    weir_grpc_call *call = open_call(client, url_of(&f, "/t.T/Chat"), &heard,
                                     (weir_grpc_request){0});
    for (uint32_t i = 1; i <= 50; i++) { /* each question when the answer before is there */
        assert_int_equal(weir_grpc_send(call, "again", 5), WEIR_OK);
        until(heard.messages == i);
    }
    assert_int_equal(weir_grpc_finish(call), WEIR_OK);
    assert_int_equal(weir_grpc_finish(call), WEIR_ESTATE);
    finish(call, &heard, WEIR_GRPC_OK);
    weir_http_stats stats = {.size = sizeof stats};
    weir_grpc_client_stats(client, &stats);
    assert_int_equal(stats.sent, 4);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

static void long_messages_come_whole(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){0}, &serving, 2);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    size_t len = 3U << 20;
    char *message = malloc(len);
    for (size_t i = 0; i < len; i++) {
        message[i] = (char)(i * 7 % 251);
    }
    weir_grpc_reply *reply;
    assert_int_equal(weir_grpc_fetch(client, url_of(&f, "/t.T/Echo"), message, len, 20000, &reply),
                     WEIR_OK);
    assert_int_equal(weir_grpc_reply_status(reply), WEIR_GRPC_OK);
    assert_int_equal(weir_grpc_reply_message(reply).len, len);
    assert_memory_equal(weir_grpc_reply_message(reply).at, message, len);
    weir_grpc_reply_free(reply);
    free(message);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

static void statuses_are_the_servers(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    open_as(&f, (weir_server_options){0}, &serving, 1);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    ask(client, url_of(&f, "/t.T/Fail"), "x", &heard, WEIR_GRPC_FAILED_PRECONDITION);
    assert_string_equal(heard.message, "nicht möglich: 100%\n");
    assert_int_equal(heard.err, WEIR_OK);
    ask(client, url_of(&f, "/t.T/Nothing"), "x", &heard, WEIR_GRPC_UNIMPLEMENTED);
    assert_int_equal(heard.messages, 0);
    weir_grpc_reply *reply;
    assert_int_equal(weir_grpc_fetch(client, url_of(&f, "/t.T/Fail"), "x", 1, 0, &reply), WEIR_OK);
    assert_int_equal(weir_grpc_reply_status(reply), WEIR_GRPC_FAILED_PRECONDITION);
    assert_string_equal(weir_grpc_reply_error(reply), "nicht möglich: 100%\n");
    assert_null(weir_grpc_reply_message(reply).at);
    weir_grpc_reply_free(reply);
    ask(client, "http://127.0.0.1:1/t.T/Echo", "x", &heard, WEIR_GRPC_UNAVAILABLE);
    assert_int_equal(heard.err, WEIR_EREFUSED);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

/* --- answers that are none ----------------------------------------------------------------------
 */

static const struct foreign {
    uint16_t status;
    const char *type, *grpc_status, *body;
    size_t body_len;
    uint32_t code;
    const char *says;
} foreign[] = {
#define BODY(text) text, sizeof(text) - 1
    {200, "application/grpc", "9", BODY(""), WEIR_GRPC_FAILED_PRECONDITION, ""},
    {200, "application/grpc+proto", "0", BODY(""), WEIR_GRPC_OK, ""},
    {200, "application/grpc", "99", BODY(""), WEIR_GRPC_UNKNOWN, ""},
    {200, "application/grpc", NULL, BODY(""), WEIR_GRPC_INTERNAL, "no status"},
    {200, "application/grpc", NULL, BODY("\0\0\0\0\1x"), WEIR_GRPC_INTERNAL, "no status"},
    {200, "application/grpc", NULL, BODY("\0\0\0\0\2x"), WEIR_GRPC_INTERNAL, "middle"},
    {200, "application/grpc", NULL, BODY("\0\0\0"), WEIR_GRPC_INTERNAL, "middle"},
    {200, "application/grpc", NULL, BODY("\1\0\0\0\1x"), WEIR_GRPC_UNIMPLEMENTED, "compressed"},
    {200, "application/grpc", NULL, BODY("\0\377\0\0\0x"), WEIR_GRPC_RESOURCE_EXHAUSTED, "larger"},
    {200, "text/html", NULL, BODY("<html>hello"), WEIR_GRPC_UNKNOWN, "gRPC"},
    {200, NULL, NULL, BODY("\0\0\0\0\1x"), WEIR_GRPC_UNKNOWN, "gRPC"},
    {503, "text/html", NULL, BODY("<html>come back later"), WEIR_GRPC_UNAVAILABLE, "gRPC"},
    {502, "text/plain", NULL, BODY("\0\0\0\0\1x"), WEIR_GRPC_UNAVAILABLE, "gRPC"},
    {429, "application/json", NULL, BODY("{\"a\": 1}"), WEIR_GRPC_UNAVAILABLE, "gRPC"},
    {404, "text/html", NULL, BODY("<html>nothing"), WEIR_GRPC_UNIMPLEMENTED, "gRPC"},
    {401, "text/html", NULL, BODY("<html>who?"), WEIR_GRPC_UNAUTHENTICATED, "gRPC"},
    {403, "text/html", NULL, BODY("<html>no"), WEIR_GRPC_PERMISSION_DENIED, "gRPC"},
    {400, "text/html", NULL, BODY("<html>what?"), WEIR_GRPC_INTERNAL, "gRPC"},
    {500, "text/html", NULL, BODY("<html>oh"), WEIR_GRPC_UNKNOWN, "gRPC"},
    {503, "application/grpc", "7", BODY(""), WEIR_GRPC_PERMISSION_DENIED, ""},
};

static void answer_as_told(void *self, weir_exchange *ex)
{
    (void)self;
    weir_text path = weir_request_path(ex);
    const struct foreign *it = &foreign[strtoul(path.at + 1, NULL, 10)];
    weir_http_field fields[2];
    size_t field_count = 0;
    assert_true(is(weir_request_field_of(ex, "te"), "trailers"));
    assert_true(is(weir_request_field_of(ex, "content-type"), "application/grpc"));
    if (it->type != NULL) {
        fields[field_count++] = (weir_http_field){.name = "content-type", .value = it->type};
    }
    if (it->grpc_status != NULL) {
        fields[field_count++] = (weir_http_field){.name = "grpc-status", .value = it->grpc_status};
    }
    const weir_reply reply = {.status = it->status,
                              .fields = fields,
                              .field_count = field_count,
                              .body = it->body,
                              .body_len = it->body_len};
    assert_int_equal(weir_exchange_reply(ex, &reply), WEIR_OK);
}

static void answers_that_are_none_have_their_code(void **state)
{
    (void)state;
    static const weir_server_handler told = {.on_request = answer_as_told};
    static struct fixture f;
    static struct heard heard;
    char path[32];
    open_as(&f, (weir_server_options){0}, &told, 1);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const weir_grpc_request request = {.message = "hello", .message_len = 5, .unary = WEIR_ON};
        snprintf(path, sizeof path, "/%zu/M", i);
        weir_grpc_call *call = NULL;
        memset(&heard, 0, sizeof heard);
        weir_grpc_request mine = request;
        weir_grpc_handler quiet = handler;
        mine.url = url_of(&f, path);
        quiet.on_head = NULL;
        assert_int_equal(weir_grpc_call_open(client, &mine, &quiet, &heard, &call), WEIR_OK);
        until(heard.ends == 1);
        if (heard.code != foreign[i].code || !has(heard.message, foreign[i].says)) {
            fail_msg("%zu: %u %s", i, (unsigned)heard.code, heard.message);
        }
        weir_grpc_call_free(call);
    }
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

/* --- limits -------------------------------------------------------------------------------------
 */

static void messages_have_limits(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    static char message[2000];
    open_as(&f, (weir_server_options){0}, &serving, 1);
    weir_grpc_client *client =
        client_of(&f, (weir_grpc_client_options){.send_max = 1000, .receive_max = 9});
    weir_grpc_call *call = NULL;
    weir_grpc_request request = {.url = url_of(&f, "/t.T/Chat"), .message = message};
    request.message_len = 1001;
    assert_int_equal(weir_grpc_call_open(client, &request, &handler, &heard, &call),
                     WEIR_ETOO_LARGE);
    call = open_call(client, url_of(&f, "/t.T/Chat"), &heard, (weir_grpc_request){0});
    assert_int_equal(weir_grpc_send(call, message, 1001), WEIR_ETOO_LARGE);
    assert_int_equal(weir_grpc_send(call, message, 9), WEIR_OK);
    until(heard.messages == 1);
    assert_int_equal(weir_grpc_send(call, message, 10), WEIR_OK);
    finish(call, &heard, WEIR_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(heard.err, WEIR_ECANCELED);
    assert_int_equal(heard.messages, 1);
    until(f.aborts == 1);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    weir_http_field field = {.name = "a b", .value = "c"}, many[65] = {{0}};
    open_as(&f, (weir_server_options){0}, &serving, 1);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    const char *url = url_of(&f, "/t.T/Echo");
    const weir_grpc_request bad[] = {
        {.size = 4096, .url = url},
        {.url = url, .message_len = 1},
        {.url = url, .fields = many, .field_count = 65},
        {.url = url, .fields = &field, .field_count = 1},
        {.url = "ftp://127.0.0.1/t.T/Echo"},
        {.url = NULL},
    };
    weir_grpc_call *call = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_grpc_call_open(client, &bad[i], &handler, &heard, &call),
                         WEIR_EINVAL);
    }
    const weir_grpc_request good = {.url = url, .unary = WEIR_ON};
    const weir_grpc_handler deaf = {.on_message = on_message};
    assert_int_equal(weir_grpc_call_open(client, &good, &deaf, &heard, &call), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "on_end");
    assert_int_equal(heard.ends, 0);
    weir_grpc_client *other = NULL;
    assert_int_equal(
        weir_grpc_client_new(f.runtime, &(weir_grpc_client_options){.size = 4096}, &other),
        WEIR_EINVAL);
    memset(&heard, 0, sizeof heard);
    heard.client = client; /* who waits on a worker's thread is refused */
    assert_int_equal(weir_grpc_call_open(client, &good, &handler, &heard, &call), WEIR_OK);
    finish(call, &heard, WEIR_GRPC_OK);
    assert_int_equal(heard.inside, WEIR_ESTATE);
    weir_grpc_call_free(NULL);
    weir_grpc_reply_free(NULL);
    assert_int_equal(weir_grpc_client_free(NULL), WEIR_OK);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

/* A server that does not read: what is kept is bounded, and told when it has gone. */
static void a_slow_server_holds_back_its_caller(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    static char message[100000];
    open_as(&f, (weir_server_options){0}, &serving, 2);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){.unsent_max = 300000});
    weir_grpc_call *call = open_call(client, url_of(&f, "/t.T/Hold"), &heard,
                                     (weir_grpc_request){0});
    until(f.is_held);
    uint64_t sent = 0;
    weir_err err;
    while ((err = weir_grpc_send(call, message, sizeof message)) == WEIR_OK) {
        sent += sizeof message;
        assert_true(sent < 20U << 20);
    }
    assert_int_equal(err, WEIR_EAGAIN);
    assert_int_equal(heard.writable, 0);
    assert_int_equal(weir_server_run(f.server, f.held, let_go, NULL), WEIR_OK);
    until(heard.writable == 1);
    assert_int_equal(weir_grpc_send(call, message, sizeof message), WEIR_OK);
    sent += sizeof message;
    until(f.streamed == sent);
    assert_int_equal(weir_grpc_finish(call), WEIR_OK);
    finish(call, &heard, WEIR_GRPC_OK);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

static void a_caller_that_wants_no_more_is_told_no_more(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    open_as(&f, (weir_server_options){0}, &serving, 2);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    weir_grpc_call *call = open_call(client, url_of(&f, "/t.T/Count"), &heard,
                                     (weir_grpc_request){0});
    heard.is_held = true;
    assert_int_equal(weir_grpc_send(call, "50000", 5), WEIR_OK);
    until(heard.messages > 0);
    uint32_t before = 0;
    while (before != heard.messages) { /* one buffer may still come */
        before = heard.messages;
        poll(NULL, 0, 50);
    }
    assert_true(heard.messages < 40000);
    assert_int_equal(heard.ends, 0);
    heard.is_held = false;
    assert_int_equal(weir_grpc_resume(call), WEIR_OK);
    finish(call, &heard, WEIR_GRPC_OK);
    assert_int_equal(heard.messages, 50000);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

/* --- how it ends --------------------------------------------------------------------------------
 */

static void cancelled_calls_end_on_both_sides(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    open_as(&f, (weir_server_options){0}, &serving, 2);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    weir_grpc_call *call = open_call(client, url_of(&f, "/t.T/Hold"), &heard,
                                     (weir_grpc_request){0});
    until(f.is_held);
    assert_int_equal(weir_grpc_cancel(call), WEIR_OK);
    finish(call, &heard, WEIR_GRPC_CANCELLED);
    until(f.aborts == 1);
    assert_int_equal(f.abort_why, WEIR_ECANCELED);

    f.is_held = false;
    call = open_call(client, url_of(&f, "/t.T/Hold"), &heard,
                     (weir_grpc_request){.deadline_ms = 100});
    finish(call, &heard, WEIR_GRPC_DEADLINE_EXCEEDED);
    until(f.aborts == 2);

    f.is_held = false;
    call = open_call(client, url_of(&f, "/t.T/Hold"), &heard, (weir_grpc_request){0});
    weir_grpc_call_free(call); /* the call goes on without its handle */
    until(f.is_held);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.code, WEIR_GRPC_CANCELLED);
    until(f.aborts == 3);
    shut(&f);
}

static bool last_of(void *arg, weir_server_conn conn, const weir_conn_info *info)
{
    (void)info;
    *(weir_server_conn *)arg = conn;
    return true;
}

/* A connection that the server takes its leave of: what it has not touched is called elsewhere. */
static void untouched_calls_are_made_again(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard held, heard;
    weir_server_conn last;
    open_as(&f, (weir_server_options){0}, &serving, 1);
    weir_grpc_client *client = client_of(&f, (weir_grpc_client_options){0});
    weir_grpc_call *call = open_call(client, url_of(&f, "/t.T/Hold"), &held,
                                     (weir_grpc_request){0});
    until(f.is_held);
    assert_int_equal(weir_server_each(f.server, last_of, &last), WEIR_OK);
    assert_int_equal(weir_server_remove(f.server, last), WEIR_OK);
    for (int i = 0; i < 20; i++) {
        ask(client, url_of(&f, "/t.T/Echo"), "hello", &heard, WEIR_GRPC_OK);
        assert_string_equal(heard.last, "hello");
    }
    assert_int_equal(f.requests, 20);
    assert_int_equal(weir_server_run(f.server, f.held, let_go, NULL), WEIR_OK);
    assert_int_equal(weir_grpc_finish(call), WEIR_OK);
    finish(call, &held, WEIR_GRPC_OK);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
}

static void calls_go_through_tls(void **state)
{
    (void)state;
    static struct fixture f;
    static struct heard heard;
    struct pair pair;
    char url[128];
    pair_make(&pair, "localhost");
    const weir_server_certificate ours = {pair.certificate, pair.key};
    open_as(&f, (weir_server_options){.tls = {.certificates = &ours, .certificate_count = 1}},
            &serving, 2);
    snprintf(url, sizeof url, "https://localhost:%u/t.T/Echo",
             (unsigned)weir_server_port(f.server));
    weir_grpc_client *client =
        client_of(&f, (weir_grpc_client_options){.tls = {.ca = pair.certificate}});
    ask(client, url, "hello", &heard, WEIR_GRPC_OK);
    assert_string_equal(heard.last, "hello");
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    client = client_of(&f, (weir_grpc_client_options){0}); /* it trusts the system's, not this */
    ask(client, url, "hello", &heard, WEIR_GRPC_UNAVAILABLE);
    assert_int_equal(heard.err, WEIR_ETLS_UNTRUSTED);
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
    shut(&f);
    pair_drop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_call),
        cmocka_unit_test(long_messages_come_whole),
        cmocka_unit_test(statuses_are_the_servers),
        cmocka_unit_test(answers_that_are_none_have_their_code),
        cmocka_unit_test(messages_have_limits),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_slow_server_holds_back_its_caller),
        cmocka_unit_test(a_caller_that_wants_no_more_is_told_no_more),
        cmocka_unit_test(cancelled_calls_end_on_both_sides),
        cmocka_unit_test(untouched_calls_are_made_again),
        cmocka_unit_test(calls_go_through_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
