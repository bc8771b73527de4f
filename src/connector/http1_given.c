/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/http1_given.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/pool.h"
#include "io/stream.h"

struct given {
    struct http_link link; /* first */
    struct http1_givens *givens;
    struct node on_list;
    weir_conn id;
    struct http_tunnel *tunnel; /* NULL: it was closed, and waits for the pool to let go of it */
};

static void given_close(struct http_tunnel *tunnel)
{
    ((struct given *)tunnel->giver)->tunnel = NULL;
    if (tunnel->stream != NULL) {
        stream_close(tunnel->stream);
    }
}

static void given_free(struct given *given)
{
    if (given->tunnel != NULL) {
        given->tunnel->taker->on_cut(given->tunnel);
    }
    check(given->tunnel == NULL);
    gate_give(&given->link.place);
    list_leave(&given->on_list);
    alloc_free(&alloc_libc, given);
}

static bool given_reusable(struct http_link *link)
{
    (void)link;
    return false;
}

static void given_closed(struct http_link *link, weir_err why)
{
    struct given *given = container_of(link, struct given, link);
    weir_pool *pool = given->givens->pool;
    weir_conn id = given->id;
    given_free(given);
    weir_conn_down(pool, id, why);
}

static int given_fd(struct http_link *link)
{
    const struct http_tunnel *tunnel = container_of(link, struct given, link)->tunnel;
    return tunnel != NULL && tunnel->stream != NULL ? stream_fd(tunnel->stream) : -1;
}

/* A lease of it is never given again: nobody calls or probes. */
static const struct http_link_ops given_ops = {
    .reusable = given_reusable,
    .close = given_closed,
    .fd = given_fd,
};

bool http1_give(struct http1_givens *givens, struct http_link *from, weir_conn id,
                struct http_tunnel *tunnel)
{
    struct given *given = alloc_zeroed(&alloc_libc, sizeof *given);
    if (given == NULL) {
        return false;
    }
    *given = (struct given){.link = {&given_ops, gate_move(&from->place)},
                            .givens = givens,
                            .id = id,
                            .tunnel = tunnel};
    list_push_back(&givens->all, &given->on_list);
    pool_conn_moved(givens->pool, id, given);
    tunnel->close = given_close;
    tunnel->giver = given;
    return true;
}

void http1_givens_cut(struct http1_givens *givens)
{
    for (struct node *it; (it = list_first(&givens->all)) != NULL;) {
        given_free(list_entry(it, struct given, on_list));
    }
}

struct http_tunnel *http_link_tunnel(void *object)
{
    struct http_link *link = object;
    return link->ops == &given_ops ? container_of(link, struct given, link)->tunnel : NULL;
}
