/* SPDX-License-Identifier: Apache-2.0
 *
 * host.c - a port, a listener, and an engine that takes its step at the end of a turn.
 */
#include "gateway/host.h"

#include "base/list.h"
#include "io/inherited.h"
#include "listener/accept.h"
#include "listener/http1.h"

#include <errno.h>
#include <stdlib.h>

struct host {
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook hook;
    struct http1_listener *listener;
    struct accept_port *port;
    bool drains, is_drained;
    void (*ended)(void *arg); /* or NULL */
    void *arg;
    struct loop_later later; /* tells of the end */
};

static void tell_end(struct loop_later *later);

static uint64_t host_step(void *self, uint64_t now_ms)
{
    struct host *host = self;
    return weir_step(host->engine, now_ms);
}

static void host_tick(void *self, uint64_t now_ms)
{
    struct host *host = self;
    weir_step(host->engine, now_ms);
}

static int engine_open(struct host *host, uint32_t clients_max)
{
    weir_engine_options opt = {.size = sizeof(opt),
                               .conns_max = clients_max + 16,
                               .waiting_max = 16,
                               .keys_max = clients_max + 16,
                               .key_bytes_max = 65536,
                               .pools_max = 1,
                               .events_max = 64,
                               .now_ms = loop_now_ms(host->loop)};
    if (weir_engine_new(&opt, &host->engine) != WEIR_OK)
        return -ENOMEM;
    host->hook = (struct loop_hook){.run = host_step, .tick = host_tick, .self = host};
    loop_hook_add(host->loop, &host->hook);
    return 0;
}

int host_open(struct loop *loop, const struct host_options *opt, struct host **ret_host)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return -ENOMEM;
    host->loop = loop;
    host->later.run = tell_end;
    struct accept_options port = {
        .address = opt->address, .max_connections = opt->clients_max, .reserve = opt->reserve};
    struct http1_listener_options listener = {.name = opt->name,
                                              .max_connections = opt->clients_max,
                                              .keepalive_timeout_ms = opt->keepalive_timeout_ms};
    int fd = inherited_take(opt->inherited, &opt->address, opt->name);
    port.take_fd = fd >= 0 ? fd : 0;
    int error = accept_port_open(&port, &host->port);
    if (error == 0)
        error = engine_open(host, opt->clients_max);
    if (error == 0)
        error = http1_listener_new(loop, host->engine, &listener, opt->handler, opt->self,
                                   &host->listener);
    if (error == 0)
        error = http1_listener_accept(host->listener, host->port, 0, NULL, NULL);
    if (error != 0) {
        host_close(host);
        return error;
    }
    *ret_host = host;
    return 0;
}

void host_close(struct host *take_host)
{
    if (take_host == NULL)
        return;
    loop_later_cancel(take_host->loop, &take_host->later);
    if (take_host->listener != NULL)
        http1_listener_free(take_host->listener);
    if (take_host->port != NULL)
        accept_port_close(take_host->port);
    if (take_host->engine != NULL) {
        loop_hook_remove(take_host->loop, &take_host->hook);
        weir_engine_free(take_host->engine);
    }
    free(take_host);
}

uint16_t host_port(const struct host *host)
{
    return address_port(accept_port_address(host->port));
}

struct accept_port *host_socket(const struct host *host)
{
    return host->port;
}

void host_pause(struct host *host)
{
    http1_listener_pause(host->listener);
}

void host_resume(struct host *host)
{
    http1_listener_resume(host->listener);
}

static void tell_end(struct loop_later *later)
{
    struct host *host = container_of(later, struct host, later);
    host->ended(host->arg);
}

static void drained(void *arg)
{
    struct host *host = arg;
    host->is_drained = true;
    if (host->ended != NULL)
        loop_later(host->loop, &host->later);
}

static void drain(struct host *host, uint32_t grace_ms)
{
    host->drains = true;
    http1_listener_drain(host->listener, (struct drain_time){.grace_ms = grace_ms}, drained, host);
}

void host_give(struct host *host, uint32_t grace_ms)
{
    accept_port_give(host->port);
    http1_listener_shut_door(host->listener);
    drain(host, grace_ms);
}

void host_end(struct host *host, uint32_t grace_ms, void (*ended)(void *arg), void *arg)
{
    host->ended = ended;
    host->arg = arg;
    if (host->is_drained)
        loop_later(host->loop, &host->later);
    else if (!host->drains)
        drain(host, grace_ms);
}
