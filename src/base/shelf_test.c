/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shelf.h"

#include "support/unit.h"

#include <string.h>

static void a_block_comes_back_to_who_asks_for_its_size(void **state)
{
    (void)state;
    struct alloc_count count;
    struct shelf shelf;
    alloc_count_init(&count, &alloc_libc);
    shelf_init(&shelf, &count.hooks, 4096);
    void *block = shelf_take(&shelf, 100);
    assert_non_null(block);
    memset(block, 'x', 128); /* all of its size may be used by another one */
    shelf_give(&shelf, block, 100);
    assert_int_equal(shelf.kept, 128);
    assert_int_equal(count.out, 1);
    assert_ptr_equal(shelf_take(&shelf, 128), block);
    assert_int_equal(shelf.kept, 0);
    void *other = shelf_take(&shelf, 128); /* none is left */
    assert_ptr_not_equal(other, block);
    shelf_give(&shelf, block, 128);
    shelf_give(&shelf, other, 128);
    void *small = shelf_take(&shelf, 96);
    assert_true(small != block && small != other);
    assert_ptr_equal(shelf_take(&shelf, 97), other); /* the last one first */
    shelf_give(&shelf, small, 96);
    shelf_give(&shelf, other, 97);
    shelf_give(&shelf, NULL, 10);
    assert_int_equal(count.calls, 3);
    shelf_fini(&shelf);
    assert_int_equal(count.out, 0);
}

static void keeps_no_more_than_it_may(void **state)
{
    (void)state;
    struct alloc_count count;
    struct shelf shelf;
    void *blocks[5];
    alloc_count_init(&count, &alloc_libc);
    shelf_init(&shelf, &count.hooks, 3 * SHELF_BLOCK_MAX);
    for (int i = 0; i < 5; i++) {
        blocks[i] = shelf_take(&shelf, SHELF_BLOCK_MAX);
    }
    for (int i = 0; i < 5; i++) {
        shelf_give(&shelf, blocks[i], SHELF_BLOCK_MAX);
        assert_int_equal(count.out, i < 3 ? 5 : 7 - i);
    }
    void *large = shelf_take(&shelf, SHELF_BLOCK_MAX + 1); /* never lies there */
    assert_int_equal(count.out, 4);
    shelf_give(&shelf, large, SHELF_BLOCK_MAX + 1);
    assert_int_equal(count.out, 3);
    shelf_fini(&shelf);
    assert_int_equal(count.out, 0);
}

static void what_is_in_a_block_moves_with_its_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,    1,    32,   33,  31,  700, SHELF_BLOCK_MAX,
                                   5000, 1025, 9000, 640, 641, 2,   0};
    struct alloc_count count;
    struct shelf shelf;
    alloc_count_init(&count, &alloc_libc);
    shelf_init(&shelf, &count.hooks, 1 << 20);
    size_t size = 10;
    char letter = 'a';
    char *block = shelf_resize(&shelf, NULL, 0, size);
    memset(block, letter, size);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t same = size < sizes[i] ? size : sizes[i];
        block = shelf_resize(&shelf, block, size, sizes[i]);
        assert_non_null(block);
        for (size_t at = 0; at < same; at++) {
            assert_int_equal(block[at], letter);
        }
        size = sizes[i];
        memset(block, ++letter, size);
    }
    shelf_give(&shelf, block, size);
    shelf_fini(&shelf);
    assert_int_equal(count.out, 0);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct shelf shelf;
    shelf_init(&shelf, alloc, 1000);
    char *block = shelf_take(&shelf, 40);
    if (block != NULL) {
        memset(block, 'b', 40);
        char *moved = shelf_resize(&shelf, block, 40, 400);
        size_t size = moved != NULL ? 400 : 40;
        block = moved != NULL ? moved : block;
        assert_int_equal(block[39], 'b');
        moved = shelf_resize(&shelf, block, size, 4000);
        size = moved != NULL ? 4000 : size;
        block = moved != NULL ? moved : block;
        assert_int_equal(block[39], 'b');
        shelf_give(&shelf, block, size);
    }
    shelf_fini(&shelf);
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_comes_back_to_who_asks_for_its_size),
        cmocka_unit_test(keeps_no_more_than_it_may),
        cmocka_unit_test(what_is_in_a_block_moves_with_its_size),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
