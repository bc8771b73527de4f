/* SPDX-License-Identifier: Apache-2.0 */
#include "io/clock.h"

#include "support/unit.h"

#include <string.h>

#define RFC_EXAMPLE_MS 784111777123U /* Sun, 06 Nov 1994 08:49:37.123 */

static void dates_are_as_the_standards_write_them(void **state)
{
    (void)state;
    char date[CLOCK_HTTP_DATE + 1], stamp[CLOCK_STAMP + 1];
    clock_http_date(RFC_EXAMPLE_MS, date);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    clock_stamp(RFC_EXAMPLE_MS, stamp);
    assert_string_equal(stamp, "1994-11-06T08:49:37.123Z");
    clock_http_date(0, date);
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    clock_http_date(951782400000U, date); /* a leap day of a century */
    assert_string_equal(date, "Tue, 29 Feb 2000 00:00:00 GMT");
}

static void a_stamp_is_kept_until_its_second_is_over(void **state)
{
    (void)state;
    struct clock_stamper stamper = {0};
    assert_string_equal(clock_stamp_at(&stamper, 0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_stamp_at(&stamper, RFC_EXAMPLE_MS), "1994-11-06T08:49:37.123Z");
    assert_string_equal(clock_stamp_at(&stamper, RFC_EXAMPLE_MS + 876), "1994-11-06T08:49:37.999Z");
    assert_string_equal(clock_stamp_at(&stamper, RFC_EXAMPLE_MS + 877), "1994-11-06T08:49:38.000Z");
    assert_string_equal(clock_stamp_at(&stamper, RFC_EXAMPLE_MS - 123), "1994-11-06T08:49:37.000Z");
}

static void a_date_is_kept_until_its_second_is_over(void **state)
{
    (void)state;
    struct clock_date date = {0};
    uint64_t now_ms = 5000;
    assert_int_equal(strlen(clock_date_at(&date, now_ms)), CLOCK_HTTP_DATE);
    assert_true(date.until_ms > now_ms && date.until_ms <= now_ms + 1000);
    strcpy(date.text, "kept");
    assert_string_equal(clock_date_at(&date, date.until_ms - 1), "kept");
    assert_int_equal(strlen(clock_date_at(&date, date.until_ms)), CLOCK_HTTP_DATE);
}

static void wall_time_follows_monotonic_time(void **state)
{
    (void)state;
    struct clock_wall wall = {0};
    uint64_t before_ms = clock_wall_ms();
    uint64_t first_ms = clock_wall_at(&wall, 7000);
    assert_true(first_ms >= before_ms && first_ms <= clock_wall_ms());
    assert_int_equal(clock_wall_at(&wall, 7999), first_ms + 999);
}

static void monotonic_time_goes_forward(void **state)
{
    (void)state;
    uint64_t ns = clock_now_ns();
    assert_true(clock_now_ns() >= ns);
    assert_true(clock_now_ms() >= ns / 1000000U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_as_the_standards_write_them),
        cmocka_unit_test(a_stamp_is_kept_until_its_second_is_over),
        cmocka_unit_test(a_date_is_kept_until_its_second_is_over),
        cmocka_unit_test(wall_time_follows_monotonic_time),
        cmocka_unit_test(monotonic_time_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
