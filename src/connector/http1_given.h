/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_given.h - connections whose streams were given away as tunnels (101): what the pool still
 * knows each by, until the tunnel ends or the pool closes it.
 */
#pragma once
#include "base/list.h"
#include "connector/http.h"

#include <stdbool.h>

/* Those of one connector. */
struct http1_givens {
    struct list all;
    weir_pool *pool;
};

/* The pool's connection `id`, known by `from` so far, is that tunnel's now, and so is its place at
 * the gate; its stream is the caller's to hand over. False: no memory, and nothing has changed. */
bool http1_give(struct http1_givens *givens, struct http_link *from, weir_conn id,
                struct http_tunnel *tunnel);
/* Every tunnel is cut, and forgotten; the pool is told nothing. */
void http1_givens_cut(struct http1_givens *givens);
