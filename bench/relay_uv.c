/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_uv.c - the same relay as relay_epoll.c on libuv: what the event loop itself costs.
 *
 *     relay_uv LISTEN UPSTREAM      ports on 127.0.0.1
 *
 * One read buffer for the loop, one uv_try_write per direction; only a write that the kernel does
 * not take whole is copied and queued, and its source is not read meanwhile.
 */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BUFFER_BYTES 65536

struct side {
    uv_tcp_t tcp;
    struct side *peer;
};

struct pair {
    struct side client, upstream;
    int open; /* handles that are not closed yet */
};

struct rest {
    uv_write_t request;
    struct side *from;
    char bytes[];
};

static char buffer[BUFFER_BYTES];
static uint16_t upstream_port;

static void on_client(uv_stream_t *listener, int status);
static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes);
static void on_rest(uv_write_t *request, int status);
static void pair_close(struct side *side);

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    if (argc != 3) {
        errno = EINVAL;
        net_die("usage: relay_uv LISTEN UPSTREAM");
    }
    net_raise_limits();
    upstream_port = net_port_of(argv[2]);
    uv_tcp_init(loop, &listener);
    uv_tcp_open(&listener, net_listen(net_port_of(argv[1])));
    if (uv_listen((uv_stream_t *)&listener, 4096, on_client) < 0)
        net_die("uv_listen");
    return uv_run(loop, UV_RUN_DEFAULT);
}

static void on_client(uv_stream_t *listener, int status)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair || status < 0)
        net_die("accept");
    pair->client.peer = &pair->upstream;
    pair->upstream.peer = &pair->client;
    uv_tcp_init(listener->loop, &pair->client.tcp);
    uv_tcp_init(listener->loop, &pair->upstream.tcp);
    pair->open = 2;
    int fd = net_connect(upstream_port);
    if (uv_accept(listener, (uv_stream_t *)&pair->client.tcp) < 0 || fd < 0
        || uv_tcp_open(&pair->upstream.tcp, fd) < 0) {
        pair_close(&pair->client);
        return;
    }
    uv_tcp_nodelay(&pair->client.tcp, 1);
    uv_read_start((uv_stream_t *)&pair->client.tcp, on_room, on_read);
    uv_read_start((uv_stream_t *)&pair->upstream.tcp, on_room, on_read);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    (void)handle, (void)wanted;
    *ret = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes)
{
    struct side *side = (struct side *)stream;
    if (got <= 0) {
        if (got < 0)
            pair_close(side);
        return;
    }
    uv_stream_t *to = (uv_stream_t *)&side->peer->tcp;
    uv_buf_t whole = uv_buf_init(bytes->base, (unsigned)got);
    int sent = uv_try_write(to, &whole, 1);
    if (sent == got)
        return;
    if (sent < 0 && sent != UV_EAGAIN) {
        pair_close(side);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    size_t left = (size_t)got - (size_t)sent;
    struct rest *rest = malloc(sizeof *rest + left);
    if (!rest)
        net_die("malloc");
    rest->from = side;
    memcpy(rest->bytes, bytes->base + sent, left);
    uv_buf_t part = uv_buf_init(rest->bytes, (unsigned)left);
    uv_read_stop(stream);
    uv_write(&rest->request, to, &part, 1, on_rest);
}

static void on_rest(uv_write_t *request, int status)
{
    struct rest *rest = (struct rest *)request;
    uv_stream_t *from = (uv_stream_t *)&rest->from->tcp;
    if (status == 0 && !uv_is_closing((uv_handle_t *)from))
        uv_read_start(from, on_room, on_read);
    free(rest);
}

static struct pair *pair_of(struct side *side)
{
    return (struct pair *)(side < side->peer ? side : side->peer);
}

static void on_closed(uv_handle_t *handle)
{
    struct pair *pair = pair_of((struct side *)handle);
    if (--pair->open == 0)
        free(pair);
}

static void pair_close(struct side *side)
{
    if (uv_is_closing((uv_handle_t *)&side->tcp))
        return;
    uv_close((uv_handle_t *)&side->tcp, on_closed);
    uv_close((uv_handle_t *)&side->peer->tcp, on_closed);
}
