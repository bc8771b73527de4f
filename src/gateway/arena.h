/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that is taken piece by piece and given back all at once.
 *
 * For what is built once and then only read: a configuration and the faults found in it. Pieces are
 * zeroed and never move. The arena does not fail: a program that has no memory to read its
 * configuration stops there, before it has anything to lose.
 */
#pragma once
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *take_arena);
void *arena_take(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t len); /* and a NUL */
__attribute__((format(printf, 2, 3))) char *arena_print(struct arena *arena, const char *format,
                                                        ...);
