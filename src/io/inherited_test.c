/* SPDX-License-Identifier: Apache-2.0 */
#include "io/inherited.h"

#include "io/listen.h"
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct address loopback(uint16_t port)
{
    struct address address;
    assert_true(address_of_host("127.0.0.1", port, &address));
    return address;
}

static int listening(struct address *ret_bound)
{
    struct address any = loopback(0);
    int fd;
    assert_int_equal(listen_open(&any, NULL, &fd, ret_bound), 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void one_is_taken_by_its_address(void **state)
{
    (void)state;
    struct inherited *inherited;
    struct address one, other;
    int fds[] = {listening(&one), listening(&other)};
    assert_int_equal(inherited_new(&inherited), 0);
    assert_int_equal(inherited_add(inherited, fds[0], "web"), 0);
    assert_int_equal(inherited_add(inherited, fds[1], "api"), 0);
    struct address elsewhere = loopback(1);
    assert_int_equal(inherited_take(inherited, &elsewhere, "web"), -1);
    assert_int_equal(inherited_take(inherited, &other, "called otherwise by now"), fds[1]);
    assert_int_equal(inherited_take(inherited, &other, "api"), -1);
    assert_int_equal(inherited_count(inherited), 1);
    inherited_free(inherited);
    assert_false(is_open(fds[0]));
    assert_true(is_open(fds[1]));
    close(fds[1]);
    assert_int_equal(inherited_take(NULL, &one, "web"), -1);
}

/* The system chose its port, and would choose another one now. */
static void without_a_port_the_name_counts(void **state)
{
    (void)state;
    struct inherited *inherited;
    struct address bound, any = loopback(0), other;
    assert_true(address_of_host("127.0.0.2", 0, &other));
    int fd = listening(&bound);
    assert_int_equal(inherited_new(&inherited), 0);
    assert_int_equal(inherited_add(inherited, fd, "web"), 0);
    assert_int_equal(inherited_take(inherited, &any, "api"), -1);
    assert_int_equal(inherited_take(inherited, &other, "web"), -1);
    assert_int_equal(inherited_take(inherited, &any, "web"), fd);
    close(fd);
    inherited_free(inherited);
}

static void a_unix_socket_is_known_by_its_path(void **state)
{
    (void)state;
    struct inherited *inherited;
    struct address address, bound;
    char path[64];
    int fd;
    snprintf(path, sizeof path, "/tmp/weir-inherited-%d", (int)getpid());
    assert_true(address_of_unix(path, &address));
    assert_int_equal(listen_open(&address, NULL, &fd, &bound), 0);
    assert_int_equal(inherited_new(&inherited), 0);
    assert_int_equal(inherited_add(inherited, fd, "web"), 0);
    assert_int_equal(inherited_take(inherited, &address, "web"), fd);
    inherited_free(inherited);
    listen_close(fd);
}

static void what_does_not_listen_is_refused(void **state)
{
    (void)state;
    struct inherited *inherited;
    assert_int_equal(inherited_new(&inherited), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inherited_add(inherited, fd, "web"), -EINVAL);
    assert_false(is_open(fd));
    assert_int_equal(inherited_add(inherited, open("/dev/null", O_RDONLY | O_CLOEXEC), "web"),
                     -EINVAL);
    assert_int_equal(inherited_count(inherited), 0);
    inherited_free(inherited);
}

static void what_nobody_wants_is_dropped(void **state)
{
    (void)state;
    struct inherited *inherited;
    struct address bound;
    char name[INHERITED_NAME_MAX], address[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX];
    int fd = listening(&bound);
    assert_int_equal(inherited_new(&inherited), 0);
    assert_int_equal(inherited_add(inherited, fd, "web"), 0);
    assert_true(inherited_drop(inherited, name, address));
    assert_string_equal(name, "web");
    assert_string_equal(address, address_print(&bound, expected));
    assert_false(is_open(fd));
    assert_false(inherited_drop(inherited, name, address));
    assert_false(inherited_drop(NULL, name, address));
    inherited_free(inherited);
}

/* In a process of its own, whose descriptors 3 and 4 are these. */
static void a_service_manager_gives_them_by_number(void **state)
{
    (void)state;
    struct address one, other;
    int fds[] = {listening(&one), listening(&other)};
    pid_t pid = fork();
    if (pid == 0) {
        struct inherited *inherited;
        char number[16];
        int moved[] = {fcntl(fds[0], F_DUPFD, 20), fcntl(fds[1], F_DUPFD, 20)};
        dup2(moved[0], 3);
        dup2(moved[1], 4);
        snprintf(number, sizeof number, "%d", (int)getpid());
        setenv("LISTEN_PID", "1", 1); /* another process's */
        setenv("LISTEN_FDS", "2", 1);
        bool is_good = inherited_new(&inherited) == 0 && inherited_add_activated(inherited) == 0
                       && getenv("LISTEN_FDS") == NULL;
        setenv("LISTEN_PID", number, 1);
        setenv("LISTEN_FDS", "2", 1);
        setenv("LISTEN_FDNAMES", "web:api", 1);
        struct address any = loopback(0);
        is_good = is_good && inherited_add_activated(inherited) == 2 && getenv("LISTEN_FDS") == NULL
                  && getenv("LISTEN_FDNAMES") == NULL && inherited_take(inherited, &any, "api") == 4
                  && inherited_take(inherited, &one, "") == 3
                  && (fcntl(3, F_GETFD) & FD_CLOEXEC) != 0;
        setenv("LISTEN_PID", number, 1);
        setenv("LISTEN_FDS", "1", 1);
        close(3);
        is_good = is_good && inherited_add_activated(inherited) == -EINVAL;
        _exit(is_good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_taken_by_its_address),
        cmocka_unit_test(without_a_port_the_name_counts),
        cmocka_unit_test(a_unix_socket_is_known_by_its_path),
        cmocka_unit_test(what_does_not_listen_is_refused),
        cmocka_unit_test(what_nobody_wants_is_dropped),
        cmocka_unit_test(a_service_manager_gives_them_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
