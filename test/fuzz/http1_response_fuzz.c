/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to GET, to HEAD and to an upgrade: the verdict does not depend on the cuts; what is
 * accepted can be written to a client, and reads there as the same message.
 */
#include "http1_fuzz.h"

static struct http_field first_room[HTTP_FIELDS_MAX], second_room[HTTP_FIELDS_MAX];

static ssize_t parse_in_pieces(const char *bytes, size_t len, struct http1_asked asked)
{
    struct http1_progress progress = {0};
    struct http_head head = {.fields = second_room};
    ssize_t result = 0;
    for (size_t shown = 0; result == 0 && shown < len;) {
        shown = fuzz_next_length(shown, len);
        char *copy = fuzz_exact(bytes, shown);
        result = http1_parse_response(&progress, copy, shown, &fuzz_limits, asked, &head);
        free(copy);
    }
    return result;
}

static void same_answer(const struct http_head *a, const struct http_head *b,
                        struct http1_asked asked)
{
    check(a->status == b->status && a->upgrade == b->upgrade);
    check(a->reason.len == 0 || slice_same(a->reason, b->reason));
    check(b->framing == http1_answer_framing(a, asked.method_id, 1));
    check(b->framing != HTTP_LENGTH || a->content_length == b->content_length);
    fuzz_same_fields(a, b);
}

#define WRITTEN_MAX 4096

static void survives_writing(const struct http_head *head, struct http1_asked asked)
{
    const struct http1_limits wide = HTTP1_LIMITS_DEFAULT;
    const struct http1_writing writing = {.peer_minor = 1, .asked = asked.method_id};
    char first[WRITTEN_MAX];
    char second[WRITTEN_MAX];
    ssize_t len = http1_write_response(head, &writing, first, sizeof first);
    check(len > 0 && (size_t)len <= http1_head_size(head, &writing));
    struct http1_progress progress = {0};
    struct http_head again = {.fields = second_room};
    check(http1_parse_response(&progress, first, (size_t)len, &wide, asked, &again) == len);
    same_answer(head, &again, asked);
    check(http1_write_response(&again, &writing, second, sizeof second) == len);
    check(memcmp(first, second, (size_t)len) == 0);
}

static void run(const char *bytes, size_t len, struct http1_asked asked)
{
    struct http1_progress progress = {0};
    struct http_head head = {.fields = first_room};
    ssize_t whole = http1_parse_response(&progress, bytes, len, &fuzz_limits, asked, &head);
    check(whole <= (ssize_t)len && whole > -(ssize_t)HTTP1_ERROR_COUNT);
    check(parse_in_pieces(bytes, len, asked) == whole);
    if (whole > 0) {
        fuzz_body_any_split(&head, bytes + whole, len - (size_t)whole);
        survives_writing(&head, asked);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    run(bytes, size, (struct http1_asked){HTTP_GET, false});
    run(bytes, size, (struct http1_asked){HTTP_HEAD, false});
    run(bytes, size, (struct http1_asked){HTTP_GET, true});
    free(bytes);
    return 0;
}
