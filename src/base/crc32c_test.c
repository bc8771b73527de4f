/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include "base/rand.h"
#include "support/unit.h"

#include <string.h>

static void agrees_with_the_standard(void **state)
{
    (void)state;
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aaU); /* RFC 3720 appendix B.4 */
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43U);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void is_the_same_in_pieces_and_by_arithmetic(void **state)
{
    (void)state;
    unsigned char bytes[256];
    struct rand rand;
    rand_init(&rand, 1);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)rand_next(&rand);
    }
    for (size_t len = 0; len <= sizeof bytes; len++) {
        size_t cut = (size_t)rand_below(&rand, len + 1);
        uint32_t whole = crc32c(0, bytes, len);
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, len - cut), whole);
        assert_int_equal(crc32c_plain(0, bytes, len), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_standard),
        cmocka_unit_test(is_the_same_in_pieces_and_by_arithmetic),
    };
    return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
