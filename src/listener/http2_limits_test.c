/* SPDX-License-Identifier: Apache-2.0
 *
 * The listener of HTTP/2: its limits, its time-outs, its budgets, its goodbye.
 */
#include "support/http2_fixture.h"

static void test_too_many_streams(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http2_listener_options){.max_concurrent_streams = 3});
    join(&f, &peer);
    int32_t ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = ask(&peer, "GET", "/hold");
    }
    speak(&peer); /* before it knows the limit */
    until(&f, &peer, peer.answered == 2);
    assert_int_equal(peer.streams_max, 3);
    assert_int_equal(result_of(&peer, ids[3])->code, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(result_of(&peer, ids[4])->code, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(COUNTED(&f, refused_streams), 2);
    answer(f.held[0], 200, "a");
    until(&f, &peer, peer.answered == 3);
    assert_int_equal(fetch_path(&f, &peer, "/")->status, 200);
    assert_false(peer.goaway);
    leave(&peer);
    shut(&f);
}

static void test_fields_too_many_or_too_long(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http2_listener_options){.max_headers = 10, .max_header_list_size = 1000});
    join(&f, &peer);
    const char *pairs[25] = {0};
    for (int i = 0; i < 22; i += 2) {
        pairs[i] = "a";
        pairs[i + 1] = "b";
    }
    assert_int_equal(wait_closed(&f, &peer, ask_with(&peer, "GET", "/", pairs))->status, 431);
    pairs[20] = NULL;
    assert_int_equal(wait_closed(&f, &peer, ask_with(&peer, "GET", "/", pairs))->status, 200);
    for (int i = 0; i < 22; i += 2) { /* crumbs count, too */
        pairs[i] = "cookie";
        pairs[i + 1] = "b";
    }
    assert_int_equal(wait_closed(&f, &peer, ask_with(&peer, "GET", "/", pairs))->status, 431);
    char value[900];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    const char *const one[] = {"x-long", value, NULL};
    assert_int_equal(wait_closed(&f, &peer, ask_with(&peer, "GET", "/", one))->status, 431);
    assert_int_equal(COUNTED(&f, bad_requests), 3);
    assert_int_equal(f.heard.status, 431);
    leave(&peer);
    shut(&f);
}

static void test_rapid_reset(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    for (int i = 0; i < 1500 && !peer.goaway; i++) {
        int32_t id = ask(&peer, "GET", "/hold");
        speak(&peer);
        nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        speak(&peer);
        if (i % 20 == 0) {
            turn(&f, &peer);
        }
        if (peer.closed) {
            break;
        }
    }
    until(&f, &peer, peer.goaway);
    assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_true(f.requests <= 1001);
    assert_int_equal(f.aborts, f.requests);
    assert_int_equal(FLOODS(&f, RESET) + FLOODS(&f, PREMATURE), 1);
    leave(&peer);
    shut(&f);
}

static void flood(struct fixture *f, struct peer *peer, uint8_t type, uint32_t len)
{
    char bytes[64], many[6400];
    size_t n = frame(bytes, len, type, 0, 0, "\0\0\0\1\0\0\0\0");
    for (size_t i = 0; i < 100; i++) {
        memcpy(many + i * n, bytes, n);
    }
    turn(f, peer);
    for (int i = 0; i < 30 && !peer->closed; i++) {
        say_raw(peer, many, 100 * n);
        loop_turn(f->loop, 1);
        listen_to(peer);
    }
    until(f, peer, peer->closed);
    if (type != NGHTTP2_SETTINGS) { /* there the peer gives up first, at so many acknowledgements */
        assert_int_equal(peer->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

static void test_frames_that_carry_nothing(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        uint32_t len;
    } rows[] = {{NGHTTP2_PING, 8}, {NGHTTP2_SETTINGS, 0}, {NGHTTP2_WINDOW_UPDATE, 4}, {0x42, 3}};
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        join(&f, &peer);
        flood(&f, &peer, rows[i].type, rows[i].len);
        leave(&peer);
    }
    assert_int_equal(FLOODS(&f, PING), 1);
    assert_int_equal(FLOODS(&f, SETTINGS), 1);
    assert_int_equal(FLOODS(&f, WINDOW_UPDATE), 1);
    assert_int_equal(FLOODS(&f, UNKNOWN), 1);
    shut(&f);
}

static void test_times_between_requests(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(
        &f, (struct http2_listener_options){.headers_timeout_ms = 60, .keepalive_timeout_ms = 60});
    join(&f, &peer);
    until(&f, &peer, peer.closed);
    assert_true(peer.goaway);
    assert_int_equal(peer.goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(COUNTED(&f, headers_timeouts), 1);
    leave(&peer);
    shut(&f);
    open_with(&f, (struct http2_listener_options){.keepalive_timeout_ms = 60});
    join(&f, &peer);
    fetch_path(&f, &peer, "/");
    until(&f, &peer, peer.closed);
    assert_int_equal(peer.goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(COUNTED(&f, keepalive_timeouts), 1);
    leave(&peer);
    shut(&f);
}

static void test_times_of_a_request(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http2_listener_options){.idle_timeout_ms = 60, .write_timeout_ms = 60});
    join(&f, &peer);
    const struct result *result = wait_closed(&f, &peer, ask(&peer, "GET", "/hold"));
    assert_int_equal(result->status, 504);
    assert_int_equal(f.fault, HTTP_FAULT_IDLE);
    leave(&peer);

    adopt_peer(&f, &peer, join_fd(&f), false);
    int32_t id = ask(&peer, "GET", "/big");
    result = wait_closed(&f, &peer, id);
    assert_int_equal(result->bytes, 65535);
    assert_int_equal(result->code, NGHTTP2_CANCEL);
    assert_int_equal(f.fault, HTTP_FAULT_WRITE_TIMEOUT);
    assert_int_equal(COUNTED(&f, write_timeouts), 1);
    leave(&peer);
    shut(&f);
}

static void test_ping(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http2_listener_options){.ping_interval_ms = 150});
    join(&f, &peer);
    ask(&peer, "GET", "/hold");
    until(&f, &peer, peer.pings >= 2);
    assert_false(peer.closed);
    until(&f, NULL, COUNTED(&f, ping_timeouts) == 1); /* it says nothing any more */
    assert_int_equal(f.aborts, 1);
    leave(&peer);
    shut(&f);
}

static void test_drain(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer, idle;
    open_plain(&f);
    join(&f, &peer);
    int32_t id = ask(&peer, "GET", "/hold");
    until(&f, &peer, f.held_count == 1);
    join(&f, &idle);
    fetch_path(&f, &idle, "/");
    http2_listener_drain(f.listener, (struct drain_time){.grace_ms = WEIR_NEVER}, on_drained,
                         &f.heard);
    until(&f, &idle, idle.closed);
    until(&f, &peer, peer.goaways >= 1);
    assert_int_equal(peer.goaway_last[0], INT32_MAX);
    answer(f.held[0], 200, "last");
    assert_string_equal(wait_closed(&f, &peer, id)->body, "last");
    until(&f, &peer, peer.closed);
    assert_int_equal(peer.goaways, 2);
    assert_int_equal(peer.goaway_last[1], id);
    until(&f, NULL, f.heard.drained);
    leave(&peer);
    leave(&idle);
    shut(&f);
}

/* It has not read the notice yet when it answers a ping that went out before: what it asks until
 * then counts. */
static void test_pong_is_no_answer_to_a_notice(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_with(&f, (struct http2_listener_options){.ping_interval_ms = 300});
    join(&f, &peer);
    ask(&peer, "GET", "/hold");
    until(&f, &peer, f.held_count == 1);
    await_true(peer.pings > 0, DEADLINE_MS, loop_turn(f.loop, 1); listen_to(&peer));
    http2_listener_drain(f.listener, (struct drain_time){.grace_ms = WEIR_NEVER}, on_drained,
                         &f.heard);
    speak(&peer);
    loop_turn(f.loop, 1);
    int32_t late = ask(&peer, "GET", "/");
    speak(&peer);
    assert_int_equal(wait_closed(&f, &peer, late)->status, 200);
    until(&f, &peer, peer.goaways == 2);
    assert_int_equal(peer.goaway_last[1], late);
    answer(f.held[0], 200, "last");
    until(&f, &peer, peer.closed);
    until(&f, NULL, f.heard.drained);
    leave(&peer);
    shut(&f);
}

static void test_drain_does_not_wait_forever(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    ask(&peer, "GET", "/hold");
    until(&f, &peer, f.held_count == 1);
    http2_listener_drain(f.listener, (struct drain_time){.grace_ms = 50}, on_drained, &f.heard);
    until(&f, &peer, f.heard.drained);
    assert_int_equal(f.aborts, 1);
    leave(&peer);
    shut(&f);
}

/* Streams that their client does not read, whatever they hold, keep no other one waiting. */
static void test_unread_streams_starve_nobody(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    static char much[65536];
    open_plain(&f);
    adopt_peer(&f, &peer, join_fd(&f), false);
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    for (int i = 0; i < 40; i++) {
        ask(&peer, "GET", "/hold");
    }
    until(&f, &peer, f.held_count == 40);
    for (int i = 0; i < 40; i++) {
        begin(f.held[i], 200, HTTP_CHUNKED, 0);
        f.held[i]->ops->body(f.held[i], much, sizeof much);
        f.held[i]->ops->body(f.held[i], much, sizeof much);
        assert_true(f.held[i]->ops->flush(f.held[i]));
    }
    int32_t id = ask(&peer, "GET", "/big");
    until(&f, &peer, result_of(&peer, id)->status == 200);
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, id, 1 << 24);
    assert_int_equal(wait_closed(&f, &peer, id)->bytes, BIG_BYTES);
    leave(&peer);
    shut(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_many_streams),
        cmocka_unit_test(test_fields_too_many_or_too_long),
        cmocka_unit_test(test_unread_streams_starve_nobody),
        cmocka_unit_test(test_rapid_reset),
        cmocka_unit_test(test_frames_that_carry_nothing),
        cmocka_unit_test(test_times_between_requests),
        cmocka_unit_test(test_times_of_a_request),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_pong_is_no_answer_to_a_notice),
        cmocka_unit_test(test_drain_does_not_wait_forever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
