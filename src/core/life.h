/* SPDX-License-Identifier: Apache-2.0
 *
 * life.h - a pool's life, as far as the engine has to know of it.
 */
#pragma once
#include "core/parts.h"

#define POOL_REVIEW_MS 1000U

/* Closed, and nothing is left of it. */
bool pool_is_over(const weir_pool *pool);
void pool_free(weir_pool *take_pool);

/* Leases that may be overdue, and how the pool fares. */
void pool_timer(weir_pool *pool);
