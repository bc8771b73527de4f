/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/openclaw_door.h"

#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>

static void doors_of_one_name_share_a_count(void **state)
{
    (void)state;
    struct claw_door here, there, elsewhere;
    char name[] = "gateway:18789"; /* another place in memory, the same name */
    claw_door_open(&here, "gateway:18789");
    claw_door_open(&there, name);
    claw_door_open(&elsewhere, "gateway:18790");
    assert_true(claw_door_enter(&here, 2));
    assert_true(claw_door_enter(&there, 2));
    assert_false(claw_door_enter(&here, 2));
    assert_false(claw_door_enter(&there, 2));
    assert_true(claw_door_enter(&there, 3)); /* who is asked says how many */
    assert_true(claw_door_enter(&elsewhere, 1));
    claw_door_leave(&there);
    assert_false(claw_door_enter(&here, 2));
    claw_door_leave(&here);
    assert_true(claw_door_enter(&here, 2));
    claw_door_leave(&here);
    claw_door_close(&here);
    assert_true(
        claw_door_enter(&there, 2)); /* what it counted went with it, what others count did not */
    assert_false(claw_door_enter(&there, 2));
    claw_door_leave(&there);
    claw_door_leave(&there);
    claw_door_leave(&elsewhere);
    claw_door_close(&there);
    claw_door_close(&elsewhere);
}

#define THREADS 4
#define ENTRIES 5000
#define MOST    2U

static _Atomic uint32_t inside, exceeded, entered;

static void *come_and_go(void *arg)
{
    (void)arg;
    struct claw_door door;
    for (int i = 0; i < ENTRIES; i++) {
        claw_door_open(&door, "gateway:18789");
        if (claw_door_enter(&door, MOST)) {
            exceeded += ++inside > MOST;
            entered++;
            inside--;
            claw_door_leave(&door);
        }
        claw_door_close(&door);
    }
    return NULL;
}

static void threads_do_not_pass_the_bound(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(exceeded, 0);
    assert_true(entered >= ENTRIES); /* whoever is alone enters */
    assert_int_equal(inside, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doors_of_one_name_share_a_count),
        cmocka_unit_test(threads_do_not_pass_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
