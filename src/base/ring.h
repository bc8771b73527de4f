/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - a bounded queue of equal records, its capacity a power of two.
 *
 * struct ring is for one thread. struct spsc is the same between exactly one producer thread and
 * one consumer thread: a record is written before the producer's index moves (release) and read
 * after the consumer saw it move (acquire); neither ever waits for the other.
 */
#pragma once
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ring {
    unsigned char *base;
    const struct alloc *alloc;
    uint32_t record_size;
    uint32_t mask;
    uint32_t head; /* taken out so far, wrapping */
    uint32_t tail; /* put in so far, wrapping */
};

/* The capacity is rounded up to a power of two, at most 2^31. False where memory is refused. */
bool ring_init(struct ring *ring, const struct alloc *alloc, uint32_t record_size,
               uint32_t capacity);
void ring_fini(struct ring *ring);

static inline uint32_t ring_count(const struct ring *ring)
{
    return ring->tail - ring->head;
}

static inline bool ring_is_full(const struct ring *ring)
{
    return ring->base == NULL || ring_count(ring) > ring->mask;
}

/* The i-th record from the front, i < ring_count(). */
void *ring_at(const struct ring *ring, uint32_t i);

/* The new last record, to be written by the caller; NULL when full. */
void *ring_push(struct ring *ring);

/* The same, dropping the first record when full: a ring of the latest. */
void *ring_push_over(struct ring *ring);

/* The first record, or NULL. It stays until ring_pop(). */
void *ring_front(const struct ring *ring);
/* Once empty it begins at its first place again: a long ring that holds little touches little. */
void ring_pop(struct ring *ring);

struct spsc {
    unsigned char *base;
    const struct alloc *alloc;
    uint32_t record_size;
    uint32_t mask;
    _Alignas(64) _Atomic uint32_t head; /* the consumer's */
    _Alignas(64) _Atomic uint32_t tail; /* the producer's */
};

bool spsc_init(struct spsc *spsc, const struct alloc *alloc, uint32_t record_size,
               uint32_t capacity);
void spsc_fini(struct spsc *spsc);

/* Producer: copies the record in; false when full. */
bool spsc_push(struct spsc *spsc, const void *record);

/* Consumer: copies the first record out; false when empty. */
bool spsc_pop(struct spsc *spsc, void *ret_record);
