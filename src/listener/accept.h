/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.h - a listening socket shared by workers, and which of them gets the next client.
 *
 * A *port* is what a listener's workers share: the descriptor, opened once, and the counts that its
 * limits go by. Every worker has a *door* on it, which watches the descriptor in its own loop.
 * Whoever wakes up accepts, takes a seat at the worker that has fewest clients, and hands the
 * descriptor over there. Taking a seat is one atomic step, so two that accept at once never take
 * the same gap, and the loads stay within one of each other while clients come.
 *
 * Always true: the seats taken over all workers are never more than max_connections, those of one
 * address never more than max_per_ip; a seat is given up exactly once, with accept_leave(). A
 * client for whom there is none is brought to the accepting worker's `refuse`, to be told so.
 *
 * The port outlives its doors; doors come and go with workers, and the backlog waits meanwhile.
 */
#pragma once
#include "base/alloc.h"
#include "io/address.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define ACCEPT_DOORS_MAX 256U /* workers on one port */
#define ACCEPT_ADDRESSES_MAX                                                                       \
    (1U << 20) /* different ones at a time, where max_per_ip counts them                           \
                */

struct accept_port;
struct accept_door;

struct accept_options {
    struct address address;   /* port 0: the system picks one */
    int take_fd;              /* one that listens there already; 0: the port opens its own */
    uint32_t max_connections; /* over all workers; UINT32_MAX: no limit */
    uint32_t max_per_ip;      /* 0: no limit */
    bool counts_addresses;    /* also without max_per_ip, so that it can be set later */
    /* Addresses for which max_per_ip does not count; any thread. NULL: there are none. */
    bool (*exempts)(const void *self, const uint8_t address[16]);
    const void *exempts_self;
    uint32_t patience_ms;      /* see socket_patience(); 0: its default */
    bool is_beside;            /* where that is taken by ports that are followed, beside them */
    uint32_t reserve;          /* descriptors that each door keeps for clients; see listen.h */
    const struct alloc *alloc; /* [malloc] called by every worker's thread */
};

/* Binds and listens. 0, or -errno: -EADDRINUSE is for the user to know. take_fd is taken in any
 * case. */
int accept_port_open(const struct accept_options *opt, struct accept_port **ret_port);
/* Any thread: who connects from now on is refused. For the end, when all doors are shut; while they
 * only change, the backlog waits. */
void accept_port_refuse(struct accept_port *port);
/* The socket, which stays the port's, for another process to accept from. */
int accept_port_fd(const struct accept_port *port);
/* Another process accepts from the socket as well: what is the address's own (the file of a unix
 * socket) is left to it. Before the end. */
void accept_port_give(struct accept_port *port);
/* After its last door. */
void accept_port_close(struct accept_port *take_port);
/* Other limits from now on; who is above them stays. max_per_ip only where addresses are counted.
 * Any thread. */
void accept_port_limit(struct accept_port *port, uint32_t max_connections, uint32_t max_per_ip);
/* See socket_patience(): of who connects from now on. The thread that opened it. */
void accept_port_patience(struct accept_port *port, uint32_t patience_ms);
/* While the process has no more than it needs for those who are there: nobody else gets a seat
 * while is_short, nor while it has sockets_most sockets or more (io/socket.h), which is found out
 * with each client. UINT32_MAX: it may have any number. Any thread. */
void accept_port_shorten(struct accept_port *port, bool is_short, uint32_t sockets_most);
/* Another port may be bound where this one is (is_beside), until it is told `false`. What was bound
 * there takes its clients from when this one's doors move or shut on. The thread that opened it. */
void accept_port_follow(struct accept_port *port, bool may_bind);
/* … nobody does. */
void accept_port_unfollow(struct accept_port *port);
/* Another address: bound now, beside the one that it has, and taken clients from once every door
 * was opened on it (accept_door_reach) and has moved there (accept_door_move). Then, or before any
 * of them has, it is settled: one of the two is closed. 0 or -errno. The thread that opened it. */
int accept_port_bind(struct accept_port *port, const struct address *address, bool is_beside,
                     uint32_t patience_ms);
void accept_port_settle(struct accept_port *port, bool has_moved);
/* Whom max_per_ip is not for, from now on; what was looked at until then is for a turn longer. */
void accept_port_exempt(struct accept_port *port,
                        bool (*exempts)(const void *self, const uint8_t address[16]),
                        const void *exempts_self);
bool accept_port_counts(const struct accept_port *port); /* addresses: max_per_ip can be set */
/* Where it is bound, with the port the system picked. */
const struct address *accept_port_address(const struct accept_port *port);

/* Any thread: seats taken now, in all and at one worker; clients refused so far. */
uint32_t accept_port_taken(const struct accept_port *port);
uint32_t accept_port_taken_at(const struct accept_port *port, uint32_t worker);

/* A client as it comes in. */
struct accept_client {
    int fd;              /* non-blocking; whoever receives it owns it */
    uint8_t address[16]; /* IPv4 as IPv4-mapped IPv6; zeroes: over a unix socket */
    uint16_t port;       /* of the peer */
};

/* Too many in all, too many of one address, or the process runs short of what it has. */
enum accept_refusal { ACCEPT_FULL, ACCEPT_PER_IP, ACCEPT_SHORT };

struct accept_ops {
    /* A client with a seat at this worker, on its own thread. accept_leave() ends the seat. */
    void (*serve)(void *self, const struct accept_client *client);
    /* A client without one. */
    void (*refuse)(void *self, const struct accept_client *client, enum accept_refusal why);
    void *self;
    /* Writes run(arg, value) to another worker's thread; false: not now, its way is full. NULL:
     * there is one worker. */
    bool (*post)(void *post_self, uint32_t worker, void (*run)(void *arg, uint64_t value),
                 void *arg, uint64_t value);
    void *post_self;
};

/* The door of one worker (0 … ACCEPT_DOORS_MAX - 1), on that worker's thread or before it runs.
 * Clients come from the next turn on. 0 or -errno. */
int accept_door_open(struct accept_port *port, struct loop *loop, uint32_t worker,
                     const struct accept_ops *ops, struct accept_door **ret_door);
/* Takes nobody off the backlog, until it is resumed; what others have on its way to it comes. */
void accept_door_pause(struct accept_door *door);
/* Goes on, with those that have come meanwhile first: whoever was told of them may be gone. */
void accept_door_resume(struct accept_door *door);
/* Where its port is bound besides: 0 or -errno; or as if it had never been. */
int accept_door_reach(struct accept_door *door);
void accept_door_stay(struct accept_door *door);
/* Once all that wait at the old place were taken. */
void accept_door_move(struct accept_door *door);
/* Takes no more clients off the backlog, and is given none by others; seats stay. */
void accept_door_shut(struct accept_door *door);
/* The same, once all that wait there were taken: their connects have succeeded. */
void accept_door_shut_last(struct accept_door *door);
void accept_leave(struct accept_door *door, const uint8_t address[16]);
/* A client with a seat is somebody else: its seat counts for the other address from now on. False:
 * that one has enough, and nothing has changed. */
bool accept_rename(struct accept_door *door, const uint8_t from[16], const uint8_t to[16]);
/* Takes so many clients, and then no more before it is told anew; others give it none meanwhile.
 * The backlog waits. UINT32_MAX: takes all, as at first. */
void accept_door_pace(struct accept_door *door, uint32_t clients);
/* A client that came otherwise, under the same limits, as if it had come through this door. */
void accept_door_bring(struct accept_door *door, int take_fd, const struct address *peer);
/* All its seats were given up. No letter to it may be under way: workers have stopped, or it was
 * shut long enough for all of them to have looked at their letters once. */
void accept_door_close(struct accept_door *take_door);
