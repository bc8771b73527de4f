/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/drain.h"

#include <weir/weir.h>

#include "support/turns.h"

struct crowd {
    struct drain drain;
    uint32_t left, steps, most;
    bool was_cut, is_told;
};

static void let_go(struct drain *drain, uint32_t part)
{
    struct crowd *crowd = container_of(drain, struct crowd, drain);
    uint32_t quota = drain_quota(drain, crowd->left, part);
    crowd->steps += quota > 0;
    crowd->most = quota > crowd->most ? quota : crowd->most;
    crowd->left -= quota;
    if (crowd->left == 0) {
        drain_end(drain);
    }
}

static void cut(struct drain *drain)
{
    struct crowd *crowd = container_of(drain, struct crowd, drain);
    crowd->was_cut = true;
    crowd->left = 0;
    drain_end(drain);
}

static void told(void *arg)
{
    struct crowd *crowd = arg;
    crowd->is_told = true;
}

static uint64_t run(struct crowd *crowd, struct drain_time time)
{
    struct loop *loop;
    assert_int_equal(loop_new(NULL, &loop), 0);
    drain_init(&crowd->drain, loop, let_go, cut);
    uint64_t begun_ms = loop_now_ms(loop);
    drain_begin(&crowd->drain, time, told, crowd);
    turn_until(loop, crowd->is_told);
    uint64_t took_ms = loop_now_ms(loop) - begun_ms;
    drain_fini(&crowd->drain);
    loop_free(loop);
    return took_ms;
}

static void without_a_spread_all_go_at_once(void **state)
{
    (void)state;
    struct crowd crowd = {.left = 1000};
    run(&crowd, (struct drain_time){.grace_ms = WEIR_NEVER});
    assert_int_equal(crowd.steps, 1);
    assert_int_equal(crowd.most, 1000);
    assert_false(crowd.was_cut);
}

static void with_one_they_go_one_after_the_other(void **state)
{
    (void)state;
    struct crowd crowd = {.left = 10};
    uint64_t took_ms = run(&crowd, (struct drain_time){.grace_ms = WEIR_NEVER, .spread_ms = 400});
    assert_true(took_ms >= 399); /* the last of them at the end: they use all of the time */
    assert_true(crowd.steps >= 2);
    assert_false(crowd.was_cut);
}

static void whoever_is_left_is_cut_at_the_end(void **state)
{
    (void)state;
    struct crowd crowd = {.left = 1000};
    run(&crowd, (struct drain_time){.grace_ms = 40, .spread_ms = 60000});
    assert_true(crowd.was_cut);
    assert_true(crowd.most < 100);
}

/* The sum of the parts is the whole, whatever their size. */
static void parts_add_up(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 300; count += 7) {
        struct drain drain = {.credit = 0};
        uint32_t left = count, steps = 0;
        for (uint32_t part = 101; part > 0; part--) {
            uint32_t quota = drain_quota(&drain, left, part);
            assert_true(quota <= left && quota <= count / 50 + 2);
            left -= quota;
            steps += quota > 0;
        }
        assert_int_equal(left, 0);
        assert_true(steps >= (count < 90 ? count * 9 / 10 : 90));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_spread_all_go_at_once),
        cmocka_unit_test(with_one_they_go_one_after_the_other),
        cmocka_unit_test(whoever_is_left_is_cut_at_the_end),
        cmocka_unit_test(parts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
