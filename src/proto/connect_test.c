/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/connect.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static void expect_said(const struct connect_target *target, const char *text)
{
    char said[CONNECT_SAID_MAX];
    size_t len = connect_say(target, said);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(said, text, len);
}

static void requests(void **state)
{
    (void)state;
    struct connect_target target = {.host = SLICE("example.org"), .port = 443};
    expect_said(&target, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    target.host = SLICE("2001:db8::1");
    expect_said(&target, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
    target.host = SLICE("h");
    target.user = SLICE("Aladdin"); /* RFC 7617 §2 */
    target.password = SLICE("open sesame");
    expect_said(&target, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n"
                         "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

static void what_cannot_be_said(void **state)
{
    (void)state;
    char said[CONNECT_SAID_MAX];
    char text[CONNECT_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    struct slice longest = {text, CONNECT_TEXT_MAX};
    struct slice too_long = {text, CONNECT_TEXT_MAX + 1};
    const struct connect_target wrong[] = {
        {.host = SLICE(""), .port = 1},
        {.host = too_long, .port = 1},
        {.host = SLICE("a\r\nb"), .port = 1},
        {.host = SLICE("a/b"), .port = 1},
        {.host = SLICE("h"), .port = 1, .user = too_long},
        {.host = SLICE("h"), .port = 1, .user = SLICE("a:b")},
        {.host = SLICE("h"), .port = 1, .user = SLICE("a"), .password = SLICE("b\n")},
        {.host = SLICE("h"), .port = 1, .password = SLICE("b")},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(connect_say(&wrong[i], said), 0);
    }
    const struct connect_target most = {
        .host = longest, .port = 65535, .user = longest, .password = longest};
    assert_true(connect_say(&most, said) > 0);
}

/* Returns how many bytes were taken; the rest is the tunnel's. */
static size_t hear(struct connect *connect, const char *bytes, size_t step)
{
    size_t len = strlen(bytes);
    size_t at = 0;
    *connect = (struct connect){.state = CONNECT_WAITING};
    while (at < len && connect_wanted(connect) > 0) {
        size_t give = connect_wanted(connect);
        give = give < step ? give : step;
        give = give < len - at ? give : len - at;
        connect_hear(connect, bytes + at, give);
        at += give;
    }
    return at;
}

static void tunnels(void **state)
{
    (void)state;
    static const char *const good[] = {
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200\r\nVia: x\r\n\r\n",
        "HTTP/1.1 299 \r\nA: b\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nOdd: \r\r\n\r\n",
    };
    char bytes[256];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        for (size_t step = 1; step <= 4; step++) {
            struct connect connect;
            snprintf(bytes, sizeof bytes, "%stunnel", good[i]);
            assert_int_equal(hear(&connect, bytes, step), strlen(good[i]));
            assert_int_equal(connect.state, CONNECT_OPEN);
        }
    }
}

static void failures(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum connect_error error;
    } rows[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", CONNECT_BAD_AUTH},
        {"HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n", CONNECT_BAD_FORBIDDEN},
        {"HTTP/1.1 502 Bad Gateway\r\n\r\n", CONNECT_BAD_TARGET},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", CONNECT_BAD_STATUS},
        {"SSH-2.0-OpenSSH_9.2\r\n", CONNECT_BAD_NOT_HTTP},
        {"HTTP/2.0 200 OK\r\n\r\n", CONNECT_BAD_NOT_HTTP},
        {"HTTP/1.1 2000 OK\r\n\r\n", CONNECT_BAD_NOT_HTTP},
        {"HTTP/1.1\r\n\r\n", CONNECT_BAD_NOT_HTTP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t step = 1; step <= 4; step++) {
            struct connect connect;
            hear(&connect, rows[i].text, step);
            assert_int_equal(connect.state, CONNECT_FAILED);
            assert_int_equal(connect.error, rows[i].error);
            assert_true(strlen(connect_error_text(connect.error)) > 0);
        }
    }
}

static void a_head_without_an_end(void **state)
{
    (void)state;
    struct connect connect = {.state = CONNECT_WAITING};
    connect_hear(&connect, "HTTP", 4);
    connect_hear(&connect, "/1.1", 4);
    connect_hear(&connect, " 200", 4);
    connect_hear(&connect, " OK\r", 4);
    size_t heard = 16;
    while (connect.state == CONNECT_WAITING) {
        connect_hear(&connect, "x", 1);
        heard++;
    }
    assert_int_equal(connect.error, CONNECT_BAD_HEAD_SIZE);
    assert_int_equal(heard, CONNECT_HEAD_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(what_cannot_be_said),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(failures),
        cmocka_unit_test(a_head_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
