/* SPDX-License-Identifier: Apache-2.0
 *
 * host.h - a handler served over HTTP/1.1 on the loop of the thread that asks: the admin interface,
 * the demo's upstreams. It has an engine of its own, so it stands beside whatever workers do.
 */
#pragma once
#include "io/address.h"
#include "io/loop.h"
#include "proto/http.h"

#include <stdint.h>

struct accept_port;
struct host;
struct inherited;

struct host_options {
    const char *name;            /* outlives it */
    struct address address;      /* port 0: the system picks one */
    struct inherited *inherited; /* asked for a socket first; or NULL */
    uint32_t clients_max;
    uint32_t keepalive_timeout_ms;
    uint32_t reserve; /* descriptors kept for its clients (io/listen.h) */
    const struct http_handler *handler;
    void *self;
};

int host_open(struct loop *loop, const struct host_options *opt, struct host **ret_host);
void host_close(struct host *take_host); /* handlers hear on_abort; NULL is fine */
uint16_t host_port(const struct host *host);
struct accept_port *host_socket(const struct host *host);
void host_pause(struct host *host); /* takes nobody from its backlog, until */
void host_resume(struct host *host);
/* Its socket is another process's: who is there is answered for so long, and nobody else. */
void host_give(struct host *host, uint32_t grace_ms);
/* Takes nobody more. Who waits for an answer gets it, if it is there in so long (after host_give():
 * in that time). Then `ended` is called, in a later event, unless the host is closed before. */
void host_end(struct host *host, uint32_t grace_ms, void (*ended)(void *arg), void *arg);
