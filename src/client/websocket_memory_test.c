/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ends of a WebSocket in one guest runtime, each allocation refused in turn: what fails, fails
 * with an answer, and everything is given back.
 */
#include <weir/websocket.h>

#include "io/clock.h"
#include "support/blocking.h"
#include "support/hosted.h"
#include "support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE 20000U

struct talk {
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket_manager *manager;
    uint32_t opened, closed, heard;
    uint32_t ends_opened, ends_closed; /* accepted */
};

static char text[MESSAGE];
static uint32_t told_later; /* ends that were told 1013 for want of memory at the other one */

/* Whoever has no memory for what comes says so, if it can say anything. */
static void judge(const weir_websocket_end *end)
{
    if (end->was_open && end->err == WEIR_ENOMEM) {
        assert_true(end->code == 1013 || end->code == 1006);
    }
    told_later += end->err == WEIR_OK && end->code == 1013;
}

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct talk *talk = arg;
    (void)opening;
    talk->opened++;
    if (weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, text, sizeof text) != WEIR_OK) {
        weir_websocket_close(ws, 0, NULL);
    }
}

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    struct talk *talk = arg;
    (void)kind;
    (void)data;
    talk->heard += len == sizeof text;
    weir_websocket_close(ws, 0, NULL);
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct talk *talk = arg;
    (void)ws;
    judge(end);
    talk->closed++;
}

static void end_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct talk *talk = arg;
    (void)opening;
    talk->ends_opened++;
    weir_websocket_add(talk->manager, "end", ws);
}

static void echo(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                 size_t len)
{
    (void)arg;
    if (weir_websocket_send(ws, kind, data, len) != WEIR_OK) {
        weir_websocket_close(ws, 1011, NULL);
    }
}

static void end_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct talk *talk = arg;
    (void)ws;
    judge(end);
    talk->ends_closed++;
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {
        .on_open = end_open, .on_message = echo, .on_close = end_close};
    struct talk *talk = self;
    weir_err err = weir_websocket_accept(talk->manager, ex, NULL, &handler, talk, NULL);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM || err == WEIR_EFULL);
}

static void converse(struct talk *talk)
{
    static const weir_websocket_handler handler = {
        .on_open = on_open, .on_message = on_message, .on_close = on_close};
    char url[100];
    snprintf(url, sizeof url, "ws://%s/", weir_server_address(talk->server));
    const weir_websocket_request request = {.url = url, .protocols = "a, b"};
    weir_err err = weir_websocket_dial(talk->manager, &request, &handler, talk, NULL);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    await_true(err != WEIR_OK || talk->closed > 0, DEADLINE_MS,
               weir_runtime_turn(talk->runtime, 10));
    err = weir_websocket_broadcast(talk->manager, WEIR_WEBSOCKET_TEXT, "x", 1);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
}

struct lives {
    uint32_t count, http2;
};

static void live(const struct alloc *alloc, void *arg)
{
    struct talk talk = {0};
    struct lives *lives = arg;
    lives->count++;
    const weir_server_options server = {.address = "127.0.0.1:0", .max_connections = 8};
    static const weir_server_handler handler = {.on_request = on_request};
    if (hosted_open(alloc, &talk.runtime) != WEIR_OK) {
        return;
    }
    const weir_websocket_manager_options options = {
        .pool = {.max_total = 8, .idle_timeout_ms = 2000},
        .close_timeout_ms = 200,
        .open_timeout_ms = 2000,
        .http2 = lives->http2,
        .deflate = lives->count % 2 == 0 ? WEIR_ON : WEIR_OFF};
    weir_err err = weir_websocket_manager_new(talk.runtime, &options, &talk.manager);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    if (err == WEIR_OK) {
        err = weir_server_listen(talk.runtime, &server, &handler, &talk, &talk.server);
        if (err == WEIR_OK) {
            converse(&talk);
        }
        assert_int_equal(weir_websocket_manager_free(talk.manager, 100), WEIR_OK);
        assert_int_equal(talk.ends_opened, talk.ends_closed);
        if (err == WEIR_OK) {
            assert_int_equal(weir_server_close(talk.server, 100), WEIR_OK);
        }
    }
    assert_int_equal(weir_runtime_close(talk.runtime, 0), WEIR_OK);
    assert_true(unit_count(alloc)->refused > 0 || talk.heard == 1);
}

static void answers_where_memory_is_refused(void **state)
{
    (void)state;
    struct lives lives = {0};
    memset(text, 'a', sizeof text);
    torture(live, &lives);
    assert_true(lives.count > 30);
    assert_true(told_later > 0);
}

/* Both ends of a stream of HTTP/2. */
static void dials_over_http2_where_memory_is_refused(void **state)
{
    (void)state;
    struct lives lives = {.http2 = WEIR_WEBSOCKET_ONLY};
    memset(text, 'a', sizeof text);
    torture(live, &lives);
    assert_true(lives.count > 30);
}

/* --- over HTTP/2 ---------------------------------------------------------------------------------
 */

/* The preface, SETTINGS; CONNECT of a WebSocket; a message "hi" and a close, masked with zeroes. */
static const char opening[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              "\0\0\0\4\0\0\0\0\0"
                              "\0\0\x65\1\4\0\0\0\1"
                              "\0\7:method\7CONNECT"
                              "\0\x09:protocol\x09websocket"
                              "\0\7:scheme\4http"
                              "\0\xa:authority\1h"
                              "\0\5:path\1/"
                              "\0\x15sec-websocket-version\2"
                              "13"
                              "\0\0\x10\0\0\0\0\0\1"
                              "\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8";

/* Whether the stream, or the connection, has ended: in what was heard are whole frames. */
static bool is_over(const uint8_t *at, size_t len)
{
    enum { HEADERS = 1, RST_STREAM = 3, GOAWAY = 7, END_STREAM = 1 };
    for (size_t used = 0; used + 9 <= len;) {
        size_t payload = (size_t)at[used] << 16 | (size_t)at[used + 1] << 8 | at[used + 2];
        uint8_t type = at[used + 3], flags = at[used + 4];
        if (type == RST_STREAM || type == GOAWAY
            || (type <= HEADERS && (flags & END_STREAM) != 0)) {
            return true;
        }
        used += 9 + payload;
    }
    return false;
}

static void talk_over_http2(struct talk *talk)
{
    uint8_t heard[4096];
    size_t len = 0;
    int fd = join_port(weir_server_port(talk->server));
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    assert_int_equal(send(fd, opening, sizeof opening - 1, MSG_NOSIGNAL), sizeof opening - 1);
    for (ssize_t n = -1; n != 0 && !is_over(heard, len); len += n > 0 ? (size_t)n : 0) {
        assert_true(clock_now_ms() < end_ms);
        weir_runtime_turn(talk->runtime, 10);
        n = recv(fd, heard + len, sizeof heard - len, MSG_DONTWAIT);
        n = n < 0 && errno == ECONNRESET ? 0 : n;
    }
    close(fd);
}

static void live_over_http2(const struct alloc *alloc, void *arg)
{
    struct talk talk = {0};
    uint32_t *lives = arg;
    *lives += 1;
    const weir_server_options server = {.address = "127.0.0.1:0", .max_connections = 8};
    static const weir_server_handler handler = {.on_request = on_request};
    if (hosted_open(alloc, &talk.runtime) != WEIR_OK) {
        return;
    }
    if (weir_websocket_manager_new(talk.runtime, NULL, &talk.manager) == WEIR_OK) {
        if (weir_server_listen(talk.runtime, &server, &handler, &talk, &talk.server) == WEIR_OK) {
            talk_over_http2(&talk);
            assert_int_equal(weir_server_close(talk.server, 100), WEIR_OK);
        }
        assert_int_equal(weir_websocket_manager_free(talk.manager, 100), WEIR_OK);
    }
    assert_int_equal(weir_runtime_close(talk.runtime, 0), WEIR_OK);
    assert_int_equal(talk.ends_opened, talk.ends_closed);
    assert_true(unit_count(alloc)->refused > 0 || talk.ends_opened == 1);
}

static void answers_over_http2_where_memory_is_refused(void **state)
{
    (void)state;
    uint32_t lives = 0;
    torture(live_over_http2, &lives);
    assert_true(lives > 30);
}

/* --- who was let in, and cannot be heard ---------------------------------------------------------
 */

static void *refuse(void *self, size_t size)
{
    (void)self;
    (void)size;
    return NULL;
}

/* What there is to read, once there is any. */
static ssize_t hear(struct talk *talk, int fd, char *ret, size_t size)
{
    ssize_t len;
    await_true((len = recv(fd, ret, size, MSG_DONTWAIT)) >= 0, DEADLINE_MS,
               weir_runtime_turn(talk->runtime, 10));
    return len;
}

static int join(struct talk *talk)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char answer[512];
    int fd = join_port(weir_server_port(talk->server));
    assert_int_equal(send(fd, ask, sizeof ask - 1, 0), sizeof ask - 1);
    ssize_t len = hear(talk, fd, answer, sizeof answer);
    assert_memory_equal(answer, "HTTP/1.1 101 ", 13);
    assert_memory_equal(answer + len - 4, "\r\n\r\n", 4);
    return fd;
}

/* Two ends at rest share what one needs to hear; while it is with one of them, the other is told to
 * try again later, and nobody else notices. */
static void who_cannot_be_heard_is_told_so(void **state)
{
    (void)state;
    static const char frame[] = "\x81\x82\0\0\0\0hi", later[] = "\x88\x02\x03\xf5";
    const weir_server_options server = {.address = "127.0.0.1:0", .max_connections = 8};
    static const weir_server_handler handler = {.on_request = on_request};
    struct alloc_count count;
    struct talk talk = {0};
    char said[16];
    struct alloc nothing = alloc_libc;
    nothing.zeroed = refuse;
    alloc_count_init(&count, &alloc_libc);
    assert_int_equal(hosted_open(&count.hooks, &talk.runtime), WEIR_OK);
    assert_int_equal(weir_websocket_manager_new(talk.runtime, NULL, &talk.manager), WEIR_OK);
    assert_int_equal(weir_server_listen(talk.runtime, &server, &handler, &talk, &talk.server),
                     WEIR_OK);
    int one = join(&talk), other = join(&talk);
    assert_int_equal(send(one, frame, 3, 0), 3);
    weir_websocket_stats stats = {0};
    await_true(stats.bytes_in >= 3, DEADLINE_MS, weir_runtime_turn(talk.runtime, 10);
               weir_websocket_manager_stats(talk.manager, &stats));
    count.backing = &nothing;
    assert_int_equal(send(other, frame, sizeof frame - 1, 0), sizeof frame - 1);
    assert_int_equal(hear(&talk, other, said, sizeof said), sizeof later - 1);
    assert_memory_equal(said, later, sizeof later - 1);
    assert_int_equal(recv(other, said, sizeof said, 0), 0); /* not cut, but ended */
    count.backing = &alloc_libc;
    assert_int_equal(send(one, frame + 3, sizeof frame - 4, 0), sizeof frame - 4);
    assert_int_equal(hear(&talk, one, said, sizeof said), 4);
    assert_memory_equal(said, "\x81\x02hi", 4);
    close(one);
    close(other);
    assert_int_equal(weir_websocket_manager_free(talk.manager, 100), WEIR_OK);
    assert_int_equal(weir_server_close(talk.server, 100), WEIR_OK);
    assert_int_equal(weir_runtime_close(talk.runtime, 0), WEIR_OK);
    assert_int_equal(count.out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_where_memory_is_refused),
        cmocka_unit_test(dials_over_http2_where_memory_is_refused),
        cmocka_unit_test(answers_over_http2_where_memory_is_refused),
        cmocka_unit_test(who_cannot_be_heard_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
