/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.h - listening sockets, and intakes that empty them on a loop.
 *
 * The descriptor and who accepts from it are two things: descriptors are opened once, outlive
 * reloads and may be shared by loops or come from another process; an intake belongs to a loop
 * and only borrows one.
 *
 * An intake takes at most `per_turn_max` connections a turn, so that a burst of new clients does
 * not starve those being served. When the process is out of descriptors or memory it stops looking
 * for `retry_ms` and then tries again: the backlog waits, nothing spins.
 *
 * One that has to take clients when nobody else can any more keeps descriptors in reserve: where
 * there is none left it closes one of these and tries again, and takes it back when there is.
 */
#pragma once
#include "io/address.h"
#include "io/loop.h"

#define LISTEN_BACKLOG      1024
#define INTAKE_PER_TURN_MAX 64
#define INTAKE_RETRY_MS     100
#define INTAKE_RESERVE_MAX  8

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
/* A socket that listens already is used from now on as if listen_open() had made it. 0 or -errno.
 */
int listen_adopt(int fd, struct address *ret_bound);
/* While it is shared, another socket of the same user that was opened with `reuse_port` may be
 * bound to the same port, at some or all of its addresses. Nothing for a unix socket. */
void listen_share(int fd, bool is_shared);
/* Who connects from now on finds whoever else is bound there, or is refused. Those who wait in the
 * backlog are there still. For ever, and IP only. */
void listen_step_aside(int fd);
/* Any thread: whoever connects from now on is refused, and so is who waits in the backlog. */
void listen_refuse(int fd);
/* Closes it and, of a unix socket, removes the file. */
void listen_close(int take_fd);

struct intake_options {
    int fd; /* borrowed */
    /* A new connection: non-blocking, close-on-exec. May pause or close the intake. */
    void (*on_accept)(void *self, int take_fd, const struct address *peer);
    /* The intake stopped for a while: -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, or paused by a broken
     * socket with another -errno. May be NULL. */
    void (*on_trouble)(void *self, int error);
    void *self;
    uint32_t per_turn_max; /* [INTAKE_PER_TURN_MAX] */
    uint32_t retry_ms;     /* [INTAKE_RETRY_MS] */
    uint32_t reserve;      /* [0] at most INTAKE_RESERVE_MAX */
};

struct intake;
int intake_open(struct loop *loop, const struct intake_options *opt,
                struct intake **ret_intake); /* 0 or -errno; accepts from the next turn on */
void intake_pause(struct intake *intake);    /* the backlog waits */
void intake_resume(struct intake *intake);
void intake_sweep(struct intake *intake); /* accepts all that wait in the backlog, now */
void intake_close(struct intake *intake);
