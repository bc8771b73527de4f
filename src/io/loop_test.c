/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include "support/turns.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <uv.h>

#define TIMERS 10000U

static struct loop *loop_of_test(void)
{
    struct loop *loop;
    assert_int_equal(loop_new(NULL, &loop), 0);
    return loop;
}

/* --- timers -------------------------------------------------------------------------------------
 */

struct alarm {
    struct loop_timer timer;
    uint64_t deadline_ms;
    struct loop *loop;
    uint32_t *fired;
    uint64_t late_ms;
};

static void on_alarm(struct loop_timer *timer, uint64_t now_ms)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    assert_true(now_ms >= alarm->deadline_ms);
    assert_false(loop_timer_is_set(timer));
    alarm->late_ms = now_ms - alarm->deadline_ms;
    (*alarm->fired)++;
}

static void ten_thousand_timers_fire_once_and_not_early(void **state)
{
    (void)state;
    static struct alarm alarms[TIMERS];
    struct loop *loop = loop_of_test();
    uint32_t fired = 0;
    uint64_t start_ms = loop_now_ms(loop);
    for (uint32_t i = 0; i < TIMERS; i++) {
        alarms[i] = (struct alarm){
            .timer.fire = on_alarm, .deadline_ms = start_ms + (i * 7919U) % 400U, .fired = &fired};
        loop_timer_set(loop, &alarms[i].timer, alarms[i].deadline_ms);
    }
    turn_until(loop, fired >= TIMERS);
    loop_turn(loop, 0);
    assert_int_equal(fired, TIMERS);
    loop_free(loop);
}

static void a_stopped_timer_is_silent_and_a_pushed_back_one_waits(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    uint32_t stopped = 0, pushed = 0, last = 0;
    uint64_t now_ms = loop_now_ms(loop);
    struct alarm a = {.timer.fire = on_alarm, .fired = &stopped, .deadline_ms = now_ms + 10};
    struct alarm b = {.timer.fire = on_alarm, .fired = &pushed, .deadline_ms = now_ms + 60};
    struct alarm c = {.timer.fire = on_alarm, .fired = &last, .deadline_ms = now_ms + 90};
    loop_timer_set(loop, &a.timer, now_ms + 10);
    loop_timer_set(loop, &b.timer, now_ms + 5);
    loop_timer_set(loop, &b.timer, b.deadline_ms);
    loop_timer_set(loop, &c.timer, c.deadline_ms);
    loop_timer_stop(loop, &a.timer);
    loop_timer_stop(loop, &a.timer);
    turn_until(loop, last >= 1);
    assert_int_equal(stopped, 0);
    assert_int_equal(pushed, 1);
    loop_free(loop);
}

static void on_again(struct loop_timer *timer, uint64_t now_ms)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    if (++*alarm->fired < 5) {
        loop_timer_set(alarm->loop, timer, now_ms + 1);
    }
}

static void a_timer_may_set_itself_again(void **state)
{
    (void)state;
    uint32_t fired = 0;
    struct alarm alarm = {.timer.fire = on_again, .fired = &fired, .loop = loop_of_test()};
    loop_timer_set(alarm.loop, &alarm.timer, 0); /* long past */
    turn_until(alarm.loop, fired >= 5);
    loop_free(alarm.loop);
}

/* --- hooks --------------------------------------------------------------------------------------
 */

struct counter {
    struct loop_hook hook;
    struct loop *loop;
    uint32_t runs;
    uint64_t next_ms;
    struct loop_hook *removes;
    bool soon;
};

static uint64_t on_hook(void *self, uint64_t now_ms)
{
    struct counter *counter = self;
    counter->runs++;
    if (counter->removes != NULL) {
        loop_hook_remove(counter->loop, counter->removes);
        counter->removes = NULL;
    }
    if (counter->soon) {
        counter->soon = false;
        loop_hook_soon(counter->loop, &counter->hook);
    }
    return counter->next_ms > now_ms ? counter->next_ms : UINT64_MAX;
}

static void counter_init(struct counter *counter, struct loop *loop)
{
    *counter = (struct counter){.hook = {.run = on_hook, .self = counter}, .loop = loop};
    loop_hook_add(loop, &counter->hook);
}

static void hooks_run_once_a_turn_and_only_when_something_happened(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct counter a, b;
    uint32_t fired = 0;
    counter_init(&a, loop);
    counter_init(&b, loop);
    loop_turn(loop, 0);
    assert_int_equal(a.runs, 1); /* a new hook tells its first deadline */
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(a.runs, 1);

    struct alarm alarm = {.timer.fire = on_alarm, .fired = &fired};
    loop_timer_set(loop, &alarm.timer, loop_now_ms(loop) + 1);
    turn_until(loop, fired >= 1);
    assert_int_equal(a.runs, 2);
    assert_int_equal(b.runs, 2);

    loop_hook_soon(loop, &a.hook);
    loop_turn(loop, TURNS_DEADLINE_MS); /* returns at once */
    assert_int_equal(a.runs, 3);
    loop_hook_remove(loop, &a.hook);
    loop_hook_remove(loop, &b.hook);
    loop_free(loop);
}

struct teller {
    struct loop_hook hook;
    struct loop_timer timer;
    uint64_t told_ms, fired_ms;
};

static void on_tick(void *self, uint64_t now_ms)
{
    struct teller *teller = self;
    assert_true(now_ms > teller->told_ms);
    teller->told_ms = now_ms;
}

static uint64_t on_run(void *self, uint64_t now_ms)
{
    (void)self;
    (void)now_ms;
    return UINT64_MAX;
}

static void on_told(struct loop_timer *timer, uint64_t now_ms)
{
    struct teller *teller = container_of(timer, struct teller, timer);
    assert_int_equal(teller->told_ms, now_ms);
    teller->fired_ms = now_ms;
}

static void hooks_know_the_time_before_anything_is_told(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct teller teller = {.hook = {.run = on_run, .tick = on_tick, .self = &teller},
                            .timer.fire = on_told};
    loop_hook_add(loop, &teller.hook);
    loop_timer_set(loop, &teller.timer, loop_now_ms(loop) + 20);
    turn_until(loop, teller.fired_ms > 0);
    loop_hook_remove(loop, &teller.hook);
    loop_free(loop);
}

static void a_hook_that_runs_is_something_that_happened(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct counter first, timed, last;
    counter_init(&first, loop);
    counter_init(&timed, loop);
    counter_init(&last, loop);
    timed.next_ms = loop_now_ms(loop) + 3;
    loop_turn(loop, 0);
    turn_until(loop, timed.runs >= 2);
    assert_int_equal(first.runs, 1); /* it has nothing to do with those behind it */
    assert_int_equal(timed.runs, 2);
    assert_int_equal(last.runs, 2);
    loop_hook_remove(loop, &first.hook);
    loop_hook_remove(loop, &timed.hook);
    loop_hook_remove(loop, &last.hook);
    loop_free(loop);
}

static void a_hook_runs_by_its_deadline(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct counter counter;
    counter_init(&counter, loop);
    counter.next_ms = loop_now_ms(loop) + 20;
    turn_until(loop, counter.runs >= 2);
    assert_true(loop_now_ms(loop) >= counter.next_ms);
    loop_turn(loop, 0);
    assert_int_equal(counter.runs, 2);
    loop_hook_remove(loop, &counter.hook);
    loop_free(loop);
}

static void hooks_may_remove_hooks_and_ask_for_another_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct counter a, b, c;
    counter_init(&a, loop);
    counter_init(&b, loop);
    counter_init(&c, loop);
    a.removes = &b.hook;
    c.removes = &c.hook;
    loop_turn(loop, 0);
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 0);
    assert_int_equal(c.runs, 1);
    a.soon = true;
    loop_hook_soon(loop, &a.hook);
    turn_until(loop, a.runs >= 3);
    loop_hook_remove(loop, &a.hook);
    loop_free(loop);
}

/* --- put off ------------------------------------------------------------------------------------
 */

struct errand {
    struct loop_later later;
    struct loop *loop;
    uint32_t runs, again;
};

static void on_errand(struct loop_later *later)
{
    struct errand *errand = container_of(later, struct errand, later);
    errand->runs++;
    if (errand->again > 0) {
        errand->again--;
        loop_later(errand->loop, later);
    }
}

static void what_is_put_off_runs_once_unless_cancelled(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct errand a = {.later.run = on_errand, .loop = loop, .again = 3};
    struct errand b = {.later.run = on_errand, .loop = loop};
    loop_later(loop, &a.later);
    loop_later(loop, &a.later);
    loop_later(loop, &b.later);
    loop_later_cancel(loop, &b.later);
    assert_int_equal(loop_timeout_ms(loop), 0);
    turn_until(loop, a.runs >= 4);
    assert_int_equal(a.runs, 4);
    assert_int_equal(b.runs, 0);
    loop_free(loop);
}

/* --- wake-ups -----------------------------------------------------------------------------------
 */

#define SENDS 1000U

struct bell {
    struct loop *loop;
    struct loop_wake *wake;
    _Atomic uint32_t sent;
    uint32_t heard; /* of sent, at the last wake */
};

static void on_bell(void *self)
{
    struct bell *bell = self;
    bell->heard = bell->sent;
    if (bell->heard == SENDS) {
        loop_stop(bell->loop);
    }
}

static void *ring_bell(void *arg)
{
    struct bell *bell = arg;
    for (uint32_t i = 0; i < SENDS; i++) {
        bell->sent++;
        loop_wake_send(bell->wake);
    }
    return NULL;
}

static void a_wake_from_another_thread_is_heard(void **state)
{
    (void)state;
    struct bell bell = {.loop = loop_of_test()};
    pthread_t thread;
    assert_int_equal(loop_wake_new(bell.loop, on_bell, &bell, &bell.wake), 0);
    pthread_create(&thread, NULL, ring_bell, &bell);
    loop_run(bell.loop);
    assert_int_equal(bell.heard, SENDS);
    pthread_join(thread, NULL);
    loop_wake_send(bell.wake);
    loop_wake_free(bell.wake); /* and this one is not */
    loop_turn(bell.loop, 0);
    loop_free(bell.loop);
}

static void on_own(void *self)
{
    ++*(uint32_t *)self;
}

/* It finds out without its descriptor, and does not sleep. */
static void its_own_thread_s_wake_needs_no_bell(void **state)
{
    (void)state;
    struct loop_wake *wake;
    struct loop *loop = loop_of_test();
    uint32_t heard = 0;
    assert_int_equal(loop_wake_new(loop, on_own, &heard, &wake), 0);
    loop_turn(loop, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        struct pollfd watched = {.fd = loop_fd(loop), .events = POLLIN};
        loop_wake_send(wake);
        loop_wake_send(wake);
        assert_int_equal(poll(&watched, 1, 0), 0);
        assert_int_equal(loop_timeout_ms(loop), 0);
        assert_int_equal(loop_turn(loop, -1), 0);
        assert_int_equal(heard, i);
    }
    assert_int_equal(loop_timeout_ms(loop), -1);
    loop_wake_free(wake);
    loop_free(loop);
}

struct breaker {
    struct loop_wake *wakes[3];
    uint32_t heard;
};

static void on_break(void *self)
{
    struct breaker *breaker = self;
    breaker->heard++;
    for (int i = 0; i < 3; i++) {
        loop_wake_free(breaker->wakes[i]);
    }
}

static void a_wake_may_free_any_wake(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    struct breaker breaker = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(loop_wake_new(loop, on_break, &breaker, &breaker.wakes[i]), 0);
        loop_wake_send(breaker.wakes[i]);
    }
    turn_until(loop, breaker.heard > 0);
    loop_turn(loop, 0);
    assert_int_equal(breaker.heard, 1);
    loop_free(loop);
}

static void a_loop_told_to_stop_before_it_runs_does_not(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    loop_stop(loop);
    assert_int_equal(loop_run(loop), 0);
    loop_free(loop);
}

/* --- the read buffer ----------------------------------------------------------------------------
 */

static void what_is_kept_of_the_buffer_is_read_behind(void **state)
{
    (void)state;
    struct loop *loop;
    size_t cap;
    assert_int_equal(loop_new(NULL, &loop), 0);
    char *first = loop_buffer(loop, &cap);
    assert_true(loop_buffer_keep(loop, first + 100, 1000));
    char *second = loop_buffer(loop, &cap);
    assert_true(second >= first + 1100 && second < first + 1100 + 64);
    assert_int_equal(cap, 64 * 1024); /* a read has as much room as ever */
    memset(second, 'x', cap);
    assert_true(loop_buffer_keep(loop, first, 10)); /* from an earlier read: nothing moves */
    assert_ptr_equal(loop_buffer(loop, &cap), second);
    loop_buffer_let_go(loop);
    assert_ptr_equal(loop_buffer(loop, &cap), second);
    loop_buffer_let_go(loop);
    assert_ptr_equal(loop_buffer(loop, &cap), first);
    loop_free(loop);
}

static void what_is_kept_of_the_buffer_has_a_bound(void **state)
{
    (void)state;
    struct loop *loop;
    size_t cap;
    unsigned kept = 0;
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_false(loop_buffer_keep(loop, &cap, sizeof cap)); /* not there */
    char *first = loop_buffer(loop, &cap);
    assert_false(loop_buffer_keep(loop, first - 1, 2));
    while (kept < 100 && loop_buffer_keep(loop, loop_buffer(loop, &cap), 10000)) {
        kept++;
    }
    assert_true(kept > 1 && kept < 100);
    memset(loop_buffer(loop, &cap), 'x', cap); /* the room behind it is ours (ASan) */
    while (kept-- > 0) {
        loop_buffer_let_go(loop);
    }
    loop_free(loop);
}

/* --- a program's own loop ------------------------------------------------------------------------
 */

static void it_lives_in_a_programs_own_loop(void **state)
{
    (void)state;
    uv_loop_t uv;
    uv_loop_init(&uv);
    struct loop_options opt = {.uv_loop = &uv, .read_buffer_bytes = 4096};
    struct loop *loop;
    uint32_t fired = 0;
    struct counter counter;
    assert_int_equal(loop_new(&opt, &loop), 0);
    size_t cap;
    loop_buffer(loop, &cap);
    assert_int_equal(cap, 4096);
    counter_init(&counter, loop);
    struct alarm alarm = {.timer.fire = on_alarm, .fired = &fired};
    struct errand errand = {.later.run = on_errand, .loop = loop};
    loop_timer_set(loop, &alarm.timer, loop_now_ms(loop) + 20);
    loop_later(loop, &errand.later);
    /* Not UV_RUN_ONCE: where its time has come before, it fires first, and then waits for ever. */
    await_true(fired > 0, TURNS_DEADLINE_MS, uv_run(&uv, UV_RUN_NOWAIT); poll(NULL, 0, 1));
    assert_int_equal(fired, 1);
    assert_int_equal(errand.runs, 1);
    assert_int_equal(counter.runs, 2);
    loop_hook_remove(loop, &counter.hook);
    loop_free(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static void it_can_be_polled_by_a_foreign_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    uint32_t fired = 0;
    struct alarm alarm = {.timer.fire = on_alarm, .fired = &fired};
    loop_timer_set(loop, &alarm.timer, loop_now_ms(loop) + 20);
    loop_turn(loop, 0);
    uint64_t end_ms = clock_now_ms() + TURNS_DEADLINE_MS;
    while (fired == 0 && clock_now_ms() < end_ms) {
        struct pollfd at = {.fd = loop_fd(loop), .events = POLLIN};
        poll(&at, 1, loop_timeout_ms(loop));
        loop_turn(loop, 0);
    }
    assert_int_equal(fired, 1);
    loop_free(loop);
}

static void the_date_is_one_of_http(void **state)
{
    (void)state;
    struct loop *loop = loop_of_test();
    const char *date = loop_http_date(loop);
    assert_int_equal(strlen(date), CLOCK_HTTP_DATE);
    assert_string_equal(date + 25, " GMT");
    assert_ptr_equal(loop_http_date(loop), date);
    loop_free(loop);
}

static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    struct loop_options opt = {.alloc = alloc, .uv_loop = arg};
    struct loop *loop;
    struct loop_wake *wake;
    if (loop_new(&opt, &loop) == 0) {
        if (loop_wake_new(loop, on_bell, NULL, &wake) == 0) {
            loop_wake_free(wake);
        }
        loop_free(loop);
        uv_run(arg, UV_RUN_NOWAIT); /* the guest's handles go */
    }
}

static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    uv_loop_t uv;
    uv_loop_init(&uv);
    torture(body_of_refused_memory, &uv);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_timers_fire_once_and_not_early),
        cmocka_unit_test(a_stopped_timer_is_silent_and_a_pushed_back_one_waits),
        cmocka_unit_test(a_timer_may_set_itself_again),
        cmocka_unit_test(hooks_run_once_a_turn_and_only_when_something_happened),
        cmocka_unit_test(hooks_know_the_time_before_anything_is_told),
        cmocka_unit_test(a_hook_that_runs_is_something_that_happened),
        cmocka_unit_test(a_hook_runs_by_its_deadline),
        cmocka_unit_test(hooks_may_remove_hooks_and_ask_for_another_turn),
        cmocka_unit_test(what_is_put_off_runs_once_unless_cancelled),
        cmocka_unit_test(a_wake_from_another_thread_is_heard),
        cmocka_unit_test(its_own_thread_s_wake_needs_no_bell),
        cmocka_unit_test(a_wake_may_free_any_wake),
        cmocka_unit_test(a_loop_told_to_stop_before_it_runs_does_not),
        cmocka_unit_test(what_is_kept_of_the_buffer_is_read_behind),
        cmocka_unit_test(what_is_kept_of_the_buffer_has_a_bound),
        cmocka_unit_test(it_lives_in_a_programs_own_loop),
        cmocka_unit_test(it_can_be_polled_by_a_foreign_loop),
        cmocka_unit_test(the_date_is_one_of_http),
        cmocka_unit_test(refused_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
