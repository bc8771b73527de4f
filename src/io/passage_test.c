/* SPDX-License-Identifier: Apache-2.0 */
#include "io/passage.h"

#include "io/clock.h"
#include "support/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct passage *here, *there;
    uint32_t heard, bytes;
    int fd;
    bool ended, closes;
};

static void on_message(void *self, const char *bytes, size_t len, int take_fd)
{
    struct fixture *f = self;
    assert_true(len > 0 && bytes[0] == (char)('a' + f->heard % 26));
    f->heard++;
    f->bytes += (uint32_t)len;
    if (take_fd >= 0) {
        assert_true((fcntl(take_fd, F_GETFD) & FD_CLOEXEC) != 0);
        f->fd = take_fd;
    }
    if (f->closes) {
        passage_close(f->there);
        f->there = NULL;
    }
}

static void on_end(void *self)
{
    struct fixture *f = self;
    f->ended = true;
}

static void begin(struct fixture *f)
{
    int pair[2];
    *f = (struct fixture){.fd = -1};
    assert_int_equal(loop_new(NULL, &f->loop), 0);
    assert_int_equal(passage_pair(pair), 0);
    assert_int_equal(passage_open(pair[0], &f->here), 0);
    assert_int_equal(passage_open(pair[1], &f->there), 0);
}

static void listen_there(struct fixture *f)
{
    const struct passage_ops ops = {.message = on_message, .end = on_end, .self = f};
    passage_listen(f->there, f->loop, &ops);
}

static void end(struct fixture *f)
{
    passage_close(f->here);
    passage_close(f->there);
    loop_turn(f->loop, 0);
    loop_free(f->loop);
}

static void a_message_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    char bytes[64];
    int fd = 7;
    begin(&f);
    assert_int_equal(passage_wait(f.there, clock_now_ms() + 20, bytes, sizeof bytes, &fd),
                     -ETIMEDOUT);
    assert_int_equal(passage_send(f.here, "first", 5, -1), 0);
    assert_int_equal(passage_send(f.here, "second", 6, -1), 0);
    assert_int_equal(passage_wait(f.there, clock_now_ms() + 5000, bytes, sizeof bytes, &fd), 5);
    assert_memory_equal(bytes, "first", 5);
    assert_int_equal(fd, -1);
    assert_int_equal(passage_wait(f.there, clock_now_ms() + 5000, bytes, 3, &fd), -EMSGSIZE);
    passage_close(f.here);
    f.here = NULL;
    assert_int_equal(passage_wait(f.there, clock_now_ms() + 5000, bytes, sizeof bytes, &fd), 0);
    end(&f);
}

static void a_descriptor_comes_with_it(void **state)
{
    (void)state;
    struct fixture f;
    int pipe_fds[2];
    char byte = 0;
    begin(&f);
    listen_there(&f);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(passage_send(f.here, "a", 1, pipe_fds[1]), 0);
    close(pipe_fds[1]);
    turn_until(f.loop, f.heard == 1);
    assert_true(f.fd >= 0);
    assert_int_equal(write(f.fd, "x", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(f.fd);
    close(pipe_fds[0]);
    end(&f);
}

/* More than the kernel takes at a time, each with a descriptor. */
static void what_is_not_taken_yet_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    static char bytes[2000];
    begin(&f);
    const struct passage_ops ops = {.message = on_message, .end = on_end, .self = &f};
    struct fixture unheard = {.fd = -1};
    const struct passage_ops back = {.message = on_message, .end = on_end, .self = &unheard};
    passage_listen(f.here, f.loop, &back);
    for (uint32_t i = 0; i < 1000; i++) {
        memset(bytes, 'a' + (int)(i % 26), sizeof bytes);
        assert_int_equal(passage_send(f.here, bytes, sizeof bytes, i == 999 ? 1 : -1), 0);
    }
    passage_listen(f.there, f.loop, &ops);
    turn_until(f.loop, f.heard == 1000);
    assert_int_equal(f.bytes, 1000 * sizeof bytes);
    assert_true(f.fd > 2);
    close(f.fd);
    end(&f);
}

static void the_other_ones_end_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    listen_there(&f);
    assert_int_equal(passage_send(f.here, "a", 1, -1), 0);
    passage_close(f.here);
    f.here = NULL;
    turn_until(f.loop, f.ended);
    assert_int_equal(f.heard, 1);
    assert_int_equal(passage_send(f.there, "a", 1, -1), -EPIPE);
    end(&f);
}

/* As a process does that cannot use what it is offered, and says so. */
static void last_words_come_whatever_was_not_heard(void **state)
{
    (void)state;
    struct fixture f;
    char bytes[8];
    int fd;
    for (int i = 0; i < 2; i++) {
        begin(&f);
        assert_int_equal(passage_send(f.there, "unheard", 7, -1), 0);
        assert_int_equal(passage_send(f.here, "a", 1, -1), 0);
        passage_close(f.here);
        f.here = NULL;
        if (i == 0) {
            listen_there(&f);
            turn_until(f.loop, f.ended);
            assert_int_equal(f.heard, 1);
        } else {
            uint64_t deadline_ms = clock_now_ms() + 5000;
            assert_int_equal(passage_wait(f.there, deadline_ms, bytes, sizeof bytes, &fd), 1);
            assert_int_equal(passage_wait(f.there, deadline_ms, bytes, sizeof bytes, &fd), 0);
        }
        end(&f);
    }
}

static void it_may_be_closed_by_a_message(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    listen_there(&f);
    f.closes = true;
    passage_send(f.here, "a", 1, -1);
    passage_send(f.here, "b", 1, -1);
    turn_until(f.loop, f.heard == 1);
    loop_turn(f.loop, 0);
    assert_int_equal(f.heard, 1);
    end(&f);
}

/* As the one that a program was started with. */
static void no_program_that_is_started_later_has_it(void **state)
{
    (void)state;
    struct passage *passage;
    int pair[2];
    assert_int_equal(passage_pair(pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFD, 0), 0);
    assert_int_equal(passage_open(pair[0], &passage), 0);
    assert_true((fcntl(pair[0], F_GETFD) & FD_CLOEXEC) != 0);
    passage_close(passage);
    close(pair[1]);
}

static void another_kind_of_descriptor_is_refused(void **state)
{
    (void)state;
    struct passage *passage;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(passage_open(pair[0], &passage), -EPROTOTYPE);
    assert_int_equal(close(pair[0]), -1); /* it was taken */
    close(pair[1]);
    assert_int_equal(passage_open(open("/dev/null", O_RDONLY | O_CLOEXEC), &passage), -ENOTSOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_waited_for),
        cmocka_unit_test(a_descriptor_comes_with_it),
        cmocka_unit_test(what_is_not_taken_yet_is_kept),
        cmocka_unit_test(the_other_ones_end_is_told),
        cmocka_unit_test(last_words_come_whatever_was_not_heard),
        cmocka_unit_test(it_may_be_closed_by_a_message),
        cmocka_unit_test(no_program_that_is_started_later_has_it),
        cmocka_unit_test(another_kind_of_descriptor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
