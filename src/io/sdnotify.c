/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sdnotify.h"

#include "base/alloc.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct sdnotify {
    int fd;
    uint32_t watchdog_ms;
};

/* A path, or with '@' a name without a file. */
static int address_of(const char *text, struct sockaddr_un *ret, socklen_t *ret_len)
{
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof ret->sun_path) {
        return -EINVAL;
    }
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, text, len);
    if (text[0] == '@') {
        ret->sun_path[0] = '\0';
    }
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return 0;
}

static int connect_to(const char *text)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    int error = address_of(text, &address, &len);
    int fd = error == 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : error;
    if (fd < 0) {
        return error != 0 ? error : -errno;
    }
    if (connect(fd, (const struct sockaddr *)&address, len) != 0) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* WATCHDOG_PID: another process is meant. */
static uint32_t watchdog_of_environment(void)
{
    uint64_t usec, pid;
    /* NOLINTBEGIN(concurrency-mt-unsafe): before there are threads */
    const char *time = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    /* NOLINTEND(concurrency-mt-unsafe) */
    bool is_ours = whose == NULL
                   || (text_parse_u64(slice_of(whose), &pid) && pid == (uint64_t)getpid());
    if (time == NULL || !is_ours || !text_parse_u64(slice_of(time), &usec) || usec < 1000
        || usec / 1000 > UINT32_MAX) {
        return 0;
    }
    return (uint32_t)(usec / 1000);
}

int sdnotify_open(struct sdnotify **ret_notify)
{
    const char *text = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): likewise */
    *ret_notify = NULL;
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    int fd = connect_to(text);
    if (fd < 0) {
        return fd;
    }
    struct sdnotify *notify = alloc_zeroed(&alloc_libc, sizeof *notify);
    if (notify == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *notify = (struct sdnotify){.fd = fd, .watchdog_ms = watchdog_of_environment()};
    *ret_notify = notify;
    return 0;
}

void sdnotify_close(struct sdnotify *take_notify)
{
    if (take_notify != NULL) {
        close(take_notify->fd);
        alloc_free(&alloc_libc, take_notify);
    }
}

void sdnotify_say(const struct sdnotify *notify, struct slice lines)
{
    if (notify != NULL) {
        send(notify->fd, lines.at, lines.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

uint32_t sdnotify_watchdog_ms(const struct sdnotify *notify)
{
    return notify != NULL ? notify->watchdog_ms : 0;
}
