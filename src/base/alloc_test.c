/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

static void *bare_alloc(void *self, size_t size)
{
    (void)self;
    void *ptr = malloc(size);
    return ptr != NULL ? memset(ptr, 0xa5, size) : NULL;
}

static void *never(void *self, size_t size)
{
    (void)self;
    (void)size;
    return NULL;
}

static void zeroed_without_its_hook(void **state)
{
    (void)state;
    struct alloc hooks = alloc_libc;
    hooks.zeroed = NULL;
    hooks.alloc = bare_alloc;
    char *ptr = alloc_zeroed(&hooks, 64);
    assert_non_null(ptr);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(ptr[i], 0);
    }
    alloc_free(&hooks, ptr);
    hooks.alloc = never;
    assert_null(alloc_zeroed(&hooks, 64));
}

static void nothing_is_something_and_too_much_is_refused(void **state)
{
    (void)state;
    void *ptr = alloc_array(&alloc_libc, 0, 8);
    assert_non_null(ptr);
    alloc_free(&alloc_libc, ptr);
    assert_null(alloc_array(&alloc_libc, SIZE_MAX / 2, 3));
}

static void counts_and_fails_the_nth(void **state)
{
    (void)state;
    struct alloc_count count;
    alloc_count_init(&count, &alloc_libc);
    count.fail_at = 2;
    void *a = alloc_new(&count.hooks, 8);
    assert_non_null(a);
    assert_null(alloc_resize(&count.hooks, a, 16)); /* a is untouched */
    a = alloc_resize(&count.hooks, a, 32);
    assert_non_null(a);
    void *b = alloc_resize(&count.hooks, NULL, 8);
    assert_int_equal(count.out, 2);
    assert_int_equal(count.refused, 1);
    assert_int_equal(count.calls, 4);
    alloc_free(&count.hooks, NULL);
    alloc_free(&count.hooks, b);
    alloc_free(&count.hooks, a);
    assert_int_equal(count.out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_without_its_hook),
        cmocka_unit_test(nothing_is_something_and_too_much_is_refused),
        cmocka_unit_test(counts_and_fails_the_nth),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
