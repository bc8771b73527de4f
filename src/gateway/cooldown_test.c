/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cooldown.h"

#include "support/unit.h"

#include <stdio.h>

#define NOW UINT64_C(1000000)

static struct cooldown it;
static const struct slice all = {"", 0};

static uint64_t left(const char *family, uint64_t now_ms)
{
    enum cooldown_reason reason;
    return cooldown_left(&it, slice_of(family), now_ms, &reason);
}

static enum cooldown_reason judge(uint16_t status)
{
    const struct cooldown_answer answer = {.status = status, .family = all};
    return cooldown_judge(&it, &answer, NOW);
}

static enum cooldown_reason judge_for(uint16_t status, uint64_t retry_after_ms)
{
    const struct cooldown_answer answer = {
        .status = status, .family = all, .has_retry_after = true, .retry_after_ms = retry_after_ms};
    return cooldown_judge(&it, &answer, NOW);
}

static int begin(void **state)
{
    (void)state;
    it = (struct cooldown){0};
    return 0;
}

static void the_table(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        enum cooldown_reason reason;
        uint64_t for_ms;
    } rows[] = {{200, COOLDOWN_NONE, 0},
                {400, COOLDOWN_NONE, 0},
                {404, COOLDOWN_NONE, 0},
                {429, COOLDOWN_NONE, 0},
                {529, COOLDOWN_OVERLOADED, 600000},
                {503, COOLDOWN_UNAVAILABLE, 60000},
                {500, COOLDOWN_NONE, 0},
                {401, COOLDOWN_UNAUTHORIZED, 1800000},
                {403, COOLDOWN_NONE, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum cooldown_reason reason;
        cooldown_clear(&it);
        assert_int_equal(judge(rows[i].status), rows[i].reason);
        assert_int_equal(cooldown_left(&it, all, NOW, &reason), rows[i].for_ms);
        assert_int_equal(reason, rows[i].reason);
        assert_int_equal(left("", NOW + rows[i].for_ms), 0);
        if (rows[i].for_ms > 0) {
            assert_int_equal(left("opus", NOW + rows[i].for_ms - 1), 1);
        }
    }
}

static void a_429_says_when(void **state)
{
    (void)state;
    struct cooldown_answer answer = {.status = 429,
                                     .family = all,
                                     .has_reset = true,
                                     .reset_ms = 7200000,
                                     .has_retry_after = true,
                                     .retry_after_ms = 5};
    assert_int_equal(cooldown_judge(&it, &answer, NOW), COOLDOWN_RATE_LIMIT);
    assert_int_equal(left("", NOW), 7200000);
    cooldown_clear(&it);
    assert_int_equal(judge_for(429, 5000), COOLDOWN_RATE_LIMIT);
    assert_int_equal(left("", NOW), 5000);
    cooldown_clear(&it);
    answer.reset_ms = 0;
    assert_int_equal(cooldown_judge(&it, &answer, NOW), COOLDOWN_NONE);
}

static void retry_after_counts_up_to_half_an_hour(void **state)
{
    (void)state;
    static const uint16_t codes[] = {429, 503, 529};
    for (int i = 0; i < 3; i++) {
        cooldown_clear(&it);
        judge_for(codes[i], 7000);
        assert_int_equal(left("", NOW), 7000);
        judge_for(codes[i], UINT64_MAX / 2);
        assert_int_equal(left("", NOW), 1800000);
        judge_for(codes[i], 1000); /* shortens nothing */
        assert_int_equal(left("", NOW), 1800000);
    }
    cooldown_clear(&it);
    judge_for(401, 5);
    assert_int_equal(left("", NOW), 1800000);
}

/* Of the rest it is not to blame for what it shows. */
static void what_was_refused_may_be_forgiven(void **state)
{
    (void)state;
    static const uint16_t kept[] = {503, 529};
    judge(401);
    cooldown_forgive(&it);
    assert_int_equal(left("", NOW), 0);
    judge(403), judge(403);
    cooldown_forgive(&it);
    assert_int_equal(judge(403), COOLDOWN_NONE); /* the first of a row again */
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        cooldown_clear(&it);
        judge(kept[i]);
        cooldown_forgive(&it);
        assert_true(left("", NOW) > 0);
    }
}

static void three_errors_in_a_row(void **state)
{
    (void)state;
    judge(500), judge(502);
    judge(200);
    assert_int_equal(judge(500), COOLDOWN_NONE);
    assert_int_equal(judge(504), COOLDOWN_NONE);
    judge(429); /* says nothing about that */
    assert_int_equal(left("", NOW), 0);
    assert_int_equal(judge(500), COOLDOWN_ERRORS);
    assert_int_equal(left("", NOW), 300000);
    judge(404);
    assert_int_equal(judge(500), COOLDOWN_NONE);
}

static enum cooldown_reason forbid(uint64_t client)
{
    const struct cooldown_answer answer = {.status = 403, .family = all, .client = client};
    return cooldown_judge(&it, &answer, NOW);
}

static void forbidden_to_two_clients(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        assert_int_equal(forbid(1), COOLDOWN_NONE); /* it is that client's affair */
    }
    assert_int_equal(forbid(2), COOLDOWN_FORBIDDEN);
    assert_int_equal(left("", NOW), 1800000);
    cooldown_clear(&it);
    forbid(1), forbid(2);
    judge(200);
    assert_int_equal(forbid(1), COOLDOWN_NONE);
    assert_int_equal(forbid(2), COOLDOWN_NONE);
    judge(500);
    assert_int_equal(forbid(2), COOLDOWN_FORBIDDEN);
}

static void of_one_family(void **state)
{
    (void)state;
    struct cooldown_answer answer = {
        .status = 429, .has_reset = true, .reset_ms = 5000, .family = SLICE("Opus")};
    assert_int_equal(cooldown_judge(&it, &answer, NOW), COOLDOWN_RATE_LIMIT);
    assert_int_equal(left("opus", NOW), 5000);
    assert_int_equal(left("sonnet", NOW), 0);
    assert_int_equal(left("", NOW), 0);
    judge(503);
    assert_int_equal(left("opus", NOW), 60000);
    assert_int_equal(left("sonnet", NOW), 60000);
    cooldown_clear(&it);
    assert_int_equal(left("opus", NOW), 0);
}

static void more_families_than_there_is_room_for(void **state)
{
    (void)state;
    char name[20];
    struct cooldown_answer answer = {.status = 429, .has_reset = true, .reset_ms = 5000};
    for (uint32_t i = 0; i < COOLDOWN_FAMILIES_MAX; i++) {
        snprintf(name, sizeof name, "model-%u", i);
        answer.family = slice_of(name);
        cooldown_judge(&it, &answer, NOW);
        cooldown_judge(&it, &answer, NOW + 1); /* is known */
    }
    assert_int_equal(left("other", NOW), 0);
    answer.family = SLICE("one more");
    cooldown_judge(&it, &answer, NOW);
    assert_int_equal(left("other", NOW), 5000);
    /* Those that are over make room. */
    cooldown_judge(&it, &answer, NOW + 6000);
    assert_int_equal(left("other", NOW + 6000), 0);
    assert_int_equal(left("one more", NOW + 6000), 5000);
    /* A long name is what fits of it. */
    answer.family = SLICE("0123456789012345678901234567890123456789012345678901234567890");
    cooldown_judge(&it, &answer, NOW + 6000);
    enum cooldown_reason reason;
    assert_int_equal(cooldown_left(&it, answer.family, NOW + 6000, &reason), 5000);
}

/* Each beginning and each end is told once; what is made longer has begun already. */
static void news(void **state)
{
    (void)state;
    struct cooldown_term term;
    assert_false(cooldown_news(&it, NOW, &term));
    struct cooldown_answer answer = {
        .status = 429, .family = SLICE("opus"), .has_reset = true, .reset_ms = 5000};
    cooldown_judge(&it, &answer, NOW);
    judge(529);
    assert_true(cooldown_news(&it, NOW, &term));
    assert_int_equal(term.reason, COOLDOWN_OVERLOADED);
    assert_int_equal(term.until_ms, NOW + 600000);
    assert_true(cooldown_news(&it, NOW, &term));
    assert_true(slice_is((struct slice){term.family, term.family_len}, "opus"));
    assert_false(cooldown_news(&it, NOW, &term));
    answer.reset_ms = 8000;
    cooldown_judge(&it, &answer, NOW);
    assert_false(cooldown_news(&it, NOW + 7999, &term));
    assert_true(cooldown_news(&it, NOW + 8000, &term));
    assert_true(term.until_ms <= NOW + 8000 && term.family_len == 4);
    assert_false(cooldown_news(&it, NOW + 8000, &term));
    assert_true(cooldown_is_told(&it));
    /* Who is cleared is well again; whose end nobody has told does not make room while others do.
     */
    cooldown_clear(&it);
    answer.family = SLICE("haiku");
    cooldown_judge(&it, &answer, NOW + 8000);
    assert_true(cooldown_news(&it, NOW + 8000, &term));
    assert_true(term.until_ms == 0 && term.family_len == 0);
    assert_true(cooldown_news(&it, NOW + 8000, &term));
    assert_true(slice_is((struct slice){term.family, term.family_len}, "haiku"));
    assert_true(cooldown_news(&it, NOW + 16000, &term));
    assert_false(cooldown_news(&it, NOW + 16000, &term));
    assert_false(cooldown_is_told(&it));
}

static void every_reason_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(cooldown_word(COOLDOWN_NONE), "none");
    assert_string_equal(cooldown_word(COOLDOWN_FORBIDDEN), "forbidden");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table, begin),
        cmocka_unit_test_setup(a_429_says_when, begin),
        cmocka_unit_test_setup(retry_after_counts_up_to_half_an_hour, begin),
        cmocka_unit_test_setup(what_was_refused_may_be_forgiven, begin),
        cmocka_unit_test_setup(three_errors_in_a_row, begin),
        cmocka_unit_test_setup(forbidden_to_two_clients, begin),
        cmocka_unit_test_setup(of_one_family, begin),
        cmocka_unit_test_setup(more_families_than_there_is_room_for, begin),
        cmocka_unit_test_setup(news, begin),
        cmocka_unit_test_setup(every_reason_has_a_word, begin),
    };
    return cmocka_run_group_tests_name("gateway/cooldown", tests, NULL, NULL);
}
