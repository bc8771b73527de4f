/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - blocks in a chain; a piece that fits no block gets one of its own.
 */
#include "gateway/arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK ((size_t)16 * 1024)

struct block {
    struct block *older;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *newest;
};

struct arena *arena_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    check(arena != NULL);
    return arena;
}

void arena_free(struct arena *take_arena)
{
    if (take_arena == NULL)
        return;
    for (struct block *b = take_arena->newest, *older; b != NULL; b = older) {
        older = b->older;
        free(b);
    }
    free(take_arena);
}

static struct block *block_add(struct arena *arena, size_t at_least)
{
    size_t size = at_least > ARENA_BLOCK ? at_least : ARENA_BLOCK;
    struct block *block = calloc(1, sizeof(*block) + size);
    check(block != NULL);
    block->size = size;
    block->older = arena->newest;
    return arena->newest = block;
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t whole = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct block *block = arena->newest;
    check(whole >= size);
    if (block == NULL || block->size - block->used < whole)
        block = block_add(arena, whole);
    void *piece = block->bytes + block->used;
    block->used += whole;
    return piece;
}

char *arena_copy(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_take(arena, len + 1);
    memcpy(copy, text, len);
    return copy;
}

char *arena_print(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    char *text = arena_take(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
