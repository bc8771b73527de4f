/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client of HTTP/2 may say, behind its preface, in pieces of any size: the listener's
 * session survives it, hears of each request once, keeps to its memory, and lets go of everything.
 *
 * The first byte says how the rest is cut. The handler answers, holds, pauses or cuts by the path's
 * last byte, so that ends meet in every order.
 */
#include "base/check.h"
#include "io/loop.h"
#include "listener/guest.h"
#include "listener/http2_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX  64U
#define PIECE_MAX 4096U

static uint32_t open_count;
static struct http_exchange *held[HELD_MAX];
static uint32_t held_count;

static void forget(const struct http_exchange *ex)
{
    for (uint32_t i = 0; i < held_count; i++) {
        if (held[i] == ex) {
            held[i] = held[--held_count];
            return;
        }
    }
}

static void ended(struct http_exchange *ex)
{
    check(open_count > 0 && ex->user != NULL);
    ex->user = NULL;
    open_count--;
    forget(ex);
}

static void answer(struct http_exchange *ex, bool has_trailers)
{
    struct http_field field = {.name = SLICE("X-Trailer"), .value = SLICE("1")};
    const struct http_head trailers = {.fields = &field, .field_count = 1};
    const struct http_head head = {.status = 200, .framing = HTTP_CHUNKED, .version_minor = 1};
    ex->ops->respond(ex, &head);
    ex->ops->body(ex, "hello", 5);
    ended(ex);
    ex->ops->end(ex, has_trailers ? &trailers : NULL);
    ex->ops->flush(ex);
}

static void on_request(void *self, struct http_exchange *ex, struct http_head *head, bool end)
{
    (void)end;
    check(head->method.len > 0 && head->path.len > 0 && head->authority.len > 0);
    check(head->field_count <= 100);
    open_count++;
    ex->user = self;
    switch (head->path.at[head->path.len - 1] % 4) {
    case 0:
        if (held_count < HELD_MAX) {
            held[held_count++] = ex;
            return;
        }
        answer(ex, false);
        break;
    case 1: answer(ex, true); break;
    case 2:
        ex->ops->pause(ex, true);
        answer(ex, false);
        break;
    default: ended(ex); ex->ops->abort(ex);
    }
}

static void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    check(ex->user != NULL && (data != NULL || len == 0));
}

static void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    (void)trailers;
    check(ex->user != NULL);
}

static void on_flush(struct http_exchange *ex)
{
    ex->ops->flush(ex);
}

static void on_abort(struct http_exchange *ex, enum http_fault why)
{
    (void)why;
    ended(ex);
}

static const struct http_handler handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_flush,
    .on_abort = on_abort,
};

/* --- a stream that takes everything
 * ----------------------------------------------------------------- */

static ssize_t sink_read(struct stream *stream, void *buf, size_t cap)
{
    (void)stream, (void)buf, (void)cap;
    return -EAGAIN;
}

static ssize_t sink_writev(struct stream *stream, const struct iovec *parts, int count)
{
    (void)stream;
    ssize_t len = 0;
    for (int i = 0; i < count; i++) {
        len += (ssize_t)parts[i].iov_len;
    }
    return len;
}

static void sink_want(struct stream *stream, unsigned events)
{
    (void)stream, (void)events;
}

static int sink_shutdown(struct stream *stream)
{
    (void)stream;
    return 0;
}

static void sink_close(struct stream *stream)
{
    free(stream);
}

static int sink_fd(const struct stream *stream)
{
    (void)stream;
    return -1;
}

static const struct stream_ops sink_ops = {.read = sink_read,
                                           .writev = sink_writev,
                                           .want = sink_want,
                                           .shutdown = sink_shutdown,
                                           .close = sink_close,
                                           .fd = sink_fd};

static void speak(struct loop *loop, struct http2_listener *listener, const uint8_t *data,
                  size_t len, size_t piece)
{
    struct stream *stream = calloc(1, sizeof *stream);
    check(stream != NULL);
    stream->ops = &sink_ops;
    const struct front_client from = {.ahead = http2_preface, .ahead_len = sizeof http2_preface};
    check(http2_listener_serve(listener, stream, &from) == 0);
    struct http2_client *client = container_of(list_first(&listener->clients), struct http2_client,
                                               on_list);
    for (size_t at = 0; at < len && client->state == HTTP2_OPEN && !client->ending; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);
        check(copy != NULL);
        memcpy(copy, data + at, n);
        http2_client_feed(client, copy, n);
        free(copy);
        loop_turn(loop, 0);
        if (list_is_empty(&listener->clients)) {
            return;
        }
        check(client->ending
              || client->memory + client->pending <= listener->opt.max_session_memory);
        if (held_count > 0 && n % 3 == 0) {
            answer(held[0], false);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct loop *loop;
    static weir_engine *engine;
    static weir_pool *pool;
    if (loop == NULL) {
        const weir_engine_options opt = {.size = sizeof opt};
        check(loop_new(&(struct loop_options){0}, &loop) == 0);
        check(weir_engine_new(&opt, &engine) == WEIR_OK);
        check(guest_pool_open(engine, "fuzz", 10, &pool) == 0);
    }
    if (size < 2) {
        return 0;
    }
    const struct http2_listener_options opt = {.name = "fuzz", .max_session_memory = 1U << 20};
    struct http2_listener *listener;
    check(http2_listener_new(loop, pool, &opt, &handler, loop, &listener) == 0);
    speak(loop, listener, data + 1, size - 1, data[0] == 0 ? PIECE_MAX : data[0]);
    http2_listener_free(listener);
    while (weir_engine_pending(engine)) {
        weir_step(engine, weir_engine_now(engine));
    }
    check(open_count == 0 && held_count == 0);
    return 0;
}
