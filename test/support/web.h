/* SPDX-License-Identifier: Apache-2.0
 *
 * web.h - for tests of the HTTP server: a program that serves, in two manners, and clients that are
 * blocking sockets.
 *
 *   /describe   what it knows of the request       /hold    nothing, until somebody else answers
 *   /echo       the body                           /stream  8 MiB, as the client takes them
 *   /bad        answers that cannot be, then one   /abort   a cut
 *   /fail       500                                /wait    calls that wait, which must not
 */
#pragma once
#include <weir/server.h>

#include "support/blocking.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static inline void on_event(void *arg, const weir_event *event)
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

static inline bool is(weir_text text, const char *want)
{
    return text.len == strlen(want) && (text.len == 0 || memcmp(text.at, want, text.len) == 0);
}

static inline void reply_text(weir_exchange *ex, uint16_t status, const char *text)
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

static inline void describe(weir_exchange *ex)
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

static inline void try_to_wait(struct fixture *f, weir_exchange *ex)
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

static inline void bad_replies(weir_exchange *ex)
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

static inline void stream_on(struct fixture *f, weir_exchange *ex)
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

static inline void on_request(void *self, weir_exchange *ex)
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

static inline void on_drain(void *self, weir_exchange *ex)
{
    stream_on(self, ex);
}

static inline void on_abort(void *self, weir_exchange *ex, weir_err why)
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
static inline void piece_request(void *self, weir_exchange *ex)
{
    (void)self;
    assert_int_equal(weir_exchange_begin(ex, &(weir_reply){.body_len = WEIR_HTTP_UNKNOWN}),
                     WEIR_OK);
}

static inline void piece_body(void *self, weir_exchange *ex, const void *data, size_t len)
{
    (void)self;
    if (weir_exchange_write(ex, data, len)) {
        weir_exchange_pause(ex, true);
    }
}

static inline void piece_end(void *self, weir_exchange *ex)
{
    (void)self;
    weir_exchange_end(ex);
}

static inline void piece_drain(void *self, weir_exchange *ex)
{
    (void)self;
    weir_exchange_pause(ex, false);
}

static const weir_server_handler piecewise = {.on_request = piece_request,
                                              .on_body = piece_body,
                                              .on_end = piece_end,
                                              .on_drain = piece_drain,
                                              .on_abort = on_abort};

static inline void open_as(struct fixture *f, weir_server_options opt,
                           const weir_server_handler *handler, uint32_t workers)
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

static inline void open_plain(struct fixture *f)
{
    open_as(f, (weir_server_options){0}, &gathering, 2);
}

static inline void shut(struct fixture *f)
{
    assert_int_equal(weir_server_close(f->server, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(f->runtime, 0), WEIR_OK);
    assert_int_equal(f->told[WEIR_EVENT_CONNECTION_ADDED], f->told[WEIR_EVENT_CONNECTION_REMOVED]);
    pthread_mutex_destroy(&f->mutex);
}

/* --- the client's side --------------------------------------------------------------------------
 */

static inline int join(const struct fixture *f)
{
    return join_port(weir_server_port(f->server));
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\n"

/* Until the answer of a known length, or chunked, is complete, or the server has closed. */
static inline const char *hear(int fd)
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

static inline bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}
