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
#include "gateway/reload.h"
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
static int bind_ports(struct generation *g, char *ret_fault);
static void cede_ports(const struct generation *g);
static int open_shared(struct generation *g, char *ret_fault);
static int open_relay(struct generation *g, uint32_t worker);
static int open_inlet(struct generation *g, uint32_t worker, uint32_t index);

/* --- life ----------------------------------------------------------------------------------------
 */

static uint32_t listener_named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->listeners.count; i++)
        if (strcmp(config->listeners.at[i].name, name) == 0)
            return i;
    return GENERATION_NEW_ONE;
}

static bool is_alloced(struct generation *g)
{
    uint32_t count = g->config->listeners.count;
    g->ports = calloc(count, sizeof(void *));
    g->before = calloc(count, sizeof(*g->before));
    g->parts = calloc(g->server->sites_count, sizeof(*g->parts));
    for (uint32_t i = 0; g->before != NULL && i < count; i++)
        g->before[i] = g->elder != NULL
                           ? listener_named(g->elder->config, g->config->listeners.at[i].name)
                           : GENERATION_NEW_ONE;
    return g->ports != NULL && g->before != NULL && g->parts != NULL;
}

int generation_new(struct server *server, struct config *take_config, struct generation *elder,
                   struct generation **ret_generation, char *ret_fault)
{
    struct generation *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        config_free(take_config);
        return -ENOMEM;
    }
    g->server = server;
    g->config = g->own = take_config;
    g->elder = elder;
    g->number = elder != NULL ? elder->number + 1 : 1;
    g->since_wall_ms = server->started_wall_ms;
    int error = is_alloced(g) ? open_secure(g, ret_fault) : -ENOMEM;
    if (error == 0)
        error = open_ports(g, ret_fault);
    /* The first time, before there is any other thread. */
    if (error == 0 && server->opt.sandbox != NULL && elder == NULL) {
        cede_ports(g);
        error = sandbox_enter(server->opt.sandbox, ret_fault);
    }
    if (error == 0)
        error = open_shared(g, ret_fault);
    if (error != 0) {
        generation_free(g);
        return error;
    }
    *ret_generation = g;
    return 0;
}

/* Of one that never was in force the carried ports are the elder's still. */
static void close_ports(struct generation *g)
{
    for (uint32_t i = 0; g->elder != NULL && i < g->elder->config->listeners.count; i++)
        accept_port_unfollow(g->elder->ports[i]);
    for (uint32_t i = 0; g->ports != NULL && i < g->config->listeners.count; i++) {
        bool is_elders = g->elder != NULL && g->before[i] != GENERATION_NEW_ONE;
        if (g->ports[i] != NULL && is_elders)
            accept_port_settle(g->ports[i], false);
        else if (g->ports[i] != NULL)
            accept_port_close(g->ports[i]);
    }
}

void generation_free(struct generation *take_generation)
{
    struct generation *g = take_generation;
    if (g == NULL)
        return;
    secure_close(g->secure);
    if (g->before != NULL)
        close_ports(g);
    free(g->ports);
    free(g->before);
    relay_shared_free(g->shared);
    free(g->parts);
    config_free(g->own);
    free(g);
}

/* --- certificates --------------------------------------------------------------------------------
 */

static int open_secure(struct generation *g, char *ret_fault)
{
    struct tls_fault why;
    const struct secure *elder = g->elder != NULL ? g->elder->secure : NULL;
    int error = secure_open(g->config, g->server->sites_count, elder, &g->secure, &why);
    return error == 0 || why.text[0] == '\0' ? error
                                             : server_fault(ret_fault, error, "%s", why.text);
}

/* --- ports ---------------------------------------------------------------------------------------
 */

static bool has_moved(const struct generation *g, uint32_t index)
{
    const struct config_address *is = &g->config->listeners.at[index].address;
    return g->elder != NULL && g->before[index] != GENERATION_NEW_ONE
           && strcmp(is->text, g->elder->config->listeners.at[g->before[index]].address.text) != 0;
}

static int open_port(struct generation *g, uint32_t index)
{
    const struct config_listener *l = &g->config->listeners.at[index];
    const struct address address = server_address(&l->address);
    if (g->before[index] != GENERATION_NEW_ONE) {
        g->ports[index] = g->elder->ports[g->before[index]];
        return has_moved(g, index)
                   ? accept_port_bind(g->ports[index], &address, true, l->pool.write_timeout_ms)
                   : 0;
    }
    struct accept_options opt = {.address = address,
                                 .max_connections = l->pool.max_connections,
                                 .max_per_ip = l->pool.max_per_ip,
                                 .counts_addresses = l->pool.max_per_ip > 0, /* however many */
                                 .exempts = l->proxy_protocol != HEADER_OFF ? announce_trusts
                                                                            : NULL,
                                 .exempts_self = l,
                                 .is_beside = g->elder != NULL,
                                 .patience_ms = l->pool.write_timeout_ms};
    int fd = g->elder == NULL ? inherited_take(g->server->opt.inherited, &opt.address, l->name)
                              : -1;
    opt.take_fd = fd >= 0 ? fd : 0;
    return accept_port_open(&opt, &g->ports[index]);
}

/* Whether the elder's listener will not be where it is any more. */
static bool leaves(const struct generation *g, uint32_t elders)
{
    for (uint32_t i = 0; i < g->config->listeners.count; i++)
        if (g->before[i] == elders)
            return has_moved(g, i);
    return true;
}

/* Whether one that moves there, or is new, has that port. */
static bool is_taken_again(const struct generation *g, uint16_t port)
{
    for (uint32_t i = 0; i < g->config->listeners.count; i++) {
        const struct address address = server_address(&g->config->listeners.at[i].address);
        if ((g->before[i] == GENERATION_NEW_ONE || has_moved(g, i)) && address_is_ip(&address)
            && address_port(&address) == port)
            return true;
    }
    return false;
}

/* Of the elder's ports those that others take over, at some or all of their addresses. */
static void follow(const struct generation *g, bool may_bind)
{
    for (uint32_t i = 0; g->elder != NULL && i < g->elder->config->listeners.count; i++) {
        const struct address *address = accept_port_address(g->elder->ports[i]);
        if (address_is_ip(address) && leaves(g, i) && is_taken_again(g, address_port(address)))
            accept_port_follow(g->elder->ports[i], may_bind);
    }
}

/* For a process that drops root: a socket of another user cannot be followed. */
static void cede_ports(const struct generation *g)
{
    for (uint32_t i = 0; i < g->config->listeners.count; i++)
        sandbox_cede(g->server->opt.sandbox, accept_port_fd(g->ports[i]));
}

static int open_ports(struct generation *g, char *ret_fault)
{
    follow(g, true);
    int error = bind_ports(g, ret_fault);
    follow(g, false);
    return error;
}

static int bind_ports(struct generation *g, char *ret_fault)
{
    for (uint32_t i = 0; i < g->config->listeners.count; i++) {
        const struct config_listener *l = &g->config->listeners.at[i];
        char what[100];
        int error = open_port(g, i);
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
    struct relay_shared *elder = g->elder != NULL ? g->elder->shared : NULL;
    int error = relay_shared_new(g->config, elder, &g->shared, why);
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

static struct inlet_options inlet_options_of(const struct generation *g, uint32_t worker,
                                             uint32_t index)
{
    struct server *s = g->server;
    struct site *site = &s->sites[worker];
    return (struct inlet_options){
        .config = &g->config->listeners.at[index],
        .loop = worker_loop(site->worker),
        .engine = worker_engine(site->worker),
        .port = g->ports[index],
        .desk = secure_desk(g->secure, worker),
        .tls = secure_server(g->secure, worker, index),
        .on_tls_failed = on_tls_failed,
        .is_held = g->elder != NULL,
        .tells_ends = announces(g->config),
        .worker = worker,
        .post = s->sites_count > 1 ? post_to_worker : NULL,
        .post_self = site,
        .handler = &relay_handler,
        .handler_self = relay_listener_self(g->parts[worker].relay, index),
        .on_refuse = on_refuse,
        .self = site};
}

static int open_inlet(struct generation *g, uint32_t worker, uint32_t index)
{
    struct generation_part *part = &g->parts[worker];
    if (g->before[index] != GENERATION_NEW_ONE) {
        part->inlets[index] = g->elder->parts[worker].inlets[g->before[index]];
        return has_moved(g, index) ? inlet_reach(part->inlets[index]) : 0;
    }
    const struct inlet_options opt = inlet_options_of(g, worker, index);
    return inlet_open(&opt, &part->inlets[index]);
}

static void on_pace(void *self, uint32_t listener, uint32_t clients, bool is_new)
{
    const struct generation_part *part = self;
    const struct generation *g = part->generation;
    const struct site *site = &g->server->sites[part - g->parts];
    if (part->inlets[listener] == NULL)
        return; /* who has it now begins anew */
    inlet_pace(part->inlets[listener], clients);
    if (is_new)
        log_to(&site->voice.sink, LOG_INFO_LEVEL,
               clients == PACE_ALL ? "new clients come in again" : "new clients wait outside",
               log_text("listener", g->config->listeners.at[listener].name));
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
                                .relays = &site->relays,
                                .on_event = server_on_relay_event,
                                .event_self = site,
                                .on_pace = on_pace,
                                .pace_self = &g->parts[worker],
                                .access = site->access,
                                .spans = s->otlp != NULL ? otlp_ring_of(s->otlp, worker) : NULL};
    if (getrandom(&opt.seed, sizeof(opt.seed), GRND_NONBLOCK) != sizeof(opt.seed))
        opt.seed = clock_now_ns() + opt.worker;
    return relay_new(&opt, &g->parts[worker].relay);
}

int generation_join(struct generation *g, uint32_t worker)
{
    struct generation_part *part = &g->parts[worker];
    part->generation = g;
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

static void put_in_force(struct generation *g, uint32_t worker)
{
    struct site *site = &g->server->sites[worker];
    struct generation_part *part = &g->parts[worker];
    list_push_back(&site->parts, &part->on_site);
    site->relay = part->relay;
    site->inlets = part->inlets;
}

void generation_begin(struct generation *g, uint32_t worker)
{
    relay_begin(g->parts[worker].relay);
    put_in_force(g, worker);
}

#define CLOSING_STEPS_MAX 1000000U /* each closes something, so there is an end */

/* All that it alone has, or, with `all`, whatever it has. */
static bool close_pools(struct site *site, struct relay *relay, bool all)
{
    weir_engine *engine = worker_engine(site->worker);
    bool is_closed = relay_close_pools(relay, all);
    for (uint32_t i = 0; !is_closed && weir_engine_pending(engine) && i < CLOSING_STEPS_MAX; i++) {
        weir_step(engine, weir_engine_now(engine));
        is_closed = relay_close_pools(relay, all);
    }
    return is_closed;
}

void generation_abandon(struct generation *g, uint32_t worker)
{
    struct generation_part *part = &g->parts[worker];
    for (uint32_t l = 0; part->inlets != NULL && l < g->config->listeners.count; l++) {
        if (part->inlets[l] == NULL)
            continue;
        if (g->before[l] == GENERATION_NEW_ONE)
            inlet_close(part->inlets[l]);
        else
            inlet_stay(part->inlets[l]);
    }
    free(part->inlets);
    part->inlets = NULL;
    if (part->relay != NULL) {
        relay_cut(part->relay, false);
        close_pools(&g->server->sites[worker], part->relay, false);
        relay_free(part->relay);
        part->relay = NULL;
    }
}

/* --- one after the other -------------------------------------------------------------------------
 */

void generation_take_over(struct generation *g)
{
    struct server *s = g->server;
    relay_shared_take_over(g->shared, g->elder->shared);
    secure_take_over(g->secure, g->elder->secure, &s->voice.sink);
    secure_watch(g->secure, s->opt.loop, &s->voice.sink);
    for (uint32_t i = 0; i < g->config->listeners.count; i++) {
        const struct config_listener *l = &g->config->listeners.at[i];
        if (g->before[i] == GENERATION_NEW_ONE)
            continue;
        accept_port_limit(g->ports[i], l->pool.max_connections, l->pool.max_per_ip);
        accept_port_patience(g->ports[i], l->pool.write_timeout_ms);
        accept_port_exempt(g->ports[i], l->proxy_protocol != HEADER_OFF ? announce_trusts : NULL,
                           l);
    }
    g->since_wall_ms = clock_wall_ms();
    list_push_back(&s->generations, &g->on_server);
    server_obey(s, g);
}

static void inlet_drained(void *arg)
{
    struct generation_part *part = arg;
    part->draining--;
}

static struct drain_time drain_time_of(const struct config_listener *listener)
{
    return (struct drain_time){.grace_ms = listener->pool.drain_timeout_ms};
}

/* Those of the elder's inlets that were not carried over. */
static void drain_inlets(struct generation_part *part)
{
    const struct config *config = part->generation->config;
    for (uint32_t l = 0; l < config->listeners.count; l++)
        part->draining += part->inlets[l] != NULL;
    for (uint32_t l = 0; l < config->listeners.count; l++)
        if (part->inlets[l] != NULL)
            inlet_drain(part->inlets[l], drain_time_of(&config->listeners.at[l]), inlet_drained,
                        part);
}

void generation_switch(struct generation *g, uint32_t worker)
{
    struct site *site = &g->server->sites[worker];
    struct generation_part *part = &g->parts[worker], *elder = &g->elder->parts[worker];
    relay_take_over(part->relay);
    for (uint32_t l = 0; l < g->config->listeners.count; l++) {
        const struct inlet_options opt = inlet_options_of(g, worker, l);
        if (g->before[l] == GENERATION_NEW_ONE) {
            inlet_resume(part->inlets[l]);
            continue;
        }
        inlet_update(part->inlets[l], &opt);
        inlet_pace(part->inlets[l], PACE_ALL); /* until its own relay says otherwise */
        inlet_move(part->inlets[l]);
        elder->inlets[g->before[l]] = NULL;
    }
    put_in_force(g, worker);
    journal_voice_obey(&site->voice, g->config);
    drain_inlets(elder);
    server_age(site);
}

void generation_settle(struct generation *g)
{
    struct generation *elder = g->elder;
    for (uint32_t i = 0; i < g->config->listeners.count; i++) {
        if (g->before[i] == GENERATION_NEW_ONE)
            continue;
        accept_port_settle(g->ports[i], true);
        elder->ports[g->before[i]] = NULL;
    }
    for (uint32_t i = 0; i < elder->config->listeners.count; i++)
        if (elder->ports[i] != NULL)
            accept_port_refuse(elder->ports[i]);
    atomic_store(&elder->is_shut, true);
    g->elder = NULL;
}

/* --- the end of older ones -----------------------------------------------------------------------
 */

static void part_left(void *self, uint64_t unused)
{
    struct generation *g = self;
    (void)unused;
    g->left++;
    if (g->left < g->server->sites_count)
        return;
    list_remove(&g->server->generations, &g->on_server);
    log_to(&g->server->voice.sink, LOG_INFO_LEVEL, "an older configuration serves nobody any more",
           log_u64("generation", g->number));
    struct reload *reload = g->server->reload;
    generation_free(g);
    reload_look(reload);
}

static void close_inlets(struct generation_part *part)
{
    for (uint32_t l = 0; part->inlets != NULL && l < part->generation->config->listeners.count; l++)
        if (part->inlets[l] != NULL)
            inlet_close(part->inlets[l]);
    free(part->inlets);
    part->inlets = NULL;
}

void generation_end(struct generation *g)
{
    if (!atomic_exchange(&g->is_ending, true))
        log_to(&g->server->voice.sink, LOG_WARN_LEVEL,
               "too many older configurations serve: the eldest drains",
               log_u64("generation", g->number));
}

uint32_t generation_count(const struct server *server, bool is_found)
{
    uint32_t count = 0;
    weir_list_each(it, &server->generations) {
        count += list_entry(it, struct generation, on_server)->is_found == is_found;
    }
    return count;
}

bool generation_is_room(const struct server *server, bool is_found)
{
    return generation_count(server, is_found)
           < (is_found ? GENERATIONS_FOUND_MAX : GENERATIONS_MAX);
}

void generation_end_eldest(struct server *server, bool is_found)
{
    if (generation_is_room(server, is_found))
        return;
    weir_list_each(it, &server->generations) {
        struct generation *g = list_entry(it, struct generation, on_server);
        if (g->is_found == is_found) {
            generation_end(g);
            return;
        }
    }
}

void generation_steer(struct server *server, uint32_t upstream, uint32_t endpoint,
                      enum steer_mode mode)
{
    const struct config_upstream *of = &server->config->upstreams.at[upstream];
    weir_list_each(it, &server->generations) {
        const struct generation *g = list_entry(it, struct generation, on_server);
        relay_shared_steer_endpoint(g->shared, of->name, &of->endpoints.at[endpoint], mode);
    }
}

static uint32_t longest_drain_ms(const struct config *config)
{
    uint32_t longest_ms = 0;
    for (uint32_t i = 0; i < config->listeners.count; i++)
        if (config->listeners.at[i].pool.drain_timeout_ms > longest_ms)
            longest_ms = config->listeners.at[i].pool.drain_timeout_ms;
    return longest_ms;
}

static void part_hurry(struct site *site, struct generation_part *part)
{
    uint64_t now_ms = loop_now_ms(worker_loop(site->worker));
    if (part->relay == NULL || !atomic_load(&part->generation->is_ending))
        return;
    if (part->cut_ms == 0) {
        part->cut_ms = now_ms + longest_drain_ms(part->generation->config);
        relay_drain(part->relay, 0);
    } else if (now_ms >= part->cut_ms) {
        relay_cut_open(part->relay);
    }
}

/* True: nothing is left of it. */
static bool part_ends(struct site *site, struct generation_part *part)
{
    part_hurry(site, part);
    if (!atomic_load(&part->generation->is_shut) || part->draining > 0
        || (part->relay != NULL && (!relay_is_idle(part->relay) || !relay_quit_lines(part->relay))))
        return false;
    close_inlets(part);
    if (part->relay != NULL) {
        relay_cut(part->relay, false);
        if (!close_pools(site, part->relay, false))
            return false;
        relay_free(part->relay);
        part->relay = NULL;
    }
    return crew_post_hub(site->server->crew, part_left, part->generation, 0);
}

void generation_look(struct site *site)
{
    struct node *it = list_first(&site->parts);
    while (it != NULL && it != list_last(&site->parts)) {
        struct generation_part *part = list_entry(it, struct generation_part, on_site);
        it = list_next(it);
        struct list *parts = &site->parts;
        list_remove(parts, &part->on_site);
        if (!part_ends(site, part))
            it != NULL ? list_insert_before(parts, it, &part->on_site)
                       : list_push_back(parts, &part->on_site);
    }
}

void generation_leave_all(struct site *site)
{
    weir_list_each(it, &site->parts) {
        close_inlets(list_entry(it, struct generation_part, on_site));
    }
    weir_list_each(it, &site->parts) {
        struct relay *relay = list_entry(it, struct generation_part, on_site)->relay;
        if (relay != NULL) {
            relay_cut(relay, true);
            close_pools(site, relay, true);
        }
    }
    while (!list_is_empty(&site->parts)) {
        struct generation_part *part = list_entry(list_pop_front(&site->parts),
                                                  struct generation_part, on_site);
        relay_free(part->relay);
        part->relay = NULL;
    }
}
