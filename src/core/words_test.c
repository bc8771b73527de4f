/* SPDX-License-Identifier: Apache-2.0
 *
 * Every row has a word of its own and a text; every number outside the tables is "unknown".
 */
#include <weir/weir.h>

#include "support/unit.h"

#include <string.h>

static void every_error_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_ERRS; i++) {
        const char *word = weir_err_word((weir_err)i);
        assert_true(strlen(word) > 0);
        assert_true(strlen(weir_err_text((weir_err)i)) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(word, weir_err_word((weir_err)j));
        }
    }
    assert_int_equal(weir_err_where(WEIR_OK), 0);
    assert_int_equal(weir_err_where(WEIR_ECONNECT), WEIR_ON_ALL);
}

static void every_row_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(weir_state_word(WEIR_DIALLING), "dialling");
    assert_string_equal(weir_key_state_word(WEIR_KEY_BACKING_OFF), "backing_off");
    assert_string_equal(weir_event_word(WEIR_EVENT_KEY_DOWN), "key_down");
    assert_string_equal(weir_fate_word(WEIR_UNKNOWN), "unknown");
    assert_string_equal(weir_health_word(WEIR_OVERLOADED), "overloaded");
}

static void numbers_outside_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(weir_err_word(WEIR_ERRS), "unknown");
    assert_string_equal(weir_err_text((weir_err)999), "unknown");
    assert_int_equal(weir_err_where((weir_err)999), 0);
    assert_string_equal(weir_state_word(WEIR_STATES), "unknown");
    assert_string_equal(weir_key_state_word(WEIR_KEY_STATES), "unknown");
    assert_string_equal(weir_event_word(WEIR_EVENTS), "unknown");
    assert_string_equal(weir_fate_word(WEIR_FATES), "unknown");
    assert_string_equal(weir_health_word(WEIR_HEALTHS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_word_of_its_own),
        cmocka_unit_test(every_row_has_its_word),
        cmocka_unit_test(numbers_outside_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
