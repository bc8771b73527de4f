/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_page.c - each page as a writer of JSON, text or metrics.
 *
 * A list is written row by row: admin_rows.h.
 */
#include "gateway/admin_page.h"

#include "gateway/accounts.h"
#include "gateway/admin_rows.h"
#include "gateway/admin_tls.h"
#include "gateway/admin_upgrade.h"
#include "gateway/affinity.h"
#include "gateway/client_keys.h"
#include "gateway/generation.h"
#include "gateway/inlet.h"
#include "gateway/metrics.h"
#include "gateway/metrics_tls.h"
#include "gateway/process.h"
#include "gateway/proxies.h"
#include "gateway/relay.h"
#include "gateway/relief.h"
#include "gateway/sandbox.h"
#include "gateway/server.h"
#include "gateway/steer.h"
#include "gateway/upgrade.h"
#include "gateway/verdict.h"
#include "io/clock.h"
#include "io/notify.h"
#include "listener/accept.h"
#include "proto/json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- alive, ready, healthy -----------------------------------------------------------------------
 */

static const char *state_word(const struct server *server)
{
    static const char *const words[] = {"opening", "serving", "draining", "stopped"};
    return words[server->state];
}

uint16_t admin_livez(const struct server *server, const struct census *census, bool openmetrics,
                     struct bytes *out)
{
    (void)server, (void)census, (void)openmetrics;
    bytes_append_text(out, "ok\n");
    return 200;
}

/* A pool that must be warm on every worker, and is not: as far as its limit allows, and as long as
 * it is worth waiting for. */
static bool is_cold(const struct server *server, const struct census *census, uint32_t pool)
{
    const struct config_upstream *config = &server->config->upstreams.at[pool];
    uint64_t waited_ms = clock_now_ms() - server->started_ms;
    uint64_t total = 0;
    bool cold = false;
    if (config->warm != WARM_REQUIRED || waited_ms >= config->warm_timeout_ms)
        return false;
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        cold |= pool >= sheet->pools_count || sheet->pools[pool].stats.warm == 0;
        total += pool < sheet->pools_count ? sheet->pools[pool].stats.total : 0;
    }
    return cold && total < config->pool.max_total;
}

uint16_t admin_readyz(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out)
{
    (void)openmetrics;
    if (server->state != SERVER_SERVING) {
        bytes_printf(out, "%s\n", state_word(server));
        return 503;
    }
    for (uint32_t u = 0; u < server->config->upstreams.count; u++)
        if (is_cold(server, census, u)) {
            bytes_printf(out, "warming up %s\n", server->config->upstreams.at[u].name);
            return 503;
        }
    bytes_append_text(out, "ok\n");
    return 200;
}

static weir_health worst_of(const struct census *census, uint32_t pool)
{
    weir_health worst = WEIR_HEALTHY;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        if (pool < census->sheets[w].pools_count
            && census->sheets[w].pools[pool].health.health > worst)
            worst = census->sheets[w].pools[pool].health.health;
    return worst;
}

uint16_t admin_index(const struct server *server, const struct census *census, bool openmetrics,
                     struct bytes *out)
{
    (void)census, (void)openmetrics;
    bytes_printf(out, "weir %s, %s\n\n", WEIR_VERSION, state_word(server));
    for (uint32_t i = 1; i < admin_table_count; i++)
        if (admin_table[i].kind == ADMIN_ROW_PAGE && !admin_changes(&admin_table[i].page))
            bytes_printf(out, "%s\n", admin_table[i].name);
    return 200;
}

uint16_t admin_metrics(const struct server *server, const struct census *census, bool openmetrics,
                       struct bytes *out)
{
    uint16_t status = metrics_write(server, census, openmetrics, out) ? 200 : 500;
    /* Who asks the other process next shall not read less there. */
    upgrade_tell_totals(server->upgrade, census);
    return status;
}

/* --- pools ---------------------------------------------------------------------------------------
 */

static const struct stat_field {
    const char *name;
    size_t offset;
} stat_fields[] = {
#define WEIR_STAT(field, kind, text) {#field, offsetof(weir_stats, field)},
#include <weir/def/stat.def>
#undef WEIR_STAT
};

/* Over the workers: the sum, but of the oldest wait the longest. */
static uint64_t stat_over_all(const struct census *census, uint32_t pool,
                              const struct stat_field *field)
{
    uint64_t value = 0;
    bool longest = field->offset == offsetof(weir_stats, oldest_wait_ms);
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        uint64_t one = 0;
        if (pool < sheet->pools_count)
            memcpy(&one, (const char *)&sheet->pools[pool].stats + field->offset, sizeof(one));
        if (!longest)
            value += one;
        else if (one > value)
            value = one;
    }
    return value;
}

/* held_back: callers who wait for the end of a pause. */
static void stats_row(struct json *row, const struct census *census, uint32_t pool,
                      uint64_t held_back)
{
    for (size_t i = 0; i < sizeof(stat_fields) / sizeof(stat_fields[0]); i++) {
        const struct stat_field *field = &stat_fields[i];
        bool is_waiting = field->offset == offsetof(weir_stats, waiting);
        json_u64(row, field->name,
                 stat_over_all(census, pool, field) + (is_waiting ? held_back : 0));
    }
}

uint16_t admin_pools(const struct server *server, const struct census *census, bool openmetrics,
                     struct bytes *out)
{
    (void)openmetrics;
    struct rows rows;
    rows_open(&rows, "pools", out);
    for (uint32_t i = 0; i < census_pools_count(server); i++) {
        const struct census_who who = census_who_of(server, i);
        bool listener = who.kind == CENSUS_LISTENER;
        struct json row = row_begin(&rows);
        json_text(&row, "name", who.name);
        json_text(&row, "kind", listener ? "listener" : "upstream");
        uint32_t most = census_most(server, i);
        if (most == WEIR_UNLIMITED)
            json_null(&row, "max_connections");
        else
            json_u64(&row, "max_connections", most);
        json_text(&row, "health", weir_health_word(worst_of(census, i)));
        for (uint32_t w = 0; w < census->sheets_count; w++)
            if (i < census->sheets[w].pools_count
                && census->sheets[w].pools[i].health.health == worst_of(census, i)) {
                json_text(&row, "why", census->sheets[w].pools[i].health.message);
                break;
            }
        struct steer *steer = who.kind == CENSUS_UPSTREAM
                                  ? relay_shared_steer(server->shared, who.index)
                                  : NULL;
        json_bool(&row, "paused", steer != NULL && steer_is_paused(steer));
        stats_row(&row, census, i, steer != NULL ? atomic_load(&steer->pause->hall.waiting) : 0);
        admin_tls_add(&row, server, listener, who.index);
        row_end(&rows, &row);
    }
    return rows_close(&rows);
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

static void endpoint_row(struct json *row, const struct census *census, uint32_t index)
{
    uint64_t busy = 0, answered = 0, failed = 0;
    weir_key_state state = WEIR_KEY_UP;
    bool healthy = true, checked = false;
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        if (index >= sheet->endpoints_count)
            continue;
        const struct relay_endpoint_info *info = &sheet->endpoints[index];
        busy += info->busy;
        answered += info->answered;
        failed += info->failed;
        healthy = healthy && info->healthy;
        checked = checked || info->checked;
        if (info->key_state != WEIR_KEY_UP && state != WEIR_KEY_DOWN)
            state = info->key_state;
    }
    json_text(row, "state", weir_key_state_word(state));
    json_bool(row, "healthy", healthy);
    json_bool(row, "checked", checked);
    json_u64(row, "busy", busy);
    json_u64(row, "answered", answered);
    json_u64(row, "failed", failed);
}

uint16_t admin_endpoints(const struct server *server, const struct census *census, bool openmetrics,
                         struct bytes *out)
{
    (void)openmetrics;
    const struct config *config = server->config;
    struct rows rows;
    uint32_t index = 0;
    rows_open(&rows, "endpoints", out);
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++) {
            const struct config_endpoint *endpoint = &config->upstreams.at[u].endpoints.at[e];
            struct json row = row_begin(&rows);
            json_text(&row, "upstream", config->upstreams.at[u].name);
            json_text(&row, "endpoint", endpoint->name);
            json_text(&row, "url", endpoint->url);
            json_u64(&row, "weight", endpoint->weight);
            json_u64(&row, "priority", endpoint->priority);
            json_text(&row, "zone", endpoint->zone);
            json_text(&row, "mode",
                      steer_word(steer_mode(relay_shared_steer(server->shared, u), e)));
            endpoint_row(&row, census, index++);
            row_end(&rows, &row);
        }
    return rows_close(&rows);
}

/* --- keys and connections ------------------------------------------------------------------------
 */

static void place_row(struct json *row, const struct server *server, uint32_t worker, uint32_t pool)
{
    json_u64(row, "worker", worker);
    json_text(row, "pool", census_who_of(server, pool).name);
}

static uint64_t ago(uint64_t now_ms, uint64_t then_ms)
{
    return then_ms < now_ms ? now_ms - then_ms : 0;
}

uint16_t admin_keys(const struct server *server, const struct census *census, bool openmetrics,
                    struct bytes *out)
{
    (void)openmetrics;
    struct rows rows;
    rows_open(&rows, "keys", out);
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        rows.cut = rows.cut || sheet->cut;
        for (uint32_t i = 0; i < sheet->keys_count; i++) {
            const struct census_key *key = &sheet->keys[i];
            const weir_key_info *info = &key->info;
            struct json row = row_begin(&rows);
            json_text(&row, "key", key->text);
            place_row(&row, server, w, key->pool);
            json_text(&row, "state", weir_key_state_word(info->state));
            if (info->last_error != WEIR_OK) {
                json_text(&row, "last_error", weir_err_word(info->last_error));
                json_u64(&row, "last_error_ago_ms", ago(sheet->now_ms, info->last_error_ms));
            }
            json_u64(&row, "failures", info->failures);
            json_u64(&row, "retry_after_ms", info->retry_after_ms);
            json_u64(&row, "dialling", info->dialling);
            json_u64(&row, "idle", info->idle);
            json_u64(&row, "shared", info->shared);
            json_u64(&row, "active", info->active);
            json_u64(&row, "probing", info->probing);
            json_u64(&row, "closing", info->closing);
            json_u64(&row, "waiting", info->waiting);
            json_u64(&row, "grants", info->grants);
            json_u64(&row, "reused", info->reused);
            json_u64(&row, "created", info->created);
            json_u64(&row, "errors", info->errors);
            json_u64(&row, "last_used_ago_ms", ago(sheet->now_ms, info->last_used_ms));
            row_end(&rows, &row);
        }
    }
    return rows_close(&rows);
}

/* in: from that connection; out: to it, from the other side. */
static void websocket_row(struct json *row, const struct channel_info *info)
{
    json_open(row, "websocket", '{');
    json_u64(row, "messages_in", info->messages_in);
    json_u64(row, "messages_out", info->messages_out);
    json_u64(row, "bytes_in", info->bytes_in);
    json_u64(row, "bytes_out", info->bytes_out);
    if (info->rtt_us > 0)
        json_fixed(row, "ping_ms", info->rtt_us, 3);
    else
        json_null(row, "ping_ms");
    json_close(row, '}');
}

/* What the kernel says of it. */
static void tcp_row(struct json *row, const struct tcp_facts *tcp)
{
    if (!tcp->is_known) {
        json_null(row, "tcp");
        return;
    }
    json_open(row, "tcp", '{');
    json_fixed(row, "rtt_ms", tcp->rtt_us, 3);
    json_fixed(row, "rtt_var_ms", tcp->rtt_var_us, 3);
    json_u64(row, "retransmits", tcp->retransmits);
    json_u64(row, "lost", tcp->lost);
    json_u64(row, "congestion_window", tcp->congestion_window);
    json_u64(row, "bytes_in", tcp->bytes_in);
    json_u64(row, "bytes_acked", tcp->bytes_acked);
    json_u64(row, "unsent", tcp->unsent);
    json_close(row, '}');
}

uint16_t admin_connections(const struct server *server, const struct census *census,
                           bool openmetrics, struct bytes *out)
{
    (void)openmetrics;
    struct rows rows;
    rows_open(&rows, "connections", out);
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        rows.cut = rows.cut || sheet->cut;
        for (uint32_t i = 0; i < sheet->conns_count; i++) {
            const struct census_conn *conn = &sheet->conns[i];
            const weir_conn_info *info = &conn->info;
            char id[24];
            struct json row = row_begin(&rows);
            snprintf(id, sizeof(id), "%llx", (unsigned long long)info->conn.id);
            json_text(&row, "id", id);
            if (conn->stream > 0)
                json_u64(&row, "stream", conn->stream);
            place_row(&row, server, w, conn->pool);
            json_text(&row, "key", conn->text);
            json_text(&row, "note", conn->note[0] != '\0' ? conn->note : NULL);
            json_text(&row, "state", weir_state_word(info->state));
            json_text(&row, "why", info->why != WEIR_OK ? weir_err_word(info->why) : NULL);
            json_u64(&row, "leases", info->leases);
            json_u64(&row, "uses", info->uses);
            json_u64(&row, "age_ms", ago(sheet->now_ms, info->created_ms));
            json_u64(&row, "in_state_ms", ago(sheet->now_ms, info->since_ms));
            json_u64(&row, "last_used_ago_ms", ago(sheet->now_ms, info->last_used_ms));
            json_bool(&row, "retiring", info->retiring);
            if (conn->is_websocket)
                websocket_row(&row, &conn->websocket);
            if (conn->stream == 0)
                tcp_row(&row, &conn->tcp);
            row_end(&rows, &row);
        }
    }
    return rows_close(&rows);
}

/* --- listeners -----------------------------------------------------------------------------------
 */

/* Each counter of either protocol; what both have is one number. */
static void counters_row(struct json *row, const struct server *server, uint32_t listener)
{
    struct http1_counters one = {0};
    struct http2_counters two = {0};
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const struct http1_counters *http1 = inlet_http1(server_inlet(server, w, listener));
        const struct http2_counters *http2 = inlet_http2(server_inlet(server, w, listener));
#define X(name, text) one.name += http1_counter(&http1->name);
        LISTENER_COUNTERS(X)
#undef X
#define X(name, text) two.name += http2_counter(&http2->name);
        LISTENER_COUNTERS(X)
        HTTP2_OWN_COUNTERS(X)
#undef X
        for (unsigned f = 0; f < HTTP2_FLOOD_COUNT; f++)
            two.floods[f] += http2_counter(&http2->floods[f]);
    }
#define X(name, text) one.name += two.name;
    LISTENER_COUNTERS(X)
#undef X
#define X(name, text) json_u64(row, #name, one.name);
    LISTENER_COUNTERS(X)
#undef X
#define X(name, text) json_u64(row, "http2_" #name, two.name);
    HTTP2_OWN_COUNTERS(X)
#undef X
    json_open(row, "http2_floods", '{');
    for (unsigned f = HTTP2_FLOOD_NONE + 1; f < HTTP2_FLOOD_COUNT; f++)
        json_u64(row, http2_flood_word((enum http2_flood)f), two.floods[f]);
    json_close(row, '}');
}

uint16_t admin_listeners(const struct server *server, const struct census *census, bool openmetrics,
                         struct bytes *out)
{
    (void)openmetrics;
    struct rows rows;
    rows_open(&rows, "listeners", out);
    for (uint32_t l = 0; l < server->config->listeners.count; l++) {
        const struct config_listener *listener = &server->config->listeners.at[l];
        const struct accept_port *port = server->generation->ports[l];
        struct json row = row_begin(&rows);
        json_text(&row, "name", listener->name);
        json_text(&row, "address", listener->address.text);
        json_u64(&row, "port", server_port(server, l));
        json_text(&row, "state", state_word(server));
        const struct health_verdict verdict = verdict_of_listener(server, census, l);
        json_text(&row, "health", weir_health_word(verdict.health));
        json_text(&row, "why", verdict.why);
        json_u64(&row, "connections", accept_port_taken(port));
        json_u64(&row, "max_connections", listener->pool.max_connections);
        counters_row(&row, server, l);
        admin_tls_add(&row, server, true, l);
        row_end(&rows, &row);
    }
    return rows_close(&rows);
}

/* --- certificates --------------------------------------------------------------------------------
 */

static void certificate_rows(struct rows *rows, const struct server *server, bool is_listener,
                             uint32_t index)
{
    const struct tls_profile *profile = tls_profile_of(server, is_listener, index);
    for (uint32_t i = 0; profile != NULL && i < tls_profile_certificates(profile); i++) {
        struct tls_certificate seen;
        struct json row = row_begin(rows);
        tls_profile_certificate(profile, i, &seen);
        json_text(&row, is_listener ? "listener" : "upstream",
                  is_listener ? server->config->listeners.at[index].name
                              : server->config->upstreams.at[index].name);
        admin_tls_certificate(&row, &seen);
        row_end(rows, &row);
    }
}

/* Those that we show: to clients, and to endpoints that ask for one. */
uint16_t admin_certificates(const struct server *server, const struct census *census,
                            bool openmetrics, struct bytes *out)
{
    (void)census, (void)openmetrics;
    struct rows rows;
    rows_open(&rows, "certificates", out);
    for (uint32_t l = 0; l < server->config->listeners.count; l++)
        certificate_rows(&rows, server, true, l);
    for (uint32_t u = 0; u < server->config->upstreams.count; u++)
        certificate_rows(&rows, server, false, u);
    return rows_close(&rows);
}

/* --- process -------------------------------------------------------------------
 */

static void worker_rows(struct json *row, const struct server *server)
{
    json_open(row, "workers", '[');
    for (uint32_t w = 0; w < server->sites_count; w++) {
        uint64_t clients = 0, requests = 0;
        for (uint32_t l = 0; l < server->config->listeners.count; l++) {
            clients += accept_port_taken_at(server->generation->ports[l], w);
            requests += inlet_counted(server_inlet(server, w, l), requests);
        }
        json_open(row, NULL, '{');
        json_u64(row, "worker", w);
        json_u64(row, "connections", clients);
        json_u64(row, "requests", requests);
        json_close(row, '}');
    }
    json_close(row, ']');
}

/* --- accounts and clients ------------------------------------------------------------------------
 */

static void term_rows(struct json *row, const struct cooldown *cooldown, uint64_t now_ms)
{
    json_open(row, "cooldowns", '[');
    for (uint32_t i = 0; i <= COOLDOWN_FAMILIES_MAX; i++) {
        const struct cooldown_term *term = i == 0 ? &cooldown->all : &cooldown->families[i - 1];
        char family[COOLDOWN_FAMILY_LEN + 1] = "";
        if (term->until_ms <= now_ms)
            continue;
        memcpy(family, term->family, term->family_len);
        json_open(row, NULL, '{');
        json_text(row, "reason", cooldown_word(term->reason));
        json_text(row, "family", family);
        json_fixed(row, "left_seconds", term->until_ms - now_ms, 3);
        json_close(row, '}');
    }
    json_close(row, ']');
}

static void token_cells(struct json *row, const uint64_t tokens[AI_TOKENS_KINDS])
{
    json_u64(row, "input_tokens", tokens[AI_TOKENS_INPUT]);
    json_u64(row, "output_tokens", tokens[AI_TOKENS_OUTPUT]);
    json_u64(row, "cache_read_tokens", tokens[AI_TOKENS_CACHE_READ]);
    json_u64(row, "cache_write_tokens", tokens[AI_TOKENS_CACHE_WRITE]);
}

static void account_row(struct rows *rows, const struct config_upstream *upstream,
                        const struct accounts_info *info, uint64_t now_ms)
{
    char proxy[PROXIES_NAME_MAX];
    enum cooldown_reason reason;
    const struct config_account *config = info->config;
    uint64_t left_ms = cooldown_left(&info->cooldown, (struct slice){"", 0}, now_ms, &reason);
    bool is_full = config->concurrent != 0 && info->open >= config->concurrent;
    proxies_name(config->proxy[0] != '\0' ? config->proxy : upstream->proxy, proxy);
    struct json row = row_begin(rows);
    json_text(&row, "upstream", upstream->name);
    json_text(&row, "account", config->name);
    json_text(&row, "state",
              left_ms > 0           ? "cooling"
              : config->weight == 0 ? "drained"
              : is_full             ? "full"
                                    : "ready");
    const struct health_verdict verdict = verdict_of_account(info, now_ms);
    json_text(&row, "health", weir_health_word(verdict.health));
    json_text(&row, "why", verdict.why);
    json_text(&row, "reason", cooldown_word(reason));
    json_fixed(&row, "cooldown_seconds", left_ms, 3);
    term_rows(&row, &info->cooldown, now_ms);
    json_u64(&row, "in_flight", info->open);
    json_u64(&row, "concurrent", config->concurrent);
    json_u64(&row, "priority", config->priority);
    json_u64(&row, "weight", config->weight);
    json_text(&row, "proxy", proxy);
    json_u64(&row, "given_up", info->given_up);
    token_cells(&row, info->tokens);
    json_u64(&row, "unread_answers", info->unread);
    row_end(rows, &row);
}

uint16_t admin_accounts(const struct server *server, const struct census *census, bool openmetrics,
                        struct bytes *out)
{
    (void)census, (void)openmetrics;
    struct rows rows;
    struct accounts_info info;
    uint64_t now_ms = clock_now_ms();
    rows_open(&rows, "accounts", out);
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        for (uint32_t i = 0; i < upstream->accounts.count; i++) {
            accounts_info_of(relay_shared_accounts(server->shared, u), i, &info);
            account_row(&rows, upstream, &info, now_ms);
        }
    }
    return rows_close(&rows);
}

static void client_row(struct rows *rows, const struct client_info *info)
{
    static const char *const priorities[PRIORITIES] = {"low", "normal", "high"};
    struct json row = row_begin(rows);
    json_text(&row, "client", info->config->name);
    json_u64(&row, "in_flight", info->open);
    json_u64(&row, "waiting", info->waiting);
    json_u64(&row, "concurrent", info->config->concurrent);
    if (info->share != UINT64_MAX) {
        json_u64(&row, "share", info->share); /* of these, here */
    }
    json_u64(&row, "rate", info->config->rate.count);
    json_u64(&row, "rate_seconds", info->config->rate.per_s);
    json_text(&row, "limits", !info->is_shared ? "own" : !info->is_local ? "fleet" : "local");
    json_text(&row, "priority", priorities[info->config->priority]);
    json_u64(&row, "requests", info->entered);
    json_u64(&row, "refused_concurrent", info->full);
    json_u64(&row, "refused_rate", info->fast);
    token_cells(&row, info->tokens);
    row_end(rows, &row);
}

uint16_t admin_clients(const struct server *server, const struct census *census, bool openmetrics,
                       struct bytes *out)
{
    (void)census, (void)openmetrics;
    const struct client_keys *keys = relay_shared_clients(server->shared);
    struct rows rows;
    struct client_info info;
    rows_open(&rows, "clients", out);
    for (uint32_t i = 0; keys != NULL && i < client_keys_count(keys); i++) {
        client_keys_info_of(keys, i, &info);
        client_row(&rows, &info);
    }
    return rows_close(&rows);
}

/* What a metric has no room for: where it failed, and what was said there. */
static void write_redis_fault(struct json *row, const struct server *server)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    struct affinities_info info = {.has_redis = false};
    if (affinities != NULL) {
        affinities_info_of(affinities, &info);
    }
    if (info.has_redis) {
        json_text(row, "redis_fault", info.redis_fault);
    }
}

static void write_sandbox(struct json *row, const struct server *server)
{
    struct sandbox_facts facts;
    sandbox_facts(server->opt.sandbox, &facts);
    json_text(row, "user", facts.user);
    json_text(row, "capabilities", facts.capabilities);
    json_text(row, "sandbox", facts.word);
    json_text(row, "sandbox_lacks", facts.lacks);
    json_bool(row, "no_new_privs", facts.rights.no_new_privs);
    json_u64(row, "landlock", (uint64_t)facts.landlock);
    json_bool(row, "seccomp", facts.seccomp);
}

static void overload_row(struct json *row, const struct server *server)
{
    static const char *const shares[] = {"descriptors_ratio", "memory_ratio"};
    struct relief_info info;
    char text[RELIEF_TEXT];
    relief_info_of(server->relief, &info);
    relief_print(server->relief, text);
    json_open(row, "overload", '{');
    json_text(row, "level", overload_word(info.overload.level));
    json_text(row, "why", text);
    for (enum overload_resource i = 0; i < OVERLOAD_RESOURCES; i++)
        json_fixed(row, shares[i], info.overload.share[i], 3);
    json_u64(row, "memory_max", info.use[OVERLOAD_MEMORY].most);
    json_close(row, '}');
}

uint16_t admin_process(const struct server *server, const struct census *census, bool openmetrics,
                       struct bytes *out)
{
    (void)census, (void)openmetrics;
    char room[32768];
    char stamp[CLOCK_STAMP + 1];
    struct process_figures figures;
    struct json row = json_into(room, sizeof(room));
    process_figures(&figures);
    clock_stamp(server->started_wall_ms, stamp);
    json_open(&row, NULL, '{');
    json_text(&row, "node", server->node);
    json_text(&row, "version", WEIR_VERSION);
    json_text(&row, "state", state_word(server));
    json_u64(&row, "pid", (uint64_t)getpid());
    admin_upgrade_members(&row, server);
    json_text(&row, "started", stamp);
    json_fixed(&row, "uptime_seconds", clock_now_ms() - server->started_ms, 3);
    json_u64(&row, "resident_bytes", figures.resident_bytes);
    json_fixed(&row, "cpu_seconds", figures.cpu_us, 6);
    json_u64(&row, "descriptors", figures.descriptors);
    json_u64(&row, "descriptors_max", figures.descriptors_max);
    write_sandbox(&row, server);
    overload_row(&row, server);
    json_u64(&row, "log_lines_dropped", journal_dropped(server->journal));
    write_redis_fault(&row, server);
    json_u64(&row, "access_lines_dropped",
             server->access != NULL ? notify_dropped(server->access) : 0);
    worker_rows(&row, server);
    json_close(&row, '}');
    bytes_append(out, row.at, row.len);
    bytes_append_text(out, "\n");
    return row.full ? 500 : 200;
}

/* Of configurations: this process has had one. */
uint16_t admin_generations(const struct server *server, const struct census *census,
                           bool openmetrics, struct bytes *out)
{
    struct rows rows;
    char stamp[CLOCK_STAMP + 1];
    (void)census, (void)openmetrics;
    rows_open(&rows, "generations", out);
    weir_list_each(it, &server->generations) {
        const struct generation *generation = list_entry(it, struct generation, on_server);
        struct json row = row_begin(&rows);
        clock_stamp(generation->since_wall_ms, stamp);
        json_u64(&row, "generation", generation->number);
        json_text(&row, "since", stamp);
        json_bool(&row, "current", generation == server->generation);
        row_end(&rows, &row);
    }
    return rows_close(&rows);
}
