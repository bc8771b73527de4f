/* SPDX-License-Identifier: Apache-2.0
 *
 * receive.h - recv() and send() as they are, for io/ alone.
 *
 * glibc's are points where a thread may be cancelled: in a program of several threads that is four
 * locked instructions for each request and reply, and nobody is cancelled here. Sanitizers want to
 * see the functions.
 */
#pragma once
#include "base/sanitized.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Bytes; 0: the end; -errno, but never -EINTR. */
static inline ssize_t fd_receive(int fd, void *buf, size_t cap)
{
    ssize_t got;
    do {
#if defined(BASE_SANITIZED) || !defined(SYS_recvfrom)
        got = recv(fd, buf, cap, 0);
#else
        got = syscall(SYS_recvfrom, fd, buf, cap, 0, NULL, NULL);
#endif
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? got : -errno;
}

/* As send(). */
static inline ssize_t fd_send(int fd, const void *data, size_t len)
{
#if defined(BASE_SANITIZED) || !defined(SYS_sendto)
    return send(fd, data, len, MSG_NOSIGNAL);
#else
    return syscall(SYS_sendto, fd, data, len, MSG_NOSIGNAL, NULL, NULL);
#endif
}
