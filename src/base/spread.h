/* SPDX-License-Identifier: Apache-2.0
 *
 * spread.h - how values are spread: counts in a fixed table of 32 classes to a power of two, so
 * that every quantile is right within 3 %, from 1 to 2^40, whatever their number.
 */
#pragma once
#include <stdint.h>

#define SPREAD_STEP_BITS 5U
#define SPREAD_STEPS     (1U << SPREAD_STEP_BITS)
#define SPREAD_CLASSES   (SPREAD_STEPS * 36U)

struct spread {
    uint64_t count, sum, max; /* of all values */
    uint64_t classes[SPREAD_CLASSES];
};

void spread_add(struct spread *spread, uint64_t value);
void spread_merge(struct spread *spread, const struct spread *other);
/* The smallest value that at least `share` of all do not exceed; 0 where there are none. */
uint64_t spread_at(const struct spread *spread, double share);
/* How many do not exceed it, as exactly as the classes say. */
uint64_t spread_count_to(const struct spread *spread, uint64_t value);
