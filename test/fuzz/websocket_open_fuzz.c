/* SPDX-License-Identifier: Apache-2.0
 *
 * The opening of a WebSocket: a request that is found right is answered by one that its asker finds
 * right, and by no other of which a byte differs; an answer is found right only where it proves to
 * have seen the key.
 */
#include "proto/websocket_open.h"

#include "http1_fuzz.h"

#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"            \
    "Sec-WebSocket-Accept: "
#define SAMPLE_KEY    SLICE("dGhlIHNhbXBsZSBub25jZQ==") /* RFC 6455 §1.3 */
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define OFFERED       SLICE("chat, superchat")

static struct http_field request_room[HTTP_FIELDS_MAX], answer_room[HTTP_FIELDS_MAX];

static enum ws_opening judge(const char *answer, size_t len, struct slice key, bool *ret_is_head)
{
    struct http1_progress progress = {0};
    struct http_head head = {.fields = answer_room};
    ssize_t size = http1_parse_response(&progress, answer, len, &fuzz_limits,
                                        (struct http1_asked){.upgrade = true}, &head);
    *ret_is_head = size > 0;
    return size > 0 ? ws_judge_answer(&head, key, OFFERED) : WS_OPENING_STATUS;
}

static void answered_rightly(struct slice key)
{
    char answer[sizeof ANSWER - 1 + WS_ACCEPT_LEN + 4];
    char *accept = answer + sizeof ANSWER - 1;
    bool is_head;
    memcpy(answer, ANSWER, sizeof ANSWER - 1);
    ws_accept_of(key, accept);
    memcpy(accept + WS_ACCEPT_LEN, "\r\n\r\n", 4);
    check(judge(answer, sizeof answer, key, &is_head) == WS_OPENING_FINE && is_head);
    for (size_t i = 0; i < WS_ACCEPT_LEN; i++) {
        accept[i] ^= 1;
        check(judge(answer, sizeof answer, key, &is_head) != WS_OPENING_FINE);
        accept[i] ^= 1;
    }
}

static unsigned fields_named(const struct http_head *head, const char *name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        count += slice_is_nocase(head->fields[i].name, name);
    }
    return count;
}

static void request(const char *bytes, size_t size)
{
    struct http1_progress progress = {0};
    struct http_head head = {.fields = request_room};
    struct slice key = {"", 0};
    if (http1_parse_request(&progress, bytes, size, &fuzz_limits, &head) <= 0) {
        return;
    }
    enum ws_opening opening = ws_judge_request(&head, &key);
    check(ws_opening_text(opening)[0] != '\0');
    if (opening == WS_OPENING_FINE) {
        check(head.method_id == HTTP_GET && key.len == WS_KEY_LEN);
        check(fields_named(&head, "sec-websocket-key") == 1);
        check(fields_named(&head, "sec-websocket-version") == 1);
        answered_rightly(key);
    } else {
        check(ws_opening_status(opening) == 400 || ws_opening_status(opening) == 426);
    }
    check(!ws_is_asked(&head) || head.upgrade);
}

static void answer(const char *bytes, size_t size)
{
    bool is_head;
    if (judge(bytes, size, SAMPLE_KEY, &is_head) == WS_OPENING_FINE) {
        check(is_head && memmem(bytes, size, SAMPLE_ACCEPT, WS_ACCEPT_LEN) != NULL);
        check(judge(bytes, size, SLICE("dGhlIHNhbXBsZSBub25jZA=="), &is_head) == WS_OPENING_ACCEPT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    request(bytes, size);
    answer(bytes, size);
    free(bytes);
    return 0;
}
