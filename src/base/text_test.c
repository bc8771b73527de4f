/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "support/unit.h"

static void slices(void **state)
{
    (void)state;
    assert_true(slice_same_nocase(SLICE("Content-Length"), SLICE("content-length")));
    assert_false(slice_same_nocase(SLICE("ab"), SLICE("abc")));
    assert_false(slice_is_nocase(SLICE("a["), "a{")); /* 0x20 apart, but not letters */
    assert_true(slice_is_nocase(SLICE("aZ"), "Az"));
    assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
    assert_true(slice_compare(SLICE("b"), SLICE("abc")) > 0);
    assert_int_equal(slice_compare(SLICE(""), (struct slice){0}), 0);
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_false(slice_starts(SLICE("a"), SLICE("ab")));
    assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
    assert_false(slice_ends(SLICE("c"), SLICE("bc")));
    assert_true(slice_is(slice_trim(SLICE(" \tx y\t ")), "x y"));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
    assert_true(slice_is(slice_sub(SLICE("abc"), 1, 9), "bc"));
    assert_int_equal(slice_sub(SLICE("abc"), 7, 2).len, 0);
    assert_int_equal(slice_of(NULL).len, 0);
    char room[4];
    assert_int_equal(slice_copy(room, sizeof room, SLICE("abcdef")), 6);
    assert_string_equal(room, "abc");
    assert_int_equal(slice_copy(NULL, 0, SLICE("abc")), 3);
}

static void splitting(void **state)
{
    (void)state;
    struct slice rest = SLICE("a,,b,");
    struct slice part;
    const char *parts[] = {"a", "", "b", ""};
    for (int i = 0; i < 4; i++) {
        assert_true(slice_split(&rest, ',', &part));
        assert_true(slice_is(part, parts[i]));
    }
    assert_false(slice_split(&rest, ',', &part));
    rest = SLICE("  one two\t three ");
    const char *words[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        assert_true(slice_word(&rest, &part));
        assert_true(slice_is(part, words[i]));
    }
    assert_false(slice_word(&rest, &part));
}

static void numbers(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    bool b;
    assert_true(text_parse_u64(SLICE("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {
        "",   "+1", "-1", " 1", "1 ", "0x1", "1_0", "18446744073709551616", "99999999999999999999",
        "1,0"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_false(text_parse_u64(slice_of(bad[k]), &u));
    }
    assert_false(text_parse_u64((struct slice){"1\0", 2}, &u));
    assert_true(text_parse_hex(SLICE("fF"), &u));
    assert_int_equal(u, 255);
    assert_true(text_parse_hex(SLICE("ffffffffffffffff"), &u));
    assert_false(text_parse_hex(SLICE("10000000000000000"), &u));
    assert_false(text_parse_hex(SLICE("0x1"), &u));
    assert_false(text_parse_hex(SLICE(""), &u));
    char text[16];
    uint32_t len;
    assert_true(text_percent_decode(SLICE("a%2Fb%20+%c3%A9"), false, text, 8, &len));
    assert_string_equal(text, "a/b +\xc3\xa9");
    assert_int_equal(len, 7);
    assert_true(text_percent_decode(SLICE(""), false, text, 1, &len) && len == 0
                && text[0] == '\0');
    assert_false(text_percent_decode(SLICE("a%2Fb"), false, text, 3, &len));
    assert_true(text_percent_decode(SLICE("+%2B"), true, text, sizeof text, &len));
    assert_string_equal(text, " +");
    static const char *const broken[] = {"%", "a%2", "%2g", "%%20", "%00", "a%-1"};
    for (size_t k = 0; k < sizeof broken / sizeof broken[0]; k++) {
        assert_false(text_percent_decode(slice_of(broken[k]), true, text, sizeof text, &len));
    }
    assert_false(text_percent_decode((struct slice){"a\0", 2}, true, text, sizeof text, &len));
    assert_true(text_parse_i64(SLICE("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_false(text_parse_i64(SLICE("9223372036854775808"), &i));
    assert_false(text_parse_i64(SLICE("-"), &i));
    assert_true(text_parse_i64(SLICE("12"), &i));
    assert_int_equal(i, 12);
    assert_true(text_parse_bool(SLICE("on"), &b) && b);
    assert_true(text_parse_bool(SLICE("no"), &b) && !b);
    assert_false(text_parse_bool(SLICE("maybe"), &b));
}

static void durations_and_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } durations[] =
        {
            {"0", 0},        {"250ms", 250},
            {"10s", 10000},  {"5m", 300000},
            {"1h", 3600000}, {"7d", 604800000},
            {"1.5s", 1500},  {"1m30s", 90000},
            {"0.25s", 250},  {"1d1h1m1s1ms", 90061001},
        },
      sizes[] = {
          {"512", 512},           {"4k", 4096},  {"64KiB", 65536}, {"16m", 16777216},
          {"1.5GiB", 1610612736}, {"2kb", 2048}, {"1b", 1},        {"1TiB", UINT64_C(1) << 40},
      };
    uint64_t value;
    char room[64];
    for (size_t k = 0; k < sizeof durations / sizeof durations[0]; k++) {
        assert_true(text_parse_duration(slice_of(durations[k].text), &value));
        assert_int_equal(value, durations[k].value);
        text_print_duration(room, sizeof room, value);
        assert_true(text_parse_duration(slice_of(room), &value));
        assert_int_equal(value, durations[k].value);
    }
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        assert_true(text_parse_size(slice_of(sizes[k].text), &value));
        assert_int_equal(value, sizes[k].value);
        text_print_size(room, sizeof room, value);
        assert_true(text_parse_size(slice_of(room), &value));
        assert_int_equal(value, sizes[k].value);
    }
    static const char *const bad[] = {"",
                                      "s",
                                      "1",
                                      "1x",
                                      "1s1s",
                                      "1s1m",
                                      "-1s",
                                      "1 s",
                                      "1.s",
                                      "0.0001s",
                                      "300000000000d",
                                      "1.0000000001s",
                                      "18446744073709551616ms",
                                      "1s "};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_false(text_parse_duration(slice_of(bad[k]), &value));
    }
    static const char *const bad_sizes[] = {"",    "k",           "1z",  "1 k",
                                            "0.5", "16777216TiB", "1kk", "1KiBs"};
    for (size_t k = 0; k < sizeof bad_sizes / sizeof bad_sizes[0]; k++) {
        assert_false(text_parse_size(slice_of(bad_sizes[k]), &value));
    }
    text_print_duration(room, sizeof room, 90000);
    assert_string_equal(room, "1m30s");
    text_print_size(room, sizeof room, 65536);
    assert_string_equal(room, "64KiB");
}

static void suggestions(void **state)
{
    (void)state;
    static const char *const words[] = {"upstreams", "listeners", "routes", "admin"};
    assert_string_equal(text_did_you_mean(SLICE("upstrems"), words, 4), "upstreams");
    assert_string_equal(text_did_you_mean(SLICE("ruotes"), words, 4), "routes");
    assert_null(text_did_you_mean(SLICE("zzzzzz"), words, 4));
    assert_null(text_did_you_mean(SLICE(""), words, 0));
    assert_int_equal(text_distance(SLICE("kitten"), SLICE("sitting")), 3);
    assert_int_equal(text_distance(SLICE("ab"), SLICE("ba")), 1);
    assert_int_equal(text_distance(SLICE(""), SLICE("abc")), 3);
    char longer[100];
    memset(longer, 'x', sizeof longer);
    assert_int_equal(text_distance((struct slice){longer, 100}, SLICE("x")), 100);
    assert_int_equal(text_distance(SLICE("x"), (struct slice){longer, 100}), 100);
}

static void json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *escaped;
    } rows[] = {
        {"plain", "plain"},
        {"\"\\\b\f\n\r\t", "\\\"\\\\\\b\\f\\n\\r\\t"},
        {"\x01\x7f", "\\u0001\\u007f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf5", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut */
        {"\xc3z", "\xef\xbf\xbdz"},
    };
    char room[64];
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        size_t len = text_json_escape(room, sizeof room, slice_of(rows[k].text));
        assert_string_equal(room, rows[k].escaped);
        assert_int_equal(len, strlen(rows[k].escaped));
    }
    assert_int_equal(text_json_escape(room, 4, SLICE("ab\ncd")), 6); /* cut before an escape */
    assert_string_equal(room, "ab");
    assert_int_equal(text_json_escape(NULL, 0, SLICE("ab")), 2);
}

/* One odd byte among plain ones, at each place of a text that is read eight bytes at a time. */
static void json_among_plain_bytes(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (uint32_t place = 0; place < 19; place++) {
            char text[19], odd[8], expected[32], room[32];
            memset(text, 'x', sizeof text);
            text[place] = (char)byte;
            size_t more = text_json_escape(odd, sizeof odd, (struct slice){text + place, 1});
            memset(expected, 'x', sizeof expected);
            memcpy(expected + place, odd, more);
            expected[18 + more] = '\0';
            assert_true(byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\' ? more == 1
                                                                                   : more > 1);
            assert_int_equal(text_json_escape(room, sizeof room, (struct slice){text, sizeof text}),
                             18 + more);
            assert_string_equal(room, expected);
        }
    }
    for (size_t size = 1; size < 30; size++) { /* as much as fits, and nothing behind it */
        char room[32];
        memset(room, '#', sizeof room);
        assert_int_equal(text_json_escape(room, size, SLICE("0123456789abcdef\"ghi")), 21);
        assert_int_equal(strlen(room), size <= 17   ? size - 1
                                       : size == 18 ? 16
                                       : size < 22  ? size - 1
                                                    : 21);
        assert_int_equal(room[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),
        cmocka_unit_test(splitting),
        cmocka_unit_test(numbers),
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(json),
        cmocka_unit_test(json_among_plain_bytes),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
