/* SPDX-License-Identifier: Apache-2.0
 *
 * The listener of HTTP/2 with nghttp2 as its client: what requests and answers become.
 */
#include "support/http2_fixture.h"

static void test_get(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    const char *const pairs[] = {"x-one", "1", "te", "trailers", NULL};
    const struct result *result = wait_closed(&f, &peer, ask_with(&peer, "GET", "/a?b", pairs));
    assert_int_equal(result->status, 200);
    assert_true(result->ended);
    assert_int_equal(result->code, NGHTTP2_NO_ERROR);
    assert_string_equal(result->body, "hello");
    assert_non_null(strstr(result->fields, "content-type: text/plain\n"));
    assert_non_null(strstr(result->fields, "content-length: 5\n"));
    assert_non_null(strstr(result->fields, "date: "));
    assert_null(strstr(result->fields, "connection"));
    assert_null(strstr(result->fields, "transfer-encoding"));
    assert_string_equal(f.line, "GET /a?b example.com");
    assert_string_equal(f.fields, "x-one: 1\n-te: trailers\n");
    assert_string_equal(f.peer, "192.0.2.107");
    assert_true(f.end);
    assert_int_equal(COUNTED(&f, requests), 1);
    assert_int_equal(COUNTED(&f, answers_2xx), 1);
    leave(&peer);
    shut(&f);
}

static void test_many_leave_in_one_write(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    fetch_path(&f, &peer, "/");
    uint64_t reads = COUNTED(&f, reads), writes = COUNTED(&f, writes);
    for (int i = 0; i < 32; i++) {
        ask(&peer, "GET", "/");
    }
    until(&f, &peer, peer.answered == 33);
    assert_int_equal(COUNTED(&f, reads), reads + 1);
    assert_int_equal(COUNTED(&f, writes), writes + 1);
    leave(&peer);
    shut(&f);
}

static void test_body_and_trailers(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    static char body[300000];
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = pattern_at(i);
    }
    body_of(&peer, body, sizeof body);
    int32_t id = ask(&peer, "POST", "/echo");
    const struct result *result = wait_closed(&f, &peer, id);
    assert_int_equal(f.body_bytes, sizeof body);
    assert_int_equal(result->bytes, sizeof body);
    assert_false(result->wrong);
    assert_int_equal(f.framing, HTTP_CHUNKED);
    assert_int_equal(f.bodies_ended, 1);

    peer.sends = false;
    result = fetch_path(&f, &peer, "/trailers");
    assert_string_equal(result->body, "body");
    assert_string_equal(result->trailers, "grpc-status: 0\n");
    leave(&peer);
    shut(&f);
}

static void test_no_body(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    const struct result *result = wait_closed(&f, &peer, ask(&peer, "HEAD", "/"));
    assert_int_equal(result->status, 200);
    assert_int_equal(result->bytes, 0);
    assert_non_null(strstr(result->fields, "content-length: 5\n"));
    result = fetch_path(&f, &peer, "/204");
    assert_int_equal(result->status, 204);
    assert_null(strstr(result->fields, "content-length"));
    assert_true(result->ended);
    result = fetch_path(&f, &peer, "/hints");
    assert_int_equal(result->interim, 103);
    assert_int_equal(result->status, 200);
    leave(&peer);
    shut(&f);
}

static void test_big_answer_waits_for_the_client(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    peer.mute = true;
    int32_t id = ask(&peer, "GET", "/big");
    for (int i = 0; i < 20; i++) {
        turn(&f, &peer);
    }
    assert_int_equal(f.requests, 1);
    assert_in_range(f.big_sent, 1, 512U << 10); /* the window, and what may lie ahead of it */
    peer.mute = false;
    const struct result *result = wait_closed(&f, &peer, id);
    assert_int_equal(result->bytes, BIG_BYTES);
    assert_false(result->wrong);
    assert_true(f.drains > 0);
    leave(&peer);
    shut(&f);
}

/* A stream that its client does not read holds up no other. */
static void test_streams_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    adopt_peer(&f, &peer, join_fd(&f), false); /* gives no window back by itself */
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    int32_t big = ask(&peer, "GET", "/big");
    until(&f, &peer, result_of(&peer, big)->bytes == 65535);
    const struct result *result = fetch_path(&f, &peer, "/");
    assert_string_equal(result->body, "hello");
    assert_false(result_of(&peer, big)->closed);
    leave(&peer);
    until(&f, NULL, f.aborts == 1);
    assert_int_equal(f.fault, HTTP_FAULT_CANCELLED);
    shut(&f);
}

static void test_paused_body_shuts_the_window(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    static char body[400000];
    body_of(&peer, body, sizeof body);
    int32_t id = ask(&peer, "POST", "/paused");
    until(&f, &peer, f.body_bytes == 65535);
    for (int i = 0; i < 10; i++) {
        turn(&f, &peer);
    }
    assert_int_equal(f.body_bytes, 65535);
    peer.sends = false;
    const struct result *other = wait_closed(&f, &peer, ask(&peer, "GET", "/"));
    assert_int_equal(other->status, 200);
    f.held[0]->ops->pause(f.held[0], false);
    until(&f, &peer, f.bodies_ended == 1);
    assert_int_equal(f.body_bytes, sizeof body);
    answer(f.held[0], 200, "done");
    assert_string_equal(wait_closed(&f, &peer, id)->body, "done");
    leave(&peer);
    shut(&f);
}

static void test_early_answer_resets_the_rest(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    static char body[400000];
    body_of(&peer, body, sizeof body);
    const struct result *result = wait_closed(&f, &peer, ask(&peer, "POST", "/early"));
    assert_int_equal(result->status, 413);
    assert_true(result->ended);
    assert_int_equal(result->code, NGHTTP2_NO_ERROR);
    peer.sends = false;
    assert_int_equal(fetch_path(&f, &peer, "/")->status, 200);
    leave(&peer);
    shut(&f);
}

static void test_what_is_cut_is_reset(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    const struct result *result = fetch_path(&f, &peer, "/cut");
    assert_string_equal(result->body, "half"); /* what there was goes first */
    assert_false(result->ended);
    assert_int_equal(result->code, NGHTTP2_INTERNAL_ERROR);
    result = fetch_path(&f, &peer, "/short");
    assert_false(result->ended);
    assert_int_equal(result->code, NGHTTP2_INTERNAL_ERROR);
    result = fetch_path(&f, &peer, "/abort");
    assert_int_equal(result->status, 0);
    assert_int_equal(result->code, NGHTTP2_INTERNAL_ERROR);
    result = fetch_path(&f, &peer, "/too-much");
    assert_string_equal(result->body, "four");
    assert_true(result->ended);
    assert_int_equal(COUNTED(&f, cut), 3);
    leave(&peer);
    shut(&f);
}

static void test_client_resets(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    int32_t id = ask(&peer, "GET", "/hold");
    until(&f, &peer, f.held_count == 1);
    nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    until(&f, &peer, f.aborts == 1);
    assert_int_equal(f.fault, HTTP_FAULT_CANCELLED);
    assert_int_equal(COUNTED(&f, left), 1);
    assert_int_equal(fetch_path(&f, &peer, "/")->status, 200);
    leave(&peer);
    shut(&f);
}

static void test_cookies_are_joined(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    const char *const pairs[] = {"cookie", "a=1", "cookie", "b=2", "x-between", "y",
                                 "cookie", "c=3", "x-last", "z",   NULL};
    wait_closed(&f, &peer, ask_with(&peer, "GET", "/", pairs));
    assert_string_equal(f.fields, "x-between: y\ncookie: a=1; b=2; c=3\nx-last: z\n");
    leave(&peer);
    shut(&f);
}

static void test_requests_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *name, *value;
        uint16_t status;
        uint32_t code;
    } rows[] = {
        {"TRACE", "/", NULL, NULL, 405, 0},
        {"GET", "/a/%2e%2e/b", NULL, NULL, 400, 0},
        {"GET", "/a#b", NULL, NULL, 400, 0},
        {"POST", "/", "expect", "200-ok", 417, 0},
        {"VERYLONGMETHODTHATNOBODYHASEVERHEARDOF", "/", NULL, NULL, 501, 0},
        {"GET", "a", NULL, NULL, 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "*", NULL, NULL, 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "connection", "x", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "transfer-encoding", "chunked", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "te", "gzip", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "host", "other.example", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "content-length", "5", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", "x-bad", "a\rb", 0, NGHTTP2_PROTOCOL_ERROR},
        {"GET", "/", ":late", "x", 0, NGHTTP2_PROTOCOL_ERROR},
    };
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const pairs[] = {rows[i].name, rows[i].value, NULL};
        const struct result *result =
            wait_closed(&f, &peer, ask_with(&peer, rows[i].method, rows[i].path, pairs));
        if (result->status != rows[i].status || result->code != rows[i].code) {
            fail_msg("row %zu: status %u, code %u", i, result->status, result->code);
        }
    }
    assert_int_equal(f.requests, 0);
    assert_int_equal(fetch_path(&f, &peer, "/")->status, 200);
    leave(&peer);
    shut(&f);
}

static void test_lengths_must_agree(void **state)
{
    (void)state;
    struct fixture f;
    static struct peer peer;
    open_plain(&f);
    join(&f, &peer);
    const char *const pairs[] = {"content-length", "5", NULL};
    body_of(&peer, "four", 4);
    const struct result *result = wait_closed(&f, &peer, ask_with(&peer, "POST", "/hold", pairs));
    assert_int_equal(result->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(f.aborts, 1);
    assert_int_equal(f.fault, HTTP_FAULT_BAD_REQUEST);
    assert_int_equal(f.bodies_ended, 0);
    body_of(&peer, "sixsix", 6);
    result = wait_closed(&f, &peer, ask_with(&peer, "POST", "/hold", pairs));
    assert_int_equal(result->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(f.bodies_ended, 0);
    body_of(&peer, "five5", 5);
    assert_int_equal(wait_closed(&f, &peer, ask_with(&peer, "POST", "/echo", pairs))->bytes, 5);
    assert_int_equal(f.framing, HTTP_LENGTH);
    leave(&peer);
    shut(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_many_leave_in_one_write),
        cmocka_unit_test(test_body_and_trailers),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_big_answer_waits_for_the_client),
        cmocka_unit_test(test_streams_do_not_wait_for_each_other),
        cmocka_unit_test(test_paused_body_shuts_the_window),
        cmocka_unit_test(test_early_answer_resets_the_rest),
        cmocka_unit_test(test_what_is_cut_is_reset),
        cmocka_unit_test(test_client_resets),
        cmocka_unit_test(test_cookies_are_joined),
        cmocka_unit_test(test_requests_that_are_refused),
        cmocka_unit_test(test_lengths_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
