/* SPDX-License-Identifier: Apache-2.0
 *
 * lookout.c - where each figure comes from, and what is said of an alert.
 */
#include "gateway/lookout.h"

#include "gateway/affinity.h"
#include "gateway/census.h"
#include "gateway/process.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/webhook.h"
#include "io/clock.h"
#include "proto/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lookout_pool {
    uint32_t busy_most;    /* connections that may be in use at a time; 0: no limit */
    uint32_t streams_most; /* … where each carries several leases: a worker has a few of a key */
    uint32_t each;         /* leases that one carries; 0: not known yet */
};

struct lookout {
    struct server *server;
    struct loop_timer timer;
    uint32_t pause_ms;
    struct census *census; /* under way, or NULL */
    struct alerts *alerts;
    struct webhook *webhook; /* or NULL */
    struct census_who *who;  /* of each pool */
    struct alert_pool_facts *pools;
    struct lookout_pool *own; /* of each */
    uint32_t pools_count, upstreams_count;
};

static void on_timer(struct loop_timer *timer, uint64_t now_ms);

/* --- life ----------------------------------------------------------------------------------------
 */

static struct alerts_options options_of(const struct server *server, uint32_t pools)
{
    const struct config *config = server->config;
    bool is_early = config->alerts.early_warning == WEIR_ON;
    return (struct alerts_options){
        .thresholds = {[ALERT_ERROR_RATE] = config->alerts.error_rate,
                       [ALERT_SESSION_SURVIVAL] = config->alerts.session_survival,
                       [ALERT_CACHE_HIT] = config->alerts.cache_hit,
                       [ALERT_POOL_UTILIZATION] = config->alerts.pool_utilization,
                       [ALERT_MEMORY] = (double)config->alerts.memory},
        .for_ms = config->alerts.for_ms,
        .window_ms = config->alerts.window_ms,
        .horizon_ms = is_early ? config->alerts.horizon_ms : 0,
        .pools = pools,
        .upstreams = config->upstreams.count};
}

static int open_webhook(struct lookout *lookout)
{
    const struct config *config = lookout->server->config;
    struct webhook_options opt = {.loop = lookout->server->opt.loop,
                                  .url = config->alerts.webhook.url,
                                  .timeout_ms = config->alerts.webhook.timeout_ms,
                                  .log = &lookout->server->voice.sink};
    return opt.url[0] != '\0' ? webhook_open(&opt, &lookout->webhook) : 0;
}

/* Each conversation has keys of its own. */
static bool is_isolated(const struct config *config, uint32_t upstream)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        for (uint32_t r = 0; r < l->routes.count; r++)
            if (l->routes.at[r].upstream == upstream && l->routes.at[r].isolate == ISOLATE_SESSION)
                return true;
    }
    return false;
}

/* Connections that may be in use at a time: as many as the pool may have, and its keys. */
static uint32_t busy_most(const struct config *config, uint32_t upstream, uint32_t per_key)
{
    const struct config_upstream *u = &config->upstreams.at[upstream];
    per_key = per_key < u->pool.max_per_key ? per_key : u->pool.max_per_key;
    uint64_t most = u->accounts.count > 0 ? 0 : per_key;
    for (uint32_t i = 0; i < u->accounts.count; i++) {
        uint32_t own = u->accounts.at[i].max_connections;
        most += own < per_key ? own : per_key;
    }
    most *= u->endpoints.count;
    if (most > u->pool.max_total || is_isolated(config, upstream))
        most = u->pool.max_total;
    return most >= WEIR_UNLIMITED ? 0 : (uint32_t)most;
}

static int open_alerts(struct lookout *lookout)
{
    struct server *server = lookout->server;
    struct alerts_options opt = options_of(server, lookout->pools_count);
    lookout->upstreams_count = server->config->upstreams.count;
    lookout->pause_ms = alerts_pause_ms(&opt);
    lookout->alerts = alerts_new(&opt, &alloc_libc);
    lookout->who = calloc(lookout->pools_count, sizeof(*lookout->who));
    lookout->pools = calloc(lookout->pools_count, sizeof(*lookout->pools));
    lookout->own = calloc(lookout->pools_count, sizeof(*lookout->own));
    if (lookout->alerts == NULL || lookout->who == NULL || lookout->pools == NULL
        || lookout->own == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < lookout->pools_count; i++) {
        uint32_t most = census_most(server, i);
        lookout->who[i] = census_who_of(server, i);
        lookout->pools[i].name = lookout->who[i].name;
        /* A pool of OpenClaw gateways has as many as there may be, always. */
        if (lookout->who[i].kind == CENSUS_OPENCLAW)
            most = WEIR_UNLIMITED;
        lookout->pools[i].most = most == WEIR_UNLIMITED ? 0 : most;
        if (i < server->config->upstreams.count) {
            const weir_pool_options *pool = &server->config->upstreams.at[i].pool;
            lookout->own[i].busy_most = busy_most(server->config, i, pool->max_per_key);
            lookout->own[i].streams_most = busy_most(server->config, i,
                                                     pool->streams_conns_max * server->sites_count);
        }
    }
    return 0;
}

int lookout_open(struct server *server, struct lookout **ret_lookout)
{
    struct lookout *lookout = calloc(1, sizeof(*lookout));
    if (lookout == NULL)
        return -ENOMEM;
    lookout->server = server;
    lookout->timer.fire = on_timer;
    lookout->pools_count = census_pools_count(server);
    int error = open_alerts(lookout);
    if (error == 0)
        error = open_webhook(lookout);
    if (error != 0) {
        lookout_close(lookout);
        return error;
    }
    loop_timer_set(server->opt.loop, &lookout->timer, clock_now_ms() + lookout->pause_ms);
    *ret_lookout = lookout;
    return 0;
}

void lookout_close(struct lookout *take_lookout)
{
    if (take_lookout == NULL)
        return;
    loop_timer_stop(take_lookout->server->opt.loop, &take_lookout->timer);
    if (take_lookout->census != NULL)
        census_abandon(take_lookout->census);
    webhook_close(take_lookout->webhook);
    alerts_free(take_lookout->alerts);
    free(take_lookout->who);
    free(take_lookout->pools);
    free(take_lookout->own);
    free(take_lookout);
}

static const char **names_of(const struct lookout *lookout)
{
    const char **names = calloc(lookout->pools_count, sizeof(*names));
    for (uint32_t i = 0; names != NULL && i < lookout->pools_count; i++)
        names[i] = lookout->pools[i].name;
    return names;
}

static void take_webhook(struct lookout *lookout, struct lookout *elder)
{
    webhook_close(lookout->webhook);
    lookout->webhook = elder->webhook;
    elder->webhook = NULL;
}

int lookout_renew(struct server *server, const struct config *before, struct lookout **lookout)
{
    struct lookout *elder = *lookout, *heir;
    int error = lookout_open(server, &heir);
    if (error != 0)
        return error;
    const char **names = names_of(heir), **elder_names = names_of(elder);
    if (names != NULL && elder_names != NULL)
        alerts_inherit(heir->alerts, names, elder->alerts, elder_names);
    free(names);
    free(elder_names);
    if (strcmp(before->alerts.webhook.url, server->config->alerts.webhook.url) == 0
        && before->alerts.webhook.timeout_ms == server->config->alerts.webhook.timeout_ms)
        take_webhook(heir, elder);
    lookout_close(elder);
    *lookout = heir;
    return 0;
}

/* --- figures -------------------------------------------------------------------------------------
 */

static uint64_t timing_count(const struct timing *timing)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < TIMING_BUCKETS; i++)
        count += count_read(&timing->bucket[i]);
    return count;
}

static struct alert_pool_facts *pool_named(struct lookout *lookout, const char *upstream)
{
    for (uint32_t i = 0; i < lookout->upstreams_count; i++)
        if (strcmp(lookout->pools[i].name, upstream) == 0)
            return &lookout->pools[i];
    return NULL;
}

static void add_series(struct lookout *lookout, const struct relay_series *series,
                       struct alert_facts *facts)
{
    struct alert_pool_facts *pool = pool_named(lookout, series->upstream);
    uint64_t finished = timing_count(&series->total), failed = count_read(&series->failed);
    facts->finished += finished;
    facts->failed += failed;
    if (pool == NULL)
        return;
    pool->finished += finished;
    pool->failed += failed;
    pool->first_bytes += timing_count(&series->first_byte);
    pool->first_byte_us += count_read(&series->first_byte.sum_us);
}

static void add_requests(struct lookout *lookout, struct alert_facts *facts)
{
    for (uint32_t w = 0; w < lookout->server->sites_count; w++) {
        const struct relay *relay = server_relay(lookout->server, w);
        for (uint32_t i = 0; i < relay_series_count(relay); i++)
            add_series(lookout, relay_series_at(relay, i), facts);
    }
}

/* A connection of HTTP/2 is in use long before it is full. What each carries is known as long as
 * one is up, and remembered. */
static void count_busy(struct lookout_pool *own, struct alert_pool_facts *pool,
                       const weir_stats *sum, uint64_t room)
{
    uint64_t up = sum->idle + sum->shared + sum->active + sum->probing;
    if (up > 0)
        own->each = (uint32_t)(room / up);
    pool->is_streams = own->each > 1;
    uint64_t busy = pool->is_streams ? sum->leases : sum->total - sum->idle - sum->closing;
    uint64_t most = pool->is_streams ? (uint64_t)own->streams_most * own->each : own->busy_most;
    pool->total = (uint32_t)sum->total;
    pool->busy = (uint32_t)busy;
    pool->busy_most = most < UINT32_MAX ? (uint32_t)most : 0;
}

static void add_pools(struct lookout *lookout, const struct census *census)
{
    for (uint32_t i = 0; i < lookout->pools_count; i++) {
        struct alert_pool_facts *pool = &lookout->pools[i];
        weir_stats sum = {.size = sizeof(sum)};
        uint64_t room = 0;
        pool->finished = pool->failed = pool->first_bytes = pool->first_byte_us = 0;
        for (uint32_t w = 0; w < census->sheets_count; w++) {
            const struct census_sheet *sheet = &census->sheets[w];
            if (i < sheet->pools_count) {
                const weir_stats *stats = &sheet->pools[i].stats;
                sum.total += stats->total;
                sum.idle += stats->idle;
                sum.shared += stats->shared;
                sum.active += stats->active;
                sum.probing += stats->probing;
                sum.closing += stats->closing;
                sum.leases += stats->leases;
                room += sheet->pools[i].room;
            }
        }
        count_busy(&lookout->own[i], pool, &sum, room);
    }
}

void lookout_sessions_ended(const weir_sessions_stats *stats, uint64_t *ret_all, uint64_t *ret_lost)
{
    *ret_lost = stats->refused + stats->unrecovered;
    *ret_all = stats->ended + stats->expired + *ret_lost;
}

static void add_sessions(const struct lookout *lookout, struct alert_facts *facts)
{
    struct affinities *affinities = relay_shared_affinities(lookout->server->shared);
    weir_sessions_stats stats = {.size = sizeof(stats)};
    struct affinities_info info;
    if (affinities == NULL)
        return;
    affinities_info_of(affinities, &info);
    weir_sessions_stats_of(affinities_sessions(affinities), &stats);
    facts->cache_hits = info.has_redis ? info.cache_hits : 0;
    facts->cache_misses = info.has_redis ? info.cache_misses : 0;
    lookout_sessions_ended(&stats, &facts->ended, &facts->lost);
}

/* --- who is told ---------------------------------------------------------------------------------
 */

static void post(struct lookout *lookout, const struct alert *alert, const char *event,
                 uint64_t wall_ms)
{
    char room[WEBHOOK_MESSAGE_MAX], stamp[CLOCK_STAMP + 1];
    struct json json = json_into(room, sizeof(room));
    clock_stamp(wall_ms, stamp);
    json_open(&json, NULL, '{');
    json_text(&json, "event", event);
    json_text(&json, "time", stamp);
    json_text(&json, "node", lookout->server->node);
    json_text(&json, "alert", alert_word(alert->kind));
    json_text(&json, "pool", lookout_subject(lookout, alert));
    json_bool(&json, "early_warning", alert_rule_of(alert->kind) == ALERT_EARLY);
    json_text(&json, "message", alert->message);
    json_close(&json, '}');
    if (lookout->webhook != NULL && !json.full)
        webhook_post(lookout->webhook, json.at, json.len);
}

static void on_told(void *arg, const struct alert *alert)
{
    struct lookout *lookout = arg;
    bool is_firing = alert->state == ALERT_FIRING;
    const char *event = is_firing ? "alert_firing" : "alert_cleared";
    const char *pool = lookout_subject(lookout, alert);
    uint64_t wall_ms = clock_wall_ms();
    eventlog_add_told(
        &lookout->server->events,
        &(struct told_event){
            .event = event, .pool = pool, .what = alert_word(alert->kind), .why = alert->message},
        wall_ms);
    log_to(&lookout->server->voice.sink, is_firing ? LOG_WARN_LEVEL : LOG_INFO_LEVEL, event,
           log_text("alert", alert_word(alert->kind)), log_text("pool", pool != NULL ? pool : ""),
           log_text("message", alert->message));
    post(lookout, alert, event, wall_ms);
}

/* --- a look --------------------------------------------------------------------------------------
 */

static void on_census(void *arg, struct census *census)
{
    struct lookout *lookout = arg;
    struct alert_facts facts = {.now_ms = loop_now_ms(lookout->server->opt.loop),
                                .resident_bytes = process_resident_bytes(),
                                .pools = lookout->pools};
    lookout->census = NULL;
    add_pools(lookout, census);
    census_free(census);
    add_requests(lookout, &facts);
    add_sessions(lookout, &facts);
    alerts_look(lookout->alerts, &facts, on_told, lookout);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct lookout *lookout = container_of(timer, struct lookout, timer);
    loop_timer_set(lookout->server->opt.loop, timer, now_ms + lookout->pause_ms);
    /* Without memory, or a worker that takes a letter: at the next look. */
    if (lookout->census == NULL)
        census_take(lookout->server, CENSUS_POOLS, NULL, on_census, lookout, &lookout->census);
}

/* --- questions -----------------------------------------------------------------------------------
 */

const struct alerts *lookout_alerts(const struct lookout *lookout)
{
    return lookout->alerts;
}

const char *lookout_subject(const struct lookout *lookout, const struct alert *alert)
{
    return alert_scope_of(alert->kind) == ALERT_GATEWAY ? NULL : lookout->pools[alert->pool].name;
}

uint32_t lookout_firing(const struct lookout *lookout, enum alert_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < alerts_count(lookout->alerts); i++) {
        const struct alert *alert = alerts_at(lookout->alerts, i);
        count += alert->kind == kind && alert->state == ALERT_FIRING;
    }
    return count;
}

uint64_t lookout_fired(const struct lookout *lookout, enum alert_kind kind)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < alerts_count(lookout->alerts); i++) {
        const struct alert *alert = alerts_at(lookout->alerts, i);
        count += alert->kind == kind ? alert->fired : 0;
    }
    return count;
}

struct webhook_counts lookout_webhook_counts(const struct lookout *lookout, uint32_t *ret_waiting)
{
    *ret_waiting = lookout->webhook != NULL ? webhook_waiting(lookout->webhook) : 0;
    return lookout->webhook != NULL ? webhook_counts_of(lookout->webhook)
                                    : (struct webhook_counts){.delivered = 0};
}
