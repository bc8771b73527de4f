/* SPDX-License-Identifier: Apache-2.0
 *
 * config_arena.h - memory that is taken piece by piece and given back all at once.
 *
 * For what is built once and then only read: a configuration and the faults found in it. Pieces are
 * zeroed and never move. Where memory was refused once, the arena stays short: what is being built
 * in it is given up in the end, whatever it looks like, so that nobody on the way has to say so.
 */
#pragma once
#include "base/alloc.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_ARENA_BLOCK ((size_t)16 * 1024)

struct config_arena;

/* Where it is taken from, and how much at a time. */
struct config_memory {
    const struct alloc *alloc;
    size_t block;
};

struct config_arena *config_arena_new(const struct config_memory *memory); /* NULL: refused */
/* Once for its maker, and for each that has joined; the last one frees it. On one thread. */
void config_arena_free(struct config_arena *take_arena);
/* What is in `arena` points into `parent`, which lives as long. Once. */
void config_arena_join(struct config_arena *arena, struct config_arena *parent);
bool config_arena_is_short(const struct config_arena *arena); /* NULL is */
void config_arena_refuse(
    struct config_arena *arena); /* memory was refused beside it: it is short */

void *config_arena_take(struct config_arena *arena, size_t size); /* NULL: refused */
/* With a NUL; "" where memory is refused. */
char *config_arena_copy(struct config_arena *arena, const char *text, size_t len);
__attribute__((format(printf, 2, 3))) char *config_arena_print(struct config_arena *arena,
                                                               const char *format, ...);
