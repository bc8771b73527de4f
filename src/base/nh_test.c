/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nh.h"

#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXTS 100000U

static const struct siphash_key secret = {1, 2};

static struct nh_key key_of(uint64_t low)
{
    struct nh_key key;
    nh_key_init(&key, &(struct siphash_key){low, 2});
    return key;
}

/* What RFC 4418 says of two blocks, written down again: each block's words plus the key's, in one
 * product; and then as nh.h says. */
static void is_the_sum_of_products(void **state)
{
    (void)state;
    const struct nh_key key = key_of(secret.low);
    uint64_t words[4] = {1, UINT64_MAX, UINT64_C(0x0123456789abcdef), 4};
    unsigned __int128 sum = sizeof words;
    for (unsigned i = 0; i < 4; i += 2) {
        uint64_t a = words[i] + key.words[i], b = words[i + 1] + key.words[i + 1];
        sum += (unsigned __int128)a * b;
    }
    unsigned __int128 last = (unsigned __int128)((uint64_t)sum ^ key.last[0])
                             * ((uint64_t)(sum >> 64) ^ key.last[1]);
    assert_true(nh(&key, words, sizeof words) == ((uint64_t)last ^ (uint64_t)(last >> 64)));
}

/* Of each length, at the end of what may be read, every bit of it counts. */
static void every_bit_of_every_length_counts(void **state)
{
    (void)state;
    const struct nh_key key = key_of(secret.low);
    uint64_t before = nh(&key, "", 0);
    for (size_t len = 1; len <= NH_TEXT_MAX; len++) {
        unsigned char *text = calloc(1, len); /* the sanitizer sees what lies behind it */
        assert_non_null(text);
        uint64_t plain = nh(&key, text, len);
        assert_false(plain == before); /* zeroes, one fewer */
        for (size_t bit = 0; bit < 8 * len; bit++) {
            text[bit / 8] ^= (unsigned char)(1U << bit % 8);
            assert_false(nh(&key, text, len) == plain);
            text[bit / 8] ^= (unsigned char)(1U << bit % 8);
        }
        before = plain;
        free(text);
    }
}

static void follows_the_key(void **state)
{
    (void)state;
    const struct nh_key one = key_of(1), other = key_of(3);
    assert_false(nh(&one, "weir", 4) == nh(&other, "weir", 4));
    assert_false(nh(&one, "", 0) == nh(&other, "", 0));
}

/* 100 000 names that differ in their last digits fill 65 536 buckets as chance would: one in
 * e^1.526 = 4.6 stays empty, with a deviation of 90. */
static void spreads_names_that_are_alike(void **state)
{
    (void)state;
    const struct nh_key key = key_of(secret.low);
    static bool is_full[65536];
    unsigned empty = 0;
    char name[24];
    for (unsigned i = 0; i < TEXTS; i++) {
        int len = snprintf(name, sizeof name, "user-%07u", i);
        is_full[(uint32_t)nh(&key, name, (size_t)len) >> 16] = true;
    }
    for (unsigned i = 0; i < 65536; i++) {
        empty += !is_full[i];
    }
    assert_in_range(empty, 14250 - 600, 14250 + 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_sum_of_products),
        cmocka_unit_test(every_bit_of_every_length_counts),
        cmocka_unit_test(follows_the_key),
        cmocka_unit_test(spreads_names_that_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
