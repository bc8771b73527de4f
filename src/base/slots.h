/* SPDX-License-Identifier: Apache-2.0
 *
 * slots.h - a slab of equal records, addressed by 64-bit ids that know when they are stale.
 *
 *   id = generation (high 32 bits) | index (low 32 bits)
 *
 * A slot's generation is odd while it is taken and even while it is free, and only grows: an id of
 * a record that was given back finds nothing, whoever lives in the slot now. No id is 0.
 *
 * The capacity is fixed at init and all memory is one allocation, but a slot is not written to
 * before it is first taken: a slab opened for 100 000 records that ever holds 50 costs 50.
 * Records are aligned to 8 bytes. The slot given back last is taken next, while it is still warm.
 */
#pragma once
#include "base/alloc.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct slot {
    uint32_t generation;
    uint32_t
        link; /* taken: its own index; free: index + 1 of the next free one, 0 ends the chain */
};

struct slots {
    unsigned char *base;
    const struct alloc *alloc;
    uint32_t stride;
    uint32_t capacity;
    uint32_t touched; /* slots below were taken at least once; those above were never written */
    uint32_t free;    /* index + 1 of the slot given back last; 0: none */
    uint32_t count;   /* taken now */
};

/* False where memory is refused; nothing to undo then. capacity may be 0. */
bool slots_init(struct slots *slots, const struct alloc *alloc, size_t record_size,
                uint32_t capacity);
void slots_fini(struct slots *slots);

/* A record of zeroes and its id, or NULL when all are taken. */
void *slots_take(struct slots *slots, uint64_t *ret_id);

/* The id must be live. */
void slots_give(struct slots *slots, uint64_t id);

static inline struct slot *slots_nth(const struct slots *slots, uint32_t index)
{
    return (struct slot *)(void *)(slots->base + (size_t)index * slots->stride);
}

/* The record, or NULL where the id is stale, forged or 0. */
static inline void *slots_at(const struct slots *slots, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    uint32_t generation = (uint32_t)(id >> 32);
    if (index >= slots->touched || (generation & 1) == 0) {
        return NULL;
    }
    struct slot *slot = slots_nth(slots, index);
    return slot->generation == generation ? slot + 1 : NULL;
}

/* The id of a record that is taken. */
static inline uint64_t slots_id_of(const struct slots *slots, const void *record)
{
    const struct slot *slot = (const struct slot *)record - 1;
    check_deep(slot == slots_nth(slots, slot->link));
    (void)slots;
    return (uint64_t)slot->generation << 32 | slot->link;
}

/* The first taken record at or after *index, which moves past it; NULL at the end. */
static inline void *slots_walk(const struct slots *slots, uint32_t *index)
{
    while (*index < slots->touched) {
        struct slot *slot = slots_nth(slots, (*index)++);
        if (slot->generation & 1) {
            return slot + 1;
        }
    }
    return NULL;
}

/* Walks the taken records in index order; the body may give back any of them. */
#define weir_slots_each(type, it, slots)                                                           \
    for (uint32_t it##_at = 0, *it##_once = &it##_at; it##_once != NULL; it##_once = NULL)         \
        for (type * it; (it = slots_walk((slots), &it##_at)) != NULL;)
