/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_places.h"

#include "gateway/config_arena.h"

#include <stdint.h>

#define PLACE_BUCKETS 1024

struct config_places {
    struct config_arena *arena;
    struct place_entry {
        const void *field;
        struct config_place place;
        struct place_entry *next;
    } * buckets[PLACE_BUCKETS];
    struct config_place file; /* of the first one: the root */
};

static size_t bucket_of(const void *field)
{
    return ((uintptr_t)field / 8) * UINT64_C(0x9e3779b97f4a7c15) >> 54;
}

struct config_places *config_places_new(struct config_arena *arena)
{
    struct config_places *places = config_arena_take(arena, sizeof(*places));
    if (places == NULL)
        return NULL;
    places->arena = arena;
    return places;
}

void config_places_add(struct config_places *places, const void *field, struct config_place place)
{
    struct place_entry *entry = config_arena_take(places->arena, sizeof(*entry));
    size_t bucket = bucket_of(field);
    if (entry == NULL)
        return;
    *entry = (struct place_entry){field, place, places->buckets[bucket]};
    places->buckets[bucket] = entry;
    if (places->file.file == NULL)
        places->file = place;
}

static const struct place_entry *place_find(const struct config_places *places, const void *field)
{
    const struct place_entry *e = places->buckets[bucket_of(field)];
    while (e != NULL && e->field != field)
        e = e->next;
    return e;
}

bool config_places_has(const struct config_places *places, const void *field)
{
    return place_find(places, field) != NULL;
}

struct config_place config_places_of(const struct config_places *places, const void *field)
{
    const struct place_entry *entry = place_find(places, field);
    return entry != NULL ? entry->place : places->file;
}
