/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http2_budget.h"

#include "support/unit.h"

#include <nghttp2/nghttp2.h>

static void test_resets(void **state)
{
    (void)state;
    struct http2_budget budget;
    http2_budget_init(&budget, 0);
    for (uint32_t i = 0; i < HTTP2_RESETS_BURST; i++) {
        assert_int_equal(http2_budget_reset(&budget, false, 0), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_budget_reset(&budget, false, 0), HTTP2_FLOOD_RESET);
    for (uint32_t i = 0; i < HTTP2_RESETS_RATE; i++) { /* a second later there are some more */
        assert_int_equal(http2_budget_reset(&budget, false, 1000), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_budget_reset(&budget, false, 1000), HTTP2_FLOOD_RESET);
}

static void test_premature_resets(void **state)
{
    (void)state;
    struct http2_budget budget;
    http2_budget_init(&budget, 0);
    for (uint32_t i = 0; i + 1 < HTTP2_PREMATURE_FROM; i++) {
        http2_budget_stream(&budget);
        assert_int_equal(http2_budget_reset(&budget, true, 0), HTTP2_FLOOD_NONE);
    }
    http2_budget_stream(&budget);
    assert_int_equal(http2_budget_reset(&budget, true, 0), HTTP2_FLOOD_PREMATURE);
    http2_budget_init(&budget, 0);
    for (uint32_t i = 0; i < 900; i++) { /* one in two is still fine */
        http2_budget_stream(&budget);
        http2_budget_stream(&budget);
        assert_int_equal(http2_budget_reset(&budget, true, 0), HTTP2_FLOOD_NONE);
    }
}

static void test_idle_frames_are_earned_by_bodies(void **state)
{
    (void)state;
    struct http2_budget budget;
    http2_budget_init(&budget, 0);
    for (uint32_t i = 0; i < HTTP2_IDLE_BURST; i++) {
        assert_int_equal(http2_budget_frame(&budget, NGHTTP2_WINDOW_UPDATE, 4, 0, 0),
                         HTTP2_FLOOD_NONE);
    }
    http2_budget_earn(&budget, 1); /* a piece earns the frames that answer it, and no more */
    for (uint32_t i = 0; i < HTTP2_EARN_FRAME; i++) {
        assert_int_equal(http2_budget_frame(&budget, NGHTTP2_WINDOW_UPDATE, 4, 0, 0),
                         HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_WINDOW_UPDATE, 4, 0, 0),
                     HTTP2_FLOOD_WINDOW_UPDATE);
    http2_budget_earn(&budget, 16384);
    for (uint32_t i = 0; i < HTTP2_EARN_FRAME + 16384 / HTTP2_EARN_BYTES; i++) {
        assert_int_equal(http2_budget_frame(&budget, NGHTTP2_PING, 8, 0, 0), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_PING, 8, 0, 0), HTTP2_FLOOD_PING);
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_DATA, 0, 0, 0), HTTP2_FLOOD_EMPTY_DATA);
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_DATA, 0, NGHTTP2_FLAG_END_STREAM, 0),
                     HTTP2_FLOOD_NONE);
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_DATA, 1, 0, 0), HTTP2_FLOOD_NONE);
}

static void test_continuation(void **state)
{
    (void)state;
    struct http2_budget budget;
    http2_budget_init(&budget, 0);
    for (int heads = 0; heads < 3; heads++) {
        assert_int_equal(http2_budget_frame(&budget, NGHTTP2_HEADERS, 1, 0, 0), HTTP2_FLOOD_NONE);
        for (uint32_t i = 0; i < HTTP2_CONTINUED_MAX; i++) {
            assert_int_equal(http2_budget_frame(&budget, NGHTTP2_CONTINUATION, 1, 0, 0),
                             HTTP2_FLOOD_NONE);
        }
    }
    assert_int_equal(http2_budget_frame(&budget, NGHTTP2_CONTINUATION, 1, 0, 0),
                     HTTP2_FLOOD_CONTINUATION);
    assert_string_equal(http2_flood_word(HTTP2_FLOOD_CONTINUATION), "continuation");
}

static void test_refused_streams(void **state)
{
    (void)state;
    struct http2_budget budget;
    http2_budget_init(&budget, 0);
    for (uint32_t i = 0; i < HTTP2_REFUSED_BURST; i++) {
        assert_int_equal(http2_budget_refused(&budget, 0), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_budget_refused(&budget, 0), HTTP2_FLOOD_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_premature_resets),
        cmocka_unit_test(test_idle_frames_are_earned_by_bodies),
        cmocka_unit_test(test_continuation),
        cmocka_unit_test(test_refused_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
