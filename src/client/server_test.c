/* SPDX-License-Identifier: Apache-2.0
 *
 * The server on real sockets: requests and answers, in one piece and in many, from every side.
 */
#include "support/web.h"

/* --- requests and answers -----------------------------------------------------------------------
 */

static void requests_are_answered(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    int fd = join(&f);
    say(fd, GET("/describe?q=1"));
    const char *text = hear(fd);
    assert_true(has(text, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(text, "Content-Type: text/plain\r\nX-Mine: 1\r\n"));
    assert_true(has(text, "\r\n\r\nGET /describe q=1 h:1 b X-A 127.0.0.1"));
    say(fd, GET("/describe"));
    assert_true(has(hear(fd), "\r\n\r\nGET /describe  h:1 b X-A 127.0.0.1"));
    say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    say(fd, "dy");
    assert_true(has(hear(fd), "\r\n\r\nbody"));
    say(fd,
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_true(has(hear(fd), "\r\n\r\nabc"));
    say(fd, GET("/bad"));
    assert_true(has(hear(fd), "4\r\ngood\r\n0\r\n\r\n"));
    say(fd, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" GET("/"));
    until(f.requests == 7);
    say(fd, GET("/abort"));
    text = hear(fd);
    assert_true(has(text, "Content-Length: 5"));
    close(fd);
    weir_server_stats stats;
    until((weir_server_stats_of(f.server, &stats), stats.connections == 0));
    assert_int_equal(stats.requests, 8);
    assert_int_equal(stats.answered, 8);
    assert_int_equal(stats.answers_2xx, 7);
    assert_int_equal(stats.open, 0);
    shut(&f);
}

static void bodies_come_in_pieces(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.body_max = 64U << 20}, &piecewise, 2);
    weir_http_client *client;
    assert_int_equal(weir_http_client_new(f.runtime, NULL, &client), WEIR_OK);
    char url[64];
    size_t len = 10U << 20;
    char *body = malloc(len);
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i * 7 % 251);
    }
    snprintf(url, sizeof url, "http://%s/", weir_server_address(f.server));
    const weir_http_request request = {
        .method = "POST", .url = url, .body = body, .body_len = len, .flags = WEIR_HTTP_BORROW};
    weir_http_answer *answer;
    assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
    assert_int_equal(weir_http_body(answer).len, len);
    assert_memory_equal(weir_http_body(answer).at, body, len);
    weir_http_answer_free(answer);
    free(body);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    shut(&f);
}

/* Who waits to be told that the body is wanted is told, and it ends also where there is none. */
static void bodies_are_asked_for(void **state)
{
    (void)state;
    static struct fixture f;
    static const weir_server_handler *const handlers[] = {&gathering, &piecewise};
    for (size_t i = 0; i < 2; i++) {
        open_as(&f, (weir_server_options){.body_max = 10}, handlers[i], 1);
        int fd = join(&f);
        say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                "Expect: 100-continue\r\n\r\n");
        char text[256] = "";
        assert_int_equal(recv(fd, text, 25, MSG_WAITALL), 25);
        assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
        say(fd, "body");
        assert_true(has(hear(fd), i == 0 ? "\r\n\r\nbody" : "4\r\nbody\r\n0\r\n"));
        say(fd, GET("/echo"));
        assert_true(has(hear(fd), i == 0 ? "Content-Length: 0\r\n" : "\r\n\r\n0\r\n\r\n"));
        say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n"
                "Expect: 100-continue\r\n\r\n");
        assert_true(has(hear(fd), "HTTP/1.1 413 "));
        close(fd);
        shut(&f);
    }
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.body_max = 4}, &gathering, 1);
    int fd = join(&f);
    say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    assert_true(has(hear(fd), "\r\n\r\nbody"));
    say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_true(has(hear(fd), "HTTP/1.1 413 "));
    close(fd);
    fd = join(&f);
    say(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    assert_true(has(hear(fd), "HTTP/1.1 413 "));
    close(fd);
    assert_int_equal(f.requests, 1);
    shut(&f);
}

static void slow_readers_are_waited_for(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    int fd = join(&f);
    say(fd, GET("/stream"));
    until(f.streamed > 0);
    assert_true(f.streamed < 8U << 20); /* it was told to wait */
    size_t got = 0;
    while (got < 8U << 20) {
        static char block[65536];
        ssize_t n = recv(fd, block, sizeof block, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    until(f.streamed == 8U << 20);
    close(fd);
    shut(&f);
}

static void *reply_elsewhere(void *arg)
{
    struct fixture *f = arg;
    until(f->is_held);
    pthread_mutex_lock(&f->mutex);
    weir_exchange_id id = f->held;
    pthread_mutex_unlock(&f->mutex);
    char body[] = "from afar";
    char value[] = "x";
    const weir_http_field field = {.name = "X-Thread", .value = value};
    const weir_reply reply = {
        .status = 201, .fields = &field, .field_count = 1, .body = body, .body_len = 9};
    assert_int_equal(weir_server_reply(f->server, id, &reply), WEIR_OK);
    memset(body, 0, sizeof body); /* it was copied */
    value[0] = 'y';
    assert_int_equal(weir_server_reply(f->server, id, &reply), WEIR_OK); /* to nobody */
    id.worker = 9;
    assert_int_equal(weir_server_reply(f->server, id, &reply), WEIR_EINVAL);
    return NULL;
}

static void other_threads_may_answer(void **state)
{
    (void)state;
    static struct fixture f;
    pthread_t thread;
    open_plain(&f);
    assert_int_equal(pthread_create(&thread, NULL, reply_elsewhere, &f), 0);
    int fd = join(&f);
    say(fd, GET("/hold"));
    const char *text = hear(fd);
    assert_true(has(text, "HTTP/1.1 201 Created\r\nX-Thread: x\r\n"));
    assert_true(has(text, "\r\n\r\nfrom afar"));
    pthread_join(thread, NULL);
    say(fd, GET("/"));
    assert_true(has(hear(fd), "hello"));
    close(fd);
    shut(&f);
}

static void who_leaves_is_told_of(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    int fd = join(&f);
    say(fd, GET("/hold"));
    until(f.is_held);
    close(fd);
    until(f.aborts == 1);
    assert_int_equal(f.abort_why, WEIR_EHANGUP);
    const weir_reply late = {.status = 200};
    assert_int_equal(weir_server_reply(f.server, f.held, &late), WEIR_OK);
    weir_server_stats stats;
    weir_server_stats_of(f.server, &stats);
    assert_int_equal(stats.aborted, 1);
    shut(&f);
}

static void callbacks_do_not_wait(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    int fd = join(&f);
    say(fd, GET("/wait"));
    assert_true(has(hear(fd), "tried"));
    assert_int_equal(f.estate, 6);
    close(fd);
    assert_int_equal(weir_http_client_free(f.made), WEIR_OK);
    shut(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),       cmocka_unit_test(bodies_come_in_pieces),
        cmocka_unit_test(bodies_are_asked_for),        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(slow_readers_are_waited_for), cmocka_unit_test(other_threads_may_answer),
        cmocka_unit_test(who_leaves_is_told_of),       cmocka_unit_test(callbacks_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
