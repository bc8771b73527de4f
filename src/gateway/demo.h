/* SPDX-License-Identifier: Apache-2.0
 *
 * demo.h - upstreams to try a gateway with, served by this program itself.
 *
 *     GET /            a few lines of text, with the name of who answered
 *     GET /slow?ms=N   the same after N milliseconds [1000]
 *     GET /events      text/event-stream, an event a second
 *     any /echo        the request's head and body, as they arrived
 *     a WebSocket      every message back, whatever the path
 */
#pragma once
#include "io/loop.h"

#include <stdint.h>

/* Two plain ones, a slow one, one of events, and a plain one that takes DEMO_TIRED_MS for
 * everything; all know every path. */
#define DEMO_HOSTS    5
#define DEMO_TIRED    4
#define DEMO_TIRED_MS 180U

struct demo;

/* On 127.0.0.1, on ports that the kernel chooses. 0 or -errno. */
int demo_open(struct loop *loop, struct demo **ret_demo);
void demo_close(struct demo *take_demo);
uint16_t demo_port(const struct demo *demo, uint32_t host);
