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

/* As Python 3.11 says with PYTHONHASHSEED=0, whose key is zeroes: hash(bytes(range(n))), n from 1.
 */
static void the_quick_one_agrees_with_python(void **state)
{
    (void)state;
    static const uint64_t hashes[] = {
        UINT64_C(0x68a914128e01e473), UINT64_C(0x010bac45c41e3669), UINT64_C(0x4d4c9a4a8ef6e0ad),
        UINT64_C(0x7cc43f98813e4dbd), UINT64_C(0x5abe2169dff36275), UINT64_C(0xe3c25f87624f1cdb),
        UINT64_C(0x2f098ab0c751325a), UINT64_C(0xead411e67ebe2eea), UINT64_C(0x75927f9d95124362),
        UINT64_C(0xaf9f77a65ab51a1d), UINT64_C(0xfe64ce8b6617fcff), UINT64_C(0xa6baf4fb0f9fe1c2),
        UINT64_C(0xa0cf3211850f8e0d), UINT64_C(0x7f86049379fbfe67), UINT64_C(0xf30eb725bb91c9ea),
        UINT64_C(0x8972188433a5c5b7), UINT64_C(0x4883c49a2c009c1d)};
    const struct siphash_key none = {0, 0};
    unsigned char message[sizeof hashes / sizeof hashes[0]];
    for (unsigned i = 0; i < sizeof message; i++) {
        message[i] = (unsigned char)i;
        assert_true(siphash_quick(&none, message, i + 1) == hashes[i]);
    }
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
        cmocka_unit_test(the_quick_one_agrees_with_python),
        cmocka_unit_test(follows_the_key),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
