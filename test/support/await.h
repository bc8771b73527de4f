/* SPDX-License-Identifier: Apache-2.0
 *
 * await.h - for tests: steps are taken until something is true. There is no clock in the condition;
 * a test that waits longer than the deadline has failed. `step` may be several statements. Under
 * valgrind, which `make valgrind` says by WEIR_VALGRIND, all takes longer, and so may it.
 */
#pragma once
#include "io/clock.h"
#include "support/unit.h"

#include <stdlib.h>

#define AWAIT_VALGRIND_TIMES 10U

static inline bool is_under_valgrind(void)
{
    return getenv("WEIR_VALGRIND") != NULL;
}

static inline uint64_t await_until_ms(uint64_t deadline_ms)
{
    return clock_now_ms() + deadline_ms * (is_under_valgrind() ? AWAIT_VALGRIND_TIMES : 1U);
}

#define await_true(condition, deadline_ms, step)                                                   \
    do {                                                                                           \
        uint64_t await_end_ms_ = await_until_ms(deadline_ms);                                      \
        while (!(condition)) {                                                                     \
            await_in_time(await_end_ms_, #condition, __FILE__, __LINE__);                          \
            step;                                                                                  \
        }                                                                                          \
    } while (0)

/* As fail_msg(), of the test's line. */
static inline void await_in_time(uint64_t end_ms, const char *what, const char *file, int line)
{
    if (clock_now_ms() > end_ms) {
        print_error("never became true: %s\n", what);
        _fail(file, line);
    }
}
