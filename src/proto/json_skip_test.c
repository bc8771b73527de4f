/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_skip.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

#define LEN_MAX 70U

typedef const char *skipper(const char *at, const char *end);

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

/* A byte of every value, at every place of strings of every length: of memory that ends with them,
 * so that nobody may look behind. */
static void stops_at_the_first(skipper *it)
{
    for (size_t len = 0; len <= LEN_MAX; len++) {
        char *text = malloc(len + 1);
        char *from = text + 1; /* not where sixteen bytes begin */
        for (size_t place = 0; place < len; place++) {
            memset(from, 0xc3, len);
            from[len - 1] = '"';
            for (unsigned c = 0; c < 256; c++) {
                from[place] = (char)c;
                const char *stop = !is_plain((unsigned char)c) ? from + place : from + len - 1;
                if (place == len - 1 && is_plain((unsigned char)c)) {
                    stop = from + len;
                }
                assert_ptr_equal(it(from, from + len), stop);
            }
        }
        assert_ptr_equal(it(from, from), from);
        free(text);
    }
}

static void with_what_the_processor_has(void **state)
{
    (void)state;
    stops_at_the_first(json_skip_plain);
}

static void with_any_processor(void **state)
{
    (void)state;
    stops_at_the_first(json_skip_plain_portable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_what_the_processor_has),
        cmocka_unit_test(with_any_processor),
    };
    return cmocka_run_group_tests_name("proto/json_skip", tests, NULL, NULL);
}
