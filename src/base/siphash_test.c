/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include "support/unit.h"

/* The key 00 01 … 0f and the messages of its authors' test vectors: 00, 00 01, 00 01 02, … */
static const struct siphash_key known = {UINT64_C(0x0706050403020100),
                                         UINT64_C(0x0f0e0d0c0b0a0908)};

static void agrees_with_its_authors(void **state)
{
    (void)state;
    unsigned char message[16];
    uint64_t wide[2];
    for (unsigned i = 0; i < sizeof message; i++) {
        message[i] = (unsigned char)i;
    }
    assert_true(siphash(&known, message, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(&known, message, 1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(siphash(&known, message, 8) == UINT64_C(0x93f5f5799a932462));
    assert_true(siphash(&known, message, 15) == UINT64_C(0xa129ca6149be45e5));
    siphash_wide(&known, message, 0, wide);
    assert_true(wide[0] == UINT64_C(0xe6a825ba047f81a3) && wide[1] == UINT64_C(0x930255c71472f66d));
    siphash_wide(&known, message, 1, wide);
    assert_true(wide[0] == UINT64_C(0x44af996bd8c187da) && wide[1] == UINT64_C(0x45fc229b11597634));
}

static void follows_the_key(void **state)
{
    (void)state;
    const struct siphash_key other = {known.low, known.high + 1};
    assert_false(siphash(&known, "weir", 4) == siphash(&other, "weir", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_its_authors),
        cmocka_unit_test(follows_the_key),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
