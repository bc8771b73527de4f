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
#include "gateway/capacity.h"
#include "gateway/census.h"
#include "gateway/discovery.h"
#include "gateway/engine_room.h"
#include "gateway/generation.h"
#include "gateway/inlet.h"
#include "gateway/lookout.h"
#include "gateway/otlp.h"
#include "gateway/process.h"
#include "gateway/relay.h"
#include "gateway/relief.h"
#include "gateway/reload.h"
#include "gateway/resolver.h"
#include "gateway/sandbox.h"
#include "gateway/secure.h"
#include "io/clock.h"
#include "io/dns.h"
#include "io/notify.h"
#include "io/oserror.h"
#include "listener/accept.h"
#include "proto/prom_totals.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

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
    s->config = *opt->take_config;
    s->started_ms = clock_now_ms();
    s->started_wall_ms = clock_wall_ms();
    s->sites_count = s->config->workers > 0 ? s->config->workers : process_cpus();
    list_init(&s->censuses);
    list_init(&s->generations);
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
        error = reload_open(s, &s->reload);
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
    s->discovery = opt->discovery;
    if (s->discovery != NULL)
        discovery_begin(s->discovery, s);
    *ret_server = s;
    return 0;
}

static void close_site(struct site *site)
{
    loop_timer_stop(worker_loop(site->worker), &site->ageing);
    generation_leave_all(site);
    if (site->dns != NULL)
        dns_close(site->dns);
    cork_fini(&site->cork);
}

void server_halt(struct server *s)
{
    if (!s->started)
        return;
    s->started = false;
    crew_stop(s->crew);
    crew_join(s->crew);
}

void server_close(struct server *s)
{
    server_drain_fini(s);
    server_halt(s);
    admin_close(s->admin);
    lookout_close(s->lookout);
    relief_close(s->relief);
    census_forget_all(s);
    reload_close(s->reload);
    for (uint32_t i = 0; s->sites != NULL && i < s->sites_count; i++)
        if (s->sites[i].worker != NULL)
            close_site(&s->sites[i]);
    otlp_close(s->otlp);
    while (!list_is_empty(&s->generations))
        generation_free(list_entry(list_pop_front(&s->generations), struct generation, on_server));
    if (s->crew != NULL)
        crew_free(s->crew);
    free(s->sites);
    if (s->access != NULL)
        notify_close(s->access);
    journal_close(s->journal);
    prom_totals_free(s->totals);
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

/* Nobody waits for what comes of it: it is an event, and a line of the log. */
static void reload_done(struct reload_ask *ask, const struct reload_verdict *verdict)
{
    struct server *s = container_of(ask, struct server, hang_up);
    (void)verdict;
    s->is_hung_up = s->is_hung_up_again;
    s->is_hung_up_again = false;
    if (s->is_hung_up)
        reload_begin(s->reload, ask);
}

/* Those that come while the file may be read already are one more. */
void server_reload(struct server *s)
{
    s->is_hung_up_again = s->is_hung_up;
    if (s->is_hung_up)
        return;
    s->is_hung_up = true;
    s->hang_up = (struct reload_ask){.who = "SIGHUP", .done = reload_done};
    reload_begin(s->reload, &s->hang_up);
}

/* One that stays down is dialled every second: told when it goes down, and then ever more seldom.
 */
static bool is_news(const weir_event *event)
{
    weir_pool_options opt = {.size = sizeof(opt)};
    weir_pool_options_of(event->pool, &opt);
    uint32_t more = event->failures > opt.failures_max ? event->failures - opt.failures_max : 0;
    return more == 0 || (more & (more - 1)) == 0;
}

/* How loud an event is in the program's log. */
static enum log_level event_level(const weir_event *event)
{
    switch (event->kind) {
    case WEIR_EVENT_KEY_DOWN: return is_news(event) ? LOG_WARN_LEVEL : LOG_DEBUG_LEVEL;
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

static weir_engine_options engine_options(struct server *s)
{
    const struct engine_room *room = &s->room;
    weir_engine_options opt = {.size = sizeof(opt),
                               .conns_max = (uint32_t)room->conns,
                               .waiting_max = (uint32_t)room->waiting,
                               .leases_max = (uint32_t)room->leases,
                               .keys_max = (uint32_t)room->keys,
                               .key_bytes_max = (uint32_t)room->key_bytes,
                               .groups_max = (uint32_t)room->groups,
                               .pools_max = (uint32_t)room->pools,
                               .on_event = on_event,
                               .event_arg = s,
                               .events = eventlog_mask(), /* nothing is told with every request */
                               .now_ms = clock_now_ms()};
    if (getrandom(&opt.seed, sizeof(opt.seed), GRND_NONBLOCK) != sizeof(opt.seed))
        opt.seed = clock_now_ns();
    return opt;
}

static int open_crew(struct server *s)
{
    const struct engine_room room = engine_room_of(s->config);
    s->room = engine_room_reserve(&room);
    struct crew_options opt = {.workers = s->sites_count, .engine = engine_options(s)};
    opt.loop.read_buffer_bytes = room.read_buffer;
    uint32_t limit = process_raise_descriptors();
    uint64_t needed = engine_room_descriptors(&room);
    if (needed > limit)
        log_to(&s->voice.sink, LOG_WARN_LEVEL, "too few file descriptors for all limits",
               log_u64("needed", needed), log_u64("allowed", limit));
    int error = crew_new(&opt, &s->crew);
    return error == 0 ? crew_hub(s->crew, s->opt.loop) : error;
}

/* --- sites ---------------------------------------------------------------------------------------
 */

static void on_ageing(struct loop_timer *timer, uint64_t now_ms)
{
    struct site *site = container_of(timer, struct site, ageing);
    generation_look(site);
    server_drain_look(site);
    site->ageing_ms = site->ageing_ms < GENERATION_LOOK_MOST_MS / 2 ? site->ageing_ms * 2
                                                                    : GENERATION_LOOK_MOST_MS;
    if (site->parts.count > 1)
        loop_timer_set(worker_loop(site->worker), timer, now_ms + site->ageing_ms);
}

void server_age(struct site *site)
{
    struct loop *loop = worker_loop(site->worker);
    site->ageing_ms = GENERATION_LOOK_MS;
    loop_timer_set(loop, &site->ageing, loop_now_ms(loop) + site->ageing_ms);
}

static int open_site(struct server *s, uint32_t index)
{
    struct site *site = &s->sites[index];
    *site = (struct site){.server = s, .worker = crew_worker(s->crew, index)};
    cork_init(&site->cork, worker_loop(site->worker));
    list_init(&site->parts);
    list_init(&site->relays);
    site->ageing.fire = on_ageing;
    site->events.last = &s->last_event;
    journal_join(s->journal, &site->voice);
    if (s->access != NULL)
        site->access = notify_join(s->access);
    int error = resolver_open(s->config, worker_loop(site->worker), &site->dns);
    if (error == 0)
        error = generation_join(s->generation, index);
    if (error == 0)
        generation_begin(s->generation, index);
    else
        generation_abandon(s->generation, index);
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
    struct generation *first;
    struct config *own = *s->opt.take_config;
    *s->opt.take_config = NULL;
    s->opt.take_config = NULL;
    int error = generation_new(s, own, NULL, &first, ret_fault);
    if (error == 0) {
        list_push_back(&s->generations, &first->on_server);
        server_obey(s, first);
    }
    return error;
}

void server_obey(struct server *s, struct generation *generation)
{
    s->generation = generation;
    s->config = generation->config;
    s->shared = generation->shared;
    s->secure = generation->secure;
}

void server_renewed(struct server *s, const struct config *before)
{
    journal_voice_obey(&s->voice, s->config);
    journal_obey(s->journal, s->config);
    relief_obey(s->relief);
    if (s->discovery != NULL)
        discovery_renew(s->discovery, s->config);
    bool good = s->capacity == NULL || capacity_renew(s, &s->capacity);
    if (lookout_renew(s, before, &s->lookout) != 0 || !good)
        log_to(&s->voice.sink, LOG_ERROR_LEVEL,
               "alerts and capacity go by the configuration before: no memory");
}
