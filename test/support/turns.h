/* SPDX-License-Identifier: Apache-2.0
 *
 * turns.h - for tests on a real loop: turn it until something is true. There is no sleep and no
 * clock in the condition; a test that waits longer than the deadline has failed.
 */
#pragma once
#include "io/clock.h"
#include "io/loop.h"
#include "support/unit.h"

#define TURNS_DEADLINE_MS 20000U

#define turn_until(loop, condition)                                                                \
    do {                                                                                           \
        uint64_t turns_end_ms_ = clock_now_ms() + TURNS_DEADLINE_MS;                               \
        while (!(condition)) {                                                                     \
            if (clock_now_ms() > turns_end_ms_) {                                                  \
                fail_msg("never became true: %s", #condition);                                     \
            }                                                                                      \
            loop_turn((loop), 100);                                                                \
        }                                                                                          \
    } while (0)
