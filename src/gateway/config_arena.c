/* SPDX-License-Identifier: Apache-2.0
 *
 * config_arena.c - blocks in a chain; a piece that fits no block gets one of its own.
 */
#include "gateway/config_arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct block {
    struct block *older;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

struct config_arena {
    struct block *newest;
    struct config_memory memory;
    struct config_arena *parent;
    uint32_t users;
    bool is_short;
};

struct config_arena *config_arena_new(const struct config_memory *memory)
{
    struct config_arena *arena = alloc_zeroed(memory->alloc, sizeof(*arena));
    if (arena != NULL) {
        arena->memory = *memory;
        arena->users = 1;
    }
    return arena;
}

bool config_arena_is_short(const struct config_arena *arena)
{
    return arena == NULL || arena->is_short;
}

void config_arena_join(struct config_arena *arena, struct config_arena *parent)
{
    check(arena->parent == NULL);
    arena->parent = parent;
    parent->users++;
}

void config_arena_free(struct config_arena *take_arena)
{
    if (take_arena == NULL || --take_arena->users > 0)
        return;
    config_arena_free(take_arena->parent);
    for (struct block *b = take_arena->newest, *older; b != NULL; b = older) {
        older = b->older;
        explicit_bzero(b->bytes, b->used); /* secrets of configurations, among others */
        alloc_free(take_arena->memory.alloc, b);
    }
    alloc_free(take_arena->memory.alloc, take_arena);
}

/* Who gets it may look for a NUL, and writes nothing behind it. */
static char nothing[1];

void config_arena_refuse(struct config_arena *arena)
{
    arena->is_short = true;
}

static struct block *block_add(struct config_arena *arena, size_t at_least)
{
    size_t size = at_least > arena->memory.block ? at_least : arena->memory.block;
    struct block *block = alloc_zeroed(arena->memory.alloc, sizeof(*block) + size);
    if (block == NULL) {
        arena->is_short = true;
        return NULL;
    }
    block->size = size;
    block->older = arena->newest;
    return arena->newest = block;
}

void *config_arena_take(struct config_arena *arena, size_t size)
{
    size_t whole = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct block *block = arena->newest;
    check(whole >= size);
    if (block == NULL || block->size - block->used < whole)
        block = block_add(arena, whole);
    if (block == NULL)
        return NULL;
    void *piece = block->bytes + block->used;
    block->used += whole;
    return piece;
}

char *config_arena_copy(struct config_arena *arena, const char *text, size_t len)
{
    char *copy = config_arena_take(arena, len + 1);
    if (copy == NULL)
        return nothing;
    memcpy(copy, text, len);
    return copy;
}

char *config_arena_print(struct config_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    char *text = config_arena_take(arena, (size_t)len + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text != NULL ? text : nothing;
}
