/* SPDX-License-Identifier: Apache-2.0
 *
 * nh.h - NH, the universal hash of UMAC (RFC 4418), of words of 64 bits, for tables whose keys a
 * peer chooses and whose hashes nobody is shown: a fifth of the work that SipHash-1-3 is for a
 * name.
 *
 * Two texts, whatever they are, have the same sum of 128 bits with a probability of 2^-63 over the
 * key: who does not know the key cannot aim at that. What is returned is the sum's halves
 * multiplied under more of the key and folded, so that two texts that meet in a bucket, which their
 * time may show, need not have sums that are alike. That hides the sums and is no pseudorandom
 * function: where a hash is shown, or a forged one does harm, it is siphash.h.
 */
#pragma once
#include "base/siphash.h"

#include <stddef.h>
#include <stdint.h>

#define NH_TEXT_MAX 256U

struct nh_key {
    uint64_t words[NH_TEXT_MAX / 8];
    uint64_t last[2];
};

/* As many words as it takes, from a key of 128 bits. */
void nh_key_init(struct nh_key *key, const struct siphash_key *secret);
/* Of at most NH_TEXT_MAX bytes; its low half will do as a hash of 32 bits. */
uint64_t nh(const struct nh_key *key, const void *text, size_t len);
