/* SPDX-License-Identifier: Apache-2.0
 *
 * heap.h - deadlines, earliest first: a four-ary heap over an array of fixed capacity.
 *
 * A node lies inside its owner and knows its place, so any deadline can be moved or cleared in
 * O(log n). Equal deadlines fire in the order in which they were set: what a run does never
 * depends on the shape of the heap. The deadlines stand in the array itself, not behind pointers.
 */
#pragma once
#include "base/alloc.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define HEAP_NEVER UINT64_MAX

struct heap_node {
    uint32_t place; /* index in the array + 1; 0: not set. A node of all zeroes is not set. */
};

struct heap_entry {
    uint64_t at_ms;
    uint64_t order;
    struct heap_node *node;
};

struct heap {
    struct heap_entry *entries;
    const struct alloc *alloc;
    uint64_t orders; /* how many times a deadline was set */
    uint32_t count;
    uint32_t capacity;
};

/* False where memory is refused. */
bool heap_init(struct heap *heap, const struct alloc *alloc, uint32_t capacity);
void heap_fini(struct heap *heap);

/* Sets the node's deadline, or moves it; moved, it is the latest among its equals. Setting a node
 * beyond the capacity is our own mistake: the owner counted wrong. */
void heap_set(struct heap *heap, struct heap_node *node, uint64_t at_ms);

/* Clears it, if it is set. */
void heap_clear(struct heap *heap, struct heap_node *node);

static inline bool heap_is_set(const struct heap_node *node)
{
    return node->place != 0;
}

/* The earliest node, still set; NULL when there is none. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->entries[0].node : NULL;
}

static inline uint64_t heap_first_ms(const struct heap *heap)
{
    return heap->count > 0 ? heap->entries[0].at_ms : HEAP_NEVER;
}

/* The deadline of a node that is set. */
static inline uint64_t heap_at_ms(const struct heap *heap, const struct heap_node *node)
{
    check(node->place != 0);
    return heap->entries[node->place - 1].at_ms;
}

/* The earliest node due at now, cleared; NULL when none is. */
struct heap_node *heap_pop_due(struct heap *heap, uint64_t now_ms);
