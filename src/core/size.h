/* SPDX-License-Identifier: Apache-2.0
 *
 * size.h - how many connections a key keeps, and for how long.
 */
#pragma once
#include "core/parts.h"

/* When an idle connection has been idle for long enough: its pool's idle_timeout, its own, or what
 * its key learned of the peer's, whichever is least. UINT64_MAX: never. */
uint64_t size_idle_due_ms(const struct conn *conn);

/* Draws the age at which a connection that comes up now retires. */
uint64_t size_retire_at_ms(const weir_pool *pool);

/* Whether a connection whose age is due may retire now; if not, its due time moves on. Retirements
 * of one key are spaced by max_age / size, so that a burst of dials does not become a burst of
 * closes. */
bool size_may_retire(struct conn *conn);

/* Idle, and one of the last min_idle of its key, or called for by its load: idle_timeout lets it
 * live. */
bool size_is_kept(const struct conn *conn);

/* Idle connections that the key should have and has not. */
uint32_t size_missing(const struct key *key);

/* Connections, dialling ones too, that the load of the key calls for beyond those that are up. */
uint32_t size_short(const struct key *key);

/* Tells the forecast of an adaptive pool that has one what came so far, in the time that is over.
 */
void size_look_ahead(weir_pool *pool, uint64_t elapsed_ms);

/* Looks at the load of every key of an adaptive pool; what the load does not call for closes, by
 * halves. False when there is nothing to come back for. */
bool size_review(weir_pool *pool);

/* Somebody used it within idle_timeout, or holds a pin: worth being kept ready. */
bool size_is_in_use(const struct key *key);

/* The first idle connection above max_idle, or NULL. */
struct conn *size_surplus(const struct key *key);
