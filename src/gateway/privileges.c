/* SPDX-License-Identifier: Apache-2.0
 *
 * privileges.c - users, groups and capabilities, in the order in which each can still be given up:
 * the bounding set while CAP_SETPCAP is there, groups and user while CAP_SETGID and CAP_SETUID are,
 * the capabilities themselves last.
 */
#include "gateway/privileges.h"

#include "base/text.h"
#include "io/oserror.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRY_BYTES 16384 /* of an entry of passwd(5), as text */
#define BIT(number) (UINT64_C(1) << (number))

/* Who to become. */
struct identity {
    const char *name; /* as the name service knows it; "": it does not */
    uid_t uid;
    gid_t gid;
    char entry[ENTRY_BYTES];
};

__attribute__((format(printf, 4, 5))) static int fault(char *ret, size_t max, int error,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret, max, format, args);
    va_end(args);
    return error;
}

/* --- who ----------------------------------------------------------------------------------------
 */

/* A number need not be known to anybody: a container's user is one. Its group is the same then. */
static int identity_find(const char *user, struct identity *ret)
{
    struct passwd entry, *found = NULL;
    uint64_t number;
    bool is_number = text_parse_u64(slice_of(user), &number) && number < UINT32_MAX;
    int error = is_number ? getpwuid_r((uid_t)number, &entry, ret->entry, ENTRY_BYTES, &found)
                          : getpwnam_r(user, &entry, ret->entry, ENTRY_BYTES, &found);
    if (found != NULL) {
        ret->name = entry.pw_name;
        ret->uid = entry.pw_uid;
        ret->gid = entry.pw_gid;
        return 0;
    }
    ret->name = "";
    ret->uid = (uid_t)number;
    ret->gid = (gid_t)number;
    return is_number ? 0 : error != 0 ? -error : -ENOENT;
}

void privileges_user_name(uint32_t uid, char *ret, size_t size)
{
    struct identity who;
    char number[16];
    snprintf(number, sizeof(number), "%u", uid);
    bool is_known = identity_find(number, &who) == 0 && who.name[0] != '\0';
    slice_copy(ret, size, slice_of(is_known ? who.name : number));
}

/* --- capabilities -------------------------------------------------------------------------------
 */

static uint64_t capabilities_permitted(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};
    if (syscall(SYS_capget, &header, sets) != 0)
        return 0;
    return (uint64_t)sets[1].permitted << 32 | sets[0].permitted;
}

static int capabilities_set(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    uint32_t low = (uint32_t)kept, high = (uint32_t)(kept >> 32);
    const struct __user_cap_data_struct sets[2] = {{.effective = low, .permitted = low},
                                                   {.effective = high, .permitted = high}};
    return syscall(SYS_capset, &header, sets) == 0 ? 0 : -errno;
}

/* What not even a program with the set-user-id bit could have back; needs CAP_SETPCAP, and where
 * that is not there PR_SET_NO_NEW_PRIVS says the same. */
static void bounding_shed(uint64_t kept)
{
    for (unsigned number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
        if (number > 63 || (kept & BIT(number)) == 0)
            prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
}

void privileges_print(uint64_t capabilities, char *ret, size_t size)
{
    unsigned last = 0;
    while (prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0)
        last++;
    uint64_t all = (BIT(last) << 1) - 1;
    if (capabilities == 0)
        slice_copy(ret, size, SLICE("none"));
    else if (capabilities == all)
        slice_copy(ret, size, SLICE("all"));
    else if (capabilities == BIT(CAP_NET_BIND_SERVICE))
        slice_copy(ret, size, SLICE("net_bind_service"));
    else
        snprintf(ret, size, "%llx", (unsigned long long)capabilities);
}

/* --- the drop -----------------------------------------------------------------------------------
 */

static int become(const struct identity *who)
{
    int error = who->name[0] != '\0' ? initgroups(who->name, who->gid) : setgroups(1, &who->gid);
    if (error != 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0
        || setresgid(who->gid, who->gid, who->gid) != 0
        || setresuid(who->uid, who->uid, who->uid) != 0)
        return -errno;
    return 0;
}

/* Nothing of it can be had back. */
static bool is_final(const struct identity *who)
{
    return who->uid == 0 || (setuid(0) != 0 && getuid() == who->uid && geteuid() == who->uid);
}

static void shut(void)
{
    const struct rlimit none = {0, 0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}

int privileges_drop(const struct privileges_wish *wish, char *ret_fault, size_t fault_max)
{
    struct identity who = {.name = "", .uid = geteuid(), .gid = getegid()};
    uint64_t kept = wish->keeps_low_ports ? BIT(CAP_NET_BIND_SERVICE) : 0;
    int error = wish->user[0] != '\0' ? identity_find(wish->user, &who) : 0;
    if (error != 0)
        return fault(ret_fault, fault_max, error, "process.user: there is no user %s here: %s",
                     wish->user, oserror_text(error));
    bool changes = who.uid != geteuid();
    if (!changes && !wish->sheds)
        return 0;
    kept &= capabilities_permitted();
    bounding_shed(kept);
    error = changes ? become(&who) : 0;
    if (error != 0)
        return fault(ret_fault, fault_max, error,
                     "process.user: cannot become %s: %s; start weir as root, or as %s", wish->user,
                     oserror_text(error), wish->user);
    if (wish->sheds)
        shut();
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    error = capabilities_set(kept);
    if (error != 0 || !is_final(&who))
        return fault(ret_fault, fault_max, error != 0 ? error : -EPERM,
                     "process.user: the rights of user %u could not be given up: %s", geteuid(),
                     oserror_text(error != 0 ? error : EPERM));
    return 0;
}

void privileges_cede(const char *user, int fd)
{
    struct identity who;
    if (user[0] != '\0' && identity_find(user, &who) == 0 && who.uid != geteuid()
        && fchown(fd, who.uid, who.gid) != 0)
        return; /* who is not root does not become anybody else, either */
}

void privileges_facts(struct privileges_facts *ret)
{
    *ret = (struct privileges_facts){.uid = geteuid(),
                                     .gid = getegid(),
                                     .capabilities = capabilities_permitted(),
                                     .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
                                     .dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1};
}
