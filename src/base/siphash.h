/* SPDX-License-Identifier: Apache-2.0
 *
 * siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody can aim without its
 * key. For tables whose keys a peer chooses, and for marks that a peer must not forge.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t low, high;
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);

/* The variant of 128 bits. */
void siphash_wide(const struct siphash_key *key, const void *data, size_t len, uint64_t ret[2]);
