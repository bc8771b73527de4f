/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - what callers in this process may use beside <weir/weir.h>.
 *
 * A pinned key is a key that was interned once and is not forgotten until it is unpinned: whoever
 * sends many requests to the same place pays for copying, hashing and comparing its key once.
 */
#pragma once
#include <weir/weir.h>

struct key;

/* Pins add up; each needs its own unpin. WEIR_EINVAL, WEIR_EKEYS. A pin is dead when its pool is.
 */
weir_err pool_key_pin(weir_pool *pool, const weir_key *key, struct key **ret_pin);
void pool_key_unpin(weir_pool *pool, struct key *take_pin);

/* weir_try_acquire() and weir_acquire() of a pinned key. */
weir_err pool_try_acquire_pinned(weir_pool *pool, struct key *pin, uint32_t flags,
                                 weir_lease *ret_lease, void **ret_object);
weir_err pool_acquire_pinned(weir_pool *pool, struct key *pin, const weir_acquire_options *opt,
                             weir_lease_fn *fn, void *arg, weir_lease *ret_lease);

/* For whoever chooses among endpoints: may it be asked now, and how busy is it (leases and waiting
 * callers)? */
weir_key_state pool_key_state(const struct key *pin);
uint32_t pool_key_busy(const struct key *pin);
uint32_t pool_key_retry_after(const struct key *pin);
const weir_key *pool_key_view(const struct key *pin);
