/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_fixture.h - for the tests of listener/http2: a listener on a real loop and a real engine,
 * and clients that are nghttp2's, at the other ends of socket pairs, fed between the loop's turns.
 * What a request asks of the handler is in its path.
 */
#pragma once
#include "io/socket.h"
#include "listener/guest.h"
#include "listener/http2.h"
#include "support/listener_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS_MAX 4096U

struct fixture {
    struct loop *loop;
    weir_engine *engine;
    weir_pool *pool;
    struct loop_hook step;
    struct http2_listener *listener;
    struct alloc_count count;

    uint32_t requests, bodies_ended, flushes, drains, aborts;
    enum http_fault fault;
    struct heard heard;
    char peer[64], line[256], fields[4096], trailers[256];
    uint64_t body_bytes;
    uint64_t big_sent;
    uint32_t held_count;
    struct http_exchange *held[256];
    bool end, expects;
    uint8_t framing;
};

/* --- the handler ---------------------------------------------------------------------------------
 */

static inline void begin(struct http_exchange *ex, uint16_t status, enum http_framing framing,
                         uint64_t length)
{
    static struct http_field fields[] = {
        {.name = SLICE("Content-Type"), .value = SLICE("text/plain"), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Connection"), .value = SLICE("x"), .id = HTTP_CONNECTION, .drop = 1},
        {.name = SLICE("Transfer-Encoding"),
         .value = SLICE("chunked"),
         .id = HTTP_TRANSFER_ENCODING},
    };
    const struct http_head head = {.status = status,
                                   .version_minor = 1,
                                   .framing = (uint8_t)framing,
                                   .content_length = length,
                                   .fields = fields,
                                   .field_count = 3};
    ex->ops->respond(ex, &head);
}

static inline void answer(struct http_exchange *ex, uint16_t status, const char *body)
{
    begin(ex, status, HTTP_LENGTH, strlen(body));
    ex->ops->body(ex, body, strlen(body));
    ex->ops->end(ex, NULL);
    ex->ops->flush(ex);
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
    if (f->big_sent == BIG_BYTES) {
        ex->ops->end(ex, NULL);
        f->big_sent++;
    }
}

static inline bool answer_oddly(struct http_exchange *ex, const struct http_head *head)
{
    if (path_is(head, "/cut")) {
        begin(ex, 200, HTTP_CHUNKED, 0);
        ex->ops->body(ex, "half", 4);
        ex->ops->flush(ex);
        ex->ops->abort(ex);
    } else if (path_is(head, "/short")) {
        begin(ex, 200, HTTP_LENGTH, 100);
        ex->ops->body(ex, "half", 4);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/too-much")) {
        begin(ex, 200, HTTP_LENGTH, 4);
        ex->ops->body(ex, "fourteen", 8);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/abort")) {
        ex->ops->abort(ex);
    } else if (path_is(head, "/hints")) {
        const struct http_head hints = {.status = 103, .version_minor = 1};
        ex->ops->respond(ex, &hints);
        answer(ex, 200, "after hints");
    } else if (path_is(head, "/204")) {
        begin(ex, 204, HTTP_NO_BODY, 0);
        ex->ops->end(ex, NULL);
    } else if (path_is(head, "/trailers")) {
        struct http_field field = {.name = SLICE("Grpc-Status"), .value = SLICE("0")};
        const struct http_head trailers = {.fields = &field, .field_count = 1};
        begin(ex, 200, HTTP_CHUNKED, 0);
        ex->ops->body(ex, "body", 4);
        ex->ops->end(ex, &trailers);
    } else {
        return false;
    }
    return true;
}

static inline void note_request(struct fixture *f, const struct http_head *head, bool end)
{
    snprintf(f->line, sizeof f->line, "%.*s %.*s %.*s", (int)head->method.len, head->method.at,
             (int)head->path.len, head->path.at, (int)head->authority.len, head->authority.at);
    f->fields[0] = '\0';
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        size_t at = strlen(f->fields);
        snprintf(f->fields + at, sizeof f->fields - at, "%s%.*s: %.*s\n", field->drop ? "-" : "",
                 (int)field->name.len, field->name.at, (int)field->value.len, field->value.at);
    }
    f->end = end;
    f->framing = head->framing;
    f->expects = head->expect_continue;
}

static inline void on_request(void *self, struct http_exchange *ex, struct http_head *head,
                              bool end)
{
    struct fixture *f = self;
    ex->user = f;
    f->requests++;
    snprintf(f->peer, sizeof f->peer, "%s", ex->peer->text);
    note_request(f, head, end);
    if (answer_oddly(ex, head)) {
        return;
    }
    if (path_is(head, "/hold") || path_is(head, "/paused")) {
        if (path_is(head, "/paused")) {
            ex->ops->pause(ex, true);
        }
        f->held[f->held_count++] = ex;
    } else if (path_is(head, "/early")) {
        answer(ex, 413, "too much");
    } else if (path_is(head, "/big")) {
        f->big_sent = 0;
        begin(ex, 200, HTTP_CHUNKED, 0);
        big_go_on(f, ex);
    } else if (path_is(head, "/echo")) {
        begin(ex, 200, HTTP_CHUNKED, 0);
        if (end) {
            ex->ops->end(ex, NULL);
        }
    } else {
        answer(ex, 200, "hello");
    }
}

static inline void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct fixture *f = ex->user;
    f->body_bytes += len;
    ex->ops->body(ex, data, len); /* nothing where no head was given */
}

static inline bool is_held(struct fixture *f, const struct http_exchange *ex, bool forget)
{
    for (uint32_t i = 0; i < f->held_count; i++) {
        if (f->held[i] == ex) {
            if (forget) {
                f->held[i] = f->held[--f->held_count];
            }
            return true;
        }
    }
    return false;
}

static inline void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct fixture *f = ex->user;
    f->bodies_ended++;
    if (trailers != NULL) {
        snprintf(f->trailers, sizeof f->trailers, "%.*s", (int)trailers->fields[0].name.len,
                 trailers->fields[0].name.at);
    }
    if (!is_held(f, ex, false)) {
        ex->ops->end(ex, NULL);
    }
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
    if (f->big_sent > 0) {
        big_go_on(f, ex);
    }
}

static inline void on_abort(struct http_exchange *ex, enum http_fault why)
{
    struct fixture *f = ex->user;
    f->aborts++;
    f->fault = why;
    is_held(f, ex, true);
}

static const struct http_handler handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};

/* --- the fixture
 * ---------------------------------------------------------------------------------- */

static inline void open_with(struct fixture *f, struct http2_listener_options opt)
{
    memset(f, 0, sizeof *f);
    alloc_count_init(&f->count, &alloc_libc);
    const struct loop_options loop_opt = {.alloc = &f->count.hooks};
    assert_int_equal(loop_new(&loop_opt, &f->loop), 0);
    const weir_engine_options engine_opt = {
        .size = sizeof engine_opt, .now_ms = loop_now_ms(f->loop), .leases_max = 8192};
    assert_int_equal(weir_engine_new(&engine_opt, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .self = f->engine, .deadline_ms = UINT64_MAX};
    loop_hook_add(f->loop, &f->step);
    assert_int_equal(guest_pool_open(f->engine, "test", 1000, &f->pool), 0);
    opt.name = "test";
    opt.on_refuse = on_refuse;
    opt.refuse_self = &f->heard;
    assert_int_equal(http2_listener_new(f->loop, f->pool, &opt, &handler, f, &f->listener), 0);
}

static inline void open_plain(struct fixture *f)
{
    open_with(f, (struct http2_listener_options){0});
}

static inline void shut(struct fixture *f)
{
    http2_listener_free(f->listener);
    weir_pool_close(f->pool, 0);
    loop_turn(f->loop, 0);
    loop_hook_remove(f->loop, &f->step);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    assert_int_equal(f->count.out, 0);
}

static inline uint64_t counted(const struct fixture *f, size_t offset)
{
    const char *base = (const char *)http2_listener_counters(f->listener);
    return http2_counter((const _Atomic uint64_t *)(const void *)(base + offset));
}
#define COUNTED(f, name) counted((f), offsetof(struct http2_counters, name))
#define FLOODS(f, kind)                                                                            \
    counted((f), offsetof(struct http2_counters, floods)                                           \
                     + HTTP2_FLOOD_##kind * sizeof(_Atomic uint64_t))

/* --- a client
 * -------------------------------------------------------------------------------------- */

struct result {
    uint16_t status, interim;
    uint64_t bytes;
    bool ended, closed, wrong; /* wrong: not the pattern */
    uint32_t code;             /* of its RST_STREAM */
    char fields[512], trailers[128], body[64];
};

struct peer {
    struct fixture *f;
    int fd;
    nghttp2_session *session;
    bool closed, goaway, mute; /* mute: does not read */
    uint32_t goaway_code, goaways, pings;
    int32_t goaway_last[8];
    uint32_t streams_max; /* as the SETTINGS say */
    uint32_t answered;    /* streams that have closed */
    struct result results[STREAMS_MAX];
    bool sends; /* requests have a body: */
    const char *body;
    size_t body_len, body_sent;
};

static inline struct result *result_of(struct peer *peer, int32_t id)
{
    return &peer->results[(uint32_t)id / 2 % STREAMS_MAX];
}

static inline int got_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct result *result = result_of(user, frame->hd.stream_id);
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        uint16_t status = (uint16_t)atoi((const char *)value);
        result->interim = status < 200 ? status : result->interim;
        result->status = status;
        return 0;
    }
    bool is_trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS;
    char *to = is_trailer ? result->trailers : result->fields;
    size_t size = is_trailer ? sizeof result->trailers : sizeof result->fields;
    size_t at = strlen(to);
    snprintf(to + at, size - at, "%.*s: %.*s\n", (int)name_len, (const char *)name, (int)value_len,
             (const char *)value);
    return 0;
}

static inline int got_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                           size_t len, void *user)
{
    (void)session;
    (void)flags;
    struct result *result = result_of(user, id);
    for (size_t i = 0; i < len; i++) {
        result->wrong |= (char)data[i] != pattern_at(result->bytes + i);
        if (result->bytes + i < sizeof result->body - 1) {
            result->body[result->bytes + i] = (char)data[i];
        }
    }
    result->bytes += len;
    return 0;
}

static inline int got_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct peer *peer = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->goaway = true;
        peer->goaway_code = frame->goaway.error_code;
        peer->goaway_last[peer->goaways++ % 8] = frame->goaway.last_stream_id;
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        peer->pings++;
    } else if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        for (size_t i = 0; i < frame->settings.niv; i++) {
            if (frame->settings.iv[i].settings_id == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) {
                peer->streams_max = frame->settings.iv[i].value;
            }
        }
    } else if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
               && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        result_of(peer, frame->hd.stream_id)->ended = true;
    }
    return 0;
}

static inline int got_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    struct peer *peer = user;
    struct result *result = result_of(peer, id);
    result->closed = true;
    result->code = code;
    peer->answered++;
    return 0;
}

static inline void adopt_peer(struct fixture *f, struct peer *peer, int fd, bool auto_window)
{
    nghttp2_session_callbacks *on;
    nghttp2_option *option;
    memset(peer, 0, sizeof *peer);
    peer->f = f;
    peer->fd = fd;
    nghttp2_session_callbacks_new(&on);
    nghttp2_session_callbacks_set_on_header_callback(on, got_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, got_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(on, got_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(on, got_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, !auto_window);
    nghttp2_option_set_peer_max_concurrent_streams(option, STREAMS_MAX);
    nghttp2_option_set_no_http_messaging(option, 1);
    assert_int_equal(nghttp2_session_client_new2(&peer->session, on, peer, option), 0);
    nghttp2_session_callbacks_del(on);
    nghttp2_option_del(option);
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline int join_fd(struct fixture *f)
{
    const struct front_client from = {.address = {[10] = 0xff, 0xff, 192, 0, 2, 107}};
    struct stream *stream;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(socket_adopt(f->loop, ends[0], &stream), 0);
    assert_int_equal(http2_listener_serve(f->listener, stream, &from), 0);
    return ends[1];
}

static inline void join(struct fixture *f, struct peer *peer)
{
    adopt_peer(f, peer, join_fd(f), true);
}

static inline void leave(struct peer *peer)
{
    nghttp2_session_del(peer->session);
    close(peer->fd);
}

/* One write of all that it has to say. */
static inline void speak(struct peer *peer)
{
    static char said[1 << 20];
    size_t len = 0;
    const uint8_t *bytes;
    ssize_t n;
    while (len < sizeof said / 2 && (n = nghttp2_session_mem_send(peer->session, &bytes)) > 0) {
        memcpy(said + len, bytes, (size_t)n);
        len += (size_t)n;
    }
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    for (size_t at = 0; at < len && !peer->closed;) {
        n = send(peer->fd, said + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            peer->closed = true;
        } else if (n < 0) {
            assert_true(clock_now_ms() < end_ms);
            loop_turn(peer->f->loop, 1);
        } else {
            at += (size_t)n;
        }
    }
}

static inline void listen_to(struct peer *peer)
{
    static uint8_t heard[1 << 16];
    while (!peer->closed && !peer->mute) {
        ssize_t n = read(peer->fd, heard, sizeof heard);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        peer->closed = n <= 0;
        if (n > 0) {
            assert_int_equal(nghttp2_session_mem_recv(peer->session, heard, (size_t)n), n);
        }
    }
}

static inline void turn(struct fixture *f, struct peer *peer)
{
    loop_turn(f->loop, 1);
    if (peer != NULL) {
        listen_to(peer);
        speak(peer);
    }
}

static inline nghttp2_nv nv(const char *name, const char *value)
{
    union {
        const char *text;
        uint8_t *bytes;
    } n = {.text = name}, v = {.text = value};
    return (nghttp2_nv){n.bytes, v.bytes, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static inline ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                                uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)source;
    struct peer *peer = user;
    size_t n = peer->body_len - peer->body_sent;
    n = n < length ? n : length;
    memcpy(buf, peer->body + peer->body_sent, n);
    peer->body_sent += n;
    *flags |= peer->body_sent == peer->body_len ? NGHTTP2_DATA_FLAG_EOF : 0U;
    return (ssize_t)n;
}

#define FIELDS_MAX 320
/* Pairs of name and value, ended by NULL, behind the pseudo-fields. */
static inline int32_t ask_with(struct peer *peer, const char *method, const char *path,
                               const char *const *pairs)
{
    nghttp2_nv nva[FIELDS_MAX] = {nv(":method", method), nv(":path", path), nv(":scheme", "http"),
                                  nv(":authority", "example.com")};
    size_t count = 4;
    for (; pairs != NULL && pairs[0] != NULL; pairs += 2) {
        assert_true(count < FIELDS_MAX);
        nva[count++] = nv(pairs[0], pairs[1]);
    }
    const nghttp2_data_provider body = {.read_callback = give_body};
    int32_t id = nghttp2_submit_request(peer->session, NULL, nva, count, peer->sends ? &body : NULL,
                                        NULL);
    assert_true(id > 0);
    memset(result_of(peer, id), 0, sizeof(struct result));
    return id;
}

static inline int32_t ask(struct peer *peer, const char *method, const char *path)
{
    return ask_with(peer, method, path, NULL);
}

/* What the next requests send, until `sends` is false again. */
static inline void body_of(struct peer *peer, const char *body, size_t len)
{
    peer->sends = true;
    peer->body = body;
    peer->body_len = len;
    peer->body_sent = 0;
}

static inline struct result *wait_closed(struct fixture *f, struct peer *peer, int32_t id)
{
    until(f, peer, result_of(peer, id)->closed);
    return result_of(peer, id);
}

static inline struct result *fetch_path(struct fixture *f, struct peer *peer, const char *path)
{
    return wait_closed(f, peer, ask(peer, "GET", path));
}

static inline void say_raw(struct peer *peer, const void *bytes, size_t len)
{
    const char *at = bytes;
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    while (len > 0) {
        ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) {
                return; /* it was closed: the test looks at that */
            }
            assert_true(clock_now_ms() < end_ms);
            loop_turn(peer->f->loop, 1);
            listen_to(peer);
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
}

static inline size_t frame(char *out, uint32_t len, uint8_t type, uint8_t flags, uint32_t id,
                           const void *payload)
{
    const uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
        (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(out, head, sizeof head);
    if (len > 0) {
        memcpy(out + 9, payload, len);
    }
    return 9 + len;
}
