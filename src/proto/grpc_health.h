/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc_health.h - the messages of grpc.health.v1.Health as a server sees them. Only computes.
 *
 *   service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
 *                    rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse); }
 *   HealthCheckRequest { string service = 1; }    HealthCheckResponse { ServingStatus status = 1; }
 */
#pragma once
#include "proto/grpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_HEALTH_REPLY 7U /* bytes of a reply, its prefix included */

enum grpc_health_method {
    GRPC_HEALTH_NONE,  /* another service's */
    GRPC_HEALTH_OTHER, /* a method that it does not have */
    GRPC_HEALTH_CHECK,
    GRPC_HEALTH_WATCH
};

/* Numbers of the protocol. */
enum grpc_serving { GRPC_SERVING = 1, GRPC_NOT_SERVING = 2, GRPC_SERVICE_UNKNOWN = 3 };

enum grpc_health_method grpc_health_method_of(struct slice path);

/* A whole body: one message, not compressed. ret_service points into it; empty where none is
 * named. False: it is no such request. */
bool grpc_health_read(const void *body, size_t len, struct slice *ret_service);
/* The same of the message alone, without its prefix. */
bool grpc_health_read_message(const void *message, size_t len, struct slice *ret_service);
void grpc_health_write(enum grpc_serving status, uint8_t out[GRPC_HEALTH_REPLY]);
