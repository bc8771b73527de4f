/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc.h - where memory comes from: three hooks and their self, given once by whoever opens an
 * engine or a loop. Nothing in weir calls malloc behind its owner's back.
 *
 * Always true: a NULL return is an ordinary answer that every caller handles; memory is given back
 * to the hooks it came from.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct alloc {
    void *(*alloc)(void *self, size_t size);
    void *(*resize)(void *self, void *ptr, size_t size); /* ptr may be NULL */
    void (*free)(void *self, void *ptr);                 /* ptr may be NULL */
    void *(*zeroed)(void *self, size_t size); /* optional; lets untouched pages stay untouched */
    void *self;
};

/* malloc, realloc, free, calloc. */
extern const struct alloc alloc_libc;

void *alloc_new(const struct alloc *alloc, size_t size);
void *alloc_zeroed(const struct alloc *alloc, size_t size);
/* count × size, or NULL where the product overflows. */
void *alloc_array(const struct alloc *alloc, size_t count, size_t size);
void *alloc_resize(const struct alloc *alloc, void *ptr, size_t size);
void alloc_free(const struct alloc *alloc, void *ptr);

/* An allocator for tests: counts what is out, and fails one chosen request. */
struct alloc_count {
    struct alloc hooks;          /* hand &hooks to the code under test */
    const struct alloc *backing; /* who really allocates */
    uint64_t calls;              /* alloc and resize requests so far */
    uint64_t fail_at;            /* this request (1 is the first) is refused; 0: none */
    uint64_t out;                /* blocks not yet freed */
    uint64_t refused;
};

void alloc_count_init(struct alloc_count *count, const struct alloc *backing);
