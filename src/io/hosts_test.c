/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hosts.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static uint32_t find(const char *text, const char *name)
{
    struct dns_answer answer = {0};
    bool found = hosts_find(text, strlen(text), name, &answer);
    assert_int_equal(found, answer.count > 0);
    return answer.count;
}

static void every_line_with_the_name_counts(void **state)
{
    (void)state;
    static const char text[] = "# comment\n127.0.0.1\tlocalhost  Alias\n::1 localhost#tail\r\n"
                               "\n  192.0.2.1   spaced name.example\r\n192.0.2.2 last";
    assert_int_equal(find(text, "localhost"), 2);
    assert_int_equal(find(text, "alias"), 1);
    assert_int_equal(find(text, "name.example"), 1);
    assert_int_equal(find(text, "last"), 1);
    assert_int_equal(find(text, "192.0.2.2"), 0);
    assert_int_equal(find(text, "comment"), 0);
    assert_int_equal(find(text, "tail"), 0);
    assert_int_equal(find(text, "name"), 0);
}

static void lines_that_are_none_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(find("", "a"), 0);
    assert_int_equal(find("a", "a"), 0);
    assert_int_equal(find("300.0.0.1 a\nfe80::1%lo a\n1234:5678:1234:5678:1234:5678:1234:5678:9 a\n"
                          "nonsense a\n10.0.0.1 a\n",
                          "a"),
                     1);
}

static void what_is_beyond_the_limit_is_not_looked_at(void **state)
{
    (void)state;
    char text[64 * 40] = "";
    for (int i = 0; i < 64; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "10.0.0.%d many\n", i);
    }
    assert_int_equal(find(text, "many"), DNS_ADDRESSES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_with_the_name_counts),
        cmocka_unit_test(lines_that_are_none_are_passed_over),
        cmocka_unit_test(what_is_beyond_the_limit_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
