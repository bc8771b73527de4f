/* SPDX-License-Identifier: Apache-2.0
 *
 * The client and a gateway that is played by the library's own server, in one guest runtime, each
 * allocation refused in turn: every request that was taken is told once, what fails, fails with an
 * answer, and everything is given back.
 */
#include <weir/openclaw.h>
#include <weir/websocket.h>

#include "base/text.h"
#include "support/await.h"
#include "support/hosted.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#define DEADLINE_MS 20000U
#define HELLO                                                                                      \
    "{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\",\"protocol\":4}}"
#define CHALLENGE                                                                                  \
    "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"n\"}}"

struct talk {
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket_manager *manager;
    weir_openclaw *claw;
    uint32_t told, answered;
};

/* --- the gateway --------------------------------------------------------------------------------
 */

static void say(weir_websocket ws, const char *said)
{
    if (weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, said, strlen(said)) != WEIR_OK) {
        weir_websocket_close(ws, 1011, NULL);
    }
}

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)arg;
    (void)opening;
    say(ws, CHALLENGE);
}

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    char id[32], said[128], text[1024];
    (void)arg;
    (void)kind;
    slice_copy(text, sizeof text, (struct slice){data, (uint32_t)len});
    const char *at = strstr(text, "\"id\":\"");
    assert_true(at != NULL && sscanf(at + 6, "%31[0-9]", id) == 1);
    snprintf(said, sizeof said, "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":{}}", id);
    say(ws, strstr(text, "\"connect\"") != NULL ? HELLO : said);
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {.on_open = on_open, .on_message = on_message};
    const struct talk *talk = self;
    weir_err err = weir_websocket_accept(talk->manager, ex, NULL, &handler, NULL, NULL);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM || err == WEIR_EFULL);
}

/* --- the client ---------------------------------------------------------------------------------
 */

static void on_result(void *arg, const weir_openclaw_result *result)
{
    struct talk *talk = arg;
    talk->told++;
    talk->answered += result->err == WEIR_OK && result->ok;
}

static bool took(weir_err err)
{
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    return err == WEIR_OK;
}

static void converse(struct talk *talk)
{
    char url[100];
    weir_openclaw_gateway *gateways[2];
    uint32_t taken = 0;
    snprintf(url, sizeof url, "ws://%s/", weir_server_address(talk->server));
    const weir_openclaw_config config = {.url = url, .account = "a", .token = "T"};
    const weir_openclaw_config other = {.url = url, .account = "a", .password = "P"};
    const weir_openclaw_request request = {
        .method = "x", .params = "{\"idempotencyKey\": 1}", .flags = WEIR_OPENCLAW_REPLAY};
    if (!took(weir_openclaw_gateway_of(talk->claw, &config, &gateways[0]))
        || !took(weir_openclaw_gateway_of(talk->claw, &other, &gateways[1]))) {
        return;
    }
    assert_ptr_not_equal(gateways[0], gateways[1]);
    taken += took(weir_openclaw_call(gateways[0], &request, on_result, talk, NULL));
    taken += took(weir_openclaw_fan_out(gateways, 2, WEIR_OPENCLAW_ALL, &request, on_result, talk))
                 ? 2
                 : 0;
    await_true(talk->told >= taken, DEADLINE_MS, weir_runtime_turn(talk->runtime, 10));
    took(weir_openclaw_disconnect(talk->claw, NULL, 0));
    taken += took(weir_openclaw_call(gateways[1], &request, on_result, talk, NULL)); /* closed */
    assert_int_equal(weir_openclaw_close(talk->claw), WEIR_OK);
    talk->claw = NULL;
    assert_int_equal(talk->told, taken);
}

static void live(const struct alloc *alloc, void *arg)
{
    struct talk talk = {0};
    uint32_t *lives = arg;
    *lives += 1;
    const weir_server_options server = {.address = "127.0.0.1:0", .max_connections = 8};
    static const weir_server_handler handler = {.on_request = on_request};
    if (hosted_open(alloc, &talk.runtime) != WEIR_OK) {
        return;
    }
    const weir_websocket_manager_options options = {.pool = {.max_total = 8},
                                                    .close_timeout_ms = 200};
    const weir_openclaw_options claw = {
        .pool = {.max_total = 8, .retry_first_ms = 1, .retry_cap_ms = 5, .failures_max = 20},
        .requests_max = 8,
        .in_flight_max = 4};
    if (took(weir_websocket_manager_new(talk.runtime, &options, &talk.manager))) {
        bool serves =
            took(weir_server_listen(talk.runtime, &server, &handler, &talk, &talk.server));
        if (serves && took(weir_openclaw_open(talk.runtime, &claw, &talk.claw))) {
            converse(&talk);
        }
        assert_int_equal(weir_openclaw_close(talk.claw), WEIR_OK);
        assert_int_equal(weir_websocket_manager_free(talk.manager, 100), WEIR_OK);
        if (serves) {
            assert_int_equal(weir_server_close(talk.server, 100), WEIR_OK);
        }
    }
    assert_int_equal(weir_runtime_close(talk.runtime, 0), WEIR_OK);
    assert_true(unit_count(alloc)->refused > 0 || talk.answered >= 3);
}

static void answers_where_memory_is_refused(void **state)
{
    (void)state;
    uint32_t lives = 0;
    torture(live, &lives);
    assert_true(lives > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_where_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
