/* SPDX-License-Identifier: Apache-2.0
 *
 * fence.c - posts as a list of real paths, which become rules of Landlock's when the fence closes.
 *
 * Debian 12's headers know the first versions of Landlock only; the numbers of later ones are given
 * here. The rules are the strictest that the running kernel has: what it does not know is left out.
 */
#include "gateway/fence.h"

#include "io/oserror.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_TRUNCATE  (UINT64_C(1) << 14) /* version 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)  /* version 6 */

#define OF_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE     \
     | FS_TRUNCATE | FS_IOCTL_DEV)
#define TO_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define TO_WRITE                                                                                   \
    (TO_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE                      \
     | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_TRUNCATE)

/* As the kernel takes it since version 6; earlier ones take its beginning. */
struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct post {
    struct post *next;
    enum fence_right right;
    char path[]; /* real */
};

struct fence {
    struct post *posts;
    bool is_closed;
};

/* There is one around a process, and it cannot be opened again. */
static const struct fence *closed;

struct fence *fence_new(void)
{
    return calloc(1, sizeof(struct fence));
}

void fence_free(struct fence *take_fence)
{
    if (take_fence == NULL)
        return;
    if (closed == take_fence)
        closed = NULL;
    for (struct post *post = take_fence->posts, *next; post != NULL; post = next) {
        next = post->next;
        free(post);
    }
    free(take_fence);
}

/* --- posts --------------------------------------------------------------------------------------
 */

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0
           && (path[len] == '\0' || path[len] == '/' || strcmp(folder, "/") == 0);
}

static bool is_allowed(const struct fence *fence, const char *real, enum fence_right right)
{
    for (const struct post *post = fence->posts; post != NULL; post = post->next)
        if (post->right >= right && is_below(real, post->path))
            return true;
    return false;
}

void fence_post(struct fence *fence, const char *path, enum fence_right right)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL || is_allowed(fence, real, right))
        return;
    size_t size = strlen(real) + 1;
    struct post *post = malloc(sizeof(*post) + size);
    if (post == NULL)
        return; /* then it is stricter, and says so when the file is opened */
    post->right = right;
    memcpy(post->path, real, size);
    post->next = fence->posts;
    fence->posts = post;
}

/* The folder of `file` in `room`, whether the file is there or not. */
static const char *folder_of(const char *file, char room[static PATH_MAX])
{
    const char *last = strrchr(file, '/');
    size_t len = last != NULL ? (size_t)(last - file) : 0;
    if (last == NULL)
        return ".";
    if (len == 0 || len >= PATH_MAX)
        return "/";
    memcpy(room, file, len);
    room[len] = '\0';
    return room;
}

static void post_folder_of(struct fence *fence, const char *file, enum fence_right right)
{
    char room[PATH_MAX];
    const char *folder = folder_of(file, room);
    bool is_alone = strcmp(folder, "/") == 0 || strcmp(folder, "/dev") == 0;
    fence_post(fence, is_alone ? file : folder, right);
}

void fence_post_around(struct fence *fence, const char *file, enum fence_right right)
{
    char real[PATH_MAX];
    post_folder_of(fence, file, right);
    if (realpath(file, real) != NULL)
        post_folder_of(fence, real, right);
}

bool fence_allows(const struct fence *fence, const char *path, enum fence_right right)
{
    char real[PATH_MAX], room[PATH_MAX], folder[PATH_MAX];
    if (!fence->is_closed)
        return true;
    if (realpath(path, real) != NULL)
        return is_allowed(fence, real, right);
    return realpath(folder_of(path, room), folder) != NULL && is_allowed(fence, folder, right);
}

const char *fence_why(const char *path, int error)
{
    return error == EACCES && closed != NULL && !fence_allows(closed, path, FENCE_READ)
               ? "it is outside of the folders that the process has shut itself into "
                 "(process.sandbox): restart it with this configuration, or put the file into one "
                 "of those"
               : oserror_text(error);
}

/* --- Landlock -----------------------------------------------------------------------------------
 */

static uint64_t rights_of(int version)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    rights |= version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
    rights |= version >= 3 ? FS_TRUNCATE : 0;
    return version >= 5 ? rights | FS_IOCTL_DEV : rights;
}

static int ruleset_new(int version)
{
    struct ruleset rules = {.handled_fs = rights_of(version),
                            .scoped = version >= 6 ? SCOPE_SIGNAL : 0};
    size_t size = version >= 6 ? sizeof(rules) : offsetof(struct ruleset, handled_net);
    return (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
}

static int rule_add(int ruleset, const struct post *post, uint64_t rights)
{
    struct stat facts;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights & (post->right == FENCE_WRITE ? TO_WRITE : TO_READ),
        .parent_fd = open(post->path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return 0;
    if (fstat(rule.parent_fd, &facts) != 0 || !S_ISDIR(facts.st_mode))
        rule.allowed_access &= OF_FILES;
    long failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int error = failed != 0 ? -errno : 0;
    close(rule.parent_fd);
    return error;
}

int fence_close(struct fence *fence)
{
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
                               LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset = version > 0 ? ruleset_new(version) : -1;
    if (ruleset < 0)
        return -errno;
    int error = 0;
    for (const struct post *post = fence->posts; error == 0 && post != NULL; post = post->next)
        error = rule_add(ruleset, post, rights_of(version));
    if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        error = -errno;
    close(ruleset);
    fence->is_closed = error == 0;
    closed = error == 0 ? fence : closed;
    return error == 0 ? version : error;
}
