/* SPDX-License-Identifier: Apache-2.0
 *
 * map.h - a table of pointers by hash: open addressing, at most half full, of fixed capacity.
 *
 * The caller hashes (64 bits, well mixed; seeded where a peer chooses the key) and compares in
 * full: a hash is never an identity. Removing closes the gap, so that there are no tombstones and
 * a table of any history answers as fast as a fresh one.
 */
#pragma once
#include "base/alloc.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct map_entry {
    uint64_t hash;
    void *value; /* NULL: the entry is free */
};

struct map {
    struct map_entry *entries;
    const struct alloc *alloc;
    uint32_t mask;
    uint32_t count;
    uint32_t capacity;
};

/* Whether the stored value is the one that key names. */
typedef bool map_same_fn(const void *value, const void *key);

/* False where memory is refused. */
bool map_init(struct map *map, const struct alloc *alloc, uint32_t capacity);
void map_fini(struct map *map);

void *map_find(const struct map *map, uint64_t hash, map_same_fn *same, const void *key);

/* False when full. The caller has made sure that no equal value is there. */
bool map_put(struct map *map, uint64_t hash, void *value);

/* By identity; the value must be there. */
void map_remove(struct map *map, uint64_t hash, const void *value);

/* For a loop with the comparison inline:
 *     for (uint32_t i = map_seek(map, hash); map->entries[i].value != NULL; i = map_after(map, i))
 */
static inline uint32_t map_seek(const struct map *map, uint64_t hash)
{
    return (uint32_t)hash & map->mask;
}

static inline uint32_t map_after(const struct map *map, uint32_t index)
{
    return (index + 1) & map->mask;
}

/* The first value at or after *index, which moves past it; NULL at the end. */
static inline void *map_walk(const struct map *map, uint32_t *index)
{
    while (map->entries != NULL && *index <= map->mask) {
        void *value = map->entries[(*index)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

/* Walks all values; the body must not put or remove. */
#define weir_map_each(type, it, map)                                                               \
    for (uint32_t it##_at = 0, *it##_once = &it##_at; it##_once != NULL; it##_once = NULL)         \
        for (type * it; (it = map_walk((map), &it##_at)) != NULL;)
