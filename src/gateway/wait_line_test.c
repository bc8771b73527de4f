/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wait_line.h"

#include "runtime/worker.h"
#include "support/turns.h"

#define WAITERS 5U

static struct loop *loop;
static struct wait_hall hall;
static struct wait_line line;

/* Who waits: in the order of their calls, which is asked of each. */
static struct request {
    struct waiter wait;
    unsigned calls;
    bool was_late;
    struct request *takes_along; /* leaves in this one's turn */
    bool comes_again;            /* leaves, and joins behind the last */
} requests[WAITERS];
static struct request *called[64];
static unsigned calls, places; /* that are free */

static void on_turn(struct waiter *wait, bool is_late)
{
    struct request *request = container_of(wait, struct request, wait);
    called[calls++] = request;
    request->calls++;
    request->was_late = is_late;
    if (is_late || places > 0) {
        places -= !is_late;
        wait_line_leave(&line, wait);
    }
    if (request->takes_along != NULL && wait_line_holds(&request->takes_along->wait)) {
        wait_line_leave(&line, &request->takes_along->wait);
    }
    if (request->comes_again) {
        wait_line_leave(&line, wait);
        wait_line_join(&line, wait, wait->until_ms, on_turn);
    }
}

static int start(void **state)
{
    (void)state;
    const struct loop_options opt = {0};
    memset(requests, 0, sizeof requests);
    calls = places = 0;
    assert_int_equal(loop_new(&opt, &loop), 0);
    wait_hall_init(&hall);
    wait_line_init(&line, loop, &hall);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAITERS; i++) {
        if (wait_line_holds(&requests[i].wait)) {
            wait_line_leave(&line, &requests[i].wait);
        }
    }
    wait_line_fini(&line);
    wait_hall_fini(&hall);
    loop_free(loop);
    return 0;
}

static void join(unsigned n, enum config_priority priority, uint64_t for_ms)
{
    requests[n].wait.priority = priority;
    wait_line_join(&line, &requests[n].wait, loop_now_ms(loop) + for_ms, on_turn);
}

/* Not with the next tick of the timers, and not inside the call either. */
static void a_turn_comes_in_the_turn_in_which_a_place_is_free(void **state)
{
    (void)state;
    join(0, PRIORITY_NORMAL, 60000);
    places = 1;
    wait_line_wake(&line);
    assert_int_equal(calls, 0);
    loop_turn(loop, 0);
    assert_int_equal(calls, 1);
    assert_false(wait_line_holds(&requests[0].wait) || requests[0].was_late);
    wait_line_wake(&line); /* nobody waits */
    loop_turn(loop, 0);
    assert_int_equal(calls, 1);
}

static void those_of_a_higher_priority_are_called_first_and_keep_their_places(void **state)
{
    (void)state;
    static const unsigned order[] = {3, 1, 4, 0, 2};
    join(0, PRIORITY_LOW, 60000);
    join(1, PRIORITY_NORMAL, 60000);
    join(2, PRIORITY_LOW, 60000);
    join(3, PRIORITY_HIGH, 60000);
    join(4, PRIORITY_NORMAL, 60000);
    for (unsigned round = 0; round < 3; round++) { /* in vain */
        calls = 0;
        wait_line_wake(&line);
        loop_turn(loop, 0);
        assert_int_equal(calls, WAITERS);
        for (unsigned i = 0; i < WAITERS; i++) {
            assert_ptr_equal(called[i], &requests[order[i]]);
        }
    }
    places = 2;
    wait_line_wake(&line);
    loop_turn(loop, 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(wait_line_holds(&requests[order[i]].wait), i >= 2);
    }
}

static void call_in_order(const unsigned *order, unsigned count)
{
    calls = 0;
    wait_line_wake(&line);
    loop_turn(loop, 0);
    assert_int_equal(calls, count);
    for (unsigned i = 0; i < count; i++) {
        assert_ptr_equal(called[i], &requests[order[i]]);
    }
}

static void who_leaves_in_anothers_turn_changes_nobodys_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAITERS; i++) {
        join(i, PRIORITY_NORMAL, 60000);
    }
    requests[1].takes_along = &requests[2]; /* the next one */
    requests[3].takes_along = &requests[0]; /* one who was called */
    call_in_order((const unsigned[]){0, 1, 3, 4}, 4);
    requests[1].comes_again = true;
    call_in_order((const unsigned[]){1, 3, 4}, 3);
    requests[1].comes_again = false;
    call_in_order((const unsigned[]){3, 4, 1}, 3);
}

static void who_joins_again_and_again_ends_the_turn_all_the_same(void **state)
{
    (void)state;
    join(0, PRIORITY_NORMAL, 60000);
    join(1, PRIORITY_NORMAL, 60000);
    requests[0].comes_again = requests[1].comes_again = true;
    call_in_order((const unsigned[]){0, 1}, 2);
    requests[0].comes_again = requests[1].comes_again = false;
}

/* Nobody has ended here: the line is looked through, and whose time is up is told so. */
static void who_waits_is_looked_after(void **state)
{
    (void)state;
    join(0, PRIORITY_NORMAL, 60000);
    join(1, PRIORITY_NORMAL, 0);
    turn_until(loop, calls >= 2);
    assert_true(requests[1].was_late && !wait_line_holds(&requests[1].wait));
    assert_true(!requests[0].was_late && wait_line_holds(&requests[0].wait));
    places = 1;
    turn_until(loop, !wait_line_holds(&requests[0].wait));
    assert_false(requests[0].was_late);
}

/* It lies in the worker's list then, although nobody waits. */
static void a_line_that_was_called_is_not_let_go_before_its_worker_knows(void **state)
{
    const struct crew_options opt = {.workers = 1};
    struct crew *crew;
    (void)state;
    assert_int_equal(crew_new(&opt, &crew), 0);
    atomic_store(&line.worker, crew_worker(crew, 0));
    wait_hall_call(&hall);
    assert_false(wait_line_quit(&line));
    assert_int_equal(crew_start(crew), 0);
    crew_stop(crew);
    crew_join(crew);
    wait_hall_call(&hall); /* it is in no hall any more */
    assert_true(wait_line_quit(&line));
    crew_free(crew);
}

#define ON_A_LOOP(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_LOOP(a_turn_comes_in_the_turn_in_which_a_place_is_free),
        ON_A_LOOP(those_of_a_higher_priority_are_called_first_and_keep_their_places),
        ON_A_LOOP(who_leaves_in_anothers_turn_changes_nobodys_place),
        ON_A_LOOP(who_joins_again_and_again_ends_the_turn_all_the_same),
        ON_A_LOOP(who_waits_is_looked_after),
        ON_A_LOOP(a_line_that_was_called_is_not_let_go_before_its_worker_knows),
    };
    return cmocka_run_group_tests_name("wait line", tests, NULL, NULL);
}
