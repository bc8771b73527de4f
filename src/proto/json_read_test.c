/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_read.h"

#include "support/unit.h"

#include <string.h>

static bool check(const char *text)
{
    return json_check(slice_of(text));
}

static void what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {"{}",
                                       "[]",
                                       "0",
                                       "-0",
                                       "-1.5e+10",
                                       "1E5",
                                       "\"\"",
                                       "true",
                                       "false",
                                       "null",
                                       " [1 , 2 ] ",
                                       "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
                                       "\"\\ud83d\\ude00 \\u00e9 \\n\\/\"",
                                       "\"\xc3\xa9\""};
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[1,]",
                                      "{,}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{a:1}",
                                      "01",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "tru",
                                      "truex",
                                      "nul",
                                      "\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\t\"",
                                      "\"\xff\"",
                                      "[1] 2",
                                      "[1 2]",
                                      "{\"a\":1 \"b\":2}",
                                      "'a'",
                                      "NaN",
                                      "[",
                                      "[[]",
                                      "\"\\"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!check(good[i])) {
            fail_msg("%s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (check(bad[i])) {
            fail_msg("%s", bad[i]);
        }
    }
    assert_false(json_check((struct slice){0}));
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 4];
    for (unsigned depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_check((struct slice){text, 2 * depth}), depth == JSON_DEPTH_MAX);
    }
}

static void white_space_is_around(void **state)
{
    (void)state;
    assert_true(slice_same(json_trim(SLICE(" \t\r\n{ }\n\r\t ")), SLICE("{ }")));
    assert_true(slice_same(json_trim(SLICE("1")), SLICE("1")));
    assert_int_equal(json_trim(SLICE(" ")).len, 0);
}

static void members_are_found(void **state)
{
    (void)state;
    const struct slice text = SLICE("{\"a\" : \"x\\u00e9\\n\", \"\\u0062\":12,\"c\":[1,[2],\"3\"],"
                                    "\"d\":true,\"t\":1,\"t\":2,\"e\":{\"a\":0}}");
    struct slice value, name;
    char plain[64];
    uint64_t number;
    bool flag;
    assert_true(json_check(text));
    assert_true(json_member(text, SLICE("a"), &value));
    assert_int_equal(json_get_text(value, plain, sizeof plain), 4);
    assert_string_equal(plain, "x\xc3\xa9\n");
    assert_int_equal(json_get_text(value, plain, 5), 4);
    assert_true(json_get_text(value, plain, 4) == JSON_NO_TEXT);
    assert_true(json_member(text, SLICE("b"), &value));
    assert_true(json_get_u64(value, &number));
    assert_int_equal(number, 12);
    assert_true(json_get_text(value, plain, sizeof plain) == JSON_NO_TEXT);
    assert_false(json_member(value, SLICE("b"), &value));
    assert_true(json_member(text, SLICE("d"), &value));
    assert_true(json_get_bool(value, &flag) && flag);
    assert_false(json_get_u64(value, &number));
    assert_false(json_member(text, SLICE("t"), &value)); /* which one? */
    assert_false(json_member(text, SLICE("x"), &value));
    assert_true(json_member(text, SLICE("c"), &value));
    struct json_at at = {0};
    struct slice list = value;
    unsigned count = 0;
    while (json_next(list, &at, &name, &value)) {
        assert_int_equal(name.len, 0);
        count++;
    }
    assert_int_equal(count, 3);
    assert_true(slice_same(value, SLICE("\"3\"")));
    assert_true(json_get_text(SLICE("\"a\\u0000\""), plain, sizeof plain) == JSON_NO_TEXT);
    assert_false(json_get_u64(SLICE("-1"), &number));
    assert_false(json_get_u64(SLICE("1.5"), &number));
    assert_false(json_get_u64(SLICE("18446744073709551616"), &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(white_space_is_around),
        cmocka_unit_test(members_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
