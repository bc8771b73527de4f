/* SPDX-License-Identifier: Apache-2.0 */
#include "io/signal.h"

#include "io/watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signal_watch {
    struct watch watch;
    sigset_t blocked; /* by us */
    void (*fn)(void *self, int number);
    void *self;
};

static void on_ready(struct watch *watch, unsigned events)
{
    struct signal_watch *signals = container_of(watch, struct signal_watch, watch);
    struct signalfd_siginfo info;
    (void)events;
    while (!watch->closed && read(watch->fd, &info, sizeof info) == sizeof info) {
        signals->fn(signals->self, (int)info.ssi_signo);
    }
}

/* Blocks the signals and opens the descriptor that has them; what had been blocked before stays
 * the caller's business. */
static int open_fd(const int *numbers, sigset_t *ret_blocked)
{
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigemptyset(ret_blocked);
    for (; *numbers != 0; numbers++) {
        sigaddset(&wanted, *numbers);
    }
    int error = pthread_sigmask(SIG_BLOCK, &wanted, &before);
    if (error != 0) {
        return -error;
    }
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&wanted, number) == 1 && sigismember(&before, number) == 0) {
            sigaddset(ret_blocked, number);
        }
    }
    int fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        error = errno;
        pthread_sigmask(SIG_UNBLOCK, ret_blocked, NULL);
        return -error;
    }
    return fd;
}

int signal_open(struct loop *loop, const int *numbers, void (*fn)(void *self, int number),
                void *self, struct signal_watch **ret_watch)
{
    struct signal_watch *signals = alloc_zeroed(loop_alloc(loop), sizeof *signals);
    if (signals == NULL) {
        return -ENOMEM;
    }
    int fd = open_fd(numbers, &signals->blocked);
    if (fd < 0) {
        alloc_free(loop_alloc(loop), signals);
        return fd;
    }
    watch_init(&signals->watch, loop, fd, on_ready);
    signals->fn = fn;
    signals->self = self;
    watch_want(&signals->watch, STREAM_READ);
    *ret_watch = signals;
    return 0;
}

static void on_gone(struct watch *watch)
{
    struct signal_watch *signals = container_of(watch, struct signal_watch, watch);
    alloc_free(loop_alloc(signals->watch.loop), signals);
}

void signal_close(struct signal_watch *signals)
{
    int fd = signals->watch.fd;
    watch_close(&signals->watch, on_gone);
    close(fd);
    pthread_sigmask(SIG_UNBLOCK, &signals->blocked, NULL);
}

void signal_reset(void)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}
