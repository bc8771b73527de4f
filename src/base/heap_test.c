/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include "base/rand.h"
#include "support/unit.h"

#define NODES 200

struct timer {
    struct heap_node node;
    uint64_t at_ms; /* as the array below knows it */
    uint64_t order;
    bool set;
};

static struct timer *earliest_of(struct timer *timers)
{
    struct timer *best = NULL;
    for (int i = 0; i < NODES; i++) {
        struct timer *t = &timers[i];
        if (t->set
            && (best == NULL || t->at_ms < best->at_ms
                || (t->at_ms == best->at_ms && t->order < best->order))) {
            best = t;
        }
    }
    return best;
}

static void agrees_with_a_linear_scan(void **state)
{
    (void)state;
    static struct timer timers[NODES];
    struct heap heap;
    struct rand rand;
    uint64_t orders = 0;
    rand_init(&rand, 2);
    assert_true(heap_init(&heap, &alloc_libc, NODES));
    for (int step = 0; step < 50000; step++) {
        struct timer *t = &timers[rand_below(&rand, NODES)];
        if (rand_chance(&rand, 300)) {
            heap_clear(&heap, &t->node);
            t->set = false;
        } else {
            t->at_ms = rand_below(&rand, 50);
            t->order = orders++;
            t->set = true;
            heap_set(&heap, &t->node, t->at_ms);
            assert_int_equal(heap_at_ms(&heap, &t->node), t->at_ms);
        }
        assert_int_equal(heap_is_set(&t->node), t->set);
        struct timer *first = earliest_of(timers);
        assert_ptr_equal(heap_first(&heap), first != NULL ? &first->node : NULL);
        assert_int_equal(heap_first_ms(&heap), first != NULL ? first->at_ms : HEAP_NEVER);
    }
    for (struct timer *first; (first = earliest_of(timers)) != NULL;) {
        assert_null(first->at_ms > 0 ? heap_pop_due(&heap, first->at_ms - 1) : NULL);
        assert_ptr_equal(heap_pop_due(&heap, first->at_ms), &first->node);
        first->set = false;
    }
    assert_null(heap_pop_due(&heap, UINT64_MAX));
    heap_fini(&heap);
    heap_fini(&heap);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct heap heap;
    if (heap_init(&heap, alloc, 8)) {
        heap_fini(&heap);
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
        cmocka_unit_test(agrees_with_a_linear_scan),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
