/* SPDX-License-Identifier: Apache-2.0 */
#include "io/arrival.h"

#include "base/check.h"
#include "io/receive.h"
#include "io/watch.h"

#include <string.h>

/* Out of the group; its bytes follow. */
struct leftover {
    struct node node; /* on arrivals->left */
    struct arrival arrival;
    char bytes[];
};

static struct arrival *arrival_of(const struct arrivals *arrivals, const struct watch *watch);
static void leave(struct arrivals *arrivals, struct arrival *arrival);
static void over(struct arrivals *arrivals, struct arrival *arrival);

void arrivals_init(struct arrivals *arrivals, const struct alloc *alloc)
{
    *arrivals = (struct arrivals){.alloc = alloc};
    list_init(&arrivals->left);
}

void arrivals_fini(const struct arrivals *arrivals)
{
    check(arrivals->left.count == 0 && arrivals->count == 0);
}

size_t arrivals_receive(struct arrivals *arrivals, struct watch *watch, int event, char *room)
{
    check(arrivals->count < ARRIVALS_MAX && !watch->has_arrived);
    ssize_t got = fd_receive(watch->fd, room, ARRIVAL_BYTES);
    if (got == -EAGAIN) {
        return 0;
    }
    arrivals->group[arrivals->count++] = (struct arrival){watch, room, got, event};
    watch->has_arrived = true;
    watch->is_full = watch->is_bulk = got == (ssize_t)ARRIVAL_BYTES;
    return got > 0 ? (size_t)got : 0;
}

void arrivals_settle(struct arrivals *arrivals)
{
    for (unsigned i = 0; i < arrivals->count; i++) {
        if (arrivals->group[i].watch != NULL) {
            leave(arrivals, &arrivals->group[i]);
        }
    }
    arrivals->count = 0;
}

ssize_t arrivals_read(struct arrivals *arrivals, struct watch *watch, void *buf, size_t cap)
{
    struct arrival *arrival = arrival_of(arrivals, watch);
    if (arrival == NULL) {
        return -ENOMEM;
    }
    ssize_t got = arrival->got;
    if (got > 0) {
        got = (size_t)got < cap ? got : (ssize_t)cap;
        if (buf != arrival->at) {
            memcpy(buf, arrival->at, (size_t)got);
        }
        arrival->at += got;
        arrival->got -= got;
    }
    if (arrival->got <= 0) {
        over(arrivals, arrival);
    }
    return got;
}

ssize_t arrivals_peek(const struct arrivals *arrivals, const struct watch *watch, void *buf,
                      size_t cap)
{
    const struct arrival *arrival = arrival_of(arrivals, watch);
    if (arrival == NULL) {
        return -ENOMEM;
    }
    if (arrival->got <= 0) {
        return arrival->got;
    }
    size_t there = (size_t)arrival->got < cap ? (size_t)arrival->got : cap;
    memcpy(buf, arrival->at, there);
    return (ssize_t)there;
}

void arrivals_drop(struct arrivals *arrivals, struct watch *watch)
{
    struct arrival *arrival = arrival_of(arrivals, watch);
    if (arrival != NULL) {
        over(arrivals, arrival);
    }
}

bool arrivals_are_wanted(const struct arrivals *arrivals)
{
    weir_list_each(node, &arrivals->left) {
        const struct leftover *leftover = list_entry(node, struct leftover, node);
        if ((leftover->arrival.watch->wants & STREAM_READ) != 0) {
            return true;
        }
    }
    return false;
}

/* Those who are told may close any of the others. They read to a buffer: what they read is theirs
 * until the next read, and a leftover is not there as long. */
void arrivals_tell(struct arrivals *arrivals)
{
    for (uint32_t rest = arrivals->left.count; rest > 0 && arrivals->left.count > 0; rest--) {
        struct node *node = list_pop_front(&arrivals->left);
        struct leftover *leftover = list_entry(node, struct leftover, node);
        struct watch *watch = leftover->arrival.watch;
        list_push_back(&arrivals->left, node);
        if ((watch->wants & STREAM_READ) != 0) {
            watch->on_ready(watch, STREAM_READ);
        }
    }
}

static bool is_in_group(const struct arrivals *arrivals, const struct arrival *arrival)
{
    uintptr_t at = (uintptr_t)arrival;
    return at >= (uintptr_t)arrivals->group && at < (uintptr_t)(arrivals->group + ARRIVALS_MAX);
}

/* NULL: there was no memory for it. */
static struct arrival *arrival_of(const struct arrivals *arrivals, const struct watch *watch)
{
    if (arrivals->at_hand != NULL && arrivals->at_hand->watch == watch) {
        return arrivals->at_hand;
    }
    for (unsigned i = 0; i < arrivals->count; i++) {
        if (arrivals->group[i].watch == watch) {
            return (struct arrival *)(uintptr_t)&arrivals->group[i];
        }
    }
    weir_list_each(node, &arrivals->left) {
        struct leftover *leftover = list_entry(node, struct leftover, node);
        if (leftover->arrival.watch == watch) {
            return &leftover->arrival;
        }
    }
    return NULL;
}

/* Read whole, or of no use any more. */
static void over(struct arrivals *arrivals, struct arrival *arrival)
{
    arrival->watch->has_arrived = false;
    arrival->watch = NULL;
    if (arrivals->at_hand == arrival) {
        arrivals->at_hand = NULL;
    }
    if (!is_in_group(arrivals, arrival)) {
        struct leftover *leftover = container_of(arrival, struct leftover, arrival);
        list_remove(&arrivals->left, &leftover->node);
        alloc_free(arrivals->alloc, leftover);
    }
}

/* An end shows again by itself. Where there is no memory the connection ends, and whoever reads
 * learns why. */
static void leave(struct arrivals *arrivals, struct arrival *arrival)
{
    if (arrival->got == 0) {
        over(arrivals, arrival);
        return;
    }
    size_t len = arrival->got > 0 ? (size_t)arrival->got : 0;
    struct leftover *leftover = alloc_new(arrivals->alloc, sizeof *leftover + len);
    if (leftover == NULL) {
        shutdown(arrival->watch->fd, SHUT_RDWR);
        return;
    }
    leftover->node = (struct node){0};
    leftover->arrival = (struct arrival){arrival->watch, leftover->bytes, arrival->got, 0};
    memcpy(leftover->bytes, arrival->at, len);
    list_push_back(&arrivals->left, &leftover->node);
}
