/* SPDX-License-Identifier: Apache-2.0
 *
 * unit.h - what every unit test includes: cmocka, a counting allocator, and torture().
 *
 * torture() runs a body again and again, with the first, the second, the third … allocation
 * failing, until it runs untouched. The body handles every refusal and gives everything back: a
 * block left over fails the test, in each of those runs.
 */
#pragma once
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <weir/weir.h>

#include "base/alloc.h"

#define TORTURE_RUNS_MAX 100000U

typedef void torture_fn(const struct alloc *alloc, void *arg);

/* As a program gives it to weir. */
static inline weir_allocator unit_allocator(const struct alloc *alloc)
{
    return (weir_allocator){alloc->zeroed, alloc->free, alloc->self};
}

/* Whose hooks they are, in a body of torture(). */
static inline const struct alloc_count *unit_count(const struct alloc *alloc)
{
    return alloc->self;
}

static inline void torture(torture_fn *body, void *arg)
{
    for (uint64_t n = 1; n <= TORTURE_RUNS_MAX; n++) {
        struct alloc_count count;
        alloc_count_init(&count, &alloc_libc);
        count.fail_at = n;
        body(&count.hooks, arg);
        if (count.out != 0) {
            fail_msg("request %llu of memory refused: %llu blocks are left", (unsigned long long)n,
                     (unsigned long long)count.out);
        }
        if (count.refused == 0) {
            return;
        }
    }
    fail_msg("still allocating after %u runs", TORTURE_RUNS_MAX);
}
