/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "support/unit.h"

struct kept {
    struct bytes plain;
    struct bytes json;
    int lines;
};

static void keep(void *self, enum log_level level, const char *what, const struct log_field *fields,
                 size_t count)
{
    struct kept *kept = self;
    kept->lines++;
    bytes_clear(&kept->plain);
    bytes_clear(&kept->json);
    assert_true(log_line_plain(&kept->plain, level, what, fields, count));
    assert_true(log_line_json(&kept->json, level, what, fields, count));
}

static void both_forms_of_a_line(void **state)
{
    (void)state;
    struct kept kept = {0};
    bytes_init(&kept.plain, &alloc_libc, 1000);
    bytes_init(&kept.json, &alloc_libc, 1000);
    struct log_sink sink = {.write = keep, .self = &kept, .most = LOG_INFO_LEVEL};
    log_to(&sink, LOG_WARN_LEVEL, "upstream down", log_text("host", "a.example"),
           log_text("why", "say \"no\""), log_u64("port", 80), log_i64("left", -3),
           log_bool("last", true), log_bool("first", false));
    assert_true(
        slice_is(bytes_slice(&kept.plain),
                 "warn  upstream down host=a.example why=\"say \\\"no\\\"\" port=80 left=-3 "
                 "last=true first=false"));
    assert_true(slice_is(bytes_slice(&kept.json),
                         "\"level\":\"warn\",\"event\":\"upstream down\",\"host\":\"a.example\","
                         "\"why\":\"say \\\"no\\\"\",\"port\":80,\"left\":-3,\"last\":true,"
                         "\"first\":false"));
    log_to(&sink, LOG_DEBUG_LEVEL, "unheard", log_bool("x", true));
    log_to(NULL, LOG_ERROR_LEVEL, "unheard", log_bool("x", true));
    assert_int_equal(kept.lines, 1);
    bytes_fini(&kept.plain);
    bytes_fini(&kept.json);
}

static void a_line_too_long_is_told(void **state)
{
    (void)state;
    struct log_field field = log_text("key", "a value of some length, longer than the line may be");
    for (size_t max = 1; max < 60; max++) {
        struct bytes line;
        bytes_init(&line, &alloc_libc, max);
        assert_false(log_line_json(&line, LOG_INFO_LEVEL, "word", &field, 1));
        bytes_clear(&line);
        assert_false(log_line_plain(&line, LOG_INFO_LEVEL, "word", &field, 1));
        bytes_fini(&line);
    }
}

static void levels(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR_LEVEL;
    assert_true(log_level_parse(SLICE("debug"), &level));
    assert_int_equal(level, LOG_DEBUG_LEVEL);
    assert_string_equal(log_level_text(level), "debug");
    assert_false(log_level_parse(SLICE("loud"), &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_a_line),
        cmocka_unit_test(a_line_too_long_is_told),
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
