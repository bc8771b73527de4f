/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_websocket.h - a WebSocket that says every message back: one of the answers of the demo's
 * upstreams (demo.h), on the loop of theirs.
 */
#pragma once
#include "io/loop.h"
#include "proto/http.h"

struct demo_websocket;

/* 0 or -errno. */
int demo_websocket_open(struct loop *loop, struct demo_websocket **ret_echoes);
/* No listener has one of its clients any more. NULL is fine. */
void demo_websocket_close(struct demo_websocket *take_echoes);

/* A request that asks for a WebSocket (proto/websocket_open.h), inside on_request: answered in any
 * case. False: it was not taken, and is to be aborted. */
bool demo_websocket_take(struct demo_websocket *echoes, struct http_exchange *exchange,
                         const struct http_head *head);
