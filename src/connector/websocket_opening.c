/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/websocket_opening.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define REQUEST_MAX 8192U
#define INTERIM_MAX 16U /* answers of 1xx before the one */

static void on_ready(struct stream *stream, unsigned events);
static void take_answer(struct ws_opener *opener);

bool ws_opener_begin(struct ws_opener *opener, struct stream *stream, const char *host,
                     const char *path)
{
    uint8_t random[WS_KEY_BYTES];
    check(getrandom(random, sizeof random, 0) == sizeof random);
    ws_key_of(random, opener->key);
    bytes_init(&opener->out, opener->alloc, REQUEST_MAX);
    bytes_init(&opener->in, opener->alloc, WS_OPENING_HEAD_MAX);
    opener->progress = (struct http1_progress){0};
    opener->interims = 0;
    if (!bytes_printf(&opener->out,
                      "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Key: %.*s\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n",
                      path, host, (int)WS_KEY_LEN, opener->key)) {
        bytes_fini(&opener->out);
        return false;
    }
    opener->is_open = true;
    opener->stream = stream;
    stream->owner = opener;
    stream->on_ready = on_ready;
    stream_want(stream, STREAM_READ | STREAM_WRITE);
    return true;
}

void ws_opener_end(struct ws_opener *opener)
{
    if (!opener->is_open) {
        return;
    }
    opener->is_open = false;
    bytes_fini(&opener->out);
    bytes_fini(&opener->in);
}

static void ended(struct ws_opener *opener, int error, uint16_t status, uint32_t retry_after_s)
{
    struct bytes behind = opener->in;
    const struct ws_opener_result result = {
        .error = error, .status = status, .retry_after_s = retry_after_s, .behind = &behind};
    bytes_init(&opener->in, opener->alloc, WS_OPENING_HEAD_MAX);
    ws_opener_end(opener);
    stream_want(opener->stream, 0);
    opener->done(opener, &result);
    bytes_fini(&behind);
}

static int write_request(struct ws_opener *opener)
{
    struct iovec part = {bytes_at(&opener->out), bytes_len(&opener->out)};
    ssize_t n = part.iov_len > 0 ? stream_writev(opener->stream, &part, 1) : 0;
    if (n < 0 && n != -EAGAIN) {
        return (int)n;
    }
    if (n > 0) {
        bytes_consume(&opener->out, (size_t)n);
    }
    stream_want(opener->stream, STREAM_READ | (bytes_len(&opener->out) > 0 ? STREAM_WRITE : 0));
    return 0;
}

static uint32_t retry_after_of(const struct http_head *head)
{
    unsigned count;
    uint64_t seconds = 0;
    const struct http_field *field = ws_field(head, SLICE("Retry-After"), &count);
    bool is_said = field != NULL && text_parse_u64(field->value, &seconds);
    return is_said && seconds <= UINT32_MAX / 1000 ? (uint32_t)seconds : 0;
}

static void judge_upgrade(struct ws_opener *opener, const struct http_head *head, size_t used)
{
    unsigned count;
    const struct slice key = {opener->key, WS_KEY_LEN};
    bool is_good = ws_judge_answer(head, key, (struct slice){0}) == WS_OPENING_FINE
                   && ws_field(head, SLICE("Sec-WebSocket-Extensions"), &count) == NULL
                   && count == 0;
    bytes_consume(&opener->in, used);
    ended(opener, is_good ? 0 : -EPROTO, 101, 0);
}

static void judge(struct ws_opener *opener, const struct http_head *head, size_t used)
{
    if (head->status < 200 && head->status != 101 && opener->interims++ < INTERIM_MAX) {
        bytes_consume(&opener->in, used);
        take_answer(opener);
    } else if (head->status != 101) {
        ended(opener, -ECONNREFUSED, head->status, retry_after_of(head));
    } else {
        judge_upgrade(opener, head, used);
    }
}

static void take_answer(struct ws_opener *opener)
{
    static const struct http1_asked asked = {.method_id = HTTP_GET, .upgrade = true};
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_head head = {.fields = fields};
    limits.head_bytes_max = WS_OPENING_HEAD_MAX;
    ssize_t used = http1_parse_response(&opener->progress, bytes_at(&opener->in),
                                        bytes_len(&opener->in), &limits, asked, &head);
    if (used < 0) {
        ended(opener, -EPROTO, 0, 0);
    } else if (used > 0) {
        judge(opener, &head, (size_t)used);
    }
}

static void read_answer(struct ws_opener *opener)
{
    size_t cap, room = WS_OPENING_HEAD_MAX - bytes_len(&opener->in);
    char *buf = loop_buffer(opener->loop, &cap);
    ssize_t n = room > 0 ? stream_read(opener->stream, buf, cap < room ? cap : room) : -EPROTO;
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        ended(opener, n == 0 ? -EPIPE : (int)n, 0, 0);
    } else if (!bytes_append(&opener->in, buf, (size_t)n)) {
        ended(opener, -ENOMEM, 0, 0);
    } else {
        take_answer(opener);
    }
}

static void on_ready(struct stream *stream, unsigned events)
{
    struct ws_opener *opener = stream->owner;
    int error = (events & STREAM_WRITE) != 0 ? write_request(opener) : 0;
    if (error != 0) {
        ended(opener, error, 0, 0);
    } else if ((events & (STREAM_READ | STREAM_HANGUP)) != 0) {
        read_answer(opener);
    }
}
