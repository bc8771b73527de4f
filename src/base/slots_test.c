/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slots.h"

#include "support/unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct record {
    uint64_t number;
    char text[100];
};

static void ids_go_stale(void **state)
{
    (void)state;
    struct slots slots;
    uint64_t a;
    uint64_t b;
    assert_true(slots_init(&slots, &alloc_libc, sizeof(struct record), 2));
    struct record *first = slots_take(&slots, &a);
    assert_non_null(first);
    assert_true(a != 0);
    first->number = 7;
    assert_ptr_equal(slots_at(&slots, a), first);
    assert_int_equal(slots_id_of(&slots, first), a);
    assert_null(slots_at(&slots, 0));
    assert_null(slots_at(&slots, a + 1));
    assert_null(slots_at(&slots, UINT64_MAX));

    slots_give(&slots, a);
    assert_null(slots_at(&slots, a));
    struct record *again = slots_take(&slots, &b);
    assert_ptr_equal(again, first); /* the warm one */
    assert_int_equal(again->number, 0);
    assert_true(a != b);
    assert_null(slots_at(&slots, a));
    slots_fini(&slots);
    slots_fini(&slots);
}

static void full_is_an_answer(void **state)
{
    (void)state;
    struct slots slots;
    uint64_t ids[3];
    assert_true(slots_init(&slots, &alloc_libc, 1, 3));
    for (int i = 0; i < 3; i++) {
        assert_non_null(slots_take(&slots, &ids[i]));
    }
    uint64_t none = 42;
    assert_null(slots_take(&slots, &none));
    assert_int_equal(none, 42);
    slots_give(&slots, ids[1]);
    uint32_t seen = 0;
    weir_slots_each(unsigned char, it, &slots) {
        assert_true(slots_id_of(&slots, it) != ids[1]);
        seen++;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(slots.count, 2);
    slots_fini(&slots);
    assert_true(slots_init(&slots, &alloc_libc, 1, 0));
    assert_null(slots_take(&slots, &none));
    slots_fini(&slots);
}

/* Opened for a million records, the slab is resident only where it was used. */
static void unused_slots_cost_nothing(void **state)
{
    (void)state;
    struct slots slots;
    uint64_t id;
    assert_true(slots_init(&slots, &alloc_libc, sizeof(struct record), 1000000));
    assert_non_null(slots_take(&slots, &id));

    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (size_t)slots.stride * slots.capacity;
    uintptr_t from = ((uintptr_t)slots.base + page) & ~(page - 1);
    size_t pages = size / page - 1;
    unsigned char *resident = calloc(pages, 1);
    assert_non_null(resident);
    assert_int_equal(mincore((void *)from, pages * page, resident), 0);
    size_t count = 0;
    for (size_t i = 0; i < pages; i++) {
        count += resident[i] & 1;
    }
    free(resident);
    slots_fini(&slots);
    assert_true(count < pages / 10);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct slots slots;
    if (slots_init(&slots, alloc, 8, 8)) {
        slots_fini(&slots);
    }
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_go_stale),
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(unused_slots_cost_nothing),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
