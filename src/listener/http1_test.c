/* SPDX-License-Identifier: Apache-2.0
 *
 * Serving: one request after the other, however it was cut, to whoever reads or leaves.
 */
#include "support/http1_fixture.h"

/* --- serving ------------------------------------------------------------------------------------
 */

static void a_request_is_one_read_one_write_and_no_allocation(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    uint64_t calls = 0;
    for (uint32_t i = 1; i <= 200; i++) {
        say(&peer, GET("/"));
        until(&f, &peer, has(&peer, "hello"));
        assert_true(strncmp(peer.got, "HTTP/1.1 200 Fine\r\n", 19) == 0);
        forget(&peer);
        assert_int_equal(COUNTER(&f, reads), i);
        assert_int_equal(COUNTER(&f, writes), i);
        if (i == 10) {
            calls = f.count.calls;
        }
    }
    assert_int_equal(f.count.calls, calls);
    assert_int_equal(COUNTER(&f, requests), 200);
    assert_int_equal(COUNTER(&f, answers_2xx), 200);
    assert_string_equal(f.peer, "192.0.2.107");
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(http1_listener_pool(f.listener), &stats);
    assert_int_equal(weir_pool_probe(http1_listener_pool(f.listener), true), WEIR_ESTATE);
    assert_int_equal(stats.total, 1);
    assert_int_equal(stats.idle, 1);
    leave(&peer);
    until(&f, NULL, http1_listener_clients(f.listener) == 0);
    shut(&f);
}

static void an_open_request_is_an_active_connection(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/hold"));
    until(&f, &peer, f.held_count == 1);
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(http1_listener_pool(f.listener), &stats);
    assert_int_equal(stats.active, 1);
    assert_int_equal(stats.leases, 1);
    answer(f.held[0], 200, "late");
    until(&f, &peer, has(&peer, "late"));
    weir_pool_stats(http1_listener_pool(f.listener), &stats);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.idle, 1);
    leave(&peer);
    shut(&f);
}

/* The bodies of all answers, each with a bar behind it, as if never framed. */
static void bodies_of(const struct peer *peer, char *ret)
{
    const char *at = peer->got;
    while (strncmp(at, "HTTP/1.1 ", 9) == 0) {
        const char *end = strstr(at, "\r\n\r\n") + 4;
        const char *length = strstr(at, "Content-Length: ");
        bool chunked = length == NULL || length > end;
        unsigned long len = chunked ? 1 : strtoul(length + 16, NULL, 10);
        at = end;
        do {
            char *data = (char *)(uintptr_t)at;
            len = chunked ? strtoul(at, &data, 16) : len;
            at = chunked ? data + 2 : data;
            memcpy(ret, at, len);
            ret += len;
            at += len + (chunked ? 2 : 0);
        } while (chunked && len > 0);
        *ret++ = '|';
    }
    *ret = '\0';
}

static void cuts_do_not_matter(void **state)
{
    (void)state;
    static const char all[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nfirst\r\n7;x=y\r\n-second\r\n0\r\nX-T: 1\r\n\r\n" GET(
            "/") "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nend";
    for (size_t cut = 1; cut < sizeof all - 1; cut++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        join(&f, &peer);
        say_bytes(&peer, all, cut);
        uint64_t reads = COUNTER(&f, reads);
        until(&f, &peer, COUNTER(&f, reads) > reads);
        say_bytes(&peer, all + cut, sizeof all - 1 - cut);
        until(&f, &peer,
              f.requests == 3 && f.bodies_ended == 2 && count_of(&peer, "\r\n0\r\n\r\n") == 2);
        assert_int_equal(f.body_bytes, 5 + 7 + 3);
        assert_int_equal(count_of(&peer, "HTTP/1.1 200 "), 3);
        char bodies[256];
        bodies_of(&peer, bodies);
        assert_string_equal(bodies, "first-second|hello|end|");
        leave(&peer);
        shut(&f);
    }
}

static void bytes_that_drip_make_the_same_request(void **state)
{
    (void)state;
    static const char all[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" GET("/");
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    for (size_t i = 0; i < sizeof all - 1; i++) {
        say_bytes(&peer, all + i, 1);
        until(&f, &peer, COUNTER(&f, reads) == i + 1);
    }
    until(&f, &peer, has(&peer, "hello"));
    assert_int_equal(f.body_bytes, 4);
    leave(&peer);
    shut(&f);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    for (uint32_t i = 0; i < 100; i++) {
        say(&peer, i % 10 == 3 ? GET("/hold") : GET("/"));
    }
    for (uint32_t i = 0; i < 10; i++) {
        until(&f, &peer, f.held_count == 1);
        assert_int_equal(f.requests, i * 10 + 4); /* nothing behind it was looked at */
        char text[16];
        snprintf(text, sizeof text, "held-%02u", i);
        f.held_count = 0;
        answer(f.held[0], 200, text);
    }
    until(&f, &peer, f.requests == 100 && count_of(&peer, "hello") == 90);
    assert_int_equal(count_of(&peer, "HTTP/1.1 200"), 100);
    const char *last = peer.got;
    for (uint32_t i = 0; i < 10; i++) {
        char text[16];
        snprintf(text, sizeof text, "held-%02u", i);
        const char *at = strstr(last, text);
        assert_non_null(at);
        last = at;
    }
    leave(&peer);
    shut(&f);
}

static void a_big_answer_waits_for_a_slow_reader(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    peer.reads = false;
    say(&peer, GET("/big"));
    until(&f, &peer, f.requests == 1);
    uint64_t given = f.big_sent;
    for (int i = 0; i < 20; i++) {
        turn(&f, &peer);
    }
    assert_true(given < BIG_BYTES);
    assert_int_equal(f.big_sent, given); /* it waits, and is told when to go on */
    peer.reads = true;
    until(&f, &peer,
          f.big_sent > BIG_BYTES && peer.len > 7
              && strcmp(peer.got + peer.len - 7, "\r\n0\r\n\r\n") == 0);
    assert_true(f.drains > 0);
    assert_true(peer.read_bytes > BIG_BYTES);
    assert_int_equal(COUNTER(&f, bytes_out), peer.read_bytes);
    say(&peer, GET("/"));
    until(&f, &peer, has(&peer, "hello"));
    leave(&peer);
    shut(&f);
}

static void a_paused_body_is_not_read(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "POST /paused HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
    until(&f, &peer, f.held_count == 1);
    char *block = malloc(500000);
    memset(block, 'x', 500000);
    ssize_t first = send(peer.fd, block, 500000, MSG_NOSIGNAL);
    assert_true(first > 0 && first < 500000);
    for (int i = 0; i < 20; i++) {
        turn(&f, &peer);
    }
    assert_int_equal(f.body_bytes, 0);
    f.held[0]->ops->pause(f.held[0], false);
    say_bytes(&peer, block, 500000 - (size_t)first);
    until(&f, &peer, f.bodies_ended == 1);
    assert_int_equal(f.body_bytes, 500000);
    answer(f.held[0], 200, "all of it");
    until(&f, &peer, has(&peer, "all of it"));
    free(block);
    leave(&peer);
    shut(&f);
}

/* --- framing of answers -------------------------------------------------------------------------
 */

struct exchange_case {
    const char *request;
    const char *wanted;   /* in the answer */
    const char *unwanted; /* not in it */
    bool closes;
};

static void answers_are_framed_for_who_asked(void **state)
{
    (void)state;
    static const struct exchange_case cases[] = {
        {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "Content-Length: 5\r\n", "hello", false},
        {GET("/204"), " 204 ", "Content-Length", false},
        {GET("/until-close"), "8\r\nstreamed\r\n0\r\n\r\n", "Connection: close", false},
        {GET("/trailers"), "4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n", "Connection", false},
        {GET("/hints"), "103 Early Hints\r\n", "Connection", false},
        {GET("/hints"), "after hints", "Connection", false},
        {"GET /hints HTTP/1.0\r\nHost: h\r\n\r\n", "after hints", "103", true},
        {"GET / HTTP/1.0\r\n\r\n", "hello", "keep-alive", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive", "chunked",
         false},
        {"GET /trailers HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\n\r\nbody", "chunked",
         true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "Connection: close", "xx", true},
        {GET("/"), "Date: ", "Connection", false},
        {GET("/too-much"), "\r\n\r\nfour", "200 OK\r\nHTTP", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        join(&f, &peer);
        say(&peer, cases[i].request);
        until(&f, &peer, has(&peer, cases[i].wanted));
        if (cases[i].closes) {
            until(&f, &peer, peer.closed);
        }
        assert_false(has(&peer, cases[i].unwanted));
        if (!cases[i].closes) {
            forget(&peer);
            say(&peer, GET("/"));
            until(&f, &peer, has(&peer, "hello"));
        }
        leave(&peer);
        shut(&f);
    }
}

static void a_cut_answer_looks_like_one(void **state)
{
    (void)state;
    static const char *const requests[] = {GET("/cut-length"), GET("/cut-chunked")};
    for (size_t i = 0; i < 2; i++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        join(&f, &peer);
        say(&peer, requests[i]);
        until(&f, &peer, peer.closed);
        assert_true(has(&peer, "half"));
        assert_false(has(&peer, "\r\n0\r\n"));
        assert_int_equal(COUNTER(&f, cut), 1);
        assert_int_equal(f.aborts, 0);
        leave(&peer);
        shut(&f);
    }
}

/* Where only the close ends a body, the cut has to be a reset. */
static void a_cut_that_cannot_be_seen_is_a_reset(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join_tcp(&f, &peer);
    say(&peer, "GET /cut-until-close HTTP/1.0\r\n\r\n");
    until(&f, &peer, peer.closed);
    assert_true(peer.reset);
    leave(&peer);
    shut(&f);
}

static void expect_100_is_the_handlers_to_answer(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
               "Content-Length: 4\r\n\r\n");
    until(&f, &peer, has(&peer, "HTTP/1.1 100 Continue\r\n\r\n"));
    say(&peer, "body");
    until(&f, &peer, has(&peer, "4\r\nbody\r\n0\r\n\r\n"));
    forget(&peer);
    /* A final answer instead: nobody knows whether the body comes, so the connection ends. */
    say(&peer, "POST /early HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
               "Content-Length: 4\r\n\r\n");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, "413"));
    assert_true(has(&peer, "Connection: close"));
    leave(&peer);
    shut(&f);
}

static void an_early_answer_arrives_though_the_body_is_still_coming(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    /* A short rest is read and forgotten, and the connection goes on. */
    say(&peer, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n0123456789");
    until(&f, &peer, has(&peer, "too much"));
    assert_false(has(&peer, "Connection: close"));
    say(&peer, "0123456789" GET("/"));
    until(&f, &peer, has(&peer, "hello"));
    forget(&peer);
    /* A long one is not. */
    say(&peer, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n0123456789");
    until(&f, &peer, peer.closed);
    assert_true(has(&peer, "413") && has(&peer, "Connection: close") && !peer.reset);
    leave(&peer);
    until(&f, NULL, http1_listener_clients(f.listener) == 0);
    shut(&f);
}

/* --- leaving ------------------------------------------------------------------------------------
 */

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    static const char *const requests[] = {
        GET("/hold"), "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        "POST /paused HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", /* it is not read */
        GET("/hold") GET("/"),                                              /* nor is this one */
    };
    for (size_t i = 0; i < 2 * (sizeof requests / sizeof requests[0]); i++) {
        static struct fixture f;
        static struct peer peer;
        open_plain(&f);
        (i % 2 == 0 ? join : join_tcp)(&f, &peer);
        say(&peer, requests[i / 2]);
        until(&f, &peer, f.held_count == 1);
        leave(&peer);
        until(&f, NULL, f.aborts == 1);
        assert_int_equal(f.fault, HTTP_FAULT_CANCELLED);
        assert_int_equal(f.held_count, 0);
        assert_int_equal(COUNTER(&f, left), 1);
        until(&f, NULL, http1_listener_clients(f.listener) == 0);
        weir_stats stats = {.size = sizeof stats};
        weir_pool_stats(http1_listener_pool(f.listener), &stats);
        assert_int_equal(stats.total, 0);
        assert_int_equal(stats.leases, 0);
        shut(&f);
    }
}

static void a_client_that_leaves_while_blocked_is_noticed(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    peer.reads = false;
    say(&peer, GET("/big"));
    until(&f, &peer, f.requests == 1);
    leave(&peer);
    until(&f, NULL, f.aborts == 1);
    until(&f, NULL, http1_listener_clients(f.listener) == 0);
    shut(&f);
}

/* What was answered already is still sent to one that only said that it will say no more. */
static void half_a_close_leaves_the_rest_of_an_answer(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join_tcp(&f, &peer);
    peer.reads = false;
    say(&peer, GET("/once"));
    until(&f, &peer, f.requests == 1);
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    turn(&f, &peer);
    peer.reads = true;
    until(&f, &peer, peer.closed);
    assert_false(peer.reset);
    assert_true(peer.read_bytes > ONCE_BYTES);
    assert_int_equal(f.aborts, 0);
    leave(&peer);
    shut(&f);
}

/* A handler flushes once more what has ended, as a relay does, and so the last of it goes. */
static void a_flush_after_the_end_may_be_the_last(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    static char all[ONCE_BYTES];
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/hold"));
    until(&f, &peer, f.held_count == 1);
    struct http_exchange *ex = f.held[0];
    begin(ex, HTTP_LENGTH, ONCE_BYTES);
    ex->ops->body(ex, all, ONCE_BYTES);
    ex->ops->end(ex, NULL);
    for (bool blocked = true; blocked;) { /* the peer reads meanwhile, and no turn of the loop */
        look(&peer);
        blocked = ex->ops->flush(ex);
    }
    look(&peer);
    assert_true(peer.read_bytes > ONCE_BYTES);
    forget(&peer);
    say(&peer, GET("/204"));
    until(&f, &peer, f.requests == 2);
    until(&f, &peer, strstr(peer.got, "204 No Content") != NULL);
    leave(&peer);
    shut(&f);
}

static void a_send_that_fails_is_told_later(void **state)
{
    (void)state;
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    say(&peer, GET("/hold") GET("/")); /* what is sent ahead keeps it from being read */
    until(&f, &peer, f.held_count == 1);
    struct http_exchange *ex = f.held[0];
    begin(ex, HTTP_CHUNKED, 0);
    leave(&peer);
    ex->ops->body(ex, "nobody hears", 12);
    ex->ops->flush(ex);
    assert_int_equal(f.aborts, 0); /* never inside a call of the handler */
    until(&f, NULL, f.aborts == 1);
    assert_int_equal(http1_listener_clients(f.listener), 0);
    shut(&f);
}

static void a_peer_has_a_name(void **state)
{
    (void)state;
    static const struct {
        uint8_t address[16];
        const char *text;
    } cases[] = {
        {{[10] = 0xff, 0xff, 127, 0, 0, 1}, "127.0.0.1"},
        {{[10] = 0xff, 0xff, 10, 20, 255, 100}, "10.20.255.100"},
        {{0x20, 0x01, 0x0d, 0xb8, [15] = 7}, "2001:db8::7"},
        {{0}, "unix"},
    };
    static struct fixture f;
    static struct peer peer;
    open_plain(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int ends[2];
        struct stream *stream;
        tcp_pair(ends);
        assert_int_equal(socket_adopt(f.loop, ends[0], &stream), 0);
        assert_int_equal(http1_listener_serve(f.listener, stream, cases[i].address), 0);
        adopt_peer(&f, &peer, ends[1]);
        say(&peer, GET("/"));
        until(&f, &peer, has(&peer, "hello"));
        assert_string_equal(f.peer, cases[i].text);
        leave(&peer);
    }
    shut(&f);
}

/* --- allocation ---------------------------------------------------------------------------------
 */

/* Whatever is refused, a client is served or closed, and nothing is lost. */
static void one_client(const struct alloc *alloc, void *arg)
{
    static struct fixture f;
    static struct peer peer;
    (void)arg;
    memset(&f, 0, sizeof f);
    assert_int_equal(loop_new(NULL, &f.loop), 0);
    const weir_engine_options engine_opt = {.size = sizeof engine_opt,
                                            .now_ms = loop_now_ms(f.loop)};
    assert_int_equal(weir_engine_new(&engine_opt, &f.engine), WEIR_OK);
    const struct http1_listener_options opt = {.name = "test", .alloc = alloc};
    int error = http1_listener_new(f.loop, f.engine, &opt, &handler, &f, &f.listener);
    assert_true(error == 0 || error == -ENOMEM);
    if (error == 0) {
        int ends[2];
        static const uint8_t address[16];
        struct stream *stream;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                         0);
        assert_int_equal(socket_adopt(f.loop, ends[0], &stream), 0);
        adopt_peer(&f, &peer, ends[1]);
        if (http1_listener_serve(f.listener, stream, address) == 0) {
            say(&peer, "GET / HTTP/1.1\r\n");
            turn(&f, &peer);
            ssize_t n = send(peer.fd, "Host: h\r\n\r\nGET", 14, MSG_NOSIGNAL);
            (void)n; /* it may have closed already */
            until(&f, &peer, peer.closed || has(&peer, "hello"));
        }
        leave(&peer);
        http1_listener_free(f.listener);
    }
    weir_engine_free(f.engine);
    loop_turn(f.loop, 0);
    loop_free(f.loop);
}

static void refused_allocations_are_survived(void **state)
{
    (void)state;
    torture(one_client, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_one_read_one_write_and_no_allocation),
        cmocka_unit_test(an_open_request_is_an_active_connection),
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(bytes_that_drip_make_the_same_request),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_big_answer_waits_for_a_slow_reader),
        cmocka_unit_test(a_paused_body_is_not_read),
        cmocka_unit_test(answers_are_framed_for_who_asked),
        cmocka_unit_test(a_cut_answer_looks_like_one),
        cmocka_unit_test(a_cut_that_cannot_be_seen_is_a_reset),
        cmocka_unit_test(expect_100_is_the_handlers_to_answer),
        cmocka_unit_test(an_early_answer_arrives_though_the_body_is_still_coming),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(a_client_that_leaves_while_blocked_is_noticed),
        cmocka_unit_test(half_a_close_leaves_the_rest_of_an_answer),
        cmocka_unit_test(a_flush_after_the_end_may_be_the_last),
        cmocka_unit_test(a_send_that_fails_is_told_later),
        cmocka_unit_test(a_peer_has_a_name),
        cmocka_unit_test(refused_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
