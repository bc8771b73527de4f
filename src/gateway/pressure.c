/* SPDX-License-Identifier: Apache-2.0
 *
 * pressure.c - /proc/self/statm, limits, and the files of the control group.
 */
#include "gateway/pressure.h"

#include "base/text.h"
#include "gateway/process.h"
#include "io/file.h"
#include "io/socket.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SMALL_FILE      65536U
#define GROUP_NEAR      800U /* tenths of a percent: below, files that may go do not matter */
#define GROUP_UNLIMITED (1ULL << 60) /* version 1 says it by a large number */

/* --- small files ---------------------------------------------------------------------------------
 */

/* A file that is one line, a number. */
static bool read_number(const char *path, uint64_t *ret)
{
    char *text;
    size_t len;
    if (file_read(path, 4096, NULL, &text, &len) != 0)
        return false;
    struct slice rest = {text, (uint32_t)len}, line, after;
    bool good = slice_split(&rest, '\n', &line) && text_parse_u64(line, ret)
                && (!slice_split(&rest, '\n', &after) || after.len == 0);
    alloc_free(&alloc_libc, text);
    return good;
}

/* The number behind a name at a line's beginning. */
static uint64_t number_named(const char *path, const char *name)
{
    char *text;
    size_t len;
    uint64_t number = 0;
    if (file_read(path, SMALL_FILE, NULL, &text, &len) != 0)
        return 0;
    struct slice rest = {text, (uint32_t)len}, line, word;
    while (slice_split(&rest, '\n', &line))
        if (slice_word(&line, &word) && slice_is(word, name) && slice_word(&line, &word))
            text_parse_u64(word, &number);
    alloc_free(&alloc_libc, text);
    return number;
}

/* --- the control group ---------------------------------------------------------------------------
 */

/* What the two versions call the same things. */
static const struct group_version {
    const char *tag, *mount, *most, *used, *idle;
} versions[] = {
    {"0::", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
    {":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file"},
};

/* This process, or one of its own (io/launcher.h). `children` are in words, as the kernel lists
 * them. */
static bool is_ours(uint64_t pid, struct slice children)
{
    struct slice word;
    uint64_t child;
    bool found = pid == (uint64_t)getpid();
    while (!found && slice_word(&children, &word))
        found = text_parse_u64(word, &child) && child == pid;
    return found;
}

/* There are no processes in the group but ours. */
static bool is_alone(const struct pressure *p)
{
    char path[64], *text = NULL, *children = NULL;
    size_t len, children_len = 0;
    uint64_t pid;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    if (file_read(p->group_procs, SMALL_FILE, NULL, &text, &len) != 0)
        return false;
    if (file_read(path, SMALL_FILE, NULL, &children, &children_len) != 0)
        children_len = 0; /* a kernel that does not say: then we are this one process */
    struct slice rest = {text, (uint32_t)len}, line;
    bool alone = len > 0;
    while (alone && slice_split(&rest, '\n', &line))
        alone = line.len == 0
                || (text_parse_u64(line, &pid)
                    && is_ours(pid, (struct slice){children, (uint32_t)children_len}));
    alloc_free(&alloc_libc, text);
    alloc_free(&alloc_libc, children);
    return alone;
}

static void try_group(struct pressure *p, const struct group_version *version, const char *folder)
{
    char path[PRESSURE_PATH_MAX];
    uint64_t most;
    bool fits = snprintf(path, sizeof(path), "%s/%s", folder, version->most) < (int)sizeof(path);
    if (!fits || !read_number(path, &most) || most >= GROUP_UNLIMITED
        || (p->group_most != 0 && most >= p->group_most))
        return;
    if (snprintf(p->group_used, sizeof(p->group_used), "%s/%s", folder, version->used)
            >= (int)sizeof(p->group_used)
        || snprintf(p->group_procs, sizeof(p->group_procs), "%s/cgroup.procs", folder)
               >= (int)sizeof(p->group_procs)
        || snprintf(p->group_stat, sizeof(p->group_stat), "%s/memory.stat", folder)
               >= (int)sizeof(p->group_stat))
        return;
    p->group_most = most;
}

/* From the process's group up to the mount: in a container the path outside of it leads nowhere,
 * and its own group is the mount. */
static void try_groups(struct pressure *p, const struct group_version *version, struct slice path)
{
    char folder[PRESSURE_PATH_MAX];
    int base = snprintf(folder, sizeof(folder), "%s%s", p->opt.root, version->mount);
    int len = snprintf(folder, sizeof(folder), "%s%s%.*s", p->opt.root, version->mount,
                       (int)path.len, path.at);
    if (len >= (int)sizeof(folder))
        return;
    while (len > base) {
        while (len > base && folder[len - 1] == '/')
            folder[--len] = '\0';
        try_group(p, version, folder);
        while (len > base && folder[len - 1] != '/')
            folder[--len] = '\0';
    }
    try_group(p, version, folder);
}

/* Lines of "number:controllers:path". */
static void find_groups(struct pressure *p)
{
    char path[PRESSURE_PATH_MAX];
    char *text;
    size_t len;
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", p->opt.root);
    if (file_read(path, SMALL_FILE, NULL, &text, &len) != 0)
        return;
    struct slice rest = {text, (uint32_t)len}, line;
    while (slice_split(&rest, '\n', &line))
        for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
            struct slice tag = slice_of(versions[i].tag);
            const char *at = memmem(line.at, line.len, tag.at, tag.len);
            if (at != NULL && (i > 0 || at == line.at)) {
                uint32_t skip = (uint32_t)(at - line.at) + tag.len;
                try_groups(p, &versions[i], slice_sub(line, skip, line.len));
            }
        }
    alloc_free(&alloc_libc, text);
}

static uint64_t group_used(const struct pressure *p)
{
    uint64_t used;
    if (!read_number(p->group_used, &used))
        return 0;
    if (used / (GROUP_NEAR + 1) < p->group_most / 1000)
        return used;
    uint64_t idle = number_named(p->group_stat, "inactive_file");
    if (idle == 0)
        idle = number_named(p->group_stat, "total_inactive_file");
    return used > idle ? used - idle : 0;
}

/* --- memory --------------------------------------------------------------------------------------
 */

struct memory {
    uint64_t space, resident, data;
};

/* Numbers of pages: all, resident, shared, text, library, data and stack. */
static struct memory memory_of_process(void)
{
    struct memory memory = {0};
    uint64_t *const wanted[6] = {&memory.space, &memory.resident, NULL, NULL, NULL, &memory.data};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages;
    char *text;
    size_t len;
    if (file_read("/proc/self/statm", 4096, NULL, &text, &len) != 0)
        return memory;
    struct slice rest = {text, (uint32_t)len}, word;
    for (unsigned i = 0; i < 6 && slice_word(&rest, &word); i++)
        if (wanted[i] != NULL && text_parse_u64(word, &pages))
            *wanted[i] = pages * page;
    alloc_free(&alloc_libc, text);
    return memory;
}

static uint64_t limit_of(int resource)
{
    struct rlimit limit;
    bool is_set = getrlimit((__rlimit_resource_t)resource, &limit) == 0
                  && limit.rlim_cur != RLIM_INFINITY;
    return is_set ? limit.rlim_cur : 0;
}

/* The one of which a larger share is used. */
static void worse(struct overload_use *use, uint64_t used, uint64_t most)
{
    if (most > 0
        && (use->most == 0 || (double)used / (double)most > (double)use->used / (double)use->most))
        *use = (struct overload_use){used, most};
}

static uint64_t beyond(uint64_t number, uint64_t base)
{
    return number > base ? number - base : 0;
}

static void look_at_memory(struct pressure *p)
{
    struct overload_use use = {0};
    struct memory memory = memory_of_process();
    worse(&use, memory.resident, p->opt.memory);
    if (p->group_most > 0)
        worse(&use, p->is_alone ? group_used(p) : memory.resident, p->group_most);
    worse(&use, beyond(memory.space, p->space_base), beyond(p->space_most, p->space_base));
    worse(&use, beyond(memory.data, p->data_base), beyond(p->data_most, p->data_base));
    p->use[OVERLOAD_MEMORY] = use;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

void pressure_init(struct pressure *pressure, const struct pressure_options *opt)
{
    *pressure = (struct pressure){.opt = *opt};
    struct memory memory = memory_of_process();
    pressure_limit(pressure, opt->descriptors, opt->memory);
    pressure->space_most = limit_of(RLIMIT_AS);
    pressure->space_base = memory.space;
    pressure->data_most = limit_of(RLIMIT_DATA);
    pressure->data_base = memory.data;
    find_groups(pressure);
    pressure_recount(pressure);
    pressure_look(pressure);
}

void pressure_limit(struct pressure *pressure, uint32_t descriptors, uint64_t memory)
{
    uint64_t files = limit_of(RLIMIT_NOFILE);
    pressure->opt.descriptors = descriptors;
    pressure->opt.memory = memory;
    pressure->descriptors_most = files > 0 && files < UINT32_MAX ? (uint32_t)files : UINT32_MAX;
    if (descriptors > 0 && descriptors < pressure->descriptors_most)
        pressure->descriptors_most = descriptors;
}

void pressure_recount(struct pressure *pressure)
{
    uint32_t all = process_descriptors(), sockets = socket_count();
    pressure->others = all > sockets ? all - sockets : 0;
    pressure->is_alone = pressure->group_most > 0 && is_alone(pressure);
}

void pressure_look(struct pressure *pressure)
{
    pressure->use[OVERLOAD_DESCRIPTORS] = (struct overload_use){
        (uint64_t)socket_count() + pressure->others, pressure->descriptors_most};
    look_at_memory(pressure);
}
