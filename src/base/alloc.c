/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include "base/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *self, size_t size)
{
    (void)self;
    return malloc(size);
}

static void *libc_resize(void *self, void *ptr, size_t size)
{
    (void)self;
    return realloc(ptr, size);
}

static void libc_free(void *self, void *ptr)
{
    (void)self;
    free(ptr);
}

static void *libc_zeroed(void *self, size_t size)
{
    (void)self;
    return calloc(1, size);
}

const struct alloc alloc_libc = {
    .alloc = libc_alloc,
    .resize = libc_resize,
    .free = libc_free,
    .zeroed = libc_zeroed,
};

/* A request for nothing is answered with a block all the same: NULL means failure, only. */
static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void *alloc_new(const struct alloc *alloc, size_t size)
{
    return alloc->alloc(alloc->self, at_least_one(size));
}

void *alloc_zeroed(const struct alloc *alloc, size_t size)
{
    if (alloc->zeroed != NULL) {
        return alloc->zeroed(alloc->self, at_least_one(size));
    }
    void *ptr = alloc_new(alloc, size);
    return ptr != NULL ? memset(ptr, 0, size) : NULL;
}

void *alloc_array(const struct alloc *alloc, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    return alloc_new(alloc, total);
}

void *alloc_resize(const struct alloc *alloc, void *ptr, size_t size)
{
    return alloc->resize(alloc->self, ptr, at_least_one(size));
}

void alloc_free(const struct alloc *alloc, void *ptr)
{
    alloc->free(alloc->self, ptr);
}

static bool refuses(struct alloc_count *count)
{
    count->calls++;
    if (count->calls == count->fail_at) {
        count->refused++;
        return true;
    }
    return false;
}

static void *count_alloc(void *self, size_t size)
{
    struct alloc_count *count = self;
    void *ptr = refuses(count) ? NULL : alloc_new(count->backing, size);
    count->out += ptr != NULL;
    return ptr;
}

static void *count_zeroed(void *self, size_t size)
{
    struct alloc_count *count = self;
    void *ptr = refuses(count) ? NULL : alloc_zeroed(count->backing, size);
    count->out += ptr != NULL;
    return ptr;
}

static void *count_resize(void *self, void *old, size_t size)
{
    struct alloc_count *count = self;
    void *ptr = refuses(count) ? NULL : alloc_resize(count->backing, old, size);
    count->out += ptr != NULL && old == NULL;
    return ptr;
}

static void count_free(void *self, void *ptr)
{
    struct alloc_count *count = self;
    if (ptr == NULL) {
        return;
    }
    check(count->out > 0);
    count->out--;
    alloc_free(count->backing, ptr);
}

void alloc_count_init(struct alloc_count *count, const struct alloc *backing)
{
    *count = (struct alloc_count){
        .hooks = {count_alloc, count_resize, count_free, count_zeroed, count},
        .backing = backing,
    };
}
