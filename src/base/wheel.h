/* SPDX-License-Identifier: Apache-2.0
 *
 * wheel.h - coarse deadlines for many connections: a hierarchical timing wheel of four levels of
 * 64 buckets. Used by the loop, where a deadline is pushed back at every read and nearly never
 * fires; the core, which must fire exactly, has heap.h.
 *
 * Always true: a node never fires before its deadline, and at most one tick after it (as long as
 * wheel_run() is called when wheel_next() says). Pushing a deadline back writes one field: the node
 * stays in its bucket and is put into its new one when the old one comes up.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_LEVELS 4U
#define WHEEL_SLOTS  64U
#define WHEEL_NEVER  UINT64_MAX

/* A node of all zeroes is not set. */
struct wheel_node {
    struct wheel_node *next, *prev;
    uint64_t deadline_ms;
    uint32_t bucket; /* level × 64 + slot, or WHEEL_FIRING while its bucket is being run */
};

struct wheel {
    struct wheel_node buckets[WHEEL_LEVELS * WHEEL_SLOTS]; /* heads of rings */
    uint64_t occupied[WHEEL_LEVELS];                       /* a bit per bucket with nodes in it */
    uint64_t tick;                                         /* everything up to here has been run */
    uint32_t tick_ms;
    uint32_t count;
};

typedef void wheel_fn(struct wheel_node *node, void *arg);

/* tick_ms is the precision: 8 suits time-outs of seconds. The wheel must not move in memory while
 * a node is set. */
void wheel_init(struct wheel *wheel, uint32_t tick_ms, uint64_t now_ms);

/* Sets or moves a deadline. */
void wheel_set_slow(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms);

static inline bool wheel_is_set(const struct wheel_node *node)
{
    return node->next != NULL;
}

static inline void wheel_set(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms)
{
    if (wheel_is_set(node) && deadline_ms >= node->deadline_ms) {
        node->deadline_ms = deadline_ms;
        return;
    }
    wheel_set_slow(wheel, node, deadline_ms);
}

/* Clears it, if it is set. */
void wheel_clear(struct wheel *wheel, struct wheel_node *node);

/* Calls fn for every node due at now; each is cleared first, and fn may set and clear any node. */
void wheel_run(struct wheel *wheel, uint64_t now_ms, wheel_fn *fn, void *arg);

/* When to call wheel_run() next: no node fires before it; WHEEL_NEVER when none is set. */
uint64_t wheel_next(const struct wheel *wheel);
