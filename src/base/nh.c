/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nh.h"

#include "base/check.h"

#include <string.h>

#define BLOCK 16U /* bytes for each multiplication */

static uint64_t word_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word); /* little endian, as all that weir runs on */
    return word;
}

static uint32_t half_at(const unsigned char *at)
{
    uint32_t half;
    memcpy(&half, at, sizeof half);
    return half;
}

static unsigned __int128 product(uint64_t a, uint64_t b)
{
    return (unsigned __int128)a * b;
}

/* The last block, of 1 to 16 bytes, as two words that say it, given the length. They overlap where
 * it is not full, so that nothing is copied byte by byte. */
static void tail_of(const unsigned char *at, size_t len, uint64_t ret[2])
{
    if (len >= 8) {
        ret[0] = word_at(at);
        ret[1] = word_at(at + len - 8);
    } else if (len >= 4) {
        ret[0] = half_at(at);
        ret[1] = half_at(at + len - 4);
    } else {
        ret[0] = at[0] | (uint64_t)at[len / 2] << 8;
        ret[1] = at[len - 1];
    }
}

void nh_key_init(struct nh_key *key, const struct siphash_key *secret)
{
    uint64_t *word = key->words;
    for (uint32_t i = 0; i < NH_TEXT_MAX / BLOCK; i++, word += 2) {
        siphash_wide(secret, &i, sizeof i, word);
    }
    siphash_wide(secret, "last", 5, key->last);
}

uint64_t nh(const struct nh_key *key, const void *text, size_t len)
{
    const unsigned char *at = text;
    const uint64_t *word = key->words;
    unsigned __int128 sum = len;
    uint64_t tail[2];
    check(len <= NH_TEXT_MAX);
    for (; len > BLOCK; len -= BLOCK, at += BLOCK, word += 2) {
        sum += product(word_at(at) + word[0], word_at(at + 8) + word[1]);
    }
    if (len > 0) {
        tail_of(at, len, tail);
        sum += product(tail[0] + word[0], tail[1] + word[1]);
    }
    sum = product((uint64_t)sum ^ key->last[0], (uint64_t)(sum >> 64) ^ key->last[1]);
    return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}
