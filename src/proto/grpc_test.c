/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "proto/grpc.h"

#include <string.h>

static void timeouts_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000}, {"4m", 4},
                {"5u", 1},       {"1001u", 2},   {"1n", 1},    {"99999999S", 99999999000},
                {"0m", 0}};
    uint64_t ms;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(grpc_timeout_ms(slice_of(rows[i].text), &ms));
        assert_int_equal(ms, rows[i].ms);
    }
    static const char *const bad[] = {"",     "S",          "1",   "1s", "-1S",
                                      "1.5S", "123456789S", " 1S", "1S "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(grpc_timeout_ms(slice_of(bad[i]), &ms));
    }
    char text[GRPC_TIMEOUT_MAX];
    grpc_timeout_write(1500, text);
    assert_string_equal(text, "1500m");
    grpc_timeout_write(UINT64_MAX, text);
    assert_string_equal(text, "99999999S");
}

static void content_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool is;
    } rows[] = {{"application/grpc", true},     {"application/grpc+proto", true},
                {"Application/GRPC;v=1", true}, {"application/grpc-web", false},
                {"application/grpcx", false},   {"application/json", false},
                {"application/grp", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_field field = {.name = SLICE("content-type"),
                                   .value = slice_of(rows[i].type),
                                   .id = HTTP_CONTENT_TYPE};
        const struct http_head head = {
            .fields = &field, .field_count = 1, .present = UINT64_C(1) << HTTP_CONTENT_TYPE};
        assert_int_equal(grpc_is(&head), rows[i].is);
    }
    const struct http_head none = {0};
    assert_false(grpc_is(&none));
}

static void messages_are_percent_encoded(void **state)
{
    (void)state;
    char out[64], back[64];
    size_t len = grpc_message_write("50% \xc3\xa4\n", out, sizeof out);
    assert_int_equal(len, strlen("50%25 %C3%A4%0A"));
    assert_memory_equal(out, "50%25 %C3%A4%0A", len);
    size_t back_len = grpc_message_read((struct slice){out, (uint32_t)len}, back, sizeof back);
    assert_int_equal(back_len, 7);
    assert_memory_equal(back, "50% \xc3\xa4\n", 7);
    assert_int_equal(grpc_message_write("ab%", out, 4), 2); /* never half of one */
    assert_int_equal(grpc_message_read(SLICE("%4"), back, sizeof back), 2);
    assert_int_equal(grpc_message_read(SLICE("%zz%41"), back, sizeof back), 4);
    assert_memory_equal(back, "%zzA", 4);
}

/* Whole or in pieces, the same messages begin. */
static void messages_are_found_in_any_pieces(void **state)
{
    (void)state;
    uint8_t stream[64];
    size_t len = 0;
    static const uint32_t lens[] = {3, 0, 20};
    for (int i = 0; i < 3; i++) {
        grpc_prefix_write(lens[i], stream + len);
        memset(stream + len + GRPC_PREFIX, 'x', lens[i]);
        len += GRPC_PREFIX + lens[i];
    }
    for (size_t piece = 1; piece <= len; piece++) {
        struct grpc_scan scan = {0};
        unsigned found = 0;
        for (size_t at = 0; at < len;) {
            size_t end = at + piece < len ? at + piece : len;
            while (at < end) {
                bool begun;
                at += grpc_scan_next(&scan, stream + at, end - at, &begun);
                if (begun) {
                    assert_int_equal(scan.left, lens[found++]);
                }
            }
        }
        assert_int_equal(found, 3);
        assert_true(grpc_scan_is_whole(&scan));
    }
}

/* With its prefix, or not at all. */
static void a_message_is_put_whole(void **state)
{
    (void)state;
    struct bytes out;
    bytes_init(&out, &alloc_libc, 20);
    assert_true(grpc_put(&out, "abc", 3));
    assert_true(grpc_put(&out, NULL, 0));
    assert_false(grpc_put(&out, "abc", 3));
    assert_int_equal(bytes_len(&out), 13);
    assert_memory_equal(bytes_at(&out), "\0\0\0\0\3abc\0\0\0\0\0", 13);
    bytes_fini(&out);
}

static void codes_are_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(grpc_code_of(SLICE("0")), GRPC_OK);
    assert_int_equal(grpc_code_of(SLICE("14")), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of(SLICE("17")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_of(SLICE("")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_of(SLICE("-1")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_of_http(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_code_of_http(200), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_of_refusal(408), GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(grpc_code_of_refusal(431), GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(grpc_code_of_refusal(405), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_code_of_refusal(503), GRPC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_have_units),
        cmocka_unit_test(content_types_are_told_apart),
        cmocka_unit_test(messages_are_percent_encoded),
        cmocka_unit_test(messages_are_found_in_any_pieces),
        cmocka_unit_test(a_message_is_put_whole),
        cmocka_unit_test(codes_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
