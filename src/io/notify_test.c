/* SPDX-License-Identifier: Apache-2.0 */
#include "io/notify.h"

#include "io/file.h"
#include "support/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEAKERS 4U
#define LINES    20000U

static char directory[] = "/tmp/weir-notify-XXXXXX";
static char path[64], rotated[64];

static int make_directory(void **state)
{
    (void)state;
    bool made = mkdtemp(directory) != NULL;
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(rotated, sizeof rotated, "%s/log.1", directory);
    return made ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static struct notify *notify_to(const char *target, uint32_t ring_bytes)
{
    struct notify_options opt = {.target = target, .ring_bytes = ring_bytes};
    struct notify *notify;
    assert_int_equal(notify_open(&opt, &notify), 0);
    return notify;
}

static bool say(struct notify_ring *ring, const char *line)
{
    return notify_line(ring, line, strlen(line));
}

static void expect_file(const char *at, const char *expected)
{
    char *text;
    size_t len;
    assert_int_equal(file_read(at, 1 << 20, NULL, &text, &len), 0);
    assert_string_equal(text, expected);
    free(text);
    unlink(at);
}

static void lines_arrive_in_their_order(void **state)
{
    (void)state;
    struct notify *notify = notify_to(path, 0);
    struct notify_ring *ring = notify_join(notify);
    assert_true(say(ring, "first"));
    until(notify_written(notify) == 1);
    assert_true(say(ring, "second"));
    assert_true(say(ring, ""));
    assert_true(say(ring, "last"));
    notify_close(notify); /* writes what is there */
    expect_file(path, "first\nsecond\n\nlast\n");
}

static void a_rotated_file_is_let_go(void **state)
{
    (void)state;
    struct notify *notify = notify_to(path, 0);
    struct notify_ring *ring = notify_join(notify);
    assert_true(say(ring, "old"));
    until(notify_written(notify) == 1);
    assert_int_equal(rename(path, rotated), 0);
    notify_reopen(notify);
    until(access(path, F_OK) == 0);
    assert_true(say(ring, "new"));
    notify_close(notify);
    expect_file(rotated, "old\n");
    expect_file(path, "new\n");
}

struct speaker {
    struct notify *notify;
    uint32_t number;
    uint32_t said;
    pthread_t thread;
};

static void *speak(void *arg)
{
    struct speaker *speaker = arg;
    struct notify_ring *ring = notify_join(speaker->notify);
    char line[64];
    for (uint32_t i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%u %u %.*s", speaker->number, i, (int)(i % 40),
                 "........................................");
        speaker->said += say(ring, line);
    }
    return NULL;
}

/* Whole lines only, each speaker's in order; what is missing was counted. */
static void many_speak_at_once_and_nothing_tears(void **state)
{
    (void)state;
    struct notify *notify = notify_to(path, 8192);
    struct speaker speakers[SPEAKERS];
    uint64_t said = 0;
    for (uint32_t i = 0; i < SPEAKERS; i++) {
        speakers[i] = (struct speaker){.notify = notify, .number = i};
        pthread_create(&speakers[i].thread, NULL, speak, &speakers[i]);
    }
    for (uint32_t i = 0; i < SPEAKERS; i++) {
        pthread_join(speakers[i].thread, NULL);
        said += speakers[i].said;
    }
    until(notify_written(notify) == said);
    assert_int_equal(notify_dropped(notify), SPEAKERS * LINES - said);
    notify_close(notify);

    FILE *file = fopen(path, "r");
    char line[128];
    int64_t last[SPEAKERS] = {-1, -1, -1, -1};
    uint64_t count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned number, i;
        char dots[64] = "";
        assert_true(sscanf(line, "%u %u %63s", &number, &i, dots) >= 2);
        assert_true(number < SPEAKERS && (int64_t)i > last[number] && strlen(dots) == i % 40);
        last[number] = i;
        count++;
    }
    assert_int_equal(count, said);
    fclose(file);
    unlink(path);
}

static void a_line_that_does_not_fit_is_dropped_and_counted(void **state)
{
    (void)state;
    struct notify *notify = notify_to(path, 0);
    struct notify_ring *ring = notify_join(notify);
    static char line[NOTIFY_LINE_MAX + 1];
    memset(line, 'x', sizeof line);
    assert_false(notify_line(ring, line, sizeof line));
    assert_true(notify_line(ring, line, sizeof line - 1));
    assert_int_equal(notify_dropped(notify), 1);
    until(notify_written(notify) == 1);
    notify_close(notify);
    unlink(path);
}

static void a_full_disk_costs_lines_and_nothing_else(void **state)
{
    (void)state;
    struct notify *notify = notify_to("/dev/full", 4096);
    struct notify_ring *ring = notify_join(notify);
    uint32_t said = 0;
    for (int i = 0; i < 1000; i++) {
        said += say(ring, "nobody will read this");
    }
    assert_true(said <= 1000);
    until(notify_dropped(notify) == 1000);
    assert_int_equal(notify_written(notify), 0);
    notify_close(notify);
}

/* Standard error is a pipe that nobody reads; the speaker does not notice, closing does not hang.
 */
static void a_reader_that_sleeps_holds_nobody_up(void **state)
{
    (void)state;
    int pipe_fds[2], before = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    struct notify *notify = notify_to("stderr", 4096);
    struct notify_ring *ring = notify_join(notify);
    char line[1000];
    memset(line, 'x', sizeof line);
    uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
    while (notify_dropped(notify) < 1000) {
        notify_line(ring, line, sizeof line);
        assert_true(clock_now_ms() < end_ms);
    }
    notify_close(notify);
    dup2(before, STDERR_FILENO);
    close(before);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    struct notify_options opt = {.target = "/nonexistent/log"};
    struct notify *notify;
    assert_int_equal(notify_open(&opt, &notify), -ENOENT);
    opt.target = directory;
    assert_int_equal(notify_open(&opt, &notify), -EISDIR);
}

static void rings_are_bounded(void **state)
{
    (void)state;
    struct notify *notify = notify_to("stderr", 4096);
    for (uint32_t i = 0; i < NOTIFY_RINGS_MAX; i++) {
        assert_non_null(notify_join(notify));
    }
    assert_null(notify_join(notify));
    notify_close(notify);
}

static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    struct notify_options opt = {.target = path, .alloc = alloc};
    struct notify *notify;
    (void)arg;
    if (notify_open(&opt, &notify) == 0) {
        struct notify_ring *ring = notify_join(notify);
        if (ring != NULL) {
            say(ring, "x");
        }
        notify_close(notify);
    }
    unlink(path);
}

static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    torture(body_of_refused_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_in_their_order),
        cmocka_unit_test(a_rotated_file_is_let_go),
        cmocka_unit_test(many_speak_at_once_and_nothing_tears),
        cmocka_unit_test(a_line_that_does_not_fit_is_dropped_and_counted),
        cmocka_unit_test(a_full_disk_costs_lines_and_nothing_else),
        cmocka_unit_test(a_reader_that_sleeps_holds_nobody_up),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(rings_are_bounded),
        cmocka_unit_test(refused_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
