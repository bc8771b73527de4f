/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sdnotify.h"

#include "support/unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char name[64];

/* A manager that listens there; '@': without a file. */
static int manager(bool has_file)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(name, sizeof name, "%s/tmp/weir-notify-%d", has_file ? "" : "@", (int)getpid());
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (!has_file) {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void a_manager_hears_lines(void **state)
{
    (void)state;
    for (int has_file = 0; has_file < 2; has_file++) {
        struct sdnotify *notify;
        char heard[64] = "";
        int fd = manager(has_file);
        assert_int_equal(sdnotify_open(&notify), 0);
        assert_non_null(notify);
        sdnotify_say(notify, SLICE("READY=1\nSTATUS=serving"));
        assert_int_equal(recv(fd, heard, sizeof heard, 0), 22);
        assert_string_equal(heard, "READY=1\nSTATUS=serving");
        close(fd);
        sdnotify_say(notify, SLICE("STOPPING=1")); /* nobody is there: nothing happens */
        sdnotify_close(notify);
        if (has_file) {
            unlink(name);
        }
    }
}

static void without_one_nothing_is_said(void **state)
{
    (void)state;
    struct sdnotify *notify;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(sdnotify_open(&notify), 0);
    assert_null(notify);
    sdnotify_say(notify, SLICE("READY=1"));
    assert_int_equal(sdnotify_watchdog_ms(notify), 0);
    sdnotify_close(notify);
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    assert_int_equal(sdnotify_open(&notify), -ENOENT);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(sdnotify_open(&notify), -EINVAL);
}

static void the_watchdog_is_for_the_process_that_is_named(void **state)
{
    (void)state;
    struct sdnotify *notify;
    char pid[16];
    int fd = manager(false);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    static const struct {
        const char *usec;
        int whose; /* 0: nobody's in particular, 1: ours, 2: another's */
        uint32_t expected_ms;
    } cases[] = {{"2500000", 0, 2500}, {"2500000", 1, 2500}, {"2500000", 2, 0},
                 {"0", 0, 0},          {"-1", 0, 0},         {"soon", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
        unsetenv("WATCHDOG_PID");
        if (cases[i].whose > 0) {
            setenv("WATCHDOG_PID", cases[i].whose == 1 ? pid : "1", 1);
        }
        assert_int_equal(sdnotify_open(&notify), 0);
        assert_int_equal(sdnotify_watchdog_ms(notify), cases[i].expected_ms);
        sdnotify_close(notify);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_hears_lines),
        cmocka_unit_test(without_one_nothing_is_said),
        cmocka_unit_test(the_watchdog_is_for_the_process_that_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
