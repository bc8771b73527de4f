/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/span.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static struct span span_of(const char *host)
{
    struct span span = {.id = 0xa1, .begun_ns = 5, .ended_ns = 9, .status = 200, .error = ""};
    memset(span.trace, 'e', sizeof span.trace);
    strcpy(span.method, "GET");
    snprintf(span.host, sizeof span.host, "%s", host);
    return span;
}

static char *told(const struct span *span, uint32_t nth, uint32_t want)
{
    static char text[2 * SPAN_TEXT_MAX];
    struct bytes out;
    bytes_init(&out, &alloc_libc, sizeof text - 1);
    assert_int_equal(span_message_add(&out, nth, span, 1000), want);
    memcpy(text, bytes_at(&out), bytes_len(&out));
    text[bytes_len(&out)] = '\0';
    bytes_fini(&out);
    return text;
}

static void a_server_has_an_address_and_perhaps_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *host, *address;
        unsigned port;
    } rows[] = {
        {"a.test", "a.test", 0},
        {"a.test:80", "a.test", 80},
        {"[::1]", "::1", 0},
        {"[::1]:8443", "::1", 8443},
        {"::1", "::1", 0},
        {"a.test:", "a.test", 0},
        {"a.test:99999", "a.test", 0},
        {"[", "[", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        struct span span = span_of(rows[i].host);
        const char *text = told(&span, 0, 1);
        snprintf(want, sizeof want,
                 "{\"key\":\"server.address\",\"value\":{\"stringValue\":\"%s\"}}",
                 rows[i].address);
        assert_non_null(strstr(text, want));
        snprintf(want, sizeof want, "{\"key\":\"server.port\",\"value\":{\"intValue\":\"%u\"}}",
                 rows[i].port);
        assert_int_equal(strstr(text, want) != NULL, rows[i].port != 0);
    }
    struct span nowhere = span_of("");
    assert_null(strstr(told(&nowhere, 0, 1), "server."));
}

static void times_never_run_backwards(void **state)
{
    (void)state;
    struct span span = span_of("a");
    assert_non_null(
        strstr(told(&span, 0, 1), "\"startTimeUnixNano\":\"1005\",\"endTimeUnixNano\":\"1009\""));
    span.client_id = 0xb2;
    span.asked_ns = 20;
    const char *text = told(&span, 1, 2);
    assert_int_equal(text[0], ',');
    assert_non_null(
        strstr(text, "\"spanId\":\"00000000000000b2\",\"parentSpanId\":\"00000000000000a1\""));
    assert_non_null(strstr(text, "\"startTimeUnixNano\":\"1020\",\"endTimeUnixNano\":\"1020\""));
}

/* Whatever a client sends: the longest there is, and each byte takes six. */
static void the_longest_fits(void **state)
{
    (void)state;
    struct span span = span_of("");
    span.client_id = 1;
    span.error = "first_byte_timeout";
    span.retries = 255;
    char *const texts[] = {span.method,   span.path,     span.host,    span.client,
                           span.listener, span.upstream, span.account, span.endpoint};
    const size_t sizes[] = {sizeof span.method,  sizeof span.path,     sizeof span.host,
                            sizeof span.client,  sizeof span.listener, sizeof span.upstream,
                            sizeof span.account, sizeof span.endpoint};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(texts[i], 1, sizes[i] - 1);
        texts[i][sizes[i] - 1] = '\0';
    }
    assert_non_null(strstr(told(&span, 0, 2), "\\u0001"));
}

static void a_message_with_no_room_is_none(void **state)
{
    (void)state;
    struct bytes out;
    struct span span = span_of("a");
    bytes_init(&out, &alloc_libc, 600);
    assert_true(span_message_begin(&out, "n"));
    size_t before = bytes_len(&out);
    assert_int_equal(span_message_add(&out, 0, &span, 0), 0);
    assert_int_equal(bytes_len(&out), before);
    bytes_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_has_an_address_and_perhaps_a_port),
        cmocka_unit_test(times_never_run_backwards),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(a_message_with_no_room_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
