/* SPDX-License-Identifier: Apache-2.0 */
#include "io/signal.h"

#include "support/turns.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct heard {
    uint32_t count;
    int last;
    struct signal_watch *close;
};

static void on_signal(void *self, int number)
{
    struct heard *heard = self;
    heard->count++;
    heard->last = number;
    if (heard->close != NULL) {
        signal_close(heard->close);
        heard->close = NULL;
    }
}

static bool is_blocked(int number)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, number) == 1;
}

static void signals_are_callbacks(void **state)
{
    (void)state;
    struct loop *loop;
    struct signal_watch *watch;
    struct heard heard = {0};
    const int numbers[] = {SIGUSR1, SIGUSR2, 0};
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_int_equal(signal_open(loop, numbers, on_signal, &heard, &watch), 0);
    kill(getpid(), SIGUSR1);
    turn_until(loop, heard.count == 1);
    assert_int_equal(heard.last, SIGUSR1);
    kill(getpid(), SIGUSR2);
    turn_until(loop, heard.count == 2);
    assert_int_equal(heard.last, SIGUSR2);
    assert_true(is_blocked(SIGUSR1));
    signal_close(watch);
    assert_false(is_blocked(SIGUSR1));
    loop_free(loop);
}

static void it_may_be_closed_by_a_signal(void **state)
{
    (void)state;
    struct loop *loop;
    struct heard heard = {0};
    const int numbers[] = {SIGUSR1, SIGUSR2, 0};
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_int_equal(signal_open(loop, numbers, on_signal, &heard, &heard.close), 0);
    signal(SIGUSR2, SIG_IGN); /* what is left pending must not end the test */
    kill(getpid(), SIGUSR1);
    turn_until(loop, heard.count == 1);
    loop_turn(loop, 0);
    signal(SIGUSR2, SIG_DFL);
    loop_free(loop);
}

static void what_was_blocked_before_stays_so(void **state)
{
    (void)state;
    struct loop *loop;
    struct signal_watch *watch;
    struct heard heard = {0};
    const int numbers[] = {SIGUSR1, SIGHUP, 0};
    sigset_t before;
    sigemptyset(&before);
    sigaddset(&before, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &before, NULL);
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_int_equal(signal_open(loop, numbers, on_signal, &heard, &watch), 0);
    signal_close(watch);
    assert_true(is_blocked(SIGHUP));
    assert_false(is_blocked(SIGUSR1));
    signal_reset();
    assert_false(is_blocked(SIGHUP));
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_callbacks),
        cmocka_unit_test(it_may_be_closed_by_a_signal),
        cmocka_unit_test(what_was_blocked_before_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
