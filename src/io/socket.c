/* SPDX-License-Identifier: Apache-2.0 */
#include "io/socket.h"

#include "io/receive.h"
#include "io/watch.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Long enough for a reader that pauses, short enough for a host that is gone; time-outs that mean
 * something to a protocol are its own and shorter. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES     4
#define USER_TIMEOUT_MS      120000

struct socket {
    struct stream stream;
    struct watch watch;
};

_Static_assert(sizeof(struct socket) <= LOOP_CELL_BYTES, "a socket is a cell");

static const struct stream_ops socket_ops;
static _Atomic uint32_t sockets; /* written when a connection begins or ends, no more often */
static _Atomic uint32_t connect_most = UINT32_MAX;

static struct socket *socket_of(const struct stream *stream)
{
    check(stream->ops == &socket_ops);
    return container_of((struct stream *)(uintptr_t)stream, struct socket, stream);
}

static void on_ready(struct watch *watch, unsigned events)
{
    struct socket *socket = container_of(watch, struct socket, watch);
    if (socket->stream.on_ready != NULL) {
        socket->stream.on_ready(&socket->stream, events);
    }
}

int socket_adopt(struct loop *loop, int take_fd, struct stream **ret_stream)
{
    struct socket *socket = loop_cell_take(loop);
    if (socket == NULL) {
        close(take_fd);
        return -ENOMEM;
    }
    socket->stream = (struct stream){.ops = &socket_ops};
    watch_init(&socket->watch, loop, take_fd, on_ready);
    socket->watch.ahead = &socket->stream.owner;
    atomic_fetch_add_explicit(&sockets, 1, memory_order_relaxed);
    *ret_stream = &socket->stream;
    return 0;
}

void socket_connect_below(uint32_t most)
{
    atomic_store_explicit(&connect_most, most, memory_order_relaxed);
}

uint32_t socket_count(void)
{
    return atomic_load_explicit(&sockets, memory_order_relaxed);
}

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value); /* what is refused stays as it was */
}

void socket_tune(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    if (domain != AF_INET && domain != AF_INET6) {
        return;
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

void socket_patience(int fd, uint32_t patience_ms)
{
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               patience_ms <= INT_MAX ? (int)patience_ms : 0 /* the system's */);
}

/* --- connecting ---------------------------------------------------------------------------------
 */

static int connect_fd(int fd, const struct address *to, const struct address *from)
{
    socket_tune(fd);
    if (from != NULL && from->len > 0) {
        if (address_is_ip(from) && address_port(from) == 0) {
            set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        }
        if (bind(fd, &from->any, from->len) != 0) {
            return -errno;
        }
    }
    if (connect(fd, &to->any, to->len) != 0 && errno != EINPROGRESS && errno != EINTR) {
        return -errno;
    }
    return 0;
}

int socket_connect(struct loop *loop, const struct address *to, const struct address *from,
                   struct stream **ret_stream)
{
    if (socket_count() >= atomic_load_explicit(&connect_most, memory_order_relaxed)) {
        return -EMFILE;
    }
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int error = connect_fd(fd, to, from);
    if (error != 0) {
        close(fd);
        return error;
    }
    struct stream *stream;
    error = socket_adopt(loop, fd, &stream);
    if (error != 0) {
        return error;
    }
    stream_want(stream, STREAM_WRITE);
    *ret_stream = stream;
    return 0;
}

int socket_connected(struct stream *stream)
{
    int fd = stream_fd(stream);
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return -errno;
    }
    if (error != 0) {
        return -error;
    }
    struct address peer;
    peer.len = sizeof peer - offsetof(struct address, any);
    if (getpeername(fd, &peer.any, &peer.len) != 0) {
        return errno == ENOTCONN ? -EINPROGRESS : -errno;
    }
    return 0;
}

/* --- a stream's operations ----------------------------------------------------------------------
 */

static ssize_t socket_read(struct stream *stream, void *buf, size_t cap)
{
    struct watch *watch = &socket_of(stream)->watch;
    if (watch->has_arrived) {
        return loop_arrival_read(watch, buf, cap);
    }
    ssize_t got = fd_receive(watch->fd, buf, cap);
    watch->is_full = got == (ssize_t)cap;
    if (watch->is_bulk && got < (ssize_t)ARRIVAL_BYTES) {
        watch->is_bulk = false;
    }
    return got;
}

static ssize_t send_parts(int fd, const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* One part goes by send(), which spares the kernel the copying of a message header. */
static ssize_t socket_writev(struct stream *stream, const struct iovec *parts, int count)
{
    int fd = socket_of(stream)->watch.fd;
    ssize_t sent;
    do {
        sent = count == 1 ? fd_send(fd, parts[0].iov_base, parts[0].iov_len)
                          : send_parts(fd, parts, count);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

static void socket_want(struct stream *stream, unsigned events)
{
    watch_want(&socket_of(stream)->watch, events);
}

static int socket_shutdown(struct stream *stream)
{
    return shutdown(socket_of(stream)->watch.fd, SHUT_WR) == 0 ? 0 : -errno;
}

static void on_gone(struct watch *watch)
{
    loop_cell_give(watch->loop, container_of(watch, struct socket, watch));
}

static void socket_close(struct stream *stream)
{
    close(socket_detach(stream));
}

static int socket_fd(const struct stream *stream)
{
    return socket_of(stream)->watch.fd;
}

static const struct stream_ops socket_ops = {
    .read = socket_read,
    .writev = socket_writev,
    .want = socket_want,
    .shutdown = socket_shutdown,
    .close = socket_close,
    .fd = socket_fd,
};

/* --- what only a socket can do ------------------------------------------------------------------
 */

bool stream_is_socket(const struct stream *stream)
{
    return stream->ops == &socket_ops;
}

void socket_read_ahead(struct stream *stream)
{
    if (stream_is_socket(stream)) {
        socket_of(stream)->watch.is_eager = true;
    }
}

bool socket_has_arrived(const struct stream *stream)
{
    return stream_is_socket(stream) && socket_of(stream)->watch.has_arrived;
}

int socket_detach(struct stream *take_socket)
{
    struct socket *socket = socket_of(take_socket);
    int fd = socket->watch.fd;
    atomic_fetch_sub_explicit(&sockets, 1, memory_order_relaxed);
    watch_close(&socket->watch, on_gone);
    return fd;
}

static int name_of(int fd, int (*ask)(int fd, struct sockaddr *name, socklen_t *len),
                   struct address *ret)
{
    struct address address = {.len = sizeof address - offsetof(struct address, any)};
    if (ask(fd, &address.any, &address.len) != 0) {
        return -errno;
    }
    *ret = address;
    return 0;
}

int socket_peer(const struct stream *socket, struct address *ret)
{
    return name_of(stream_fd(socket), getpeername, ret);
}

int socket_local(const struct stream *socket, struct address *ret)
{
    return name_of(stream_fd(socket), getsockname, ret);
}

bool socket_is_dirty(const struct stream *socket)
{
    if (socket_has_arrived(socket)) {
        return true;
    }
    char byte;
    ssize_t got = recv(stream_fd(socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EINTR);
}

bool socket_holds_more(const struct stream *stream)
{
    return stream_is_socket(stream) && socket_of(stream)->watch.is_full && socket_is_dirty(stream);
}

ssize_t socket_peek(const struct stream *socket, void *buf, size_t cap)
{
    const struct watch *watch = &socket_of(socket)->watch;
    if (watch->has_arrived) {
        return loop_arrival_peek(watch, buf, cap);
    }
    ssize_t got;
    do {
        got = recv(stream_fd(socket), buf, cap, MSG_PEEK | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? got : -errno;
}

void socket_await(const struct stream *socket, uint32_t bytes)
{
    int least = (int)bytes;
    setsockopt(stream_fd(socket), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

void socket_linger_none(struct stream *socket)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(stream_fd(socket), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
