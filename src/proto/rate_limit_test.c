/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rate_limit.h"

#include "support/unit.h"

#include <stdio.h>

#define NOW_MS UINT64_C(1795293000000) /* 2026-11-21T20:30:00Z */

struct line {
    const char *name, *value;
};

static struct rate_limit read_lines(const struct line *lines)
{
    struct http_field fields[24];
    struct http_head head = {.status = 429, .fields = fields};
    for (; lines->name != NULL; lines++) {
        fields[head.field_count++] =
            (struct http_field){.name = slice_of(lines->name),
                                .value = slice_of(lines->value),
                                .id = (uint8_t)http_field_id_of(slice_of(lines->name))};
    }
    struct rate_limit limit;
    rate_limit_read(&head, NOW_MS, &limit);
    return limit;
}

#define READ(...) read_lines((const struct line[]){__VA_ARGS__, {NULL, NULL}})

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T20:30:00Z", NOW_MS},
        {"2026-11-21T20:30:00.25Z", NOW_MS + 250},
        {"2026-11-21t20:30:00.123456789z", NOW_MS + 123},
        {"2026-11-21T22:30:00+02:00", NOW_MS},
        {"2026-11-21T15:00:00-05:30", NOW_MS},
        {"2000-02-29T12:00:00Z", UINT64_C(951825600000)},
        {"2100-03-01T00:00:00Z", UINT64_C(4107542400000)},
    };
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-21",
                                      "2026-11-21T20:30:00",
                                      "2026-13-21T20:30:00Z",
                                      "2026-11-32T20:30:00Z",
                                      "2026-11-21T24:30:00Z",
                                      "2026-11-21T20:30:00+2:00",
                                      "1970-01-01T00:00:00+01:00",
                                      "x026-11-21T20:30:00Z",
                                      "2026-11-21T20:30:00Zx",
                                      "1969-12-31T23:59:59Z"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ms;
        assert_true(rate_limit_time(slice_of(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ms;
        assert_false(rate_limit_time(slice_of(bad[i]), &ms));
    }
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        uint64_t ms;
    } good[] = {
        {"Retry-After", "12", 12000},
        {"retry-after", "0", 0},
        {"Retry-After", "1.5", 1500},
        {"Retry-After", "Sat, 21 Nov 2026 20:31:00 GMT", 60000},
        {"Retry-After", "Sat, 21 Nov 2026 20:29:00 GMT", 0},
        {"Retry-After", "999999999", RATE_LIMIT_MAX_MS},
        {"retry-after-ms", "250", 250},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct rate_limit limit = READ({good[i].name, good[i].value});
        assert_true(limit.has_retry_after && !limit.has_reset);
        assert_int_equal(limit.retry_after_ms, good[i].ms);
    }
    static const char *const bad[] = {"",    "soon",
                                      "-1",  "1 2",
                                      "0x1", "99999999999999999999",
                                      "1d2", "Sat, 21 Foo 2026 20:31:00 GMT"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(READ({"Retry-After", bad[i]}).has_retry_after);
    }
    struct rate_limit both = READ({"retry-after-ms", "1"}, {"Retry-After", "2"});
    assert_int_equal(both.retry_after_ms, 2000);
}

static void anthropics_limits(void **state)
{
    (void)state;
    struct rate_limit limit = READ({"anthropic-ratelimit-requests-reset", "2026-11-21T20:30:30Z"});
    assert_true(limit.has_reset);
    assert_int_equal(limit.reset_ms, 30000);

    /* Two are used up, and one is not. */
    limit = READ({"anthropic-ratelimit-requests-remaining", "10"},
                 {"anthropic-ratelimit-requests-reset", "2026-11-21T20:39:00Z"},
                 {"anthropic-ratelimit-input-tokens-remaining", "0"},
                 {"anthropic-ratelimit-input-tokens-reset", "2026-11-21T20:30:10Z"},
                 {"anthropic-ratelimit-output-tokens-remaining", "0"},
                 {"anthropic-ratelimit-output-tokens-reset", "2026-11-21T20:30:20Z"},
                 {"Retry-After", "5"});
    assert_true(limit.has_reset && limit.has_retry_after);
    assert_int_equal(limit.reset_ms, 20000);

    /* Nobody says which one: then Retry-After is better. */
    limit = READ({"anthropic-ratelimit-tokens-reset", "2026-11-21T20:30:20Z"},
                 {"Retry-After", "5"});
    assert_true(!limit.has_reset && limit.has_retry_after);

    limit = READ({"anthropic-ratelimit-unified-status", "rejected"},
                 {"anthropic-ratelimit-unified-reset", "1795296600"},
                 {"anthropic-ratelimit-unified-representative-claim", "seven_day_opus"});
    assert_true(limit.has_reset);
    assert_int_equal(limit.reset_ms, 3600000);
    assert_true(slice_is(limit.family, "opus"));

    assert_false(READ({"anthropic-ratelimit-requests-reset", "later"}).has_reset);
    assert_int_equal(READ({"anthropic-ratelimit-x-reset", "2126-11-21T20:30:30Z"}).reset_ms,
                     RATE_LIMIT_MAX_MS);
    assert_int_equal(READ({"anthropic-ratelimit-x-reset", "2016-11-21T20:30:30Z"}).reset_ms, 0);
}

static void openais_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"6m0s", 360000}, {"1s", 1000},
                {"20ms", 20},     {"1.0005s", 1000},
                {"8.64s", 8640},  {"1h2m3.5s", 3723500},
                {"0s", 0},        {"1d", 86400000},
                {"7", 7000},      {"900d", RATE_LIMIT_MAX_MS}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct rate_limit limit = READ({"x-ratelimit-remaining-tokens", "0"},
                                       {"x-ratelimit-reset-tokens", good[i].text});
        assert_true(limit.has_reset);
        assert_int_equal(limit.reset_ms, good[i].ms);
    }
    static const char *const bad[] = {"", "s", "1x", "1s2", "-1s", "1..5s", ".5s", "1 s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(READ({"x-ratelimit-reset-requests", bad[i]}).has_reset);
    }
    struct rate_limit limit =
        READ({"x-ratelimit-remaining-requests", "59"}, {"x-ratelimit-reset-requests", "1s"},
             {"x-ratelimit-remaining-tokens", "149984"}, {"x-ratelimit-reset-tokens", "6m0s"});
    assert_false(limit.has_reset);
}

static void more_limits_than_there_is_room_for(void **state)
{
    (void)state;
    static char names[24][40];
    struct http_field fields[24];
    struct http_head head = {.status = 429, .fields = fields};
    for (int i = 0; i < 24; i++) {
        snprintf(names[i], sizeof names[i], "x-ratelimit-reset-kind%d", i);
        fields[head.field_count++] = (struct http_field){.name = slice_of(names[i]),
                                                         .value = SLICE("3s")};
    }
    struct rate_limit limit;
    rate_limit_read(&head, NOW_MS, &limit);
    assert_true(limit.has_reset);
    assert_int_equal(limit.reset_ms, 3000);
}

static void models_have_families(void **state)
{
    (void)state;
    static const struct {
        const char *model, *family;
    } rows[] = {{"claude-opus-4-1-20250805", "opus"},
                {"claude-3-5-sonnet-latest", "sonnet"},
                {"claude-3-Haiku-20240307", "Haiku"},
                {"gpt-4o-mini-2024-07-18", "gpt-4o-mini"},
                {"gpt-4o", "gpt-4o"},
                {"o3", "o3"},
                {"gpt-4-0613", "gpt-4-0613"},
                {"", ""},
                {"2024-07-18", "2024-07-18"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(slice_is(rate_limit_family(slice_of(rows[i].model)), rows[i].family));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(anthropics_limits),
        cmocka_unit_test(openais_limits),
        cmocka_unit_test(more_limits_than_there_is_room_for),
        cmocka_unit_test(models_have_families),
    };
    return cmocka_run_group_tests_name("proto/rate_limit", tests, NULL, NULL);
}
