/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/environment.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

static void hidden_and_still_known(void **state)
{
    (void)state;
    setenv("WEIR_TEST_SECRET", "planted", 1);
    setenv("WEIR_TEST_OTHER", "plain", 1);
    const char *there = getenv("WEIR_TEST_SECRET");
    assert_string_equal(environment_get("WEIR_TEST_SECRET"), "planted");
    assert_null(environment_get("WEIR_TEST_NONE"));
    environment_hide();
    for (size_t i = 0; i < strlen("planted"); i++)
        assert_int_equal(there[i], 0); /* overwritten where it stood */
    assert_string_equal(getenv("WEIR_TEST_OTHER"), "plain");
    assert_string_equal(environment_get("WEIR_TEST_SECRET"), "planted");
    environment_hide(); /* once more changes nothing */
    assert_string_equal(environment_get("WEIR_TEST_SECRET"), "planted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hidden_and_still_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
