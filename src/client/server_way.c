/* SPDX-License-Identifier: Apache-2.0
 *
 * The way (way.h) of an exchange that an extended CONNECT has begun: its answer's body.
 */
#include "client/server.h"
#include "client/way.h"

#include <errno.h>

struct server_way {
    struct way way; /* first */
    struct stall *stall;
    struct http_exchange *ex; /* until the way is over */
    struct http_tunnel *tunnel;
    struct node on_stall;
    bool is_cut; /* its end must not look like one */
};

static struct server_way *at(struct way *way)
{
    return container_of(way, struct server_way, way);
}

/* --- as the way asks ----------------------------------------------------------------------------
 */

static void put(struct way *way, const void *data, size_t len)
{
    struct http_exchange *ex = at(way)->ex;
    ex->ops->body(ex, data, len);
}

static bool flush(struct way *way)
{
    struct http_exchange *ex = at(way)->ex;
    return ex->ops->flush(ex);
}

static void pause(struct way *way, bool paused)
{
    struct http_exchange *ex = at(way)->ex;
    ex->ops->pause(ex, paused);
}

/* The answer ends, and with it the exchange. */
static bool end(struct way *way)
{
    struct http_exchange *ex = at(way)->ex;
    ex->user = NULL;
    if (at(way)->is_cut) {
        ex->ops->abort(ex);
    } else {
        ex->ops->end(ex, NULL);
        ex->ops->flush(ex);
    }
    return true;
}

static void closed(struct way *way)
{
    struct server_way *own = at(way);
    if (!way->is_over) {
        way->is_over = end(way);
    }
    list_remove(&own->stall->ways, &own->on_stall);
    way_fini(way);
    alloc_free(own->stall->server->alloc, own);
}

static const struct way_ops ops = {
    .body = put,
    .flush = flush,
    .pause = pause,
    .end = end,
    .closed = closed,
};

/* --- from the listener --------------------------------------------------------------------------
 */

static void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct server_way *own = ex->user;
    if (own != NULL) {
        way_hear(&own->way, data, len);
    }
}

static void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct server_way *own = ex->user;
    (void)trailers;
    if (own != NULL) {
        way_ended(&own->way);
    }
}

static void on_flush(struct http_exchange *ex)
{
    (void)ex;
}

static void on_drain(struct http_exchange *ex)
{
    struct server_way *own = ex->user;
    if (own != NULL) {
        way_drained(&own->way);
    }
}

static void on_abort(struct http_exchange *ex, enum http_fault why)
{
    struct server_way *own = ex->user;
    (void)why;
    if (own != NULL) {
        way_broken(&own->way, -ECONNRESET);
    }
}

static const struct http_handler way_handler = {
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};

/* --- opening, draining --------------------------------------------------------------------------
 */

/* The stream is closed already, and there is nothing else. */
static void tunnel_close(struct http_tunnel *tunnel)
{
    tunnel->stream = NULL;
}

int server_way_open(weir_exchange *ex, const struct http_head *answer, struct http_tunnel *tunnel)
{
    struct stall *stall = ex->stall;
    struct http_exchange *under = ex->ex;
    struct server_way *own = alloc_zeroed(stall->server->alloc, sizeof *own);
    if (own == NULL) {
        return -ENOMEM;
    }
    *own = (struct server_way){.stall = stall, .ex = under, .tunnel = tunnel};
    way_init(&own->way, &ops, stall->loop, stall->server->alloc);
    list_push_back(&stall->ways, &own->on_stall);
    server_exchange_became(ex);
    under->handler = &way_handler;
    under->user = own;
    under->ops->untime(under);
    under->ops->respond(under, answer);
    own->way.is_blocked = under->ops->flush(under);
    tunnel->stream = &own->way.stream;
    tunnel->close = tunnel_close;
    tunnel->giver = own;
    return 0;
}

void server_ways_drain(struct stall *stall)
{
    weir_list_each_safe(it, &stall->ways) {
        struct http_tunnel *tunnel = list_entry(it, struct server_way, on_stall)->tunnel;
        if (tunnel->taker->on_drain != NULL) {
            tunnel->taker->on_drain(tunnel);
        }
    }
}

void server_ways_cut(struct stall *stall)
{
    while (!list_is_empty(&stall->ways)) {
        struct server_way *own = list_entry(list_first(&stall->ways), struct server_way, on_stall);
        own->is_cut = true;
        own->tunnel->taker->on_cut(own->tunnel);
    }
}
