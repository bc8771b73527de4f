/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/gate.h"

#include "support/turns.h"

#define PASSES 5

struct scene {
    struct loop *loop;
    struct gate gate;
    struct gate_side one, two;
    struct gate_pass passes[PASSES];
    uint32_t begun[PASSES], count;
    uint32_t refused[PASSES], refused_count;
    struct gate_side *asked[PASSES];
    uint32_t asked_count;
};

static void begin(void *self, struct gate_pass *pass)
{
    struct scene *scene = self;
    scene->begun[scene->count++] = (uint32_t)(pass - scene->passes);
}

static void refuse(void *self, struct gate_pass *pass)
{
    struct scene *scene = self;
    scene->refused[scene->refused_count++] = (uint32_t)(pass - scene->passes);
}

static void yield(void *self, struct gate_side *side)
{
    struct scene *scene = self;
    scene->asked[scene->asked_count++ % PASSES] = side;
}

static void scene_init(struct scene *scene, uint32_t connecting_max, uint32_t connections_max)
{
    *scene = (struct scene){0};
    gate_init(&scene->gate, "socks5://proxy", connecting_max, connections_max);
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    for (int i = 0; i < PASSES; i++) {
        scene->passes[i].until_ms = UINT64_MAX;
    }
    scene->one =
        (struct gate_side){.begin = begin, .refuse = refuse, .yield = yield, .self = scene};
    scene->two = scene->one;
    assert_int_equal(gate_side_init(&scene->one, &scene->gate, scene->loop), 0);
    assert_int_equal(gate_side_init(&scene->two, &scene->gate, scene->loop), 0);
}

static void scene_fini(struct scene *scene)
{
    gate_side_fini(&scene->one);
    gate_side_fini(&scene->two);
    assert_int_equal(scene->gate.connecting, 0);
    assert_int_equal(scene->gate.waiting, 0);
    assert_int_equal(scene->gate.wanting, 0);
    gate_fini(&scene->gate);
    loop_free(scene->loop);
}

static void who_comes_waits_his_turn(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, 2, UINT32_MAX);
    for (uint32_t i = 0; i < PASSES; i++) {
        gate_arrive(i % 2 == 0 ? &scene.one : &scene.two, &scene.passes[i]);
    }
    assert_int_equal(scene.count, 2);
    assert_int_equal(scene.gate.connecting, 2);
    assert_int_equal(scene.gate.waiting, 3);
    gate_leave(&scene.one, &scene.passes[2]); /* gives up waiting */
    gate_leave(&scene.one, &scene.passes[0]);
    gate_leave(&scene.two, &scene.passes[1]);
    turn_until(scene.loop, scene.count == 4);
    assert_true(scene.passes[3].is_inside && scene.passes[4].is_inside);
    assert_false(scene.passes[2].is_inside);
    gate_leave(&scene.two, &scene.passes[3]);
    gate_leave(&scene.one, &scene.passes[4]);
    gate_leave(&scene.one, &scene.passes[4]); /* a second time is nothing */
    scene_fini(&scene);
}

static void places_are_given_in_turn(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, UINT32_MAX, 2);
    for (uint32_t i = 0; i < 4; i++) {
        gate_arrive(i < 3 ? &scene.one : &scene.two, &scene.passes[i]);
    }
    assert_int_equal(scene.gate.connections, 2);
    struct gate_place first = gate_move(&scene.passes[0].place);
    gate_leave(&scene.one, &scene.passes[0]); /* it is up */
    assert_int_equal(scene.gate.connections, 2);
    assert_int_equal(scene.gate.connecting, 1);
    gate_leave(&scene.one, &scene.passes[1]); /* it failed: the next is of the same side */
    turn_until(scene.loop, scene.count == 3);
    assert_int_equal(scene.begun[2], 2);
    gate_give(&first);
    assert_null(first.side);
    gate_give(&first); /* a second time is nothing */
    turn_until(scene.loop, scene.count == 4);
    assert_int_equal(scene.begun[3], 3);
    assert_int_equal(scene.gate.connections, 2);
    gate_leave(&scene.one, &scene.passes[2]);
    gate_leave(&scene.two, &scene.passes[3]);
    assert_int_equal(scene.gate.connections, 0);
    scene_fini(&scene);
}

/* Two keys of one side: what the one has idle is asked for by the other, and by no one else. */
static void keys_of_one_side_share(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, UINT32_MAX, 1);
    scene.passes[0].of = scene.passes[2].of = &scene.one;
    scene.passes[1].of = &scene.two;
    gate_arrive(&scene.one, &scene.passes[0]);
    struct gate_place place = gate_move(&scene.passes[0].place);
    gate_leave(&scene.one, &scene.passes[0]);
    gate_arrive(&scene.one,
                &scene.passes[2]); /* it waits for a lease of that very connection, too */
    turn_until(scene.loop, scene.asked_count > GATE_TURN_MS / GATE_LOOK_MS);
    assert_false(gate_is_wanted(&place));
    gate_leave(&scene.one, &scene.passes[2]);
    gate_arrive(&scene.one, &scene.passes[1]);
    turn_until(scene.loop, gate_is_wanted(&place));
    uint32_t asked = scene.asked_count;
    turn_until(scene.loop, scene.asked_count > asked);
    assert_ptr_equal(scene.asked[asked % PASSES], &scene.one);
    gate_give(&place);
    turn_until(scene.loop, scene.count == 2);
    assert_int_equal(scene.begun[1], 1);
    gate_leave(&scene.one, &scene.passes[1]);
    scene_fini(&scene);
}

static void who_waits_too_long_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, UINT32_MAX, 1);
    gate_arrive(&scene.one, &scene.passes[0]);
    scene.passes[1].until_ms = loop_now_ms(scene.loop) + 30;
    gate_arrive(&scene.one, &scene.passes[1]);
    gate_arrive(&scene.one, &scene.passes[2]); /* has more time */
    while (scene.refused_count == 0) {
        loop_turn(scene.loop, 20);
    }
    assert_true(loop_now_ms(scene.loop) >= scene.passes[1].until_ms);
    assert_int_equal(scene.refused[0], 1);
    assert_int_equal(scene.gate.full, 1);
    assert_int_equal(scene.gate.waiting, 1);
    gate_leave(&scene.one, &scene.passes[2]);
    gate_leave(&scene.one, &scene.passes[0]);
    assert_int_equal(scene.refused_count, 1);
    scene_fini(&scene);
}

static void others_are_asked_once_they_had_their_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, UINT32_MAX, 1);
    gate_arrive(&scene.one, &scene.passes[0]);
    struct gate_place place = gate_move(&scene.passes[0].place);
    gate_leave(&scene.one, &scene.passes[0]);
    gate_arrive(&scene.one, &scene.passes[1]); /* its own wish */
    while (loop_now_ms(scene.loop) < place.since_ms + GATE_TURN_MS) {
        loop_turn(scene.loop, 20);
    }
    assert_false(gate_is_wanted(&place)); /* though its own side looks for one of another key */
    gate_leave(&scene.one, &scene.passes[1]);
    scene.asked_count = 0;
    gate_arrive(&scene.two, &scene.passes[2]);
    assert_true(gate_is_wanted(&place));
    while (scene.asked_count == 0) {
        loop_turn(scene.loop, 20);
    }
    assert_ptr_equal(scene.asked[0], &scene.one);
    struct gate *gate = gate_lift(&place); /* on its way to the other side: had anew */
    place = gate_land(gate, &scene.two);
    assert_int_equal(scene.gate.connections, 1);
    assert_false(gate_is_wanted(&place));
    gate_drop(gate_lift(&place));
    turn_until(scene.loop, scene.count == 2);
    gate_leave(&scene.two, &scene.passes[2]);
    scene_fini(&scene);
}

static void what_failed_is_told_by_its_step(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, "", UINT32_MAX, UINT32_MAX);
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
        cmocka_unit_test(places_are_given_in_turn),
        cmocka_unit_test(keys_of_one_side_share),
        cmocka_unit_test(who_waits_too_long_is_refused),
        cmocka_unit_test(others_are_asked_once_they_had_their_time),
        cmocka_unit_test(what_failed_is_told_by_its_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
