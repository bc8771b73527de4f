/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crash.h"

#include "base/check.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define SIGNALS (sizeof signals / sizeof *signals)

static struct sigaction before[SIGNALS]; /* written once, before there is a guard */

/* Looked at by the handler, where nothing may be allocated. */
static _Thread_local struct crash_guard *here __attribute__((tls_model("initial-exec")));

/* To whom it went before us; where that was nobody, it happens again and takes its course. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *action = &before[0];
    for (size_t i = 0; i < SIGNALS; i++) {
        action = signals[i] == number ? &before[i] : action;
    }
    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(number, info, context);
    } else if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        action->sa_handler(number);
    } else {
        sigaction(number, action, NULL);
        raise(number);
    }
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct crash_guard *guard = here;
    if (guard == NULL) {
        pass_on(number, info, context);
        return;
    }
    guard->crashed(guard->self);
    for (;;) {
        pause();
    }
}

static void contain(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++) {
        int error = sigaction(signals[i], &action, &before[i]);
        check(error == 0);
    }
}

void crash_contain(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, contain);
}

void crash_guard_begin(struct crash_guard *guard)
{
    sigset_t mask;
    check(here == NULL);
    sigemptyset(&mask);
    for (size_t i = 0; i < SIGNALS; i++) {
        sigaddset(&mask, signals[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    here = guard;
}

void crash_guard_end(void)
{
    here = NULL;
}
