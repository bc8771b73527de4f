/* SPDX-License-Identifier: Apache-2.0
 *
 * Dials that are given up: while they wait for another connection, and when the answer is there
 * already. The server is the test.
 */
#include <weir/websocket.h>

#include "proto/websocket_open.h"
#include "support/blocking.h"
#include "support/hosted.h"
#include "support/listening.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of HTTP/2: ENABLE_CONNECT_PROTOCOL; stream 1 was not touched; and its answer, :status 200. */
#define SETTINGS "\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1"
#define GOAWAY   "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define AGREED   "\0\0\1\1\4\0\0\0\1\x88"
#define HEADERS  "\1\4\0\0\0\1" /* of the request: how its frame begins, behind the length */

static struct world {
    weir_runtime *runtime;
    weir_websocket_manager *manager;
    weir_websocket ws;
    int listener;
    uint32_t opened, closed;
    weir_err err;
} world;

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)arg, (void)ws, (void)opening;
    world.opened++;
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)arg, (void)ws;
    world.closed++;
    world.err = end->err;
}

static void dial(uint32_t http2, uint32_t open_timeout_ms)
{
    static const weir_websocket_handler handler = {.on_open = on_open, .on_close = on_close};
    const weir_websocket_manager_options opt = {.http2 = http2, .open_timeout_ms = open_timeout_ms};
    char url[64];
    uint16_t port;
    world = (struct world){.listener = listening(SOCK_NONBLOCK, 8, &port)};
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", port);
    const weir_websocket_request request = {.url = url};
    assert_int_equal(hosted_open(&alloc_libc, &world.runtime), WEIR_OK);
    assert_int_equal(weir_websocket_manager_new(world.runtime, &opt, &world.manager), WEIR_OK);
    assert_int_equal(weir_websocket_dial(world.manager, &request, &handler, NULL, &world.ws),
                     WEIR_OK);
}

static void end(void)
{
    assert_int_equal(weir_websocket_manager_free(world.manager, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(world.runtime, 0), WEIR_OK);
    close(world.listener);
}

#define turn_until_true(condition)                                                                 \
    await_true(condition, DEADLINE_MS, weir_runtime_turn(world.runtime, 10))

static int accepted(void)
{
    int fd;
    turn_until_true((fd = accept4(world.listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    return fd;
}

/* Until `text` has come, which may be in the middle of it. */
static void hear(int fd, const char *text, size_t text_len, char ret_heard[4096])
{
    size_t len = 0;
    while (memmem(ret_heard, len, text, text_len) == NULL) {
        ssize_t n;
        turn_until_true((n = recv(fd, ret_heard + len, 4095 - len, 0)) > 0);
        len += (size_t)n;
    }
    ret_heard[len] = '\0';
}

static void say(int fd, const char *text, size_t len)
{
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* A server that sends it away, and takes no other connection: its queue is full. */
static void send_away(int fds[2])
{
    char heard[4096];
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    fds[0] = accepted();
    assert_int_equal(listen(world.listener, 0), 0);
    assert_int_equal(getsockname(world.listener, (struct sockaddr *)&address, &len), 0);
    fds[1] = join_port(ntohs(address.sin_port));
    say(fds[0], SETTINGS, sizeof SETTINGS - 1);
    hear(fds[0], HEADERS, sizeof HEADERS - 1, heard);
    say(fds[0], GOAWAY, sizeof GOAWAY - 1);
    turn_until_true(recv(fds[0], heard, sizeof heard, 0) == 0); /* it has gone */
}

static void and_never_opened(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
    end();
    assert_int_equal(world.closed, 1);
    assert_int_equal(world.opened, 0);
}

static void a_dial_is_late_while_it_waits_for_another_connection(void **state)
{
    (void)state;
    int fds[2];
    dial(WEIR_WEBSOCKET_ONLY,
         is_under_valgrind() ? 10000 : 1000); /* longer than what comes before */
    send_away(fds);
    turn_until_true(world.closed > 0);
    assert_int_equal(world.err, WEIR_EFIRST_BYTE_TIMEOUT);
    and_never_opened(fds);
}

static void a_dial_is_given_up_while_it_waits_for_another_connection(void **state)
{
    (void)state;
    int fds[2];
    dial(WEIR_WEBSOCKET_ONLY, 60000);
    send_away(fds);
    assert_int_equal(weir_websocket_close(world.ws, 0, NULL), WEIR_OK);
    turn_until_true(world.closed > 0);
    assert_int_equal(world.err, WEIR_ECANCELED);
    and_never_opened(fds);
}

/* The answer lies there when it is given up: whoever closed it never hears that it is open. */
static void a_dial_that_was_given_up_is_not_opened(uint32_t http2)
{
    char heard[4096], accept[WS_ACCEPT_LEN], answer[256];
    dial(http2, 60000);
    int fd = accepted();
    if (http2 == WEIR_OFF) {
        hear(fd, "\r\n\r\n", 4, heard);
        const char *key = strstr(heard, "Sec-WebSocket-Key: ");
        assert_non_null(key);
        ws_accept_of((struct slice){key + 19, WS_KEY_LEN}, accept);
        int len = snprintf(answer, sizeof answer,
                           "HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: %.*s\r\n\r\n",
                           (int)WS_ACCEPT_LEN, accept);
        say(fd, answer, (size_t)len);
    } else {
        say(fd, SETTINGS, sizeof SETTINGS - 1);
        hear(fd, HEADERS, sizeof HEADERS - 1, heard);
        say(fd, AGREED, sizeof AGREED - 1);
    }
    assert_int_equal(weir_websocket_close(world.ws, 0, NULL), WEIR_OK);
    turn_until_true(world.closed + world.opened > 0);
    assert_int_equal(world.opened, 0);
    assert_int_equal(world.err, WEIR_ECANCELED);
    close(fd);
    end();
    assert_int_equal(world.closed, 1);
}

static void a_line_that_was_given_up_is_not_opened(void **state)
{
    (void)state;
    a_dial_that_was_given_up_is_not_opened(WEIR_OFF);
}

static void a_call_that_was_given_up_is_not_opened(void **state)
{
    (void)state;
    a_dial_that_was_given_up_is_not_opened(WEIR_WEBSOCKET_ONLY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dial_is_late_while_it_waits_for_another_connection),
        cmocka_unit_test(a_dial_is_given_up_while_it_waits_for_another_connection),
        cmocka_unit_test(a_line_that_was_given_up_is_not_opened),
        cmocka_unit_test(a_call_that_was_given_up_is_not_opened),
    };
    return cmocka_run_group_tests_name("websocket call", tests, NULL, NULL);
}
