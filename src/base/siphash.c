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

static void rounds(struct sip *sip, unsigned count)
{
    uint64_t *v = sip->v;
    while (count-- > 0) {
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
}

static void take(struct sip *sip, uint64_t word)
{
    sip->v[3] ^= word;
    rounds(sip, 2);
    sip->v[0] ^= word;
}

static void absorb(struct sip *sip, const struct siphash_key *key, const void *data, size_t len)
{
    const unsigned char *at = data;
    uint64_t word, last = (uint64_t)len << 56;
    sip->v[0] = key->low ^ UINT64_C(0x736f6d6570736575);
    sip->v[1] ^= key->high ^ UINT64_C(0x646f72616e646f6d);
    sip->v[2] = key->low ^ UINT64_C(0x6c7967656e657261);
    sip->v[3] = key->high ^ UINT64_C(0x7465646279746573);
    for (size_t left = len / 8; left > 0; left--, at += 8) {
        memcpy(&word, at, 8); /* little endian, as all that weir runs on */
        take(sip, word);
    }
    for (size_t i = 0; i < len % 8; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    take(sip, last);
}

static uint64_t squeeze(struct sip *sip, uint64_t mark)
{
    sip->v[2] ^= mark;
    rounds(sip, 4);
    return sip->v[0] ^ sip->v[1] ^ sip->v[2] ^ sip->v[3];
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
    struct sip sip = {0};
    absorb(&sip, key, data, len);
    return squeeze(&sip, 0xff);
}

void siphash_wide(const struct siphash_key *key, const void *data, size_t len, uint64_t ret[2])
{
    struct sip sip = {.v[1] = 0xee};
    absorb(&sip, key, data, len);
    ret[0] = squeeze(&sip, 0xee);
    sip.v[1] ^= 0xdd;
    rounds(&sip, 4);
    ret[1] = sip.v[0] ^ sip.v[1] ^ sip.v[2] ^ sip.v[3];
}
