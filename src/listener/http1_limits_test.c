/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client may not do, for how long it may do nothing, and how its time ends.
 */
#include "support/http1_fixture.h"

/* --- refusing -----------------------------------------------------------------------------------
 */

static void bad_requests_are_answered_and_closed(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", " 400 "},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", " 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         " 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", " 501 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", " 400 "},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", " 505 "},
        {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", " 405 "},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", " 405 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", " 417 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        join(&f, &peer);
        say(&peer, cases[i].request);
        until(&f, &peer, peer.closed);
        assert_true(has(&peer, cases[i].status));
        assert_true(has(&peer, "Connection: close\r\n"));
        assert_true(has(&peer, "Proxy-Status: weir; error=http_request_error"));
        assert_true(has(&peer, "{\"error\":{\"code\":\""));
        assert_false(peer.reset);
        assert_int_equal(COUNTER(&f, bad_requests), 1);
        assert_int_equal(f.heard.refusals, 1);
        assert_int_equal(f.requests, f.aborts);
        leave(&peer);
        until(&f, NULL, http1_listener_clients(f.listener) == 0);
        shut(&f);
    }
}

static void long_heads_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *front, *block, *status;
    } cases[] = {
        {"GET /", "0123456789", " 414 "},
        {"GET / HTTP/1.1\r\nHost: h\r\nA: ", "0123456789", " 431 "},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", " 431 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        join(&f, &peer);
        say(&peer, cases[i].front);
        for (int n = 0; n < 10000 && !peer.closed && COUNTER(&f, bad_requests) == 0; n++) {
            say(&peer, cases[i].block);
            turn(&f, &peer);
        }
        until(&f, &peer, peer.closed);
        assert_true(has(&peer, cases[i].status));
        leave(&peer);
        shut(&f);
    }
}

static void what_comes_behind_a_refusal_is_read_and_forgotten(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "BAD REQUEST\r\n\r\n" GET("/") GET("/"));
    until(&f, &peer, peer.closed);
    assert_int_equal(count_of(&peer, "HTTP/1.1 "), 1);
    assert_int_equal(f.requests, 0);
    say(&peer, GET("/"));
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    until(&f, &peer, http1_listener_clients(f.listener) == 0);
    assert_int_equal(f.requests, 0);
    leave(&peer);
    shut(&f);
}

static void lingering_is_bounded_in_bytes(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    static char block[65536];
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "BAD REQUEST\r\n\r\n");
    until(&f, &peer, peer.closed);
    uint32_t sent = 0;
    while (http1_listener_clients(f.listener) > 0) {
        assert_true(sent <= 2 * HTTP1_LINGER_MAX);
        ssize_t n = send(peer.fd, block, sizeof block, MSG_NOSIGNAL);
        sent += n > 0 ? (uint32_t)n : 0;
        turn(&f, NULL);
    }
    assert_true(sent > HTTP1_LINGER_MAX);
    leave(&peer);
    shut(&f);
}

static void lingering_is_bounded_in_time(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "BAD REQUEST\r\n\r\n");
    until(&f, &peer, peer.closed);
    uint64_t begun_ms = clock_now_ms();
    until(&f, NULL, http1_listener_clients(f.listener) == 0);
    assert_in_range(clock_now_ms() - begun_ms, HTTP1_LINGER_MS / 2, 4 * HTTP1_LINGER_MS);
    leave(&peer);
    shut(&f);
}

static void a_body_nobody_wants_is_read_up_to_a_limit(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    static char chunk[1005] = "3e8\r\n";
    chunk[sizeof chunk - 2] = '\r';
    chunk[sizeof chunk - 1] = '\n';
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "POST /echo-nothing HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    until(&f, &peer, f.held_count == 1);
    answer(f.held[0], 200, "enough");
    for (uint32_t sent = 0; !peer.closed; sent += sizeof chunk) {
        assert_true(sent < 2 * HTTP1_DRAIN_BODY_MAX);
        say_bytes(&peer, chunk, sizeof chunk);
        turn(&f, &peer);
    }
    assert_true(has(&peer, "enough") && !peer.reset);
    leave(&peer);
    shut(&f);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static void a_silent_client_is_closed(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.headers_timeout_ms = 20});
    join(&f, &peer);
    until(&f, &peer, peer.closed);
    assert_int_equal(peer.len, 0);
    assert_int_equal(COUNTER(&f, headers_timeouts), 1);
    leave(&peer);
    shut(&f);
}

static void half_a_head_is_answered_with_408(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.headers_timeout_ms = 20});
    join(&f, &peer);
    say(&peer, "GET / HTTP/1.1\r\nHost: h\r\nX");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, " 408 ") && has(&peer, "headers_timeout"));
    assert_int_equal(COUNTER(&f, headers_timeouts), 1);
    leave(&peer);
    /* Also on a connection that has served before. */
    join(&f, &peer);
    say(&peer, GET("/") "GET");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, "hello") && has(&peer, " 408 "));
    leave(&peer);
    shut(&f);
}

static void an_idle_connection_is_closed(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.keepalive_timeout_ms = 20});
    join(&f, &peer);
    say(&peer, GET("/"));
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, "hello"));
    assert_int_equal(COUNTER(&f, keepalive_timeouts), 1);
    assert_int_equal(f.aborts, 0);
    leave(&peer);
    shut(&f);
}

static void a_stalled_body_is_answered_with_408(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.request_timeout_ms = 20, .min_rate = 500});
    join(&f, &peer);
    say(&peer, "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, " 408 ") && has(&peer, "request_timeout"));
    assert_int_equal(COUNTER(&f, request_timeouts), 1);
    assert_int_equal(f.aborts, 1);
    assert_int_equal(f.fault, HTTP_FAULT_READ_TIMEOUT);
    leave(&peer);
    shut(&f);
}

static void a_body_that_keeps_its_rate_is_not_cut(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.request_timeout_ms = 20, .min_rate = 500});
    join(&f, &peer);
    char block[400];
    memset(block, 'x', sizeof block);
    say(&peer, "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    uint64_t end_ms = clock_now_ms() + 100; /* five times the time-out */
    while (clock_now_ms() < end_ms) {
        say_bytes(&peer, block, sizeof block);
        turn(&f, &peer);
        assert_false(peer.closed);
    }
    assert_int_equal(COUNTER(&f, request_timeouts), 0);
    leave(&peer);
    until(&f, NULL, f.aborts == 1);
    shut(&f);
}

static void silence_on_both_sides_ends_an_open_request(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.idle_timeout_ms = 30});
    join(&f, &peer);
    say(&peer, GET("/hold"));
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, " 504 ") && has(&peer, "idle_timeout"));
    assert_int_equal(f.aborts, 1);
    leave(&peer);
    /* Once its head was sent it can only be cut. */
    join(&f, &peer);
    say(&peer, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, "3\r\nabc\r\n") && !has(&peer, "\r\n0\r\n"));
    assert_int_equal(COUNTER(&f, idle_timeouts), 2);
    leave(&peer);
    shut(&f);
}

static void an_active_stream_is_never_idle(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.idle_timeout_ms = 500,
                                                  .keepalive_timeout_ms = 20,
                                                  .headers_timeout_ms = 20});
    join(&f, &peer);
    say(&peer, GET("/hold"));
    until(&f, &peer, f.held_count == 1);
    struct http_exchange *ex = f.held[0];
    begin(ex, HTTP_CHUNKED, 0);
    uint64_t end_ms = clock_now_ms() + 1200;
    while (clock_now_ms() < end_ms) {
        ex->ops->body(ex, ": ping\n\n", 8);
        ex->ops->flush(ex);
        turn(&f, &peer);
        assert_false(peer.closed);
    }
    ex->ops->end(ex, NULL);
    until(&f, &peer, peer.closed); /* keep-alive ends it now */
    assert_int_equal(COUNTER(&f, idle_timeouts), 0);
    assert_int_equal(COUNTER(&f, keepalive_timeouts), 1);
    leave(&peer);
    shut(&f);
}

static void a_reader_that_does_not_read_is_cut(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http1_listener_options){.write_timeout_ms = 30});
    join(&f, &peer);
    peer.reads = false;
    say(&peer, GET("/big"));
    until(&f, &peer, f.aborts == 1);
    assert_int_equal(f.fault, HTTP_FAULT_WRITE_TIMEOUT);
    assert_int_equal(COUNTER(&f, write_timeouts), 1);
    leave(&peer);
    shut(&f);
}

/* --- drain and the pool -------------------------------------------------------------------------
 */

static void options_change_under_clients(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/"));
    until(&f, &peer, has(&peer, "hello"));
    const struct http1_listener_options bad = {.max_headers = HTTP_FIELDS_MAX + 1};
    assert_int_equal(http1_listener_update(f.listener, &bad), -EINVAL);
    const struct http1_listener_options quick = {.keepalive_timeout_ms = 20, .max_headers = 1};
    assert_int_equal(http1_listener_update(f.listener, &quick), 0);
    until(&f, &peer, peer.closed); /* it waited for five seconds before */
    assert_int_equal(COUNTER(&f, keepalive_timeouts), 1);
    leave(&peer);
    join(&f, &peer);
    say(&peer, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    until(&f, &peer, has(&peer, " 431 "));
    leave(&peer);
    shut(&f);
}

static void a_drain_lets_answers_finish(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer idle, busy;
    open_plain(&f);
    join(&f, &idle);
    join(&f, &busy);
    say(&idle, GET("/"));
    until(&f, &idle, has(&idle, "hello"));
    say(&busy, GET("/hold"));
    until(&f, &busy, f.held_count == 1);
    http1_listener_drain(f.listener, (struct drain_time){.grace_ms = 10000}, on_drained, &f.heard);
    until(&f, &idle, idle.closed);
    assert_false(f.heard.drained);
    assert_int_equal(COUNTER(&f, drained), 1);
    answer(f.held[0], 200, "the last");
    until(&f, &busy, busy.closed);
    assert_true(has(&busy, "the last") && has(&busy, "Connection: close"));
    until(&f, NULL, f.heard.drained);
    leave(&idle);
    leave(&busy);
    shut(&f);
}

/* Before the drain began it was told to keep its connection: it may be about to use it. */
static void who_was_told_otherwise_may_ask_once_more(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer asks, silent;
    struct http_head head = {.status = 200,
                             .reason = SLICE("OK"),
                             .version_minor = 1,
                             .framing = HTTP_LENGTH,
                             .content_length = 2};
    open_plain(&f);
    join(&f, &asks);
    join(&f, &silent);
    say(&asks, GET("/hold"));
    until(&f, &asks, f.held_count == 1);
    say(&silent, GET("/"));
    until(&f, &silent, has(&silent, "hello"));
    struct http_exchange *held = f.held[0];
    held->ops->respond(held, &head);
    held->ops->flush(held);
    until(&f, &asks, has(&asks, "200 OK"));
    http1_listener_drain(f.listener, (struct drain_time){.grace_ms = 60000, .patience_ms = 200},
                         on_drained, &f.heard);
    assert_false(silent.closed);
    held->ops->body(held, "ok", 2);
    held->ops->end(held, NULL);
    held->ops->flush(held);
    until(&f, &asks, has(&asks, "ok"));
    assert_false(has(&asks, "Connection: close"));
    say(&asks, GET("/"));
    until(&f, &asks, has(&asks, "Connection: close") && asks.closed);
    until(&f, &silent, silent.closed && f.heard.drained);
    assert_int_equal(COUNTER(&f, drained), 1);
    leave(&asks);
    leave(&silent);
    shut(&f);
}

static void a_drain_ends_with_its_grace(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer busy;
    open_plain(&f);
    join(&f, &busy);
    say(&busy, GET("/hold"));
    until(&f, &busy, f.held_count == 1);
    http1_listener_drain(f.listener, (struct drain_time){.grace_ms = 20}, on_drained, &f.heard);
    until(&f, &busy, busy.closed && f.heard.drained);
    assert_int_equal(f.aborts, 1);
    leave(&busy);
    shut(&f);
}

static void a_drain_of_nobody_is_over_at_once(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    http1_listener_drain(f.listener, (struct drain_time){.grace_ms = 10000}, on_drained, &f.heard);
    assert_false(f.heard.drained); /* but never inside the call */
    until(&f, NULL, f.heard.drained);
    shut(&f);
}

static void a_flushed_pool_closes_idle_clients(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/"));
    until(&f, &peer, has(&peer, "hello"));
    weir_pool_flush(http1_listener_pool(f.listener), NULL, 1000);
    until(&f, &peer, peer.closed);
    assert_int_equal(http1_listener_clients(f.listener), 0);
    leave(&peer);
    shut(&f);
}

static int dial(const struct accept_port *port)
{
    const struct address *to = accept_port_address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &to->any, to->len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void an_open_request_is_cut_when_the_pools_grace_ends(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/hold"));
    until(&f, &peer, f.held_count == 1);
    weir_pool_flush(http1_listener_pool(f.listener), NULL, 20);
    until(&f, &peer, peer.closed && f.aborts == 1);
    leave(&peer);
    shut(&f);
}

static void a_drain_waits_a_moment_for_a_new_client(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer quick, silent;
    open_plain(&f);
    join(&f, &quick);
    join(&f, &silent);
    turn(&f, &quick);
    http1_listener_drain(f.listener, (struct drain_time){.grace_ms = 10000}, on_drained, &f.heard);
    say(&quick, GET("/"));
    until(&f, &quick, quick.closed);
    assert_true(has(&quick, "hello") && has(&quick, "Connection: close"));
    until(&f, &silent, silent.closed && f.heard.drained);
    assert_int_equal(silent.len, 0);
    leave(&quick);
    leave(&silent);
    shut(&f);
}

/* The pool's own limit, where no door keeps one; and clients that wait to be told. */
static void a_full_pool_refuses_silent_clients_too(void **state)
{
    (void)state;
    enum { MANY = HTTP1_REFUSALS_MAX + 3 };
    static struct fixture f;
    static struct peer first;
    static struct peer peers[MANY];
    open_with(&f, (struct http1_listener_options){.max_connections = 1});
    join(&f, &first);
    for (uint32_t i = 0; i < MANY; i++) {
        join(&f, &peers[i]);
    }
    assert_int_equal(http1_listener_clients(f.listener), 1);
    until(&f, &peers[MANY - 1], peers[MANY - 1].closed); /* over the limit of refusals: at once */
    assert_true(has(&peers[MANY - 1], " 503 "));
    assert_false(peers[0].closed);
    until(&f, &peers[0], peers[0].closed); /* silent: after a while */
    assert_true(has(&peers[0], " 503 "));
    assert_int_equal(COUNTER(&f, refused_full), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        leave(&peers[i]);
    }
    say(&first, GET("/"));
    until(&f, &first, has(&first, "hello"));
    leave(&first);
    shut(&f);
}

static void over_the_limit_a_client_is_told_503(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peers[3];
    open_plain(&f);
    struct accept_options opt = {.max_connections = 2};
    assert_true(address_of_host("127.0.0.1", 0, &opt.address));
    struct accept_port *port;
    assert_int_equal(accept_port_open(&opt, &port), 0);
    assert_int_equal(http1_listener_accept(f.listener, port, 0, NULL, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) {
        adopt_peer(&f, &peers[i], dial(port));
        say(&peers[i], GET("/"));
        until(&f, &peers[i], has(&peers[i], "\r\n\r\n"));
    }
    assert_true(has(&peers[1], "hello"));
    assert_true(has(&peers[2], " 503 ") && has(&peers[2], "Retry-After: 1\r\n")
                && has(&peers[2], "\"retry_after\":1"));
    until(&f, &peers[2], peers[2].closed && !peers[2].reset);
    assert_int_equal(COUNTER(&f, refused_full), 1);
    assert_int_equal(accept_port_taken(port), 2);
    leave(&peers[0]);
    until(&f, NULL, accept_port_taken(port) == 1);
    leave(&peers[2]);
    adopt_peer(&f, &peers[2], dial(port));
    say(&peers[2], GET("/"));
    until(&f, &peers[2], has(&peers[2], "hello"));
    leave(&peers[1]);
    leave(&peers[2]);
    shut(&f);
    accept_port_close(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_requests_are_answered_and_closed),
        cmocka_unit_test(long_heads_are_refused),
        cmocka_unit_test(what_comes_behind_a_refusal_is_read_and_forgotten),
        cmocka_unit_test(lingering_is_bounded_in_bytes),
        cmocka_unit_test(lingering_is_bounded_in_time),
        cmocka_unit_test(a_body_nobody_wants_is_read_up_to_a_limit),
        cmocka_unit_test(a_silent_client_is_closed),
        cmocka_unit_test(half_a_head_is_answered_with_408),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_stalled_body_is_answered_with_408),
        cmocka_unit_test(a_body_that_keeps_its_rate_is_not_cut),
        cmocka_unit_test(silence_on_both_sides_ends_an_open_request),
        cmocka_unit_test(an_active_stream_is_never_idle),
        cmocka_unit_test(a_reader_that_does_not_read_is_cut),
        cmocka_unit_test(options_change_under_clients),
        cmocka_unit_test(a_drain_lets_answers_finish),
        cmocka_unit_test(who_was_told_otherwise_may_ask_once_more),
        cmocka_unit_test(a_drain_ends_with_its_grace),
        cmocka_unit_test(a_drain_of_nobody_is_over_at_once),
        cmocka_unit_test(a_flushed_pool_closes_idle_clients),
        cmocka_unit_test(an_open_request_is_cut_when_the_pools_grace_ends),
        cmocka_unit_test(a_drain_waits_a_moment_for_a_new_client),
        cmocka_unit_test(a_full_pool_refuses_silent_clients_too),
        cmocka_unit_test(over_the_limit_a_client_is_told_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
