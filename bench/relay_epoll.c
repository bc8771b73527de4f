/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_epoll.c - the limit: the least a relay on epoll can do, the denominator of every ratio.
 *
 *     relay_epoll LISTEN UPSTREAM      ports on 127.0.0.1
 *
 * It parses nothing and counts nothing. A client's connection gets an upstream connection of its
 * own for life, and what is read on one is written to the other from the one read buffer: per
 * request two receives, two sends, and its share of an epoll_wait. Only a write that the kernel
 * does not take whole is copied; then its source is not read until the rest is gone.
 */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_MAX    256
#define BUFFER_BYTES 65536

struct side {
    struct side *peer;
    char *rest; /* what the kernel did not take yet */
    uint32_t rest_len;
    int fd;
};

/* Two sides live and die together; the dead wait for the end of the batch, which may name them. */
struct pair {
    struct side client, upstream;
    struct pair *next_dead;
    int dead;
};

static int loop;
static struct pair *dead;
static char buffer[BUFFER_BYTES];

static void on_client(int listener, uint16_t upstream);
static void on_readable(struct side *side);
static void on_writable(struct side *side);
static void pair_close(struct side *side);
static void dead_free(void);

int main(int argc, char **argv)
{
    if (argc != 3) {
        errno = EINVAL;
        net_die("usage: relay_epoll LISTEN UPSTREAM");
    }
    net_raise_limits();
    int listener = net_listen(net_port_of(argv[1]));
    uint16_t upstream = net_port_of(argv[2]);
    struct epoll_event events[BATCH_MAX];
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = NULL};
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &on_listen) < 0)
        net_die("epoll");
    for (;;) {
        int n = epoll_wait(loop, events, BATCH_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct side *side = events[i].data.ptr;
            if (!side)
                on_client(listener, upstream);
            else if (events[i].events & EPOLLOUT)
                on_writable(side);
            else
                on_readable(side);
        }
        dead_free();
    }
}

static void watch(struct side *side, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = side};
    if (epoll_ctl(loop, operation, side->fd, &event) < 0)
        net_die("epoll_ctl");
}

static void on_client(int listener, uint16_t upstream)
{
    int fd;
    while ((fd = net_accept(listener)) >= 0) {
        int up = net_connect(upstream);
        struct pair *pair = up < 0 ? NULL : calloc(1, sizeof *pair);
        if (!pair) {
            close(fd);
            if (up >= 0)
                close(up);
            continue;
        }
        pair->client = (struct side){.peer = &pair->upstream, .fd = fd};
        pair->upstream = (struct side){.peer = &pair->client, .fd = up};
        watch(&pair->client, EPOLL_CTL_ADD, EPOLLIN);
        watch(&pair->upstream, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static struct pair *pair_of(struct side *side)
{
    return (struct pair *)(side < side->peer ? side : side->peer);
}

static void on_readable(struct side *side)
{
    struct side *peer = side->peer;
    if (pair_of(side)->dead)
        return;
    ssize_t got = recv(side->fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            pair_close(side);
        return;
    }
    ssize_t sent = send(peer->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent == got)
        return;
    if (sent < 0 && errno != EAGAIN) {
        pair_close(side);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    peer->rest_len = (uint32_t)(got - sent);
    peer->rest = malloc(peer->rest_len);
    if (!peer->rest)
        net_die("malloc");
    memcpy(peer->rest, buffer + sent, peer->rest_len);
    watch(side, EPOLL_CTL_MOD, peer->rest ? 0 : EPOLLIN);
    watch(peer, EPOLL_CTL_MOD, EPOLLOUT);
}

static void on_writable(struct side *side)
{
    if (pair_of(side)->dead)
        return;
    ssize_t sent = send(side->fd, side->rest, side->rest_len, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            pair_close(side);
        return;
    }
    side->rest_len -= (uint32_t)sent;
    if (side->rest_len > 0) {
        memmove(side->rest, side->rest + sent, side->rest_len);
        return;
    }
    free(side->rest);
    side->rest = NULL;
    watch(side, EPOLL_CTL_MOD, EPOLLIN);
    watch(side->peer, EPOLL_CTL_MOD, EPOLLIN);
}

static void pair_close(struct side *side)
{
    struct pair *pair = pair_of(side);
    close(pair->client.fd);
    close(pair->upstream.fd);
    pair->dead = 1;
    pair->next_dead = dead;
    dead = pair;
}

static void dead_free(void)
{
    while (dead) {
        struct pair *pair = dead;
        dead = pair->next_dead;
        free(pair->client.rest);
        free(pair->upstream.rest);
        free(pair);
    }
}
