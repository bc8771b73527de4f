/* SPDX-License-Identifier: Apache-2.0
 *
 * rand.h - numbers that follow from a seed: xoshiro256** 1.0 (Blackman and Vigna), seeded by
 * splitmix64. The core draws its jitter here, the simulator its worlds. Not for secrets.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rand {
    uint64_t state[4];
};

void rand_init(struct rand *rand, uint64_t seed);
uint64_t rand_next(struct rand *rand);

/* One step of splitmix64: mixes a number well. */
uint64_t rand_mix(uint64_t value);

/* 0 … below - 1, unbiased; below > 0. */
uint64_t rand_below(struct rand *rand, uint64_t below);

/* least … most, both included. */
uint64_t rand_between(struct rand *rand, uint64_t least, uint64_t most);

/* True permille times in a thousand. */
bool rand_chance(struct rand *rand, uint32_t permille);

/* value ± up to percent of it (percent ≤ 100), never above UINT64_MAX. */
uint64_t rand_jitter(struct rand *rand, uint64_t value, uint32_t percent);
