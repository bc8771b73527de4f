/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "support/unit.h"

static void fills_and_drains(void **state)
{
    (void)state;
    struct bytes bytes;
    bytes_init(&bytes, &alloc_libc, 1000);
    assert_null(bytes_at(&bytes));
    assert_true(bytes_append(&bytes, "", 0));
    assert_true(bytes_append_text(&bytes, "hello "));
    assert_true(bytes_printf(&bytes, "%d-%s", 42, "x"));
    assert_true(slice_is(bytes_slice(&bytes), "hello 42-x"));
    bytes_consume(&bytes, 6);
    assert_true(slice_is(bytes_slice(&bytes), "42-x"));
    char *room = bytes_room(&bytes, 300); /* moves down and grows */
    assert_non_null(room);
    memset(room, 'y', 300);
    bytes_filled(&bytes, 300);
    assert_int_equal(bytes_len(&bytes), 304);
    bytes_consume(&bytes, 300);
    assert_true(slice_is(bytes_slice(&bytes), "yyyy"));
    bytes_consume(&bytes, 4);
    assert_int_equal(bytes_len(&bytes), 0);
    assert_true(bytes_append_json(&bytes, SLICE("a\"b\n")));
    assert_true(slice_is(bytes_slice(&bytes), "\"a\\\"b\\n\""));
    bytes_clear(&bytes);
    assert_int_equal(bytes_len(&bytes), 0);
    bytes_release(&bytes);
    assert_int_equal(bytes.size, 0);
    bytes_fini(&bytes);
    bytes_fini(&bytes);
}

static void never_passes_its_maximum(void **state)
{
    (void)state;
    struct bytes bytes;
    char block[700] = {0};
    bytes_init(&bytes, &alloc_libc, 1000);
    assert_true(bytes_append(&bytes, block, 700));
    assert_false(bytes_append(&bytes, block, 301));
    assert_int_equal(bytes_len(&bytes), 700);
    assert_true(bytes_append(&bytes, block, 300));
    assert_false(bytes_append(&bytes, block, 1));
    assert_false(bytes_printf(&bytes, "x"));
    assert_false(bytes_append_json(&bytes, SLICE("x")));
    assert_true(bytes.size <= 1000);
    bytes_consume(&bytes, 600);
    assert_true(bytes_append(&bytes, block, 600));
    bytes_fini(&bytes);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct bytes bytes;
    bytes_init(&bytes, alloc, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        size_t before = bytes_len(&bytes);
        if (!bytes_append_text(&bytes, "some text that makes it grow")) {
            assert_int_equal(bytes_len(&bytes), before);
        }
    }
    bytes_fini(&bytes);
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_drains),
        cmocka_unit_test(never_passes_its_maximum),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
