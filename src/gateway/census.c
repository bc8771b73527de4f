/* SPDX-License-Identifier: Apache-2.0
 *
 * census.c - the letters, and what a worker writes into its sheet.
 */
#include "gateway/census.h"

#include "base/check.h"
#include "connector/http.h"
#include "core/pool.h"
#include "gateway/inlet.h"
#include "gateway/reload.h"
#include "gateway/server.h"
#include "gateway/upstream.h"
#include "io/clock.h"
#include "listener/guest.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct census_sheet *begin_sheet(struct census *census, uint64_t worker);
static void write_sheet(const struct census *census, const struct site *site,
                        struct census_sheet *sheet);
static void answer(void *self, uint64_t worker);
static void collect(void *self, uint64_t worker);
static void finish(struct census *census);
static bool send_letters(struct census *census);

static struct census *census_new(struct server *server, unsigned what)
{
    struct census *census = calloc(1, sizeof(*census));
    if (census == NULL)
        return NULL;
    *census = (struct census){.server = server,
                              .what = what,
                              .sheets = calloc(server->sites_count, sizeof(*census->sheets)),
                              .sheets_count = server->sites_count};
    if (census->sheets != NULL)
        return census;
    free(census);
    return NULL;
}

struct census *census_of_ended(struct server *server, unsigned what)
{
    struct census *census = census_new(server, what);
    for (uint32_t i = 0; census != NULL && i < census->sheets_count; i++) {
        struct census_sheet *sheet = begin_sheet(census, i);
        write_sheet(census, &server->sites[i], sheet);
        sheet->answered = true;
    }
    return census;
}

int census_take(struct server *server, unsigned what, const struct census_order *take_order,
                void (*done)(void *arg, struct census *census), void *arg,
                struct census **ret_census)
{
    const struct census_order order = take_order != NULL ? *take_order
                                                         : (struct census_order){.run = NULL};
    struct census *census = census_new(server, what);
    if (census == NULL) {
        free(order.data);
        return -ENOMEM;
    }
    census->order = order;
    census->pending = server->sites_count;
    census->done = done;
    census->arg = arg;
    list_push_back(&server->censuses, &census->on_server);
    census->is_held = server->holds_censuses;
    if (!census->is_held && !send_letters(census)) {
        census_free(census);
        return -EAGAIN;
    }
    *ret_census = census;
    return 0;
}

/* False: no worker takes a letter. */
static bool send_letters(struct census *census)
{
    struct server *server = census->server;
    for (uint32_t i = 0; i < server->sites_count; i++)
        if (!worker_post(server->sites[i].worker, answer, census, i))
            census->pending--; /* its sheet stays unanswered */
    return census->pending > 0;
}

bool census_is_under_way(const struct server *server)
{
    weir_list_each(it, &server->censuses) {
        if (!container_of(it, struct census, on_server)->is_held)
            return true;
    }
    return false;
}

void census_resume(struct server *server)
{
    for (uint32_t i = server->censuses.count; i > 0; i--) {
        struct census *census = container_of(list_pop_front(&server->censuses), struct census,
                                             on_server);
        list_push_back(&server->censuses, &census->on_server);
        if (!census->is_held)
            continue;
        census->is_held = false;
        if (census->done == NULL)
            census_free(census); /* who asked has left meanwhile */
        else if (!send_letters(census))
            finish(census);
    }
}

void census_abandon(struct census *census)
{
    census->done = NULL;
}

void census_free(struct census *census)
{
    if (census->on_server.home != NULL)
        list_remove(census->on_server.home, &census->on_server);
    for (uint32_t i = 0; i < census->sheets_count; i++) {
        struct census_sheet *sheet = &census->sheets[i];
        free(sheet->pools);
        free(sheet->endpoints);
        free(sheet->groups);
        free(sheet->keys);
        free(sheet->conns);
        free(sheet->events);
        profile_free(sheet->profile);
        free(sheet->text);
    }
    free(census->sheets);
    free(census->order.data);
    free(census);
}

void census_forget_all(struct server *server)
{
    while (server->censuses.count > 0)
        census_free(container_of(list_first(&server->censuses), struct census, on_server));
}

static uint32_t openclaws_count(const struct config *config)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        count += config->upstreams.at[i].protocol == PROTOCOL_OPENCLAW;
    return count;
}

/* The upstream that is the nth of OpenClaw gateways. */
static uint32_t openclaw_at(const struct config *config, uint32_t nth)
{
    uint32_t i = 0;
    while (config->upstreams.at[i].protocol != PROTOCOL_OPENCLAW || nth-- > 0)
        i++;
    return i;
}

uint32_t census_pools_count(const struct server *server)
{
    const struct config *config = server->config;
    return config->upstreams.count + config->listeners.count + openclaws_count(config);
}

uint32_t census_openclaw_of(const struct config *config, uint32_t upstream)
{
    uint32_t pool = config->upstreams.count + config->listeners.count;
    for (uint32_t i = 0; i < upstream; i++)
        pool += config->upstreams.at[i].protocol == PROTOCOL_OPENCLAW;
    return pool;
}

struct census_who census_who_of(const struct server *server, uint32_t pool)
{
    const struct config *config = server->config;
    uint32_t upstreams = config->upstreams.count, listeners = config->listeners.count;
    struct census_who who = {.kind = CENSUS_UPSTREAM, .index = pool};
    if (pool >= upstreams + listeners) {
        who.kind = CENSUS_OPENCLAW;
        who.index = openclaw_at(config, pool - upstreams - listeners);
        snprintf(who.name, sizeof(who.name), "openclaw:%s", config->upstreams.at[who.index].name);
    } else if (pool >= upstreams) {
        who.kind = CENSUS_LISTENER;
        who.index = pool - upstreams;
        snprintf(who.name, sizeof(who.name), "listener:%s", config->listeners.at[who.index].name);
    } else {
        snprintf(who.name, sizeof(who.name), "%s", config->upstreams.at[pool].name);
    }
    return who;
}

uint32_t census_most(const struct server *server, uint32_t pool)
{
    const struct config *config = server->config;
    const struct census_who who = census_who_of(server, pool);
    switch (who.kind) {
    case CENSUS_UPSTREAM: return config->upstreams.at[who.index].pool.max_total;
    case CENSUS_LISTENER: return config->listeners.at[who.index].pool.max_connections;
    case CENSUS_OPENCLAW:
        return config->upstreams.at[who.index].endpoints.count * server->sites_count;
    }
    unreachable();
}

/* --- on the hub's thread -------------------------------------------------------------------------
 */

static void collect(void *self, uint64_t worker)
{
    struct census *census = self;
    struct server *server = census->server;
    uint64_t worked_ns = census->sheets[worker].worked_ns;
    server->census_ns += worked_ns;
    if (worked_ns > server->census_longest_ns)
        server->census_longest_ns = worked_ns;
    census->sheets[worker].answered = true;
    census->pending--;
    if (census->pending == 0)
        finish(census);
}

static void finish(struct census *census)
{
    struct server *server = census->server;
    list_remove(census->on_server.home, &census->on_server);
    if (census->done != NULL)
        census->done(census->arg, census);
    else
        census_free(census);
    if (server->holds_censuses)
        reload_look(server->reload);
}

/* --- on the worker's thread ----------------------------------------------------------------------
 */

weir_pool *census_pool_of(const struct site *site, uint32_t pool)
{
    struct census_who who = census_who_of(site->server, pool);
    switch (who.kind) {
    case CENSUS_UPSTREAM: return relay_pool(site->relay, who.index);
    case CENSUS_LISTENER: return inlet_pool(site->inlets[who.index]);
    case CENSUS_OPENCLAW: return relay_openclaw_pool(site->relay, who.index);
    }
    unreachable();
}

static uint32_t pools_of(const struct site *site)
{
    return census_pools_count(site->server);
}

static void write_pools(const struct site *site, struct census_sheet *sheet)
{
    uint32_t count = pools_of(site);
    sheet->pools = calloc(count, sizeof(*sheet->pools));
    if (sheet->pools == NULL)
        return;
    sheet->pools_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct census_pool *row = &sheet->pools[i];
        weir_pool_options options = {.size = sizeof(options)};
        const weir_pool *pool = census_pool_of(site, i);
        row->stats.size = sizeof(row->stats);
        row->health.size = sizeof(row->health);
        weir_pool_stats(pool, &row->stats);
        row->room = pool_room(pool);
        weir_pool_health(pool, &row->health);
        weir_pool_options_of(pool, &options);
        row->max_total = options.max_total;
        row->forecast = pool_forecast_of(pool);
    }
}

static void write_endpoints(const struct site *site, struct census_sheet *sheet)
{
    const struct config *config = site->server->config;
    uint32_t count = 0;
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        count += config->upstreams.at[u].endpoints.count;
    sheet->endpoints = calloc(count > 0 ? count : 1, sizeof(*sheet->endpoints));
    if (sheet->endpoints == NULL)
        return;
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++)
            relay_endpoint_info_of(site->relay, u, e, &sheet->endpoints[sheet->endpoints_count++]);
}

/* Rows being written: which pool they are of, and how many have room. */
struct writer {
    struct census_sheet *sheet;
    uint32_t pool;
    enum census_kind kind;
    const struct census_conn *conn; /* whose streams are being written */
};

/* What a connection has become, where it is of HTTP. */
static const struct http_tunnel *tunnel_of(enum census_kind kind, void *object)
{
    if (object == NULL || kind == CENSUS_OPENCLAW)
        return NULL;
    return kind == CENSUS_LISTENER ? guest_tunnel(object) : http_link_tunnel(object);
}

static int fd_of(enum census_kind kind, void *object)
{
    if (object == NULL || kind == CENSUS_OPENCLAW)
        return -1;
    return kind == CENSUS_LISTENER ? guest_fd(object) : http_link_fd(object);
}

static bool write_key(void *arg, const weir_key_info *info)
{
    struct writer *w = arg;
    if (w->sheet->keys_count == CENSUS_ROWS_MAX) {
        w->sheet->cut = true;
        return false;
    }
    struct census_key *row = &w->sheet->keys[w->sheet->keys_count++];
    row->pool = w->pool;
    row->info = *info;
    weir_key_text(info->key, row->text, sizeof(row->text));
    return true;
}

static struct census_conn *new_conn_row(struct writer *w)
{
    struct census_sheet *sheet = w->sheet;
    if (sheet->conns_count == CENSUS_ROWS_MAX) {
        sheet->cut = true;
        return NULL;
    }
    return &sheet->conns[sheet->conns_count++];
}

/* What a WebSocket on a stream has of its own, behind the row of its connection. */
static void write_stream(struct writer *w, uint32_t stream, const struct channel_info *channel)
{
    struct census_conn *row = new_conn_row(w);
    if (row == NULL)
        return;
    *row = *w->conn;
    row->stream = stream;
    row->info.state = WEIR_ACTIVE;
    row->is_websocket = true;
    row->websocket = *channel;
    row->info.leases = row->info.uses = 1;
    row->info.created_ms = row->info.since_ms = w->sheet->now_ms - channel->age_ms;
    row->info.last_used_ms = w->sheet->now_ms - channel->silent_ms;
}

static void write_exchange(void *arg, uint32_t stream, const struct http_exchange *ex)
{
    struct channel_info channel;
    if (channel_info_of_exchange(ex, &channel))
        write_stream(arg, stream, &channel);
}

static void write_call(void *arg, uint32_t stream, const struct http_call *call)
{
    struct channel_info channel;
    if (channel_info_of_call(call, &channel))
        write_stream(arg, stream, &channel);
}

static void write_streams(struct writer *w, void *object)
{
    if (object == NULL || w->kind == CENSUS_OPENCLAW)
        return;
    if (w->kind == CENSUS_LISTENER)
        guest_each_exchange(object, write_exchange, w);
    else
        http_link_each_call(object, write_call, w);
}

static bool write_conn(void *arg, const weir_conn_info *info)
{
    struct writer *w = arg;
    struct census_conn *row = new_conn_row(w);
    if (row == NULL)
        return false;
    row->pool = w->pool;
    row->info = *info;
    weir_key_text(info->key, row->text, sizeof(row->text));
    slice_copy(row->note, sizeof(row->note), slice_of(info->note));
    const struct http_tunnel *tunnel = tunnel_of(w->kind, info->object);
    row->is_websocket = tunnel != NULL;
    if (row->is_websocket)
        channel_info_of(tunnel, &row->websocket);
    if (w->sheet->conns_count <= CENSUS_TCP_MAX)
        tcp_facts_of(fd_of(w->kind, info->object), &row->tcp);
    w->conn = row;
    write_streams(w, info->object);
    return true;
}

static void write_rows(const struct site *site, struct census_sheet *sheet, bool conns)
{
    if (conns)
        sheet->conns = calloc(CENSUS_ROWS_MAX, sizeof(*sheet->conns));
    else
        sheet->keys = calloc(CENSUS_ROWS_MAX, sizeof(*sheet->keys));
    if (sheet->conns == NULL && sheet->keys == NULL) {
        sheet->cut = true;
        return;
    }
    for (uint32_t i = 0; i < pools_of(site); i++) {
        struct writer writer = {sheet, i, census_who_of(site->server, i).kind, NULL};
        if (conns)
            weir_pool_each(census_pool_of(site, i), write_conn, &writer);
        else
            weir_pool_each_key(census_pool_of(site, i), write_key, &writer);
    }
}

/* Groups of one kind being written. */
struct grouping {
    struct census_sheet *sheet;
    uint32_t pool, room;
    bool is_tenant;
};

static bool has_room(struct grouping *grouping)
{
    struct census_sheet *sheet = grouping->sheet;
    if (sheet->groups_count < grouping->room)
        return true;
    uint32_t room = grouping->room > 0 ? grouping->room * 2 : 8;
    struct census_group *more = room <= CENSUS_GROUPS_MAX
                                    ? realloc(sheet->groups, room * sizeof(*more))
                                    : NULL;
    if (more == NULL)
        return false;
    sheet->groups = more;
    grouping->room = room;
    return true;
}

static bool write_group(void *arg, const weir_group_info *info)
{
    struct grouping *grouping = arg;
    struct census_sheet *sheet = grouping->sheet;
    struct slice tenant = upstream_account_of(info->key->tenant);
    if (grouping->is_tenant && tenant.len == 0)
        return true; /* sessions of nobody in particular */
    if (!has_room(grouping)) {
        sheet->cut = true;
        return false;
    }
    struct census_group *row = &sheet->groups[sheet->groups_count++];
    *row = (struct census_group){
        .pool = grouping->pool, .is_tenant = grouping->is_tenant, .info = *info};
    if (grouping->is_tenant)
        slice_copy(row->name, sizeof(row->name), tenant);
    else
        snprintf(row->name, sizeof(row->name),
                 strchr(info->key->host, ':') != NULL ? "[%s]:%u" : "%s:%u", info->key->host,
                 (unsigned)info->key->port);
    return true;
}

/* An account is one, whichever of its upstream's two pools its connections are in. */
static void write_openclaw_accounts(const struct site *site, struct grouping *grouping)
{
    const struct config *config = site->server->config;
    if (config->upstreams.at[grouping->pool].protocol == PROTOCOL_OPENCLAW)
        weir_pool_each_tenant(census_pool_of(site, census_openclaw_of(config, grouping->pool)),
                              write_group, grouping);
}

static void write_groups(const struct site *site, struct census_sheet *sheet)
{
    struct grouping grouping = {.sheet = sheet};
    uint32_t upstreams = site->server->config->upstreams.count;
    for (; grouping.pool < upstreams; grouping.pool++) {
        grouping.is_tenant = false;
        weir_pool_each_endpoint(census_pool_of(site, grouping.pool), write_group, &grouping);
        grouping.is_tenant = true;
        weir_pool_each_tenant(census_pool_of(site, grouping.pool), write_group, &grouping);
        write_openclaw_accounts(site, &grouping);
    }
}

static void write_events(const struct site *site, struct census_sheet *sheet)
{
    sheet->events = calloc(EVENTLOG_MAX, sizeof(*sheet->events));
    if (sheet->events == NULL)
        return;
    sheet->events_count = eventlog_count(&site->events);
    for (uint32_t i = 0; i < sheet->events_count; i++)
        sheet->events[i] = *eventlog_at(&site->events, i);
}

/* Whatever is written into it, by an order too, is of now. */
static struct census_sheet *begin_sheet(struct census *census, uint64_t worker)
{
    struct census_sheet *sheet = &census->sheets[worker];
    sheet->now_ms = loop_now_ms(worker_loop(census->server->sites[worker].worker));
    return sheet;
}

static void write_sheet(const struct census *census, const struct site *site,
                        struct census_sheet *sheet)
{
    if (census->what & CENSUS_POOLS)
        write_pools(site, sheet);
    if (census->what & CENSUS_ENDPOINTS)
        write_endpoints(site, sheet);
    if (census->what & CENSUS_KEYS)
        write_rows(site, sheet, false);
    if (census->what & CENSUS_CONNECTIONS)
        write_rows(site, sheet, true);
    if (census->what & CENSUS_GROUPS)
        write_groups(site, sheet);
    if (census->what & CENSUS_EVENTS)
        write_events(site, sheet);
}

static void answer(void *self, uint64_t worker)
{
    struct census *census = self;
    struct site *site = &census->server->sites[worker];
    struct census_sheet *sheet = begin_sheet(census, worker);
    uint64_t begun_ns = clock_thread_ns();
    if (census->order.run != NULL)
        census->order.run(census->order.data, site, sheet);
    write_sheet(census, site, sheet);
    sheet->worked_ns = clock_thread_ns() - begun_ns;
    /* The ring holds more letters than there can be censuses and drains under way. */
    check(crew_post_hub(census->server->crew, collect, census, worker));
}
