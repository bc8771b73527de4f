/* SPDX-License-Identifier: Apache-2.0
 *
 * hedge.h - a dial that is slower than most gets a second one beside it.
 *
 * A key learns the time below which 95 of 100 of its dials succeed. With `hedge` on, a dial that
 * takes longer while somebody waits gets company, once, where there is room that nobody else wants.
 * The first to come up serves, the other one parks: so both count everywhere as any dial does.
 */
#pragma once
#include "core/parts.h"

#define HEDGE_SAMPLES 8U /* dials that have succeeded, before any is called slow */

/* A dial of the key succeeded after so long. */
void hedge_learn(struct key *key, uint64_t dialled_ms);

/* When the dial is slow; UINT64_MAX: never, or it has had its second one. */
uint64_t hedge_due_ms(const struct conn *dial);

/* It is slow. */
void hedge_start(struct conn *dial);
