/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_visitors.h - those who ask the demo's gateway for something all the time, so that there is
 * something to see: pages, slow answers, conversations, two event streams; and, for
 * DEMO_RUSH_S of each DEMO_ROUND_S seconds, more slow answers than there is room for, so that
 * requests fail and alerts fire and clear again.
 */
#pragma once
#include "io/loop.h"

#include <stdint.h>

#define DEMO_VISITS_MAX 1000U /* a second */
#define DEMO_CALM_S     20U   /* before the first rush */
#define DEMO_ROUND_S    90U
#define DEMO_RUSH_S     15U

struct demo_visitors;

/* Ask 127.0.0.1:port, `per_s` times a second outside of the rush; 0 of them is nobody. 0 or
 * -errno. */
int demo_visitors_open(struct loop *loop, uint16_t port, uint32_t per_s,
                       struct demo_visitors **ret_visitors);
void demo_visitors_close(struct demo_visitors *take_visitors); /* NULL is fine */
