/* SPDX-License-Identifier: Apache-2.0 */
#include "session/ident.h"

#include "base/rand.h"
#include "support/unit.h"

static struct ident_secret secret_of(unsigned char fill)
{
    unsigned char bytes[IDENT_SECRET];
    memset(bytes, fill, sizeof bytes);
    return ident_secret_of(bytes);
}

static void what_is_made_is_known_and_what_is_not_is_refused(void **state)
{
    (void)state;
    struct ident_secret ours = secret_of(1), other = secret_of(2);
    struct rand rand;
    rand_init(&rand, 1);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t random[2] = {rand_next(&rand), rand_next(&rand)};
        struct session_id id = ident_make(&ours, (const unsigned char *)random);
        assert_true(id.high == random[0] && id.low >> 48 == random[1] >> 48);
        assert_true(ident_is_made(&ours, id));
        assert_false(ident_is_made(&other, id));
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t flip = UINT64_C(1) << bit;
            assert_false(ident_is_made(&ours, (struct session_id){id.high ^ flip, id.low}));
            assert_false(ident_is_made(&ours, (struct session_id){id.high, id.low ^ flip}));
        }
        assert_false(ident_is_made(&ours, (struct session_id){random[0], random[1]}));
    }
}

static void tenants_with_equal_keys_never_share(void **state)
{
    (void)state;
    struct ident_secret ours = secret_of(1), other = secret_of(2);
    char text[IDENT_KEY] = {0};
    struct session_id a = ident_keyed(&ours, SLICE("a"), SLICE("bc"));
    assert_true(session_id_same(a, ident_keyed(&ours, SLICE("a"), SLICE("bc"))));
    assert_false(session_id_same(a, ident_keyed(&ours, SLICE("ab"), SLICE("c"))));
    assert_false(session_id_same(a, ident_keyed(&ours, SLICE("b"), SLICE("bc"))));
    assert_false(session_id_same(a, ident_keyed(&ours, SLICE(""), SLICE("abc"))));
    assert_false(session_id_same(a, ident_keyed(&other, SLICE("a"), SLICE("bc"))));
    assert_false(ident_is_made(&ours, a));
    (void)ident_keyed(&ours, SLICE(""), (struct slice){text, IDENT_KEY});
}

static void the_text_goes_both_ways(void **state)
{
    (void)state;
    char text[IDENT_TEXT + 1];
    struct session_id back, id = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    ident_text(id, text);
    assert_string_equal(text, "0123456789abcdeffedcba9876543210");
    assert_true(ident_parse(slice_of(text), &back));
    assert_true(session_id_same(id, back));
    assert_false(ident_parse(slice_sub(slice_of(text), 0, 31), &back));
    assert_false(ident_parse(SLICE("0123456789ABCDEFfedcba9876543210"), &back));
    assert_false(ident_parse(SLICE("0123456789abcdef\0edcba9876543210"), &back));
    assert_false(ident_parse(SLICE("00000000000000000000000000000000"), &back));
    assert_false(ident_parse(SLICE(""), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_known_and_what_is_not_is_refused),
        cmocka_unit_test(tenants_with_equal_keys_never_share),
        cmocka_unit_test(the_text_goes_both_ways),
    };
    return cmocka_run_group_tests_name("ident", tests, NULL, NULL);
}
