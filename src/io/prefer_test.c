/* SPDX-License-Identifier: Apache-2.0 */
#include "io/prefer.h"

#include "support/unit.h"

static uint32_t precedence(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(text, &ip));
    return prefer_precedence(&ip);
}

static void kinds_of_addresses_have_their_precedence(void **state)
{
    (void)state;
    assert_int_equal(precedence("::1"), 50);
    assert_int_equal(precedence("2a00:1450::1"), 40);
    assert_int_equal(precedence("192.0.2.1"), 35);
    assert_int_equal(precedence("::ffff:192.0.2.1"), 35);
    assert_int_equal(precedence("2002:c000:201::1"), 30);
    assert_int_equal(precedence("2001:0:1::1"), 5);
    assert_int_equal(precedence("2001:db8::1"), 40);
    assert_int_equal(precedence("fd00::1"), 3);
    assert_int_equal(precedence("fc00::1"), 3);
    assert_int_equal(precedence("fec0::1"), 1);
    assert_int_equal(precedence("fe80::1"), 40);
    assert_int_equal(precedence("3ffe::1"), 1);
    assert_int_equal(precedence("::192.0.2.1"), 1);
}

static void what_comes_behind_ipv4_is_not_preferred(void **state)
{
    (void)state;
    struct ip ip;
    assert_true(ip_parse("fd00::1", &ip));
    assert_false(prefer_v6(&ip));
    assert_true(ip_parse("2002:c000:201::1", &ip));
    assert_false(prefer_v6(&ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_addresses_have_their_precedence),
        cmocka_unit_test(what_comes_behind_ipv4_is_not_preferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
