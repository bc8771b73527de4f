/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - the two clocks, and what is made of them once a second.
 *
 * Monotonic time is for deadlines and durations, wall time for dates alone. Within a loop read
 * loop_now_ms() instead: one reading a turn.
 */
#pragma once
#include <stdint.h>

uint64_t clock_now_ms(void); /* CLOCK_MONOTONIC */
uint64_t clock_now_ns(void);
uint64_t clock_coarse_ms(void); /* up to 10 ms behind, for a quarter of the cost */
uint64_t clock_wall_ms(void);   /* since 1970, UTC */
uint64_t clock_thread_ns(void); /* processor time of this thread: what it did, not what it waited */

#define CLOCK_HTTP_DATE 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7) */
#define CLOCK_STAMP     24 /* "1994-11-06T08:49:37.123Z" (RFC 3339) */

void clock_http_date(uint64_t wall_ms, char ret_text[static CLOCK_HTTP_DATE + 1]);
void clock_stamp(uint64_t wall_ms, char ret_text[static CLOCK_STAMP + 1]);

/* A stamp kept for the next one: within a second three digits are all that changes. All zeroes, it
 * is empty. */
struct clock_stamper {
    uint64_t second;
    char text[CLOCK_STAMP + 1];
};
const char *clock_stamp_at(struct clock_stamper *stamper, uint64_t wall_ms);

/* A date kept for as long as it is true: the wall clock is read again when its second is over on
 * the monotonic one, so a clock that was set shows within a second. All zeroes, it is empty. */
struct clock_date {
    uint64_t until_ms; /* monotonic */
    char text[CLOCK_HTTP_DATE + 1];
};
const char *clock_date_at(struct clock_date *date, uint64_t now_ms);

/* Wall time of a monotonic one, both read at most once a second: for stamps in logs. */
struct clock_wall {
    uint64_t until_ms;
    uint64_t ahead_ms; /* wall - monotonic */
};
uint64_t clock_wall_at(struct clock_wall *wall, uint64_t now_ms);
