/* SPDX-License-Identifier: Apache-2.0
 *
 * passage.h - messages between two processes of this machine, each with a descriptor if need be
 * (SCM_RIGHTS), over a pair of sockets that keeps them apart (SOCK_SEQPACKET).
 *
 * Who speaks first waits: passage_wait() blocks until a deadline, for a process that cannot do
 * anything else meanwhile. Later messages come on a loop, passage_listen(). Sending never blocks:
 * what the other one has not taken yet is kept, up to PASSAGE_UNSENT_MAX bytes.
 *
 * Descriptors that are received are close-on-exec. One more than a message may have is closed.
 */
#pragma once
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PASSAGE_MESSAGE_MAX 16384U
#define PASSAGE_UNSENT_MAX  (64U << 20)

struct passage;

/* A pair of sockets, close-on-exec. 0 or -errno. */
int passage_pair(int ret_fds[2]);

/* Takes the socket, which may have come over an exec and goes over none from now on; also where it
 * fails: -ENOTSOCK, -EPROTOTYPE: it is none of a pair; -EPERM: the
 * process at the other end is neither ours nor root's; -ENOMEM. */
int passage_open(int take_fd, struct passage **ret_passage);
void passage_close(struct passage *take_passage); /* NULL is fine; also from one of its calls */

/* Sends a copy of the message, and of the descriptor (-1: none), which stays the caller's. 0, or
 * -errno: -EPIPE, -ECONNRESET: the other one has gone; -ENOBUFS: it does not take what it is sent.
 */
int passage_send(struct passage *passage, const void *bytes, size_t len, int fd);

/* Whether the other one has not taken all that it was sent. */
bool passage_is_behind(const struct passage *passage);

/* One message, waiting for it until `deadline_ms` of the monotonic clock. Its length, 0: the other
 * one has gone; or -errno: -ETIMEDOUT. *ret_fd is -1 where none came. */
ssize_t passage_wait(struct passage *passage, uint64_t deadline_ms, void *ret_bytes, size_t cap,
                     int *ret_fd);

struct passage_ops {
    /* The descriptor is the callee's, -1: none came. May close the passage. */
    void (*message)(void *self, const char *bytes, size_t len, int take_fd);
    /* The other one has gone: nothing comes any more. May close the passage. */
    void (*end)(void *self);
    void *self;
};
/* From now on messages come as callbacks on the loop. */
void passage_listen(struct passage *passage, struct loop *loop, const struct passage_ops *ops);
