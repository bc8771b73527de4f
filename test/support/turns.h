/* SPDX-License-Identifier: Apache-2.0
 *
 * turns.h - for tests on a real loop: turn it until something is true.
 */
#pragma once
#include "io/loop.h"
#include "support/await.h"

#define TURNS_DEADLINE_MS 20000U

#define turn_until(loop, condition) await_true(condition, TURNS_DEADLINE_MS, loop_turn((loop), 100))
