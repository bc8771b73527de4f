/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sse.h"

#include "support/unit.h"

#include <string.h>

static void where_it_is_between(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_between, is_crlf;
    } rows[] = {
        {"", true, false},
        {"d", false, false},
        {"data: 1", false, false},
        {"data: 1\n", false, false},
        {"data: 1\n\n", true, false},
        {"data: 1\n\n: ping\n", false, false},
        {"data: 1\n\n: ping\n\n", true, false},
        {"data: 1\n\nd", false, false},
        {"data: 1\r\n", false, true},
        {"data: 1\r\n\r", false, false}, /* its LF is still to come */
        {"data: 1\r\n\r\n", true, true},
        {"data: 1\r", false, false},
        {"data: 1\r\r", true, false},
        {"data: 1\n\r\n", true, true},
        {"data: 1\r\r\n", true, true},
        {"data: 1\n\r", false, false},
        {"\n", true, false},
        {"\r", false, false},
        {"\r\n", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text);
        for (size_t step = 1; step <= len + 1; step++) {
            struct sse sse;
            sse_begin(&sse);
            for (size_t at = 0; at < len; at += step) {
                sse_feed(&sse, rows[i].text + at, len - at < step ? len - at : step);
            }
            assert_int_equal(sse_is_between(&sse), rows[i].is_between);
            assert_int_equal(sse_is_crlf(&sse), rows[i].is_crlf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(where_it_is_between)};
    return cmocka_run_group_tests_name("proto/sse", tests, NULL, NULL);
}
