/* SPDX-License-Identifier: Apache-2.0
 *
 * capacity_test.c - Erlang's formula against values from tables, and the size that follows from it.
 */
#include "gateway/capacity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

/* M/M/1: the part that waits is the load; M/M/2 at load 1: 1/3; 10 servers at load 8: 0.4092. */
static void the_part_that_waits(void **state)
{
    (void)state;
    assert_true(fabs(capacity_erlang_c(0.5, 1) - 0.5) < 1e-12);
    assert_true(fabs(capacity_erlang_c(1, 2) - 1.0 / 3) < 1e-12);
    assert_true(fabs(capacity_erlang_c(8, 10) - 0.4092) < 1e-4);
    assert_true(capacity_erlang_c(0, 5) == 0);
    assert_true(capacity_erlang_c(3, 100000) == 0);
}

static void too_much_always_waits(void **state)
{
    (void)state;
    assert_true(capacity_erlang_c(2, 2) == 1 && capacity_erlang_c(5, 2) == 1
                && capacity_erlang_c(1, 0) == 1);
}

static void the_least_that_is_enough(void **state)
{
    (void)state;
    static const double loads[] = {0, 0.001, 0.5, 1, 7.5, 100, 5000};
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        uint32_t servers = capacity_servers_for(loads[i]);
        assert_true(servers >= 1 && servers > loads[i]);
        assert_true(capacity_erlang_c(loads[i], servers) <= CAPACITY_WAIT_PART);
        assert_true(servers == 1 || capacity_erlang_c(loads[i], servers - 1) > CAPACITY_WAIT_PART);
    }
    assert_int_equal(capacity_servers_for(1e9), CAPACITY_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_part_that_waits),
        cmocka_unit_test(too_much_always_waits),
        cmocka_unit_test(the_least_that_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
