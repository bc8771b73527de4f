/* SPDX-License-Identifier: Apache-2.0
 *
 * chance.h - draws for traces that are made.
 */
#pragma once
#include "base/rand.h"

#include <math.h>

static inline double chance(struct rand *rand)
{
    return (double)(rand_next(rand) >> 11) / 9007199254740992.0;
}

static inline uint32_t poisson(struct rand *rand, double mean)
{
    double least = exp(-mean), product = chance(rand);
    uint32_t count = 0;
    while (product > least) {
        count++;
        product *= chance(rand);
    }
    return count;
}
