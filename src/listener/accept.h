/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.h - listening sockets, and which worker gets the next client.
 *
 * A *port* is what a listener's workers share: the descriptors, opened once, and the counts that
 * its limits go by. Every worker has an *acceptor* on it, which watches the descriptors in its own
 * loop. Whoever wakes up accepts, takes a seat at the worker that has fewest clients, and hands the
 * descriptor over; taking the seat is one atomic step, so that two that accept at once do not pick
 * the same gap, and loads stay within one of each other.
 *
 * Always true: seats taken over all workers <= max_connections, and <= max_per_ip for one address;
 * a seat is given up exactly once, by acceptor_leave(). A client that finds no seat is taken to the
 * accepting worker's `refuse`, to be told so.
 *
 * Out of descriptors (EMFILE, ENFILE, ENOBUFS, ENOMEM) the acceptor rests for ACCEPT_REST_MS, so
 * that a backlog that cannot be taken does not spin the loop.
 */
#pragma once
#include "base/alloc.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define ACCEPT_REST_MS   100U
#define ACCEPT_BURST     64U /* accepts in one turn of one loop, so that clients are served meanwhile \
                              */
#define ACCEPT_SEATS_MAX 256U /* workers on one port */

struct accept_port;
struct acceptor;

struct accept_options {
    const char *host; /* a literal address; NULL: unix_path */
    uint16_t port;    /* 0: the system picks one */
    const char *unix_path;
    uint32_t max_connections; /* over all workers; UINT32_MAX: no limit */
    uint32_t max_per_ip;      /* 0: no limit */
    uint32_t workers;         /* seats are kept for workers 0 … workers - 1 */
    int backlog;              /* [1024] */
    const struct alloc *alloc;
};

/* Binds and listens. 0, or -errno (-EADDRINUSE: say so to the user). */
int accept_port_open(const struct accept_options *opt, struct accept_port **ret_port);
/* After the last acceptor is closed. */
void accept_port_close(struct accept_port *port);
/* The TCP port it is bound to; 0 for a unix socket. */
uint16_t accept_port_number(const struct accept_port *port);

/* Any thread. */
uint32_t accept_port_taken(const struct accept_port *port); /* seats in all */
uint32_t accept_port_taken_by(const struct accept_port *port, uint32_t worker);
uint64_t accept_port_accepted(const struct accept_port *port);
uint64_t accept_port_refused_full(const struct accept_port *port);
uint64_t accept_port_refused_per_ip(const struct accept_port *port);
uint64_t accept_port_failed(const struct accept_port *port); /* accept() errors */

/* Who a client is: IPv4 as IPv4-mapped IPv6; zeroes: a unix socket. */
struct accept_client {
    int fd; /* non-blocking; the receiver's from now on */
    uint8_t address[16];
};

enum accept_refusal { ACCEPT_FULL, ACCEPT_PER_IP };

struct acceptor_ops {
    /* A client with a seat here; on the acceptor's own loop. The seat is given up by
     * acceptor_leave(). */
    void (*serve)(void *self, const struct accept_client *client);
    /* A client without one. */
    void (*refuse)(void *self, const struct accept_client *client, enum accept_refusal why);
    /* Takes a letter to another worker's thread; false: not possible now. NULL where there is one
     * worker. */
    bool (*post)(void *self, uint32_t worker, void (*run)(void *self, uint64_t value), void *arg,
                 uint64_t value);
    void *self;
};

/* One per worker, on that worker's thread or before it runs. 0 or -errno. */
int acceptor_open(struct accept_port *port, struct loop *loop, uint32_t worker,
                  const struct acceptor_ops *ops, struct acceptor **ret_acceptor);
/* No more accepts; seats stay. */
void acceptor_pause(struct acceptor *acceptor, bool paused);
void acceptor_leave(struct acceptor *acceptor, const uint8_t address[16]);
/* All seats here were given up, and no letter to here is under way. */
void acceptor_close(struct acceptor *acceptor);
