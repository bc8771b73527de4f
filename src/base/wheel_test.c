/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wheel.h"

#include "base/list.h"
#include "base/rand.h"
#include "support/unit.h"

#define NODES   300
#define TICK_MS 8U

struct timer {
    struct wheel_node node;
    uint64_t due_ms; /* 0: not set */
};

struct world {
    struct wheel wheel;
    struct timer timers[NODES];
    struct rand rand;
    uint64_t now_ms;
    uint64_t before_ms; /* of the run before: what is due must not have waited since then */
    uint32_t fired;
};

static void set(struct world *world, struct timer *timer, uint64_t due_ms)
{
    timer->due_ms = due_ms;
    wheel_set(&world->wheel, &timer->node, due_ms);
}

static void on_fire(struct wheel_node *node, void *arg)
{
    struct world *world = arg;
    struct timer *timer = container_of(node, struct timer, node);
    assert_false(wheel_is_set(node));
    assert_true(timer->due_ms != 0);
    assert_true(timer->due_ms <= world->now_ms); /* never early */
    timer->due_ms = 0;
    world->fired++;
    if (rand_chance(&world->rand, 200)) { /* callbacks set and clear others, too */
        struct timer *other = &world->timers[rand_below(&world->rand, NODES)];
        wheel_clear(&world->wheel, &other->node);
        other->due_ms = 0;
        set(world, timer, world->now_ms + 1 + rand_below(&world->rand, 1000));
    }
}

static uint64_t random_delay(struct rand *rand)
{
    switch (rand_below(rand, 4)) {
    case 0: return rand_below(rand, 100);
    case 1: return rand_below(rand, 10000);
    case 2: return rand_below(rand, 5000000);
    default: return rand_below(rand, UINT64_C(400000000)); /* beyond the horizon */
    }
}

static void check_world(const struct world *world)
{
    uint32_t count = 0;
    for (int i = 0; i < NODES; i++) {
        const struct timer *t = &world->timers[i];
        assert_int_equal(wheel_is_set(&t->node), t->due_ms != 0);
        count += t->due_ms != 0;
        if (t->due_ms != 0) { /* never more than a tick late */
            assert_true(t->due_ms + TICK_MS > world->now_ms);
        }
    }
    assert_int_equal(world->wheel.count, count);
    uint64_t next = wheel_next(&world->wheel);
    assert_true(count == 0 ? next == WHEEL_NEVER : next > world->now_ms);
}

static void never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    static struct world world;
    world = (struct world){.now_ms = 12345};
    rand_init(&world.rand, 3);
    wheel_init(&world.wheel, TICK_MS, world.now_ms);
    assert_int_equal(wheel_next(&world.wheel), WHEEL_NEVER);
    for (int step = 0; step < 30000; step++) {
        for (uint64_t n = rand_below(&world.rand, 4); n > 0; n--) {
            struct timer *timer = &world.timers[rand_below(&world.rand, NODES)];
            set(&world, timer, world.now_ms + 1 + random_delay(&world.rand));
        }
        if (rand_chance(&world.rand, 200)) {
            struct timer *timer = &world.timers[rand_below(&world.rand, NODES)];
            wheel_clear(&world.wheel, &timer->node);
            timer->due_ms = 0;
        }
        uint64_t next = wheel_next(&world.wheel);
        bool leap = next != WHEEL_NEVER && rand_chance(&world.rand, 300);
        world.now_ms = leap && next > world.now_ms ? next
                                                   : world.now_ms + rand_below(&world.rand, 40);
        wheel_run(&world.wheel, world.now_ms, on_fire, &world);
        check_world(&world);
    }
    assert_true(world.fired > 10000);
}

static void pushing_back_writes_one_field(void **state)
{
    (void)state;
    static struct world world;
    world = (struct world){.now_ms = 1000};
    rand_init(&world.rand, 4);
    wheel_init(&world.wheel, TICK_MS, world.now_ms);
    struct timer *timer = &world.timers[0];
    set(&world, timer, 2000);
    uint32_t bucket = timer->node.bucket;
    set(&world, timer, 60000);
    assert_int_equal(timer->node.bucket, bucket);
    world.now_ms = 2100;
    wheel_run(&world.wheel, world.now_ms, on_fire, &world);
    assert_int_equal(world.fired, 0);
    assert_true(wheel_is_set(&timer->node));
    set(&world, timer, 2200); /* pulled forward: it moves */
    world.now_ms = 2208;
    wheel_run(&world.wheel, world.now_ms, on_fire, &world);
    assert_int_equal(world.fired, 1);
}

static void a_deadline_in_the_past_fires_next(void **state)
{
    (void)state;
    static struct world world;
    world = (struct world){.now_ms = 1000};
    rand_init(&world.rand, 4);
    wheel_init(&world.wheel, TICK_MS, world.now_ms);
    set(&world, &world.timers[0], 1);
    world.now_ms = wheel_next(&world.wheel);
    assert_true(world.now_ms <= 1000 + TICK_MS);
    wheel_run(&world.wheel, world.now_ms, on_fire, &world);
    assert_int_equal(world.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(pushing_back_writes_one_field),
        cmocka_unit_test(a_deadline_in_the_past_fires_next),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
