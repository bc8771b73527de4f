/* SPDX-License-Identifier: Apache-2.0
 *
 * server_drain.c - how a gateway ends: its clients are let go, or another process takes over first.
 *
 *     serving ─▶ draining ─▶ drained                 server_drain(): accepts until a delay is over
 *     serving ─▶ paused ─▶ draining ─▶ drained       server_pause(), server_give()
 *        ▲          └─ it came to nothing: server_resume()
 *
 * Whoever waits in a backlog is let down by nobody: a gateway that ends takes them first, one whose
 * sockets another process has leaves them to it.
 */
#include "gateway/admin.h"
#include "gateway/generation.h"
#include "gateway/inlet.h"
#include "gateway/manager.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/upgrade.h"
#include "io/clock.h"
#include "listener/accept.h"
#include "listener/drain.h"
#include "runtime/worker.h"

#include <stdio.h>

#define TOLD_EVERY_MS 5000U
#define PATIENCE_MS   1000U
#define PATIENCE_PART 4U /* of the time that they have at most */
#define EACH_MS       1U /* clients are let go one after the other, of each worker, */
#define SPREAD_PART   4U /* over that part of the time that they have at most */
#define GIVEN_PART    2U /* where another process serves, and there is no haste: over that part, */
#define GIVEN_MOST_MS                                                                              \
    15000U /* and no longer than this, unless there are more than one each EACH_MS */

static void drained(struct server *s);
static void ended(void *arg);
static void drain_now(struct loop_later *later);
static void tell_left(struct loop_timer *timer, uint64_t now_ms);
static void close_doors(struct loop_timer *timer, uint64_t now_ms);

void server_drain_init(struct server *s)
{
    s->drain_soon = (struct loop_later){.run = drain_now};
    s->drain_told = (struct loop_timer){.fire = tell_left};
    s->drain_delay = (struct loop_timer){.fire = close_doors};
}

void server_drain_fini(struct server *s)
{
    loop_later_cancel(s->opt.loop, &s->drain_soon);
    loop_timer_stop(s->opt.loop, &s->drain_told);
    loop_timer_stop(s->opt.loop, &s->drain_delay);
}

/* --- drain ---------------------------------------------------------------------------------------
 */

static void site_drained(void *self, uint64_t unused)
{
    (void)unused;
    struct server *s = self;
    s->sites_draining--;
    if (s->sites_draining == 0)
        drained(s);
}

/* Once no worker accepts any more, nobody shall wait in the backlog for one that will not come. */
static void site_shut(void *self, uint64_t unused)
{
    (void)unused;
    struct server *s = self;
    s->sites_open--;
    for (uint32_t l = 0; s->sites_open == 0 && l < s->config->listeners.count; l++)
        accept_port_refuse(s->generation->ports[l]);
}

/* Clients of listeners that an older configuration had, which drain since it was replaced. */
static bool has_older_clients(const struct site *site)
{
    bool any = false;
    weir_list_each(it, &site->parts) {
        any = any || list_entry(it, struct generation_part, on_site)->draining > 0;
    }
    return any;
}

void server_drain_look(struct site *site)
{
    struct server *s = site->server;
    if (!site->is_draining || site->draining > 0
        || (has_older_clients(site) && clock_now_ms() < s->drain_until_ms))
        return;
    site->is_draining = false;
    crew_post_hub(s->crew, site_drained, s, 0);
}

static void listener_drained(void *arg)
{
    struct site *site = arg;
    site->draining--;
    server_drain_look(site);
}

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static struct drain_time time_of(const struct site *site, uint32_t listener, uint64_t at_most_ms)
{
    const struct server *s = site->server;
    uint32_t grace_ms = least(s->config->listeners.at[listener].pool.drain_timeout_ms, at_most_ms);
    uint32_t taken = accept_port_taken_at(s->generation->ports[listener],
                                          worker_index(site->worker));
    uint64_t each_ms = (uint64_t)taken * EACH_MS;
    uint32_t spread_ms = s->is_given ? least(each_ms > GIVEN_MOST_MS ? each_ms : GIVEN_MOST_MS,
                                             grace_ms / GIVEN_PART)
                                     : least(each_ms, grace_ms / SPREAD_PART);
    uint32_t patience_ms = s->is_given ? least(PATIENCE_MS, grace_ms / PATIENCE_PART) : 0;
    return (struct drain_time){
        .grace_ms = grace_ms, .spread_ms = spread_ms, .patience_ms = patience_ms};
}

static void site_unready(void *self, uint64_t unused)
{
    struct site *site = self;
    (void)unused;
    weir_list_each(it, &site->parts) {
        struct relay *relay = list_entry(it, struct generation_part, on_site)->relay;
        if (relay != NULL)
            relay_unready(relay);
    }
}

static void site_drain(void *self, uint64_t at_most_ms)
{
    struct site *site = self;
    struct server *s = site->server;
    uint32_t count = s->config->listeners.count, spread_ms = 0;
    for (uint32_t l = 0; l < count; l++) {
        const struct drain_time time = time_of(site, l, at_most_ms);
        spread_ms = time.spread_ms > spread_ms ? time.spread_ms : spread_ms;
    }
    weir_list_each(it, &site->parts) {
        struct relay *relay = list_entry(it, struct generation_part, on_site)->relay;
        if (relay != NULL)
            relay_drain(relay, spread_ms);
    }
    site->draining = count;
    site->is_draining = true;
    if (has_older_clients(site))
        server_age(site); /* it may have become seldom */
    for (uint32_t l = 0; l < count; l++) {
        if (s->is_given)
            inlet_shut_door(site->inlets[l]);
        inlet_drain(site->inlets[l], time_of(site, l, at_most_ms), listener_drained, site);
    }
    if (!s->is_given)
        crew_post_hub(s->crew, site_shut, s, 0);
}

uint32_t server_left(const struct server *s)
{
    uint32_t left = 0;
    weir_list_each(it, &s->generations) {
        const struct generation *g = list_entry(it, struct generation, on_server);
        for (uint32_t l = 0; l < g->config->listeners.count; l++)
            left += g->ports[l] != NULL ? accept_port_taken(g->ports[l]) : 0;
    }
    return left;
}

uint32_t server_drain_left_ms(const struct server *s)
{
    uint64_t now_ms = clock_now_ms();
    if (s->drain_until_ms == UINT64_MAX)
        return WEIR_NEVER;
    return s->drain_until_ms > now_ms ? (uint32_t)(s->drain_until_ms - now_ms) : 0;
}

static void tell_left(struct loop_timer *timer, uint64_t now_ms)
{
    struct server *s = container_of(timer, struct server, drain_told);
    uint32_t left_ms = server_drain_left_ms(s);
    char status[64];
    snprintf(status, sizeof(status), "draining, %u clients left", server_left(s));
    manager_status(s->manager, status);
    if (left_ms == WEIR_NEVER)
        log_to(&s->voice.sink, LOG_INFO_LEVEL, "draining", log_u64("clients", server_left(s)));
    else
        log_to(&s->voice.sink, LOG_INFO_LEVEL, "draining", log_u64("clients", server_left(s)),
               log_u64("cut_in_ms", left_ms));
    loop_timer_set(s->opt.loop, &s->drain_told, now_ms + TOLD_EVERY_MS);
}

/* The longest that clients of its listeners have, where it has any. */
static uint32_t longest_of(const struct generation *g, bool is_in_force)
{
    uint32_t longest_ms = 0;
    for (uint32_t l = 0; l < g->config->listeners.count; l++) {
        uint32_t grace_ms = g->config->listeners.at[l].pool.drain_timeout_ms;
        bool counts = is_in_force || (g->ports[l] != NULL && accept_port_taken(g->ports[l]) > 0);
        longest_ms = counts && grace_ms > longest_ms ? grace_ms : longest_ms;
    }
    return longest_ms;
}

/* When the last of them is cut. Those of older configurations have been told before, and are gone
 * by then. */
static uint64_t until_ms(const struct server *s, uint32_t at_most_ms)
{
    uint64_t longest_ms = 0;
    weir_list_each(it, &s->generations) {
        const struct generation *g = list_entry(it, struct generation, on_server);
        uint32_t grace_ms = least(longest_of(g, g == s->generation), at_most_ms);
        longest_ms = grace_ms > longest_ms ? grace_ms : longest_ms;
    }
    return longest_ms == WEIR_NEVER ? UINT64_MAX : clock_now_ms() + longest_ms;
}

void server_drain_if_due(struct server *s)
{
    if (!s->is_drain_due)
        return;
    if (s->is_drain_hasty)
        server_drain_at_once(s, s->drain_at_most_ms);
    else
        server_drain_soon(s, s->drain_at_most_ms);
}

/* Readiness is off already. */
static void close_doors(struct loop_timer *timer, uint64_t now_ms)
{
    struct server *s = container_of(timer, struct server, drain_delay);
    (void)now_ms;
    s->sites_draining = s->sites_open = s->sites_count;
    s->drain_until_ms = until_ms(s, s->drain_at_most_ms);
    for (uint32_t i = 0; i < s->sites_count; i++)
        if (!worker_post(s->sites[i].worker, site_drain, &s->sites[i], s->drain_at_most_ms)) {
            server_stop(s); /* a worker that takes no letters will not drain either */
            return;
        }
}

static void begin_drain(struct server *s, uint32_t at_most_ms, uint32_t delay_ms)
{
    uint64_t now_ms = loop_now_ms(s->opt.loop);
    if (s->state != SERVER_SERVING)
        return;
    s->drain_at_most_ms = at_most_ms;
    s->is_drain_hasty = delay_ms == 0;
    if (reload_is_under_way(s->reload)) { /* which is over soon, or given up */
        s->is_drain_due = true;
        reload_give_up(s->reload);
        return;
    }
    s->state = SERVER_DRAINING;
    upgrade_abandon(s->upgrade);
    s->drain_until_ms = until_ms(s, at_most_ms);
    if (s->drain_until_ms != UINT64_MAX)
        s->drain_until_ms += delay_ms;
    manager_stopping(s->manager, "draining");
    tell_left(&s->drain_told, now_ms);
    if (delay_ms == 0) {
        close_doors(&s->drain_delay, now_ms);
        return;
    }
    loop_timer_set(s->opt.loop, &s->drain_delay, now_ms + delay_ms);
    for (uint32_t i = 0; i < s->sites_count; i++)
        worker_post(s->sites[i].worker, site_unready, &s->sites[i],
                    0); /* or hears it with the rest */
}

void server_drain(struct server *s, uint32_t at_most_ms)
{
    begin_drain(s, at_most_ms, s->config->process.drain_delay_ms);
}

void server_drain_at_once(struct server *s, uint32_t at_most_ms)
{
    begin_drain(s, at_most_ms, 0);
}

static void drain_now(struct loop_later *later)
{
    struct server *s = container_of(later, struct server, drain_soon);
    server_drain(s, s->drain_at_most_ms);
}

void server_drain_soon(struct server *s, uint32_t at_most_ms)
{
    s->drain_at_most_ms = at_most_ms;
    loop_later(s->opt.loop, &s->drain_soon);
}

/* Who asks the admin interface has the last word. */
static void drained(struct server *s)
{
    if (s->state == SERVER_STOPPED)
        return;
    loop_timer_stop(s->opt.loop, &s->drain_told);
    if (s->admin != NULL)
        admin_end(s->admin, ended, s);
    else
        ended(s);
}

static void ended(void *arg)
{
    struct server *s = arg;
    if (s->state == SERVER_STOPPED)
        return;
    s->state = SERVER_STOPPED;
    log_to(&s->voice.sink, LOG_INFO_LEVEL, "drained",
           log_u64("uptime_ms", clock_now_ms() - s->started_ms));
    s->opt.on_end(s->opt.arg);
}

void server_stop(struct server *s)
{
    if (s->state == SERVER_STOPPED)
        return;
    s->state = SERVER_STOPPED;
    loop_timer_stop(s->opt.loop, &s->drain_told);
    manager_stopping(s->manager, "stopping");
    log_to(&s->voice.sink, LOG_WARN_LEVEL, "stopped before it was drained",
           log_u64("uptime_ms", clock_now_ms() - s->started_ms));
    s->opt.on_end(s->opt.arg);
}

/* --- another process takes over ------------------------------------------------------------------
 */

void server_sockets(const struct server *s, void (*fn)(void *self, const char *name, int fd),
                    void *self)
{
    for (uint32_t l = 0; l < s->config->listeners.count; l++)
        fn(self, s->config->listeners.at[l].name, accept_port_fd(s->generation->ports[l]));
    if (s->admin != NULL)
        fn(self, "admin", accept_port_fd(admin_socket(s->admin)));
}

static void pause_site(struct site *site)
{
    for (uint32_t l = 0; l < site->server->config->listeners.count; l++)
        inlet_pause(site->inlets[l]);
}

void server_hold(struct server *s)
{
    for (uint32_t i = 0; i < s->sites_count; i++)
        pause_site(&s->sites[i]);
    if (s->admin != NULL)
        admin_pause(s->admin);
}

static void site_paused(void *self, uint64_t unused)
{
    (void)unused;
    struct server *s = self;
    s->sites_pausing--;
    if (s->sites_pausing == 0)
        s->paused(s->paused_arg);
}

static void site_pause(void *self, uint64_t unused)
{
    (void)unused;
    struct site *site = self;
    pause_site(site);
    crew_post_hub(site->server->crew, site_paused, site->server, 0);
}

bool server_pause(struct server *s, void (*paused)(void *arg), void *arg)
{
    s->paused = paused;
    s->paused_arg = arg;
    s->sites_pausing = s->sites_count;
    if (s->admin != NULL)
        admin_pause(s->admin);
    for (uint32_t i = 0; i < s->sites_count; i++)
        if (!worker_post(s->sites[i].worker, site_pause, &s->sites[i], 0))
            return false;
    return true;
}

static void site_resume(void *self, uint64_t unused)
{
    (void)unused;
    struct site *site = self;
    for (uint32_t l = 0; l < site->server->config->listeners.count; l++)
        inlet_resume(site->inlets[l]);
}

void server_resume(struct server *s)
{
    if (s->state == SERVER_OPENING) {
        s->state = SERVER_SERVING;
        log_to(&s->voice.sink, LOG_INFO_LEVEL, "serving",
               log_u64("after_ms", clock_now_ms() - s->started_ms));
    }
    if (s->admin != NULL)
        admin_resume(s->admin);
    for (uint32_t i = 0; i < s->sites_count; i++)
        if (!worker_post(s->sites[i].worker, site_resume, &s->sites[i], 0)) {
            server_stop(s); /* half of it deaf: better an end that is seen */
            return;
        }
}

void server_give(struct server *s)
{
    s->is_given = true;
    manager_handed_over(s->manager);
    for (uint32_t l = 0; l < s->config->listeners.count; l++)
        accept_port_give(s->generation->ports[l]);
    if (s->admin != NULL)
        admin_give(s->admin);
    server_drain_at_once(s, UINT32_MAX);
}
