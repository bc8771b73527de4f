/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.c - a library that is loaded before all others (LD_PRELOAD) and makes system calls do what
 * they may do but seldom do: bring less than was asked for, be interrupted, find no descriptor
 * left, be refused; and a wall clock that somebody sets.
 *
 * A test steers it, and reads what it did, in a file that both have mapped (WEIR_FAULTS): struct
 * steering. Chance is a sequence of each thread's own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

/* Little-endian words of 64 bits, as test_faults.py reads them. */
struct steering {
    _Atomic uint64_t io_percent; /* of reads and writes: short, or interrupted */
    _Atomic uint64_t
        open_percent; /* of sockets made and accepted: no descriptor left; of dials: refused */
    _Atomic int64_t wall_ms; /* by how much the wall clock is ahead */
    _Atomic uint64_t shorter, interrupted, without_descriptor, refused, times; /* what was done */
};

static struct steering still; /* where nobody steers */
static _Atomic(struct steering *) steering_at;

static struct steering *steering(void)
{
    struct steering *at = atomic_load(&steering_at);
    if (at != NULL)
        return at;
    const char *path = getenv("WEIR_FAULTS");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    at = fd >= 0 ? mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        syscall(SYS_close, fd);
    at = at != MAP_FAILED ? at : &still;
    atomic_store(&steering_at, at);
    return at;
}

static uint64_t draw(void)
{
    static _Thread_local uint64_t state;
    if (state == 0)
        state = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)syscall(SYS_gettid);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool is_time_for(const _Atomic uint64_t *percent)
{
    uint64_t now = atomic_load(percent);
    return now > 0 && draw() % 100 < now;
}

static int fail(_Atomic uint64_t *counted, int error)
{
    atomic_fetch_add(counted, 1);
    errno = error;
    return -1;
}

/* The next library's function of that name. */
#define NEXT(type, name)                                                                           \
    static _Atomic(type) next_;                                                                    \
    type name = atomic_load(&next_);                                                               \
    if (name == NULL) {                                                                            \
        name = (type)dlsym(RTLD_NEXT, __func__);                                                   \
        atomic_store(&next_, name);                                                                \
    }

/* --- bytes --------------------------------------------------------------------------------------
 */

/* 0: interrupted, which is done; else how many of `len` bytes may pass. Packets and the counters of
 * eventfd have no halves, so that only bytes of streams and files are cut. */
static size_t allowed(size_t len)
{
    struct steering *s = steering();
    if (len == 0 || !is_time_for(&s->io_percent))
        return len;
    if (draw() % 4 == 0) {
        fail(&s->interrupted, EINTR);
        return 0;
    }
    if (len <= 8)
        return len;
    atomic_fetch_add(&s->shorter, 1);
    return 1 + draw() % (len < 64 ? len : 64);
}

/* The beginning of `from`, of at most `len` bytes, in `to`. */
static size_t cut(const struct iovec *from, size_t count, size_t len, struct iovec *to, size_t most)
{
    size_t taken = 0;
    for (; taken < count && taken < most && len > 0; taken++) {
        to[taken] = from[taken];
        to[taken].iov_len = to[taken].iov_len < len ? to[taken].iov_len : len;
        len -= to[taken].iov_len;
    }
    return taken;
}

static size_t length_of(const struct iovec *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].iov_len;
    return len;
}

typedef ssize_t read_fn(int, void *, size_t);
ssize_t read(int fd, void *room, size_t len)
{
    NEXT(read_fn *, next)
    size_t most = allowed(len);
    return most == 0 && len > 0 ? -1 : next(fd, room, most);
}

typedef ssize_t write_fn(int, const void *, size_t);
ssize_t write(int fd, const void *bytes, size_t len)
{
    NEXT(write_fn *, next)
    size_t most = allowed(len);
    return most == 0 && len > 0 ? -1 : next(fd, bytes, most);
}

typedef ssize_t recv_fn(int, void *, size_t, int);
ssize_t recv(int fd, void *room, size_t len, int flags)
{
    NEXT(recv_fn *, next)
    size_t most = allowed(len);
    return most == 0 && len > 0 ? -1 : next(fd, room, most, flags);
}

typedef ssize_t send_fn(int, const void *, size_t, int);
ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    NEXT(send_fn *, next)
    size_t most = allowed(len);
    return most == 0 && len > 0 ? -1 : next(fd, bytes, most, flags);
}

typedef ssize_t sendmsg_fn(int, const struct msghdr *, int);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg_fn *, next)
    struct iovec parts[64];
    struct msghdr beginning = *message;
    size_t len = length_of(message->msg_iov, message->msg_iovlen);
    size_t most = message->msg_control != NULL ? len : allowed(len);
    if (most == 0 && len > 0)
        return -1;
    if (most == len)
        return next(fd, message, flags);
    beginning.msg_iovlen = cut(message->msg_iov, message->msg_iovlen, most, parts, 64);
    beginning.msg_iov = parts;
    return next(fd, &beginning, flags);
}

typedef ssize_t writev_fn(int, const struct iovec *, int);
ssize_t writev(int fd, const struct iovec *from, int count)
{
    NEXT(writev_fn *, next)
    struct iovec parts[64];
    size_t len = length_of(from, (size_t)count), most = allowed(len);
    if (most == 0 && len > 0)
        return -1;
    return most == len ? next(fd, from, count)
                       : next(fd, parts, (int)cut(from, (size_t)count, most, parts, 64));
}

typedef int epoll_wait_fn(int, struct epoll_event *, int, int);
int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    NEXT(epoll_wait_fn *, next)
    struct steering *s = steering();
    if (is_time_for(&s->io_percent))
        return fail(&s->interrupted, EINTR);
    return next(fd, events, most, timeout);
}

/* --- descriptors and dials ----------------------------------------------------------------------
 */

typedef int accept4_fn(int, struct sockaddr *, socklen_t *, int);
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    NEXT(accept4_fn *, next)
    struct steering *s = steering();
    if (is_time_for(&s->open_percent))
        return fail(&s->without_descriptor, EMFILE);
    return next(fd, address, len, flags);
}

typedef int socket_fn(int, int, int);
int socket(int domain, int type, int protocol)
{
    NEXT(socket_fn *, next)
    struct steering *s = steering();
    if (is_time_for(&s->open_percent))
        return fail(&s->without_descriptor, EMFILE);
    return next(domain, type, protocol);
}

typedef int connect_fn(int, const struct sockaddr *, socklen_t);
int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    NEXT(connect_fn *, next)
    struct steering *s = steering();
    if (is_time_for(&s->open_percent))
        return fail(&s->refused, ECONNREFUSED);
    return next(fd, address, len);
}

/* --- the wall clock -----------------------------------------------------------------------------
 */

static void move(struct timespec *time)
{
    struct steering *s = steering();
    int64_t ms = atomic_load(&s->wall_ms);
    atomic_fetch_add(&s->times, 1);
    time->tv_sec += ms / 1000;
    time->tv_nsec += ms % 1000 * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_nsec -= 1000000000;
        time->tv_sec++;
    } else if (time->tv_nsec < 0) {
        time->tv_nsec += 1000000000;
        time->tv_sec--;
    }
}

typedef int clock_gettime_fn(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *ret)
{
    NEXT(clock_gettime_fn *, next)
    int error = next(clock, ret);
    if (error == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(ret);
    return error;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int error = clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return error;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL)
        *ret = now.tv_sec;
    return now.tv_sec;
}
