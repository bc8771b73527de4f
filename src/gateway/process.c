/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - /proc/self and limits.
 */
#include "gateway/process.h"

#include "base/text.h"
#include "io/file.h"

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The second number of /proc/self/statm, in pages. */
uint64_t process_resident_bytes(void)
{
    char *text;
    size_t len;
    uint64_t pages = 0;
    struct slice rest, word;
    if (file_read("/proc/self/statm", 4096, NULL, &text, &len) != 0)
        return 0;
    rest = (struct slice){text, (uint32_t)len};
    slice_word(&rest, &word);
    if (slice_word(&rest, &word))
        text_parse_u64(word, &pages);
    alloc_free(&alloc_libc, text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Linux says how many there are since 6.2; before that each is an entry of /proc/self/fd, less the
 * one that looks. */
uint32_t process_descriptors(void)
{
    struct stat info;
    if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0)
        return (uint32_t)info.st_size;
    DIR *dir = opendir("/proc/self/fd");
    uint32_t count = 0;
    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL) /* NOLINT(concurrency-mt-unsafe): nobody else has this DIR */
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0;
}

void process_figures(struct process_figures *ret)
{
    struct timespec cpu = {0};
    struct rlimit limit = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    getrlimit(RLIMIT_NOFILE, &limit);
    *ret = (struct process_figures){
        .resident_bytes = process_resident_bytes(),
        .cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000,
        .descriptors = process_descriptors(),
        .descriptors_max = limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur};
}

uint32_t process_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}

uint32_t process_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) < 1)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}
