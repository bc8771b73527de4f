/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.h - a connection's life, as the pool sees it.
 *
 *         dial              up             lease               last lease ends
 *   (new) -----> DIALLING -----> IDLE <---------------> SHARED (room for more leases)
 *   (new) -------- admit -----^  | ^ \                    ^ |
 *                   |      probe | |  \                   | v
 *                   |            v |   +--------------> ACTIVE (no room)
 *                   |         PROBING <------------------- |
 *                   |            |      released UNKNOWN   |
 *                   +----------> CLOSING <-----------------+ ----> (gone)
 *
 * A connection is always on the two lists its state names, its key's and its pool's. So the gauges
 * are list lengths and cannot drift. conn_enter() is the only code that moves one. The idle lists
 * are sorted by last use: their last one is the newest, their first has been idle for longest.
 *
 * Each has at most one deadline in the engine's heap, and it is lazy: it is never later than the
 * next thing that can be due, and looked at again when it fires. So a lease and its release set no
 * timer.
 */
#pragma once
#include "core/parts.h"

/* A connection of the key in that state (DIALLING or IDLE), or NULL: the engine has no slot left.
 */
struct conn *conn_new(struct key *key, weir_state state);

/* The move. It is a mistake of ours if the picture does not have it. */
void conn_enter(struct conn *conn, weir_state next);

/* Off all lists and back into the slab; its leases live on without it. */
void conn_free(struct conn *conn);

/* It stays idle for another idle time-out, as if it had just been used. */
void conn_keep_idle(struct conn *conn);

/* How many more leases it can take now. */
uint32_t conn_room(const struct conn *conn);

/* The state that its leases ask for, of which it has some: SHARED or ACTIVE. */
weir_state conn_state_of(const struct conn *conn);

/* Sees to it that the heap knows a deadline no later than the next one. */
void conn_arm(struct conn *conn);

/* What is due next, and when (UINT64_MAX: nothing). */
uint64_t conn_due_ms(const struct conn *conn);

/* Which of its time-outs is due now: WEIR_EIDLE, EAGE, EPROBE (a probe is due), EPROBE_TIMEOUT,
 * ECONNECT_TIMEOUT, ETLS_TIMEOUT, EAGAIN (a dial is slow: hedge.h), ELEASE_TIMEOUT (cut), or
 * WEIR_OK. */
weir_err conn_due(const struct conn *conn);

/* Has the connector told something in the next step; a later word replaces an earlier one. */
void conn_tell(struct conn *conn, enum conn_todo todo);

static inline struct conn *conn_on_key(struct node *node)
{
    return list_entry(node, struct conn, on_key);
}

static inline struct conn *conn_on_pool(struct node *node)
{
    return list_entry(node, struct conn, on_pool);
}
