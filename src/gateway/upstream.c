/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/rand.h"
#include "core/parts.h"
#include "core/queue.h"
#include "gateway/announce.h"
#include "gateway/config_found.h"
#include "gateway/config_way.h"
#include "gateway/openclaw.h"
#include "gateway/proxies.h"
#include "gateway/route.h"
#include "gateway/secure.h"
#include "gateway/telemetry.h"
#include "gateway/zone.h"
#include "io/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* gRPC servers take more pings than that for an attack, unless they say otherwise. */
#define GRPC_PING_LEAST_MS 300000U
#define TENANT_MAX         160U /* an account's session, or a client's two ends */
/* After that one who took no HTTP/1.1 is asked again. */
#define HTTP2_ALONE_MS     60000U
#define WAIT_SEEN_MS       200U

static int join_source(struct upstream *upstream, const struct upstream_options *opt);
static void leave_source(struct upstream *upstream);
static int pin_endpoints(struct upstream *upstream, const struct upstream_options *opt);
static int open_openclaw(struct upstream *upstream, const struct upstream_options *opt);
static int find_near(struct upstream *upstream, const char *zone);
static void weigh(struct upstream *upstream, uint32_t account, uint32_t except);
static uint8_t standing_of(struct upstream *upstream, uint32_t index, uint32_t account);
static enum balance_method method_of(enum config_balance balance);

int upstream_init(struct upstream *upstream, const struct upstream_options *opt)
{
    uint32_t count = opt->config->endpoints.count;
    *upstream = (struct upstream){
        .config = opt->config,
        .engine = opt->engine,
        .accounts = opt->accounts,
        .count = count,
        .keys = opt->accounts != NULL ? accounts_count(opt->accounts) : 1,
        .loop = opt->loop,
    };
    upstream->steer = opt->steer;
    upstream->profile = profile_new(opt->config);
    wait_line_init(&upstream->line, opt->loop, opt->hall);
    wait_line_init(&upstream->pause_line, opt->loop, &opt->steer->pause->hall);
    account_news_init(&upstream->news, opt->loop, opt->accounts, opt->config->name);
    upstream->news.tell = opt->on_event;
    upstream->news.self = opt->event_self;
    balance_init(&upstream->balance, method_of(opt->config->balance), opt->seed);
    replay_budget_init(&upstream->budget, opt->config->retry.budget, loop_now_ms(opt->loop));
    upstream->peers = alloc_zeroed(&alloc_libc, count * sizeof *upstream->peers);
    upstream->endpoints = alloc_zeroed(&alloc_libc, count * sizeof *upstream->endpoints);
    upstream->pins = alloc_zeroed(&alloc_libc,
                                  (size_t)count * upstream->keys * sizeof(struct key *));
    upstream->outliers = (struct outlier_set){
        .opt = opt->config->outlier,
        .at = alloc_zeroed(&alloc_libc, count * sizeof(struct outlier)),
        .count = count,
    };
    upstream->passes = alloc_zeroed(&alloc_libc, (size_t)count * upstream->keys * sizeof(uint32_t));
    bool is_short = upstream->passes == NULL || upstream->peers == NULL
                    || upstream->endpoints == NULL || upstream->pins == NULL
                    || upstream->outliers.at == NULL;
    int error = is_short ? -ENOMEM : 0;
    if (error == 0) {
        error = join_source(upstream, opt);
    }
    if (error == 0) {
        error = pin_endpoints(upstream, opt);
    }
    if (error == 0) {
        error = find_near(upstream, opt->zone);
    }
    if (error == 0 && opt->config->protocol == PROTOCOL_OPENCLAW && opt->source == NULL) {
        error = open_openclaw(upstream, opt);
    }
    return error;
}

void upstream_fini(struct upstream *upstream)
{
    if (upstream->loop != NULL) {
        wait_line_fini(&upstream->line);
        wait_line_fini(&upstream->pause_line);
        account_news_fini(&upstream->news);
    }
    leave_source(upstream);
    alloc_free(&alloc_libc, upstream->peers);
    alloc_free(&alloc_libc, upstream->endpoints);
    alloc_free(&alloc_libc, upstream->pins);
    alloc_free(&alloc_libc, upstream->passes);
    alloc_free(&alloc_libc, upstream->is_near);
    alloc_free(&alloc_libc, upstream->outliers.at);
    profile_free(upstream->profile);
    *upstream = (struct upstream){0};
}

uint64_t upstream_hash_path(struct slice path)
{
    struct slice name = route_path_of(path);
    return XXH3_64bits(name.at, name.len);
}

/* In the choice; 0: no new requests. */
static uint32_t weight_of(const struct upstream *upstream, uint32_t endpoint)
{
    return steer_mode(upstream->steer, endpoint) == STEER_READY
               ? upstream->endpoints[endpoint].config->weight
               : 0;
}

uint32_t upstream_choose(struct upstream *upstream, uint32_t account, uint64_t hash,
                         uint32_t except)
{
    bool checked = upstream->config->health.path[0] != '\0';
    if (upstream->count == 1 && !checked && upstream->accounts == NULL) {
        /* The pool itself says when it is down. */
        return except == 0 || weight_of(upstream, 0) == 0 ? BALANCE_NOBODY : 0;
    }
    weigh(upstream, account, except);
    uint32_t chosen = balance_choose(&upstream->balance, upstream->peers, upstream->count, hash,
                                     except);
    if (upstream->is_near != NULL && chosen != BALANCE_NOBODY) {
        count_one(upstream->is_near[chosen] ? &upstream->zone_near : &upstream->zone_far);
    }
    return chosen;
}

uint32_t upstream_view(struct upstream *upstream, uint32_t account, uint64_t hash)
{
    const struct balance balance = upstream->balance;
    weigh(upstream, account, BALANCE_NOBODY);
    int64_t *turns = alloc_zeroed(&alloc_libc, upstream->count * sizeof *turns);
    for (uint32_t i = 0; turns != NULL && i < upstream->count; i++) {
        turns[i] = upstream->peers[i].turn;
    }
    uint32_t chosen = balance_choose(&upstream->balance, upstream->peers, upstream->count, hash,
                                     BALANCE_NOBODY);
    for (uint32_t i = 0; turns != NULL && i < upstream->count; i++) {
        upstream->peers[i].turn = turns[i];
    }
    alloc_free(&alloc_libc, turns);
    upstream->balance = balance;
    return chosen;
}

const char *upstream_balance_word(enum config_balance balance)
{
    static const char *const words[] = {
        [BALANCE_P2C] = "p2c",
        [BALANCE_LEAST_REQUEST] = "least_request",
        [BALANCE_ROUND_ROBIN] = "round_robin",
        [BALANCE_HASH] = "hash",
        [BALANCE_PRIORITY] = "priority",
    };
    return words[balance];
}

bool upstream_may_speak_http1(const struct upstream *upstream, uint32_t endpoint)
{
    const struct endpoint *at = &upstream->endpoints[endpoint];
    return upstream->tls_http1[0] != '\0' && strcmp(at->config->scheme, "https") == 0
           && loop_now_ms(upstream->loop) >= at->http2_alone_ms;
}

bool upstream_speaks_http2_alone(struct upstream *upstream, uint32_t endpoint, weir_err err)
{
    if (err != WEIR_ETLS_ALPN) {
        return false;
    }
    upstream->endpoints[endpoint].http2_alone_ms = loop_now_ms(upstream->loop) + HTTP2_ALONE_MS;
    return true;
}

/* Where the endpoint's own key does not say all. */
static bool has_key_of_its_own(const struct upstream *upstream, const struct upstream_way *way)
{
    return upstream->config->proxy_protocol != 0 || way->over_http1 || way->session != NULL;
}

static weir_key key_of_its_own(const struct upstream *upstream, const struct upstream_way *way,
                               char ret_tenant[TENANT_MAX])
{
    weir_key key = *pool_key_view(upstream->endpoints[way->endpoint].pins[way->account]);
    if (upstream->config->proxy_protocol != 0) {
        announce_tenant(way->client, ret_tenant);
        key.tenant = ret_tenant;
    } else if (way->session != NULL) { /* "account~session": no name of an account has a ~ */
        snprintf(ret_tenant, TENANT_MAX, "%s~%016llx%016llx", key.tenant != NULL ? key.tenant : "",
                 (unsigned long long)way->session->hash, (unsigned long long)way->session->tag);
        key.tenant = ret_tenant;
    }
    if (way->over_http1) {
        key.tls = upstream->tls_http1;
    }
    return key;
}

weir_err upstream_try_lease(struct upstream *upstream, const struct upstream_way *way,
                            uint32_t flags, weir_lease *ret_lease, void **ret_object)
{
    struct endpoint *at = &upstream->endpoints[way->endpoint];
    char tenant[TENANT_MAX];
    if (!has_key_of_its_own(upstream, way)) {
        return pool_try_acquire_pinned(upstream->pool, at->pins[way->account], flags, ret_lease,
                                       ret_object);
    }
    const weir_key key = key_of_its_own(upstream, way, tenant);
    return weir_try_acquire(upstream->pool, &key, flags, ret_lease, ret_object);
}

weir_err upstream_lease(struct upstream *upstream, const struct upstream_way *way,
                        const weir_acquire_options *opt, weir_lease_fn *fn, void *arg,
                        weir_lease *ret_lease)
{
    struct endpoint *at = &upstream->endpoints[way->endpoint];
    char tenant[TENANT_MAX];
    if (!has_key_of_its_own(upstream, way)) {
        return pool_acquire_pinned(upstream->pool, at->pins[way->account], opt, fn, arg, ret_lease);
    }
    const weir_key key = key_of_its_own(upstream, way, tenant);
    return weir_acquire(upstream->pool, &key, opt, fn, arg, ret_lease);
}

uint32_t upstream_retry_after_ms(const struct upstream *upstream)
{
    uint32_t soonest = UINT32_MAX;
    for (uint32_t i = 0; i < upstream->count * upstream->keys; i++) {
        const struct endpoint *endpoint = &upstream->endpoints[i / upstream->keys];
        uint32_t after_ms = endpoint->verdict->unhealthy ? upstream->config->health.recovery_ms
                                                         : pool_key_retry_after(upstream->pins[i]);
        if (weight_of(upstream, i / upstream->keys) > 0 && after_ms < soonest) {
            soonest = after_ms;
        }
    }
    return soonest;
}

void upstream_give_account(struct upstream *upstream, uint32_t account)
{
    accounts_give(upstream->accounts, account);
    wait_line_wake(&upstream->line);
}

static void tell_change(void *arg, uint32_t index, bool is_ejected)
{
    const struct upstream *upstream = arg;
    for (uint32_t k = 0; k < upstream->keys; k++) {
        pool_key_tell_ejected(upstream->endpoints[index].pins[k], is_ejected);
    }
}

void upstream_judge(struct upstream *upstream, uint32_t endpoint, bool is_good)
{
    if (outlier_count(&upstream->outliers, endpoint, is_good, loop_now_ms(upstream->loop))) {
        tell_change(upstream, endpoint, true);
    }
}

/* How each fares now, as that account sees it. */
static void weigh(struct upstream *upstream, uint32_t account, uint32_t except)
{
    const struct outlier_set *outliers = &upstream->outliers;
    uint64_t now_ms = loop_now_ms(upstream->loop);
    uint32_t out = 0, part = 0;
    outlier_review(&upstream->outliers, now_ms, tell_change, upstream);
    for (uint32_t i = 0; i < upstream->count; i++) {
        struct balance_peer *peer = &upstream->peers[i];
        uint32_t weight = weight_of(upstream, i);
        peer->weight = weight * outlier_weight(outliers, i, now_ms) / 100;
        peer->weight += peer->weight == 0 && weight > 0;
        peer->busy = pool_key_busy(upstream->endpoints[i].pins[account]);
        peer->standing = standing_of(upstream, i, account);
        if (peer->standing == BALANCE_GOOD && outliers->at[i].ejected) {
            peer->standing = BALANCE_OUT;
        }
        part += weight > 0;
        out += weight > 0 && peer->standing == BALANCE_OUT;
    }
    if (upstream->is_near != NULL
        && zone_prefer(upstream->peers, upstream->is_near, upstream->count, except)) {
        return; /* half of those that take part are usable: no reason to panic */
    }
    for (uint32_t i = 0; out * 2 > part && part > 1 && i < upstream->count; i++) {
        if (upstream->peers[i].standing == BALANCE_OUT
            && pool_key_state(upstream->endpoints[i].pins[account]) == WEIR_KEY_UP) {
            upstream->peers[i].standing = BALANCE_GOOD; /* panic */
        }
    }
}

static bool is_usable_by(struct upstream *upstream, uint32_t account)
{
    weigh(upstream, account, BALANCE_NOBODY);
    for (uint32_t i = 0; i < upstream->count; i++) {
        bool is_down = pool_key_state(upstream->endpoints[i].pins[account]) == WEIR_KEY_DOWN;
        if (upstream->peers[i].weight > 0 && upstream->peers[i].standing != BALANCE_OUT
            && !is_down) {
            return true;
        }
    }
    return false;
}

bool upstream_is_usable(struct upstream *upstream)
{
    for (uint32_t k = 0; k < upstream->keys; k++) {
        if (is_usable_by(upstream, k)) {
            return true;
        }
    }
    return false;
}

/* Longer than for a dial: what is predicted for one that is on its way says nothing. */
static bool is_waited_for(const struct key *pin)
{
    if (pin->waiting.count == 0) {
        return false;
    }
    const struct lease *first = list_entry(list_first(&pin->waiting), struct lease, on_owner);
    return pin->pool->engine->now_ms - first->since_ms >= WAIT_SEEN_MS;
}

uint32_t upstream_strain(const struct upstream *upstream)
{
    uint32_t timeout_ms = upstream->config->pool.acquire_timeout_ms;
    uint64_t least_ms = UINT64_MAX;
    for (uint32_t i = 0; i < upstream->count; i++) {
        for (uint32_t k = 0; k < upstream->keys && weight_of(upstream, i) > 0; k++) {
            const struct key *pin = upstream->endpoints[i].pins[k];
            if (pool_key_state(pin) == WEIR_KEY_DOWN) {
                continue;
            }
            uint64_t wait_ms = is_waited_for(pin) ? queue_predict_ms(pin) : 0;
            least_ms = wait_ms < least_ms ? wait_ms : least_ms;
        }
    }
    if (least_ms == UINT64_MAX || timeout_ms == WEIR_NEVER || timeout_ms == 0) {
        return 0;
    }
    uint64_t strain = least_ms * 1000 / timeout_ms;
    return strain < UINT32_MAX ? (uint32_t)strain : UINT32_MAX;
}

bool upstream_has_waiting(const struct upstream *upstream)
{
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(upstream->pool, &stats);
    return stats.waiting > 0;
}

static int errno_of(weir_err err)
{
    return err == WEIR_OK ? 0 : err == WEIR_ENOMEM ? -ENOMEM : -EINVAL;
}

static enum http_speaks speaks_of(const struct config_upstream *config)
{
    switch (config->protocol) {
    case PROTOCOL_HTTP1:
    case PROTOCOL_WEBSOCKET:
    case PROTOCOL_OPENCLAW: return HTTP_SPEAKS_HTTP1;
    case PROTOCOL_H2:
    case PROTOCOL_GRPC: return HTTP_SPEAKS_HTTP2;
    case PROTOCOL_AUTO: break;
    }
    return config_has_https(config) ? HTTP_SPEAKS_AUTO : HTTP_SPEAKS_HTTP1;
}

static uint32_t warm_of(const struct config_upstream *config)
{
    static const uint32_t grades[] = {
        [GRADE_DNS] = WEIR_WARM_DNS, [GRADE_TCP] = WEIR_WARM_TCP,     [GRADE_TLS] = WEIR_WARM_TLS,
        [GRADE_UP] = WEIR_WARM_UP,   [GRADE_PROBE] = WEIR_WARM_PROBE,
    };
    return config->warm != WARM_OFF ? grades[config->warm_grade] : WEIR_OFF;
}

weir_pool_options upstream_pool_options(const struct config_upstream *config)
{
    weir_pool_options pool = config->pool;
    if (config->protocol == PROTOCOL_OPENCLAW && pool.down_for_ms > pool.retry_cap_ms) {
        pool.down_for_ms = pool.retry_cap_ms; /* its down_for is of one that refuses a token */
    }
    pool.size = sizeof pool;
    pool.name = config->name;
    pool.warm = warm_of(config);
    return pool;
}

struct http_connector_options upstream_connector_options(const struct upstream_options *opt)
{
    const weir_pool_options *pool = &opt->config->pool;
    uint32_t gates_count;
    struct http_connector_options connector = {
        .speaks = speaks_of(opt->config),
        .ping_interval_ms = pool->probe_every_ms,
        .ping_timeout_ms = pool->probe_timeout_ms,
        .ping_least_ms = opt->config->protocol == PROTOCOL_GRPC ? GRPC_PING_LEAST_MS : 0,
        .loop = opt->loop,
        .dns = opt->dns,
        .cork = opt->cork,
        .desk = opt->secure != NULL ? secure_desk(opt->secure, opt->worker) : NULL,
        .tls = opt->secure != NULL ? secure_client(opt->secure, opt->worker, opt->index) : NULL,
        .proxy_tls = opt->secure != NULL ? secure_proxy(opt->secure, opt->worker, opt->index)
                                         : NULL,
        .gates = proxies_gates(opt->proxies, opt->index, &gates_count),
        .announce_version = opt->config->proxy_protocol,
        .announce = announce_of,
        .connect_timeout_ms = pool->connect_timeout_ms,
        .tls_timeout_ms = pool->tls_timeout_ms,
        .first_byte_timeout_ms = pool->first_byte_timeout_ms,
        .read_timeout_ms = pool->read_timeout_ms,
        .write_timeout_ms = pool->write_timeout_ms,
        .total_timeout_ms = pool->total_timeout_ms,
    };
    connector.gates_count = gates_count;
    return connector;
}

static int open_pool(struct upstream_source *source, const struct upstream_options *opt)
{
    weir_pool_options pool = upstream_pool_options(opt->config);
    const struct http_connector_options connector = upstream_connector_options(opt);
    int error = http_connector_new(&connector, &source->connector);
    if (error != 0) {
        return error;
    }
    pool.connector = connector.speaks == HTTP_SPEAKS_HTTP1 ? &http_pool_connector
                                                           : &http_pool_connector_shared;
    pool.connector_self = source->connector;
    weir_err err = weir_pool_open(opt->engine, &pool, &source->pool);
    if (err == WEIR_OK) {
        http_connector_serve(source->connector, source->pool);
    }
    return errno_of(err);
}

/* What the keys of the newcomer may need, beside what the connector knows for those of the others.
 */
static int widen_connector(struct upstream_source *source, const struct upstream_options *opt)
{
    const struct http_connector_options connector = upstream_connector_options(opt);
    http_connector_widen(source->connector, &connector);
    return http_connector_pass_gates(source->connector, connector.gates, connector.gates_count);
}

static int join_source(struct upstream *upstream, const struct upstream_options *opt)
{
    struct upstream_source *source = opt->source;
    int error = 0;
    if (source != NULL && source->is_closed) {
        return -EBUSY;
    }
    if (source == NULL) {
        source = alloc_zeroed(&alloc_libc, sizeof *source);
    }
    if (source == NULL) {
        return -ENOMEM;
    }
    upstream->source = source;
    source->users++;
    if (opt->secure != NULL) {
        upstream->tls = secure_client(opt->secure, opt->worker, opt->index);
        upstream->proxy_tls = secure_proxy(opt->secure, opt->worker, opt->index);
    }
    source->current = opt->source != NULL ? source->current : upstream;
    if (opt->source != NULL) {
        error = widen_connector(source, opt);
    } else {
        source->engine = opt->engine;
        error = open_pool(source, opt);
    }
    upstream->pool = source->pool;
    upstream->connector = source->connector;
    upstream->openclaw = source->openclaw;
    return error;
}

/* It ends with its configuration, unless the one that is in force has it, too. */
static void forget_tls(const struct upstream *upstream, struct upstream_source *source)
{
    const struct upstream *current = source->current != upstream ? source->current : NULL;
    if (source->connector == NULL) {
        return;
    }
    if (current == NULL || current->tls != upstream->tls) {
        http_connector_forget(source->connector, upstream->tls);
    }
    if (current == NULL || current->proxy_tls != upstream->proxy_tls) {
        http_connector_forget(source->connector, upstream->proxy_tls);
    }
}

static void leave_source(struct upstream *upstream)
{
    struct upstream_source *source = upstream->source;
    if (source == NULL) {
        return;
    }
    for (uint32_t i = 0;
         source->users > 1 && !source->is_closed && i < upstream->count * upstream->keys; i++) {
        if (upstream->pins[i] != NULL) {
            pool_key_unpin(source->pool, upstream->pins[i]);
        }
    }
    source->users--;
    forget_tls(upstream, source);
    source->current = source->current == upstream ? NULL : source->current;
    if (source->users == 0) {
        openclaw_free(source->openclaw);
        http_connector_free(source->connector);
        alloc_free(&alloc_libc, source);
    }
}

/* Whether the engine has a pool of that name no more. */
static bool is_gone(const struct upstream_source *source, const char *prefix, const char *name)
{
    char pool[80];
    snprintf(pool, sizeof pool, "%s%s", prefix, name);
    return weir_pool_find(source->engine, pool) == NULL;
}

bool upstream_close_pools(struct upstream *upstream)
{
    struct upstream_source *source = upstream->source;
    if (source == NULL || source->pool == NULL) {
        return true;
    }
    if (!source->is_closed) {
        source->is_closed = true;
        weir_pool_close(source->pool, 0);
        if (source->openclaw != NULL && openclaw_pool(source->openclaw) != NULL) {
            weir_pool_close(openclaw_pool(source->openclaw), 0);
        }
    }
    return is_gone(source, "", upstream->config->name)
           && is_gone(source, "openclaw:", upstream->config->name);
}

static int pin(struct upstream *upstream, const struct upstream_options *opt, uint32_t index,
               uint32_t account)
{
    const char *fingerprint = opt->secure != NULL ? secure_fingerprint(opt->secure, opt->index)
                                                  : NULL;
    const struct config_endpoint *config = &opt->config->endpoints.at[index];
    const char *proxy = config_way(opt->config, account);
    const weir_key key = {
        .scheme = config->scheme,
        .host = config->host,
        .port = config->port,
        .proxy = proxy[0] != '\0' ? proxy : NULL,
        .tls = strcmp(config->scheme, "https") == 0 ? fingerprint : NULL,
        .tenant = opt->config->accounts.count > 0 ? opt->config->accounts.at[account].name : NULL,
    };
    struct key **ret_pin = &upstream->endpoints[index].pins[account];
    weir_err err = pool_key_pin(upstream->pool, &key, ret_pin);
    if (err == WEIR_OK && key.tenant != NULL && !upstream_has_key(opt->elder, config, key.tenant)) {
        err = pool_key_cap(*ret_pin, opt->config->accounts.at[account].max_connections);
    }
    if (err == WEIR_OK && warm_of(opt->config) == WEIR_WARM_DNS && key.proxy == NULL) {
        http_connector_learn(upstream->connector, key.host);
    }
    return errno_of(err);
}

static int pin_endpoints(struct upstream *upstream, const struct upstream_options *opt)
{
    const char *fingerprint = opt->secure != NULL ? secure_fingerprint(opt->secure, opt->index)
                                                  : NULL;
    int error = 0;
    if (fingerprint != NULL && speaks_of(opt->config) == HTTP_SPEAKS_AUTO) {
        snprintf(upstream->tls_http1, sizeof upstream->tls_http1, "%s" HTTP_KEY_HTTP1, fingerprint);
    }
    for (uint32_t i = 0; i < upstream->count; i++) {
        const struct config_endpoint *config = &opt->config->endpoints.at[i];
        struct endpoint *endpoint = &upstream->endpoints[i];
        endpoint->config = config;
        endpoint->verdict = &opt->verdicts[i];
        endpoint->pins = &upstream->pins[(size_t)i * upstream->keys];
        endpoint->passes_seen = &upstream->passes[(size_t)i * upstream->keys];
        upstream->peers[i] = (struct balance_peer){
            .hash = XXH3_64bits(config->url, strlen(config->url)),
            .weight = config->weight,
            .tier = config->priority,
            .standing = BALANCE_GOOD,
        };
        for (uint32_t k = 0; error == 0 && k < upstream->keys; k++) {
            error = pin(upstream, opt, i, k);
        }
    }
    return error;
}

static int find_near(struct upstream *upstream, const char *zone)
{
    uint32_t near = 0;
    if (zone == NULL || zone[0] == '\0') {
        return 0;
    }
    for (uint32_t i = 0; i < upstream->count; i++) {
        near += strcmp(upstream->endpoints[i].config->zone, zone) == 0;
    }
    if (near == 0 || near == upstream->count) {
        return 0;
    }
    upstream->is_near = alloc_zeroed(&alloc_libc, upstream->count * sizeof *upstream->is_near);
    if (upstream->is_near == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < upstream->count; i++) {
        const struct config_endpoint *config = upstream->endpoints[i].config;
        upstream->is_near[i] = strcmp(config->zone, zone) == 0 && config->weight > 0;
    }
    return 0;
}

static int open_openclaw(struct upstream *upstream, const struct upstream_options *opt)
{
    uint32_t gates_count;
    struct openclaw_options openclaw = {
        .config = opt->config,
        .accounts = opt->accounts,
        .news = &upstream->news,
        .identities = opt->identities,
        .engine = opt->engine,
        .loop = opt->loop,
        .dns = opt->dns,
        .workers = opt->workers,
        .seed = rand_mix(opt->seed),
        .gates = proxies_gates(opt->proxies, opt->index, &gates_count),
        .on_event = opt->on_event,
        .event_self = opt->event_self,
    };
    openclaw.gates_count = gates_count;
    if (opt->secure != NULL) {
        openclaw.desk = secure_desk(opt->secure, opt->worker);
        openclaw.tls = secure_client(opt->secure, opt->worker, opt->index);
        openclaw.proxy_tls = secure_proxy(opt->secure, opt->worker, opt->index);
        openclaw.fingerprint = secure_fingerprint(opt->secure, opt->index);
    }
    int error = openclaw_open(&openclaw, &upstream->source->openclaw);
    upstream->openclaw = upstream->source->openclaw;
    return error;
}

static uint8_t standing_of(struct upstream *upstream, uint32_t index, uint32_t account)
{
    struct endpoint *endpoint = &upstream->endpoints[index];
    struct key *pin = endpoint->pins[account];
    weir_key_state state = pool_key_state(pin);
    uint32_t passes = __atomic_load_n(&endpoint->verdict->passes, __ATOMIC_RELAXED);
    bool passed = passes != endpoint->passes_seen[account];
    endpoint->passes_seen[account] = passes;
    if (__atomic_load_n(&endpoint->verdict->unhealthy, __ATOMIC_RELAXED)) {
        return BALANCE_OUT;
    }
    if (state == WEIR_KEY_UP) {
        return BALANCE_GOOD;
    }
    if (state == WEIR_KEY_DOWN && passed) {
        /* A check got through: what the pool holds against it is over. */
        weir_pool_flush(upstream->pool, pool_key_view(pin), 0);
        return BALANCE_GOOD;
    }
    if (pool_key_retry_after(pin) > 0) {
        return state == WEIR_KEY_DOWN ? BALANCE_OUT : BALANCE_DOUBTED;
    }
    return pool_key_busy(pin) == 0 ? BALANCE_GOOD : BALANCE_DOUBTED;
}

static enum balance_method method_of(enum config_balance balance)
{
    switch (balance) {
    case BALANCE_P2C: return BALANCE_TWO_CHOICES;
    case BALANCE_LEAST_REQUEST: return BALANCE_LEAST_BUSY;
    case BALANCE_ROUND_ROBIN: return BALANCE_EACH_IN_TURN;
    case BALANCE_HASH: return BALANCE_RENDEZVOUS;
    case BALANCE_PRIORITY: return BALANCE_LOWEST_TIER;
    }
    unreachable();
}
