/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - from a snapshot to a gateway, and back, in the order in which things lean on each
 * other.
 *
 *     generation (ports and certificates, then the sandbox) ─▶ logs ─▶ crew ─▶ sites (dns, their
 *     part of the generation) ─▶ admin ─▶ threads ─▶ sandbox, sealed
 *
 * What can fail for a reason of the user's (an address in use, a log that cannot be written) is
 * tried first. server_close() takes down whatever is up, from the end.
 */
#include "gateway/server.h"

#include "base/check.h"
#include "gateway/admin.h"
#include "gateway/census.h"
#include "gateway/config_way.h"
#include "gateway/generation.h"
#include "gateway/inlet.h"
#include "gateway/lookout.h"
#include "gateway/otlp.h"
#include "gateway/process.h"
#include "gateway/relay.h"
#include "gateway/relief.h"
#include "gateway/resolver.h"
#include "gateway/sandbox.h"
#include "gateway/secure.h"
#include "io/clock.h"
#include "io/dns.h"
#include "io/notify.h"
#include "io/oserror.h"
#include "listener/accept.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SESSION_BYTES     256U    /* more of a key's text: whose session it is, the way there */
#define STREAMS_MAX       100000U /* of all clients of HTTP/2 on one worker */
#define GROUPS_SPARE      1024U   /* clients of whom upstreams are told (proxy_protocol) */
#define DESCRIPTORS_SPARE 64U     /* logs, loops, the admin's clients, DNS */

static int open_logs(struct server *s, char *ret_fault);
static int open_otlp(struct server *s);
static int open_generation(struct server *s, char *ret_fault);
static int open_crew(struct server *s);
static int open_sites(struct server *s);
static int open_admin(struct server *s, char *ret_fault);
static void log_open(struct server *s);

/* --- open and close ------------------------------------------------------------------------------
 */

int server_fault(char *ret_fault, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_fault, SERVER_FAULT_MAX, format, args);
    va_end(args);
    return error;
}

/* The threads; where another process serves still, behind doors that are shut. */
static int begin(struct server *s)
{
    if (s->opt.waits)
        server_hold(s);
    int error = crew_start(s->crew);
    if (error == 0) {
        s->started = true;
        s->state = s->opt.waits ? SERVER_OPENING : SERVER_SERVING;
    }
    return error;
}

static void name_node(struct server *s)
{
    slice_copy(s->node, sizeof(s->node), slice_of(s->config->node.name));
    if (s->node[0] == '\0' && gethostname(s->node, sizeof(s->node) - 1) != 0)
        slice_copy(s->node, sizeof(s->node), SLICE("weir"));
}

int server_open(const struct server_options *opt, struct server **ret_server,
                char ret_fault[static SERVER_FAULT_MAX])
{
    struct server *s = calloc(1, sizeof(*s));
    ret_fault[0] = '\0';
    if (s == NULL)
        return server_fault(ret_fault, -ENOMEM, "out of memory");
    s->opt = *opt;
    s->config = opt->config;
    s->started_ms = clock_now_ms();
    s->started_wall_ms = clock_wall_ms();
    s->sites_count = s->config->workers > 0 ? s->config->workers : process_cpus();
    list_init(&s->censuses);
    s->events.last = &s->last_event;
    server_drain_init(s);
    name_node(s);

    int error = open_generation(s, ret_fault);
    if (error == 0)
        error = open_logs(s, ret_fault);
    if (error == 0)
        error = open_otlp(s);
    if (error == 0)
        error = open_crew(s);
    if (error == 0)
        error = open_sites(s);
    if (error == 0)
        error = open_admin(s, ret_fault);
    if (error == 0)
        error = lookout_open(s, &s->lookout);
    if (error == 0)
        error = relief_open(s, &s->relief);
    if (error == 0)
        error = begin(s);
    if (error == 0 && opt->sandbox != NULL)
        error = sandbox_seal(opt->sandbox, ret_fault);
    if (error != 0) {
        if (ret_fault[0] == '\0')
            server_fault(ret_fault, error, "cannot start: %s", oserror_text(error));
        server_close(s);
        return error;
    }
    secure_watch(s->secure, s->opt.loop, &s->voice.sink);
    log_open(s);
    *ret_server = s;
    return 0;
}

static void close_site(struct site *site)
{
    if (site->server->generation != NULL)
        generation_leave(site->server->generation, worker_index(site->worker));
    if (site->dns != NULL)
        dns_close(site->dns);
    cork_fini(&site->cork);
}

void server_close(struct server *s)
{
    server_drain_fini(s);
    if (s->started) {
        crew_stop(s->crew);
        crew_join(s->crew);
    }
    admin_close(s->admin);
    lookout_close(s->lookout);
    relief_close(s->relief);
    census_forget_all(s);
    for (uint32_t i = 0; s->sites != NULL && i < s->sites_count; i++)
        if (s->sites[i].worker != NULL)
            close_site(&s->sites[i]);
    otlp_close(s->otlp);
    generation_free(s->generation);
    if (s->crew != NULL)
        crew_free(s->crew);
    free(s->sites);
    if (s->access != NULL)
        notify_close(s->access);
    journal_close(s->journal);
    free(s);
}

/* --- logs ----------------------------------------------------------------------------------------
 */

static int open_logs(struct server *s, char *ret_fault)
{
    int error = journal_open(s->config, &s->journal);
    if (error != 0)
        return error;
    journal_join(s->journal, &s->voice);
    if (strcmp(s->config->log.access, "off") == 0)
        return 0;
    struct notify_options opt = {.target = s->config->log.access};
    error = notify_open(&opt, &s->access);
    return error == 0 ? 0
                      : server_fault(ret_fault, error, "log.access: cannot write to %s: %s",
                                     s->config->log.access, oserror_text(error));
}

static int open_otlp(struct server *s)
{
    const struct otlp_options opt = {.loop = s->opt.loop,
                                     .config = s->config,
                                     .node = s->node,
                                     .log = &s->voice.sink,
                                     .workers = s->sites_count};
    return s->config->log.otlp.url[0] != '\0' ? otlp_open(&opt, &s->otlp) : 0;
}

static void log_open(struct server *s)
{
    sandbox_log(s->opt.sandbox, &s->voice.sink);
    const struct log_sink *log = &s->voice.sink;
    for (uint32_t i = 0; i < s->config->listeners.count; i++)
        log_to(log, LOG_INFO_LEVEL, "listening",
               log_text("listener", s->config->listeners.at[i].name),
               log_text("address", s->config->listeners.at[i].address.text),
               log_u64("port", server_port(s, i)));
    if (s->admin != NULL)
        log_to(log, LOG_INFO_LEVEL, "admin listening",
               log_text("address", s->config->admin.address.text),
               log_u64("port", admin_port(s->admin)));
    log_to(log, LOG_INFO_LEVEL, s->opt.waits ? "ready to take over" : "serving",
           log_text("version", WEIR_VERSION), log_text("node", s->node),
           log_u64("workers", s->sites_count), log_u64("pid", (uint64_t)getpid()));
}

uint32_t server_reload_certificates(struct server *s)
{
    return secure_reload(s->secure, true, &s->voice.sink);
}

void server_reopen_logs(struct server *s)
{
    if (s->access != NULL)
        notify_reopen(s->access);
    journal_reopen(s->journal);
    log_to(&s->voice.sink, LOG_INFO_LEVEL, "logs reopened",
           log_text("access", s->config->log.access));
}

/* How loud an event is in the program's log. */
static enum log_level event_level(const weir_event *event)
{
    switch (event->kind) {
    case WEIR_EVENT_KEY_DOWN:
    case WEIR_EVENT_LEASE_OVERDUE:
    case WEIR_EVENT_EVENTS_LOST: return LOG_WARN_LEVEL;
    case WEIR_EVENT_HEALTH_STATUS_CHANGED:
        return event->health == WEIR_HEALTHY ? LOG_INFO_LEVEL : LOG_WARN_LEVEL;
    case WEIR_EVENT_KEY_UP: return LOG_INFO_LEVEL;
    default: return LOG_DEBUG_LEVEL;
    }
}

static void event_log(const struct log_sink *log, const weir_event *event)
{
    char key[160] = "";
    if (event->key != NULL)
        weir_key_text(event->key, key, sizeof(key));
    log_to(log, event_level(event), weir_event_word(event->kind),
           log_text("pool", event->pool_name), log_text("key", key),
           log_text("why", event->why != WEIR_OK ? weir_err_word(event->why) : ""),
           log_text("health", weir_health_word(event->health)), log_u64("total", event->total),
           log_u64("waiting", event->waiting));
}

/* On the thread of the engine that tells, or on the hub's before the threads start. */
static void on_event(void *arg, const weir_event *event)
{
    struct server *s = arg;
    struct worker *here = worker_here();
    if (here == NULL)
        return;
    struct site *site = &s->sites[worker_index(here)];
    eventlog_add(&site->events, event, clock_wall_ms());
    if (log_wants(&site->voice.sink, event_level(event)))
        event_log(&site->voice.sink, event);
}

static enum log_level relay_event_level(enum relay_event_kind kind)
{
    switch (kind) {
    case RELAY_EVENT_OPENCLAW_DENIED:
    case RELAY_EVENT_ACCOUNT_COOLED: return LOG_WARN_LEVEL;
    case RELAY_EVENT_ACCOUNT_RECOVERED: return LOG_INFO_LEVEL;
    default: return LOG_DEBUG_LEVEL; /* the access log has it as well */
    }
}

void server_on_relay_event(void *self, const struct relay_event *event)
{
    struct site *site = self;
    eventlog_add_relays(&site->events, event, clock_wall_ms());
    log_to(&site->voice.sink, relay_event_level(event->kind), relay_event_word(event->kind),
           log_text("upstream", event->upstream), log_text("account", event->account),
           log_text("from", event->from),
           log_text("session", event->session != NULL ? event->session : ""),
           log_text("endpoint", event->endpoint != NULL ? event->endpoint : ""),
           log_text("why", event->why), log_slice("family", event->family),
           log_u64("for_ms", event->for_ms));
}

void server_tell(struct server *s, enum log_level level, const struct told_event *event)
{
    eventlog_add_told(&s->events, event, clock_wall_ms());
    log_to(&s->voice.sink, level, event->event,
           log_text("pool", event->pool != NULL ? event->pool : ""),
           log_text("who", event->who != NULL ? event->who : ""),
           log_text("what", event->what != NULL ? event->what : ""),
           log_text("why", event->why != NULL ? event->why : ""));
}

/* --- ports ---------------------------------------------------------------------------------------
 */

int server_bind_fault(char *ret_fault, int error, const char *what, const char *address)
{
    if (error == -EADDRINUSE)
        return server_fault(
            ret_fault, error,
            "%s: cannot listen on %s: another program listens there; stop it (`ss -ltnp` "
            "shows which it is) or choose another address",
            what, address);
    if (error == -EACCES)
        return server_fault(ret_fault, error,
                            "%s: cannot listen on %s: not permitted; ports below 1024 need root or "
                            "CAP_NET_BIND_SERVICE",
                            what, address);
    if (error == -EADDRNOTAVAIL)
        return server_fault(
            ret_fault, error,
            "%s: cannot listen on %s: this machine has no such address; 0.0.0.0 and [::] "
            "are all it has",
            what, address);
    return server_fault(ret_fault, error, "%s: cannot listen on %s: %s", what, address,
                        oserror_text(error));
}

struct address server_address(const struct config_address *address)
{
    struct address ret = {0};
    bool good = address->unix_path[0] != '\0' ? address_of_unix(address->unix_path, &ret)
                                              : address_of_host(address->host, address->port, &ret);
    check(good); /* the configuration was read: both were tried there */
    return ret;
}

uint16_t server_port(const struct server *server, uint32_t listener)
{
    return address_port(accept_port_address(server->generation->ports[listener]));
}

struct relay *server_relay(const struct server *server, uint32_t worker)
{
    return server->generation->parts[worker].relay;
}

struct inlet *server_inlet(const struct server *server, uint32_t worker, uint32_t listener)
{
    return server->generation->parts[worker].inlets[listener];
}

uint16_t server_admin_port(const struct server *server)
{
    return server->admin != NULL ? admin_port(server->admin) : 0;
}

static int open_admin(struct server *s, char *ret_fault)
{
    const struct config_address *address = &s->config->admin.address;
    if (address->host[0] == '\0' && address->unix_path[0] == '\0')
        return 0;
    int error = admin_open(s, &s->admin);
    return error == 0 ? 0 : server_bind_fault(ret_fault, error, "admin", address->text);
}

/* --- crew ----------------------------------------------------------------------------------------
 */

/* One for each endpoint and account, and each once more for HTTP/1.1 alone. */
static uint64_t keys_of(const struct config_upstream *u)
{
    uint32_t accounts = u->accounts.count > 0 ? u->accounts.count : 1;
    return (uint64_t)2 * u->endpoints.count * accounts;
}

/* What the proxies add to the text of those keys; room for a text is a power of two. */
static uint64_t proxy_bytes_of(const struct config_upstream *u)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < config_ways(u); i++)
        bytes += strlen(config_way(u, i));
    return (uint64_t)4 * u->endpoints.count * bytes;
}

/* Each conversation has keys of its own, as many as have a connection or wait for one. */
static bool is_isolated(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        for (uint32_t r = 0; r < l->routes.count; r++)
            if (l->routes.at[r].isolate == ISOLATE_SESSION)
                return true;
    }
    return false;
}

/* What one worker may need at most. Clients are spread evenly, but nothing forbids that one worker
 * has them all; memory that is never used costs nothing. */
static weir_engine_options engine_options(struct server *s)
{
    const struct config *config = s->config;
    uint64_t clients = 0, streams = 0, conns = 0, waiting = 0, keys = 0;
    uint64_t proxy_bytes = 0;
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        clients += l->pool.max_connections;
        streams += (uint64_t)l->pool.max_connections * l->http2.max_concurrent_streams;
    }
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *u = &config->upstreams.at[i];
        uint32_t total = u->pool.max_total == WEIR_UNLIMITED ? 100000 : u->pool.max_total;
        conns += total;
        waiting += u->pool.waiting_max == WEIR_NONE ? 0 : u->pool.waiting_max;
        keys += keys_of(u);
        proxy_bytes += proxy_bytes_of(u);
    }
    uint64_t sessions = is_isolated(config) ? conns + waiting : 0;
    weir_engine_options opt = {.size = sizeof(opt)};
    opt.conns_max = (uint32_t)(clients + conns + 64);
    opt.waiting_max = (uint32_t)(waiting + 64);
    opt.leases_max = opt.conns_max + opt.waiting_max
                     + (uint32_t)(streams < STREAMS_MAX ? streams : STREAMS_MAX);
    opt.keys_max = (uint32_t)(clients + keys + sessions + 64);
    opt.key_bytes_max = opt.keys_max * 128 + (uint32_t)(proxy_bytes + sessions * SESSION_BYTES);
    opt.groups_max = (uint32_t)keys + GROUPS_SPARE;
    opt.pools_max = census_pools_count(s) + 1;
    opt.on_event = on_event;
    opt.event_arg = s;
    opt.events = eventlog_mask(); /* nothing is told with every request */
    opt.now_ms = clock_now_ms();
    if (getrandom(&opt.seed, sizeof(opt.seed), GRND_NONBLOCK) != sizeof(opt.seed))
        opt.seed = clock_now_ns();
    return opt;
}

/* A head must fit twice into what one read may bring. */
static size_t read_buffer_bytes(const struct config *config)
{
    size_t bytes = 65536;
    for (uint32_t i = 0; i < config->listeners.count; i++)
        if ((size_t)config->listeners.at[i].http1.max_header_bytes * 2 > bytes)
            bytes = (size_t)config->listeners.at[i].http1.max_header_bytes * 2;
    return bytes;
}

static int open_crew(struct server *s)
{
    struct crew_options opt = {.workers = s->sites_count, .engine = engine_options(s)};
    opt.loop.read_buffer_bytes = read_buffer_bytes(s->config);
    uint32_t limit = process_raise_descriptors();
    uint64_t needed = (uint64_t)opt.engine.conns_max + DESCRIPTORS_SPARE;
    if (needed > limit)
        log_to(&s->voice.sink, LOG_WARN_LEVEL, "too few file descriptors for all limits",
               log_u64("needed", needed), log_u64("allowed", limit));
    int error = crew_new(&opt, &s->crew);
    return error == 0 ? crew_hub(s->crew, s->opt.loop) : error;
}

/* --- sites ---------------------------------------------------------------------------------------
 */

static int open_site(struct server *s, uint32_t index)
{
    struct site *site = &s->sites[index];
    *site = (struct site){.server = s, .worker = crew_worker(s->crew, index)};
    cork_init(&site->cork, worker_loop(site->worker));
    site->events.last = &s->last_event;
    journal_join(s->journal, &site->voice);
    if (s->access != NULL)
        site->access = notify_join(s->access);
    int error = resolver_open(s->config, worker_loop(site->worker), &site->dns);
    if (error == 0)
        error = generation_join(s->generation, index);
    site->relay = s->generation->parts[index].relay;
    site->inlets = s->generation->parts[index].inlets;
    return error;
}

static int open_sites(struct server *s)
{
    s->sites = calloc(s->sites_count, sizeof(*s->sites));
    int error = s->sites == NULL ? -ENOMEM : 0;
    for (uint32_t i = 0; error == 0 && i < s->sites_count; i++)
        error = open_site(s, i);
    return error;
}

static int open_generation(struct server *s, char *ret_fault)
{
    int error = generation_new(s, s->config, &s->generation, ret_fault);
    if (error == 0) {
        s->shared = s->generation->shared;
        s->secure = s->generation->secure;
    }
    return error;
}
