/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_io.c - the bare relay of relay_epoll.c on weir's own io/: what our loop and streams cost,
 * before anything is parsed.
 *
 *     relay_io LISTEN UPSTREAM      ports on 127.0.0.1
 */
#include "io/listen.h"
#include "io/socket.h"
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct side {
    struct side *peer;
    struct stream *stream;
    char *rest; /* what the kernel did not take yet */
    size_t rest_len;
};

struct pair {
    struct side client, upstream;
};

static struct loop *loop;
static struct address upstream;

static void on_accept(void *self, int take_fd, const struct address *peer);
static void on_ready(struct stream *stream, unsigned events);

int main(int argc, char **argv)
{
    struct address any;
    struct listen_options wide = {.backlog = 4096};
    struct intake_options opt = {.on_accept = on_accept};
    struct intake *intake;
    if (argc != 3) {
        errno = EINVAL;
        net_die("usage: relay_io LISTEN UPSTREAM");
    }
    net_raise_limits();
    address_of_host("127.0.0.1", net_port_of(argv[1]), &any);
    address_of_host("127.0.0.1", net_port_of(argv[2]), &upstream);
    if (loop_new(NULL, &loop) != 0 || listen_open(&any, &wide, &opt.fd, &any) != 0
        || intake_open(loop, &opt, &intake) != 0) {
        net_die("listen");
    }
    printf("port %u\n", (unsigned)address_port(&any));
    fflush(stdout);
    return loop_run(loop);
}

static void side_init(struct side *side, struct side *peer, struct stream *stream)
{
    *side = (struct side){.peer = peer, .stream = stream};
    stream->owner = side;
    stream->on_ready = on_ready;
    stream_want(stream, STREAM_READ);
}

static void on_accept(void *self, int take_fd, const struct address *peer)
{
    struct stream *client, *up;
    (void)self;
    (void)peer;
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL || socket_adopt(loop, take_fd, &client) != 0) {
        net_die("accept");
    }
    if (socket_connect(loop, &upstream, NULL, &up) != 0) {
        stream_close(client);
        free(pair);
        return;
    }
    side_init(&pair->client, &pair->upstream, client);
    side_init(&pair->upstream, &pair->client, up);
}

static void pair_close(struct side *side)
{
    struct pair *pair = (struct pair *)(side < side->peer ? side : side->peer);
    stream_close(pair->client.stream);
    stream_close(pair->upstream.stream);
    free(pair->client.rest);
    free(pair->upstream.rest);
    free(pair);
}

static void on_writable(struct side *side)
{
    struct iovec part = {.iov_base = side->rest, .iov_len = side->rest_len};
    ssize_t sent = stream_writev(side->stream, &part, 1);
    if (sent < 0) {
        if (sent != -EAGAIN) {
            pair_close(side);
        }
        return;
    }
    side->rest_len -= (size_t)sent;
    if (side->rest_len > 0) {
        memmove(side->rest, side->rest + sent, side->rest_len);
        return;
    }
    free(side->rest);
    side->rest = NULL;
    stream_want(side->stream, STREAM_READ);
    stream_want(side->peer->stream, STREAM_READ);
}

static void keep_rest(struct side *side, const char *data, size_t len)
{
    side->rest = malloc(len);
    if (side->rest == NULL) {
        net_die("malloc");
    }
    memcpy(side->rest, data, len);
    side->rest_len = len;
    stream_want(side->stream, STREAM_WRITE);
    stream_want(side->peer->stream, 0);
}

static void on_ready(struct stream *stream, unsigned events)
{
    struct side *side = stream->owner;
    size_t cap;
    char *buffer = loop_buffer(loop, &cap);
    if (side->rest != NULL) {
        on_writable(side);
        return;
    }
    (void)events;
    ssize_t got = stream_read(stream, buffer, cap);
    if (got <= 0) {
        if (got != -EAGAIN) {
            pair_close(side);
        }
        return;
    }
    struct iovec part = {.iov_base = buffer, .iov_len = (size_t)got};
    ssize_t sent = stream_writev(side->peer->stream, &part, 1);
    if (sent == got) {
        return;
    }
    if (sent < 0 && sent != -EAGAIN) {
        pair_close(side);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    keep_rest(side->peer, buffer + sent, (size_t)(got - sent));
}
