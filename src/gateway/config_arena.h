/* SPDX-License-Identifier: Apache-2.0
 *
 * config_arena.h - memory that is taken piece by piece and given back all at once.
 *
 * For what is built once and then only read: a configuration and the faults found in it. Pieces are
 * zeroed and never move. The arena does not fail: a program that has no memory to read its
 * configuration stops there, before it has anything to lose.
 */
#pragma once
#include <stddef.h>

struct config_arena;

struct config_arena *config_arena_new(void);
void config_arena_free(struct config_arena *take_arena);
void *config_arena_take(struct config_arena *arena, size_t size);
char *config_arena_copy(struct config_arena *arena, const char *text, size_t len); /* and a NUL */
__attribute__((format(printf, 2, 3))) char *config_arena_print(struct config_arena *arena,
                                                               const char *format, ...);
