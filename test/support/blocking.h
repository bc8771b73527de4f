/* SPDX-License-Identifier: Apache-2.0
 *
 * blocking.h - for tests of what runs on threads of its own: waits with a deadline for what they
 * make true, and blocking sockets that speak to a server on the loopback.
 */
#pragma once
#include "support/await.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define DEADLINE_MS 20000

#define until(condition) await_true(condition, DEADLINE_MS, poll(NULL, 0, 1))

/* A connection whose reads end at the deadline. */
static inline int join_port(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static inline bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) <= 0;
}
