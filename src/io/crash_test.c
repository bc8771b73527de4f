/* SPDX-License-Identifier: Apache-2.0
 *
 * A crash under a guard costs its thread; one without takes its course.
 */
#include "io/crash.h"

#include "support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int told;

static void on_crash(void *self)
{
    atomic_fetch_add((_Atomic int *)self, 1);
}

static void *crash(void *arg)
{
    struct crash_guard guard = {on_crash, &told};
    crash_guard_begin(&guard);
    raise(*(const int *)arg);
    crash_guard_end(); /* never comes here */
    atomic_fetch_add(&told, 100);
    return NULL;
}

static void costs_its_thread(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    crash_contain();
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, crash, (void *)(uintptr_t)&signals[i]), 0);
        pthread_detach(thread);
        while (atomic_load(&told) <= i) {
            sched_yield();
        }
        assert_int_equal(atomic_load(&told), i + 1);
    }
}

static void *behave(void *arg)
{
    struct crash_guard guard = {on_crash, &told};
    crash_guard_begin(&guard);
    crash_guard_end();
    return arg;
}

/* What a child of ours dies of. */
static int fate_of(void (*fn)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fn();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void default_then_crash(void)
{
    signal(SIGFPE, SIG_DFL);
    crash_contain();
    behave(NULL); /* the guard is over */
    raise(SIGFPE);
}

static void handle(int number)
{
    (void)number;
    _exit(7);
}

static void handled_then_crash(void)
{
    signal(SIGFPE, handle);
    crash_contain();
    raise(SIGFPE);
}

static void takes_its_course_without_a_guard(void **state)
{
    (void)state;
    assert_int_equal(fate_of(default_then_crash), SIGFPE);
    assert_int_equal(fate_of(handled_then_crash), -7);
}

int main(void)
{
    /* The second first: what it does in children is to be the first time there. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_its_course_without_a_guard),
        cmocka_unit_test(costs_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
