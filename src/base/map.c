/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

/* The least power of two that leaves the table at most half full. */
static uint32_t table_size_of(uint32_t capacity)
{
    uint32_t size = 2;
    while (size / 2 < capacity) {
        size *= 2;
    }
    return size;
}

bool map_init(struct map *map, const struct alloc *alloc, uint32_t capacity)
{
    check(capacity <= UINT32_MAX / 4);
    uint32_t size = table_size_of(capacity);
    void *entries = alloc_zeroed(alloc, (size_t)size * sizeof(struct map_entry));
    if (entries == NULL) {
        return false;
    }
    *map = (struct map){.entries = entries, .alloc = alloc, .mask = size - 1, .capacity = capacity};
    return true;
}

void map_fini(struct map *map)
{
    if (map->alloc != NULL) {
        alloc_free(map->alloc, map->entries);
    }
    *map = (struct map){0};
}

void *map_find(const struct map *map, uint64_t hash, map_same_fn *same, const void *key)
{
    for (uint32_t i = map_seek(map, hash); map->entries[i].value != NULL; i = map_after(map, i)) {
        const struct map_entry *entry = &map->entries[i];
        if (entry->hash == hash && same(entry->value, key)) {
            return entry->value;
        }
    }
    return NULL;
}

bool map_put(struct map *map, uint64_t hash, void *value)
{
    check(value != NULL);
    if (map->count >= map->capacity) {
        return false;
    }
    uint32_t i = map_seek(map, hash);
    while (map->entries[i].value != NULL) {
        i = map_after(map, i);
    }
    map->entries[i] = (struct map_entry){.hash = hash, .value = value};
    map->count++;
    return true;
}

/* Knuth's algorithm R: entries after the hole move up unless that would put them before their
 * home. */
static void close_gap(struct map *map, uint32_t hole)
{
    for (uint32_t i = map_after(map, hole); map->entries[i].value != NULL; i = map_after(map, i)) {
        uint32_t home = map_seek(map, map->entries[i].hash);
        if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole] = (struct map_entry){0};
}

void map_remove(struct map *map, uint64_t hash, const void *value)
{
    uint32_t i = map_seek(map, hash);
    while (map->entries[i].value != value) {
        check(map->entries[i].value != NULL);
        i = map_after(map, i);
    }
    close_gap(map, i);
    map->count--;
}
