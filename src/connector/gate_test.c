/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/gate.h"

#include "support/unit.h"

#define PASSES 5

struct scene {
    struct loop *loop;
    struct gate gate;
    struct gate_side one, two;
    struct gate_pass passes[PASSES];
    uint32_t begun[PASSES], count;
};

static void begin(void *self, struct gate_pass *pass)
{
    struct scene *scene = self;
    scene->begun[scene->count++] = (uint32_t)(pass - scene->passes);
}

static void scene_init(struct scene *scene, uint32_t connecting_max)
{
    *scene = (struct scene){.gate = {.connecting_max = connecting_max}};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    gate_side_init(&scene->one, &scene->gate, scene->loop);
    gate_side_init(&scene->two, &scene->gate, scene->loop);
    scene->one.begin = scene->two.begin = begin;
    scene->one.self = scene->two.self = scene;
}

static void scene_fini(struct scene *scene)
{
    gate_side_fini(&scene->one);
    gate_side_fini(&scene->two);
    assert_int_equal(scene->gate.connecting, 0);
    assert_int_equal(scene->gate.waiting, 0);
    loop_free(scene->loop);
}

static void turn_until(struct scene *scene, uint32_t count)
{
    uint64_t end_ms = loop_now_ms(scene->loop) + 10000;
    while (scene->count < count && loop_now_ms(scene->loop) < end_ms) {
        loop_turn(scene->loop, 20);
    }
    assert_int_equal(scene->count, count);
}

static void who_comes_waits_his_turn(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, 2);
    for (uint32_t i = 0; i < PASSES; i++) {
        gate_arrive(i % 2 == 0 ? &scene.one : &scene.two, &scene.passes[i]);
    }
    assert_int_equal(scene.count, 2);
    assert_int_equal(scene.gate.connecting, 2);
    assert_int_equal(scene.gate.waiting, 3);
    gate_leave(&scene.one, &scene.passes[2]); /* gives up waiting */
    gate_leave(&scene.one, &scene.passes[0]);
    gate_leave(&scene.two, &scene.passes[1]);
    turn_until(&scene, 4);
    assert_true(scene.passes[3].is_inside && scene.passes[4].is_inside);
    assert_false(scene.passes[2].is_inside);
    gate_leave(&scene.two, &scene.passes[3]);
    gate_leave(&scene.one, &scene.passes[4]);
    gate_leave(&scene.one, &scene.passes[4]); /* a second time is nothing */
    scene_fini(&scene);
}

static void what_failed_is_told_by_its_step(void **state)
{
    (void)state;
    struct gate gate = {.connecting_max = UINT32_MAX};
    static const struct dial_result results[] = {
        {.error = DIAL_OK, .step = DIAL_PASSING},
        {.error = DIAL_TLS, .step = DIAL_SECURING}, /* the target's affair */
        {.error = DIAL_PROXY, .step = DIAL_RESOLVING},
        {.error = DIAL_PROXY, .step = DIAL_CONNECTING},
        {.error = DIAL_PROXY, .step = DIAL_GREETING},
        {.error = DIAL_PROXY, .step = DIAL_PASSING},
        {.error = DIAL_TIMEOUT, .step = DIAL_PASSING},
        {.error = DIAL_LOCAL, .step = DIAL_CONNECTING},
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        gate_tell(&gate, &results[i]);
    }
    assert_int_equal(gate.ok, 2);
    const uint64_t others[] = {gate.resolve, gate.connect, gate.tls,
                               gate.proxy,   gate.timeout, gate.local};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(others[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_waits_his_turn),
        cmocka_unit_test(what_failed_is_told_by_its_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
