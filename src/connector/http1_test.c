/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/http1.h"

#include "io/loop.h"
#include "io/outbox.h"
#include "io/socket.h"
#include "support/await.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define DEADLINE_MS 10000

/* A connection without a pool, the peer's end of it, and what its caller was told. */
struct world {
    struct loop *loop;
    struct cork cork;
    struct http_connector_options opt;
    struct http1_connector *connector;
    struct http_link *conn;
    int peer;
    struct http_call *call;
    struct {
        unsigned heads, interim, ends, fails, flushes, drains;
        uint16_t status;
        bool reusable;
        enum http_fault why;
        char body[1 << 20];
        size_t body_len;
        char trailer[64];
    } told;
    bool refers; /* to bodies, until it flushes */
    struct iovec referred;
    bool cancel_on_body;
    bool pause_on_body;
    unsigned again; /* calls to be begun where the one before ends */
};

static struct world world;

static void get(void);

static void on_head(struct http_call *call, struct http_head *head)
{
    (void)call;
    world.told.status = head->status;
    if (head->status < 200) {
        world.told.interim++;
    } else {
        world.told.heads++;
    }
}

static void on_body(struct http_call *call, const void *data, size_t len)
{
    assert_true(len <= sizeof world.told.body - world.told.body_len);
    if (world.refers) {
        world.referred = (struct iovec){(void *)(uintptr_t)data, len};
    } else {
        memcpy(world.told.body + world.told.body_len, data, len);
        world.told.body_len += len;
    }
    if (world.cancel_on_body) {
        call->ops->cancel(call);
    }
    if (world.pause_on_body) {
        call->ops->pause(call, true);
    }
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    (void)call;
    world.told.ends++;
    world.told.reusable = reusable;
    if (trailers != NULL) {
        slice_copy(world.told.trailer, sizeof world.told.trailer, trailers->fields[0].value);
    }
    if (world.again > 0) {
        world.again--;
        get();
    }
}

static void on_flush(struct http_call *call)
{
    (void)call;
    if (world.referred.iov_len > 0) {
        memcpy(world.told.body + world.told.body_len, world.referred.iov_base,
               world.referred.iov_len);
    }
    world.told.body_len += world.referred.iov_len;
    world.referred.iov_len = 0;
    world.told.flushes++;
}

static void on_drain(struct http_call *call)
{
    (void)call;
    world.told.drains++;
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    (void)call;
    world.told.fails++;
    world.told.why = why;
}

static const struct http_caller caller = {on_head, on_body, on_end, on_flush, on_drain, on_fail};

static void open_world(const struct http_connector_options *more)
{
    memset(&world, 0, sizeof world);
    assert_int_equal(loop_new(&(struct loop_options){0}, &world.loop), 0);
    cork_init(&world.cork, world.loop);
    world.opt = *more;
    world.opt.loop = world.loop;
    world.opt.cork = &world.cork;
    assert_int_equal(http1_connector_new(&world.opt, &world.connector), 0);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct stream *stream;
    assert_int_equal(socket_adopt(world.loop, ends[0], &stream), 0);
    world.conn = http1_open(world.connector, (weir_conn){0}, stream, (struct http_took){0},
                            &(struct gate_place){0});
    assert_non_null(world.conn);
    world.peer = ends[1];
}

static const struct http_connector_options patient = {
    .first_byte_timeout_ms = WEIR_NEVER,
    .read_timeout_ms = WEIR_NEVER,
    .write_timeout_ms = WEIR_NEVER,
    .total_timeout_ms = WEIR_NEVER,
};

static int setup(void **state)
{
    (void)state;
    open_world(&patient);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world.conn->ops->close(world.conn, WEIR_OK);
    loop_turn(world.loop, 0);
    http1_connector_free(world.connector);
    loop_free(world.loop);
    close(world.peer);
    return 0;
}

#define until(condition) await_true(condition, DEADLINE_MS, loop_turn(world.loop, 50))

static void begin(const char *method, enum http_method id, enum http_framing framing)
{
    struct http_field field = {.name = SLICE("X-A"), .value = SLICE("b")};
    const struct http_head head = {.method = slice_of(method),
                                   .method_id = (uint8_t)id,
                                   .path = SLICE("/p"),
                                   .target = SLICE("/p"),
                                   .authority = SLICE("h"),
                                   .framing = (uint8_t)framing,
                                   .content_length = 5,
                                   .version_minor = 1,
                                   .fields = &field,
                                   .field_count = 1};
    memset(&world.told, 0, sizeof world.told);
    world.call = http_call_open(world.conn, &caller, NULL);
    world.call->ops->request(world.call, &head);
}

static void get(void)
{
    begin("GET", HTTP_GET, HTTP_NO_BODY);
    world.call->ops->end(world.call, NULL);
    assert_false(world.call->ops->flush(world.call));
}

static void peer_reads(const char *want)
{
    char text[4096];
    ssize_t n = recv(world.peer, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, want);
}

static void peer_says(const char *text)
{
    assert_int_equal(send(world.peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define GET_TEXT "GET /p HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n"
#define OK_TEXT  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void calls_follow_each_other(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        get();
        assert_int_equal(world.call->reused, i > 0);
        assert_int_equal(world.call->sent, strlen(GET_TEXT));
        peer_reads(GET_TEXT);
        peer_says(OK_TEXT);
        until(world.told.ends == 1);
        assert_int_equal(world.told.status, 200);
        assert_true(world.told.reusable);
        assert_memory_equal(world.told.body, "ok", 2);
        assert_int_equal(world.told.fails + world.told.flushes, 0);
    }
}

static void the_next_call_may_begin_where_one_ends(void **state)
{
    (void)state;
    static const char none[] = "HTTP/1.1 204 No Content\r\n\r\n";
    world.again = 2;
    get();
    peer_reads(GET_TEXT);
    for (const char *at = OK_TEXT; *at != '\0'; at++) { /* the last bytes of it are carried */
        assert_int_equal(send(world.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_turn(world.loop, 1000);
    }
    assert_int_equal(world.again, 1);
    assert_int_equal(world.told.ends + world.told.flushes, 0);
    assert_true(world.call->reused);
    peer_reads(GET_TEXT);
    peer_says(none);
    until(world.again == 0);
    assert_int_equal(world.told.ends + world.told.flushes, 0);
    peer_reads(GET_TEXT);
    peer_says(OK_TEXT);
    until(world.told.ends == 1);
    assert_true(world.told.reusable);
    assert_int_equal(world.told.body_len, 2);
}

static void an_answer_may_come_byte_by_byte(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;e=f\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n";
    get();
    for (const char *at = text; *at != '\0'; at++) {
        assert_int_equal(world.told.ends, 0);
        assert_int_equal(send(world.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_turn(world.loop, 1000);
    }
    assert_int_equal(world.told.ends, 1);
    assert_int_equal(world.told.interim, 1);
    assert_true(world.told.reusable);
    assert_int_equal(world.told.body_len, 5);
    assert_memory_equal(world.told.body, "abcde", 5);
    assert_string_equal(world.told.trailer, "9");
}

/* A relay only refers to a body until it is told to flush, and a read may bring as much as its
 * room. */
static void the_rest_of_a_head_may_bring_much_of_the_body(void **state)
{
    (void)state;
    static char rest[60000];
    size_t head = (size_t)snprintf(rest, sizeof rest, "K\r\nContent-Length: 100000\r\n\r\n");
    for (size_t i = head; i < sizeof rest; i++) {
        rest[i] = (char)('a' + i % 26);
    }
    world.refers = true;
    get();
    peer_says("HTTP/1.1 200 O");
    loop_turn(world.loop, 1000);
    assert_int_equal(send(world.peer, rest, sizeof rest, MSG_NOSIGNAL), sizeof rest);
    until(world.told.flushes > 0 || world.told.fails > 0);
    until(world.told.body_len == sizeof rest - head || world.told.fails > 0);
    assert_int_equal(world.told.fails, 0);
    assert_memory_equal(world.told.body, rest + head, sizeof rest - head);
}

static void bodies_are_framed_as_the_head_says(void **state)
{
    (void)state;
    begin("POST", HTTP_POST, HTTP_CHUNKED);
    world.call->ops->body(world.call, "hello", 5);
    world.call->ops->end(world.call, NULL);
    world.call->ops->flush(world.call);
    peer_reads("POST /p HTTP/1.1\r\nHost: h\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
               "5\r\nhello\r\n0\r\n\r\n");
    peer_says(OK_TEXT);
    until(world.told.ends == 1);
    begin("POST", HTTP_POST, HTTP_LENGTH);
    world.call->ops->body(world.call, "hello", 5);
    world.call->ops->end(world.call, NULL);
    world.call->ops->flush(world.call);
    peer_reads("POST /p HTTP/1.1\r\nHost: h\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
}

/* Every answer after which the connection must not carry another call. */
static void spent_after(void **state)
{
    (void)state;
    const char *answers[] = {
        OK_TEXT "x",
        "HTTP/1.1 204 No Content\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (i > 0) {
            teardown(NULL);
            setup(NULL);
        }
        get();
        peer_says(answers[i]);
        until(world.told.ends == 1);
        assert_false(world.told.reusable);
    }
}

static void an_answer_before_the_request_ended_spends_it(void **state)
{
    (void)state;
    begin("POST", HTTP_POST, HTTP_LENGTH);
    world.call->ops->flush(world.call);
    peer_says("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    until(world.told.ends == 1);
    assert_int_equal(world.told.status, 413);
    assert_false(world.told.reusable);
}

static void a_close_ends_an_answer_without_length(void **state)
{
    (void)state;
    get();
    peer_says("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    until(world.told.body_len == 13);
    shutdown(world.peer, SHUT_WR);
    until(world.told.ends == 1);
    assert_false(world.told.reusable);
}

static void a_cut_answer_fails(void **state)
{
    (void)state;
    const char *answers[] = {"HTTP/1.1 200 OK\r\nConte", "",
                             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"};
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (i > 0) {
            teardown(NULL);
            setup(NULL);
        }
        get();
        peer_says(answers[i]);
        shutdown(world.peer, SHUT_WR);
        until(world.told.fails == 1);
        assert_int_equal(world.told.why, HTTP_FAULT_RESET);
    }
}

static void a_reused_connection_that_says_nothing_was_stale(void **state)
{
    (void)state;
    get();
    peer_says(OK_TEXT);
    until(world.told.ends == 1);
    get();
    shutdown(world.peer, SHUT_RDWR);
    until(world.told.fails == 1);
    assert_int_equal(world.told.why, HTTP_FAULT_STALE);
}

static void nonsense_is_a_bad_answer(void **state)
{
    (void)state;
    const char *answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (i > 0) {
            teardown(NULL);
            setup(NULL);
        }
        get();
        peer_says(answers[i]);
        until(world.told.fails == 1);
        assert_int_equal(world.told.why, HTTP_FAULT_BAD_ANSWER);
    }
}

static void interim_answers_are_bounded(void **state)
{
    (void)state;
    get();
    for (unsigned i = 0; i <= HTTP1_INTERIM_MAX; i++) {
        peer_says("HTTP/1.1 103 Early Hints\r\n\r\n");
    }
    until(world.told.fails == 1);
    assert_int_equal(world.told.interim, HTTP1_INTERIM_MAX);
    assert_int_equal(world.told.why, HTTP_FAULT_BAD_ANSWER);
}

static void head_has_no_body(void **state)
{
    (void)state;
    begin("HEAD", HTTP_HEAD, HTTP_NO_BODY);
    world.call->ops->end(world.call, NULL);
    world.call->ops->flush(world.call);
    peer_says("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    until(world.told.ends == 1);
    assert_true(world.told.reusable);
    assert_int_equal(world.told.body_len, 0);
}

static void a_peer_that_does_not_read_blocks_and_drains(void **state)
{
    (void)state;
    static char piece[65536];
    size_t given = 0;
    begin("POST", HTTP_POST, HTTP_CHUNKED);
    bool blocked = false;
    while (!blocked) {
        world.call->ops->body(world.call, piece, sizeof piece);
        given += sizeof piece;
        blocked = world.call->ops->flush(world.call);
        assert_true(given < 64 << 20);
    }
    assert_true(world.call->sent > 0);
    size_t got = 0;
    char buf[65536];
    while (world.told.drains == 0) {
        ssize_t n = recv(world.peer, buf, sizeof buf, 0);
        got += n > 0 ? (size_t)n : 0;
        loop_turn(world.loop, 10);
    }
    world.call->ops->end(world.call, NULL);
    assert_false(world.call->ops->flush(world.call));
    for (ssize_t n; (n = recv(world.peer, buf, sizeof buf, 0)) > 0;) {
        got += (size_t)n;
    }
    assert_int_equal(got, world.call->sent);
    assert_true(got > given);
    peer_says(OK_TEXT);
    until(world.told.ends == 1);
    assert_true(world.told.reusable);
}

static void a_paused_answer_waits(void **state)
{
    (void)state;
    world.pause_on_body = true;
    get();
    peer_says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    until(world.told.body_len == 2);
    peer_says("cd");
    for (int i = 0; i < 5; i++) {
        loop_turn(world.loop, 1);
    }
    assert_int_equal(world.told.body_len, 2);
    world.pause_on_body = false;
    world.call->ops->pause(world.call, false);
    until(world.told.ends == 1);
    assert_memory_equal(world.told.body, "abcd", 4);
    assert_true(world.told.reusable);
}

static void a_call_may_be_cancelled_while_it_is_told(void **state)
{
    (void)state;
    world.cancel_on_body = true;
    get();
    peer_says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    until(world.told.body_len > 0);
    assert_int_equal(world.told.body_len, 1);
    assert_int_equal(world.told.ends + world.told.fails + world.told.flushes, 0);
    char c;
    until(recv(world.peer, &c, 1, MSG_PEEK) >= 0 || errno == ECONNRESET);
}

/* Each deadline is its own fault. */
static void every_deadline_acts(void **state)
{
    (void)state;
    const struct {
        uint32_t first_byte, read, total;
        const char *said;
        enum http_fault why;
    } rows[] = {
        {20, WEIR_NEVER, WEIR_NEVER, "", HTTP_FAULT_FIRST_BYTE_TIMEOUT},
        {WEIR_NEVER, 20, WEIR_NEVER, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab",
         HTTP_FAULT_READ_TIMEOUT},
        {5000, 20, WEIR_NEVER, "HTTP/1.1 200", HTTP_FAULT_READ_TIMEOUT},
        {WEIR_NEVER, WEIR_NEVER, 20, "HTTP/1.1 200 OK\r\n\r\nab", HTTP_FAULT_TOTAL_TIMEOUT},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        teardown(NULL);
        const struct http_connector_options opt = {
            .first_byte_timeout_ms = rows[i].first_byte,
            .read_timeout_ms = rows[i].read,
            .write_timeout_ms = WEIR_NEVER,
            .total_timeout_ms = rows[i].total,
        };
        open_world(&opt);
        get();
        peer_says(rows[i].said);
        until(world.told.fails == 1);
        assert_int_equal(world.told.why, rows[i].why);
    }
}

static void a_peer_that_takes_nothing_times_out(void **state)
{
    (void)state;
    static char piece[65536];
    teardown(NULL);
    struct http_connector_options opt = patient;
    opt.write_timeout_ms = 20;
    open_world(&opt);
    begin("POST", HTTP_POST, HTTP_CHUNKED);
    do {
        world.call->ops->body(world.call, piece, sizeof piece);
    } while (!world.call->ops->flush(world.call));
    until(world.told.fails == 1);
    assert_int_equal(world.told.why, HTTP_FAULT_WRITE_TIMEOUT);
}

/* The peer answers early and hangs up while a body is still being sent: the answer is what counts.
 */
static void an_early_answer_survives_a_failed_write(void **state)
{
    (void)state;
    begin("POST", HTTP_POST, HTTP_LENGTH);
    world.call->ops->flush(world.call);
    peer_says("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    shutdown(world.peer, SHUT_RDWR);
    world.call->ops->body(world.call, "hello", 5);
    world.call->ops->end(world.call, NULL);
    world.call->ops->flush(world.call);
    until(world.told.ends == 1);
    assert_int_equal(world.told.status, 413);
    assert_false(world.told.reusable);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(calls_follow_each_other),
        CASE(the_next_call_may_begin_where_one_ends),
        CASE(an_answer_may_come_byte_by_byte),
        CASE(the_rest_of_a_head_may_bring_much_of_the_body),
        CASE(bodies_are_framed_as_the_head_says),
        CASE(spent_after),
        CASE(an_answer_before_the_request_ended_spends_it),
        CASE(a_close_ends_an_answer_without_length),
        CASE(a_cut_answer_fails),
        CASE(a_reused_connection_that_says_nothing_was_stale),
        CASE(nonsense_is_a_bad_answer),
        CASE(interim_answers_are_bounded),
        CASE(head_has_no_body),
        CASE(a_peer_that_does_not_read_blocks_and_drains),
        CASE(a_paused_answer_waits),
        CASE(a_call_may_be_cancelled_while_it_is_told),
        CASE(every_deadline_acts),
        CASE(a_peer_that_takes_nothing_times_out),
        CASE(an_early_answer_survives_a_failed_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
