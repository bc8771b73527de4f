/* SPDX-License-Identifier: Apache-2.0
 *
 * zone.h - endpoints near by come first: those of node.zone, as long as half of them are usable.
 *
 * With fewer, those that are left would get what was meant for all of them; then every endpoint
 * takes part, near or far, and the balance is as if there were no zones. Not usable is
 * also whom an operator has taken out, and for a request whoever has just failed it.
 *
 * Pure, like core/balance.h, whose peers it leaves out by a weight of 0. Zones come before tiers:
 * of balance: priority the lowest tier among those that take part is asked.
 */
#pragma once
#include "core/balance.h"

/* is_near: one for each peer, false where its own weight is 0. True: only those near by take part.
 */
bool zone_prefer(struct balance_peer *peers, const bool *is_near, uint32_t count, uint32_t except);
