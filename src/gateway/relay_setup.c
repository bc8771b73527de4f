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
#include "gateway/clients.h"
#include "gateway/openclaw.h"
#include "gateway/proxies.h"
#include "gateway/relay.h"
#include "gateway/transit.h"

#include <errno.h>
#include <string.h>

static int open_upstreams(struct relay *relay);
static int open_lanes(struct relay *relay);
static int open_lane(struct relay *relay, struct lane *lane, const struct config_listener *config);
static int open_checkups(struct relay *relay);

/* --- what workers share ------------------------------------------------------------------------
 */

static bool limits_clients(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.at[i];
        for (uint32_t r = 0; r < listener->routes.count; r++) {
            if (listener->routes.at[r].limits.concurrent_per_client != 0) {
                return true;
            }
        }
    }
    return false;
}

static int open_tables(struct relay_shared *shared)
{
    const struct config *config = shared->config;
    uint32_t count = config->upstreams.count;
    shared->verdicts = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->verdicts);
    shared->identities = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->identities);
    shared->accounts = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->accounts);
    shared->halls = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->halls);
    shared->steers = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->steers);
    for (uint32_t i = 0; shared->halls != NULL && i <= count; i++) {
        wait_hall_init(&shared->halls[i]);
    }
    bool fine = shared->verdicts != NULL && shared->identities != NULL && shared->accounts != NULL
                && shared->halls != NULL && shared->steers != NULL
                && proxies_new(config, &shared->proxies) == 0;
    for (uint32_t i = 0; fine && i < count; i++) {
        shared->verdicts[i] = alloc_zeroed(&alloc_libc, config->upstreams.at[i].endpoints.count
                                                            * sizeof(struct verdict));
        fine = shared->verdicts[i] != NULL
               && steer_init(&shared->steers[i], config->upstreams.at[i].endpoints.count) == 0;
        if (fine && config->upstreams.at[i].accounts.count > 0) {
            fine = accounts_new(&config->upstreams.at[i], &shared->accounts[i]) == 0;
        }
    }
    if (fine && limits_clients(config)) {
        fine = clients_new(&shared->clients) == 0;
    }
    if (fine && config->clients.count > 0) {
        fine = client_keys_new(config, &shared->client_keys) == 0;
    }
    return fine ? 0 : -ENOMEM;
}

static bool is_same_file(const struct config_upstream *a, const struct config_upstream *b)
{
    return strcmp(a->openclaw.identity, b->openclaw.identity) == 0;
}

/* One for each file, however many upstreams name it. */
static int open_identities(struct relay_shared *shared, char ret_fault[RELAY_FAULT_MAX])
{
    const struct config *config = shared->config;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < config->upstreams.count; i++) {
        const struct config_upstream *upstream = &config->upstreams.at[i];
        if (upstream->protocol != PROTOCOL_OPENCLAW || upstream->openclaw.identity[0] == '\0') {
            continue;
        }
        for (uint32_t k = 0; k < i && shared->identities[i] == NULL; k++) {
            if (is_same_file(upstream, &config->upstreams.at[k])) {
                shared->identities[i] = shared->identities[k];
            }
        }
        if (shared->identities[i] == NULL) {
            error = claw_identity_open(upstream->openclaw.identity, &alloc_libc,
                                       &shared->identities[i], ret_fault);
        }
    }
    return error;
}

static void free_identities(const struct relay_shared *shared)
{
    for (uint32_t i = 0; shared->identities != NULL && i < shared->config->upstreams.count; i++) {
        bool is_first = shared->identities[i] != NULL;
        for (uint32_t k = 0; k < i; k++) {
            is_first &= shared->identities[k] != shared->identities[i];
        }
        if (is_first) {
            claw_identity_free(shared->identities[i]);
        }
    }
}

int relay_shared_new(const struct config *config, struct relay_shared **ret_shared,
                     char ret_fault[RELAY_FAULT_MAX])
{
    struct relay_shared *shared = alloc_zeroed(&alloc_libc, sizeof *shared);
    ret_fault[0] = '\0';
    if (shared == NULL) {
        return -ENOMEM;
    }
    shared->config = config;
    shared->stock.most = HOLD_STOCK_BYTES;
    int error = open_tables(shared);
    if (error == 0) {
        error = open_identities(shared, ret_fault);
    }
    bool is_shared = client_keys_are_shared(config);
    if (error == 0 && (affinity_is_used(config) || is_shared)) {
        error = affinities_new(config, &shared->affinities, ret_fault);
    }
    if (error == 0 && is_shared) {
        error = client_leases_new(shared->client_keys, affinities_sessions(shared->affinities),
                                  &shared->halls[config->upstreams.count], &shared->leases);
    }
    if (error != 0) {
        relay_shared_free(shared);
        return error;
    }
    *ret_shared = shared;
    return 0;
}

void relay_shared_strain(struct relay_shared *shared, enum relay_strain strain, uint64_t hold_most)
{
    atomic_store_explicit(&shared->strain, (uint8_t)strain, memory_order_relaxed);
    atomic_store_explicit(&shared->stock.most, hold_most, memory_order_relaxed);
}

struct accounts *relay_shared_accounts(const struct relay_shared *shared, uint32_t upstream)
{
    return shared->accounts[upstream];
}

struct affinities *relay_shared_affinities(const struct relay_shared *shared)
{
    return shared->affinities;
}

const struct client_keys *relay_shared_clients(const struct relay_shared *shared)
{
    return shared->client_keys;
}

const struct client_leases *relay_shared_leases(const struct relay_shared *shared)
{
    return shared->leases;
}

struct steer *relay_shared_steer(const struct relay_shared *shared, uint32_t upstream)
{
    return &shared->steers[upstream];
}

struct proxies *relay_shared_proxies(const struct relay_shared *shared)
{
    return shared->proxies;
}

void relay_shared_free(struct relay_shared *take_shared)
{
    if (take_shared == NULL) {
        return;
    }
    for (uint32_t i = 0; take_shared->verdicts != NULL && i < take_shared->config->upstreams.count;
         i++) {
        alloc_free(&alloc_libc, take_shared->verdicts[i]);
    }
    for (uint32_t i = 0; take_shared->accounts != NULL && i < take_shared->config->upstreams.count;
         i++) {
        accounts_free(take_shared->accounts[i]);
    }
    for (uint32_t i = 0; take_shared->halls != NULL && i <= take_shared->config->upstreams.count;
         i++) {
        wait_hall_fini(&take_shared->halls[i]);
    }
    for (uint32_t i = 0; take_shared->steers != NULL && i < take_shared->config->upstreams.count;
         i++) {
        steer_fini(&take_shared->steers[i]);
    }
    alloc_free(&alloc_libc, take_shared->steers);
    alloc_free(&alloc_libc, take_shared->halls);
    alloc_free(&alloc_libc, take_shared->accounts);
    alloc_free(&alloc_libc, take_shared->verdicts);
    free_identities(take_shared);
    alloc_free(&alloc_libc, take_shared->identities);
    affinities_free(take_shared->affinities);
    client_leases_free(take_shared->leases);
    clients_free(take_shared->clients);
    client_keys_free(take_shared->client_keys);
    proxies_free(take_shared->proxies);
    alloc_free(&alloc_libc, take_shared);
}

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
    if (ai_request_init(&relay->ai) != 0 || client_digester_init(&relay->digester) != 0) {
        ai_request_fini(&relay->ai);
        alloc_free(&alloc_libc, relay);
        return -ENOMEM;
    }
    wait_line_init(&relay->client_line, opt->loop, &opt->shared->halls[config->upstreams.count]);
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
    if (error == 0 && opt->worker == 0 && opt->shared->leases != NULL) {
        client_leases_start(opt->shared->leases, opt->loop);
    }
    if (error != 0) {
        relay_free(relay);
        return error;
    }
    *ret_relay = relay;
    return 0;
}

void relay_free(struct relay *take_relay)
{
    if (take_relay == NULL) {
        return;
    }
    struct relay *relay = take_relay;
    const struct config *config = relay->opt.config;
    affinities_end(relay->opt.shared->affinities);
    client_leases_end(relay->opt.shared->leases);
    health_service_fini(&relay->health);
    check(list_is_empty(&relay->channels.open));
    loop_later_cancel(relay->opt.loop, &relay->channels.leaving);
    drain_fini(&relay->channels.drain);
    loop_timer_stop(relay->opt.loop, &relay->pace_timer);
    for (uint32_t i = 0; relay->checkups != NULL && i < config->upstreams.count; i++) {
        checkups_free(relay->checkups[i]);
    }
    for (uint32_t i = 0; relay->upstreams != NULL && i < config->upstreams.count; i++) {
        upstream_fini(&relay->upstreams[i]);
    }
    for (uint32_t i = 0; relay->lanes != NULL && i < config->listeners.count; i++) {
        routes_free(relay->lanes[i].routes);
        alloc_free(&alloc_libc, relay->lanes[i].rules);
        alloc_free(&alloc_libc, relay->lanes[i].series);
    }
    for (uint32_t i = 0; i < relay->series_count; i++) {
        alloc_free(&alloc_libc, relay->series[i]);
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

void relay_cut(struct relay *relay)
{
    channels_cut(relay);
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        if (relay->upstreams[i].openclaw != NULL) {
            openclaw_cut(relay->upstreams[i].openclaw);
        }
    }
}

static int open_upstreams(struct relay *relay)
{
    const struct config *config = relay->opt.config;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct upstream_options opt = {
            .config = &config->upstreams.at[i],
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
            .identity = relay->opt.shared->identities[i],
            .zone = config->node.zone,
            .index = i,
            .seed = rand_mix(relay->opt.seed + i),
            .worker = relay->opt.worker,
            .workers = relay->opt.workers,
        };
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

/* The series of these two names; made where there is none yet. */
static struct relay_series *series_of(struct relay *relay, const char *listener,
                                      const char *upstream)
{
    for (uint32_t i = 0; i < relay->series_count; i++) {
        if (strcmp(relay->series[i]->listener, listener) == 0
            && strcmp(relay->series[i]->upstream, upstream) == 0) {
            return relay->series[i];
        }
    }
    struct relay_series *series = alloc_zeroed(&alloc_libc, sizeof *series);
    if (series != NULL) {
        series->listener = listener;
        series->upstream = upstream;
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
