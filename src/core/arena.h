/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - room for the texts of keys: a buddy allocator over one block of fixed size.
 *
 * Sizes are powers of two from 32 to 8192 bytes. A block's buddy is found by its address, so that
 * freed halves join again and no history of keys can splinter the room for good. What was never
 * used is never written to.
 */
#pragma once
#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

#define ARENA_ORDERS   9 /* 32 << 0 … 32 << 8 */
#define ARENA_UNIT     32U
#define ARENA_TEXT_MAX (ARENA_UNIT << (ARENA_ORDERS - 1))

struct arena {
    unsigned char *base;
    uint8_t *orders; /* per unit: what begins there; see arena.c */
    const struct alloc *alloc;
    uint32_t units;              /* multiple of the largest block */
    uint32_t touched;            /* units below were in use at least once */
    uint32_t free[ARENA_ORDERS]; /* unit + 1 of the first free block of each size; 0: none */
    uint32_t bytes;              /* in use, rounded up as above */
};

/* False where memory is refused. */
bool arena_init(struct arena *arena, const struct alloc *alloc, uint32_t bytes);
void arena_fini(struct arena *arena);

/* NULL when there is no room, or len is above ARENA_TEXT_MAX. */
char *arena_cut(struct arena *arena, uint32_t len);
void arena_give(struct arena *arena, const char *text, uint32_t len);
