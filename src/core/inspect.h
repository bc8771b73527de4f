/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.h - what a simulator needs: every record in reach, and a verdict on all of them.
 *
 * The records themselves are in parts.h; walk them from engine->pools. Nothing in the core calls
 * this.
 */
#pragma once
#include "core/key.h"
#include "core/parts.h"
#include "core/pool.h"

/* Checks every invariant that holds between any two calls, in time linear in what there is:
 * each record on the lists its state names and on no other; lists sorted as promised; sums, limits
 * and ledgers; one lease per connection that carries one; nobody waiting while something leasable
 * is idle, or while a slot is free and the key is up; no deadline later than it should be. A broken
 * one is a failed check(). */
void engine_verify(const weir_engine *engine);

/* The same of one pool. */
void pool_verify(const weir_pool *pool);
