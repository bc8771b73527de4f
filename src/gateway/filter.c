/* SPDX-License-Identifier: Apache-2.0
 *
 * filter.c - the list as a program of classic BPF, row after row.
 *
 * It is in no library's hands (libseccomp would be the one): numbers are compared with a list,
 * once, and the kernel keeps a map of those rows that look at no argument, so that neither order
 * nor length costs anything.
 */
#include "gateway/filter.h"

#include "base/sanitized.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#    define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#    define MACHINE AUDIT_ARCH_AARCH64
#endif

#define CODES_MAX    1024U
/* Numbers of x32, which nobody uses, and which go around lists. */
#define FOREIGN_FROM 0x40000000U
#define NEWER_FROM   451U /* Linux 6.1 ends before */

#ifdef MACHINE

enum verdict { VERDICT_ALLOW, VERDICT_WHEN, VERDICT_REFUSE };

struct row {
    uint32_t number;
    enum verdict verdict;
    uint32_t argument, mask, value; /* of a WHEN; the value of a REFUSE is its error */
};

struct program {
    struct sock_filter at[CODES_MAX];
    unsigned short count;
};

static void code(struct program *p, struct sock_filter code)
{
    if (p->count < CODES_MAX)
        p->at[p->count++] = code;
}

static void load(struct program *p, uint32_t offset)
{
    code(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer(struct program *p, uint32_t action)
{
    code(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* The next `skipped` codes are for those who compare so. */
static void unless(struct program *p, unsigned short comparison, uint32_t value, uint8_t skipped)
{
    code(p, (struct sock_filter)BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 0, skipped));
}

static void load_argument(struct program *p, uint32_t argument)
{
    bool is_little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    load(p, (uint32_t)offsetof(struct seccomp_data, args) + argument * 8 + (is_little ? 0 : 4));
}

/* Finds the call's number loaded, and leaves it so. */
static void row_write(struct program *p, const struct row *row)
{
    switch (row->verdict) {
    case VERDICT_ALLOW:
        unless(p, BPF_JEQ, row->number, 1);
        answer(p, SECCOMP_RET_ALLOW);
        break;
    case VERDICT_REFUSE:
        unless(p, BPF_JEQ, row->number, 1);
        answer(p, SECCOMP_RET_ERRNO | row->value);
        break;
    case VERDICT_WHEN:
        unless(p, BPF_JEQ, row->number, 5);
        load_argument(p, row->argument);
        code(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, row->mask));
        unless(p, BPF_JEQ, row->value, 1);
        answer(p, SECCOMP_RET_ALLOW);
        load(p, offsetof(struct seccomp_data, nr));
        break;
    }
}

static void program_write(struct program *p, const struct row *rows, size_t count)
{
    load(p, offsetof(struct seccomp_data, arch));
    unless(p, BPF_JEQ, MACHINE, 1); /* skipped by foreigners */
    code(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    answer(p, SECCOMP_RET_ERRNO | EPERM);
    load(p, offsetof(struct seccomp_data, nr));
    unless(p, BPF_JGE, FOREIGN_FROM, 1);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < count; i++)
        row_write(p, &rows[i]);
    unless(p, BPF_JGE, NEWER_FROM, 1);
    answer(p, SECCOMP_RET_ERRNO | ENOSYS);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

static int install(const struct program *p)
{
    const struct sock_fprog program = {p->count, (struct sock_filter *)(uintptr_t)p->at};
    unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG;
    long answered = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (answered < 0 && errno == EINVAL) /* before Linux 4.14 nothing was logged */
        answered = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                           &program);
    /* A thread's number: one that has a filter of its own. */
    return answered == 0 ? 0 : answered > 0 ? -EBUSY : -errno;
}

int filter_close(void)
{
#    define ALLOW(name)                       {__NR_##name, VERDICT_ALLOW, 0, 0, 0},
#    define WHEN(name, argument, mask, value) {__NR_##name, VERDICT_WHEN, argument, mask, value},
#    define REFUSE(name, error)               {__NR_##name, VERDICT_REFUSE, 0, 0, error},
    const struct row rows[] = {
#    include "gateway/syscall.def"
    };
    struct program p = {.count = 0};
    program_write(&p, rows, sizeof(rows) / sizeof(rows[0]));
    return p.count < CODES_MAX ? install(&p) : -E2BIG;
}

#else

int filter_close(void)
{
    return -ENOSYS;
}

#endif

bool filter_is_closed(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}
