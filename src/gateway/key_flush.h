/* SPDX-License-Identifier: Apache-2.0
 *
 * key_flush.h - the connections of some of a pool's keys go, as weir_pool_flush() has it for one.
 */
#pragma once
#include <weir/weir.h>

#include <stdbool.h>
#include <stdint.h>

typedef bool key_flush_fn(const void *self, const weir_key *key);

/* Those of each key for which `goes` is true. Where there is no memory to note one, it and those
 * behind it keep their connections until these are idle for too long. */
void key_flush(weir_pool *pool, key_flush_fn *goes, const void *self, uint32_t grace_ms);
