/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_texts.h"

#include "support/unit.h"

#include <string.h>

static bool read_ab(const char *json, size_t len, struct json_wanted wanted[2])
{
    wanted[0].key = "a";
    wanted[1].key = "b";
    return json_texts_read((struct slice){json, (uint32_t)len}, wanted, 2);
}

static void texts(void **state)
{
    (void)state;
    struct json_wanted wanted[2];
    static const char json[] = " { \"b\" : \"x\\\"\\\\\\/\\n\\u00e9\\u20ac\\u0041 \xc3\xa9\" }\r\n";
    assert_true(read_ab(json, sizeof json - 1, wanted));
    assert_false(wanted[0].is_there);
    assert_true(wanted[1].is_there);
    assert_string_equal(wanted[1].value, "x\"\\/\n\xc3\xa9\xe2\x82\xac"
                                         "A \xc3\xa9");
    assert_true(read_ab("{}", 2, wanted));
    assert_true(read_ab("{\"a\":\"\",\"b\":\"2\"}", 16, wanted));
    assert_true(wanted[0].is_there && wanted[0].value[0] == '\0');
    static const char escaped[] = "\n{\"\\u0061\":\"\\ud83d\\ude00\"}";
    assert_true(read_ab(escaped, sizeof escaped - 1, wanted));
    assert_string_equal(wanted[0].value, "\xf0\x9f\x98\x80");
}

static void what_is_not_that(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "null",
        "\"a\"",
        "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":[\"x\"]}",
        "{\"a\":\"x\",}",
        "{\"a\":\"x\"}{",
        "{\"a\":\"x\"} x",
        "{\"a\":\"x\" \"b\":\"y\"}",
        "{\"a\":\"x\",\"a\":\"y\"}",
        "{\"c\":\"x\"}",
        "{a:\"x\"}",
        "{'a':'x'}",
        "{\"a\":\"x}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc3",
    };
    struct json_wanted wanted[2];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(read_ab(wrong[i], strlen(wrong[i]), wanted));
    }
    assert_false(read_ab("{\"a\":\"x\0y\"}", 11, wanted));
    char deep[2000];
    memset(deep, '{', sizeof deep);
    assert_false(read_ab(deep, sizeof deep, wanted));
}

static void a_value_has_its_room(void **state)
{
    (void)state;
    struct json_wanted wanted[2];
    char json[JSON_TEXTS_MAX + 16] = "{\"a\":\"";
    for (size_t len = JSON_TEXTS_MAX - 1; len <= JSON_TEXTS_MAX; len++) {
        memset(json + 6, 'x', len);
        memcpy(json + 6 + len, "\"}", 2);
        assert_int_equal(read_ab(json, len + 8, wanted), len < JSON_TEXTS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(what_is_not_that),
        cmocka_unit_test(a_value_has_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
