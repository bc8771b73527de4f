/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection without a pool, and at its other end a server session of nghttp2 that does what the
 * test says, or frames by hand.
 */
#include "connector/http2.h"

#include "connector/http2_session.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/socket.h"
#include "support/await.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define CALLS_MAX   128

struct told {
    struct http_call *call;
    unsigned heads, interim, ends, fails, flushes, drains;
    uint16_t status;
    uint8_t framing;
    bool reusable, untouched, refused, is_over;
    enum http_fault why;
    size_t body_len;
    char body[4096], field[128], trailer[128];
};

static struct {
    struct loop *loop;
    struct cork cork;
    struct http_connector_options opt;
    struct http2_connector *connector;
    struct http_link *link;
    int peer;
    nghttp2_session *server;
    bool is_raw;
    struct told told[CALLS_MAX];
    /* what the server saw */
    unsigned requests, ended, resets, pings, goaways, reads;
    uint32_t last_reset;
    int32_t streams[CALLS_MAX];
    size_t body_len;
    char fields[8192];
    /* what it answers */
    size_t answer_left;
    const nghttp2_nv *trailers;
    size_t trailers_count;
    bool pause_on_body, cancel_on_body;
} world;

/* --- the caller ---------------------------------------------------------------------------------
 */

static void on_head(struct http_call *call, struct http_head *head)
{
    struct told *told = call->user;
    assert_false(told->is_over);
    told->status = head->status;
    told->framing = head->framing;
    if (head->status < 200) {
        told->interim++;
        return;
    }
    told->heads++;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (slice_is(head->fields[i].name, "x-field")) {
            slice_copy(told->field, sizeof told->field, head->fields[i].value);
        }
    }
}

static void on_body(struct http_call *call, const void *data, size_t len)
{
    struct told *told = call->user;
    assert_false(told->is_over);
    size_t room = sizeof told->body
                  - (told->body_len < sizeof told->body ? told->body_len : sizeof told->body);
    memcpy(told->body + (sizeof told->body - room), data, len < room ? len : room);
    told->body_len += len;
    if (world.pause_on_body) {
        call->ops->pause(call, true);
    }
    if (world.cancel_on_body) {
        told->is_over = true;
        call->ops->cancel(call);
    }
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    struct told *told = call->user;
    assert_false(told->is_over);
    told->is_over = true;
    told->ends++;
    told->reusable = reusable;
    if (trailers != NULL) {
        slice_copy(told->trailer, sizeof told->trailer, trailers->fields[0].value);
    }
    call->ops->took(call, 1);
}

static void on_flush(struct http_call *call)
{
    struct told *told = call->user;
    assert_false(told->is_over);
    told->flushes++;
}

static void on_drain(struct http_call *call)
{
    ((struct told *)call->user)->drains++;
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    struct told *told = call->user;
    assert_false(told->is_over);
    told->is_over = true;
    told->fails++;
    told->why = why;
    told->untouched = call->untouched;
    told->refused = call->refused;
    assert_int_equal(http_call_fate(call), WEIR_KEEP);
}

static const struct http_caller caller = {on_head, on_body, on_end, on_flush, on_drain, on_fail};

/* --- the server ---------------------------------------------------------------------------------
 */

static int got_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                      void *user)
{
    (void)ng, (void)frame, (void)flags, (void)user;
    size_t used = strlen(world.fields);
    snprintf(world.fields + used, sizeof world.fields - used, "%.*s=%.*s;", (int)name_len, name,
             (int)value_len, value);
    return 0;
}

static int got_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng, (void)user;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            world.streams[world.requests++] = frame->hd.stream_id;
        }
        world.ended += ends;
        break;
    case NGHTTP2_DATA: world.ended += ends; break;
    case NGHTTP2_RST_STREAM:
        world.resets++;
        world.last_reset = frame->rst_stream.error_code;
        break;
    case NGHTTP2_PING: world.pings += (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0; break;
    case NGHTTP2_GOAWAY: world.goaways++; break;
    default: break;
    }
    return 0;
}

static int got_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                    void *user)
{
    (void)ng, (void)flags, (void)id, (void)data, (void)user;
    world.body_len += len;
    return 0;
}

static ssize_t give_body(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user)
{
    (void)source, (void)user;
    size_t len = world.answer_left < length ? world.answer_left : length;
    memset(buf, 'x', len);
    world.answer_left -= len;
    if (world.answer_left == 0) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (world.trailers_count > 0) {
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(ng, id, world.trailers, world.trailers_count);
        }
    }
    return (ssize_t)len;
}

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,             \
            sizeof(value) - 1, 0                                                                   \
    }

static void open_server(void)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* it may be told to answer nonsense */
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, got_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, got_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, got_data);
    assert_int_equal(nghttp2_session_server_new2(&world.server, callbacks, NULL, option), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100}};
    assert_int_equal(nghttp2_submit_settings(world.server, 0, settings, 1), 0);
}

/* Reads what is there, and says what is to be said. */
static void serve(void)
{
    uint8_t buf[65536];
    const uint8_t *out;
    ssize_t n;
    if (world.is_raw) {
        return;
    }
    while ((n = read(world.peer, buf, sizeof buf)) > 0) {
        world.reads++;
        nghttp2_session_mem_recv(world.server, buf, (size_t)n);
    }
    while ((n = nghttp2_session_mem_send(world.server, &out)) > 0) {
        if (write(world.peer, out, (size_t)n) != n) {
            break;
        }
    }
}

#define until(condition) await_true(condition, DEADLINE_MS, serve(); loop_turn(world.loop, 5))

static void settle(void)
{
    for (int i = 0; i < 10; i++) {
        serve();
        loop_turn(world.loop, 1);
    }
}

static void open_world(const struct http_connector_options *opt)
{
    memset(&world, 0, sizeof world);
    assert_int_equal(loop_new(&(struct loop_options){0}, &world.loop), 0);
    cork_init(&world.cork, world.loop);
    world.opt = *opt;
    world.opt.loop = world.loop;
    world.opt.cork = &world.cork;
    assert_int_equal(http2_connector_new(&world.opt, &world.connector), 0);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct stream *stream;
    assert_int_equal(socket_adopt(world.loop, ends[0], &stream), 0);
    world.peer = ends[1];
    open_server();
    struct gate_place place = {0};
    const struct http2_open how = {
        .take_stream = stream, .took = {.connect_us = 7}, .take_place = &place};
    world.link = http2_open(world.connector, &how);
    assert_non_null(world.link);
}

static const struct http_connector_options patient = {
    .connect_timeout_ms = WEIR_NEVER,
    .first_byte_timeout_ms = WEIR_NEVER,
    .read_timeout_ms = WEIR_NEVER,
    .write_timeout_ms = WEIR_NEVER,
    .total_timeout_ms = WEIR_NEVER,
    .ping_interval_ms = WEIR_NEVER,
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
    http2_connector_free(world.connector);
    loop_free(world.loop);
    nghttp2_session_del(world.server);
    close(world.peer);
    return 0;
}

/* --- what is asked ------------------------------------------------------------------------------
 */

static struct told *ask_with(struct http_head *head, unsigned index)
{
    struct told *told = &world.told[index];
    *told = (struct told){0};
    head->authority = SLICE("example.org");
    head->path = SLICE("/a?b");
    head->version_minor = 1;
    told->call = http_call_open(world.link, &caller, told);
    assert_non_null(told->call);
    told->call->ops->request(told->call, head);
    return told;
}

static struct told *get(unsigned index)
{
    struct http_field field = {.name = SLICE("X-Upper"), .value = SLICE("Value")};
    struct http_head head = {
        .method = SLICE("GET"), .method_id = HTTP_GET, .fields = &field, .field_count = 1};
    struct told *told = ask_with(&head, index);
    told->call->ops->end(told->call, NULL);
    told->call->ops->flush(told->call);
    return told;
}

static struct told *post(unsigned index)
{
    struct http_head head = {
        .method = SLICE("POST"), .method_id = HTTP_POST, .framing = HTTP_CHUNKED};
    return ask_with(&head, index);
}

static void answer(unsigned request, const nghttp2_nv *nva, size_t count, size_t body)
{
    const nghttp2_data_provider provider = {.read_callback = give_body};
    world.answer_left = body;
    assert_int_equal(
        nghttp2_submit_response(world.server, world.streams[request], nva, count,
                                body > 0 || world.trailers_count > 0 ? &provider : NULL),
        0);
}

static void answer_fine(unsigned request, size_t body)
{
    const nghttp2_nv nva[] = {NV(":status", "200"), NV("x-field", "yes")};
    answer(request, nva, 2, body);
}

/* --- the tests ----------------------------------------------------------------------------------
 */

static void a_request_finds_its_answer(void **state)
{
    (void)state;
    struct told *told = get(0);
    assert_false(told->call->reused);
    assert_true(told->call->shared);
    assert_int_equal(told->call->took.connect_us, 7);
    until(world.requests == 1);
    assert_int_equal(world.ended, 1); /* with its head: there is no body */
    assert_string_equal(world.fields, ":method=GET;:scheme=http;:authority=example.org;"
                                      ":path=/a?b;x-upper=Value;");
    answer_fine(0, 10);
    until(told->is_over);
    assert_int_equal(told->status, 200);
    assert_int_equal(told->framing, HTTP_CHUNKED);
    assert_string_equal(told->field, "yes");
    assert_int_equal(told->body_len, 10);
    assert_int_equal(told->ends, 1);
    assert_true(told->reusable);
    told = get(1);
    assert_true(told->call->reused);
    until(world.requests == 2);
    const nghttp2_nv nva[] = {NV(":status", "204")};
    answer(1, nva, 1, 0);
    until(told->is_over);
    assert_int_equal(told->framing, HTTP_NO_BODY);
}

static void a_length_is_framing(void **state)
{
    (void)state;
    struct told *told = get(0);
    until(world.requests == 1);
    const nghttp2_nv nva[] = {NV(":status", "200"), NV("content-length", "5")};
    answer(0, nva, 2, 5);
    until(told->is_over);
    assert_int_equal(told->framing, HTTP_LENGTH);
    assert_int_equal(told->ends, 1);
}

static void trailers_and_interim_answers_come_through(void **state)
{
    (void)state;
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
    struct told *told = get(0);
    until(world.requests == 1);
    const nghttp2_nv early[] = {NV(":status", "103"), NV("link", "</x>")};
    assert_int_equal(
        nghttp2_submit_headers(world.server, 0, world.streams[0], NULL, early, 2, NULL), 0);
    until(told->interim == 1);
    world.trailers = trailers;
    world.trailers_count = 1;
    answer_fine(0, 3);
    until(told->is_over);
    assert_int_equal(told->ends, 1);
    assert_string_equal(told->trailer, "0");
}

static void many_calls_leave_in_one_write(void **state)
{
    (void)state;
    settle();
    world.reads = 0;
    for (unsigned i = 0; i < 50; i++) {
        get(i);
    }
    loop_turn(world.loop, 0);
    serve();
    assert_int_equal(world.requests, 50);
    assert_int_equal(world.reads, 1);
    for (unsigned i = 50; i-- > 0;) {
        answer_fine(i, 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        until(world.told[i].is_over);
        assert_int_equal(world.told[i].ends, 1);
    }
}

static void a_body_waits_for_the_peers_window(void **state)
{
    (void)state;
    static char bulk[40000];
    struct told *told = post(0);
    const struct http_call_ops *ops = told->call->ops;
    for (int i = 0; i < 3; i++) {
        ops->body(told->call, bulk, sizeof bulk);
    }
    assert_true(ops->flush(told->call));
    until(world.body_len == 65535); /* what RFC 9113 gives, no more */
    settle();
    assert_int_equal(world.body_len, 65535);
    assert_int_equal(told->drains, 0);
    nghttp2_session_consume(world.server, world.streams[0], world.body_len);
    until(world.body_len == sizeof bulk * 3);
    until(told->drains == 1);
    assert_int_equal(world.ended, 0);
    struct http_field field = {.name = SLICE("X-Sum"), .value = SLICE("1")};
    const struct http_head trailers = {.fields = &field, .field_count = 1};
    ops->end(told->call, &trailers);
    ops->flush(told->call);
    until(world.ended == 1);
    assert_non_null(strstr(world.fields, "x-sum=1;"));
    assert_true(told->call->sent > sizeof bulk * 3);
    answer_fine(0, 0);
    until(told->ends == 1);
}

static void a_paused_answer_stops_at_its_window(void **state)
{
    (void)state;
    struct told *told = get(0), *other = get(1);
    until(world.requests == 2);
    world.pause_on_body = true;
    answer_fine(0, 1 << 20);
    until(told->body_len >= HTTP2_WINDOW);
    settle();
    assert_int_equal(told->body_len, HTTP2_WINDOW);
    world.pause_on_body = false;
    size_t left = world.answer_left;
    answer_fine(1, 200000); /* the connection's window is open to others */
    until(other->ends == 1);
    world.answer_left = left;
    told->call->ops->pause(told->call, false);
    until(told->ends == 1);
    assert_int_equal(told->body_len, 1 << 20);
}

static void a_cancelled_call_resets_its_stream_alone(void **state)
{
    (void)state;
    struct told *told = get(0), *other = get(1);
    until(world.requests == 2);
    told->is_over = true;
    told->call->ops->cancel(told->call);
    until(world.resets == 1);
    assert_int_equal(world.last_reset, NGHTTP2_CANCEL);
    world.cancel_on_body = true; /* in the middle of what nghttp2 is at */
    answer_fine(1, 100);
    until(other->is_over);
    settle();
    world.cancel_on_body = false;
    told = get(2);
    until(world.requests == 3);
    answer_fine(2, 10);
    until(told->ends == 1);
}

static void what_had_not_left_is_cancelled_silently(void **state)
{
    (void)state;
    struct told *told = get(0);
    told->is_over = true;
    told->call->ops->cancel(told->call);
    settle();
    assert_int_equal(world.requests, 0);
    told = get(1);
    until(world.requests == 1);
    answer_fine(0, 0);
    until(told->ends == 1);
}

static void goaway_leaves_untouched_what_is_above_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        get(i);
    }
    until(world.requests == 3);
    assert_int_equal(
        nghttp2_submit_goaway(world.server, 0, world.streams[0], NGHTTP2_NO_ERROR, NULL, 0), 0);
    until(world.told[1].is_over && world.told[2].is_over);
    assert_true(world.told[1].untouched && world.told[2].untouched);
    assert_int_equal(world.told[1].why, HTTP_FAULT_STALE);
    assert_false(world.link->ops->reusable(world.link));
    struct told *late = get(3); /* whoever had its lease already */
    until(late->is_over);
    assert_true(late->untouched);
    assert_false(late->refused);
    answer_fine(0, 4);
    until(world.told[0].ends == 1);
}

/* After 2^30 calls: RFC 9113 §5.1.1. */
static void a_connection_without_numbers_takes_no_more_calls(void **state)
{
    (void)state;
    struct session *session = container_of(world.link, struct session, link);
    assert_int_equal(nghttp2_session_set_next_stream_id(session->ng, INT32_MAX), 0);
    struct told *last = get(0), *late = get(1);
    until(late->is_over && world.requests == 1);
    assert_true(late->untouched);
    assert_false(late->refused);
    assert_int_equal(world.streams[0], INT32_MAX);
    assert_false(world.link->ops->reusable(world.link));
    answer_fine(0, 4);
    until(last->ends == 1);
}

static void a_refused_stream_is_untouched(void **state)
{
    (void)state;
    struct told *told = get(0), *other = get(1);
    until(world.requests == 2);
    nghttp2_submit_rst_stream(world.server, 0, world.streams[0], NGHTTP2_REFUSED_STREAM);
    until(told->is_over);
    assert_true(told->untouched);
    assert_true(told->refused);
    nghttp2_submit_rst_stream(world.server, 0, world.streams[1], NGHTTP2_INTERNAL_ERROR);
    until(other->is_over);
    assert_false(other->untouched);
    assert_int_equal(other->why, HTTP_FAULT_RESET);
}

static void a_peer_that_hangs_up_ends_all_calls(void **state)
{
    (void)state;
    struct told *told = get(0);
    until(world.requests == 1);
    answer_fine(0, 0);
    until(told->ends == 1);
    get(1);
    until(world.requests == 2);
    get(2); /* has not left yet */
    shutdown(world.peer, SHUT_RDWR);
    world.is_raw = true;
    until(world.told[1].is_over && world.told[2].is_over);
    assert_int_equal(world.told[1].why, HTTP_FAULT_STALE);
    assert_false(world.told[1].untouched);
    settle();
}

static void who_answers_early_wants_no_more(void **state)
{
    (void)state;
    struct told *told = post(0);
    told->call->ops->body(told->call, "abc", 3);
    told->call->ops->flush(told->call);
    until(world.body_len == 3);
    const nghttp2_nv nva[] = {NV(":status", "413")};
    answer(0, nva, 1, 0);
    until(told->is_over);
    assert_int_equal(told->ends, 1);
    assert_int_equal(told->status, 413);
    until(world.resets == 1);
}

/* Each row is an answer that is none; the call beside it has a proper one. */
static void malformed_answers_fail_alone(void **state)
{
    (void)state;
    static const nghttp2_nv good[] = {NV(":status", "200"), NV("x-field", "yes")};
    static const nghttp2_nv rows[][3] = {
        {NV("x-field", "no status"), NV("a", "b"), NV("c", "d")},
        {NV(":status", "200"), NV("connection", "close"), NV("c", "d")},
        {NV(":status", "200"), NV("a", "b\r\nc: d"), NV("c", "d")},
        {NV(":status", "200"), NV("a b", "c"), NV("c", "d")},
        {NV(":status", "200"), NV("content-length", "7"), NV("c", "d")},
        {NV(":status", "200"), NV("content-length", "1"), NV("content-length", "1")},
        {NV(":status", "200"), NV("content-length", "-1"), NV("c", "d")},
        {NV(":status", "2000"), NV("a", "b"), NV("c", "d")},
        {NV(":status", "101"), NV("a", "b"), NV("c", "d")},
        {NV(":status", "099"), NV("a", "b"), NV("c", "d")},
        {NV(":status", "200"), NV(":status", "200"), NV("c", "d")},
        {NV("c", "d"), NV(":status", "200"), NV("e", "f")},
        {NV(":status", "200"), NV(":path", "/"), NV("e", "f")},
        {NV(":status", "200"), NV("transfer-encoding", "chunked"), NV("e", "f")},
    };
    unsigned request = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told *bad = get(0), *fine = get(1);
        until(world.requests == request + 2);
        answer(request, rows[i], 3, 4);
        until(bad->is_over);
        if (bad->fails != 1) {
            fail_msg("row %zu was taken", i);
        }
        assert_int_equal(bad->why, HTTP_FAULT_BAD_ANSWER);
        answer(request + 1, good, 2, 0);
        until(fine->is_over);
        assert_int_equal(fine->ends, 1);
        request += 2;
    }
}

static void a_head_is_bounded(void **state)
{
    (void)state;
    static nghttp2_nv many[102];
    static char value[40000];
    memset(value, 'v', sizeof value);
    many[0] = (nghttp2_nv)NV(":status", "200");
    for (size_t i = 1; i < 102; i++) {
        many[i] = (nghttp2_nv)NV("x-one", "1");
    }
    struct told *told = get(0), *fine = get(1);
    until(world.requests == 2);
    answer(0, many, 102, 0);
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_BAD_ANSWER);
    many[1].value = (uint8_t *)value;
    many[1].valuelen = sizeof value;
    told = get(2);
    until(world.requests == 3);
    answer(2, many, 2, 0);
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_BAD_ANSWER);
    answer_fine(1, 0);
    until(fine->ends == 1);
}

static void interim_answers_are_bounded(void **state)
{
    (void)state;
    struct told *told = get(0);
    until(world.requests == 1);
    const nghttp2_nv early[] = {NV(":status", "103")};
    for (unsigned i = 0; i <= HTTP2_INTERIM_MAX; i++) {
        nghttp2_submit_headers(world.server, 0, world.streams[0], NULL, early, 1, NULL);
    }
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_BAD_ANSWER);
    assert_int_equal(told->interim, HTTP2_INTERIM_MAX);
}

/* --- frames by hand -----------------------------------------------------------------------------
 */

static void send_frame(uint32_t length, uint8_t type, uint8_t flags, uint32_t stream,
                       const void *payload)
{
    uint8_t frame[9 + 256] = {(uint8_t)(length >> 16),
                              (uint8_t)(length >> 8),
                              (uint8_t)length,
                              type,
                              flags,
                              (uint8_t)(stream >> 24),
                              (uint8_t)(stream >> 16),
                              (uint8_t)(stream >> 8),
                              (uint8_t)stream};
    if (payload != NULL) {
        memcpy(frame + 9, payload, length);
    }
    (void)!write(world.peer, frame, 9 + length);
}

static void floods_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, flags;
        uint32_t length;
        bool on_stream;
    } rows[] = {
        {NGHTTP2_PING, 0, 8, false},     {NGHTTP2_PING, NGHTTP2_FLAG_ACK, 8, false},
        {NGHTTP2_SETTINGS, 0, 0, false}, {NGHTTP2_DATA, 0, 0, true},
        {NGHTTP2_PRIORITY, 0, 5, true},  {0xbe, 0, 0, true},
    };
    static const uint8_t zeroes[8];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i > 0) {
            teardown(NULL);
            open_world(&patient);
        }
        struct told *told = get(0);
        until(world.requests == 1);
        const nghttp2_nv nva[] = {NV(":status", "200")};
        nghttp2_submit_headers(world.server, 0, world.streams[0], NULL, nva, 1, NULL);
        until(told->heads == 1); /* and its end is not told */
        for (unsigned n = 0; n < 5000 && !told->is_over; n++) {
            send_frame(rows[i].length, rows[i].type, rows[i].flags, rows[i].on_stream ? 1 : 0,
                       zeroes);
            if (n % 64 == 0) {
                char sink[65536];
                loop_turn(world.loop, 0);
                while (read(world.peer, sink, sizeof sink) > 0) {
                }
            }
        }
        until(told->is_over);
        assert_int_equal(told->fails, 1);
        assert_int_equal(told->why, HTTP_FAULT_BAD_ANSWER);
    }
}

static void broken_frames_end_the_connection(void **state)
{
    (void)state;
    static const uint8_t zeroes[256];
    static const struct {
        uint32_t length;
        uint8_t type, flags;
        uint32_t stream;
    } rows[] = {
        {6, NGHTTP2_SETTINGS, 0, 1},                       /* on a stream */
        {5, NGHTTP2_SETTINGS, 0, 0},                       /* not a multiple of six */
        {7, NGHTTP2_PING, 0, 0},                           /* not eight */
        {4, NGHTTP2_WINDOW_UPDATE, 0, 0},                  /* by zero */
        {3, NGHTTP2_RST_STREAM, 0, 1},                     /* too short */
        {0, NGHTTP2_DATA, 0, 0},                           /* on no stream */
        {1, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2}, /* a stream of the peer's */
        {8, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1},
        {1, NGHTTP2_CONTINUATION, 0, 1}, /* after nothing */
        {9, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PADDED, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i > 0) {
            teardown(NULL);
            open_world(&patient);
        }
        struct told *told = get(0);
        until(world.requests == 1);
        world.is_raw = true;
        uint8_t payload[256];
        memcpy(payload, zeroes, sizeof payload);
        if (rows[i].type == NGHTTP2_HEADERS && rows[i].length == 9) {
            payload[0] = 200; /* more padding than there is */
        }
        send_frame(rows[i].length, rows[i].type, rows[i].flags, rows[i].stream, payload);
        until(told->is_over);
        assert_int_equal(told->fails, 1);
        settle();
    }
}

static void what_is_not_http2_ends_the_connection(void **state)
{
    (void)state;
    static const char *const rows[] = {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
                                       "SSH-2.0-OpenSSH_9.2\r\n", "\x15\x03\x01\x00\x02\x02\x46"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i > 0) {
            teardown(NULL);
            open_world(&patient);
        }
        struct told *told = get(0);
        world.is_raw = true;
        (void)!write(world.peer, rows[i], strlen(rows[i]));
        shutdown(world.peer, SHUT_WR);
        until(told->is_over);
        assert_int_equal(told->fails, 1);
        settle();
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

static int setup_hasty(void **state)
{
    (void)state;
    struct http_connector_options hasty = patient;
    hasty.connect_timeout_ms = 50;
    hasty.first_byte_timeout_ms = 50;
    hasty.write_timeout_ms = 60;
    hasty.ping_interval_ms = 20;
    hasty.ping_timeout_ms = 50;
    open_world(&hasty);
    return 0;
}

static void each_wait_has_its_end(void **state)
{
    (void)state;
    struct told *told = get(0);
    until(world.requests == 1);
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_FIRST_BYTE_TIMEOUT);
    static char bulk[100000];
    told = post(1);
    told->call->ops->body(told->call, bulk, sizeof bulk);
    told->call->ops->flush(told->call);
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_WRITE_TIMEOUT);
}

static void a_peer_without_settings_is_given_up(void **state)
{
    (void)state;
    world.opt.first_byte_timeout_ms = WEIR_NEVER;
    struct told *told = get(0);
    world.is_raw = true;
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_CONNECT_TIMEOUT);
    settle();
}

static void a_silent_peer_is_asked_and_given_up(void **state)
{
    (void)state;
    world.opt.first_byte_timeout_ms = WEIR_NEVER;
    struct told *told = get(0);
    until(world.pings == 2); /* it answers: all is well */
    assert_false(told->is_over);
    world.is_raw = true;
    until(told->is_over);
    assert_int_equal(told->why, HTTP_FAULT_RESET);
    settle();
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_finds_its_answer),
        TEST(a_length_is_framing),
        TEST(trailers_and_interim_answers_come_through),
        TEST(many_calls_leave_in_one_write),
        TEST(a_body_waits_for_the_peers_window),
        TEST(a_paused_answer_stops_at_its_window),
        TEST(a_cancelled_call_resets_its_stream_alone),
        TEST(what_had_not_left_is_cancelled_silently),
        TEST(goaway_leaves_untouched_what_is_above_it),
        TEST(a_connection_without_numbers_takes_no_more_calls),
        TEST(a_refused_stream_is_untouched),
        TEST(a_peer_that_hangs_up_ends_all_calls),
        TEST(who_answers_early_wants_no_more),
        TEST(malformed_answers_fail_alone),
        TEST(a_head_is_bounded),
        TEST(interim_answers_are_bounded),
        TEST(floods_end_the_connection),
        TEST(broken_frames_end_the_connection),
        TEST(what_is_not_http2_ends_the_connection),
        TEST_HASTY(each_wait_has_its_end),
        TEST_HASTY(a_peer_without_settings_is_given_up),
        TEST_HASTY(a_silent_peer_is_asked_and_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
