/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#define FANOUT 4U

bool heap_init(struct heap *heap, const struct alloc *alloc, uint32_t capacity)
{
    void *entries = alloc_array(alloc, capacity, sizeof(struct heap_entry));
    if (entries == NULL) {
        return false;
    }
    *heap = (struct heap){.entries = entries, .alloc = alloc, .capacity = capacity};
    return true;
}

void heap_fini(struct heap *heap)
{
    if (heap->alloc != NULL) {
        alloc_free(heap->alloc, heap->entries);
    }
    *heap = (struct heap){0};
}

static bool is_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void put(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    heap->entries[index] = entry;
    entry.node->place = index + 1;
}

static void sift_up(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / FANOUT;
        if (!is_before(&entry, &heap->entries[parent])) {
            break;
        }
        put(heap, index, heap->entries[parent]);
        index = parent;
    }
    put(heap, index, entry);
}

static void sift_down(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    for (;;) {
        uint32_t first = index * FANOUT + 1;
        if (first >= heap->count) {
            break;
        }
        uint32_t last = heap->count - first > FANOUT ? first + FANOUT : heap->count;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < last; child++) {
            if (is_before(&heap->entries[child], &heap->entries[least])) {
                least = child;
            }
        }
        if (!is_before(&heap->entries[least], &entry)) {
            break;
        }
        put(heap, index, heap->entries[least]);
        index = least;
    }
    put(heap, index, entry);
}

/* Puts an entry where index is free, whichever way it has to travel. */
static void settle(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    if (index > 0 && is_before(&entry, &heap->entries[(index - 1) / FANOUT])) {
        sift_up(heap, index, entry);
    } else {
        sift_down(heap, index, entry);
    }
}

void heap_set(struct heap *heap, struct heap_node *node, uint64_t at_ms)
{
    struct heap_entry entry = {.at_ms = at_ms, .order = heap->orders++, .node = node};
    if (node->place != 0) {
        check(heap->entries[node->place - 1].node == node);
        settle(heap, node->place - 1, entry);
        return;
    }
    check(heap->count < heap->capacity);
    sift_up(heap, heap->count++, entry);
}

void heap_clear(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    uint32_t index = node->place - 1;
    check(index < heap->count);
    check(heap->entries[index].node == node);

    node->place = 0;
    heap->count--;
    if (index < heap->count) {
        settle(heap, index, heap->entries[heap->count]);
    }
}

struct heap_node *heap_pop_due(struct heap *heap, uint64_t now_ms)
{
    if (heap->count == 0 || heap->entries[0].at_ms > now_ms) {
        return NULL;
    }
    struct heap_node *node = heap->entries[0].node;
    heap_clear(heap, node);
    return node;
}
