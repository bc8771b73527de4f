/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include "base/check.h"

uint64_t rand_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

void rand_init(struct rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        rand->state[i] = rand_mix(seed);
        seed += UINT64_C(0x9e3779b97f4a7c15);
    }
}

static uint64_t rotate_left(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

uint64_t rand_next(struct rand *rand)
{
    uint64_t *s = rand->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval" (2019). */
uint64_t rand_below(struct rand *rand, uint64_t below)
{
    check(below > 0);
    unsigned __int128 product = (unsigned __int128)rand_next(rand) * below;
    if ((uint64_t)product < below) {
        uint64_t unfair = -below % below;
        while ((uint64_t)product < unfair) {
            product = (unsigned __int128)rand_next(rand) * below;
        }
    }
    return (uint64_t)(product >> 64);
}

uint64_t rand_between(struct rand *rand, uint64_t least, uint64_t most)
{
    check(least <= most);
    uint64_t span = most - least;
    return span == UINT64_MAX ? rand_next(rand) : least + rand_below(rand, span + 1);
}

bool rand_chance(struct rand *rand, uint32_t permille)
{
    return rand_below(rand, 1000) < permille;
}

uint64_t rand_jitter(struct rand *rand, uint64_t value, uint32_t percent)
{
    check(percent <= 100);
    uint64_t span = (uint64_t)((unsigned __int128)value * percent / 100);
    if (span == 0) {
        return value;
    }
    uint64_t most = UINT64_MAX - value < span ? UINT64_MAX : value + span;
    return rand_between(rand, value - span, most);
}
