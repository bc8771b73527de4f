/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include "support/unit.h"

#include <pthread.h>
#include <sched.h>

static void first_in_first_out(void **state)
{
    (void)state;
    struct ring ring;
    assert_true(ring_init(&ring, &alloc_libc, sizeof(uint64_t), 3)); /* becomes 4 */
    assert_null(ring_front(&ring));
    for (uint64_t round = 0; round < 100; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            *(uint64_t *)ring_push(&ring) = round + i;
        }
        assert_true(ring_is_full(&ring));
        assert_null(ring_push(&ring));
        *(uint64_t *)ring_push_over(&ring) = round + 4;
        assert_int_equal(ring_count(&ring), 4);
        assert_int_equal(*(uint64_t *)ring_at(&ring, 3), round + 4);
        for (uint64_t i = 1; i <= 4; i++) {
            assert_int_equal(*(uint64_t *)ring_front(&ring), round + i);
            ring_pop(&ring);
        }
    }
    ring_fini(&ring);
    assert_null(ring_push(&ring));
    ring_fini(&ring);
}

static void an_emptied_one_begins_anew(void **state)
{
    (void)state;
    struct ring ring;
    assert_true(ring_init(&ring, &alloc_libc, sizeof(uint64_t), 64));
    const void *first = ring_push(&ring);
    const void *second = ring_push(&ring);
    ring_pop(&ring);
    assert_ptr_equal(ring_front(&ring), second);
    ring_pop(&ring);
    assert_ptr_equal(ring_push(&ring), first);
    ring_fini(&ring);
}

#define MESSAGES 200000U

static void *produce(void *arg)
{
    struct spsc *spsc = arg;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        while (!spsc_push(spsc, &i)) {
            sched_yield();
        }
    }
    return NULL;
}

static void between_two_threads(void **state)
{
    (void)state;
    struct spsc spsc;
    pthread_t producer;
    assert_true(spsc_init(&spsc, &alloc_libc, sizeof(uint32_t), 64));
    assert_int_equal(pthread_create(&producer, NULL, produce, &spsc), 0);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t got;
        while (!spsc_pop(&spsc, &got)) {
            sched_yield();
        }
        assert_int_equal(got, i);
    }
    pthread_join(producer, NULL);
    uint32_t none;
    assert_false(spsc_pop(&spsc, &none));
    spsc_fini(&spsc);
    spsc_fini(&spsc);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct ring ring;
    struct spsc spsc;
    if (ring_init(&ring, alloc, 8, 8)) {
        if (spsc_init(&spsc, alloc, 8, 8)) {
            spsc_fini(&spsc);
        }
        ring_fini(&ring);
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
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(an_emptied_one_begins_anew),
        cmocka_unit_test(between_two_threads),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
