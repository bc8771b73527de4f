/* SPDX-License-Identifier: Apache-2.0
 *
 * warm.h - connections ready before the first request.
 *
 * A key that was named with weir_pool_warm(), or is pinned, is brought up to a grade:
 *
 *     dns     the name is looked up, and nothing is dialled; a proxy looks names up itself
 *     tcp     a dial has its transport
 *     tls     and its handshake
 *     up      and what the protocol settles at its start (SETTINGS of HTTP/2)
 *     probe   and has answered a probe, where the protocol has one
 *
 * A dial goes all the way whatever the grade, which only says when the key counts as warm: with so
 * many connections that have come as far, min_idle, size_min, or one. Dials of a warm-up are paced,
 * one every warm_every for the whole pool, and go to the key that has least: first one for each
 * key, then the second. When every such key is warm for the first time, the pool tells it:
 * pool_warm.
 *
 * Without the option there is no warm-up; pool_warm is told when min_idle is first met.
 */
#pragma once
#include "core/parts.h"

/* Connections that the key has yet to dial for its warm-up. */
uint32_t warm_missing(const struct key *key);

/* Whether a dial for it has to wait for its pace; the pool looks again then. */
bool warm_must_wait(struct key *key);

/* One was begun. */
void warm_dialled(const struct key *key);

/* A connection came up while the key warms up: whether it is to be probed before it counts. */
bool warm_probes(const struct key *key);

/* Whether warming up is a matter of dials. */
bool warm_dials(const weir_pool *pool);

/* A connection came as far as a grade, or the name was looked up: the key may be warm by that. */
void warm_check(struct key *key);

/* There may be room, or a key, for another dial: the pool looks as soon as the pace allows. */
void warm_wake(weir_pool *pool);

/* The time has come for another dial. */
void warm_turn(weir_pool *pool);
