/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/held.h"

#include "gateway/forward.h"
#include "proto/http1.h"

#include <string.h>

static struct http_field fields[32];

static const char request[] = "POST http://h.test/a?b HTTP/1.1\r\nHost: h.test\r\n"
                              "Connection: x-hop\r\nX-Hop: 1\r\nX-Long: value\r\nX-Empty:\r\n"
                              "Content-Length: 5\r\n\r\n";

/* The copy outlives the buffer, and its marks those of a first try. */
static void a_copy_is_the_request_as_it_came(void **state)
{
    (void)state;
    char buffer[sizeof request];
    memcpy(buffer, request, sizeof request);
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_head head = {.fields = fields};
    assert_true(http1_parse_request(&progress, buffer, sizeof request - 1, &limits, &head) > 0);
    struct held held = {0};
    assert_true(held_take_head(&held, &head));
    head.fields[3].drop |= FORWARD_DROP;
    memset(buffer, '#', sizeof buffer);
    memset(fields, 0, sizeof fields);

    for (int turn = 0; turn < 3; turn++) {
        struct http_head *copy = held_head(&held);
        assert_true(slice_is(copy->method, "POST"));
        assert_true(slice_is(copy->path, "/a?b"));
        assert_true(slice_is(copy->authority, "h.test"));
        assert_int_equal(copy->content_length, 5);
        assert_int_equal(copy->field_count, 6);
        assert_true(slice_is(copy->fields[3].name, "X-Long"));
        assert_true(slice_is(copy->fields[3].value, "value"));
        assert_int_equal(copy->fields[3].drop, 0);
        assert_int_not_equal(copy->fields[2].drop, 0);
        copy->fields[3].drop |= FORWARD_DROP;
        copy->authority = SLICE("elsewhere");
        if (turn == 0) {
            static char body[8000];
            memset(body, 'b', sizeof body);
            assert_true(held_add_body(&held, "12345", 5, HELD_BODY_MAX));
            assert_true(held_add_body(&held, body, sizeof body, HELD_BODY_MAX));
            assert_false(held_add_body(&held, body, sizeof body + 0, 8004));
            assert_false(held_add_body(&held, body, HELD_BODY_MAX, HELD_BODY_MAX));
        }
    }
    assert_int_equal(held.body_len, 8005);
    assert_memory_equal(held_body(&held), "12345bbb", 8);
    held_reset(&held);
    assert_true(held.size <= HELD_KEEP_MAX);
    held_fini(&held);
}

/* A line that may be written as it lies is copied with its end. */
static void the_last_line_is_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: h\r\nA:b \r\n\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct http1_progress progress = {0};
        const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
        struct http_head head = {.fields = fields};
        assert_true(http1_parse_request(&progress, texts[i], strlen(texts[i]), &limits, &head) > 0);
        struct held held = {0};
        assert_true(held_take_head(&held, &head));
        assert_true(held_add_body(&held, "12", 2, HELD_BODY_MAX));
        const struct http_head *copy = held_head(&held);
        const struct http_field *last = &copy->fields[copy->field_count - 1];
        if (last->wire) {
            assert_memory_equal(last->value.at + last->value.len, "\r\n", 2);
        }
        assert_int_equal(last->wire, i != 2);
        assert_memory_equal(held_body(&held), "12", 2);
        held_fini(&held);
    }
}

static void a_small_one_keeps_its_memory(void **state)
{
    (void)state;
    struct held held = {0};
    static const char line[] = "GET /";
    const struct http_head head = {.method = {line, 3}, .target = {line + 4, 1}};
    assert_true(held_take_head(&held, &head));
    const char *at = held.at;
    assert_non_null(at);
    held_reset(&held);
    assert_true(held_take_head(&held, &head));
    assert_ptr_equal(held.at, at);
    assert_int_equal(held.body_len, 0);
    held_fini(&held);
}

static void trailers_outlive_their_buffer(void **state)
{
    (void)state;
    char text[] = "X-Sum42X-Empty";
    struct http_field came[] = {
        {.name = {text, 5}, .value = {text + 5, 2}, .wire = 1},
        {.name = {text + 7, 7}, .value = {text + 14, 0}, .drop = 1, .id = HTTP_TE},
    };
    const struct http_head trailers = {.fields = came, .field_count = 2, .present = 9};
    struct held held = {0};
    assert_null(held_trailers(&held));
    assert_true(held_take_trailers(&held, &trailers));
    memset(text, '#', sizeof text);
    memset(came, 0, sizeof came);
    const struct http_head *copy = held_trailers(&held);
    assert_int_equal(copy->field_count, 2);
    assert_int_equal(copy->present, 9);
    assert_true(slice_is(copy->fields[0].name, "X-Sum"));
    assert_true(slice_is(copy->fields[0].value, "42"));
    assert_int_equal(copy->fields[0].wire, 0); /* the line is not there any more */
    assert_true(slice_is(copy->fields[1].name, "X-Empty"));
    assert_int_equal(copy->fields[1].value.len, 0);
    assert_int_equal(copy->fields[1].drop, 1);
    assert_int_equal(copy->fields[1].id, HTTP_TE);
    held_reset(&held);
    assert_null(held_trailers(&held));
    held_fini(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_the_request_as_it_came),
        cmocka_unit_test(the_last_line_is_whole),
        cmocka_unit_test(a_small_one_keeps_its_memory),
        cmocka_unit_test(trailers_outlive_their_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
