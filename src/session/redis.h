/* SPDX-License-Identifier: Apache-2.0
 *
 * redis.h - the store of sessions that is a Redis: a thread with a loop, an engine and a pool of
 * its own, behind the vtable that a program's store has.
 *
 *                 a batch, a look-up, a claim that fails by its connection
 *      UP ─────────────────────────────────────────────────────────────────▶ DOWN
 *       ▲                                                                     │ look-ups and claims
 *       └───────── a batch, or the prober's question, is answered ────────────┘ fail at once
 *
 * Always true: of batch and prober, one is under way at most. Every batch asks for the store's
 * epoch before and behind what it says; unless both are the one known before, on the same process
 * of the server, nothing that it does not know is taken for ended, and all is told to it anew. So
 * it is after an outage so long that it may have forgotten by itself.
 */
#pragma once
#include "session/lease.h"
#include "session/sessions.h"

struct redis_store;

#define REDIS_CLAIMS_MAX 1000U

/* The options are checked: NULL, or the field that is wrong. */
const char *redis_store_fault(const weir_sessions_redis *opt);
/* For weir_sessions_options: the vtable is copied, and `self` is the store. WEIR_ENOMEM, WEIR_EIO
 * (errno; a file that cannot be read). */
weir_err redis_store_new(const weir_sessions_redis *opt, uint32_t affinity_ttl_ms,
                         struct redis_store **ret_store);
const weir_session_store *redis_store_vtable(const struct redis_store *store);
/* Whose it is; from here on it is asked and answers. `origin`: who has counted what they count. */
weir_err redis_store_start(struct redis_store *store, struct weir_sessions *sessions,
                           uint64_t origin);
/* Ends its thread; claims that are under way fail with WEIR_ECLOSED. */
void redis_store_free(struct redis_store *take_store);

weir_err redis_store_claim(struct redis_store *store, weir_session_id id, struct slice place,
                           weir_affinity_fn *fn, void *arg);
weir_err redis_store_lease(struct redis_store *store, const struct lease_ask *ask, lease_fn *fn,
                           void *arg);
/* As weir_sessions_search(), which has checked what is not about the Redis. */
weir_err redis_store_search(struct redis_store *store, const weir_session_search *what,
                            weir_session_page_fn *fn, void *arg);
size_t redis_store_fault_text(struct redis_store *store, char *ret_text, size_t size);
void redis_store_stats(const struct redis_store *store, weir_sessions_stats *stats);
