/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - the rules of a pool, and what callers in this process may use beside <weir/weir.h>.
 *
 * A pinned key is a key that was interned once and is not forgotten until it is unpinned: whoever
 * sends many requests to the same place pays for copying, hashing and comparing its key once.
 */
#pragma once
#include <weir/weir.h>

#include "core/explain.h"

struct key;
struct conn;
struct lease;

/* Pins add up; each needs its own unpin. WEIR_EINVAL, WEIR_EKEYS. A pin is dead when its pool is.
 */
weir_err pool_key_pin(weir_pool *pool, const weir_key *key, struct key **ret_pin);
void pool_key_unpin(weir_pool *pool, struct key *take_pin);
/* Connections it may have where max_per_key allows more, over all engines that share it and say the
 * same, from now on; WEIR_UNLIMITED: as many as max_per_key. Before its first connection.
 * WEIR_EKEYS: the hub knows too many keys, and the pin is of no use. */
weir_err pool_key_cap(struct key *pin, uint32_t most);

/* weir_try_acquire() and weir_acquire() of a pinned key. */
weir_err pool_try_acquire_pinned(weir_pool *pool, struct key *pin, uint32_t flags,
                                 weir_lease *ret_lease, void **ret_object);
weir_err pool_acquire_pinned(weir_pool *pool, struct key *pin, const weir_acquire_options *opt,
                             weir_lease_fn *fn, void *arg, weir_lease *ret_lease);

/* For base/fetch.h: where the record of a lease lies, if it is one; its connection; a connection.
 * Any id will do. */
const void *pool_lease_at(const weir_pool *pool, weir_lease id);
void pool_lease_fetch_conn(const weir_pool *pool, weir_lease id);
/* Leases that the connections which are up can carry at a time, by what the last one of each key
 * could; as many as connections where each carries one. */
uint64_t pool_room(const weir_pool *pool);
void pool_conn_fetch(const weir_pool *pool, weir_conn id);
#define POOL_LEASE_BYTES 192U

/* For whoever chooses among endpoints: may it be asked now, and how busy is it (leases and waiting
 * callers)? */
weir_key_state pool_key_state(const struct key *pin);
uint32_t pool_key_busy(const struct key *pin);
uint32_t pool_key_retry_after(const struct key *pin);
/* Who chooses leaves it out from now on, or no longer: told as an event of its pool. */
void pool_key_tell_ejected(const struct key *pin, bool is_ejected);
const weir_key *pool_key_view(const struct key *pin);

/* What its forecast knows: slots of a season that it has learned from, and the arrivals per second
 * that it expects now, × 16; 0 while it is silent. */
struct pool_forecast {
    uint64_t slots;
    uint32_t rate_x16;
};
struct pool_forecast pool_forecast_of(const weir_pool *pool);

/* Whether where this name leads makes a difference now: it has connections, dials, callers, a
 * failure that another answer ends, or is to be warmed up. */
bool pool_name_matters(const weir_pool *pool, const char *host);
/* What the connector knows it by lies elsewhere from now on. */
void pool_conn_moved(weir_pool *pool, weir_conn id, void *object);

/* --- inside the core ---------------------------------------------------------------------- */

/* Connections in all states. */
uint32_t pool_total(const weir_pool *pool);

/* Gives the callers of a key what there is, and dials for the others as far as the limits allow. To
 * be called whenever something changed that somebody may wait for. */
void pool_serve(struct key *key);

/* The same for all keys that wait for room in the pool, in turns. */
void pool_feed(weir_pool *pool);

/* Other workers want some of what is idle: it goes. */
void pool_give_idle(weir_pool *pool, struct key *key);

/* Its last lease has ended, or never was: to where it belongs now. */
void pool_conn_settle(struct conn *conn);

/* A caller's patience is over. */
void pool_lease_timer(struct lease *lease);

/* Leases of a conn: on this very one. */
weir_err pool_lease_conn(struct conn *conn, weir_lease *ret_lease);

/* Fails all who wait for the key, but those who chose to wait through a hold-down if it is
 * WEIR_EDOWN. */
void pool_fail_waiting(struct key *key, weir_err why);

/* Looks at the pool again at that time, or earlier. */
void pool_arm(weir_pool *pool, uint64_t at_ms);

/* Dials one more, before it is needed, where nothing else wants the room; true when it did. */
bool pool_dial_spare(struct key *key);

/* Something happened: its health is looked at every second as long as things do. */
void pool_mark_active(weir_pool *pool);
