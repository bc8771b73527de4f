/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_tail.h - the events as they happen: a stream of text/event-stream for each who follows.
 *
 *     id: START-NUMBER, event: its word, data: its row (admin_events.h)
 *
 * Nothing is kept for who follows but how far it is: a few times a second the workers are asked
 * what they have that is newer, and whoever does not read gets what is still there when it does.
 * What was lost in between is told, as an event `events_lost` with how many they were, and so it is
 * to who comes back with Last-Event-ID. On the hub's thread.
 */
#pragma once
#include "base/list.h"
#include "gateway/census.h"
#include "io/loop.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define TAIL_FOLLOWERS_MAX 32U
#define TAIL_LOOK_MS       250U   /* how often the workers are asked, while somebody follows */
#define TAIL_PING_MS       15000U /* a comment after so long without an event */
#define TAIL_PIECE_BYTES   65536U /* given to a follower before it is asked whether it reads */

struct follower {
    struct node on_tail;
    struct http_exchange *exchange;
    uint64_t last; /* the number of the event that it has */
    uint64_t said_ms;
    bool is_blocked;
    bool was_elsewhere; /* what it has is of another process */
};

struct tail {
    struct server *server;
    struct loop *loop;
    struct loop_timer timer;
    struct list followers;
    struct census *census; /* under way, or NULL */
    uint64_t barrier;      /* events up to this one are in it, but for those lost */
};

void tail_init(struct tail *tail, struct server *server, struct loop *loop);
void tail_fini(struct tail *tail); /* nobody follows */

/* Its head is answered and the stream begins, behind the event of that name; empty: with the next
 * one. False: too many follow. */
bool tail_join(struct tail *tail, struct follower *follower, struct http_exchange *exchange,
               struct slice after);
void tail_leave(struct tail *tail, struct follower *follower);
void tail_drained(struct tail *tail, struct follower *follower);
