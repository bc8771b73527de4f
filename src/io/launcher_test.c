/* SPDX-License-Identifier: Apache-2.0 */
#include "io/launcher.h"

#include "support/turns.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORD "WEIR_LAUNCHER_TEST"

struct fixture {
    struct loop *loop;
    struct launcher *launcher;
    struct passage *passage;
    pid_t pid;
    int error, status;
    bool failed, ended, gone, is_said;
    char said[64];
};

static void on_message(void *self, const char *bytes, size_t len, int take_fd)
{
    struct fixture *f = self;
    assert_int_equal(take_fd, -1);
    assert_true(len < sizeof f->said);
    memcpy(f->said, bytes, len);
    f->is_said = true;
}

static void on_passage_end(void *self)
{
    (void)self;
}

static void on_started(void *self, pid_t pid, struct passage *take_passage)
{
    struct fixture *f = self;
    const struct passage_ops ops = {.message = on_message, .end = on_passage_end, .self = f};
    f->pid = pid;
    f->passage = take_passage;
    passage_listen(take_passage, f->loop, &ops);
}

static void on_failed(void *self, int error)
{
    struct fixture *f = self;
    f->error = error;
    f->failed = true;
}

static void on_ended(void *self, pid_t pid, int status)
{
    struct fixture *f = self;
    assert_int_equal(pid, f->pid);
    f->status = status;
    f->ended = true;
}

static void on_gone(void *self)
{
    struct fixture *f = self;
    f->gone = true;
}

static void begin(struct fixture *f, const char *const *words)
{
    memset(f, 0, sizeof *f);
    const struct launcher_ops ops = {
        .started = on_started, .failed = on_failed, .ended = on_ended, .gone = on_gone, .self = f};
    assert_int_equal(launcher_open((char *const *)(uintptr_t)words, WORD, &f->launcher), 0);
    assert_int_equal(loop_new(NULL, &f->loop), 0);
    launcher_listen(f->launcher, f->loop, &ops);
}

static void end(struct fixture *f)
{
    passage_close(f->passage);
    launcher_close(f->launcher);
    loop_turn(f->loop, 0);
    loop_free(f->loop);
}

static void it_starts_a_program_with_a_passage(void **state)
{
    (void)state;
    static const char *const words[] = {
        "/bin/sh", "-c", "eval \"printf '%s' $0 >&$" WORD "\"; exit 3", "hello", NULL};
    struct fixture f;
    begin(&f, words);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(launcher_start(f.launcher), 0);
        turn_until(f.loop, f.ended && f.is_said);
        assert_true(WIFEXITED(f.status) && WEXITSTATUS(f.status) == 3);
        assert_string_equal(f.said, "hello");
        passage_close(f.passage);
        f.passage = NULL;
        f.ended = f.is_said = false;
    }
    end(&f);
}

static void a_file_that_is_not_there_is_told(void **state)
{
    (void)state;
    static const char *const words[] = {"/nonexistent/weir", NULL};
    struct fixture f;
    begin(&f, words);
    assert_int_equal(launcher_start(f.launcher), 0);
    turn_until(f.loop, f.failed && f.ended);
    assert_int_equal(f.error, -ENOENT);
    assert_true(WIFEXITED(f.status) && WEXITSTATUS(f.status) == 127);
    end(&f);
}

static void one_that_does_not_end_is_killed(void **state)
{
    (void)state;
    static const char *const words[] = {"/bin/sleep", "1000", NULL};
    struct fixture f;
    begin(&f, words);
    assert_int_equal(launcher_kill(f.launcher), 0); /* there is none: nothing happens */
    assert_int_equal(launcher_start(f.launcher), 0);
    turn_until(f.loop, f.pid > 0);
    assert_int_equal(launcher_kill(f.launcher), 0);
    turn_until(f.loop, f.ended);
    assert_true(WIFSIGNALED(f.status) && WTERMSIG(f.status) == SIGKILL);
    end(&f);
}

/* Signals that a terminal sends to all are the program's; and what is started has them as the
 * program had. */
static void signals_are_not_its_own(void **state)
{
    (void)state;
    static const char *const words[] = {"/bin/sh", "-c", "kill -TERM $PPID; kill -TERM $$; exit 1",
                                        NULL};
    struct fixture f;
    begin(&f, words);
    assert_int_equal(launcher_start(f.launcher), 0);
    turn_until(f.loop, f.ended);
    assert_true(WIFSIGNALED(f.status) && WTERMSIG(f.status) == SIGTERM);
    assert_false(f.gone);
    end(&f);
}

static void its_end_is_told(void **state)
{
    (void)state;
    static const char *const words[] = {"/bin/sh", "-c", "kill -KILL $PPID", NULL};
    struct fixture f;
    begin(&f, words);
    assert_int_equal(launcher_start(f.launcher), 0);
    turn_until(f.loop, f.gone);
    assert_int_equal(launcher_start(f.launcher), -EPIPE);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_a_program_with_a_passage),
        cmocka_unit_test(a_file_that_is_not_there_is_told),
        cmocka_unit_test(one_that_does_not_end_is_killed),
        cmocka_unit_test(signals_are_not_its_own),
        cmocka_unit_test(its_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
