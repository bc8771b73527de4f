/* SPDX-License-Identifier: Apache-2.0
 *
 * A client and a server of HTTP, and of gRPC, in one guest runtime, each allocation refused in
 * turn: what fails, fails with an answer, and everything is given back.
 */
#include <weir/grpc.h>

#include "support/hosted.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS "127.0.0.1:0"
#define BODY    20000U

/* --- the server's side --------------------------------------------------------------------------
 */

static void echo(void *self, weir_exchange *ex)
{
    (void)self;
    weir_text body = weir_request_body(ex);
    const weir_http_field field = {.name = "X-Mine", .value = "1"};
    const weir_reply reply = {
        .status = 200, .fields = &field, .field_count = 1, .body = body.at, .body_len = body.len};
    if (weir_exchange_reply(ex, &reply) != WEIR_OK) {
        weir_exchange_abort(ex);
    }
}

static const weir_server_handler handler = {.on_request = echo};

/* --- a life -------------------------------------------------------------------------------------
 */

static bool may_be(weir_err err)
{
    switch (err) {
    case WEIR_OK:
    case WEIR_ENOMEM:
    case WEIR_EIO:
    case WEIR_EFULL:    /* no slab of a connection's */
    case WEIR_ECONNECT: /* a dial that had no memory */
    case WEIR_ERESET:   /* the server had none for this client */
    case WEIR_EHANGUP: return true;
    default: return false;
    }
}

/* A runtime and a server in it, for as long as `use` takes; where there is memory for both. */
static void serve(const struct alloc *alloc, const weir_server_handler *how,
                  void (*use)(weir_runtime *runtime, weir_server *server))
{
    weir_runtime *runtime;
    weir_server *server;
    weir_err err = hosted_open(alloc, &runtime);
    assert_true(may_be(err));
    if (err != WEIR_OK) {
        return;
    }
    const weir_server_options options = {.address = ADDRESS, .max_connections = 8};
    err = weir_server_listen(runtime, &options, how, NULL, &server);
    assert_true(may_be(err));
    if (err == WEIR_OK) {
        use(runtime, server);
        assert_int_equal(weir_server_close(server, 100), WEIR_OK);
    }
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

static weir_err fetch(weir_http_client *client, const char *url, const char *body, size_t len)
{
    weir_http_answer *answer = NULL;
    const weir_http_request request = {
        .method = len > 0 ? "POST" : "GET", .url = url, .body = body, .body_len = len};
    weir_err err = weir_http_fetch(client, &request, &answer);
    if (err == WEIR_OK) {
        bool is_whole = weir_http_status(answer) == 200 && weir_http_body(answer).len == len;
        bool had_none = weir_http_status(answer) >= 500;
        if (!is_whole && !had_none) {
            fail_msg("%u with %zu bytes", weir_http_status(answer), weir_http_body(answer).len);
        }
        weir_http_answer_free(answer);
    }
    return err;
}

static weir_err ask(weir_runtime *runtime, weir_server *server)
{
    static char body[BODY];
    weir_http_client *client;
    char url[100];
    weir_http_client_options opt = {.pool = {.total_timeout_ms = 5000}, .requests_max = 8};
    weir_err err = weir_http_client_new(runtime, &opt, &client);
    if (err != WEIR_OK) {
        return err;
    }
    snprintf(url, sizeof url, "http://%s/", weir_server_address(server));
    for (int i = 0; i < 2 && err == WEIR_OK; i++) {
        err = fetch(client, url, NULL, 0);
        err = err == WEIR_OK ? fetch(client, url, body, sizeof body) : err;
    }
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    return err;
}

static void use(weir_runtime *runtime, weir_server *server)
{
    const weir_server_options fewer = {.address = ADDRESS, .max_connections = 4};
    weir_err err = ask(runtime, server);
    if (!may_be(err)) {
        fail_msg("%s", weir_err_text(err));
    }
    assert_true(may_be(weir_server_update(server, &fewer)));
}

static void live(const struct alloc *alloc, void *arg)
{
    (void)arg;
    serve(alloc, &handler, use);
}

/* --- the same of gRPC ---------------------------------------------------------------------------
 */

static void call_echo(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    const weir_http_field field = {.name = "x-mine", .value = "1"};
    if (weir_grpc_answer(call, message, len) != WEIR_OK) {
        weir_exchange_abort(call);
    } else {
        weir_grpc_end(call, WEIR_GRPC_OK, NULL, &field, 1);
    }
}

static const weir_grpc_method methods[] = {{.path = "/t.T/Echo", .on_message = call_echo}};
static const weir_grpc_service service = {.methods = methods, .method_count = 1, .health = WEIR_ON};
static const weir_server_handler calls = {.grpc = &service};

/* What a call may end with where the server's memory is refused. */
static bool may_end(uint32_t code)
{
    return code == WEIR_GRPC_OK || code == WEIR_GRPC_RESOURCE_EXHAUSTED
           || code == WEIR_GRPC_UNAVAILABLE || code == WEIR_GRPC_INTERNAL;
}

static bool call(weir_grpc_client *client, const weir_server *server, const char *method,
                 const char *message, size_t len)
{
    char url[128];
    weir_grpc_reply *reply = NULL;
    snprintf(url, sizeof url, "http://%s%s", weir_server_address(server), method);
    weir_err err = weir_grpc_fetch(client, url, message, len, 5000, &reply);
    assert_true(may_be(err));
    if (err != WEIR_OK) {
        return false;
    }
    uint32_t code = weir_grpc_reply_status(reply);
    if (!may_end(code)) {
        fail_msg("%s: %u %s", method, (unsigned)code, weir_grpc_reply_error(reply));
    }
    weir_grpc_reply_free(reply);
    return code == WEIR_GRPC_OK;
}

static void call_all(weir_runtime *runtime, weir_server *server)
{
    static char message[BODY];
    weir_grpc_client *client;
    const weir_grpc_client_options opt = {.pool = {.retry_first_ms = 1}};
    assert_true(may_be(weir_grpc_health_set(server, "t.T", WEIR_ON)));
    weir_err err = weir_grpc_client_new(runtime, &opt, &client);
    assert_true(may_be(err));
    if (err != WEIR_OK) {
        return;
    }
    if (call(client, server, "/t.T/Echo", message, sizeof message)
        && call(client, server, "/grpc.health.v1.Health/Check", "", 0)) {
        call(client, server, "/t.T/Echo", "", 0);
    }
    assert_int_equal(weir_grpc_client_free(client), WEIR_OK);
}

static void live_by_calls(const struct alloc *alloc, void *arg)
{
    (void)arg;
    serve(alloc, &calls, call_all);
}

static void answers_where_memory_is_refused(void **state)
{
    (void)state;
    torture(live, NULL);
}

static void calls_end_where_memory_is_refused(void **state)
{
    (void)state;
    torture(live_by_calls, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_where_memory_is_refused),
        cmocka_unit_test(calls_end_where_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
