/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/hold.h"

#include "support/unit.h"

#include <string.h>

static char bytes[200000];

static void what_is_added_is_kept(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 100, 32000, 0, 70000, 5, 32756, 40000};
    struct hold_stock stock = {.most = HOLD_STOCK_BYTES};
    struct hold hold = {.stock = &stock};
    size_t len = 0, at = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 31 + (i >> 8));
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_true(hold_add(&hold, bytes + len, pieces[i], 1 << 20));
        len += pieces[i];
    }
    assert_int_equal(hold.len, len);
    for (const struct hold_block *it = hold.first; it != NULL; it = it->next) {
        assert_memory_equal(it->at, bytes + at, it->len);
        at += it->len;
    }
    assert_int_equal(at, len);
    assert_false(hold_add(&hold, bytes, 11, len + 10));
    assert_true(hold_add(&hold, bytes, 10, len + 10));
    uint32_t first = hold.first->len;
    hold_drop_first(&hold);
    assert_int_equal(hold.len, len + 10 - first);
    hold_reset(&hold);
    assert_int_equal(hold.len, 0);
    assert_int_equal(stock.used, 0);
    assert_true(hold_add(&hold, bytes, 10, 10));
    hold_reset(&hold);
}

static void the_stock_is_bounded(void **state)
{
    (void)state;
    struct hold_stock stock = {.used = HOLD_STOCK_BYTES - 2 * sizeof(struct hold_block),
                               .most = HOLD_STOCK_BYTES};
    uint64_t before = stock.used;
    struct hold a = {.stock = &stock}, b = {.stock = &stock};
    assert_true(hold_add(&a, bytes, 1, 10));
    assert_false(hold_add(&b, bytes, 2 * sizeof a.first->at, 1 << 20));
    assert_null(b.first);
    assert_true(hold_add(&b, bytes, 1, 10));
    assert_false(hold_add(&a, bytes, sizeof a.first->at, 1 << 20));
    assert_int_equal(a.len, 1);
    assert_true(hold_add_rest(&a, bytes, sizeof a.first->at, 1 << 20));
    hold_reset(&a);
    hold_reset(&b);
    assert_int_equal(stock.used, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_kept),
        cmocka_unit_test(the_stock_is_bounded),
    };
    return cmocka_run_group_tests_name("gateway/hold", tests, NULL, NULL);
}
