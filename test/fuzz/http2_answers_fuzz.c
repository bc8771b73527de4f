/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a server of HTTP/2 says, in pieces of any size: each of three calls ends exactly once,
 * nothing is told after its end, and nothing is read or kept that should not be. The input's first
 * byte is the size of the pieces.
 */
#include "base/check.h"
#include "connector/http2.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CALLS 3

/* --- a stream that has the input to say, and takes whatever is said to it -----------------------
 */

struct memory {
    struct stream stream;
    const uint8_t *at;
    size_t left, piece;
};

static ssize_t memory_read(struct stream *stream, void *buf, size_t cap)
{
    struct memory *memory = (struct memory *)stream;
    size_t len = memory->left < memory->piece ? memory->left : memory->piece;
    len = len < cap ? len : cap;
    memcpy(buf, memory->at, len);
    memory->at += len;
    memory->left -= len;
    return (ssize_t)len; /* 0: that was all, it hangs up */
}

static ssize_t memory_writev(struct stream *stream, const struct iovec *parts, int count)
{
    ssize_t len = 0;
    (void)stream;
    for (int i = 0; i < count; i++) {
        len += (ssize_t)parts[i].iov_len;
    }
    return len;
}

static void memory_want(struct stream *stream, unsigned events)
{
    (void)stream, (void)events;
}

static int memory_shutdown(struct stream *stream)
{
    (void)stream;
    return 0;
}

static bool is_closed;

static void memory_close(struct stream *stream)
{
    is_closed = true;
    free(stream);
}

static int memory_fd(const struct stream *stream)
{
    (void)stream;
    return -1;
}

static const struct stream_ops memory_ops = {.read = memory_read,
                                             .writev = memory_writev,
                                             .want = memory_want,
                                             .shutdown = memory_shutdown,
                                             .close = memory_close,
                                             .fd = memory_fd};

/* --- the calls ----------------------------------------------------------------------------------
 */

static unsigned over[CALLS];
unsigned long sum; /* of what was told: all of it is read */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned *of(struct http_call *call)
{
    unsigned *mine = call->user;
    check(*mine == 0);
    return mine;
}

static void on_head(struct http_call *call, struct http_head *head)
{
    of(call);
    check(head->status >= 100 && head->status <= 599 && head->status != 101);
    for (unsigned i = 0; i < head->field_count; i++) {
        check(http_name_valid(head->fields[i].name) && http_value_valid(head->fields[i].value));
    }
}

static void on_body(struct http_call *call, const void *data, size_t len)
{
    of(call);
    sum += len > 0 ? (unsigned)memcmp(data, data, len) + ((const uint8_t *)data)[len - 1] : 0;
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    ++*of(call);
    check(reusable && (trailers == NULL || trailers->field_count > 0));
}

static void on_flush(struct http_call *call)
{
    of(call);
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    ++*of(call);
    check(why != HTTP_FINE);
}

static const struct http_caller caller = {on_head, on_body, on_end, on_flush, on_flush, on_fail};

static void begin(struct http_link *link, unsigned index)
{
    static const struct slice methods[] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}};
    static const uint8_t ids[] = {HTTP_GET, HTTP_HEAD, HTTP_POST};
    const struct http_head head = {.method = methods[index],
                                   .method_id = ids[index],
                                   .authority = SLICE("a"),
                                   .path = SLICE("/"),
                                   .framing = ids[index] == HTTP_POST ? HTTP_CHUNKED : HTTP_NO_BODY,
                                   .version_minor = 1};
    over[index] = 0;
    struct http_call *call = http_call_open(link, &caller, &over[index]);
    check(call != NULL);
    call->ops->request(call, &head);
    if (ids[index] == HTTP_POST) {
        call->ops->body(call, "body", 4); /* its end does not come */
    } else {
        call->ops->end(call, NULL);
    }
    call->ops->flush(call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct loop *loop;
    static struct cork cork;
    if (loop == NULL) {
        check(loop_new(&(struct loop_options){0}, &loop) == 0);
        cork_init(&cork, loop);
    }
    const struct http_connector_options opt = {.loop = loop,
                                               .cork = &cork,
                                               .connect_timeout_ms = WEIR_NEVER,
                                               .first_byte_timeout_ms = WEIR_NEVER,
                                               .read_timeout_ms = WEIR_NEVER,
                                               .write_timeout_ms = WEIR_NEVER,
                                               .total_timeout_ms = WEIR_NEVER,
                                               .ping_interval_ms = WEIR_NEVER};
    struct http2_connector *connector;
    check(http2_connector_new(&opt, &connector) == 0);
    struct memory *memory = calloc(1, sizeof *memory);
    check(memory != NULL);
    memory->stream.ops = &memory_ops;
    memory->piece = size > 0 && data[0] > 0 ? data[0] : SIZE_MAX;
    memory->at = data + (size > 0);
    memory->left = size - (size > 0);
    is_closed = false;
    struct gate_place place = {0};
    const struct http2_open how = {.take_stream = &memory->stream, .take_place = &place};
    struct http_link *link = http2_open(connector, &how);
    check(link != NULL);
    for (unsigned i = 0; i < CALLS; i++) {
        begin(link, i);
    }
    loop_turn(loop, 0);
    while (!is_closed) {
        memory->stream.on_ready(&memory->stream, STREAM_READ);
        loop_turn(loop, 0);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        check(over[i] == 1);
    }
    http2_connector_free(connector);
    return 0;
}
