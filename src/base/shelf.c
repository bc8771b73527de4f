/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shelf.h"

#include "base/check.h"

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <string.h>

void shelf_init(struct shelf *shelf, const struct alloc *alloc, size_t most)
{
    *shelf = (struct shelf){.alloc = alloc, .most = most};
}

/* Sizes that share a place are allocated alike. */
static size_t place_of(size_t size)
{
    return size > 0 ? (size - 1) / SHELF_STEP : 0;
}

static size_t size_at(size_t place)
{
    return (place + 1) * SHELF_STEP;
}

static void *pop(struct shelf *shelf, size_t place)
{
    void *block = shelf->first[place];
    if (block != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(block, size_at(place));
        memcpy(&shelf->first[place], block, sizeof block);
        shelf->kept -= size_at(place);
    }
    return block;
}

void shelf_fini(struct shelf *shelf)
{
    for (size_t place = 0; place < SHELF_SIZES; place++) {
        for (void *block; (block = pop(shelf, place)) != NULL;) {
            alloc_free(shelf->alloc, block);
        }
    }
    check(shelf->kept == 0);
}

void *shelf_take(struct shelf *shelf, size_t size)
{
    if (size > SHELF_BLOCK_MAX) {
        return alloc_new(shelf->alloc, size);
    }
    size_t place = place_of(size);
    void *block = pop(shelf, place);
    return block != NULL ? block : alloc_new(shelf->alloc, size_at(place));
}

void shelf_give(struct shelf *shelf, void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    size_t place = place_of(size);
    if (size > SHELF_BLOCK_MAX || shelf->kept + size_at(place) > shelf->most) {
        alloc_free(shelf->alloc, block);
        return;
    }
    memcpy(block, &shelf->first[place], sizeof block);
    shelf->first[place] = block;
    shelf->kept += size_at(place);
    ASAN_POISON_MEMORY_REGION(block, size_at(place));
}

void *shelf_resize(struct shelf *shelf, void *block, size_t size, size_t new_size)
{
    if (block == NULL) {
        return shelf_take(shelf, new_size);
    }
    if (size > SHELF_BLOCK_MAX && new_size > SHELF_BLOCK_MAX) {
        return alloc_resize(shelf->alloc, block, new_size);
    }
    if (place_of(size) == place_of(new_size)) {
        return block;
    }
    void *moved = shelf_take(shelf, new_size);
    if (moved != NULL) {
        memcpy(moved, block, size < new_size ? size : new_size);
        shelf_give(shelf, block, size);
    }
    return moved;
}
