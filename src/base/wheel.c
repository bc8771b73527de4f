/* SPDX-License-Identifier: Apache-2.0
 *
 * A bucket of level L covers 64^L ticks. A node lies at the lowest level at which its tick is 1 to
 * 64 buckets ahead, so a bucket's number alone says how far ahead it is. When time reaches the
 * first tick of a bucket, its nodes are due or go to a lower level. Time jumps from occupied bucket
 * to occupied bucket: a long sleep costs nothing.
 */
#include "base/wheel.h"

#include "base/check.h"

#define SLOT_BITS    6U
#define WHEEL_FIRING (WHEEL_LEVELS * WHEEL_SLOTS)

static void ring_init_head(struct wheel_node *head)
{
    head->next = head->prev = head;
}

void wheel_init(struct wheel *wheel, uint32_t tick_ms, uint64_t now_ms)
{
    check(tick_ms > 0);
    wheel->tick = now_ms / tick_ms;
    wheel->tick_ms = tick_ms;
    wheel->count = 0;
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
    }
    for (uint32_t i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) {
        ring_init_head(&wheel->buckets[i]);
    }
}

static void ring_push(struct wheel_node *head, struct wheel_node *node)
{
    node->next = head;
    node->prev = head->prev;
    node->prev->next = node;
    head->prev = node;
}

static void unlink_node(struct wheel *wheel, struct wheel_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    if (node->bucket != WHEEL_FIRING) {
        const struct wheel_node *head = &wheel->buckets[node->bucket];
        if (head->next == head) {
            wheel->occupied[node->bucket / WHEEL_SLOTS] &= ~((uint64_t)1
                                                             << node->bucket % WHEEL_SLOTS);
        }
    }
    node->next = node->prev = NULL;
}

/* The first tick at which the deadline has passed. */
static uint64_t tick_of(const struct wheel *wheel, uint64_t deadline_ms)
{
    return deadline_ms / wheel->tick_ms + (deadline_ms % wheel->tick_ms != 0);
}

static void link_node(struct wheel *wheel, struct wheel_node *node)
{
    uint64_t due = tick_of(wheel, node->deadline_ms);
    if (due <= wheel->tick) {
        due = wheel->tick + 1;
    }
    uint32_t level = 0;
    uint64_t ahead = due - wheel->tick;
    while (ahead > WHEEL_SLOTS && level + 1 < WHEEL_LEVELS) {
        level++;
        ahead = (due >> level * SLOT_BITS) - (wheel->tick >> level * SLOT_BITS);
    }
    if (ahead > WHEEL_SLOTS) { /* beyond the horizon: looked at again when it comes up */
        ahead = WHEEL_SLOTS;
    }
    uint32_t slot = (uint32_t)((wheel->tick >> level * SLOT_BITS) + ahead) % WHEEL_SLOTS;
    node->bucket = level * WHEEL_SLOTS + slot;
    ring_push(&wheel->buckets[node->bucket], node);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

void wheel_set_slow(struct wheel *wheel, struct wheel_node *node, uint64_t deadline_ms)
{
    if (wheel_is_set(node)) {
        unlink_node(wheel, node);
    } else {
        wheel->count++;
    }
    node->deadline_ms = deadline_ms;
    link_node(wheel, node);
}

void wheel_clear(struct wheel *wheel, struct wheel_node *node)
{
    if (wheel_is_set(node)) {
        unlink_node(wheel, node);
        wheel->count--;
    }
}

/* The first tick of the next occupied bucket of a level. */
static uint64_t next_of_level(const struct wheel *wheel, uint32_t level)
{
    uint64_t bits = wheel->occupied[level];
    if (bits == 0) {
        return WHEEL_NEVER;
    }
    uint64_t here = wheel->tick >> level * SLOT_BITS;
    uint32_t from = (uint32_t)(here + 1) % WHEEL_SLOTS;
    uint64_t turned = from == 0 ? bits : bits >> from | bits << (WHEEL_SLOTS - from);
    uint64_t ahead = (uint64_t)__builtin_ctzll(turned) + 1;
    return (here + ahead) << level * SLOT_BITS;
}

static uint64_t next_tick(const struct wheel *wheel)
{
    uint64_t next = WHEEL_NEVER;
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t at = next_of_level(wheel, level);
        next = at < next ? at : next;
    }
    return next;
}

uint64_t wheel_next(const struct wheel *wheel)
{
    uint64_t next = next_tick(wheel);
    return next == WHEEL_NEVER ? WHEEL_NEVER : next * wheel->tick_ms;
}

/* Moves the nodes of every bucket that begins at the present tick onto one ring. */
static void gather(struct wheel *wheel, struct wheel_node *firing)
{
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->tick & (((uint64_t)1 << level * SLOT_BITS) - 1)) {
            break;
        }
        uint32_t slot = (uint32_t)(wheel->tick >> level * SLOT_BITS) % WHEEL_SLOTS;
        struct wheel_node *head = &wheel->buckets[level * WHEEL_SLOTS + slot];
        while (head->next != head) {
            struct wheel_node *node = head->next;
            unlink_node(wheel, node);
            node->bucket = WHEEL_FIRING;
            ring_push(firing, node);
        }
    }
}

static void run_tick(struct wheel *wheel, wheel_fn *fn, void *arg)
{
    struct wheel_node firing;
    ring_init_head(&firing);
    gather(wheel, &firing);
    while (firing.next != &firing) {
        struct wheel_node *node = firing.next;
        unlink_node(wheel, node);
        if (tick_of(wheel, node->deadline_ms) > wheel->tick) {
            link_node(wheel, node);
            continue;
        }
        wheel->count--;
        fn(node, arg);
    }
}

void wheel_run(struct wheel *wheel, uint64_t now_ms, wheel_fn *fn, void *arg)
{
    uint64_t now = now_ms / wheel->tick_ms;
    for (;;) {
        uint64_t next = next_tick(wheel);
        if (next > now) {
            break;
        }
        wheel->tick = next;
        run_tick(wheel, fn, arg);
    }
    wheel->tick = now > wheel->tick ? now : wheel->tick;
}
