/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc.h - what a relay owes a call of gRPC besides: its deadline, and limits on messages, whose
 * bytes pass unseen but for their lengths.
 */
#pragma once
#include "io/loop.h"
#include "proto/grpc.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc {
    struct grpc_scan up, down; /* messages of the client, and of the upstream */
    struct loop_timer timer;   /* the deadline */
};

/* A call begins: grpc-timeout counts from now, where there is one. `fire` is the timer's. */
void rpc_begin(struct rpc *rpc, struct loop *loop, const struct http_head *head,
               void (*fire)(struct loop_timer *timer, uint64_t now_ms));
void rpc_end(struct rpc *rpc, struct loop *loop);

/* False: a message longer than max begins in there; 0: no limit. */
bool rpc_fits(struct grpc_scan *scan, const void *data, size_t len, uint32_t max);
