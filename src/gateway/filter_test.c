/* SPDX-License-Identifier: Apache-2.0
 *
 * filter_test.c - a process that has closed the filter, and what the kernel then says to it. It is
 * a child: there is no way back.
 */
#include "gateway/filter.h"

#include "support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CACHESTAT    451  /* the first that Linux 6.1 has not */
#define NO_SUCH_CALL 9999 /* as one that a later kernel has */

/* Runs in a child behind the filter; the number of the case that went wrong, or 0. */
static int behind(int (*cases)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (filter_close() != 0)
            _exit(100);
        _exit(filter_is_closed() ? cases() : 101);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static bool is_refused(long answer, int error)
{
    return answer == -1 && errno == error;
}

static int refused(void)
{
    char *const none[] = {NULL};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!is_refused(execve("/bin/true", none, none), EPERM))
        return 1;
    if (!is_refused(socket(AF_PACKET, SOCK_RAW, 0), EPERM))
        return 2;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 3;
    if (page == MAP_FAILED || !is_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM))
        return 4;
    if (!is_refused(syscall(SYS_mount, "x", "/", "x", 0, 0), EPERM))
        return 5;
    if (!is_refused(syscall(SYS_bpf, 0, NULL, 0), EPERM))
        return 6;
    if (!is_refused(syscall(SYS_io_uring_setup, 1, NULL), EPERM))
        return 7;
    if (!is_refused(syscall(SYS_setuid, 0), EPERM))
        return 8;
    if (!is_refused(syscall(SYS_chroot, "/"), EPERM))
        return 9;
    return 0;
}

static int answered_as_if_it_were_not_there(void)
{
    if (!is_refused(syscall(CACHESTAT), ENOSYS) || !is_refused(syscall(NO_SUCH_CALL), ENOSYS))
        return 1;
    return is_refused(syscall(SYS_clone3, NULL, 0), ENOSYS) ? 0 : 2;
}

static void *say(void *arg)
{
    return arg;
}

/* What a gateway lives on. */
static int allowed(void)
{
    int pair[2], word = 1;
    void *said = NULL;
    pthread_t thread;
    if (pthread_create(&thread, NULL, say, &word) != 0 || pthread_join(thread, &said) != 0
        || said != &word)
        return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || send(pair[0], "x", 1, 0) != 1)
        return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0)
        return 3;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return 4;
    return raise(0) == 0 && getppid() > 0 ? 0 : 5;
}

static void *stay(void *arg)
{
    int *gates = arg;
    char word;
    ssize_t got = read(gates[0], &word, 1);
    return got == 1 && is_refused(syscall(SYS_chroot, "/"), EPERM) ? arg : NULL;
}

/* A thread that was there before is behind it, too. */
static void every_thread(void **state)
{
    (void)state;
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        int gates[2];
        void *said = NULL;
        pthread_t thread;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (pipe(gates) != 0 || pthread_create(&thread, NULL, stay, gates) != 0
            || filter_close() != 0 || write(gates[1], "x", 1) != 1)
            _exit(1);
        pthread_join(thread, &said);
        _exit(said == gates ? 0 : 2);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(behind(refused), 0);
}

static void test_absent(void **state)
{
    (void)state;
    assert_int_equal(behind(answered_as_if_it_were_not_there), 0);
}

static void test_allowed(void **state)
{
    (void)state;
    assert_int_equal(behind(allowed), 0);
    assert_false(filter_is_closed()); /* here nothing has changed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_absent),
        cmocka_unit_test(test_allowed), cmocka_unit_test(every_thread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
