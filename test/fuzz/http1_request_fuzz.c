/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: the verdict does not depend on the cuts; what is accepted can be written, and what is
 * written reads as the same message and is written the same again.
 */
#include "http1_fuzz.h"

static struct http_field first_room[HTTP_FIELDS_MAX], second_room[HTTP_FIELDS_MAX];

static ssize_t parse_in_pieces(const char *bytes, size_t len)
{
    struct http1_progress progress = {0};
    struct http_head head = {.fields = second_room};
    ssize_t result = 0;
    for (size_t shown = 0; result == 0 && shown < len;) {
        shown = fuzz_next_length(shown, len);
        char *copy = fuzz_exact(bytes, shown);
        result = http1_parse_request(&progress, copy, shown, &fuzz_limits, &head);
        free(copy);
    }
    return result;
}

static void same_request(const struct http_head *a, const struct http_head *b)
{
    check(slice_same(a->method, b->method) && slice_same(a->path, b->path));
    check(slice_same(a->authority, b->authority) && a->method_id == b->method_id);
    check(a->framing == b->framing && a->content_length == b->content_length);
    check(a->upgrade == b->upgrade && a->expect_continue == b->expect_continue);
    fuzz_same_fields(a, b);
}

/* Written heads are a few bytes longer than what was read: Host, framing. */
#define WRITTEN_MAX 4096

static void survives_writing(struct http_head *head)
{
    const struct http1_limits wide = HTTP1_LIMITS_DEFAULT;
    const struct http1_writing writing = {.upgrade = true};
    char first[WRITTEN_MAX];
    char second[WRITTEN_MAX];
    if (head->authority.len == 0) {
        head->authority = SLICE("upstream"); /* what a connector puts there for HTTP/1.0 */
    }
    ssize_t len = http1_write_request(head, &writing, first, sizeof first);
    check(len > 0 && (size_t)len <= http1_head_size(head, &writing));
    struct http1_progress progress = {0};
    struct http_head again = {.fields = second_room};
    check(http1_parse_request(&progress, first, (size_t)len, &wide, &again) == len);
    same_request(head, &again);
    check(http1_write_request(&again, &writing, second, sizeof second) == len);
    check(memcmp(first, second, (size_t)len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    struct http1_progress progress = {0};
    struct http_head head = {.fields = first_room};
    ssize_t whole = http1_parse_request(&progress, bytes, size, &fuzz_limits, &head);
    check(whole <= (ssize_t)size && whole > -(ssize_t)HTTP1_ERROR_COUNT);
    check(parse_in_pieces(bytes, size) == whole);
    if (whole > 0) {
        fuzz_body_any_split(&head, bytes + whole, size - (size_t)whole);
        survives_writing(&head);
    }
    free(bytes);
    return 0;
}
