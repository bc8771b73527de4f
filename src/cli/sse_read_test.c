/* SPDX-License-Identifier: Apache-2.0
 *
 * sse_read_test.c - every way of ending lines, cut at every byte.
 */
#include "cli/sse_read.h"

#include "support/unit.h"

#include <stdio.h>

struct heard {
    char text[512];
};

static void on_message(void *arg, const struct sse_message *message)
{
    struct heard *heard = arg;
    size_t len = strlen(heard->text);
    snprintf(heard->text + len, sizeof(heard->text) - len, "[%s|%s|%.*s]", message->name,
             message->id, SLICE_ARG(message->data));
}

static const char stream[] = ": hello\n\nevent: a\nid: 1\ndata: one\n\n"
                             "data: two\r\ndata:lines\r\n\r\nid: 7\revent: c\rdata\r\r"
                             "event: nothing\n\nretry: 250\nid: 8\ndata: x\n\ndata: cut";

static void any_cut_is_the_same(void **state)
{
    (void)state;
    for (uint32_t cut = 0; cut < sizeof(stream) - 1; cut++) {
        struct heard heard = {""};
        struct sse_reader reader;
        const struct slice all = SLICE(stream);
        sse_reader_init(&reader, on_message, &heard);
        sse_reader_feed(&reader, slice_sub(all, 0, cut));
        sse_reader_feed(&reader, slice_sub(all, cut, all.len));
        assert_string_equal(heard.text, "[a|1|one][|1|two\nlines][c|7|][|8|x]");
        assert_string_equal(reader.id, "8");
        assert_int_equal(reader.retry_ms, 250);
        sse_reader_again(&reader);
        sse_reader_feed(&reader, SLICE("data: y\n\n"));
        assert_string_equal(heard.text, "[a|1|one][|1|two\nlines][c|7|][|8|x][|8|y]");
        sse_reader_fini(&reader);
    }
}

static void what_is_too_long_is_skipped(void **state)
{
    (void)state;
    struct heard heard = {""};
    struct sse_reader reader;
    sse_reader_init(&reader, on_message, &heard);
    sse_reader_feed(&reader, SLICE("data: "));
    for (unsigned i = 0; i < SSE_DATA_MAX / 8 + 1; i++)
        sse_reader_feed(&reader, SLICE("12345678"));
    sse_reader_feed(&reader, SLICE("\n\ndata: after\n\n"));
    assert_string_equal(heard.text, "[||after]");
    assert_int_equal(reader.skipped, 1);
    sse_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_is_the_same),
        cmocka_unit_test(what_is_too_long_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
