/* SPDX-License-Identifier: Apache-2.0
 *
 * retry.h - how long to wait before the next dial.
 */
#pragma once
#include <weir/weir.h>

#include "base/rand.h"

/* After `failures` dials in a row have failed (at least one): retry_first × retry_factor^(failures
 * - 1), at most retry_cap, give or take the jitter; never 0. */
uint64_t retry_delay_ms(const weir_pool_options *opt, uint32_t failures, struct rand *rand);
