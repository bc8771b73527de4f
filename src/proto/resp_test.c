/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/resp.h"

#include "base/rand.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

/* --- what is said of replies --------------------------------------------------------------------
 */

static void say(struct bytes *out, const struct resp_value *value)
{
    static const char *const words[] = {"null",   "status", "failed", "number", "text", "big",
                                        "double", "bool",   "array",  "set",    "map",  "push"};
    bytes_append_text(out, words[value->type]);
    if (value->count > 0) {
        bytes_printf(out, "*%u", (unsigned)value->count);
    }
    if (value->type == RESP_NUMBER || value->type == RESP_BOOL) {
        bytes_printf(out, "=%lld", (long long)value->number);
    } else if (value->text.at != NULL) {
        bytes_printf(out, "'%.*s'", SLICE_ARG(value->text));
    }
    bytes_append_text(out, " ");
}

/* All replies that the bytes have, fed in steps; each block ends where it ends. */
static enum resp_error read_all(struct bytes *out, const char *at, size_t len, size_t step,
                                const struct resp_limits *limits)
{
    struct resp_reader reader;
    size_t from = 0, whole;
    resp_reader_init(&reader, limits);
    for (size_t have = step < len ? step : len;; have = have + step < len ? have + step : len) {
        char *copy = malloc(have - from + 1);
        memcpy(copy, at + from, have - from);
        size_t used = 0;
        while ((whole = resp_read(&reader, copy + used, have - from - used)) > 0) {
            struct resp_walk walk = resp_walk_of(copy + used, whole);
            struct resp_value value;
            while (resp_next(&walk, &value)) {
                say(out, &value);
            }
            bytes_append_text(out, "| ");
            used += whole;
        }
        free(copy);
        from += used;
        if (have == len || reader.error != RESP_FINE) {
            return reader.error;
        }
    }
}

static enum resp_error said(const char *at, size_t len, size_t step, char *ret_text, size_t size)
{
    struct bytes out;
    bytes_init(&out, &alloc_libc, 1U << 20);
    enum resp_error error = read_all(&out, at, len, step, NULL);
    slice_copy(ret_text, size, bytes_slice(&out));
    bytes_fini(&out);
    return error;
}

#define BYTES(text) (text), sizeof(text) - 1

static void expect(const char *at, size_t len, enum resp_error error, const char *want)
{
    for (size_t step = 1; step <= len; step++) {
        char text[4096];
        assert_int_equal(said(at, len, step, text, sizeof text), error);
        assert_string_equal(text, want);
    }
}

static void both_versions_are_read(void **state)
{
    (void)state;
    expect(BYTES("+OK\r\n"), RESP_FINE, "status'OK' | ");
    expect(BYTES("-ERR no\r\n"), RESP_FINE, "failed'ERR no' | ");
    expect(BYTES(":-42\r\n:+7\r\n"), RESP_FINE, "number=-42 | number=7 | ");
    expect(BYTES("$5\r\nh\r\nlo\r\n$0\r\n\r\n"), RESP_FINE, "text'h\r\nlo' | text'' | ");
    expect(BYTES("$-1\r\n*-1\r\n_\r\n"), RESP_FINE, "null | null | null | ");
    expect(BYTES("*2\r\n*0\r\n$1\r\na\r\n"), RESP_FINE, "array*2 array text'a' | ");
    expect(BYTES("*2\r\n*1\r\n:1\r\n*1\r\n:2\r\n+x\r\n"), RESP_FINE,
           "array*2 array*1 number=1 array*1 number=2 | status'x' | ");
    expect(BYTES("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n"), RESP_FINE,
           "map*4 status'a' number=1 status'b' set*1 bool=1 | ");
    expect(BYTES(",3.5\r\n,-inf\r\n,nan\r\n,1e-7\r\n#f\r\n(-123456789012345678901\r\n"), RESP_FINE,
           "double'3.5' | double'-inf' | double'nan' | double'1e-7' | bool=0 | "
           "big'-123456789012345678901' | ");
    expect(BYTES("!6\r\nERR no\r\n=7\r\ntxt:abc\r\n"), RESP_FINE, "failed'ERR no' | text'abc' | ");
    expect(BYTES(">2\r\n+invalidate\r\n_\r\n+OK\r\n"), RESP_FINE,
           "push*2 status'invalidate' null | status'OK' | ");
}

static void attributes_are_passed_over(void **state)
{
    (void)state;
    expect(BYTES("|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n:7\r\n"), RESP_FINE, "number=7 | ");
    expect(BYTES("|0\r\n|0\r\n:7\r\n:8\r\n"), RESP_FINE, "number=7 | number=8 | ");
    expect(BYTES("*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n|1\r\n|1\r\n+x\r\n+y\r\n+c\r\n+d\r\n:2\r\n:3\r\n"),
           RESP_FINE, "array*2 number=1 number=2 | number=3 | ");
    expect(BYTES("|1\r\n+a\r\n+b\r\n"), RESP_FINE, ""); /* of what? */
}

static void what_is_not_resp_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum resp_error error;
    } bad[] = {
        {"HTTP/1.1 400 Bad Request\r\n", RESP_BAD_TYPE},
        {"\r\n", RESP_BAD_TYPE},
        {"+a\nb\r\n", RESP_BAD_LINE},
        {"+a\rb\r\n", RESP_BAD_LINE},
        {":\r\n", RESP_BAD_NUMBER},
        {":12a\r\n", RESP_BAD_NUMBER},
        {":+-1\r\n", RESP_BAD_NUMBER},
        {":9223372036854775808\r\n", RESP_BAD_NUMBER},
        {":00000000000000000000000000000000000000000\r\n", RESP_BAD_LINE_LENGTH},
        {"$-2\r\n", RESP_BAD_NUMBER},
        {"!-1\r\n", RESP_BAD_NUMBER},
        {"~-1\r\n", RESP_BAD_NUMBER},
        {"$2\r\nabc\r\n", RESP_BAD_BULK_END},
        {"$2\r\nab\rc", RESP_BAD_BULK_END},
        {"$1073741824\r\n", RESP_BAD_BULK_LENGTH},
        {"$18446744073709551616\r\n", RESP_BAD_NUMBER},
        {"*1073741824\r\n", RESP_BAD_COUNT},
        {"%131073\r\n", RESP_BAD_COUNT},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", RESP_BAD_DEPTH},
        {"*1\r\n>1\r\n", RESP_BAD_PUSH},
        {"$?\r\n", RESP_BAD_STREAMED},
        {"*?\r\n", RESP_BAD_STREAMED},
        {"#x\r\n", RESP_BAD_WORD},
        {"_x\r\n", RESP_BAD_WORD},
        {",1.5x\r\n", RESP_BAD_WORD},
        {",\r\n", RESP_BAD_WORD},
        {"(-\r\n", RESP_BAD_WORD},
        {"(12a\r\n", RESP_BAD_WORD},
        {"=3\r\nabc\r\n", RESP_BAD_VERBATIM},
        {"=5\r\nabcde\r\n", RESP_BAD_VERBATIM},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(bad[i].text, strlen(bad[i].text), bad[i].error, "");
        assert_true(resp_error_text(bad[i].error)[0] != '\0');
    }
    assert_string_equal(resp_error_text(RESP_FINE), "");
    assert_string_equal(resp_error_text(RESP_ERROR_COUNT), "unknown");
}

static void after_an_error_nothing_is_read(void **state)
{
    (void)state;
    struct resp_reader reader;
    resp_reader_init(&reader, NULL);
    assert_int_equal(resp_read(&reader, BYTES("?")), 0);
    assert_int_equal(reader.error, RESP_BAD_TYPE);
    assert_int_equal(resp_read(&reader, BYTES("+OK\r\n")), 0);
    assert_int_equal(reader.error, RESP_BAD_TYPE);
}

/* Each limit, one below and one above. */
static void limits_hold(void **state)
{
    (void)state;
    static const struct resp_limits small = {
        .depth_max = 2, .bulk_max = 4, .line_max = 5, .count_max = 3, .reply_max = 40};
    static const struct {
        const char *text;
        enum resp_error error;
    } cases[] = {
        {"*1\r\n*1\r\n:1\r\n", RESP_FINE},
        {"*1\r\n*1\r\n*0\r\n", RESP_FINE}, /* nothing is in it */
        {"*1\r\n*1\r\n*1\r\n", RESP_BAD_DEPTH},
        {"$4\r\nabcd\r\n", RESP_FINE},
        {"$5\r\n", RESP_BAD_BULK_LENGTH},
        {"+12345\r\n", RESP_FINE},
        {"+123456", RESP_BAD_LINE_LENGTH},
        {"+12345\n", RESP_BAD_LINE_LENGTH},
        {"*3\r\n:1\r\n:2\r\n:3\r\n", RESP_FINE},
        {"*4\r\n", RESP_BAD_COUNT},
        {"%1\r\n+a\r\n+b\r\n", RESP_FINE},
        {"%2\r\n", RESP_BAD_COUNT},
        {"*3\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n$4\r\nab\r\n\r\n+\r\n", RESP_FINE}, /* 34 and 3 */
        {"*3\r\n*3\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n", RESP_FINE},  /* not whole */
        {"*3\r\n*3\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n:1\r\n", RESP_BAD_REPLY_LENGTH},
        {"|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n",
         RESP_BAD_REPLY_LENGTH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 60; step += 7) {
            struct bytes out;
            bytes_init(&out, &alloc_libc, 4096);
            assert_int_equal(read_all(&out, cases[i].text, strlen(cases[i].text), step, &small),
                             cases[i].error);
            bytes_fini(&out);
        }
    }
}

/* A text that comes byte by byte is not looked through again and again, and neither is a line. */
static void a_slow_peer_costs_no_more(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    struct resp_reader reader;
    char *text = malloc(LEN + 32);
    resp_reader_init(&reader, NULL);
    int head = snprintf(text, 32, "*1\r\n$%d\r\n", LEN);
    memset(text + head, 'x', LEN);
    memcpy(text + head + LEN, "\r\n", 2);
    size_t len = (size_t)head + LEN + 2;
    for (size_t have = 0; have < len; have++) {
        assert_int_equal(resp_read(&reader, text, have), 0);
    }
    assert_int_equal(resp_read(&reader, text, len), len);
    text[0] = '+';
    memset(text + 1, 'x', RESP_LINE_MAX);
    for (size_t have = 0; have < RESP_LINE_MAX; have++) {
        assert_int_equal(resp_read(&reader, text, have), 0);
        assert_true(reader.line == have || have == 0);
    }
    free(text);
}

/* Random replies, cut at random: the same is said. */
static void make(struct rand *rand, struct bytes *out, unsigned depth)
{
    static const char *const leaves[] = {
        "+OK\r\n", "-ERR x\r\n", ":12\r\n",         "$3\r\na\r\n\r\n", "$-1\r\n",    "_\r\n",
        "#t\r\n",  ",1.5\r\n",   "=5\r\ntxt:a\r\n", "(99\r\n",         "!1\r\nE\r\n"};
    uint64_t kind = rand_below(rand, depth < 4 ? 16 : 11);
    if (kind < 11) {
        bytes_append_text(out, leaves[kind]);
        return;
    }
    uint32_t count = (uint32_t)rand_below(rand, 4);
    bytes_printf(out, "%c%u\r\n", "*~%|*"[kind - 11], (unsigned)count);
    count *= kind == 13 || kind == 14 ? 2 : 1;
    for (uint32_t i = 0; i < count; i++) {
        make(rand, out, depth + 1);
    }
    if (kind == 14) {
        make(rand, out, depth);
    }
}

static void where_it_is_cut_makes_no_difference(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 1);
    for (unsigned i = 0; i < 2000; i++) {
        static char whole[1 << 20], cut[1 << 20];
        struct bytes in;
        bytes_init(&in, &alloc_libc, 1U << 20);
        make(&rand, &in, 0);
        make(&rand, &in, 0);
        if (i % 3 == 0) { /* and with a byte that is another */
            bytes_at(&in)[rand_below(&rand, bytes_len(&in))] = (char)rand_below(&rand, 256);
        }
        size_t len = bytes_len(&in);
        enum resp_error error = said(bytes_at(&in), len, len, whole, sizeof whole);
        assert_true(i % 3 == 0 || error == RESP_FINE);
        assert_int_equal(said(bytes_at(&in), len, 1 + rand_below(&rand, 9), cut, sizeof cut),
                         error);
        assert_string_equal(whole, cut);
        bytes_fini(&in);
    }
}

/* --- walking ------------------------------------------------------------------------------------
 */

static void values_are_passed_with_what_is_in_them(void **state)
{
    (void)state;
    static const char text[] =
        "*3\r\n%1\r\n+k\r\n*2\r\n:1\r\n|1\r\n+x\r\n+y\r\n:2\r\n$1\r\na\r\n#t\r\n";
    struct resp_walk walk = resp_walk_of(text, sizeof text - 1);
    struct resp_value value;
    assert_true(resp_next(&walk, &value) && value.type == RESP_ARRAY && value.count == 3);
    assert_true(resp_next(&walk, &value) && value.type == RESP_MAP && value.count == 2);
    resp_pass(&walk, &value);
    assert_true(resp_next(&walk, &value) && slice_is(value.text, "a"));
    assert_true(value.text.at > text && value.text.at < text + sizeof text); /* where it was read */
    resp_pass(&walk, &value);                                                /* nothing is in it */
    assert_true(resp_next(&walk, &value) && value.type == RESP_BOOL);
    assert_false(resp_next(&walk, &value));
    walk = resp_walk_of("*2\r\n:1\r\n", 8); /* what nobody found whole */
    assert_true(resp_next(&walk, &value));
    resp_pass(&walk, &value);
    assert_false(resp_next(&walk, &value));
    walk = resp_walk_of("$5\r\nab", 6);
    assert_false(resp_next(&walk, &value));
    assert_false(resp_next(&walk, &value));
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void commands_are_written(void **state)
{
    (void)state;
    struct bytes out;
    struct resp_writer writer;
    const struct slice words[] = {SLICE("GET"), {"a\0b", 3}, {NULL, 0}};
    bytes_init(&out, &alloc_libc, 90);
    assert_true(resp_command(&out, words, 3));
    assert_true(
        slice_same(bytes_slice(&out), SLICE("*3\r\n$3\r\nGET\r\n$3\r\na\0b\r\n$0\r\n\r\n")));
    bytes_clear(&out);
    resp_begin(&writer, &out, 3);
    resp_word(&writer, SLICE("SET"));
    resp_number(&writer, 0);
    resp_number(&writer, UINT64_MAX);
    assert_true(resp_end(&writer));
    static const char want[] = "*3\r\n$3\r\nSET\r\n$1\r\n0\r\n$20\r\n18446744073709551615\r\n";
    assert_true(slice_is(bytes_slice(&out), want));
    assert_true(resp_command(&out, words, 3));
    assert_int_equal(bytes_len(&out), sizeof want - 1 + 28);
    assert_false(resp_command(&out, words, 3)); /* it leaves nothing */
    assert_int_equal(bytes_len(&out), sizeof want - 1 + 28);
    bytes_fini(&out);
}

static void write_or_not(const struct alloc *alloc, void *arg)
{
    struct bytes out;
    const struct slice words[] = {SLICE("SET"), *(const struct slice *)arg};
    bytes_init(&out, alloc, 1U << 20);
    bool is_first = resp_command(&out, words, 1);
    size_t len = bytes_len(&out);
    if (!resp_command(&out, words, 2)) {
        assert_int_equal(bytes_len(&out), len);
    }
    assert_true(len == 0 || is_first);
    bytes_fini(&out);
}

static void a_refusal_of_memory_leaves_no_half_command(void **state)
{
    (void)state;
    static char big[10000];
    struct slice word = {big, sizeof big};
    torture(write_or_not, &word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_read),
        cmocka_unit_test(attributes_are_passed_over),
        cmocka_unit_test(what_is_not_resp_is_refused),
        cmocka_unit_test(after_an_error_nothing_is_read),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_slow_peer_costs_no_more),
        cmocka_unit_test(where_it_is_cut_makes_no_difference),
        cmocka_unit_test(values_are_passed_with_what_is_in_them),
        cmocka_unit_test(commands_are_written),
        cmocka_unit_test(a_refusal_of_memory_leaves_no_half_command),
    };
    return cmocka_run_group_tests_name("resp", tests, NULL, NULL);
}
