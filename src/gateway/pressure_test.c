/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a control group are a folder of the test's; everything else is this process.
 */
#include "gateway/pressure.h"

#include "io/loop.h"
#include "io/socket.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static char root[64];

static void put(const char *path, const char *text)
{
    char full[400];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int begin(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/weir-pressure-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static struct overload_use memory_of(struct pressure *pressure, uint64_t most)
{
    const struct pressure_options opt = {.root = root, .memory = most};
    pressure_init(pressure, &opt);
    return pressure->use[OVERLOAD_MEMORY];
}

static void descriptors_are_counted_as_they_come_and_go(void **state)
{
    (void)state;
    struct pressure pressure;
    struct loop *loop;
    struct stream *stream;
    int ends[2];
    const struct pressure_options opt = {.root = root, .descriptors = 100};
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    pressure_init(&pressure, &opt);
    const struct overload_use *use = &pressure.use[OVERLOAD_DESCRIPTORS];
    uint64_t before = use->used;
    assert_true(before >= 5 && before < 100); /* three, and the two of the pair */
    assert_int_equal(use->most, 100);

    assert_int_equal(socket_adopt(loop, ends[0], &stream), 0);
    pressure_look(&pressure);
    assert_int_equal(use->used, before + 1); /* it is thought to be another one, until … */
    pressure_recount(&pressure);
    pressure_look(&pressure);
    assert_int_equal(use->used, before);
    stream_close(stream);
    pressure_look(&pressure);
    assert_int_equal(use->used, before - 1);
    close(ends[1]);
    pressure_recount(&pressure);
    pressure_look(&pressure);
    assert_int_equal(use->used, before - 2);
    loop_free(loop);
}

static void the_system_limits_descriptors(void **state)
{
    (void)state;
    struct pressure pressure;
    struct rlimit limit;
    struct pressure_options opt = {.root = root};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    pressure_init(&pressure, &opt);
    assert_int_equal(pressure.use[OVERLOAD_DESCRIPTORS].most, limit.rlim_cur);
    opt.descriptors = (uint32_t)limit.rlim_cur + 1;
    pressure_init(&pressure, &opt);
    assert_int_equal(pressure.use[OVERLOAD_DESCRIPTORS].most, limit.rlim_cur);
}

static void without_any_limit_there_is_none(void **state)
{
    (void)state;
    struct pressure pressure;
    assert_int_equal(memory_of(&pressure, 0).most, 0);
    struct overload_use use = memory_of(&pressure, 1000 * MIB);
    assert_int_equal(use.most, 1000 * MIB);
    assert_true(use.used > MIB);
}

static void the_group_that_allows_least_counts(void **state)
{
    (void)state;
    struct pressure pressure;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(memory_of(&pressure, 0).most, 0);
    put("/sys/fs/cgroup/a/memory.max", "8589934592\n");
    assert_int_equal(memory_of(&pressure, 0).most, 8192 * MIB);
    put("/sys/fs/cgroup/memory.max", "9000000000\n");
    assert_int_equal(memory_of(&pressure, 0).most, 8192 * MIB);
    put("/sys/fs/cgroup/a/b/memory.max", "4294967296\n");
    struct overload_use use = memory_of(&pressure, 0);
    assert_int_equal(use.most, 4096 * MIB);
    assert_true(use.used > MIB); /* others are in it: what is resident */
    put("/sys/fs/cgroup/a/b/cgroup.procs", "1\n2\n");
    put("/sys/fs/cgroup/a/b/memory.current", "4000000000\n");
    assert_int_equal(memory_of(&pressure, 0).used >> 32, 0);
    assert_true(memory_of(&pressure, 0).used < 4000000000);
}

static void a_group_of_its_own_is_measured_without_what_may_go(void **state)
{
    (void)state;
    struct pressure pressure;
    char pid[20];
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    put("/proc/self/cgroup", "1:name=x:/\n0::/\n");
    put("/sys/fs/cgroup/memory.max", "1000000000\n");
    put("/sys/fs/cgroup/cgroup.procs", pid);
    put("/sys/fs/cgroup/memory.current", "700000000\n");
    put("/sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 300000000\nactive_file 7\n");
    assert_int_equal(memory_of(&pressure, 0).used, 700000000); /* far from it: as it is */
    put("/sys/fs/cgroup/memory.current", "950000000\n");
    pressure_look(&pressure);
    assert_int_equal(pressure.use[OVERLOAD_MEMORY].used, 650000000);
}

static void child_waits(int fd)
{
    char byte;
    ssize_t len = read(fd, &byte, 1);
    _exit(len != 0);
}

/* As long as it is there and nobody else's; a process that is about to take over is. */
static void a_child_of_ours_is_nobody_else(void **state)
{
    (void)state;
    struct pressure pressure;
    char pids[60];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        child_waits(ends[0]);
    }
    assert_true(child > 0);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "1000000000\n");
    put("/sys/fs/cgroup/memory.current", "700000000\n");
    snprintf(pids, sizeof pids, "%d\n%d\n", (int)getpid(), (int)child);
    put("/sys/fs/cgroup/cgroup.procs", pids);
    assert_int_equal(memory_of(&pressure, 0).used, 700000000);
    snprintf(pids, sizeof pids, "%d\n%d\n1\n", (int)getpid(), (int)child);
    put("/sys/fs/cgroup/cgroup.procs", pids);
    pressure_recount(&pressure);
    pressure_look(&pressure);
    assert_true(pressure.use[OVERLOAD_MEMORY].used < 700000000); /* what is resident */
    snprintf(pids, sizeof pids, "%d\n", (int)getpid());
    put("/sys/fs/cgroup/cgroup.procs", pids);
    pressure_recount(&pressure);
    pressure_look(&pressure);
    assert_int_equal(pressure.use[OVERLOAD_MEMORY].used, 700000000);
    close(ends[1]);
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void version_1_says_the_same_by_other_names(void **state)
{
    (void)state;
    struct pressure pressure;
    char pid[20];
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    put("/proc/self/cgroup", "9:cpu:/\n4:memory:/weir\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/weir/memory.limit_in_bytes", "100000000000\n");
    put("/sys/fs/cgroup/memory/weir/cgroup.procs", pid);
    put("/sys/fs/cgroup/memory/weir/memory.usage_in_bytes", "99000000000\n");
    put("/sys/fs/cgroup/memory/weir/memory.stat", "total_inactive_file 1000000000\n");
    struct overload_use use = memory_of(&pressure, 0);
    assert_int_equal(use.most, 100000000000);
    assert_int_equal(use.used, 98000000000);
}

static void files_that_make_no_sense_limit_nothing(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "", "\n", "0:", "0::", "::::", "0::/../..\n", "x:memory:", "0::/\n"};
    struct pressure pressure;
    put("/sys/fs/cgroup/memory.max", "12 34\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1\n");
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        put("/proc/self/cgroup", lines[i]);
        assert_int_equal(memory_of(&pressure, 0).most, 0);
    }
    char far[5000];
    memset(far, 'a', sizeof far);
    memcpy(far, "0::/", 4);
    far[sizeof far - 1] = '\0';
    put("/proc/self/cgroup", far);
    assert_int_equal(memory_of(&pressure, 0).most, 0);
}

/* What is left of it at the start is all of it: reserving is no use. */
static void of_the_address_space_what_was_left_counts(void **state)
{
    (void)state;
    struct pressure pressure;
    struct rlimit before, limit;
    const struct pressure_options opt = {.root = root};
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    limit = before;
    limit.rlim_cur = UINT64_C(1) << 46; /* more than the sanitizers reserve */
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    pressure_init(&pressure, &opt);
    struct overload_use use = pressure.use[OVERLOAD_MEMORY];
    assert_true(use.most > 0 && use.most <= limit.rlim_cur);
    assert_int_equal(use.used, 0);
    size_t len = 64 * MIB;
    char *more = malloc(len);
    assert_non_null(more);
    memset(more, 1, len);
    pressure_look(&pressure);
    use = pressure.use[OVERLOAD_MEMORY];
    assert_true(use.used >= len && use.used < 2 * len);
    free(more);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(descriptors_are_counted_as_they_come_and_go),
        IN_A_FOLDER(the_system_limits_descriptors),
        IN_A_FOLDER(without_any_limit_there_is_none),
        IN_A_FOLDER(the_group_that_allows_least_counts),
        IN_A_FOLDER(a_group_of_its_own_is_measured_without_what_may_go),
        IN_A_FOLDER(a_child_of_ours_is_nobody_else),
        IN_A_FOLDER(version_1_says_the_same_by_other_names),
        IN_A_FOLDER(files_that_make_no_sense_limit_nothing),
        IN_A_FOLDER(of_the_address_space_what_was_left_counts),
    };
    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
