/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - leases: those who wait, first come first served, and those who hold.
 *
 *   weir_acquire       +-----------> HELD ---- release ----> (gone)
 *   ------> WAITING ---+ served       ^
 *                      |              +---- weir_try_acquire
 *                      +-----------> ENDED --- callback ---> (gone)
 *                   canceled, refused, timed out
 *
 * A waiting caller is on the queue of its key and leaves it the moment it is served, canceled or
 * out of time. So nothing is ever handed to somebody who has gone, and canceling costs the same
 * wherever one stands. A queue that is full is shared by the tenants that wait in it: who comes for
 * one that has fewer callers there than another takes the place of that one's last (McKenney 1990,
 * without a queue for each). Callbacks are due on engine->answers and run in the next step.
 */
#pragma once
#include "core/parts.h"

/* A new lease of the key; NULL when the engine has no more. It is on no list yet. */
struct lease *queue_new(struct key *key, uint64_t *ret_id);

/* Begins to wait, until its deadline. */
void queue_wait(struct lease *lease);

/* Waits again, as the first: what it was given is gone before it was told. */
void queue_again(struct lease *lease);

/* Ends a wait, or a grant that was not told yet, with an error. */
void queue_end(struct lease *lease, weir_err err, uint32_t retry_after_ms);

/* Holds the connection from now on. The caller is told if it waits for that. */
void queue_hold(struct lease *lease, struct conn *conn);

/* Counts a lease that its caller now knows of. */
void queue_count_grant(const struct lease *lease);

/* No longer holds; the record is gone. */
void queue_drop(struct lease *lease);

/* Runs the callbacks that are due; true when there was one. */
bool queue_deliver(weir_engine *engine);

/* Those of them that are this function. */
void queue_deliver_to(weir_engine *engine, weir_lease_fn *fn);

/* A lease that ended and began anew so many times, unheard of. */
void queue_renewed(struct lease *lease, uint32_t times);

/* Callers waiting, in all pools. */
uint32_t queue_waiting(const weir_engine *engine);

/* Who has to go for a caller of this key where the queue is full: the last that came for the tenant
 * that has the most waiting, if that is still as many as the key's tenant has then. Or NULL. */
struct lease *queue_rival(const struct key *key);

/* How long the next caller of this key would wait, by those before it and how long leases last; 0
 * when nothing is known. */
uint64_t queue_predict_ms(const struct key *key);

/* Whether the first of those who wait for the key has done so for as long as a lease lasts. Until
 * then what others have to give, if they have, may be on its way, and the prediction too high. */
bool queue_has_settled(const struct key *key);

/* Tells leases that are overdue, and cuts those that are too old. Returns when to look again. */
uint64_t queue_overdue(weir_pool *pool);
