/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#include "support/unit.h"

#include <string.h>

struct sample {
    const char *text;
    bool is_good; /* as a whole */
};

static const struct sample samples[] = {
    {"", true},
    {"plain ASCII, longer than one word of eight bytes", true},
    {"gr\xc3\xbc\xc3\x9f", true},
    {"\xe2\x82\xac and \xf0\x9f\x90\x9f", true},
    {"\xee\x80\x80", true},      /* U+E000, after the surrogates */
    {"\xf4\x8f\xbf\xbf", true},  /* U+10FFFF, the last one */
    {"\xc3", false},             /* cut */
    {"12345678\xe2\x82", false}, /* cut after a whole word */
    {"\x80", false},             /* nothing to continue */
    {"\xc0\xaf", false},         /* overlong */
    {"\xc1\xbf", false},         /* overlong */
    {"\xe0\x9f\xbf", false},     /* overlong */
    {"\xf0\x8f\xbf\xbf", false}, /* overlong */
    {"\xed\xa0\x80", false},     /* a surrogate */
    {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
    {"\xf5\x80\x80\x80", false}, /* so far beyond that no lead byte says it */
    {"\xff", false},
    {"\xe2(\xa1", false}, /* broken off in the middle */
    {"12345678\xe2\x82"
     "a",
     false},
};

static bool judge(const char *text, size_t len, size_t step)
{
    struct utf8 utf8 = {0};
    for (size_t at = 0; at < len; at += step) {
        if (!utf8_feed(&utf8, text + at, len - at < step ? len - at : step)) {
            return false;
        }
    }
    return utf8_is_whole(&utf8);
}

static void the_cuts_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        size_t len = strlen(samples[i].text);
        for (size_t step = 1; step <= len + 1; step++) {
            assert_int_equal(judge(samples[i].text, len, step), samples[i].is_good);
        }
    }
}

/* Every character there is, written by the rule of RFC 3629 §3. */
static void every_character(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c <= 0x110000; c++) {
        char text[4];
        size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)(0x80 | (c >> (6 * (len - 1 - i)) & 0x3f));
        }
        text[0] = (char)((0xf00U >> len & 0xf0) | c >> (6 * (len - 1)));
        bool is_character = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        assert_int_equal(judge(text, len, len), is_character);
        char written[UTF8_MAX];
        assert_int_equal(utf8_write(c, written), len);
        assert_memory_equal(written, text, len);
    }
}

/* A byte that no text goes on with is noticed at once. */
static void at_the_first_wrong_byte(void **state)
{
    (void)state;
    struct utf8 utf8 = {0};
    assert_false(utf8_feed(&utf8, "\xed\xa0", 2));
    utf8 = (struct utf8){0};
    assert_true(utf8_feed(&utf8, "\xf4", 1));
    assert_false(utf8_feed(&utf8, "\x90", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cuts_do_not_matter),
        cmocka_unit_test(every_character),
        cmocka_unit_test(at_the_first_wrong_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
