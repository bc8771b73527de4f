/* SPDX-License-Identifier: Apache-2.0
 *
 * health_service.h - grpc.health.v1.Health, served for weir itself: services are the upstreams by
 * their names, and "" is the whole.
 *
 * The whole serves until it drains, whatever its upstreams do, as /readyz says. An upstream serves
 * as long as one of its endpoints is good for requests, in the eyes of the worker that is asked.
 *
 * A watcher is told at once, when the status changes (looked at every HEALTH_LOOK_MS), and again
 * after half the listener's idle_timeout, so that its stream is not taken for a dead one. One timer
 * of the worker serves all of them.
 */
#pragma once
#include "base/list.h"
#include "io/loop.h"
#include "proto/grpc_health.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_LOOK_MS 500U

struct upstream;

struct health_service {
    struct loop *loop;
    struct upstream *upstreams;
    uint32_t upstreams_count;
    bool is_draining;
    struct list watches;
    struct loop_timer timer;
};

struct health_watch; /* a call of Watch under way */

void health_service_init(struct health_service *health, struct loop *loop,
                         struct upstream *upstreams, uint32_t count);
void health_service_fini(struct health_service *health); /* no watch is left */

enum grpc_serving health_service_status(const struct health_service *health, struct slice service);

/* Answers Check. The service is known. */
void health_service_check(const struct health_service *health, struct slice service,
                          struct http_exchange *ex);
/* Begins to answer Watch; `service` outlives it. repeat_ms: of silence at most. Returns NULL, and
 * nothing was said, where memory is refused. */
struct health_watch *health_service_watch(struct health_service *health, struct slice service,
                                          uint32_t repeat_ms, struct http_exchange *ex);
void health_watch_end(struct health_service *health, struct health_watch *take_watch);
/* The exchange of the first watch there is, or NULL. */
struct http_exchange *health_service_first(const struct health_service *health);
