/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunked bodies: the same data, trailers and verdict however they are cut; a complete one can be
 * written, and what is written reads as the same.
 */
#include "http1_fuzz.h"

static const struct http_head chunked = {.framing = HTTP_CHUNKED};

static void survives_writing(const struct fuzz_body *body)
{
    size_t cap = body->len + HTTP1_CHUNK_HEAD_MAX + 16;
    char *bytes = malloc(cap);
    check(bytes != NULL);
    size_t len = 0;
    if (body->len > 0) {
        len = http1_write_chunk_head(body->len, bytes);
        memcpy(bytes + len, body->data, body->len);
        len += body->len;
        memcpy(bytes + len, HTTP1_CHUNK_TAIL, 2);
        len += 2;
    }
    ssize_t last = http1_write_last_chunk(NULL, bytes + len, cap - len);
    check(last == 5);
    len += (size_t)last;
    struct fuzz_body again = fuzz_body_read(&chunked, bytes, len, false);
    check(again.event == HTTP1_BODY_END && again.used == len);
    check(again.len == body->len && memcmp(again.data, body->data, body->len) == 0);
    fuzz_body_free(&again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    fuzz_body_any_split(&chunked, bytes, size);
    struct fuzz_body body = fuzz_body_read(&chunked, bytes, size, false);
    if (body.event == HTTP1_BODY_END) {
        survives_writing(&body);
    }
    fuzz_body_free(&body);
    free(bytes);
    return 0;
}
