/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/basic.h"

#include "support/unit.h"

#include <string.h>

static void passwords(void **state)
{
    (void)state;
    static const struct {
        const char *value, *password;
    } rows[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "open sesame"}, /* RFC 7617 §2 */
        {"basic  OnM=", "s"},                                  /* :s */
        {"BASIC YTpiOmM=", "b:c"},                             /* a:b:c */
        {"Basic YTo=", ""},
        {"Basic YTr/+w==", "\xff\xfb"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char room[BASIC_BYTES_MAX];
        struct slice password;
        assert_true(basic_password(slice_of(rows[i].value), room, &password));
        assert_true(slice_is(password, rows[i].password));
    }
}

static void what_is_none(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",           "Basic",           "Basic ",     "Bearer YTpi", "Basic YTpi=",
        "Basic YTp",  "Basic Y",         "Basic ====", "Basic YWI=",  "Basic YT=i",
        "Basic YTo*", "Basic YTpi YTpi", "Basic YToA", "BasicYTpi",   "Basic -_pi",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char room[BASIC_BYTES_MAX];
        struct slice password;
        assert_false(basic_password(slice_of(values[i]), room, &password));
    }
    char room[BASIC_BYTES_MAX], value[7 + BASIC_BYTES_MAX / 3 * 4 + 4] = "Basic ";
    struct slice password;
    memset(value + 6, 'O', sizeof value - 6); /* 8:s, again and again */
    assert_true(basic_password((struct slice){value, 6 + BASIC_BYTES_MAX / 3 * 4}, room, &password)
                == (memchr(room, ':', BASIC_BYTES_MAX) != NULL));
    assert_false(
        basic_password((struct slice){value, 6 + BASIC_BYTES_MAX / 3 * 4 + 4}, room, &password));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
