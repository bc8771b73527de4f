/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/websocket_open.h"

#include "proto/http1.h"
#include "support/unit.h"

#include <string.h>

static struct http_field room[HTTP_FIELDS_MAX];

static struct http_head request_of(const char *text)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_progress progress = {0};
    struct http_head head = {.fields = room};
    assert_int_equal(http1_parse_request(&progress, text, strlen(text), &limits, &head),
                     strlen(text));
    return head;
}

#define ASK "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* RFC 6455 §1.3. */
static void the_example_of_the_standard(void **state)
{
    (void)state;
    struct http_head head = request_of(ASK "Upgrade: WebSocket\r\n" KEY
                                           "Sec-WebSocket-Version: 13\r\n\r\n");
    struct slice key;
    char accept[WS_ACCEPT_LEN];
    assert_true(ws_is_asked(&head));
    assert_int_equal(ws_judge_request(&head, &key), WS_OPENING_FINE);
    ws_accept_of(key, accept);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_LEN);
}

static void requests(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ws_opening said;
        unsigned status;
    } rows[] = {
        {ASK "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", WS_OPENING_KEY, 400},
        {ASK "Upgrade: websocket\r\n" KEY KEY "Sec-WebSocket-Version: 13\r\n\r\n", WS_OPENING_KEY,
         400},
        {ASK "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
         WS_OPENING_KEY, 400},
        {ASK "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25!ZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
         WS_OPENING_KEY, 400},
        {ASK "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQQ=\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
         WS_OPENING_KEY, 400},
        {ASK "Upgrade: websocket\r\n" KEY "Sec-WebSocket-Version: 8\r\n\r\n", WS_OPENING_VERSION,
         426},
        {ASK "Upgrade: websocket\r\n" KEY "\r\n", WS_OPENING_VERSION, 426},
        {"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" KEY
         "Sec-WebSocket-Version: 13\r\n\r\n",
         WS_OPENING_METHOD, 400},
        {ASK "Upgrade: websocket\r\nContent-Length: 3\r\n" KEY "Sec-WebSocket-Version: 13\r\n\r\n",
         WS_OPENING_METHOD, 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_head head = request_of(rows[i].text);
        struct slice key;
        assert_int_equal(ws_judge_request(&head, &key), rows[i].said);
        assert_int_equal(ws_opening_status(rows[i].said), rows[i].status);
    }
}

static void who_does_not_ask(void **state)
{
    (void)state;
    struct http_head head = request_of(ASK "Upgrade: chat/1, other\r\n\r\n");
    assert_false(ws_is_asked(&head));
    head = request_of(ASK "Upgrade: chat, websocket\r\n\r\n");
    assert_true(ws_is_asked(&head));
    head = request_of("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_false(ws_is_asked(&head));
}

/* --- answers --------------------------------------------------------------------------------- */

static enum ws_opening judge(unsigned status, struct slice upgrade, struct slice accept,
                             struct slice protocol, struct slice offered)
{
    uint8_t random[WS_KEY_BYTES];
    char key[WS_KEY_LEN];
    memcpy(random, "the sample nonce", sizeof random);
    ws_key_of(random, key);
    struct http_field fields[] = {
        {.name = SLICE("Upgrade"), .value = upgrade, .id = HTTP_UPGRADE},
        {.name = SLICE("sec-websocket-accept"), .value = accept},
        {.name = SLICE("Sec-WebSocket-Protocol"), .value = protocol},
    };
    struct http_head head = {.status = (uint16_t)status,
                             .upgrade = true,
                             .present = UINT64_C(1) << HTTP_UPGRADE,
                             .field_count = protocol.len > 0 ? 3 : 2,
                             .fields = fields};
    return ws_judge_answer(&head, (struct slice){key, sizeof key}, offered);
}

static void answers(void **state)
{
    (void)state;
    const struct slice ws = SLICE("websocket");
    const struct slice good = SLICE("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const struct slice none = SLICE("");
    assert_int_equal(judge(101, ws, good, none, none), WS_OPENING_FINE);
    assert_int_equal(judge(200, ws, good, none, none), WS_OPENING_STATUS);
    assert_int_equal(judge(101, SLICE("h2c"), good, none, none), WS_OPENING_UPGRADE);
    assert_int_equal(judge(101, ws, SLICE("s3pPLMBiTxaQ9kYGzzhZRbK+xOO="), none, none),
                     WS_OPENING_ACCEPT);
    assert_int_equal(judge(101, ws, good, SLICE("mqtt"), SLICE("a, mqtt ,b")), WS_OPENING_FINE);
    assert_int_equal(judge(101, ws, good, SLICE("mqtt"), SLICE("MQTT, b")), WS_OPENING_PROTOCOL);
    assert_int_equal(judge(101, ws, good, SLICE("mqtt"), none), WS_OPENING_PROTOCOL);
    for (int i = WS_OPENING_STATUS; i <= WS_OPENING_PROTOCOL; i++) {
        assert_int_equal(ws_opening_status((enum ws_opening)i), 502);
        assert_non_null(ws_opening_text((enum ws_opening)i));
    }
    assert_int_equal(ws_opening_status(WS_OPENING_FINE), 101);
}

static enum ws_opening judge_agreed(unsigned status, struct slice protocol, unsigned times,
                                    struct slice offered)
{
    struct http_field field = {.name = SLICE("sec-websocket-protocol"), .value = protocol};
    struct http_field fields[] = {field, field};
    struct http_head head = {
        .status = (uint16_t)status, .field_count = (uint16_t)times, .fields = fields};
    return ws_judge_agreed(&head, offered);
}

static void answers_of_http2(void **state)
{
    (void)state;
    const struct slice none = SLICE(""), mqtt = SLICE("mqtt");
    assert_int_equal(judge_agreed(200, none, 0, none), WS_OPENING_FINE);
    assert_int_equal(judge_agreed(299, mqtt, 1, SLICE("a, mqtt")), WS_OPENING_FINE);
    assert_int_equal(judge_agreed(199, none, 0, none), WS_OPENING_STATUS);
    assert_int_equal(judge_agreed(300, none, 0, none), WS_OPENING_STATUS);
    assert_int_equal(judge_agreed(101, none, 0, none), WS_OPENING_STATUS);
    assert_int_equal(judge_agreed(200, mqtt, 1, none), WS_OPENING_PROTOCOL);
    assert_int_equal(judge_agreed(200, mqtt, 2, mqtt), WS_OPENING_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_standard),
        cmocka_unit_test(requests),
        cmocka_unit_test(who_does_not_ask),
        cmocka_unit_test(answers),
        cmocka_unit_test(answers_of_http2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
