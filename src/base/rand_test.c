/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include "support/unit.h"

static void follows_from_the_seed(void **state)
{
    (void)state;
    struct rand a;
    struct rand b;
    struct rand c;
    rand_init(&a, 1);
    rand_init(&b, 1);
    rand_init(&c, 2);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = rand_next(&a);
        assert_true(number == rand_next(&b));
        same += number == rand_next(&c);
    }
    assert_int_equal(same, 0);
    /* splitmix64's first output for the seed 0, as its authors publish it */
    assert_true(rand_mix(0) == UINT64_C(0xe220a8397b1dcdaf));
}

static void stays_within_its_bounds(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t counts[10] = {0};
    rand_init(&rand, 7);
    for (int i = 0; i < 100000; i++) {
        counts[rand_below(&rand, 10)]++;
        uint64_t within = rand_between(&rand, 5, 8);
        assert_in_range(within, 5, 8);
        uint64_t jittered = rand_jitter(&rand, 1000, 10);
        assert_in_range(jittered, 900, 1100);
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    assert_int_equal(rand_below(&rand, 1), 0);
    assert_int_equal(rand_jitter(&rand, 1000, 0), 1000);
    assert_int_equal(rand_jitter(&rand, 3, 10), 3);
    assert_true(rand_jitter(&rand, UINT64_MAX, 10) >= UINT64_MAX / 10 * 9);
    (void)rand_between(&rand, 0, UINT64_MAX);
    assert_true(rand_below(&rand, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    assert_true(rand_chance(&rand, 1000));
    assert_false(rand_chance(&rand, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_from_the_seed),
        cmocka_unit_test(stays_within_its_bounds),
    };
    return cmocka_run_group_tests_name("rand", tests, NULL, NULL);
}
