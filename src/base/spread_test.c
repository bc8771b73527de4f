/* SPDX-License-Identifier: Apache-2.0
 *
 * spread_test.c - quantiles beside those of the values themselves.
 */
#include "base/spread.h"

#include "support/unit.h"

static void quantiles_are_within_three_percent(void **state)
{
    (void)state;
    static struct spread spread;
    uint64_t value = 1;
    static uint64_t values[2000]; /* ascending */
    unsigned count = 0;
    while (count < 2000 && value < UINT64_C(1) << 39) {
        values[count++] = value;
        value += value / 64 + 1;
    }
    for (unsigned i = count; i > 0; i--)
        spread_add(&spread, values[i - 1]);
    assert_int_equal(spread.count, count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = spread_at(&spread, (double)(i + 1) / count);
        assert_true(at >= values[i] && at <= values[i] + values[i] / 32);
        assert_true(spread_count_to(&spread, values[i]) >= i + 1);
    }
    assert_int_equal(spread_at(&spread, 1), values[count - 1]);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    static struct spread spread;
    for (uint64_t i = 0; i < 32; i++)
        spread_add(&spread, i);
    assert_int_equal(spread_at(&spread, 0.5), 15);
    assert_int_equal(spread_count_to(&spread, 7), 8);
}

static void none_and_too_many(void **state)
{
    (void)state;
    static struct spread none, far, both;
    assert_int_equal(spread_at(&none, 0.99), 0);
    spread_add(&far, UINT64_MAX);
    assert_true(spread_at(&far, 0.5) >= UINT64_C(1) << 39);
    spread_merge(&both, &far);
    spread_merge(&both, &far);
    assert_int_equal(both.count, 2);
    assert_int_equal(both.max, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_three_percent),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(none_and_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
