/* SPDX-License-Identifier: Apache-2.0
 *
 * arrival.h - what was received ahead of being asked for. For io/ alone.
 *
 * The loop receives for some of the sockets that are ready one after the other, then tells their
 * owners one after the other: so each code finds itself in the caches. What came lies in the loop's
 * read buffer until all of them were told; a read takes it from there, and copies nothing where it
 * reads to that very place (loop_inbox()).
 *
 * Whoever does not read all of it when told, for he was paused by an earlier one, say, finds the
 * rest later: it is left in memory of its own, and the watch is told of it again as long as it
 * wants to read, as the kernel would. Always true: what has arrived is read before what has not.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct watch;

#define ARRIVALS_MAX  32U
/* What fills it is long: the next of that watch is received when its owner asks for it. Many long
 * ones ahead would drive each other out of the cache. */
#define ARRIVAL_BYTES ((size_t)4 * 1024)

struct arrival {
    struct watch *watch; /* NULL: read whole, or closed */
    char *at;
    ssize_t got; /* > 0 bytes; 0: the end; else -errno */
    int event;   /* of the loop's batch */
};

struct arrivals {
    struct arrival group[ARRIVALS_MAX];
    unsigned count;
    struct arrival *at_hand; /* in the group, of the watch that is being told; or NULL */
    struct list left;        /* in memory of their own */
    const struct alloc *alloc;
};

void arrivals_init(struct arrivals *arrivals, const struct alloc *alloc);
void arrivals_fini(const struct arrivals *arrivals); /* the watches are gone */

/* Receives for a watch that is ready, into `room`, of ARRIVAL_BYTES at least; the group has a place
 * still. Returns how many bytes of it are in use. */
size_t arrivals_receive(struct arrivals *arrivals, struct watch *watch, int event, char *room);

/* All of the group were told: what is left of it moves out of the loop's buffer. */
void arrivals_settle(struct arrivals *arrivals);

/* As of read(); the watch has an arrival. */
ssize_t arrivals_read(struct arrivals *arrivals, struct watch *watch, void *buf, size_t cap);
ssize_t arrivals_peek(const struct arrivals *arrivals, const struct watch *watch, void *buf,
                      size_t cap);
void arrivals_drop(struct arrivals *arrivals, struct watch *watch);

/* Whether something that was left is wanted now. */
bool arrivals_are_wanted(const struct arrivals *arrivals);
/* Tells those of whom that is true. */
void arrivals_tell(struct arrivals *arrivals);
