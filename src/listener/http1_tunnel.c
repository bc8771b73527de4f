/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that was told 101: of its record the part that is still needed, which the pool knows
 * instead of it. Tunnels last, and there may be as many as there are clients: each takes one of the
 * loop's cells.
 */
#include "core/pool.h"
#include "listener/http1_client.h"

#include <string.h>
#include <sys/socket.h>

struct tunnelled {
    struct guest guest;  /* first */
    struct node on_list; /* listener->tunnels */
    struct http_tunnel *tunnel;
    weir_conn conn;
    uint8_t address[16];
};
_Static_assert(sizeof(struct tunnelled) <= LOOP_CELL_BYTES, "one cell holds it");

static struct tunnelled *tunnelled_at(struct node *node)
{
    return list_entry(node, struct tunnelled, on_list);
}

static void guest_close(struct guest *guest, weir_err why)
{
    struct http_tunnel *tunnel = container_of(guest, struct tunnelled, guest)->tunnel;
    (void)why;
    tunnel->taker->on_cut(tunnel);
}

static void guest_cut(struct guest *guest)
{
    const struct http_tunnel *tunnel = container_of(guest, struct tunnelled, guest)->tunnel;
    if (tunnel->stream != NULL) {
        shutdown(stream_fd(tunnel->stream), SHUT_RDWR); /* its taker sees it */
    }
}

static struct http_tunnel *tunnel_of(const struct guest *guest)
{
    return ((const struct tunnelled *)guest)->tunnel; /* its first member */
}

static int guest_fd_of(const struct guest *guest)
{
    const struct http_tunnel *tunnel = tunnel_of(guest);
    return tunnel != NULL && tunnel->stream != NULL ? stream_fd(tunnel->stream) : -1;
}

static const struct guest_ops guest_ops = {.close = guest_close,
                                           .cut = guest_cut,
                                           .fd = guest_fd_of,
                                           .tunnel = tunnel_of};

static void tunnel_close(struct http_tunnel *tunnel)
{
    struct tunnelled *tunnelled = tunnel->giver;
    struct http1_listener *listener = container_of(tunnelled->on_list.home, struct http1_listener,
                                                   tunnels);
    if (listener->feeding != NULL && listener->feeding->tunnel == tunnel) {
        listener->feeding->tunnel = NULL; /* what came ahead is for nobody */
    }
    weir_release(listener->pool, (weir_lease){tunnel->lease}, WEIR_KEEP);
    weir_conn_down(listener->pool, tunnelled->conn, WEIR_ERETIRED);
    if (tunnel->stream != NULL) {
        stream_close(tunnel->stream);
    }
    http1_leave(listener, tunnelled->address);
    list_remove(&listener->tunnels, &tunnelled->on_list);
    loop_cell_give(listener->loop, tunnelled);
    loop_later(listener->loop, &listener->bury);
}

bool client_tunnel(struct client *client, struct http_tunnel *tunnel)
{
    struct http1_listener *listener = client->home;
    struct tunnelled *tunnelled = loop_cell_take(listener->loop);
    if (tunnelled == NULL) {
        return false;
    }
    *tunnelled =
        (struct tunnelled){.guest.ops = &guest_ops, .tunnel = tunnel, .conn = client->conn};
    memcpy(tunnelled->address, client->address, sizeof tunnelled->address);
    list_push_back(&listener->tunnels, &tunnelled->on_list);
    pool_conn_moved(listener->pool, tunnelled->conn, tunnelled);
    tunnel->stream = client->stream;
    tunnel->close = tunnel_close;
    tunnel->giver = tunnelled;
    tunnel->lease = client_spend(client, tunnel);
    return true;
}

void http1_tunnels_drain(struct http1_listener *listener)
{
    weir_list_each_safe(node, &listener->tunnels) {
        struct http_tunnel *tunnel = tunnelled_at(node)->tunnel;
        if (tunnel->taker->on_drain != NULL) {
            tunnel->taker->on_drain(tunnel);
        }
    }
}

void http1_tunnels_cut(struct http1_listener *listener)
{
    while (!list_is_empty(&listener->tunnels)) {
        struct http_tunnel *tunnel = tunnelled_at(list_first(&listener->tunnels))->tunnel;
        tunnel->taker->on_cut(tunnel);
    }
}
