/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/handshake.h"

#include "support/unit.h"

#include <string.h>

#define FIELD(n, v) ((struct http_field){.name = SLICE(n), .value = SLICE(v)})
#define KEY         "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define UPGRADE                                                                                    \
    ((struct http_field){.name = SLICE("Upgrade"), .value = SLICE("websocket"), .id = HTTP_UPGRADE})

static struct http_head head_of(struct http_field *fields, unsigned count)
{
    struct http_head head = {.method = SLICE("GET"),
                             .method_id = HTTP_GET,
                             .upgrade = true,
                             .fields = fields,
                             .field_count = (uint16_t)count};
    for (unsigned i = 0; i < count; i++) {
        head.present |= UINT64_C(1) << fields[i].id;
    }
    return head;
}

static void a_request_is_judged_by_its_version(void **state)
{
    (void)state;
    struct http_field fields[] = {UPGRADE, FIELD("Sec-WebSocket-Version", "13"),
                                  FIELD("Sec-WebSocket-Key", KEY)};
    struct http_head head = head_of(fields, 3);
    struct slice key;
    assert_int_equal(handshake_ask(&head, &key), FAULT_NONE);
    assert_true(slice_is(key, KEY));
    head.field_count = 2; /* without a key: as HTTP/2 asks */
    assert_int_equal(handshake_ask(&head, &key), FAULT_WEBSOCKET);
    assert_int_equal(handshake_ask(&head, NULL), FAULT_NONE);
    fields[1].value = SLICE("8");
    assert_int_equal(handshake_ask(&head, &key), FAULT_WEBSOCKET_VERSION);
    assert_int_equal(handshake_ask(&head, NULL), FAULT_WEBSOCKET_VERSION);
}

static void only_deflate_is_offered_on(void **state)
{
    (void)state;
    struct http_field fields[] = {
        FIELD("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        FIELD("sec-websocket-extensions", "x-mux, permessage-deflate"),
        FIELD("Sec-WebSocket-Key", KEY)};
    struct http_head head = head_of(fields, 3);
    handshake_limit(&head, true);
    assert_false(fields[0].drop);
    assert_true(fields[1].drop);
    assert_false(fields[2].drop);
    handshake_limit(&head, false);
    assert_true(fields[2].drop);
}

static bool judged(const struct http_head *request, const char *extension, const char *protocol,
                   bool *ret_deflate)
{
    struct http_field fields[] = {UPGRADE, FIELD("Sec-WebSocket-Accept", ACCEPT),
                                  FIELD("Sec-WebSocket-Extensions", ""),
                                  FIELD("Sec-WebSocket-Protocol", "")};
    unsigned count = 2;
    if (extension != NULL) {
        fields[count] = FIELD("Sec-WebSocket-Extensions", "");
        fields[count++].value = slice_of(extension);
    }
    if (protocol != NULL) {
        fields[count] = FIELD("Sec-WebSocket-Protocol", "");
        fields[count++].value = slice_of(protocol);
    }
    struct http_head answer = head_of(fields, count);
    answer.status = 101;
    return handshake_judge(request, SLICE(KEY), &answer, ret_deflate);
}

static void an_answer_keeps_to_what_was_asked(void **state)
{
    (void)state;
    bool deflate;
    struct http_field fields[] = {FIELD("Sec-WebSocket-Extensions", "permessage-deflate"),
                                  FIELD("Sec-WebSocket-Protocol", "a, b"),
                                  FIELD("Sec-WebSocket-Protocol", "c")};
    struct http_head request = head_of(fields, 3);
    assert_true(judged(&request, NULL, NULL, &deflate));
    assert_false(deflate);
    assert_true(judged(&request, "permessage-deflate; server_max_window_bits=9", "c", &deflate));
    assert_true(deflate);
    assert_false(judged(&request, "permessage-deflate; server_max_window_bits=7", NULL, &deflate));
    assert_false(judged(&request, "x-mux", NULL, &deflate));
    assert_false(judged(&request, NULL, "d", &deflate));
    fields[0].value = SLICE("x-mux");
    assert_false(judged(&request, "permessage-deflate", NULL, &deflate)); /* it was not offered */
}

static void an_answer_changes_its_version(void **state)
{
    (void)state;
    struct http_field fields[] = {FIELD("x", "y"), FIELD("sec-websocket-accept", "wrong")};
    struct http_head answer = head_of(fields, 2);
    struct handshake_answer out;
    answer.status = 200;
    handshake_answer_http1(&out, &answer, SLICE(KEY));
    assert_int_equal(out.head.status, 101);
    assert_true(out.head.upgrade);
    assert_true(fields[1].drop);
    assert_int_equal(out.head.added_count, 2);
    assert_memory_equal(out.head.added[1].value.at, ACCEPT, strlen(ACCEPT));
    fields[1].drop = 0;
    answer.status = 101;
    handshake_answer_http2(&out, &answer);
    assert_int_equal(out.head.status, 200);
    assert_int_equal(out.head.framing, HTTP_CHUNKED);
    assert_true(fields[1].drop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_judged_by_its_version),
        cmocka_unit_test(only_deflate_is_offered_on),
        cmocka_unit_test(an_answer_keeps_to_what_was_asked),
        cmocka_unit_test(an_answer_changes_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
