/* SPDX-License-Identifier: Apache-2.0 */
#include "io/inherited.h"

#include "base/alloc.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACTIVATED_FIRST 3 /* SD_LISTEN_FDS_START */

struct one {
    int fd;
    struct address address;
    char name[INHERITED_NAME_MAX];
};

struct inherited {
    uint32_t count;
    struct one at[INHERITED_MAX];
};

int inherited_new(struct inherited **ret_inherited)
{
    *ret_inherited = alloc_zeroed(&alloc_libc, sizeof **ret_inherited);
    return *ret_inherited != NULL ? 0 : -ENOMEM;
}

void inherited_free(struct inherited *take_inherited)
{
    for (uint32_t i = 0; take_inherited != NULL && i < take_inherited->count; i++) {
        close(take_inherited->at[i].fd);
    }
    alloc_free(&alloc_libc, take_inherited);
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static int prepare(int fd, struct address *ret_address)
{
    struct address address = {.len = sizeof address - offsetof(struct address, any)};
    if (option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1
        || getsockname(fd, &address.any, &address.len) != 0) {
        return -EINVAL;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0
        || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return -errno;
    }
    *ret_address = address;
    return 0;
}

int inherited_add(struct inherited *inherited, int take_fd, const char *name)
{
    struct one one = {.fd = take_fd};
    int error = inherited->count < INHERITED_MAX ? prepare(take_fd, &one.address) : -ENFILE;
    if (error != 0) {
        close(take_fd);
        return error;
    }
    slice_copy(one.name, sizeof one.name, slice_of(name));
    inherited->at[inherited->count++] = one;
    return 0;
}

uint32_t inherited_count(const struct inherited *inherited)
{
    return inherited->count;
}

/* --- of a service manager -----------------------------------------------------------------------
 */

/* A whole number of the environment; 0: there is none. */
static uint64_t number_of(const char *word)
{
    const char *text = getenv(word); /* NOLINT(concurrency-mt-unsafe): before there are threads */
    uint64_t number;
    return text != NULL && text_parse_u64(slice_of(text), &number) ? number : 0;
}

int inherited_add_activated(struct inherited *inherited)
{
    uint64_t count = number_of("LISTEN_FDS");
    bool is_ours = number_of("LISTEN_PID") == (uint64_t)getpid();
    const char *text = getenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe): likewise */
    struct slice names = slice_of(text != NULL ? text : ""), name;
    int error = 0;
    for (uint64_t i = 0; is_ours && error == 0 && i < count; i++) {
        char word[INHERITED_NAME_MAX] = "";
        if (slice_split(&names, ':', &name)) {
            slice_copy(word, sizeof word, name);
        }
        error = inherited_add(inherited, (int)(ACTIVATED_FIRST + i), word);
    }
    unsetenv("LISTEN_PID");     /* NOLINT(concurrency-mt-unsafe): likewise, as below */
    unsetenv("LISTEN_FDS");     /* NOLINT(concurrency-mt-unsafe) */
    unsetenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe) */
    return error != 0 ? error : is_ours ? (int)count : 0;
}

/* --- who wants one ------------------------------------------------------------------------------
 */

static bool is_same_host(const struct address *a, const struct address *b)
{
    struct ip one, other;
    return address_ip(a, &one) && address_ip(b, &other) && one.family == other.family
           && memcmp(one.bytes, other.bytes, one.family == AF_INET ? 4 : 16) == 0;
}

static bool is_same(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family) {
        return false;
    }
    if (!address_is_ip(a)) {
        return strncmp(a->local.sun_path, b->local.sun_path, sizeof a->local.sun_path) == 0;
    }
    return address_port(a) == address_port(b) && is_same_host(a, b);
}

static int take(struct inherited *inherited, uint32_t index)
{
    int fd = inherited->at[index].fd;
    inherited->at[index] = inherited->at[--inherited->count];
    return fd;
}

int inherited_take(struct inherited *inherited, const struct address *address, const char *name)
{
    bool is_any = address_is_ip(address) && address_port(address) == 0;
    for (uint32_t i = 0; inherited != NULL && i < inherited->count; i++) {
        const struct one *one = &inherited->at[i];
        if (is_any ? strcmp(one->name, name) == 0 && is_same_host(&one->address, address)
                   : is_same(&one->address, address)) {
            return take(inherited, i);
        }
    }
    return -1;
}

bool inherited_drop(struct inherited *inherited, char ret_name[INHERITED_NAME_MAX],
                    char ret_address[ADDRESS_TEXT_MAX])
{
    if (inherited == NULL || inherited->count == 0) {
        return false;
    }
    const struct one *one = &inherited->at[inherited->count - 1];
    memcpy(ret_name, one->name, INHERITED_NAME_MAX);
    address_print(&one->address, ret_address);
    close(take(inherited, inherited->count - 1));
    return true;
}
