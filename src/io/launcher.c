/* SPDX-License-Identifier: Apache-2.0
 *
 * launcher.c - the child first, then how its program speaks to it.
 *
 * The child allocates nothing and calls no function that takes a lock: it was forked from a program
 * that may have had anything under way.
 */
#include "io/launcher.h"

#include "io/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum order { ORDER_START = 1, ORDER_KILL };
enum news { NEWS_STARTED = 1, NEWS_FAILED, NEWS_ENDED };

/* Both ways; the same program reads what it wrote. */
struct note {
    int32_t kind;
    int32_t pid;
    int32_t value; /* -errno, or a status */
};

#define SELF_MAX 4096U

struct launcher {
    struct passage *passage;
    struct launcher_ops ops;
};

/* --- the child ----------------------------------------------------------------------------------
 */

/* Meant for the program, where a terminal or a supervisor sends them to all: it ends with it. */
static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
#define IGNORED (sizeof ignored / sizeof *ignored)

struct child {
    int socket;    /* to the program */
    int signals;   /* that a child of its own has ended */
    pid_t started; /* last; 0: none */
    char *const *words;
    const char *name;
    char self[SELF_MAX]; /* the file that the program was started from */
    struct sigaction before[IGNORED];
    sigset_t mask;
};

static void tell(const struct child *child, const struct note *note, int fd)
{
    rights_send(child->socket, note, sizeof *note, fd, 0); /* nobody hears it: we end with them */
}

/* What a service manager says is for the process that it named; descriptors of its come to the new
 * one by another way. */
static void set_environment(const struct child *child, int passage)
{
    char number[16];
    snprintf(number, sizeof number, "%d", passage);
    setenv(child->name, number, 1);       /* NOLINT(concurrency-mt-unsafe): there is one thread */
    unsetenv("LISTEN_PID");               /* NOLINT(concurrency-mt-unsafe): likewise, as below */
    unsetenv("LISTEN_FDS");               /* NOLINT(concurrency-mt-unsafe) */
    unsetenv("LISTEN_FDNAMES");           /* NOLINT(concurrency-mt-unsafe) */
    if (getenv("WATCHDOG_PID") != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        snprintf(number, sizeof number, "%d", (int)getpid());
        setenv("WATCHDOG_PID", number, 1); /* NOLINT(concurrency-mt-unsafe) */
    }
}

/* As it was started: by the path that was given, which may lead elsewhere by now; or, where only a
 * name was, by the file that it was then. */
static _Noreturn void become_program(const struct child *child, int passage)
{
    const char *path = strchr(child->words[0], '/') != NULL ? child->words[0] : child->self;
    set_environment(child, passage);
    fcntl(passage, F_SETFD, 0);
    for (size_t i = 0; i < IGNORED; i++) {
        sigaction(ignored[i], &child->before[i], NULL);
    }
    pthread_sigmask(SIG_SETMASK, &child->mask, NULL);
    execv(path, child->words);
    tell(child, &(struct note){.kind = NEWS_FAILED, .pid = getpid(), .value = -errno}, -1);
    _exit(127);
}

static void start(struct child *child)
{
    int pair[2];
    int error = passage_pair(pair);
    pid_t pid = error == 0 ? fork() : -1;
    if (pid == 0) {
        close(pair[0]);
        become_program(child, pair[1]);
    }
    if (pid < 0) {
        error = error != 0 ? error : -errno;
        tell(child, &(struct note){.kind = NEWS_FAILED, .value = error}, -1);
    } else {
        child->started = pid;
        tell(child, &(struct note){.kind = NEWS_STARTED, .pid = pid}, pair[0]);
    }
    if (error == 0) {
        close(pair[0]);
        close(pair[1]);
    }
}

static void reap(struct child *child)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    while (read(child->signals, &info, sizeof info) == sizeof info) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == child->started) {
            child->started = 0;
        }
        tell(child, &(struct note){.kind = NEWS_ENDED, .pid = pid, .value = status}, -1);
    }
}

/* False: the program is no more. */
static bool obey(struct child *child)
{
    struct note order;
    ssize_t len = recv(child->socket, &order, sizeof order, MSG_DONTWAIT);
    if (len < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (len != (ssize_t)sizeof order) {
        return false;
    }
    if (order.kind == ORDER_START) {
        start(child);
    } else if (order.kind == ORDER_KILL && child->started > 0) {
        kill(child->started, SIGKILL);
    }
    return true;
}

static void close_others(int kept)
{
    if (kept > 3) {
        close_range(3, (unsigned)kept - 1, 0);
    }
    close_range((unsigned)kept + 1, ~0U, 0);
}

static _Noreturn void run_child(struct child *child, pid_t program)
{
    sigset_t ends;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    prctl(PR_SET_NAME, "weir-launcher", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* its environment may hold secrets */
    if (getppid() != program) {
        _exit(0);
    }
    close_others(child->socket);
    for (size_t i = 0; i < IGNORED; i++) {
        sigaction(ignored[i], &ignore, &child->before[i]);
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &ends, &child->mask);
    child->signals = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    if (child->signals < 0) {
        _exit(1);
    }
    struct pollfd wanted[] = {{.fd = child->socket, .events = POLLIN},
                              {.fd = child->signals, .events = POLLIN}};
    for (;;) {
        if (poll(wanted, 2, -1) < 0) {
            continue;
        }
        reap(child);
        if (wanted[0].revents != 0 && !obey(child)) {
            _exit(0);
        }
    }
}

/* --- its program --------------------------------------------------------------------------------
 */

int launcher_open(char *const *words, const char *name, struct launcher **ret_launcher)
{
    struct child child = {.words = words, .name = name};
    struct launcher *launcher = alloc_zeroed(&alloc_libc, sizeof *launcher);
    int pair[2];
    if (launcher == NULL) {
        return -ENOMEM;
    }
    ssize_t len = readlink("/proc/self/exe", child.self, sizeof child.self - 1);
    child.self[len > 0 ? len : 0] = '\0';
    pid_t program = getpid();
    int error = passage_pair(pair);
    pid_t pid = error == 0 ? fork() : -1;
    if (pid == 0) {
        child.socket = pair[1];
        run_child(&child, program);
    }
    if (error == 0) {
        error = pid < 0 ? -errno : 0;
        close(pair[1]);
        if (error != 0) {
            close(pair[0]);
        }
    }
    if (error == 0) {
        error = passage_open(pair[0], &launcher->passage);
    }
    if (error != 0) {
        alloc_free(&alloc_libc, launcher);
        return error;
    }
    *ret_launcher = launcher;
    return 0;
}

void launcher_close(struct launcher *take_launcher)
{
    if (take_launcher != NULL) {
        passage_close(take_launcher->passage);
        alloc_free(&alloc_libc, take_launcher);
    }
}

static void on_news(void *self, const char *bytes, size_t len, int take_fd)
{
    const struct launcher *launcher = self;
    const struct launcher_ops *ops = &launcher->ops;
    struct passage *passage = NULL;
    struct note note;
    if (len != sizeof note) {
        if (take_fd >= 0) {
            close(take_fd);
        }
        return;
    }
    memcpy(&note, bytes, sizeof note);
    if (note.kind == NEWS_STARTED && take_fd >= 0) {
        int error = passage_open(take_fd, &passage);
        if (error == 0) {
            ops->started(ops->self, note.pid, passage);
        } else {
            ops->failed(ops->self, error);
        }
    } else if (note.kind == NEWS_FAILED) {
        ops->failed(ops->self, note.value);
    } else if (note.kind == NEWS_ENDED) {
        ops->ended(ops->self, note.pid, note.value);
    }
}

static void on_end(void *self)
{
    const struct launcher *launcher = self;
    launcher->ops.gone(launcher->ops.self);
}

void launcher_listen(struct launcher *launcher, struct loop *loop, const struct launcher_ops *ops)
{
    const struct passage_ops passage = {.message = on_news, .end = on_end, .self = launcher};
    launcher->ops = *ops;
    passage_listen(launcher->passage, loop, &passage);
}

static int order(struct launcher *launcher, enum order kind)
{
    const struct note note = {.kind = (int32_t)kind};
    return passage_send(launcher->passage, &note, sizeof note, -1);
}

int launcher_start(struct launcher *launcher)
{
    return order(launcher, ORDER_START);
}

int launcher_kill(struct launcher *launcher)
{
    return order(launcher, ORDER_KILL);
}
