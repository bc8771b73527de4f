/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <string.h>

struct sip {
    uint64_t v[4];
};

static uint64_t turn(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void round_once(struct sip *sip)
{
    uint64_t *v = sip->v;
    v[0] += v[1];
    v[1] = turn(v[1], 13) ^ v[0];
    v[0] = turn(v[0], 32);
    v[2] += v[3];
    v[3] = turn(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = turn(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = turn(v[1], 17) ^ v[2];
    v[2] = turn(v[2], 32);
}

/* The work of a variant is a constant of whoever calls, so that no loop is left of it. */
static inline void rounds(struct sip *sip, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        round_once(sip);
    }
}

static inline void take(struct sip *sip, uint64_t word, unsigned count)
{
    sip->v[3] ^= word;
    rounds(sip, count);
    sip->v[0] ^= word;
}

/* The last len % 8 bytes, without a loop whose end could be foreseen wrongly. */
static inline uint64_t tail_of(const unsigned char *end, size_t len)
{
    size_t left = len % 8;
    uint64_t word;
    uint32_t first, last;
    if (left == 0) {
        return 0;
    }
    if (len > 8) {
        memcpy(&word, end - 8, 8);
        return word >> (64 - 8 * left);
    }
    const unsigned char *at = end - left;
    if (left >= 4) {
        memcpy(&first, at, 4);
        memcpy(&last, end - 4, 4);
        return first | (uint64_t)last << (8 * (left - 4));
    }
    return at[0] | (uint64_t)at[left / 2] << (8 * (left / 2))
           | (uint64_t)at[left - 1] << (8 * (left - 1));
}

static inline void absorb(struct sip *sip, const struct siphash_key *key, const void *data,
                          size_t len, unsigned count)
{
    const unsigned char *at = data;
    uint64_t word;
    sip->v[0] = key->low ^ UINT64_C(0x736f6d6570736575);
    sip->v[1] ^= key->high ^ UINT64_C(0x646f72616e646f6d);
    sip->v[2] = key->low ^ UINT64_C(0x6c7967656e657261);
    sip->v[3] = key->high ^ UINT64_C(0x7465646279746573);
    for (size_t left = len / 8; left > 0; left--, at += 8) {
        memcpy(&word, at, 8); /* little endian, as all that weir runs on */
        take(sip, word, count);
    }
    take(sip, (uint64_t)len << 56 | tail_of(at + len % 8, len), count);
}

static inline uint64_t squeeze(struct sip *sip, uint64_t mark, unsigned count)
{
    sip->v[2] ^= mark;
    rounds(sip, count);
    return sip->v[0] ^ sip->v[1] ^ sip->v[2] ^ sip->v[3];
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
    struct sip sip = {0};
    absorb(&sip, key, data, len, 2);
    return squeeze(&sip, 0xff, 4);
}

void siphash_wide(const struct siphash_key *key, const void *data, size_t len, uint64_t ret[2])
{
    struct sip sip = {.v[1] = 0xee};
    absorb(&sip, key, data, len, 2);
    ret[0] = squeeze(&sip, 0xee, 4);
    sip.v[1] ^= 0xdd;
    ret[1] = squeeze(&sip, 0, 4);
}
