/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pattern.h"

#include "support/unit.h"

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"a", "a", true},         {"a", "b", false},         {"a", "aa", false},
        {"", "", true},           {"", "a", false},          {"*", "", true},
        {"*", "anything", true},  {"a*", "a", true},         {"a*", "abc", true},
        {"a*", "ba", false},      {"*c", "abc", true},       {"*c", "abcd", false},
        {"a*c", "abcbc", true},   {"a*b*c", "aXbYc", true},  {"a*b*c", "acb", false},
        {"**", "", true},         {"a**b", "ab", true},      {"*ab", "aab", true},
        {"*a*b*", "bbabb", true}, {"*a*b*", "bbaaa", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(pattern_fits(rows[i].pattern, slice_of(rows[i].text)), rows[i].fits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
