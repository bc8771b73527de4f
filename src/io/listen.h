/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.h - listening sockets, and acceptors that empty them on a loop.
 *
 * The descriptor and who accepts from it are two things: descriptors are opened once, outlive
 * reloads and may be shared by loops or come from another process; an acceptor belongs to a loop
 * and only borrows one.
 *
 * An acceptor takes at most `per_turn_max` connections a turn, so that a burst of new clients does
 * not starve those being served. When the process is out of descriptors or memory it stops looking
 * for `retry_ms` and then tries again: the backlog waits, nothing spins.
 */
#pragma once
#include "io/address.h"
#include "io/loop.h"

#define LISTEN_BACKLOG        1024
#define ACCEPTOR_PER_TURN_MAX 64
#define ACCEPTOR_RETRY_MS     100

struct listen_options {
    int backlog;        /* [LISTEN_BACKLOG]; the kernel caps it at net.core.somaxconn */
    bool reuse_port;    /* SO_REUSEPORT: several sockets, one address */
    bool v6_only;       /* of an IPv6 address: no IPv4-mapped clients */
    uint32_t unix_mode; /* permissions of a unix socket's file [0600] */
};

/* A bound, listening, non-blocking, close-on-exec descriptor; `opt` may be NULL. A unix path that a
 * dead process left behind is replaced, one that is served is -EADDRINUSE. *ret_bound (may be NULL)
 * has the port that the kernel chose where 0 was asked for. 0 or -errno. */
int listen_open(const struct address *address, const struct listen_options *opt, int *ret_fd,
                struct address *ret_bound);
/* Closes it and, of a unix socket, removes the file. */
void listen_close(int take_fd);

struct acceptor_options {
    int fd; /* borrowed */
    /* A new connection: non-blocking, close-on-exec. May pause or close the acceptor. */
    void (*on_accept)(void *self, int take_fd, const struct address *peer);
    /* The acceptor stopped for a while: -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, or paused by a broken
     * socket with another -errno. May be NULL. */
    void (*on_trouble)(void *self, int error);
    void *self;
    uint32_t per_turn_max; /* [ACCEPTOR_PER_TURN_MAX] */
    uint32_t retry_ms;     /* [ACCEPTOR_RETRY_MS] */
};

struct acceptor;
int acceptor_open(struct loop *loop, const struct acceptor_options *opt,
                  struct acceptor **ret_acceptor); /* 0 or -errno; accepts from the next turn on */
void acceptor_pause(struct acceptor *acceptor);    /* the backlog waits */
void acceptor_resume(struct acceptor *acceptor);
void acceptor_close(struct acceptor *acceptor);
