/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_fuzz.h - what the HTTP/1.1 targets share: heads and bodies that must be the same, and bytes
 * shown in pieces, each time from memory of exactly their size.
 */
#pragma once
#include "base/check.h"
#include "proto/http1.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Narrow enough for a fuzzer to reach each of them. */
static const struct http1_limits fuzz_limits = {.head_bytes_max = 2048,
                                                .target_bytes_max = 512,
                                                .trailer_bytes_max = 256,
                                                .fields_max = 24};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy that ends where its memory ends. */
static inline char *fuzz_exact(const char *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    check(copy != NULL);
    memcpy(copy, bytes, len);
    return copy;
}

/* Lengths to show in turn: every one of a short input; of a long one, steps that grow. */
static inline size_t fuzz_next_length(size_t shown, size_t len)
{
    size_t step = len <= 600 ? 1 : 1 + shown % 61;
    return len - shown < step ? len : shown + step;
}

/* --- heads ----------------------------------------------------------------------------------- */

static inline bool fuzz_is_generated(const struct http_field *field)
{
    return field->drop || field->id == HTTP_HOST || field->id == HTTP_CONTENT_LENGTH;
}

static inline const struct http_field *fuzz_next_field(const struct http_head *head, unsigned *at)
{
    while (*at < head->field_count && fuzz_is_generated(&head->fields[*at])) {
        ++*at;
    }
    return *at < head->field_count ? &head->fields[(*at)++] : NULL;
}

/* Two heads carry the same end-to-end fields in the same order. */
static inline void fuzz_same_fields(const struct http_head *a, const struct http_head *b)
{
    unsigned in_a = 0;
    unsigned in_b = 0;
    for (;;) {
        const struct http_field *x = fuzz_next_field(a, &in_a);
        const struct http_field *y = fuzz_next_field(b, &in_b);
        check((x == NULL) == (y == NULL));
        if (x == NULL) {
            return;
        }
        check(slice_same(x->name, y->name) && slice_same(x->value, y->value) && x->id == y->id);
    }
}

/* --- bodies ---------------------------------------------------------------------------------- */

struct fuzz_body {
    enum http1_body_event event; /* the last */
    enum http1_error error;
    size_t used;
    size_t len;
    char *data;
    char *trailers; /* lines, in the order they came; those that are dropped too */
    size_t trailers_len;
};

static inline void fuzz_body_free(struct fuzz_body *body)
{
    free(body->data);
    free(body->trailers);
}

static inline void fuzz_keep_trailers(struct fuzz_body *body, const struct http_head *trailers)
{
    for (unsigned i = 0; i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];
        char *at = body->trailers + body->trailers_len;
        memcpy(at, field->name.at, field->name.len);
        at[field->name.len] = field->drop ? '!' : ':';
        memcpy(at + field->name.len + 1, field->value.at, field->value.len);
        body->trailers_len += field->name.len + field->value.len + 1;
    }
}

static inline enum http1_body_event fuzz_body_step(struct http1_body *reader, const char *bytes,
                                                   size_t len, struct fuzz_body *body)
{
    static struct http_field room[HTTP_FIELDS_MAX];
    struct http_head trailers = {.fields = room};
    struct http1_piece piece;
    char *copy = fuzz_exact(bytes, len);
    enum http1_body_event event = http1_body_next(reader, copy, len, &trailers, &piece);
    check(piece.used <= len);
    check((event == HTTP1_BODY_DATA) == (piece.data.len > 0));
    check((event == HTTP1_BODY_BAD) == (piece.error != HTTP1_FINE));
    if (event == HTTP1_BODY_DATA) {
        memcpy(body->data + body->len, piece.data.at, piece.data.len);
        body->len += piece.data.len;
    } else if (event == HTTP1_BODY_END) {
        fuzz_keep_trailers(body, &trailers);
    }
    body->event = event;
    body->error = piece.error;
    body->used += piece.used;
    free(copy);
    return event;
}

/* Reads a body that is shown at once, or in pieces. */
static inline struct fuzz_body fuzz_body_read(const struct http_head *head, const char *bytes,
                                              size_t len, bool in_pieces)
{
    struct fuzz_body body = {.data = malloc(len + 1), .trailers = malloc(len + 1)};
    struct http1_body reader;
    check(body.data != NULL && body.trailers != NULL);
    http1_body_init(&reader, head, &fuzz_limits);
    size_t shown = in_pieces ? fuzz_next_length(0, len) : len;
    for (;;) {
        enum http1_body_event event = fuzz_body_step(&reader, bytes + body.used, shown - body.used,
                                                     &body);
        if (event == HTTP1_BODY_END || event == HTTP1_BODY_BAD
            || (event == HTTP1_BODY_MORE && shown == len)) {
            return body;
        }
        if (event == HTTP1_BODY_MORE) {
            shown = fuzz_next_length(shown, len);
        }
    }
}

static inline void fuzz_same_bodies(const struct fuzz_body *a, const struct fuzz_body *b)
{
    check(a->event == b->event && a->error == b->error);
    check(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    check(a->trailers_len == b->trailers_len
          && memcmp(a->trailers, b->trailers, a->trailers_len) == 0);
    /* What came before an error is consumed as it comes; how much of the rest is nobody's affair.
     */
    check(a->event == HTTP1_BODY_BAD || a->used == b->used);
}

/* The body behind a head is the same in pieces. */
static inline void fuzz_body_any_split(const struct http_head *head, const char *bytes, size_t len)
{
    struct fuzz_body whole = fuzz_body_read(head, bytes, len, false);
    struct fuzz_body pieces = fuzz_body_read(head, bytes, len, true);
    fuzz_same_bodies(&whole, &pieces);
    fuzz_body_free(&whole);
    fuzz_body_free(&pieces);
}
