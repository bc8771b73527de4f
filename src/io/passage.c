/* SPDX-License-Identifier: Apache-2.0 */
#include "io/passage.h"

#include "io/clock.h"
#include "io/rights.h"
#include "io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PER_TURN_MAX 64U /* messages taken before others have their turn */

/* A message that the kernel had no room for. */
struct unsent {
    struct node node;
    int fd; /* a copy, or -1 */
    size_t len;
    char bytes[];
};

struct passage {
    int fd;
    struct loop *loop; /* NULL: nobody listens yet */
    struct watch watch;
    struct passage_ops ops;
    struct list unsent;
    size_t unsent_bytes;
    bool is_over; /* the other one has gone */
};

static void on_ready(struct watch *watch, unsigned events);

int passage_pair(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) == 0 ? 0 : -errno;
}

/* Whoever made the pair is us, or root, who may do what it likes anyway. */
static int prepare(int fd)
{
    struct ucred other;
    socklen_t len = sizeof other;
    int type = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type}) != 0) {
        return -errno;
    }
    if (type != SOCK_SEQPACKET) {
        return -EPROTOTYPE;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &len) != 0) {
        return -errno;
    }
    if (other.uid != 0 && other.uid != geteuid()) {
        return -EPERM;
    }
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno;
}

int passage_open(int take_fd, struct passage **ret_passage)
{
    int error = prepare(take_fd);
    struct passage *passage = error == 0 ? alloc_zeroed(&alloc_libc, sizeof *passage) : NULL;
    if (passage == NULL) {
        close(take_fd);
        return error == 0 ? -ENOMEM : error;
    }
    passage->fd = take_fd;
    list_init(&passage->unsent);
    *ret_passage = passage;
    return 0;
}

static void unsent_free(struct passage *passage, struct unsent *unsent)
{
    list_remove(&passage->unsent, &unsent->node);
    passage->unsent_bytes -= unsent->len;
    if (unsent->fd >= 0) {
        close(unsent->fd);
    }
    alloc_free(&alloc_libc, unsent);
}

static struct unsent *unsent_first(struct passage *passage)
{
    return container_of(list_first(&passage->unsent), struct unsent, node);
}

static void on_gone(struct watch *watch)
{
    alloc_free(&alloc_libc, container_of(watch, struct passage, watch));
}

void passage_close(struct passage *take_passage)
{
    struct passage *passage = take_passage;
    if (passage == NULL) {
        return;
    }
    while (!list_is_empty(&passage->unsent)) {
        unsent_free(passage, unsent_first(passage));
    }
    int fd = passage->fd;
    passage->fd = -1;
    if (passage->loop != NULL) {
        watch_close(&passage->watch, on_gone);
    } else {
        alloc_free(&alloc_libc, passage);
    }
    close(fd);
}

/* --- sending ------------------------------------------------------------------------------------
 */

bool passage_is_behind(const struct passage *passage)
{
    return !list_is_empty(&passage->unsent);
}

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
};

/* -ETOOMANYREFS: too many descriptors are under way, which passes as they are taken. */
static bool is_later(int error)
{
    return error == -EAGAIN || error == -ENOBUFS || error == -ETOOMANYREFS;
}

static int keep(struct passage *passage, const void *bytes, size_t len, int fd)
{
    struct unsent *unsent = passage->unsent_bytes + len <= PASSAGE_UNSENT_MAX
                                ? alloc_zeroed(&alloc_libc, sizeof *unsent + len)
                                : NULL;
    int copy = unsent != NULL && fd >= 0 ? dup(fd) : -1;
    if (unsent == NULL || (fd >= 0 && copy < 0)) {
        alloc_free(&alloc_libc, unsent);
        return -ENOBUFS;
    }
    unsent->fd = copy;
    unsent->len = len;
    memcpy(unsent->bytes, bytes, len);
    list_push_back(&passage->unsent, &unsent->node);
    passage->unsent_bytes += len;
    return 0;
}

static void look(struct passage *passage)
{
    if (passage->loop != NULL) {
        unsigned write = list_is_empty(&passage->unsent) ? 0 : STREAM_WRITE;
        watch_want(&passage->watch, passage->is_over ? 0 : STREAM_READ | write);
    }
}

int passage_send(struct passage *passage, const void *bytes, size_t len, int fd)
{
    bool is_first = list_is_empty(&passage->unsent);
    int error = is_first ? rights_send(passage->fd, bytes, len, fd, MSG_DONTWAIT) : -EAGAIN;
    if (is_later(error)) {
        error = keep(passage, bytes, len, fd);
        look(passage);
    }
    return error;
}

static void send_kept(struct passage *passage)
{
    while (!list_is_empty(&passage->unsent)) {
        struct unsent *unsent = unsent_first(passage);
        if (is_later(
                rights_send(passage->fd, unsent->bytes, unsent->len, unsent->fd, MSG_DONTWAIT))) {
            return;
        }
        unsent_free(passage, unsent); /* sent; or there is nobody, which is heard soon */
    }
}

/* --- receiving ----------------------------------------------------------------------------------
 */

/* The descriptors of a message: the first of them, and the others are closed. */
static int first_of(struct msghdr *message)
{
    int first = -1, fd;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; at + sizeof fd <= head->cmsg_len - CMSG_LEN(0); at += sizeof fd) {
            memcpy(&fd, CMSG_DATA(head) + at, sizeof fd);
            if (first < 0) {
                first = fd;
            } else {
                close(fd);
            }
        }
    }
    return first;
}

/* Who leaves without having heard all that it was told resets the connection, once; what it has
 * said before comes behind that, and then its end. */
static ssize_t receive(int socket, void *ret_bytes, size_t cap, int *ret_fd)
{
    union control control;
    struct iovec part = {ret_bytes, cap};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t len;
    do {
        len = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (len < 0 && (errno == EINTR || errno == ECONNRESET));
    if (len < 0) {
        return -errno;
    }
    *ret_fd = first_of(&message);
    if ((message.msg_flags & MSG_TRUNC) != 0) {
        if (*ret_fd >= 0) {
            close(*ret_fd);
        }
        return -EMSGSIZE;
    }
    return len;
}

ssize_t passage_wait(struct passage *passage, uint64_t deadline_ms, void *ret_bytes, size_t cap,
                     int *ret_fd)
{
    for (;;) {
        ssize_t len = receive(passage->fd, ret_bytes, cap, ret_fd);
        uint64_t now_ms = clock_now_ms();
        if (len != -EAGAIN) {
            return len;
        }
        if (now_ms >= deadline_ms) {
            return -ETIMEDOUT;
        }
        uint64_t left_ms = deadline_ms - now_ms;
        struct pollfd wanted = {.fd = passage->fd, .events = POLLIN};
        poll(&wanted, 1, left_ms < 60000 ? (int)left_ms : 60000);
    }
}

static void on_ready(struct watch *watch, unsigned events)
{
    struct passage *passage = container_of(watch, struct passage, watch);
    char bytes[PASSAGE_MESSAGE_MAX];
    if ((events & STREAM_WRITE) != 0) {
        send_kept(passage);
    }
    /* The loop keeps a closed passage's memory until a later turn: it may be asked. */
    for (unsigned i = 0; i < PER_TURN_MAX && !watch->closed; i++) {
        int fd = -1;
        ssize_t len = receive(passage->fd, bytes, sizeof bytes, &fd);
        if (len == -EAGAIN) {
            break;
        }
        if (len > 0) {
            passage->ops.message(passage->ops.self, bytes, (size_t)len, fd);
            continue;
        }
        passage->is_over = true;
        look(passage);
        passage->ops.end(passage->ops.self);
        return;
    }
    if (!watch->closed) {
        look(passage);
    }
}

void passage_listen(struct passage *passage, struct loop *loop, const struct passage_ops *ops)
{
    passage->loop = loop;
    passage->ops = *ops;
    watch_init(&passage->watch, loop, passage->fd, on_ready);
    look(passage);
}
