/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/advice.h"
#include "support/unit.h"

#include <math.h>

static struct trace trace;
static struct rehearsal result;

static struct rehearsal_plan plan_of(double rate, uint32_t seconds)
{
    assert_true(trace_imagine(rate, rate, seconds, &alloc_libc, &trace));
    return (struct rehearsal_plan){.trace = &trace,
                                   .pool = {.max_per_key = 100, .max_total = 100},
                                   .keys = 1,
                                   .dial_ms = 5,
                                   .hold_ms = 100,
                                   .seed = 1,
                                   .alloc = &alloc_libc};
}

static void run(const struct rehearsal_plan *plan)
{
    const char *fault;
    assert_int_equal(rehearse(plan, &result, &fault), WEIR_OK);
    assert_int_equal(result.arrivals, plan->trace->arrivals);
    assert_int_equal(result.arrivals, result.granted + result.refused + result.still_waiting);
}

/* Little: 50 a second, 100 ms each, are 5 at a time. */
static void as_many_are_busy_as_little_says(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(50, 1000);
    for (int i = 0; i < SERVICES; i++) {
        plan.service = (enum service)i;
        run(&plan);
        assert_true(fabs(result.busy_mean - 5) < 0.25);
        assert_int_equal(result.refused, 0);
        assert_true(result.reused > result.granted * 99 / 100);
        assert_true(result.conns_most <= 100 && result.conns_mean >= result.busy_mean);
    }
    trace_fini(&trace);
}

/* M/M/5 at a load of 4 erlangs: Erlang's C is 0.554, the mean wait is 55.4 ms. */
static void waits_are_those_of_erlang(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(40, 20000);
    plan.pool.max_per_key = 5;
    plan.dial_ms = 0;
    run(&plan);
    assert_true(result.wait_mean_ms > 45 && result.wait_mean_ms < 66);
    assert_int_equal(result.conns_most, 5);
    uint32_t waits = 0, most = 0;
    for (unsigned i = 0; i < REHEARSAL_POINTS; i++) {
        most = result.points[i].conns > most ? result.points[i].conns : most;
        waits += result.points[i].waiting > 0;
    }
    assert_int_equal(most, 5);
    assert_true(waits > REHEARSAL_POINTS / 2);
    trace_fini(&trace);
}

static void equal_seeds_have_equal_runs(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(20, 300);
    static struct rehearsal first;
    run(&plan);
    first = result;
    run(&plan);
    assert_memory_equal(&first, &result, sizeof first);
    plan.seed = 2;
    run(&plan);
    assert_memory_not_equal(&first, &result, sizeof first);
    trace_fini(&trace);
}

static void too_many_are_refused_and_counted(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(50, 300);
    plan.pool.max_per_key = 2;
    plan.pool.waiting_max = 5;
    run(&plan);
    assert_true(result.refused > result.arrivals / 2);
    assert_int_equal(result.refused_by[WEIR_EQUEUE], result.refused);
    assert_int_equal(result.waiting_most, 5);
    uint64_t arrivals = 0, refused = 0;
    for (unsigned i = 0; i < REHEARSAL_POINTS; i++) {
        arrivals += result.points[i].arrivals;
        refused += result.points[i].refused;
    }
    assert_int_equal(arrivals, result.arrivals);
    assert_int_equal(refused, result.refused);
    trace_fini(&trace);
}

static void what_breaks_is_dialled_again_and_what_leaks_is_cut(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(20, 300);
    for (uint32_t i = 0; i < trace.count; i++) {
        trace.lines[i].errors = 60;
        trace.lines[i].leaked = 6;
    }
    run(&plan);
    assert_in_range(result.broken, 250, 350);
    assert_in_range(result.leaked, 15, 50);
    assert_true(result.dialled >= result.broken);
    assert_true(result.busy_most >= result.leaked);
    uint64_t leaked = result.leaked;
    plan.pool.lease_timeout_ms = 5000;
    run(&plan);
    assert_true(result.leaked >= leaked / 2 && result.busy_most < 20);
    plan.without_leaks = true;
    run(&plan);
    assert_int_equal(result.leaked, 0);
    trace_fini(&trace);
}

static void a_wrong_option_is_named(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(1, 10);
    const char *fault = NULL;
    plan.pool.min_idle = 3;
    plan.pool.max_idle = 2;
    assert_int_equal(rehearse(&plan, &result, &fault), WEIR_EINVAL);
    assert_string_equal(fault, "min_idle");
    trace_fini(&trace);
}

static void advice_is_the_least_that_is_enough(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(50, 600);
    struct advice advice;
    const char *fault;
    assert_int_equal(advise(&plan, 10, &advice, &fault), WEIR_OK);
    assert_true(advice.found);
    assert_in_range(advice.max_per_key, 6, 14);
    assert_int_equal(advice.max_total, advice.max_per_key);
    assert_in_range(advice.size_min, 1, advice.max_per_key);
    for (uint32_t i = 0; i < advice.runs_count; i++) {
        const struct advice_run *one = &advice.runs[i];
        assert_int_equal(one->is_enough, one->max_per_key >= advice.max_per_key);
        assert_true(i == 0 || one->max_per_key > one[-1].max_per_key);
    }
    advice_fini(&advice, plan.alloc);
    plan.keys = 4;
    assert_int_equal(advise(&plan, 10, &advice, &fault), WEIR_OK);
    assert_int_equal(advice.max_total, 4 * advice.max_per_key);
    advice_fini(&advice, plan.alloc);
    trace_fini(&trace);
}

static void advice_is_for_the_busiest_hour(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(1, 4 * 3600);
    for (uint32_t i = 2 * 60; i < 3 * 60; i++)
        trace.lines[i].arrivals = 300;
    struct advice advice;
    const char *fault;
    assert_int_equal(advise(&plan, 10, &advice, &fault), WEIR_OK);
    assert_int_equal(advice.from_s, 2 * 3600);
    assert_int_equal(advice.to_s, 3 * 3600);
    advice_fini(&advice, plan.alloc);
    trace_fini(&trace);
}

static void no_size_is_enough_where_a_dial_takes_too_long(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(1, 20);
    struct advice advice;
    const char *fault;
    plan.dial_ms = 2000;
    assert_int_equal(advise(&plan, 1, &advice, &fault), WEIR_OK);
    assert_false(advice.found);
    assert_int_equal(advice.runs[advice.runs_count - 1].max_per_key, ADVICE_SIZE_MAX);
    advice_fini(&advice, plan.alloc);
    trace_fini(&trace);
}

static void try_all(const struct alloc *alloc, void *arg)
{
    struct rehearsal_plan plan = *(const struct rehearsal_plan *)arg;
    struct advice advice;
    const char *fault;
    plan.alloc = alloc;
    weir_err err = rehearse(&plan, &result, &fault);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    if (err == WEIR_OK) {
        err = advise(&plan, 10, &advice, &fault);
        assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
        advice_fini(&advice, alloc);
    }
}

static void memory_that_is_refused_is_said(void **state)
{
    (void)state;
    struct rehearsal_plan plan = plan_of(2, 5);
    torture(try_all, &plan);
    trace_fini(&trace);
}

static void count_calls(void *arg, uint64_t done, uint64_t all)
{
    assert_true(done <= all);
    ++*(uint32_t *)arg;
}

static void long_work_is_told_of(void **state)
{
    (void)state;
    uint32_t calls = 0;
    struct rehearsal_plan plan = plan_of(1000, 200);
    plan.hold_ms = 1;
    plan.on_progress = count_calls;
    plan.arg = &calls;
    run(&plan);
    assert_in_range(calls, 2, 4);
    trace_fini(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_are_busy_as_little_says),
        cmocka_unit_test(waits_are_those_of_erlang),
        cmocka_unit_test(equal_seeds_have_equal_runs),
        cmocka_unit_test(too_many_are_refused_and_counted),
        cmocka_unit_test(what_breaks_is_dialled_again_and_what_leaks_is_cut),
        cmocka_unit_test(a_wrong_option_is_named),
        cmocka_unit_test(advice_is_the_least_that_is_enough),
        cmocka_unit_test(advice_is_for_the_busiest_hour),
        cmocka_unit_test(no_size_is_enough_where_a_dial_takes_too_long),
        cmocka_unit_test(memory_that_is_refused_is_said),
        cmocka_unit_test(long_work_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
