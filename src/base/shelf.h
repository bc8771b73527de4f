/* SPDX-License-Identifier: Apache-2.0
 *
 * shelf.h - small blocks of memory that come and go all the time, kept by size for whoever asks
 * next. For a library that allocates for each message, such as nghttp2: malloc() costs it a tenth
 * of what a request costs.
 *
 * Always true: what lies on the shelf is at most `most` bytes, in blocks of at most
 * SHELF_BLOCK_MAX; everything else goes to and comes from the owner's hooks. One thread's. Who
 * gives a block says how long it is. The address sanitizer sees a block that lies here as freed.
 */
#pragma once
#include "base/alloc.h"

#define SHELF_STEP      ((size_t)32)
#define SHELF_SIZES     32U
#define SHELF_BLOCK_MAX (SHELF_STEP * SHELF_SIZES)

struct shelf {
    const struct alloc *alloc;
    size_t most; /* bytes that may lie here */
    size_t kept;
    void *first[SHELF_SIZES]; /* each block points to the next one of its size */
};

void shelf_init(struct shelf *shelf, const struct alloc *alloc, size_t most);
void shelf_fini(struct shelf *shelf);

/* NULL: memory is refused. */
void *shelf_take(struct shelf *shelf, size_t size);
void shelf_give(struct shelf *shelf, void *block, size_t size); /* block may be NULL */
/* NULL: memory is refused, and the block stays as it was. */
void *shelf_resize(struct shelf *shelf, void *block, size_t size, size_t new_size);
