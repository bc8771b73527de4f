/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.c - what is built from a configuration, in the order in which things lean on each
 * other:
 *
 *     hub: certificates ─▶ ports ─▶ tables        each worker: relay ─▶ inlets
 *
 * What can fail for a reason of the user's (an address in use, a certificate that is none) is tried
 * first. Half of a generation is taken down like a whole one.
 */
#include "gateway/generation.h"

#include "base/check.h"
#include "gateway/announce.h"
#include "gateway/inlet.h"
#include "gateway/otlp.h"
#include "gateway/pace.h"
#include "gateway/relay.h"
#include "gateway/sandbox.h"
#include "gateway/secure.h"
#include "gateway/server.h"
#include "io/clock.h"
#include "io/inherited.h"
#include "io/notify.h"
#include "io/oserror.h"
#include "listener/accept.h"
#include "listener/guest.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int open_secure(struct generation *g, char *ret_fault);
static int open_ports(struct generation *g, char *ret_fault);
static int open_shared(struct generation *g, char *ret_fault);
static int open_relay(struct generation *g, uint32_t worker);
static int open_inlet(struct generation *g, uint32_t worker, uint32_t index);

/* --- life ----------------------------------------------------------------------------------------
 */

int generation_new(struct server *server, const struct config *config,
                   struct generation **ret_generation, char *ret_fault)
{
    struct generation *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return -ENOMEM;
    g->server = server;
    g->config = config;
    g->number = 1;
    g->since_wall_ms = clock_wall_ms();
    g->ports = calloc(config->listeners.count, sizeof(void *));
    g->parts = calloc(server->sites_count, sizeof(*g->parts));
    int error = g->ports == NULL || g->parts == NULL ? -ENOMEM : open_secure(g, ret_fault);
    if (error == 0)
        error = open_ports(g, ret_fault);
    /* The first time, before there is any other thread; what is asked for later finds it entered.
     */
    if (error == 0 && server->opt.sandbox != NULL)
        error = sandbox_enter(server->opt.sandbox, ret_fault);
    if (error == 0)
        error = open_shared(g, ret_fault);
    if (error != 0) {
        generation_free(g);
        return error;
    }
    *ret_generation = g;
    return 0;
}

void generation_free(struct generation *take_generation)
{
    struct generation *g = take_generation;
    if (g == NULL)
        return;
    secure_close(g->secure);
    for (uint32_t i = 0; g->ports != NULL && i < g->config->listeners.count; i++)
        if (g->ports[i] != NULL)
            accept_port_close(g->ports[i]);
    free(g->ports);
    relay_shared_free(g->shared);
    free(g->parts);
    free(g);
}

int generation_join(struct generation *g, uint32_t worker)
{
    struct generation_part *part = &g->parts[worker];
    part->inlets = calloc(g->config->listeners.count, sizeof(void *));
    if (part->inlets == NULL)
        return -ENOMEM;
    int error = secure_join(g->secure, worker, worker_loop(g->server->sites[worker].worker));
    if (error == 0)
        error = open_relay(g, worker);
    for (uint32_t l = 0; error == 0 && l < g->config->listeners.count; l++)
        error = open_inlet(g, worker, l);
    return error;
}

#define CLOSING_STEPS_MAX 1000000U /* each closes something, so there is an end */

/* Leases are back by now: every pool of the relay closes, in as many steps as it takes. */
static void close_pools(struct generation *g, uint32_t worker)
{
    weir_engine *engine = worker_engine(g->server->sites[worker].worker);
    struct relay *relay = g->parts[worker].relay;
    for (uint32_t u = 0; u < g->config->upstreams.count; u++) {
        weir_pool *openclaw = relay_openclaw_pool(relay, u);
        weir_pool_close(relay_pool(relay, u), 0);
        if (openclaw != NULL)
            weir_pool_close(openclaw, 0);
    }
    for (uint32_t i = 0; weir_engine_pending(engine) && i < CLOSING_STEPS_MAX; i++)
        weir_step(engine, weir_engine_now(engine));
}

void generation_leave(struct generation *g, uint32_t worker)
{
    struct generation_part *part = &g->parts[worker];
    for (uint32_t l = 0; part->inlets != NULL && l < g->config->listeners.count; l++)
        if (part->inlets[l] != NULL)
            inlet_close(part->inlets[l]);
    free(part->inlets);
    part->inlets = NULL;
    if (part->relay != NULL) {
        relay_cut(part->relay);
        close_pools(g, worker);
        relay_free(part->relay);
        part->relay = NULL;
    }
}

/* --- certificates --------------------------------------------------------------------------------
 */

static int open_secure(struct generation *g, char *ret_fault)
{
    struct tls_fault why;
    int error = secure_open(g->config, g->server->sites_count, &g->secure, &why);
    return error == 0 || why.text[0] == '\0' ? error
                                             : server_fault(ret_fault, error, "%s", why.text);
}

/* --- ports ---------------------------------------------------------------------------------------
 */

static int open_ports(struct generation *g, char *ret_fault)
{
    for (uint32_t i = 0; i < g->config->listeners.count; i++) {
        const struct config_listener *l = &g->config->listeners.at[i];
        char what[100];
        struct accept_options opt = {.address = server_address(&l->address),
                                     .max_connections = l->pool.max_connections,
                                     .max_per_ip = l->pool.max_per_ip,
                                     .exempts = l->proxy_protocol != HEADER_OFF ? announce_trusts
                                                                                : NULL,
                                     .exempts_self = l,
                                     .patience_ms = l->pool.write_timeout_ms};
        int fd = inherited_take(g->server->opt.inherited, &opt.address, l->name);
        opt.take_fd = fd >= 0 ? fd : 0;
        int error = accept_port_open(&opt, &g->ports[i]);
        snprintf(what, sizeof(what), "listener %s", l->name);
        if (error != 0)
            return server_bind_fault(ret_fault, error, what, l->address.text);
    }
    return 0;
}

/* --- tables --------------------------------------------------------------------------------------
 */

static int open_shared(struct generation *g, char *ret_fault)
{
    char why[RELAY_FAULT_MAX];
    int error = relay_shared_new(g->config, &g->shared, why);
    return error == 0 || why[0] == '\0' ? error : server_fault(ret_fault, error, "%s", why);
}

/* --- a worker's part -----------------------------------------------------------------------------
 */

static bool post_to_worker(void *self, uint32_t worker, void (*run)(void *self, uint64_t value),
                           void *arg, uint64_t value)
{
    struct site *site = self;
    return worker_post(site->server->sites[worker].worker, run, arg, value);
}

/* What the listener answered by itself: no relay has seen it. */
static void on_refuse(void *self, const struct http_peer *peer, const struct http1_refusal *refusal)
{
    const struct site *site = self;
    log_to(&site->voice.sink, LOG_DEBUG_LEVEL, "refused", log_text("client", peer->text),
           log_u64("status", refusal->status), log_text("code", refusal->code));
}

/* No relay has seen it, either. */
static void on_tls_failed(void *self, const uint8_t address[16], const struct tls_result *result)
{
    const struct site *site = self;
    char text[46];
    guest_print(address, text);
    log_to(&site->voice.sink, LOG_DEBUG_LEVEL, "TLS handshake failed", log_text("client", text),
           log_text("why", tls_error_word(result->error)), log_text("detail", result->detail));
}

/* Whether some upstream is told who its clients are. */
static bool announces(const struct config *config)
{
    bool any = false;
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        any = any || config->upstreams.at[i].proxy_protocol != 0;
    return any;
}

static int open_inlet(struct generation *g, uint32_t worker, uint32_t index)
{
    struct server *s = g->server;
    struct site *site = &s->sites[worker];
    struct generation_part *part = &g->parts[worker];
    const struct inlet_options opt = {.config = &g->config->listeners.at[index],
                                      .loop = worker_loop(site->worker),
                                      .engine = worker_engine(site->worker),
                                      .port = g->ports[index],
                                      .desk = secure_desk(g->secure, worker),
                                      .tls = secure_server(g->secure, worker, index),
                                      .on_tls_failed = on_tls_failed,
                                      .tells_ends = announces(g->config),
                                      .worker = worker,
                                      .post = s->sites_count > 1 ? post_to_worker : NULL,
                                      .post_self = site,
                                      .handler = &relay_handler,
                                      .handler_self = relay_listener_self(part->relay, index),
                                      .on_refuse = on_refuse,
                                      .self = site};
    return inlet_open(&opt, &part->inlets[index]);
}

static void on_pace(void *self, uint32_t listener, uint32_t clients, bool is_new)
{
    const struct site *site = self;
    inlet_pace(site->inlets[listener], clients);
    if (is_new)
        log_to(&site->voice.sink, LOG_INFO_LEVEL,
               clients == PACE_ALL ? "new clients come in again" : "new clients wait outside",
               log_text("listener", site->server->config->listeners.at[listener].name));
}

static int open_relay(struct generation *g, uint32_t worker)
{
    struct server *s = g->server;
    struct site *site = &s->sites[worker];
    struct relay_options opt = {.loop = worker_loop(site->worker),
                                .engine = worker_engine(site->worker),
                                .dns = site->dns,
                                .cork = &site->cork,
                                .config = g->config,
                                .shared = g->shared,
                                .secure = g->secure,
                                .worker = worker,
                                .workers = s->sites_count,
                                .on_event = server_on_relay_event,
                                .event_self = site,
                                .on_pace = on_pace,
                                .pace_self = site,
                                .access = site->access,
                                .spans = s->otlp != NULL ? otlp_ring_of(s->otlp, worker) : NULL};
    if (getrandom(&opt.seed, sizeof(opt.seed), GRND_NONBLOCK) != sizeof(opt.seed))
        opt.seed = clock_now_ns() + opt.worker;
    return relay_new(&opt, &g->parts[worker].relay);
}
