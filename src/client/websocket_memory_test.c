/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ends of a WebSocket in one guest runtime, each allocation refused in turn: what fails, fails
 * with an answer, and everything is given back.
 */
#include <weir/websocket.h>

#include "io/clock.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE     20000U
#define RUNS_MAX    3000U
#define DEADLINE_MS 10000U

struct ration {
    uint64_t calls, fail_at, out;
};

static void *ration_alloc(void *arg, size_t bytes)
{
    struct ration *ration = arg;
    if (++ration->calls == ration->fail_at) {
        return NULL;
    }
    void *memory = calloc(1, bytes);
    ration->out += memory != NULL;
    return memory;
}

static void ration_free(void *arg, void *memory)
{
    struct ration *ration = arg;
    ration->out -= memory != NULL;
    free(memory);
}

struct talk {
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket_manager *manager;
    uint32_t opened, closed, heard;
    uint32_t ends_opened, ends_closed; /* accepted */
};

static char text[MESSAGE];

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct talk *talk = arg;
    (void)opening;
    talk->opened++;
    if (weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, text, sizeof text) != WEIR_OK) {
        weir_websocket_close(ws, 0, NULL);
    }
}

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    struct talk *talk = arg;
    (void)kind;
    (void)data;
    talk->heard += len == sizeof text;
    weir_websocket_close(ws, 0, NULL);
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct talk *talk = arg;
    (void)ws;
    (void)end;
    talk->closed++;
}

static void end_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct talk *talk = arg;
    (void)opening;
    talk->ends_opened++;
    weir_websocket_add(talk->manager, "end", ws);
}

static void echo(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                 size_t len)
{
    (void)arg;
    if (weir_websocket_send(ws, kind, data, len) != WEIR_OK) {
        weir_websocket_close(ws, 1011, NULL);
    }
}

static void end_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct talk *talk = arg;
    (void)ws;
    (void)end;
    talk->ends_closed++;
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {
        .on_open = end_open, .on_message = echo, .on_close = end_close};
    struct talk *talk = self;
    weir_err err = weir_websocket_accept(talk->manager, ex, NULL, &handler, talk, NULL);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM || err == WEIR_EFULL);
}

static void converse(struct talk *talk)
{
    static const weir_websocket_handler handler = {
        .on_open = on_open, .on_message = on_message, .on_close = on_close};
    char url[100];
    snprintf(url, sizeof url, "ws://%s/", weir_server_address(talk->server));
    const weir_websocket_request request = {.url = url, .protocols = "a, b"};
    weir_err err = weir_websocket_dial(talk->manager, &request, &handler, talk, NULL);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    while (err == WEIR_OK && talk->closed == 0) {
        assert_true(clock_now_ms() < end_ms);
        weir_runtime_turn(talk->runtime, 10);
    }
    err = weir_websocket_broadcast(talk->manager, WEIR_WEBSOCKET_TEXT, "x", 1);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
}

static void live(struct ration *ration)
{
    struct talk talk = {0};
    const weir_server_options server = {.address = "127.0.0.1:0", .max_connections = 8};
    static const weir_server_handler handler = {.on_request = on_request};
    weir_runtime_options opt = {.conns_max = 16,
                                .waiting_max = 8,
                                .keys_max = 8,
                                .posts_max = 16,
                                .seed = 1,
                                .allocator = {ration_alloc, ration_free, ration}};
    if (weir_runtime_open_hosted(&opt, &talk.runtime) != WEIR_OK) {
        return;
    }
    const weir_websocket_manager_options options = {
        .pool = {.max_total = 8, .idle_timeout_ms = 2000},
        .close_timeout_ms = 200,
        .open_timeout_ms = 2000,
        .deflate = ration->fail_at % 2 == 0 ? WEIR_ON : WEIR_OFF};
    weir_err err = weir_websocket_manager_new(talk.runtime, &options, &talk.manager);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    if (err == WEIR_OK) {
        err = weir_server_listen(talk.runtime, &server, &handler, &talk, &talk.server);
        if (err == WEIR_OK) {
            converse(&talk);
        }
        assert_int_equal(weir_websocket_manager_free(talk.manager, 100), WEIR_OK);
        assert_int_equal(talk.ends_opened, talk.ends_closed);
        if (err == WEIR_OK) {
            assert_int_equal(weir_server_close(talk.server, 100), WEIR_OK);
        }
    }
    assert_int_equal(weir_runtime_close(talk.runtime, 0), WEIR_OK);
    assert_true(ration->calls >= ration->fail_at || talk.heard == 1);
}

static void answers_where_memory_is_refused(void **state)
{
    (void)state;
    memset(text, 'a', sizeof text);
    for (uint64_t n = 1; n < RUNS_MAX; n++) {
        struct ration ration = {.fail_at = n};
        live(&ration);
        if (ration.out != 0) {
            fail_msg("allocation %llu: %llu blocks are left", (unsigned long long)n,
                     (unsigned long long)ration.out);
        }
        if (ration.calls < n) {
            assert_true(n > 30);
            return;
        }
    }
    fail_msg("still allocating");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_where_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
