/* SPDX-License-Identifier: Apache-2.0
 *
 * fence_test.c - folders, a fence around some of them, and a child that goes inside and looks.
 * Where the kernel has no Landlock the answers of fence_allows() before and after are all there is
 * to see.
 */
#include "gateway/fence.h"

#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char room[] = "/tmp/weir-fence-XXXXXX";

static const char *at(const char *name)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", room, name);
    return path;
}

static bool opens(const char *name, int how)
{
    int fd = open(at(name), how | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int furnish(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(room));
    assert_int_equal(mkdir(at("read"), 0700), 0);
    assert_int_equal(mkdir(at("write"), 0700), 0);
    assert_int_equal(mkdir(at("else"), 0700), 0);
    assert_true(opens("read/a.pem", O_CREAT | O_WRONLY));
    assert_true(opens("else/real.pem", O_CREAT | O_WRONLY));
    assert_true(opens("secret", O_CREAT | O_WRONLY));
    assert_int_equal(symlink(at("else/real.pem"), at("read/link.pem")), 0);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    static const char *const files[] = {"read/a.pem",   "read/link.pem", "else/real.pem",
                                        "else/new.pem", "write/log",     "secret"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(at(files[i]));
    rmdir(at("read"));
    rmdir(at("write"));
    rmdir(at("else"));
    return rmdir(room);
}

static struct fence *fence_of_the_room(void)
{
    struct fence *fence = fence_new();
    assert_non_null(fence);
    fence_post_around(fence, at("read/a.pem"), FENCE_READ);
    fence_post_around(fence, at("write/log"), FENCE_WRITE); /* not there yet */
    fence_post(fence, at("nowhere"), FENCE_READ);
    return fence;
}

static int look(void)
{
    struct fence *fence = fence_of_the_room();
    if (!fence_allows(fence, at("secret"), FENCE_READ))
        return 1; /* it is open still */
    int version = fence_close(fence);
    if (version < 0)
        return version == -ENOSYS || version == -EOPNOTSUPP ? 0 : 2;
    if (!fence_allows(fence, at("read/a.pem"), FENCE_READ) || !opens("read/a.pem", O_RDONLY))
        return 3;
    if (fence_allows(fence, at("secret"), FENCE_READ) || opens("secret", O_RDONLY))
        return 4;
    if (fence_allows(fence, at("read/a.pem"), FENCE_WRITE) || opens("read/a.pem", O_WRONLY))
        return 5;
    if (!fence_allows(fence, at("read/new.pem"), FENCE_READ)
        || opens("read/new", O_CREAT | O_WRONLY))
        return 6;
    if (!fence_allows(fence, at("write/log"), FENCE_WRITE)
        || !opens("write/log", O_CREAT | O_WRONLY))
        return 7;
    if (rename(at("write/log"), at("write/log.1")) != 0 || unlink(at("write/log.1")) != 0)
        return 8;
    if (fence_allows(fence, at("read/link.pem"), FENCE_READ) || opens("read/link.pem", O_RDONLY))
        return 9; /* what it leads to is outside, and was no post */
    if (fence_allows(fence, at("nowhere/x"), FENCE_READ)
        || fence_allows(fence, "x/../..", FENCE_READ))
        return 10;
    fence_free(fence);
    return 0;
}

static int follow(void)
{
    struct fence *fence = fence_new();
    fence_post_around(fence, at("read/link.pem"), FENCE_READ);
    if (fence_close(fence) < 0)
        return 0;
    bool both = opens("read/link.pem", O_RDONLY)
                && fence_allows(fence, at("else/new.pem"), FENCE_READ);
    fence_free(fence);
    return both ? 0 : 1;
}

static int in_child(int (*run)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(run());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static void inside(void **state)
{
    (void)state;
    assert_int_equal(in_child(look), 0);
    assert_true(opens("secret", O_RDONLY)); /* only the child went inside */
}

/* A certificate that is renewed is a new file where the link leads to. */
static void a_link_counts_for_both_folders(void **state)
{
    (void)state;
    assert_int_equal(in_child(follow), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inside),
                                       cmocka_unit_test(a_link_counts_for_both_folders)};
    return cmocka_run_group_tests(tests, furnish, clear);
}
