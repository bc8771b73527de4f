/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listen.h"

#include "base/check.h"
#include "io/socket.h"
#include "io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- listening sockets --------------------------------------------------------------------------
 */

static int set_on(int fd, int level, int option, bool on)
{
    int value = on;
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int prepare_ip(int fd, const struct address *address, const struct listen_options *opt)
{
    int error = set_on(fd, SOL_SOCKET, SO_REUSEADDR, true);
    if (error == 0 && opt->reuse_port) {
        error = set_on(fd, SOL_SOCKET, SO_REUSEPORT, true);
    }
    if (error == 0 && address->any.sa_family == AF_INET6) {
        error = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, opt->v6_only);
    }
    socket_tune(fd); /* what is accepted inherits it */
    return error;
}

/* Whether somebody accepts at this path; a file that is no socket counts, too: it is not ours. */
static bool path_is_served(const struct address *address)
{
    struct stat info;
    if (lstat(address->local.sun_path, &info) != 0) {
        return false;
    }
    if (!S_ISSOCK(info.st_mode)) {
        return true;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool served = fd < 0 || connect(fd, &address->any, address->len) == 0
                  || (errno != ECONNREFUSED && errno != ENOENT);
    if (fd >= 0) {
        close(fd);
    }
    return served;
}

static int bind_unix(int fd, const struct address *address, const struct listen_options *opt)
{
    const char *path = address->local.sun_path;
    if (path_is_served(address)) {
        return -EADDRINUSE;
    }
    unlink(path);
    if (bind(fd, &address->any, address->len) != 0) {
        return -errno;
    }
    /* Nobody can connect before listen(), so there is no moment with other permissions. */
    return chmod(path, opt->unix_mode > 0 ? opt->unix_mode : 0600) == 0 ? 0 : -errno;
}

static int bind_and_listen(int fd, const struct address *address, const struct listen_options *opt)
{
    int error;
    if (address_is_ip(address)) {
        error = prepare_ip(fd, address, opt);
        if (error == 0 && bind(fd, &address->any, address->len) != 0) {
            error = -errno;
        }
    } else {
        error = bind_unix(fd, address, opt);
    }
    if (error == 0 && listen(fd, opt->backlog > 0 ? opt->backlog : LISTEN_BACKLOG) != 0) {
        error = -errno;
    }
    return error;
}

int listen_open(const struct address *address, const struct listen_options *opt, int *ret_fd,
                struct address *ret_bound)
{
    static const struct listen_options defaults;
    if (address->len == 0) {
        return -EINVAL;
    }
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int error = bind_and_listen(fd, address, opt != NULL ? opt : &defaults);
    if (error == 0 && ret_bound != NULL) {
        struct address bound = {.len = sizeof bound - offsetof(struct address, any)};
        getsockname(fd, &bound.any, &bound.len);
        *ret_bound = bound;
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

int listen_adopt(int fd, struct address *ret_bound)
{
    struct address bound = {.len = sizeof bound - offsetof(struct address, any)};
    if (getsockname(fd, &bound.any, &bound.len) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        return -errno;
    }
    if (address_is_ip(&bound)) {
        socket_tune(fd);
    }
    *ret_bound = bound;
    return 0;
}

void listen_share(int fd, bool is_shared)
{
    set_on(fd, SOL_SOCKET, SO_REUSEPORT, is_shared); /* a unix socket has no such thing */
}

void listen_step_aside(int fd)
{
    /* Of an interface that there is not: the kernel looks for another socket from now on. What has
     * begun keeps its own. Where it has an interface already, all is as it was. */
    int nowhere = INT_MAX;
    setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof nowhere);
}

void listen_refuse(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

void listen_close(int take_fd)
{
    struct address bound = {.len = sizeof bound - offsetof(struct address, any)};
    if (getsockname(take_fd, &bound.any, &bound.len) == 0 && bound.any.sa_family == AF_UNIX
        && bound.len > offsetof(struct sockaddr_un, sun_path)) {
        unlink(bound.local.sun_path);
    }
    close(take_fd);
}

/* --- intakes ----------------------------------------------------------------------------------
 */

struct intake {
    struct watch watch;
    struct loop_timer retry;
    struct intake_options opt;
    int reserve[INTAKE_RESERVE_MAX]; /* so many of them are there: */
    uint32_t reserved;
    bool paused; /* by its owner */
    bool closed;
};

static void accept_some(struct intake *intake, uint32_t most);

static void keep_reserve(struct intake *intake)
{
    while (intake->reserved < intake->opt.reserve) {
        int fd = fcntl(intake->opt.fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            return;
        }
        intake->reserve[intake->reserved++] = fd;
    }
}

/* False: there is none. */
static bool use_reserve(struct intake *intake)
{
    return intake->reserved > 0 && close(intake->reserve[--intake->reserved]) == 0;
}

static void on_ready(struct watch *watch, unsigned events)
{
    (void)events;
    struct intake *intake = container_of(watch, struct intake, watch);
    keep_reserve(intake); /* those whom it served have left, perhaps */
    accept_some(intake, intake->opt.per_turn_max);
}

static void look(struct intake *intake)
{
    bool waits = intake->paused || loop_timer_is_set(&intake->retry);
    watch_want(&intake->watch, waits ? 0 : STREAM_READ);
}

static void on_retry(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    look(container_of(timer, struct intake, retry));
}

int intake_open(struct loop *loop, const struct intake_options *opt, struct intake **ret_intake)
{
    struct intake *intake = alloc_zeroed(loop_alloc(loop), sizeof *intake);
    if (intake == NULL) {
        return -ENOMEM;
    }
    watch_init(&intake->watch, loop, opt->fd, on_ready);
    intake->watch.is_shared = true;
    intake->retry.fire = on_retry;
    intake->opt = *opt;
    if (opt->per_turn_max == 0) {
        intake->opt.per_turn_max = INTAKE_PER_TURN_MAX;
    }
    if (opt->retry_ms == 0) {
        intake->opt.retry_ms = INTAKE_RETRY_MS;
    }
    check(opt->reserve <= INTAKE_RESERVE_MAX);
    keep_reserve(intake);
    look(intake);
    *ret_intake = intake;
    return 0;
}

/* What a connection that died in the backlog, or a signal, leaves behind (accept(2)). */
static bool is_passing(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a firewall's rule */ return true;
    default: return false;
    }
}

static void back_off(struct intake *intake, int error)
{
    loop_timer_set(intake->watch.loop, &intake->retry,
                   loop_now_ms(intake->watch.loop) + intake->opt.retry_ms);
    look(intake);
    if (intake->opt.on_trouble != NULL) {
        intake->opt.on_trouble(intake->opt.self, -error);
    }
}

/* The loop keeps a closed intake's memory until a later turn: `closed` may be asked after the
 * callback. */
static void accept_some(struct intake *intake, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        struct address peer = {.len = sizeof peer - offsetof(struct address, any)};
        int fd = accept4(intake->opt.fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            int error = errno;
            if (is_passing(error)
                || ((error == EMFILE || error == ENFILE) && use_reserve(intake))) {
                continue;
            }
            if (error != EAGAIN) {
                back_off(intake, error);
            }
            return;
        }
        intake->opt.on_accept(intake->opt.self, fd, &peer);
        if (intake->closed || intake->paused) {
            return;
        }
    }
}

void intake_pause(struct intake *intake)
{
    intake->paused = true;
    look(intake);
}

void intake_resume(struct intake *intake)
{
    intake->paused = false;
    look(intake);
}

void intake_sweep(struct intake *intake)
{
    accept_some(intake, LISTEN_BACKLOG);
}

static void on_gone(struct watch *watch)
{
    struct intake *intake = container_of(watch, struct intake, watch);
    alloc_free(loop_alloc(intake->watch.loop), intake);
}

void intake_close(struct intake *intake)
{
    intake->closed = true;
    while (use_reserve(intake)) {
    }
    loop_timer_stop(intake->watch.loop, &intake->retry);
    watch_close(&intake->watch, on_gone);
}
