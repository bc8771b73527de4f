/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_grpc.h - a gRPC server to try a gateway with, served by this program itself. Messages are
 * text as it is.
 *
 *     /demo.Words/Echo    every message back, one or many
 *     /demo.Words/Count   "3": three messages, "3", "2" and "1"
 *     grpc.health.v1      SERVING
 */
#pragma once
#include <stdint.h>

#define DEMO_GRPC_COUNT_MAX 1000000U

struct demo_grpc;

/* On 127.0.0.1, on a port that the kernel chooses, with a thread of its own. 0 or -errno. */
int demo_grpc_open(struct demo_grpc **ret_demo);
void demo_grpc_close(struct demo_grpc *take_demo); /* NULL is fine */
uint16_t demo_grpc_port(const struct demo_grpc *demo);
