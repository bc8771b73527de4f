/* SPDX-License-Identifier: Apache-2.0
 *
 * breaker.h - what a key makes of dials that fail.
 *
 *            dial failed               failures_max in a row
 *     UP <----------------> BACKING_OFF ------------------> DOWN
 *      ^     pause is over                                  |  ^
 *      |                                  down_for is over  v  | dial failed
 *      +------------------ dial succeeded --------------- TRIAL
 *
 * Dials that were under way together and fail together are one failure: that the second of them
 * fails says nothing that the first had not. So each dial carries the round in which it was begun,
 * and a failure ends the round.
 *
 * A dial that failed for want of our own descriptors or memory says nothing of the peer either: it
 * is tried again after the first pause, however often, and counts as no failure.
 *
 * Who was denied is down at once, however few failures there were: asking again would be answered
 * alike. On trial he is dialled for those who wait, and not to keep connections ready.
 *
 * How many dials may be under way: one to begin with, doubled by each success up to connecting_max,
 * halved by each failure, one on trial.
 */
#pragma once
#include "core/parts.h"

/* A dial of that round failed. True when it counted; key->state says what became of the key. */
bool breaker_failed(struct key *key, uint8_t round, weir_err why);

/* On trial after it was denied. */
bool breaker_is_denied(const struct key *key);

/* A dial succeeded. True when the key was down. */
bool breaker_succeeded(struct key *key);

/* The pause or the hold-down is over. */
void breaker_timer(struct key *key);

/* All failures are forgotten. True when the key was down. */
bool breaker_reset(struct key *key);

/* How many more dials the key may begin now, limits apart. */
uint32_t breaker_allows(const struct key *key);
