/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include "base/check.h"

#include <string.h>

static uint32_t power_of_two_of(uint32_t capacity)
{
    check(capacity > 0 && capacity <= UINT32_C(1) << 31);
    uint32_t power = 1;
    while (power < capacity) {
        power *= 2;
    }
    return power;
}

bool ring_init(struct ring *ring, const struct alloc *alloc, uint32_t record_size,
               uint32_t capacity)
{
    uint32_t power = power_of_two_of(capacity);
    void *base = alloc_array(alloc, power, record_size);
    if (base == NULL) {
        return false;
    }
    *ring =
        (struct ring){.base = base, .alloc = alloc, .record_size = record_size, .mask = power - 1};
    return true;
}

void ring_fini(struct ring *ring)
{
    if (ring->alloc != NULL) {
        alloc_free(ring->alloc, ring->base);
    }
    *ring = (struct ring){0};
}

static void *ring_slot(const struct ring *ring, uint32_t index)
{
    return ring->base + (size_t)(index & ring->mask) * ring->record_size;
}

void *ring_at(const struct ring *ring, uint32_t i)
{
    check(i < ring_count(ring));
    return ring_slot(ring, ring->head + i);
}

void *ring_push(struct ring *ring)
{
    return ring_is_full(ring) ? NULL : ring_slot(ring, ring->tail++);
}

void *ring_push_over(struct ring *ring)
{
    check(ring->base != NULL);
    if (ring_is_full(ring)) {
        ring->head++;
    }
    return ring_slot(ring, ring->tail++);
}

void *ring_front(const struct ring *ring)
{
    return ring_count(ring) > 0 ? ring_slot(ring, ring->head) : NULL;
}

void ring_pop(struct ring *ring)
{
    check(ring_count(ring) > 0);
    ring->head++;
    if (ring->head == ring->tail) {
        ring->head = ring->tail = 0;
    }
}

bool spsc_init(struct spsc *spsc, const struct alloc *alloc, uint32_t record_size,
               uint32_t capacity)
{
    uint32_t power = power_of_two_of(capacity);
    void *base = alloc_array(alloc, power, record_size);
    if (base == NULL) {
        return false;
    }
    spsc->base = base;
    spsc->alloc = alloc;
    spsc->record_size = record_size;
    spsc->mask = power - 1;
    atomic_init(&spsc->head, 0);
    atomic_init(&spsc->tail, 0);
    return true;
}

void spsc_fini(struct spsc *spsc)
{
    if (spsc->alloc != NULL) {
        alloc_free(spsc->alloc, spsc->base);
    }
    spsc->base = NULL;
    spsc->alloc = NULL;
}

static void *spsc_slot(const struct spsc *spsc, uint32_t index)
{
    return spsc->base + (size_t)(index & spsc->mask) * spsc->record_size;
}

bool spsc_push(struct spsc *spsc, const void *record)
{
    uint32_t tail = atomic_load_explicit(&spsc->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&spsc->head, memory_order_acquire);
    if (tail - head > spsc->mask) {
        return false;
    }
    memcpy(spsc_slot(spsc, tail), record, spsc->record_size);
    atomic_store_explicit(&spsc->tail, tail + 1, memory_order_release);
    return true;
}

bool spsc_pop(struct spsc *spsc, void *ret_record)
{
    uint32_t head = atomic_load_explicit(&spsc->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&spsc->tail, memory_order_acquire);
    if (tail == head) {
        return false;
    }
    memcpy(ret_record, spsc_slot(spsc, head), spsc->record_size);
    atomic_store_explicit(&spsc->head, head + 1, memory_order_release);
    return true;
}
