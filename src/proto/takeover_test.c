/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/takeover.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

static const struct takeover_message hello = {.kind = TAKEOVER_HELLO,
                                              .number = 7,
                                              .pid = 4711,
                                              .count = UINT64_MAX - 1,
                                              .text = SLICE("1.2.3")};

static void what_is_written_is_read(void **state)
{
    (void)state;
    char bytes[TAKEOVER_MAX];
    struct takeover_message read;
    size_t len = takeover_write(&hello, bytes);
    assert_int_equal(len, TAKEOVER_HEAD + 5);
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_GOOD);
    assert_int_equal(read.kind, TAKEOVER_HELLO);
    assert_int_equal(read.number, 7);
    assert_int_equal(read.pid, 4711);
    assert_true(read.count == UINT64_MAX - 1);
    assert_true(slice_is(read.text, "1.2.3"));
}

/* Their place and order are what processes of two versions agree on. */
static void the_bytes_are_these(void **state)
{
    (void)state;
    static const unsigned char expected[] = {'w', 'e', 'i', 'r', 1, 3, 0, 0, 0, 0, 0,   0,   2,  1,
                                             0,   0,   5,   0,   0, 0, 0, 0, 0, 0, 'w', 'e', 'b'};
    const struct takeover_message message = {
        .kind = TAKEOVER_OFFERED, .pid = 258, .count = 5, .text = SLICE("web")};
    char bytes[TAKEOVER_MAX];
    assert_int_equal(takeover_write(&message, bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void a_text_is_bounded_and_plain(void **state)
{
    (void)state;
    static char text[2 * TAKEOVER_TEXT_MAX];
    char bytes[TAKEOVER_MAX];
    struct takeover_message read;
    memset(text, 'x', sizeof text);
    text[3] = '\n';
    const struct takeover_message message = {.kind = TAKEOVER_FAILED, .text = {text, sizeof text}};
    size_t len = takeover_write(&message, bytes);
    assert_int_equal(len, TAKEOVER_HEAD + TAKEOVER_TEXT_MAX);
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_GOOD);
    assert_true(slice_starts(read.text, SLICE("xxx?xx")));
}

static void records_may_be_any_bytes(void **state)
{
    (void)state;
    char bytes[TAKEOVER_MAX];
    struct takeover_message read;
    const struct takeover_message message = {.kind = TAKEOVER_RECORDS, .text = {"\0\n\377", 3}};
    size_t len = takeover_write(&message, bytes);
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_GOOD);
    assert_int_equal(read.text.len, 3);
    assert_memory_equal(read.text.at, "\0\n\377", 3);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    char bytes[TAKEOVER_MAX + 1];
    struct takeover_message read;
    size_t len = takeover_write(&hello, bytes);
    for (size_t i = 0; i < TAKEOVER_HEAD; i++) {
        assert_int_equal(takeover_read(bytes, i, &read), TAKEOVER_BAD);
    }
    bytes[5] = TAKEOVER_KINDS;
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_BAD);
    bytes[5] = 0;
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_BAD);
    bytes[5] = TAKEOVER_HELLO;
    bytes[6] = 1;
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_BAD);
    bytes[6] = 0;
    bytes[TAKEOVER_HEAD] = '\n';
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_BAD);
    bytes[TAKEOVER_HEAD] = 'x';
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_GOOD);
    memset(bytes + TAKEOVER_HEAD, 'x', TAKEOVER_RECORDS_MAX + 1);
    assert_int_equal(takeover_read(bytes, TAKEOVER_HEAD + TAKEOVER_TEXT_MAX + 1, &read),
                     TAKEOVER_BAD);
    bytes[5] = TAKEOVER_RECORDS;
    assert_int_equal(takeover_read(bytes, TAKEOVER_MAX, &read), TAKEOVER_GOOD);
    assert_int_equal(takeover_read(bytes, TAKEOVER_MAX + 1, &read), TAKEOVER_BAD);
    bytes[0] = 'W';
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_BAD);
}

static void another_version_is_told_as_such(void **state)
{
    (void)state;
    char bytes[TAKEOVER_MAX];
    struct takeover_message read;
    size_t len = takeover_write(&hello, bytes);
    bytes[4] = TAKEOVER_VERSION + 1;
    bytes[5] = 99; /* its kinds are its own */
    assert_int_equal(takeover_read(bytes, len, &read), TAKEOVER_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(a_text_is_bounded_and_plain),
        cmocka_unit_test(records_may_be_any_bytes),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(another_version_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
