/* SPDX-License-Identifier: Apache-2.0 */
#include "io/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ms(void)
{
    return clock_now_ns() / 1000000U;
}

uint64_t clock_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

uint64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

uint64_t clock_thread_ns(void)
{
    struct timespec ran;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
    return (uint64_t)ran.tv_sec * 1000000000U + (uint64_t)ran.tv_nsec;
}

static struct tm utc_of(uint64_t wall_ms)
{
    time_t second = (time_t)(wall_ms / 1000U);
    struct tm utc = {0};
    gmtime_r(&second, &utc);
    return utc;
}

/* The words are English whatever the locale, so not strftime(). */
void clock_http_date(uint64_t wall_ms, char ret_text[static CLOCK_HTTP_DATE + 1])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm utc = utc_of(wall_ms);
    char text[64];
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday],
             utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
             utc.tm_sec);
    snprintf(ret_text, CLOCK_HTTP_DATE + 1, "%.*s", CLOCK_HTTP_DATE, text);
}

void clock_stamp(uint64_t wall_ms, char ret_text[static CLOCK_STAMP + 1])
{
    struct tm utc = utc_of(wall_ms);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", utc.tm_year + 1900,
             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
             (unsigned)(wall_ms % 1000U));
    snprintf(ret_text, CLOCK_STAMP + 1, "%.*s", CLOCK_STAMP, text);
}

const char *clock_stamp_at(struct clock_stamper *stamper, uint64_t wall_ms)
{
    unsigned ms = (unsigned)(wall_ms % 1000U);
    if (wall_ms / 1000U != stamper->second || stamper->text[0] == '\0') {
        clock_stamp(wall_ms, stamper->text);
        stamper->second = wall_ms / 1000U;
    }
    char *digits = stamper->text + CLOCK_STAMP - 4;
    digits[0] = (char)('0' + ms / 100);
    digits[1] = (char)('0' + ms / 10 % 10);
    digits[2] = (char)('0' + ms % 10);
    return stamper->text;
}

const char *clock_date_at(struct clock_date *date, uint64_t now_ms)
{
    if (now_ms >= date->until_ms) {
        uint64_t wall_ms = clock_wall_ms();
        clock_http_date(wall_ms, date->text);
        date->until_ms = now_ms + 1000U - wall_ms % 1000U;
    }
    return date->text;
}

uint64_t clock_wall_at(struct clock_wall *wall, uint64_t now_ms)
{
    if (now_ms >= wall->until_ms) {
        wall->ahead_ms = clock_wall_ms() - now_ms;
        wall->until_ms = now_ms + 1000U;
    }
    return now_ms + wall->ahead_ms;
}
