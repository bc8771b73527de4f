/* SPDX-License-Identifier: Apache-2.0
 *
 * The server on real sockets: what it answers, what it refuses, what it tells, how it changes while
 * it runs. Clients are blocking sockets, and the HTTP client where there have to be many.
 */
#include <weir/server.h>

#include "io/clock.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000

/* --- the program's side -------------------------------------------------------------------------
 */

struct fixture {
    weir_runtime *runtime;
    weir_server *server;
    bool is_hosted;
    _Atomic uint32_t told[WEIR_EVENTS];
    _Atomic uint32_t why[WEIR_ERRS]; /* of connections that were removed */
    _Atomic uint32_t health;         /* as told last */
    _Atomic uint32_t aborts, abort_why, requests;
    pthread_mutex_t mutex;
    weir_exchange_id held; /* /hold: to be answered from elsewhere */
    _Atomic bool is_held;
    _Atomic uint64_t streamed;
    weir_http_client *made; /* /wait; freed by the test */
    _Atomic int estate;     /* calls that wait were refused inside a callback */
};

static void on_event(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    assert_null(event->pool);
    f->told[event->kind]++;
    if (event->kind == WEIR_EVENT_CONNECTION_REMOVED) {
        f->why[event->why]++;
    }
    if (event->kind == WEIR_EVENT_HEALTH_STATUS_CHANGED) {
        f->health = event->health;
    }
}

static bool is(weir_text text, const char *want)
{
    return text.len == strlen(want) && (text.len == 0 || memcmp(text.at, want, text.len) == 0);
}

static void reply_text(weir_exchange *ex, uint16_t status, const char *text)
{
    const weir_http_field fields[] = {{.name = "Content-Type", .value = "text/plain"},
                                      {.name = "X-Mine", .value = "1"}};
    const weir_reply reply = {.status = status,
                              .fields = fields,
                              .field_count = 2,
                              .body = text,
                              .body_len = strlen(text)};
    assert_int_equal(weir_exchange_reply(ex, &reply), WEIR_OK);
}

static void describe(weir_exchange *ex)
{
    char text[1024];
    weir_text method = weir_request_method(ex), path = weir_request_path(ex),
              query = weir_request_query(ex), host = weir_request_host(ex),
              field = weir_request_field_of(ex, "x-a"), name, value;
    assert_null(weir_request_field_of(ex, "x-none").at);
    assert_true(weir_request_field_at(ex, weir_request_field_count(ex) - 1, &name, &value));
    assert_false(weir_request_field_at(ex, weir_request_field_count(ex), &name, &value));
    snprintf(text, sizeof text, "%.*s %.*s %.*s %.*s %.*s %.*s %s", (int)method.len, method.at,
             (int)path.len, path.at, (int)query.len, query.at != NULL ? query.at : "",
             (int)host.len, host.at, (int)field.len, field.at, (int)name.len, name.at,
             weir_exchange_peer(ex));
    reply_text(ex, 200, text);
}

static void try_to_wait(struct fixture *f, weir_exchange *ex)
{
    weir_http_client *client = NULL;
    weir_http_answer *answer;
    bool is_healthy;
    const weir_http_request request = {.url = "http://127.0.0.1:1/"};
    assert_int_equal(weir_http_client_new(f->runtime, NULL, &client), WEIR_OK);
    f->estate += weir_server_close(f->server, 0) == WEIR_ESTATE;
    f->estate += weir_server_each(f->server, NULL, NULL) == WEIR_ESTATE;
    f->estate += weir_server_is_healthy(f->server, (weir_server_conn){0}, &is_healthy)
                 == WEIR_ESTATE;
    f->estate += weir_http_fetch(client, &request, &answer) == WEIR_ESTATE;
    f->estate += weir_http_client_free(client) == WEIR_ESTATE;
    f->estate += weir_runtime_close(f->runtime, 0) == WEIR_ESTATE;
    weir_exchange_set_user(ex, client);
    f->made = weir_exchange_user(ex);
    reply_text(ex, 200, "tried");
}

static void bad_replies(weir_exchange *ex)
{
    const weir_http_field framing = {.name = "Content-Length", .value = "5"};
    const weir_http_field split = {.name = "X", .value = "a\r\nb"};
    const weir_reply bad[] = {{.status = 199},
                              {.status = 600},
                              {.fields = &framing, .field_count = 1},
                              {.fields = &split, .field_count = 1},
                              {.body_len = 5},
                              {.size = 4096}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_exchange_reply(ex, &bad[i]), WEIR_EINVAL);
    }
    const weir_reply begun = {.body_len = WEIR_HTTP_UNKNOWN};
    assert_false(weir_exchange_write(ex, "x", 1)); /* nothing was begun */
    assert_int_equal(weir_exchange_begin(ex, &begun), WEIR_OK);
    assert_int_equal(weir_exchange_begin(ex, &begun), WEIR_ESTATE);
    assert_int_equal(weir_exchange_reply(ex, &(weir_reply){0}), WEIR_ESTATE);
    weir_exchange_write(ex, "good", 4);
    weir_exchange_end(ex);
}

static void stream_on(struct fixture *f, weir_exchange *ex)
{
    static const char block[16384];
    uint64_t sent = (uint64_t)(uintptr_t)weir_exchange_user(ex);
    bool is_blocked = false;
    while (sent < 8U << 20 && !is_blocked) {
        is_blocked = weir_exchange_write(ex, block, sizeof block);
        sent += sizeof block;
    }
    f->streamed = sent;
    weir_exchange_set_user(ex, (void *)(uintptr_t)sent);
    if (sent == 8U << 20) {
        weir_exchange_end(ex);
    }
}

static void on_request(void *self, weir_exchange *ex)
{
    struct fixture *f = self;
    weir_text path = weir_request_path(ex);
    f->requests++;
    if (is(path, "/describe")) {
        describe(ex);
    } else if (is(path, "/echo")) {
        weir_text body = weir_request_body(ex);
        const weir_reply reply = {.body = body.at, .body_len = body.len};
        assert_int_equal(weir_exchange_reply(ex, &reply), WEIR_OK);
    } else if (is(path, "/hold")) {
        pthread_mutex_lock(&f->mutex);
        f->held = weir_exchange_id_of(ex);
        pthread_mutex_unlock(&f->mutex);
        f->is_held = true;
    } else if (is(path, "/stream")) {
        assert_int_equal(weir_exchange_begin(ex, &(weir_reply){.body_len = 8U << 20}), WEIR_OK);
        stream_on(f, ex);
    } else if (is(path, "/bad")) {
        bad_replies(ex);
    } else if (is(path, "/abort")) {
        weir_exchange_abort(ex);
    } else if (is(path, "/fail")) {
        reply_text(ex, 500, "failed");
    } else if (is(path, "/wait")) {
        try_to_wait(f, ex);
    } else {
        reply_text(ex, 200, "hello");
    }
}

static void on_drain(void *self, weir_exchange *ex)
{
    stream_on(self, ex);
}

static void on_abort(void *self, weir_exchange *ex, weir_err why)
{
    struct fixture *f = self;
    (void)ex;
    f->abort_why = (uint32_t)why;
    f->aborts++;
}

static const weir_server_handler gathering = {.on_request = on_request,
                                              .on_drain = on_drain,
                                              .on_abort = on_abort};

/* One that takes bodies as they come: /echo streams them back. */
static void piece_request(void *self, weir_exchange *ex)
{
    (void)self;
    assert_int_equal(weir_exchange_begin(ex, &(weir_reply){.body_len = WEIR_HTTP_UNKNOWN}),
                     WEIR_OK);
}

static void piece_body(void *self, weir_exchange *ex, const void *data, size_t len)
{
    (void)self;
    if (weir_exchange_write(ex, data, len)) {
        weir_exchange_pause(ex, true);
    }
}

static void piece_end(void *self, weir_exchange *ex)
{
    (void)self;
    weir_exchange_end(ex);
}

static void piece_drain(void *self, weir_exchange *ex)
{
    (void)self;
    weir_exchange_pause(ex, false);
}

static const weir_server_handler piecewise = {.on_request = piece_request,
                                              .on_body = piece_body,
                                              .on_end = piece_end,
                                              .on_drain = piece_drain,
                                              .on_abort = on_abort};

static void open_as(struct fixture *f, weir_server_options opt, const weir_server_handler *handler,
                    uint32_t workers)
{
    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->mutex, NULL);
    const weir_runtime_options runtime = {.workers = workers};
    assert_int_equal(weir_runtime_open(&runtime, &f->runtime), WEIR_OK);
    opt.address = "127.0.0.1:0";
    opt.on_event = on_event;
    opt.event_arg = f;
    assert_int_equal(weir_server_listen(f->runtime, &opt, handler, f, &f->server), WEIR_OK);
}

static void open_plain(struct fixture *f)
{
    open_as(f, (weir_server_options){0}, &gathering, 2);
}

static void shut(struct fixture *f)
{
    assert_int_equal(weir_server_close(f->server, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(f->runtime, 0), WEIR_OK);
    assert_int_equal(f->told[WEIR_EVENT_CONNECTION_ADDED], f->told[WEIR_EVENT_CONNECTION_REMOVED]);
    pthread_mutex_destroy(&f->mutex);
}

/* --- the client's side --------------------------------------------------------------------------
 */

#define until(condition)                                                                           \
    do {                                                                                           \
        uint64_t end_ms = clock_now_ms() + DEADLINE_MS;                                            \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_ms() < end_ms);                                                  \
            poll(NULL, 0, 1);                                                                      \
        }                                                                                          \
    } while (0)

static int join(const struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(weir_server_port(f->server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\n"

/* Until the answer of a known length, or chunked, is complete, or the server has closed. */
static const char *hear(int fd)
{
    static char text[65536];
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        assert_true(n >= 0);
        len += (size_t)n;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (n == 0 || strstr(text, "\r\n0\r\n\r\n") != NULL) {
            return text;
        }
        if (end != NULL && length != NULL
            && (size_t)(text + len - end - 4) >= strtoul(length + 16, NULL, 10)) {
            return text;
        }
    }
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) <= 0;
}

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

/* --- limits, events, health ---------------------------------------------------------------------
 */

static void limits_are_exact_and_told(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.max_connections = 20}, &gathering, 2);
    int fds[24];
    weir_server_health health;
    for (int i = 0; i < 20; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        assert_true(has(hear(fds[i]), "hello"));
    }
    assert_int_equal(weir_server_count(f.server), 20);
    assert_false(weir_server_can_accept(f.server));
    for (int i = 20; i < 24; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        const char *text = hear(fds[i]);
        assert_true(has(text, "HTTP/1.1 503 ") && has(text, "Retry-After"));
        close(fds[i]);
    }
    assert_int_equal(f.told[WEIR_EVENT_POOL_LIMIT_REACHED], 1);
    until(f.told[WEIR_EVENT_HEALTH_STATUS_CHANGED] >= 1);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.connections, 20);
    assert_int_equal(health.max_connections, 20);
    assert_true(health.utilization == 1.0);
    assert_int_equal(health.rejected, 4);
    assert_int_equal(health.health, f.health);
    assert_true(health.health == WEIR_DEGRADED || health.health == WEIR_OVERLOADED);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
    }
    until(weir_server_count(f.server) == 0);
    assert_true(weir_server_can_accept(f.server));
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 20);
    assert_int_equal(f.why[WEIR_EHANGUP], 20);
    assert_int_equal(f.requests, 20);
    shut(&f);
}

static void failures_count_in_health(void **state)
{
    (void)state;
    static struct fixture f;
    weir_server_health health;
    open_as(&f, (weir_server_options){0}, &gathering, 1);
    int fd = join(&f);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.health, WEIR_HEALTHY);
    assert_string_equal(health.message, "nothing to report");
    for (int i = 0; i < 20; i++) {
        say(fd, GET("/fail"));
        assert_true(has(hear(fd), "HTTP/1.1 500 "));
    }
    until(f.told[WEIR_EVENT_HEALTH_STATUS_CHANGED] == 1);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.health, WEIR_UNAVAILABLE);
    assert_string_equal(health.message, "100 % of requests fail");
    assert_true(health.error_rate == 1.0);
    assert_true(health.average_answer_us < 1000000);
    close(fd);
    shut(&f);
}

static void timeouts_act_and_are_told(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f,
            (weir_server_options){.keepalive_timeout_ms = 100,
                                  .headers_timeout_ms = 150,
                                  .request_timeout_ms = 100,
                                  .idle_timeout_ms = 100,
                                  .answer_timeout_ms = 100},
            &gathering, 2);
    int kept = join(&f), half = join(&f), stalled = join(&f), held = join(&f);
    say(kept, GET("/"));
    say(half, "GET / HT");
    say(stalled, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    say(held, GET("/hold"));
    assert_true(has(hear(kept), "hello"));
    assert_true(is_closed(kept));
    assert_true(has(hear(half), "HTTP/1.1 408 "));
    assert_true(has(hear(stalled), "HTTP/1.1 408 "));
    assert_true(has(hear(held), "HTTP/1.1 504 "));
    close(kept);
    close(half);
    close(stalled);
    close(held);
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 4);
    assert_int_equal(f.told[WEIR_EVENT_CONNECTION_TIMEOUT], 4);
    assert_int_equal(f.aborts, 1);
    assert_int_equal(f.abort_why, WEIR_EREAD_TIMEOUT);
    weir_server_stats stats;
    weir_server_stats_of(f.server, &stats);
    assert_int_equal(stats.timeouts, 4);
    int garbage = join(&f);
    say(garbage, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_true(has(hear(garbage), "HTTP/1.1 400 "));
    close(garbage);
    until(f.told[WEIR_EVENT_CONNECTION_ERROR] == 1);
    shut(&f);
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void options_change_while_it_serves(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.max_connections = 2}, &gathering, 2);
    weir_server_options opt;
    int a = join(&f), b = join(&f);
    say(a, GET("/"));
    hear(a);
    say(b, GET("/"));
    hear(b);
    weir_server_options_of(f.server, &opt);
    assert_int_equal(opt.max_connections, 2);
    assert_int_equal(opt.keepalive_timeout_ms, 5000);
    assert_string_equal(opt.address, weir_server_address(f.server));
    opt.max_connections = 3;
    opt.max_headers = 257;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "max_headers");
    assert_false(weir_server_can_accept(f.server)); /* nothing of it */
    opt.max_headers = 3;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_OK);
    int c = join(&f);
    say(c, GET("/"));
    assert_true(has(hear(c), "hello"));
    say(a, GET("/"));
    assert_true(has(hear(a), "hello")); /* still there */
    say(b, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_true(has(hear(b), "HTTP/1.1 431 "));
    close(b);
    until(weir_server_count(f.server) == 2);
    opt.max_connections = 1;
    opt.max_per_ip = 1;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_OK);
    until(weir_server_count(f.server) == 1); /* one too many leaves */
    int d = join(&f);
    say(d, GET("/"));
    assert_true(has(hear(d), "HTTP/1.1 503 "));
    close(d);
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 2); /* b and one more */
    assert_int_equal(weir_server_count(f.server), 1);
    opt.name = "another";
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_EINVAL);
    close(a);
    close(c);
    shut(&f);
}

struct seen {
    uint32_t count;
    weir_server_conn conns[16];
};

static bool see(void *arg, weir_server_conn conn, const weir_conn_info *info)
{
    struct seen *seen = arg;
    assert_true(info->admitted);
    assert_null(info->object);
    assert_string_equal(info->note, "127.0.0.1");
    seen->conns[seen->count++] = conn;
    return seen->count < 16;
}

/* One of those that the server has not closed, as soon as it has closed one. */
static int still_open(const int *fds, int count)
{
    struct pollfd polls[16];
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    assert_int_equal(poll(polls, (nfds_t)count, DEADLINE_MS), 1);
    return polls[0].revents == 0 ? fds[0] : fds[1];
}

static void connections_are_shown_and_removed(void **state)
{
    (void)state;
    static struct fixture f;
    struct seen seen = {0};
    bool is_healthy = false;
    int fds[6];
    open_plain(&f);
    for (int i = 0; i < 6; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        hear(fds[i]);
    }
    assert_int_equal(weir_server_each(f.server, see, &seen), WEIR_OK);
    assert_int_equal(seen.count, 6);
    assert_int_equal(weir_server_is_healthy(f.server, seen.conns[3], &is_healthy), WEIR_OK);
    assert_true(is_healthy);
    assert_int_equal(weir_server_remove(f.server, seen.conns[3]), WEIR_OK);
    until(weir_server_count(f.server) == 5);
    assert_int_equal(weir_server_is_healthy(f.server, seen.conns[3], &is_healthy), WEIR_OK);
    assert_false(is_healthy);
    assert_int_equal(weir_server_remove(f.server, (weir_server_conn){.worker = 7}), WEIR_EINVAL);
    say(still_open(fds, 6), GET("/hold"));
    until(f.is_held);
    assert_int_equal(weir_server_remove_all(f.server, 30), WEIR_OK);
    until(weir_server_count(f.server) == 0);
    assert_int_equal(f.aborts, 1); /* its grace was over */
    int fresh = join(&f);
    say(fresh, GET("/"));
    assert_true(has(hear(fresh), "hello"));
    close(fresh);
    for (int i = 0; i < 6; i++) {
        close(fds[i]);
    }
    shut(&f);
}

static void clients_may_come_otherwise(void **state)
{
    (void)state;
    static struct fixture f;
    int ends[2], more[2];
    open_as(&f, (weir_server_options){.max_connections = 1}, &gathering, 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, more), 0);
    assert_int_equal(weir_server_adopt(f.server, ends[0]), WEIR_OK);
    say(ends[1], GET("/describe"));
    assert_true(has(hear(ends[1]), "X-A unix"));
    assert_int_equal(weir_server_adopt(f.server, more[0]), WEIR_EFULL);
    assert_int_equal(weir_server_adopt(f.server, -1), WEIR_EFULL);
    close(ends[1]);
    until(weir_server_count(f.server) == 0);
    assert_int_equal(weir_server_adopt(f.server, -1), WEIR_EINVAL);
    assert_int_equal(weir_server_adopt(f.server, more[0]), WEIR_OK);
    close(more[1]);
    until(weir_server_count(f.server) == 0 && f.told[WEIR_EVENT_CONNECTION_REMOVED] == 2);
    shut(&f);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    weir_server *other;
    static const struct {
        weir_server_options opt;
        const char *fault;
    } bad[] = {
        {{.address = NULL}, "address"},
        {{.address = "127.0.0.1"}, "address"},
        {{.address = "nowhere:80"}, "address"},
        {{.address = "127.0.0.1:65536"}, "address"},
        {{.address = "127.0.0.1:0", .max_connections = WEIR_NONE}, "max_connections"},
        {{.address = "127.0.0.1:0", .max_header_bytes = 65536}, "max_header_bytes"},
        {{.address = "127.0.0.1:0", .keepalive_timeout_ms = WEIR_NONE}, "keepalive_timeout"},
        {{.address = "127.0.0.1:0", .size = 4096}, "size"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_server_listen(f.runtime, &bad[i].opt, &gathering, NULL, &other),
                         WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].fault);
    }
    weir_server_options opt = {.address = weir_server_address(f.server)};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_EIO);
    assert_int_equal(errno, EADDRINUSE);
    opt = (weir_server_options){.address = "127.0.0.1:0", .name = "http"};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_EEXISTS);
    opt.name = NULL;
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_OK);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_ESTATE);
    assert_int_equal(weir_server_close(other, 0), WEIR_OK);
    assert_int_equal(weir_server_close(NULL, 0), WEIR_OK);
    shut(&f);
}

static void *reply_soon(void *arg)
{
    struct fixture *f = arg;
    const weir_reply reply = {.body = "late", .body_len = 4};
    assert_int_equal(weir_server_reply(f->server, f->held, &reply), WEIR_OK);
    return NULL;
}

static void a_close_lets_answers_end(void **state)
{
    (void)state;
    static struct fixture f;
    pthread_t thread;
    open_plain(&f);
    int fd = join(&f), idle = join(&f);
    say(idle, GET("/"));
    hear(idle);
    say(fd, GET("/hold"));
    until(f.is_held);
    assert_int_equal(pthread_create(&thread, NULL, reply_soon, &f), 0);
    assert_int_equal(weir_server_close(f.server, 10000), WEIR_OK);
    pthread_join(thread, NULL);
    assert_true(has(hear(fd), "late"));
    assert_true(is_closed(fd) && is_closed(idle));
    assert_int_equal(f.aborts, 0);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_OK);
    pthread_mutex_destroy(&f.mutex);
    close(fd);
    close(idle);
}

/* One thread does it all: the runtime is turned while a fetch waits. */
static void a_hosted_runtime_serves_itself(void **state)
{
    (void)state;
    static struct fixture f;
    weir_http_client *client;
    weir_http_answer *answer;
    char url[64];
    memset(&f, 0, sizeof f);
    assert_int_equal(weir_runtime_open_hosted(NULL, &f.runtime), WEIR_OK);
    const weir_server_options opt = {.address = "127.0.0.1:0"};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, &f, &f.server), WEIR_OK);
    assert_int_equal(weir_http_client_new(f.runtime, NULL, &client), WEIR_OK);
    snprintf(url, sizeof url, "http://%s/", weir_server_address(f.server));
    for (int i = 0; i < 3; i++) {
        const weir_http_request request = {.url = url};
        assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
        assert_true(is(weir_http_body(answer), "hello"));
        weir_http_answer_free(answer);
    }
    weir_http_stats stats;
    weir_http_client_stats(client, &stats);
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.reused, 2);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    assert_int_equal(weir_server_close(f.server, 1000), WEIR_OK);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(bodies_come_in_pieces),
        cmocka_unit_test(bodies_are_asked_for),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(slow_readers_are_waited_for),
        cmocka_unit_test(other_threads_may_answer),
        cmocka_unit_test(who_leaves_is_told_of),
        cmocka_unit_test(callbacks_do_not_wait),
        cmocka_unit_test(limits_are_exact_and_told),
        cmocka_unit_test(failures_count_in_health),
        cmocka_unit_test(timeouts_act_and_are_told),
        cmocka_unit_test(options_change_while_it_serves),
        cmocka_unit_test(connections_are_shown_and_removed),
        cmocka_unit_test(clients_may_come_otherwise),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_close_lets_answers_end),
        cmocka_unit_test(a_hosted_runtime_serves_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
