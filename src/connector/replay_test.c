/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "connector/replay.h"

/* The whole matrix: replayed exactly where the rule says so. */
static void the_matrix_of_stale_connections(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        const struct replay_case it = {
            .reused = bits & 1,
            .answer_begun = bits & 2,
            .harmless = bits & 4,
            .at_hand = bits & 8,
            .sent = (bits & 16) != 0 ? 1 : 0,
            .replays = (bits & 32) != 0 ? 1 : 0,
        };
        bool want = it.reused && !it.answer_begun && it.at_hand && it.replays == 0
                    && (it.sent == 0 || it.harmless);
        assert_int_equal(replay_stale(&it), want);
    }
    const struct replay_case get = {.reused = true, .harmless = true, .at_hand = true, .sent = 80};
    assert_true(replay_stale(&get));
    struct replay_case post = {.reused = true, .at_hand = true, .sent = 80};
    assert_false(replay_stale(&post));
    post.sent = 0;
    assert_true(replay_stale(&post));
}

static void what_the_peer_has_not_touched_goes_again_whatever_it_is(void **state)
{
    (void)state;
    struct replay_case post = {.at_hand = true, .untouched = true, .sent = 80};
    assert_true(replay_stale(&post));
    assert_true(replay_is_free(&post));
    post.replays = 1;
    assert_true(replay_stale(&post));
    assert_true(replay_is_free(&post));
    post.refused = true;
    assert_true(replay_stale(&post));
    assert_false(replay_is_free(&post));
    post.replays = REPLAY_TRIES_MAX - 1;
    assert_false(replay_stale(&post));
    post.refused = false;
    assert_true(replay_stale(&post));
    post.replays = REPLAY_ENDS_MAX - 1;
    assert_false(replay_stale(&post));
    post.replays = 0;
    post.at_hand = false;
    assert_false(replay_stale(&post));
    post.at_hand = true;
    post.answer_begun = true;
    assert_false(replay_stale(&post));
}

static void what_is_harmless(void **state)
{
    (void)state;
    for (unsigned method = HTTP_METHOD_OTHER; method <= HTTP_CONNECT; method++) {
        struct http_head head = {.method_id = (uint8_t)method};
        bool want = method != HTTP_METHOD_OTHER && method != HTTP_POST && method != HTTP_PATCH
                    && method != HTTP_CONNECT;
        assert_int_equal(replay_is_harmless(&head), want);
        head.present = UINT64_C(1) << HTTP_IDEMPOTENCY_KEY;
        assert_true(replay_is_harmless(&head));
    }
    assert_true(replay_code(503, false));
    assert_false(replay_code(502, false));
    assert_true(replay_code(502, true));
}

static void the_budget_is_a_part_of_requests_and_ten_a_second(void **state)
{
    (void)state;
    struct replay_budget budget;
    replay_budget_init(&budget, 0.2, 5000);
    for (unsigned i = 0; i < REPLAY_SAVED_MAX; i++) {
        assert_true(replay_budget_take(&budget, 5000));
    }
    assert_false(replay_budget_take(&budget, 5000));
    for (int i = 0; i < 5; i++) {
        replay_budget_earn(&budget);
    }
    assert_true(replay_budget_take(&budget, 5000));
    assert_false(replay_budget_take(&budget, 5099));
    assert_true(replay_budget_take(&budget, 5100));
    unsigned taken = 0;
    while (replay_budget_take(&budget, UINT64_C(1) << 60)) {
        taken++;
    }
    assert_int_equal(taken, REPLAY_SAVED_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_matrix_of_stale_connections),
        cmocka_unit_test(what_the_peer_has_not_touched_goes_again_whatever_it_is),
        cmocka_unit_test(what_is_harmless),
        cmocka_unit_test(the_budget_is_a_part_of_requests_and_ten_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
