/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "support/unit.h"

struct item {
    int value;
    struct node on;
};

static int value_of(struct node *node)
{
    return node == NULL ? -1 : container_of(node, struct item, on)->value;
}

static void both_ends_and_the_middle(void **state)
{
    (void)state;
    struct list list;
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    assert_null(list_last(&list));
    assert_null(list_pop_front(&list));

    list_push_back(&list, &items[1].on);
    list_push_back(&list, &items[3].on);
    list_push_front(&list, &items[0].on);
    list_insert_before(&list, &items[3].on, &items[2].on);
    assert_int_equal(list.count, 4);
    int expected = 0;
    weir_list_each(it, &list) {
        assert_int_equal(value_of(it), expected++);
    }
    weir_list_each_back(it, &list) {
        assert_int_equal(value_of(it), --expected);
    }
    assert_int_equal(value_of(list_next(&items[1].on)), 2);
    assert_int_equal(value_of(list_prev(&items[1].on)), 0);
    assert_null(list_next(&items[3].on));
    assert_null(list_prev(&items[0].on));
    assert_int_equal(value_of(list_pop_front(&list)), 0);
    assert_int_equal(value_of(list_last(&list)), 3);
}

static void a_node_knows_its_list(void **state)
{
    (void)state;
    struct list a;
    struct list b;
    struct item items[3] = {{.value = 0}, {.value = 1}, {.value = 2}};
    list_init(&a);
    list_init(&b);
    assert_false(list_holds(&items[0].on));
    list_leave(&items[0].on); /* on none: nothing happens */
    for (int i = 0; i < 3; i++) {
        list_push_back(&a, &items[i].on);
    }
    list_move_back(&a, &b, &items[1].on);
    assert_ptr_equal(items[1].on.home, &b);
    list_move_front(&a, &b, &items[2].on);
    assert_int_equal(value_of(list_first(&b)), 2);
    list_splice_back(&b, &a);
    assert_int_equal(b.count, 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(value_of(list_last(&a)), 1);
    list_leave(&items[1].on);
    assert_int_equal(value_of(list_last(&a)), 2);
}

static void a_walk_may_remove_what_it_holds(void **state)
{
    (void)state;
    struct list list;
    struct item items[5] = {0};
    list_init(&list);
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        list_push_back(&list, &items[i].on);
    }
    weir_list_each_safe(it, &list) {
        if (value_of(it) % 2 == 0) {
            list_remove(&list, it);
        }
    }
    assert_int_equal(list.count, 2);
    assert_int_equal(value_of(list_first(&list)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_and_the_middle),
        cmocka_unit_test(a_node_knows_its_list),
        cmocka_unit_test(a_walk_may_remove_what_it_holds),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
