/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies. Every row is read whole and with one more byte at each call, and has to give the same
 * data, trailers and verdict, and to leave the same bytes untouched.
 */
#include "proto/http1.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What reading some bytes came to. */
struct reading {
    enum http1_body_event event; /* the last */
    enum http1_error error;
    size_t used;
    size_t data_len;
    char data[4096];
    char trailers[1024]; /* "name=value;", those that pass */
};

static struct http_field room[HTTP_FIELDS_MAX];
static struct http1_limits limits;

static void add_trailers(struct reading *reading, const struct http_head *trailers)
{
    char *at = reading->trailers;
    for (unsigned i = 0; i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];
        if (!field->drop) {
            at += sprintf(at, "%.*s=%.*s;", SLICE_ARG(field->name), SLICE_ARG(field->value));
        }
    }
}

/* One call on memory of exactly that size. */
static enum http1_body_event next(struct http1_body *body, const char *bytes, size_t len,
                                  struct reading *reading)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, bytes, len);
    struct http_head trailers = {.fields = room};
    struct http1_piece piece;
    enum http1_body_event event = http1_body_next(body, copy + 1, len, &trailers, &piece);
    assert_true(piece.used <= len);
    reading->event = event;
    reading->error = piece.error;
    reading->used += piece.used;
    if (event == HTTP1_BODY_DATA) {
        assert_true(piece.data.len > 0);
        assert_true(reading->data_len + piece.data.len < sizeof reading->data);
        memcpy(reading->data + reading->data_len, piece.data.at, piece.data.len);
        reading->data_len += piece.data.len;
    } else if (event == HTTP1_BODY_END) {
        add_trailers(reading, &trailers);
    }
    free(copy);
    return event;
}

/* step 0: all at once; else so many more bytes are shown at a time. */
static void read_body(const struct http_head *head, const char *bytes, size_t len, size_t step,
                      struct reading *reading)
{
    struct http1_body body;
    http1_body_init(&body, head, &limits);
    *reading = (struct reading){0};
    size_t shown = step == 0 ? len : 0;
    for (;;) {
        enum http1_body_event event = next(&body, bytes + reading->used, shown - reading->used,
                                           reading);
        if (event == HTTP1_BODY_END || event == HTTP1_BODY_BAD
            || (event == HTTP1_BODY_MORE && shown == len)) {
            return;
        }
        if (event == HTTP1_BODY_MORE) {
            shown = shown + step < len ? shown + step : len;
        }
    }
}

static const struct http_head chunked = {.framing = HTTP_CHUNKED};

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    enum http1_body_event event;
    enum http1_error error;
    const char *data;
    const char *trailers;
    size_t left; /* bytes that must stay */
};
#define ENDS(name, bytes, data, trailers, left)                                                    \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, HTTP1_BODY_END, HTTP1_FINE, data, trailers, left           \
    }
#define WAITS(name, bytes, data, left)                                                             \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, HTTP1_BODY_MORE, HTTP1_FINE, data, "", left                \
    }
#define BAD(name, bytes, error)                                                                    \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, HTTP1_BODY_BAD, error, NULL, "", 0                         \
    }

static void judge(const struct row *row, const struct reading *reading, const char *how)
{
    bool right = reading->event == row->event && reading->error == row->error;
    if (row->data != NULL) {
        right = right && reading->data_len == strlen(row->data)
                && memcmp(reading->data, row->data, reading->data_len) == 0
                && strcmp(reading->trailers, row->trailers) == 0
                && reading->used + row->left == row->len;
    }
    if (!right) {
        fail_msg("%s, %s: event %d, %s, used %zu, data \"%.*s\", trailers \"%s\"", row->name, how,
                 reading->event, http1_error_word(reading->error), reading->used,
                 (int)reading->data_len, reading->data, reading->trailers);
    }
}

static void judge_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct reading reading;
        read_body(&chunked, rows[i].bytes, rows[i].len, 0, &reading);
        judge(&rows[i], &reading, "whole");
        read_body(&chunked, rows[i].bytes, rows[i].len, 1, &reading);
        judge(&rows[i], &reading, "by single bytes");
        read_body(&chunked, rows[i].bytes, rows[i].len, 3, &reading);
        judge(&rows[i], &reading, "by three bytes");
    }
}
#define JUDGE(rows) judge_rows(rows, sizeof(rows) / sizeof(rows)[0])

static int setup(void **state)
{
    (void)state;
    limits = HTTP1_LIMITS_DEFAULT;
    return 0;
}

static void chunks(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ENDS("empty", "0\r\n\r\n", "", "", 0),
        ENDS("one", "3\r\nabc\r\n0\r\n\r\n", "abc", "", 0),
        ENDS("two", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", "", 0),
        ENDS("hex in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
             "01234567890123456789a", "", 0),
        ENDS("leading zeroes", "0000000000000003\r\nabc\r\n00\r\n\r\n", "abc", "", 0),
        ENDS("CRLF in data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", "", 0),
        ENDS("surplus stays", "1\r\na\r\n0\r\n\r\nGET /", "a", "", 5),
        ENDS("extensions are gone", "1;x\r\na\r\n1;x=\"y;\\\" z\";w\r\nb\r\n0;q=1;r=2\r\n\r\n",
             "ab", "", 0),
        WAITS("no size", "", "", 0),
        WAITS("no end of size", "1", "", 0),
        WAITS("no data", "5\r\n", "", 0),
        WAITS("part of data", "5\r\nabc", "abc", 0),
        WAITS("no end of data", "3\r\nabc\r", "abc", 0),
        WAITS("no last chunk", "3\r\nabc\r\n", "abc", 0),
        WAITS("no end", "0\r\n", "", 0),
        WAITS("half an end", "0\r\n\r", "", 0),
    };
    JUDGE(rows);
}

static void chunk_sizes_are_strict(void **state)
{
    (void)state;
    static const struct row rows[] = {
        BAD("0x", "0x1\r\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("plus", "+1\r\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("minus", "-1\r\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("not hex", "1bad!\r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("letter g", "g\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("high byte", "\xb1\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("empty", "\r\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("extension only", ";x\r\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("space before", " 1\r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("space behind", "1 \r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("tab behind", "1\t;x\r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("underscore", "1_0\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("17 digits", "10000000000000000\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("17 zeroes", "00000000000000001\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("over 63 bits", "8000000000000000\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("bare LF", "1\na\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("bare CR", "1\ra\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("NUL", "1\0\r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("data too long", "1\r\nab\r\n0\r\n\r\n", HTTP1_BAD_CHUNK_END),
        BAD("data without end", "1\r\na0\r\n\r\n", HTTP1_BAD_CHUNK_END),
        BAD("data ends with LF", "1\r\na\n0\r\n\r\n", HTTP1_BAD_CHUNK_END),
        BAD("data ends with CR", "1\r\na\r0\r\n\r\n", HTTP1_BAD_CHUNK_END),
        BAD("LF in extension", "1;x=\ny\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("CR in extension", "1;x=\ry\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("CR behind extension", "1;x=y\ry\r\na\r\n", HTTP1_BAD_CHUNK_SIZE),
        BAD("no extension", "1;\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("no name", "1;=y\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("no value", "1;x=\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("space in extension", "1; x\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("no token", "1;x=,y\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("open quotes", "1;x=\"y\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("text behind quotes", "1;x=\"y\"z\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("control in quotes", "1;x=\"\a\"\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("escaped control", "1;x=\"\\\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("NUL in extension", "1;x=\0\r\na\r\n", HTTP1_BAD_CHUNK_EXTENSION),
        BAD("end with CR only", "0\r\n\rx", HTTP1_BAD_CHUNK_END),
    };
    JUDGE(rows);
}

static void trailers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ENDS("one", "0\r\nX: y\r\n\r\nmore", "", "X=y;", 4),
        ENDS("two", "1\r\na\r\n0\r\nX-A: b\r\nX_c:d\r\n\r\n", "a", "X-A=b;X_c=d;", 0),
        ENDS("dangerous ones are dropped",
             "0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nConnection: x\r\n"
             "Authorization: x\r\nCookie: x\r\nSet-Cookie: x\r\nTrailer: x\r\nX-Ok: 1\r\n"
             "X-Forwarded-For: x\r\nTE: x\r\nCache-Control: x\r\nContent-Type: x\r\n\r\n",
             "", "X-Ok=1;", 0),
        WAITS("half a trailer stays", "0\r\nX: y", "", 4),
        WAITS("no empty line", "0\r\nX: y\r\n", "", 6),
        WAITS("half an empty line", "0\r\nX: y\r\n\r", "", 7),
        BAD("no colon", "0\r\nbad\r\n\r\n", HTTP1_BAD_FIELD_NAME),
        BAD("folded", "0\r\nX: y\r\n z\r\n\r\n", HTTP1_BAD_FIELD_NAME),
        BAD("bare LF", "0\r\nX: y\n\r\n", HTTP1_BAD_FIELD_VALUE),
        BAD("LF ends the section", "0\r\n\n", HTTP1_BAD_FIELD_NAME),
        BAD("NUL", "0\r\nX: \0\r\n\r\n", HTTP1_BAD_FIELD_VALUE),
        BAD("space before colon", "0\r\nX : y\r\n\r\n", HTTP1_BAD_FIELD_NAME),
    };
    JUDGE(rows);
}

static void trailers_are_bounded(void **state)
{
    (void)state;
    limits.trailer_bytes_max = 16;
    limits.fields_max = 2;
    static const struct row rows[] = {
        ENDS("just fits", "0\r\nX: 345678901\r\n\r\n", "", "X=345678901;", 0),
        BAD("one too long", "0\r\nX: 3456789012\r\n\r\n", HTTP1_BAD_TRAILER_SIZE),
        BAD("never ends", "0\r\nX: 34567890123456789", HTTP1_BAD_TRAILER_SIZE),
        ENDS("two", "0\r\nA:b\r\nC:d\r\n\r\n", "", "A=b;C=d;", 0),
        BAD("three", "0\r\nA:\r\nC:\r\nE:\r\n\r\n", HTTP1_BAD_FIELD_COUNT),
    };
    JUDGE(rows);
}

/* Reads bytes of which one pattern is repeated n times; only the verdict counts. */
static enum http1_error verdict_of(const char *before, const char *pattern, size_t n)
{
    size_t len = strlen(before) + n * strlen(pattern);
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    char *at = stpcpy(bytes, before);
    for (size_t i = 0; i < n; i++) {
        at = stpcpy(at, pattern);
    }
    struct http1_body body;
    http1_body_init(&body, &chunked, &limits);
    struct http_head head = {.fields = room};
    struct http1_piece piece;
    enum http1_body_event event;
    const char *from = bytes;
    do {
        event = http1_body_next(&body, from, (size_t)(at - from), &head, &piece);
        from += piece.used;
    } while (event == HTTP1_BODY_DATA);
    free(bytes);
    return piece.error;
}

static void extensions_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(verdict_of("1;", "x", 1000), HTTP1_FINE);
    assert_int_equal(verdict_of("1;", "x", 1023), HTTP1_BAD_CHUNK_EXTENSION);
    /* Small chunks cost what they cost; small chunks with padding are waste. */
    assert_int_equal(verdict_of("", "1\r\na\r\n", 100000), HTTP1_FINE);
    assert_int_equal(verdict_of("", "1;0123456789\r\na\r\n", 100000), HTTP1_FINE);
    const char *padded = "1;0123456789012345678901234567890123456789\r\na\r\n";
    assert_int_equal(verdict_of("", padded, 500), HTTP1_FINE);
    assert_int_equal(verdict_of("", padded, 1000), HTTP1_BAD_CHUNK_EXTENSION);
}

static void longest_chunk_line_still_ends(void **state)
{
    (void)state;
    char text[1100] = "1;";
    memset(text + 2, 'x', 1020);
    strcpy(text + 1022, "\r\na\r\n0\r\n\r\n");
    struct reading reading;
    read_body(&chunked, text, strlen(text), 0, &reading);
    assert_int_equal(reading.event, HTTP1_BODY_END);
    assert_int_equal(reading.data_len, 1);
}

static void lengths(void **state)
{
    (void)state;
    const struct http_head head = {.framing = HTTP_LENGTH, .content_length = 3};
    struct reading reading;
    for (size_t step = 0; step < 5; step++) {
        read_body(&head, "abcGET /", 8, step, &reading);
        assert_int_equal(reading.event, HTTP1_BODY_END);
        assert_int_equal(reading.used, 3);
        assert_memory_equal(reading.data, "abc", 3);
    }
    struct http1_body body;
    http1_body_init(&body, &head, &limits);
    assert_false(http1_body_ends_with_close(&body));
    assert_int_equal(next(&body, "ab", 2, &reading), HTTP1_BODY_DATA);
    assert_int_equal(next(&body, "", 0, &reading), HTTP1_BODY_MORE);
    assert_false(http1_body_ends_with_close(&body));
    assert_int_equal(next(&body, "c", 1, &reading), HTTP1_BODY_DATA);
    assert_true(http1_body_ends_with_close(&body));
    assert_int_equal(next(&body, "", 0, &reading), HTTP1_BODY_END);
}

static void nothing(void **state)
{
    (void)state;
    const struct http_head head = {.framing = HTTP_NO_BODY};
    struct reading reading;
    read_body(&head, "GET /", 5, 0, &reading);
    assert_int_equal(reading.event, HTTP1_BODY_END);
    assert_int_equal(reading.used, 0);
}

static void until_close(void **state)
{
    (void)state;
    const struct http_head head = {.framing = HTTP_UNTIL_CLOSE};
    struct reading reading;
    read_body(&head, "0\r\n\r\n", 5, 2, &reading);
    assert_int_equal(reading.event, HTTP1_BODY_MORE);
    assert_memory_equal(reading.data, "0\r\n\r\n", 5);
    struct http1_body body;
    http1_body_init(&body, &head, &limits);
    assert_true(http1_body_ends_with_close(&body));
}

static void a_cut_is_seen(void **state)
{
    (void)state;
    struct http1_body body;
    http1_body_init(&body, &chunked, &limits);
    assert_false(http1_body_ends_with_close(&body));
    struct reading reading = {0};
    next(&body, "0\r\n\r", 4, &reading);
    assert_false(http1_body_ends_with_close(&body));
    next(&body, "\n", 1, &reading);
    assert_true(http1_body_ends_with_close(&body));
}

static void failure_is_final(void **state)
{
    (void)state;
    struct http1_body body;
    http1_body_init(&body, &chunked, &limits);
    struct reading reading = {0};
    assert_int_equal(next(&body, "x", 1, &reading), HTTP1_BODY_BAD);
    assert_int_equal(next(&body, "0\r\n\r\n", 5, &reading), HTTP1_BODY_BAD);
    assert_false(http1_body_ends_with_close(&body));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chunks, setup),
        cmocka_unit_test_setup(chunk_sizes_are_strict, setup),
        cmocka_unit_test_setup(trailers, setup),
        cmocka_unit_test_setup(trailers_are_bounded, setup),
        cmocka_unit_test_setup(extensions_are_bounded, setup),
        cmocka_unit_test_setup(longest_chunk_line_still_ends, setup),
        cmocka_unit_test_setup(lengths, setup),
        cmocka_unit_test_setup(nothing, setup),
        cmocka_unit_test_setup(until_close, setup),
        cmocka_unit_test_setup(a_cut_is_seen, setup),
        cmocka_unit_test_setup(failure_is_final, setup),
    };
    return cmocka_run_group_tests_name("http1_body", tests, NULL, NULL);
}
