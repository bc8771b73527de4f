/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_fixture.h - for the tests of listener/http1: a listener on a real loop and a real engine.
 * Clients are the other ends of socket pairs, written to and read from between the loop's turns.
 * What a request asks of the handler is in its path.
 */
#pragma once
#include "io/socket.h"
#include "support/listener_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOT_MAX    (1U << 16)
#define ONCE_BYTES 900000U /* more than a socket takes, less than what may be pending */

/* --- the handler --------------------------------------------------------------------------------
 */

enum { HELD_MAX = 128 };

struct fixture {
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct http1_listener *listener;
    struct alloc_count count;

    uint32_t requests, bodies_ended, flushes, drains, aborts;
    enum http_fault fault;
    struct heard heard;
    char peer[64];
    uint64_t body_bytes;

    struct http_exchange *held[HELD_MAX]; /* /hold: answered when the test says so */
    uint32_t held_count;
    uint64_t big_sent; /* /big: how far it is */
};

static inline void answer(struct http_exchange *ex, uint16_t status, const char *body)
{
    struct http_head head = {.status = status,
                             .reason = SLICE("Fine"),
                             .version_minor = 1,
                             .framing = HTTP_LENGTH,
                             .content_length = strlen(body)};
    ex->ops->respond(ex, &head);
    ex->ops->body(ex, body, strlen(body));
    ex->ops->end(ex, NULL);
    ex->ops->flush(ex);
}

static inline void begin(struct http_exchange *ex, enum http_framing framing, uint64_t length)
{
    const struct http_head head = {.status = 200,
                                   .reason = SLICE("OK"),
                                   .version_minor = 1,
                                   .framing = framing,
                                   .content_length = length};
    ex->ops->respond(ex, &head);
}

static inline void big_go_on(struct fixture *f, struct http_exchange *ex)
{
    static char block[16384];
    bool blocked = false;
    while (!blocked && f->big_sent < BIG_BYTES) {
        for (size_t i = 0; i < sizeof block; i++) {
            block[i] = pattern_at(f->big_sent + i);
        }
        ex->ops->body(ex, block, sizeof block);
        f->big_sent += sizeof block;
        blocked = ex->ops->flush(ex);
    }
    if (f->big_sent == BIG_BYTES && !blocked) {
        ex->ops->end(ex, NULL);
        f->big_sent++;
    }
}

static inline void interim(struct http_exchange *ex, uint16_t status, const char *reason)
{
    const struct http_head head = {
        .status = status, .reason = slice_of(reason), .version_minor = 1};
    ex->ops->respond(ex, &head);
}

static inline bool answer_oddly(struct http_exchange *ex, const struct http_head *head)
{
    if (path_is(head, "/cut-length")) {
        begin(ex, HTTP_LENGTH, 100);
        ex->ops->body(ex, "half", 4);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/cut-until-close")) {
        begin(ex, HTTP_UNTIL_CLOSE, 0);
        ex->ops->body(ex, "half", 4);
        ex->ops->abort(ex);
    } else if (path_is(head, "/once")) {
        static char all[BIG_BYTES];
        begin(ex, HTTP_LENGTH, ONCE_BYTES);
        ex->ops->body(ex, all, ONCE_BYTES);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/cut-chunked")) {
        begin(ex, HTTP_CHUNKED, 0);
        ex->ops->body(ex, "half", 4);
        ex->ops->flush(ex);
        ex->ops->abort(ex);
    } else if (path_is(head, "/too-much")) {
        begin(ex, HTTP_LENGTH, 4);
        ex->ops->body(ex, "fourHTTP/1.1 200 OK\r\n", 21);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/until-close")) {
        begin(ex, HTTP_UNTIL_CLOSE, 0);
        ex->ops->body(ex, "streamed", 8);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/hints")) {
        interim(ex, 103, "Early Hints");
        answer(ex, 200, "after hints");
    } else if (path_is(head, "/204")) {
        const struct http_head none = {
            .status = 204, .reason = SLICE("No Content"), .version_minor = 1};
        ex->ops->respond(ex, &none);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/trailers")) {
        struct http_field field = {.name = SLICE("X-Sum"), .value = SLICE("42")};
        const struct http_head trailers = {.fields = &field, .field_count = 1};
        begin(ex, HTTP_CHUNKED, 0);
        ex->ops->body(ex, "body", 4);
        ex->ops->end(ex, &trailers);
    } else {
        return false;
    }
    return true;
}

static inline void on_request(void *self, struct http_exchange *ex, struct http_head *head,
                              bool end)
{
    struct fixture *f = self;
    ex->user = f;
    f->requests++;
    snprintf(f->peer, sizeof f->peer, "%s", ex->peer->text);
    if (answer_oddly(ex, head)) {
        return;
    }
    if (path_is(head, "/hold") || path_is(head, "/paused") || path_is(head, "/ignore-body")) {
        if (path_is(head, "/paused")) {
            ex->ops->pause(ex, true);
        }
        f->held[f->held_count++] = ex;
    } else if (path_is(head, "/early")) {
        answer(ex, 413, "too much");
    } else if (path_is(head, "/big")) {
        f->big_sent = 0;
        begin(ex, HTTP_CHUNKED, 0);
        big_go_on(f, ex);
    } else if (path_is(head, "/echo")) {
        if (head->expect_continue) {
            interim(ex, 100, "Continue");
        }
        begin(ex, HTTP_CHUNKED, 0);
        if (end) {
            ex->ops->end(ex, NULL);
        }
    } else if (end) {
        answer(ex, 200, "hello");
    } else {
        f->held[f->held_count++] = ex;
    }
}

static inline void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct fixture *f = ex->user;
    f->body_bytes += len;
    ex->ops->body(ex, data, len); /* nothing where no head was given */
}

static inline void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct fixture *f = ex->user;
    (void)trailers;
    f->bodies_ended++;
    if (f->held_count > 0 && f->held[f->held_count - 1] == ex) {
        return;
    }
    ex->ops->end(ex, NULL);
}

static inline void on_flush(struct http_exchange *ex)
{
    struct fixture *f = ex->user;
    f->flushes++;
    ex->ops->flush(ex);
}

static inline void on_drain(struct http_exchange *ex)
{
    struct fixture *f = ex->user;
    f->drains++;
    big_go_on(f, ex);
}

static inline void on_abort(struct http_exchange *ex, enum http_fault why)
{
    struct fixture *f = ex->user;
    f->aborts++;
    f->fault = why;
    for (uint32_t i = 0; i < f->held_count; i++) {
        if (f->held[i] == ex) {
            f->held[i] = f->held[--f->held_count];
            break;
        }
    }
}

static const struct http_handler handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};

/* --- the fixture --------------------------------------------------------------------------------
 */

static inline void open_with(struct fixture *f, struct http1_listener_options opt)
{
    memset(f, 0, sizeof *f);
    alloc_count_init(&f->count, &alloc_libc);
    const struct loop_options loop_opt = {.alloc = &f->count.hooks};
    assert_int_equal(loop_new(&loop_opt, &f->loop), 0);
    const weir_engine_options engine_opt = {.size = sizeof engine_opt,
                                            .now_ms = loop_now_ms(f->loop)};
    assert_int_equal(weir_engine_new(&engine_opt, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .self = f->engine, .deadline_ms = UINT64_MAX};
    loop_hook_add(f->loop, &f->step);
    opt.name = "test";
    opt.on_refuse = on_refuse;
    opt.refuse_self = &f->heard;
    assert_int_equal(http1_listener_new(f->loop, f->engine, &opt, &handler, f, &f->listener), 0);
}

static inline void open_plain(struct fixture *f)
{
    open_with(f, (struct http1_listener_options){0});
}

static inline void shut(struct fixture *f)
{
    http1_listener_free(f->listener);
    loop_turn(f->loop, 0);
    loop_hook_remove(f->loop, &f->step);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    assert_int_equal(f->count.out, 0);
}

struct peer {
    struct fixture *f;
    int fd;
    size_t len;
    bool closed, reset;
    bool reads; /* takes what comes */
    uint64_t read_bytes;
    char got[GOT_MAX];
};

static inline void adopt_peer(struct fixture *f, struct peer *peer, int fd)
{
    memset(peer, 0, offsetof(struct peer, got));
    peer->got[0] = '\0';
    peer->f = f;
    peer->fd = fd;
    peer->reads = true;
}

/* Two ends of a TCP connection, both non-blocking. */
static inline void tcp_pair(int ret_ends[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &len), 0);
    ret_ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ret_ends[1], (struct sockaddr *)&at, len), 0);
    assert_int_equal(fcntl(ret_ends[1], F_SETFL, O_NONBLOCK), 0);
    ret_ends[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(ret_ends[0] >= 0);
    close(listening);
}

static inline void join_ends(struct fixture *f, struct peer *peer, const int ends[2])
{
    static const uint8_t address[16] = {[10] = 0xff, 0xff, 192, 0, 2, 107};
    struct stream *stream;
    assert_int_equal(socket_adopt(f->loop, ends[0], &stream), 0);
    assert_int_equal(http1_listener_serve(f->listener, stream, address), 0);
    adopt_peer(f, peer, ends[1]);
}

static inline void join(struct fixture *f, struct peer *peer)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    join_ends(f, peer, ends);
}

static inline void join_tcp(struct fixture *f, struct peer *peer)
{
    int ends[2];
    tcp_pair(ends);
    join_ends(f, peer, ends);
}

static inline void leave(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}

static inline void look(struct peer *peer)
{
    while (peer->reads && !peer->closed && peer->fd >= 0) {
        if (peer->len > GOT_MAX / 2) { /* keep the end of long answers */
            memmove(peer->got, peer->got + peer->len - 4096, 4096);
            peer->len = 4096;
        }
        ssize_t n = read(peer->fd, peer->got + peer->len, GOT_MAX - 1 - peer->len);
        if (n < 0) {
            peer->reset = errno != EAGAIN;
            peer->closed = errno != EAGAIN;
            break;
        }
        peer->closed = n == 0;
        peer->len += (size_t)n;
        peer->read_bytes += (size_t)n;
        peer->got[peer->len] = '\0';
    }
}

static inline void turn(struct fixture *f, struct peer *peer)
{
    loop_turn(f->loop, 1);
    if (peer != NULL) {
        look(peer);
    }
}

static inline void say_bytes(struct peer *peer, const char *text, size_t len)
{
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    while (len > 0) {
        ssize_t n = send(peer->fd, text, len, MSG_NOSIGNAL);
        if (n < 0) {
            assert_true(errno == EAGAIN && clock_now_ms() < end_ms);
            turn(peer->f, peer);
            continue;
        }
        text += n;
        len -= (size_t)n;
    }
}

static inline void say(struct peer *peer, const char *text)
{
    say_bytes(peer, text, strlen(text));
}

static inline void forget(struct peer *peer)
{
    peer->len = 0;
    peer->got[0] = '\0';
}

static inline bool has(const struct peer *peer, const char *text)
{
    return strstr(peer->got, text) != NULL;
}

static inline uint32_t count_of(const struct peer *peer, const char *text)
{
    uint32_t count = 0;
    for (const char *at = peer->got; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

#define COUNTER(f, name) http1_counter(&http1_listener_counters((f)->listener)->name)
#define GET(path)        "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
