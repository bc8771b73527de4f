/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_setup.c - builds a worker's relay from a configuration, takes it apart, and tells what it
 * counted.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/rand.h"
#include "gateway/checkup.h"
#include "gateway/client_leases.h"
#include "gateway/openclaw.h"
#include "gateway/relay.h"
#include "gateway/transit.h"

#include <errno.h>
#include <string.h>

static struct upstream_options upstream_options_of(const struct relay *relay, uint32_t index);
static int open_upstreams(struct relay *relay);
static int open_lanes(struct relay *relay);
static int open_lane(struct relay *relay, struct lane *lane, const struct config_listener *config);
static int open_checkups(struct relay *relay);

/* --- a worker's --------------------------------------------------------------------------------
 */

int relay_new(const struct relay_options *opt, struct relay **ret_relay)
{
    const struct config *config = opt->config;
    struct relay *relay = alloc_zeroed(&alloc_libc, sizeof *relay);
    if (relay == NULL) {
        return -ENOMEM;
    }
    relay->opt = *opt;
    relay->log.ring = opt->access;
    list_init(&relay->transits);
    if (ai_request_init(&relay->ai) != 0 || client_digester_init(&relay->digester) != 0) {
        ai_request_fini(&relay->ai);
        alloc_free(&alloc_libc, relay);
        return -ENOMEM;
    }
    if (opt->relays != NULL) {
        struct node *last = list_last(opt->relays);
        relay->elder = last != NULL ? list_entry(last, struct relay, on_site) : NULL;
    }
    wait_line_init(&relay->client_line, opt->loop, &opt->shared->lasting->client_hall);
    channels_init(&relay->channels, opt->loop);
    forward_init(&relay->forward, rand_mix(opt->seed));
    relay->upstreams = alloc_zeroed(&alloc_libc,
                                    (config->upstreams.count + 1) * sizeof *relay->upstreams);
    relay->checkups = alloc_zeroed(&alloc_libc,
                                   (config->upstreams.count + 1) * sizeof(struct checkups *));
    relay->lanes = alloc_zeroed(&alloc_libc, (config->listeners.count + 1) * sizeof *relay->lanes);
    health_service_init(&relay->health, opt->loop, relay->upstreams, config->upstreams.count);
    int error = relay->upstreams == NULL || relay->checkups == NULL || relay->lanes == NULL
                    ? -ENOMEM
                    : open_upstreams(relay);
    if (error == 0) {
        error = open_lanes(relay);
    }
    if (error == 0 && opt->worker == 0) {
        error = open_checkups(relay);
    }
    *ret_relay = relay; /* also what is half made: its pools are closed with the others */
    return error;
}

void relay_begin(struct relay *relay)
{
    struct list *relays = relay->opt.relays;
    if (relays != NULL) {
        check(relays->head.prev != NULL); /* list_init() was called */
        list_push_back(relays, &relay->on_site);
    }
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        if (relay->checkups[i] != NULL) {
            checkups_begin(relay->checkups[i]);
        }
    }
    struct relay_lasting *lasting = relay->opt.shared->lasting;
    if (relay->opt.worker == 0 && lasting->leases != NULL && !lasting->has_leases) {
        lasting->has_leases = true;
        client_leases_start(lasting->leases, relay->opt.loop);
    }
}

/* What was counted. */
static void inherit_lanes(struct relay *relay, const struct relay *elder)
{
    for (uint32_t i = 0; i < relay->opt.config->listeners.count; i++) {
        for (uint32_t k = 0; k < elder->opt.config->listeners.count; k++) {
            if (strcmp(relay->lanes[i].config->name, elder->lanes[k].config->name) == 0) {
                relay->lanes[i].paced = elder->lanes[k].paced;
            }
        }
    }
}

void relay_take_over(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        const struct upstream_options opt = upstream_options_of(relay, i);
        if (opt.source != NULL) {
            upstream_take_over(&relay->upstreams[i], &opt);
        }
    }
    if (relay->elder != NULL) {
        inherit_lanes(relay, relay->elder);
        relay_retire(relay->elder);
    }
    relay->elder = NULL;
    relay_begin(relay);
}

void relay_retire(struct relay *relay)
{
    for (uint32_t i = 0; relay->checkups != NULL && i < relay->opt.config->upstreams.count; i++) {
        checkups_free(relay->checkups[i]);
        relay->checkups[i] = NULL;
    }
    loop_timer_stop(relay->opt.loop, &relay->pace_timer);
    relay->opt.on_pace = NULL;
}

bool relay_close_pools(struct relay *relay, bool all)
{
    bool is_closed = true;
    for (uint32_t i = 0; relay->upstreams != NULL && i < relay->opt.config->upstreams.count; i++) {
        const struct upstream_source *source = relay->upstreams[i].source;
        if (source != NULL && (all || source->users == 1)) {
            is_closed &= upstream_close_pools(&relay->upstreams[i]);
        }
    }
    return is_closed;
}

void relay_free(struct relay *take_relay)
{
    if (take_relay == NULL) {
        return;
    }
    struct relay *relay = take_relay;
    const struct config *config = relay->opt.config;
    health_service_fini(&relay->health);
    check(list_is_empty(&relay->channels.open));
    loop_later_cancel(relay->opt.loop, &relay->channels.leaving);
    drain_fini(&relay->channels.drain);
    relay_retire(relay);
    for (uint32_t i = 0; relay->upstreams != NULL && i < config->upstreams.count; i++) {
        upstream_fini(&relay->upstreams[i]);
    }
    for (uint32_t i = 0; relay->lanes != NULL && i < config->listeners.count; i++) {
        routes_free(relay->lanes[i].routes);
        alloc_free(&alloc_libc, relay->lanes[i].rules);
        alloc_free(&alloc_libc, relay->lanes[i].series);
    }
    for (uint32_t i = 0; i < relay->series_count; i++) {
        if (--relay->series[i]->users == 0) {
            alloc_free(&alloc_libc, relay->series[i]);
        }
    }
    if (relay->opt.relays != NULL && list_holds(&relay->on_site)) {
        list_remove(relay->opt.relays, &relay->on_site);
    }
    transit_kept_free(relay);
    ai_request_fini(&relay->ai);
    client_digester_fini(&relay->digester);
    wait_line_fini(&relay->client_line);
    alloc_free(&alloc_libc, relay->series);
    alloc_free(&alloc_libc, relay->lanes);
    alloc_free(&alloc_libc, relay->checkups);
    alloc_free(&alloc_libc, relay->upstreams);
    alloc_free(&alloc_libc, relay);
}

void *relay_listener_self(struct relay *relay, uint32_t index)
{
    check(index < relay->opt.config->listeners.count);
    return &relay->lanes[index];
}

void relay_cut(struct relay *relay, bool all)
{
    channels_cut(relay);
    for (uint32_t i = 0; relay->upstreams != NULL && i < relay->opt.config->upstreams.count; i++) {
        const struct upstream_source *source = relay->upstreams[i].source;
        if (relay->upstreams[i].openclaw != NULL && (all || source->users == 1)) {
            openclaw_cut(relay->upstreams[i].openclaw);
        }
    }
}

/* The upstream of that name; NULL: there is none. */
static struct upstream *upstream_named(const struct relay *relay, const char *name)
{
    const struct config *config = relay->opt.config;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        if (strcmp(config->upstreams.at[i].name, name) == 0) {
            return &relay->upstreams[i];
        }
    }
    return NULL;
}

/* Connections of that name that this worker has, be it for an older configuration that still
 * serves. */
static struct upstream_source *source_named(const struct relay *relay, const char *name)
{
    struct list *relays = relay->opt.relays;
    for (struct node *it = relays != NULL ? list_last(relays) : NULL; it != NULL;
         it = list_prev(it)) {
        const struct relay *other = list_entry(it, struct relay, on_site);
        const struct upstream *upstream = upstream_named(other, name);
        if (upstream != NULL) {
            return upstream->source;
        }
    }
    return NULL;
}

static struct upstream_options upstream_options_of(const struct relay *relay, uint32_t i)
{
    const char *name = relay->opt.config->upstreams.at[i].name;
    return (struct upstream_options){
        .config = &relay->opt.config->upstreams.at[i],
        .source = source_named(relay, name),
        .elder = relay->elder != NULL ? upstream_named(relay->elder, name) : NULL,
        .verdicts = relay->opt.shared->verdicts[i],
        .loop = relay->opt.loop,
        .engine = relay->opt.engine,
        .dns = relay->opt.dns,
        .cork = relay->opt.cork,
        .secure = relay->opt.secure,
        .accounts = relay->opt.shared->accounts[i],
        .hall = &relay->opt.shared->halls[i],
        .steer = &relay->opt.shared->steers[i],
        .on_event = relay->opt.on_event,
        .event_self = relay->opt.event_self,
        .proxies = relay->opt.shared->proxies,
        .identities = relay->opt.shared->identities[i],
        .zone = relay->opt.config->node.zone,
        .index = i,
        .seed = rand_mix(relay->opt.seed + i),
        .worker = relay->opt.worker,
        .workers = relay->opt.workers,
    };
}

static int open_upstreams(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        const struct upstream_options opt = upstream_options_of(relay, i);
        int error = upstream_init(&relay->upstreams[i], &opt);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int open_lanes(struct relay *relay)
{
    const struct config *config = relay->opt.config;
    size_t most = 0;
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        most += config->listeners.at[i].routes.count + 1U;
    }
    relay->series = alloc_zeroed(&alloc_libc, (most + 1) * sizeof(struct relay_series *));
    if (relay->series == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        int error = open_lane(relay, &relay->lanes[i], &config->listeners.at[i]);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static struct relay_series *series_find(const struct relay *relay, const char *listener,
                                        const char *upstream)
{
    for (uint32_t i = 0; i < relay->series_count; i++) {
        if (strcmp(relay->series[i]->listener, listener) == 0
            && strcmp(relay->series[i]->upstream, upstream) == 0) {
            return relay->series[i];
        }
    }
    return NULL;
}

static struct relay_series *series_new(const char *listener, const char *upstream)
{
    size_t first = strlen(listener) + 1, second = strlen(upstream) + 1;
    struct relay_series *series = alloc_zeroed(&alloc_libc, sizeof *series + first + second);
    if (series != NULL) {
        series->listener = memcpy(series->names, listener, first);
        series->upstream = memcpy(series->names + first, upstream, second);
    }
    return series;
}

/* The series of these two names: this relay's, the elder's, or a new one. */
static struct relay_series *series_of(struct relay *relay, const char *listener,
                                      const char *upstream)
{
    struct relay_series *series = series_find(relay, listener, upstream);
    if (series != NULL) {
        return series;
    }
    series = relay->elder != NULL ? series_find(relay->elder, listener, upstream) : NULL;
    if (series == NULL) {
        series = series_new(listener, upstream);
    }
    if (series != NULL) {
        series->users++;
        relay->series[relay->series_count++] = series;
    }
    return series;
}

static int open_lane(struct relay *relay, struct lane *lane, const struct config_listener *config)
{
    uint32_t count = config->routes.count;
    lane->relay = relay;
    lane->config = config;
    lane->rules = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *lane->rules);
    lane->series = alloc_zeroed(&alloc_libc, (count + 1) * sizeof(struct relay_series *));
    lane->nowhere = series_of(relay, config->name, "");
    if (lane->rules == NULL || lane->series == NULL || lane->nowhere == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct config_route *route = &config->routes.at[i];
        forward_rules_init(&lane->rules[i], route);
        lane->series[i] = series_of(relay, config->name,
                                    relay->opt.config->upstreams.at[route->upstream].name);
        if (lane->series[i] == NULL) {
            return -ENOMEM;
        }
    }
    return routes_new(config, &lane->routes);
}

static int open_checkups(struct relay *relay)
{
    const struct config *config = relay->opt.config;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *upstream = &config->upstreams.at[i];
        if (upstream->health.path[0] == '\0') {
            continue;
        }
        const struct checkup_options opt = {
            .config = upstream,
            .verdicts = relay->opt.shared->verdicts[i],
            .steer = &relay->opt.shared->steers[i],
            .connector = relay->upstreams[i].connector,
            .loop = relay->opt.loop,
        };
        int error = checkups_new(&opt, &relay->checkups[i]);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* --- what it counted and knows -----------------------------------------------------------------
 */

uint32_t relay_open_count(const struct relay *relay)
{
    return relay->open;
}

bool relay_is_idle(const struct relay *relay)
{
    return relay->open == 0 && list_is_empty(&relay->channels.open);
}

bool relay_quit_lines(struct relay *relay)
{
    bool is_quit = wait_line_quit(&relay->client_line);
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        is_quit &= wait_line_quit(&relay->upstreams[i].line);
        is_quit &= wait_line_quit(&relay->upstreams[i].pause_line);
    }
    return is_quit;
}

uint32_t relay_series_count(const struct relay *relay)
{
    return relay->series_count;
}

const struct relay_series *relay_series_at(const struct relay *relay, uint32_t index)
{
    check(index < relay->series_count);
    return relay->series[index];
}

const struct profile *relay_profile(const struct relay *relay, uint32_t upstream)
{
    check(upstream < relay->opt.config->upstreams.count);
    return relay->upstreams[upstream].profile;
}

weir_pool *relay_pool(const struct relay *relay, uint32_t upstream)
{
    check(upstream < relay->opt.config->upstreams.count);
    return relay->upstreams[upstream].pool;
}

weir_pool *relay_openclaw_pool(const struct relay *relay, uint32_t upstream)
{
    check(upstream < relay->opt.config->upstreams.count);
    const struct openclaw *openclaw = relay->upstreams[upstream].openclaw;
    return openclaw != NULL ? openclaw_pool(openclaw) : NULL;
}

const struct claw_counters *relay_openclaw_counters(const struct relay *relay, uint32_t upstream)
{
    check(upstream < relay->opt.config->upstreams.count);
    const struct openclaw *openclaw = relay->upstreams[upstream].openclaw;
    return openclaw != NULL ? openclaw_counters(openclaw) : NULL;
}

/* As the account that fares best sees it. */
static weir_key_state best_state(const struct upstream *upstream, const struct endpoint *endpoint)
{
    weir_key_state best = pool_key_state(endpoint->pins[0]);
    for (uint32_t k = 1; k < upstream->keys && best != WEIR_KEY_UP; k++) {
        weir_key_state state = pool_key_state(endpoint->pins[k]);
        best = state == WEIR_KEY_UP || best == WEIR_KEY_DOWN ? state : best;
    }
    return best;
}

static uint32_t busy_of(const struct upstream *upstream, const struct endpoint *endpoint)
{
    uint32_t busy = 0;
    for (uint32_t k = 0; k < upstream->keys; k++) {
        busy += pool_key_busy(endpoint->pins[k]);
    }
    return busy;
}

void relay_endpoint_info_of(const struct relay *relay, uint32_t upstream, uint32_t endpoint,
                            struct relay_endpoint_info *ret_info)
{
    check(upstream < relay->opt.config->upstreams.count);
    check(endpoint < relay->upstreams[upstream].count);
    const struct endpoint *it = &relay->upstreams[upstream].endpoints[endpoint];
    *ret_info = (struct relay_endpoint_info){
        .endpoint = it->config,
        .key_state = best_state(&relay->upstreams[upstream], it),
        .checked = __atomic_load_n(&it->verdict->spoken, __ATOMIC_RELAXED),
        .healthy = !__atomic_load_n(&it->verdict->unhealthy, __ATOMIC_RELAXED)
                   && !relay->upstreams[upstream].outliers.at[endpoint].ejected,
        .busy = busy_of(&relay->upstreams[upstream], it),
        .answered = it->answered,
        .failed = it->failed,
    };
}

struct relay_zone_counts relay_zone_counts_of(const struct relay *relay, uint32_t upstream)
{
    const struct upstream *of = &relay->upstreams[upstream];
    return (struct relay_zone_counts){count_read(&of->zone_near), count_read(&of->zone_far)};
}
