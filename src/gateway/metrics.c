/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c - families, one function for each kind of source.
 *
 * What engines know comes by a census; what is counted by relaxed atomics is read where it is. Sums
 * are over workers, except the oldest wait and the health, which are the worst of them.
 */
#include "gateway/metrics.h"

#include "gateway/inlet.h"
#include "gateway/metrics_accounts.h"
#include "gateway/metrics_alerts.h"
#include "gateway/metrics_clients.h"
#include "gateway/metrics_discovery.h"
#include "gateway/metrics_groups.h"
#include "gateway/metrics_health.h"
#include "gateway/metrics_histogram.h"
#include "gateway/metrics_http.h"
#include "gateway/metrics_openclaw.h"
#include "gateway/metrics_otlp.h"
#include "gateway/metrics_overload.h"
#include "gateway/metrics_past.h"
#include "gateway/metrics_reload.h"
#include "gateway/metrics_sessions.h"
#include "gateway/metrics_tls.h"
#include "gateway/metrics_websocket.h"
#include "gateway/process.h"
#include "gateway/proxies.h"
#include "gateway/server.h"
#include "gateway/upgrade.h"
#include "io/notify.h"
#include "listener/accept.h"
#include "proto/prom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* One page being written. */
struct page {
    const struct server *server;
    const struct census *census;
    struct prom prom;
    weir_stats *pools; /* summed over the workers; as many as pools_count */
    uint32_t pools_count;
};

static void one_u64(struct page *p, const char *name, enum prom_type type, const char *help,
                    uint64_t value);
static void write_standing(struct page *p);
static void write_process(struct page *p);
static void write_pools(struct page *p);
static void write_listeners(struct page *p);
static void write_endpoints(struct page *p);

/* --- sums ----------------------------------------------------------------------------------------
 */

static void stats_sum(weir_stats *sum, const weir_stats *one)
{
    uint64_t oldest = sum->oldest_wait_ms > one->oldest_wait_ms ? sum->oldest_wait_ms
                                                                : one->oldest_wait_ms;
#define WEIR_STAT(field, kind, text) sum->field += one->field;
#include <weir/def/stat.def>
#undef WEIR_STAT
    sum->oldest_wait_ms = oldest;
    for (unsigned i = 0; i < WEIR_ERRS; i++) {
        sum->closed_by[i] += one->closed_by[i];
        sum->refused_by[i] += one->refused_by[i];
        sum->failed_by[i] += one->failed_by[i];
    }
    metrics_histogram_add(&sum->wait, &one->wait);
    metrics_histogram_add(&sum->connect, &one->connect);
    metrics_histogram_add(&sum->tls, &one->tls);
    metrics_histogram_add(&sum->first_byte, &one->first_byte);
    metrics_histogram_add(&sum->hold, &one->hold);
}

static bool pools_sum(struct page *p)
{
    p->pools_count = census_pools_count(p->server);
    p->pools = calloc(p->pools_count, sizeof(*p->pools));
    if (p->pools == NULL)
        return false;
    for (uint32_t w = 0; w < p->census->sheets_count; w++) {
        const struct census_sheet *sheet = &p->census->sheets[w];
        for (uint32_t i = 0; i < sheet->pools_count; i++)
            stats_sum(&p->pools[i], &sheet->pools[i].stats);
    }
    return true;
}

/* The whole page, begun. */
static bool write_all(struct page *p)
{
    const struct server *server = p->server;
    if (!pools_sum(p))
        return false;
    write_standing(p);
    const struct prom_past past = metrics_past_of(server);
    prom_go_on_from(&p->prom, &past);
    write_process(p);
    write_pools(p);
    write_endpoints(p);
    metrics_health_write(server, p->census, &p->prom);
    bool is_whole = metrics_groups_write(server, p->census, &p->prom);
    metrics_http_write(server, &p->prom);
    write_listeners(p);
    metrics_accounts_write(server, &p->prom);
    metrics_sessions_write(server, &p->prom);
    metrics_clients_write(server, &p->prom);
    metrics_tls_write(server, &p->prom);
    proxies_metrics_write(relay_shared_proxies(server->shared), p->census, &p->prom);
    metrics_websocket_write(server, &p->prom);
    metrics_openclaw_write(server, &p->prom);
    metrics_alerts_write(server, &p->prom);
    metrics_otlp_write(server, &p->prom);
    metrics_overload_write(server, &p->prom);
    one_u64(p, "weir_metrics_folded_series", PROM_GAUGE,
            "Label sets of this page that are in others, named other, since there were too many.",
            p->prom.folded);
    prom_end(&p->prom);
    free(p->pools);
    return is_whole && !p->prom.full;
}

bool metrics_write(const struct server *server, const struct census *census, bool openmetrics,
                   struct bytes *out)
{
    struct page page = {.server = server, .census = census};
    const struct config *config = server->config;
    prom_init(&page.prom, out, openmetrics);
    prom_filter_by(&page.prom, &(struct prom_filter){.include = config->metrics.include.at,
                                                     .include_count = config->metrics.include.count,
                                                     .exclude = config->metrics.exclude.at,
                                                     .exclude_count = config->metrics.exclude.count,
                                                     .series_max = config->metrics.max_series});
    return write_all(&page);
}

bool metrics_record(const struct server *server, const struct census *census, struct bytes *out)
{
    struct page page = {.server = server, .census = census};
    prom_init_record(&page.prom, out);
    return write_all(&page);
}

/* --- the process ---------------------------------------------------------------------------------
 */

static void one_u64(struct page *p, const char *name, enum prom_type type, const char *help,
                    uint64_t value)
{
    prom_family(&p->prom, name, type, help);
    prom_u64(&p->prom, NULL, value);
}

static void one_double(struct page *p, const char *name, enum prom_type type, const char *help,
                       double value)
{
    prom_family(&p->prom, name, type, help);
    prom_double(&p->prom, NULL, value);
}

/* Who it is. Whoever takes over knows these by other ways, and none of them goes on. */
static void write_standing(struct page *p)
{
    struct upgrade_info upgrade;
    upgrade_info(p->server->upgrade, &upgrade);
    prom_family(&p->prom, "weir_build_info", PROM_GAUGE, "What is running; always 1.");
    prom_u64(&p->prom, LABELS({"version", WEIR_VERSION}, {"node", p->server->node}), 1);
    one_double(p, "weir_process_start_time_seconds", PROM_GAUGE, "When it started, since 1970.",
               (double)p->server->started_wall_ms / 1000);
    one_u64(p, "weir_process_generation", PROM_GAUGE,
            "Of processes that took over from each other; the first is 1.",
            upgrade.self.generation);
    one_u64(p, "weir_process_predecessor_clients", PROM_GAUGE,
            "Clients that the process before this one still has.", upgrade.self.clients);
    prom_family(&p->prom, "weir_upgrades_total", PROM_COUNTER,
                "Upgrades: a process was to take over from another one, by result.");
    prom_u64(&p->prom, LABELS({"result", "done"}), upgrade.done);
    prom_u64(&p->prom, LABELS({"result", "failed"}), upgrade.failed);
}

static void write_process(struct page *p)
{
    struct process_figures figures;
    process_figures(&figures);
    one_u64(p, "weir_process_resident_bytes", PROM_GAUGE, "Resident memory.",
            figures.resident_bytes);
    one_double(p, "weir_process_cpu_seconds_total", PROM_COUNTER,
               "Processor time, user and system.", (double)figures.cpu_us / 1e6);
    one_u64(p, "weir_process_open_descriptors", PROM_GAUGE, "Open file descriptors.",
            figures.descriptors);
    one_u64(p, "weir_process_max_descriptors", PROM_GAUGE, "How many there may be.",
            figures.descriptors_max);
    one_u64(p, "weir_workers", PROM_GAUGE, "Worker threads.", p->server->sites_count);
    one_double(p, "weir_admin_worker_seconds_total", PROM_COUNTER,
               "Processor time that workers gave to pages of the admin interface, its commands and "
               "alerts.",
               (double)p->server->census_ns / 1e9);
    one_double(p, "weir_admin_worker_longest_seconds", PROM_GAUGE,
               "The most of it in one go since the start, while that worker served nobody.",
               (double)p->server->census_longest_ns / 1e9);
    reload_metrics_write(p->server, &p->prom);
    metrics_discovery_write(p->server, &p->prom);
    prom_family(&p->prom, "weir_log_dropped_total", PROM_COUNTER,
                "Log lines dropped because their target was too slow or full.");
    prom_u64(&p->prom, LABELS({"log", "program"}), journal_dropped(p->server->journal));
    if (p->server->access != NULL)
        prom_u64(&p->prom, LABELS({"log", "access"}), notify_dropped(p->server->access));
}

/* --- pools ---------------------------------------------------------------------------------------
 */

static const char *pool_name(const struct page *p, uint32_t pool, char room[static 80])
{
    const struct census_who who = census_who_of(p->server, pool);
    memcpy(room, who.name, sizeof who.name);
    return room;
}

static const uint64_t *state_gauge(const weir_stats *stats, weir_state state)
{
    switch (state) {
    case WEIR_DIALLING: return &stats->dialling;
    case WEIR_IDLE: return &stats->idle;
    case WEIR_SHARED: return &stats->shared;
    case WEIR_ACTIVE: return &stats->active;
    case WEIR_PROBING: return &stats->probing;
    default: return &stats->closing;
    }
}

static void write_pool_states(struct page *p)
{
    char room[80];
    prom_family(&p->prom, "weir_pool_connections", PROM_GAUGE, "Connections, by state.");
    for (uint32_t i = 0; i < p->pools_count; i++)
        for (unsigned s = 0; s < WEIR_STATES; s++)
            prom_u64(
                &p->prom,
                LABELS({"pool", pool_name(p, i, room)}, {"state", weir_state_word((weir_state)s)}),
                *state_gauge(&p->pools[i], (weir_state)s));
    prom_family(&p->prom, "weir_pool_keys", PROM_GAUGE, "Keys known, by state.");
    for (uint32_t i = 0; i < p->pools_count; i++) {
        const weir_stats *s = &p->pools[i];
        const char *name = pool_name(p, i, room);
        prom_u64(&p->prom, LABELS({"pool", name}, {"state", "up"}),
                 s->keys - s->keys_backing_off - s->keys_down);
        prom_u64(&p->prom, LABELS({"pool", name}, {"state", "backing_off"}), s->keys_backing_off);
        prom_u64(&p->prom, LABELS({"pool", name}, {"state", "down"}), s->keys_down);
    }
}

/* A family with one number for each pool, found at `offset` of its statistics. */
struct pool_row {
    const char *name;
    enum prom_type type;
    size_t offset;
    const char *help;
    bool milliseconds;
};

#define AT(field) offsetof(weir_stats, field)

static const struct pool_row pool_rows[] = {
    {"weir_pool_leases", PROM_GAUGE, AT(leases), "Leases held.", false},
    {"weir_pool_waiting", PROM_GAUGE, AT(waiting), "Callers waiting for a connection.", false},
    {"weir_pool_oldest_wait_seconds", PROM_GAUGE, AT(oldest_wait_ms),
     "How long the longest waiting caller has waited.", true},
    {"weir_pool_created_total", PROM_COUNTER, AT(created),
     "Connections that came up or were accepted.", false},
    {"weir_pool_reused_total", PROM_COUNTER, AT(reused),
     "Leases given on a connection that had served before.", false},
    {"weir_pool_dials_total", PROM_COUNTER, AT(dials), "Dials begun.", false},
    {"weir_pool_acquires_total", PROM_COUNTER, AT(acquires), "Leases asked for.", false},
    {"weir_pool_grants_total", PROM_COUNTER, AT(grants), "Leases given.", false},
    {"weir_pool_waits_total", PROM_COUNTER, AT(waits), "Leases given after waiting.", false},
    {"weir_pool_moved_total", PROM_COUNTER, AT(moved_in),
     "Idle connections that went to a worker that needed one.", false},
    {"weir_pool_released_total", PROM_COUNTER, AT(released), "Leases ended.", false},
    {"weir_pool_probes_total", PROM_COUNTER, AT(probes), "Probes of idle connections begun.",
     false},
    {"weir_pool_evicted_total", PROM_COUNTER, AT(evicted),
     "Connections closed to make room for another key.", false},
    {"weir_pool_concurrency", PROM_GAUGE, AT(concurrency),
     "Requests that the endpoints take at once, as adaptive concurrency has it, on all workers.",
     false},
    {"weir_pool_crowded_total", PROM_COUNTER, AT(crowded),
     "Requests that met the adaptive concurrency of their endpoint.", false},
    {"weir_pool_overdue_total", PROM_COUNTER, AT(overdue), "Leases held for too long.", false},
    {"weir_pool_events_lost_total", PROM_COUNTER, AT(events_lost),
     "Events that did not fit into their queue.", false},
};

/* Where there is a limit. */
static void write_pool_limits(struct page *p)
{
    char room[80];
    prom_family(&p->prom, "weir_pool_max_connections", PROM_GAUGE,
                "Connections that there may be, over all workers; absent where there is no limit.");
    for (uint32_t i = 0; i < p->pools_count; i++) {
        uint32_t most = census_most(p->server, i);
        if (most != WEIR_UNLIMITED)
            prom_u64(&p->prom, LABELS({"pool", pool_name(p, i, room)}), most);
    }
    prom_family(&p->prom, "weir_pool_warm", PROM_GAUGE,
                "1 once the connections that should be ready were, on all workers.");
    for (uint32_t i = 0; i < p->pools_count; i++)
        prom_u64(&p->prom, LABELS({"pool", pool_name(p, i, room)}),
                 p->pools[i].warm >= p->server->sites_count);
}

static void write_pool_rows(struct page *p)
{
    char room[80];
    for (size_t r = 0; r < sizeof(pool_rows) / sizeof(pool_rows[0]); r++) {
        const struct pool_row *row = &pool_rows[r];
        prom_family(&p->prom, row->name, row->type, row->help);
        for (uint32_t i = 0; i < p->pools_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&p->pools[i] + row->offset, sizeof(value));
            const struct prom_label *labels = LABELS({"pool", pool_name(p, i, room)});
            if (row->milliseconds)
                prom_double(&p->prom, labels, (double)value / 1000);
            else
                prom_u64(&p->prom, labels, value);
        }
    }
}

/* A counter of a listener, over the workers; with the one of HTTP/2 that counts the same. */
struct counter_place {
    size_t http1, http2; /* NOWHERE: there is none */
};
#define NOWHERE SIZE_MAX
#define IN_HTTP2(x)                                                                                \
    {                                                                                              \
        NOWHERE, offsetof(struct http2_counters, x)                                                \
    }
#define IN_BOTH(x)                                                                                 \
    {                                                                                              \
        offsetof(struct http1_counters, x), offsetof(struct http2_counters, x)                     \
    }

static uint64_t counter_at(const void *counters, size_t offset)
{
    if (offset == NOWHERE)
        return 0;
    const void *counter = (const char *)counters + offset;
    return http1_counter(counter);
}

static uint64_t counter_sum(const struct page *p, uint32_t listener, struct counter_place place)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < p->server->sites_count; w++) {
        const struct inlet *inlet = server_inlet(p->server, w, listener);
        sum += counter_at(inlet_http1(inlet), place.http1)
               + counter_at(inlet_http2(inlet), place.http2);
    }
    return sum;
}

/* Clients that found no seat never were in the listener's pool, yet it is what refused them. */
static uint64_t refused_at_door(const struct page *p, uint32_t pool, weir_err why)
{
    const struct census_who who = census_who_of(p->server, pool);
    if (why != WEIR_EFULL || who.kind != CENSUS_LISTENER)
        return 0;
    static const struct counter_place full = IN_BOTH(refused_full),
                                      per_ip = IN_BOTH(refused_per_ip);
    return counter_sum(p, who.index, full) + counter_sum(p, who.index, per_ip);
}

static void write_pool_reasons(struct page *p, const char *name, const char *help, unsigned where,
                               size_t offset)
{
    char room[80];
    prom_family(&p->prom, name, PROM_COUNTER, help);
    for (uint32_t i = 0; i < p->pools_count; i++)
        for (unsigned e = 1; e < WEIR_ERRS; e++) {
            uint64_t value;
            memcpy(&value, (const char *)&p->pools[i] + offset + e * sizeof(value), sizeof(value));
            if (where == WEIR_ON_REFUSE)
                value += refused_at_door(p, i, (weir_err)e);
            if (value > 0 || (weir_err_where((weir_err)e) & where) != 0)
                prom_u64(
                    &p->prom,
                    LABELS({"pool", pool_name(p, i, room)}, {"reason", weir_err_word((weir_err)e)}),
                    value);
        }
}

/* `phase` is one more label, or NULL. */
static void write_histogram(struct page *p, uint32_t pool, const weir_histogram *histogram,
                            const char *phase)
{
    char room[80];
    const struct prom_label labels[] = {
        {"pool", pool_name(p, pool, room)}, {phase != NULL ? "phase" : NULL, phase}, {NULL, NULL}};
    metrics_histogram(&p->prom, labels, histogram);
}

/* Of upstreams' pools; the workers foretell for themselves. */
static void write_forecasts(struct page *p)
{
    char room[80];
    uint32_t count = p->server->config->upstreams.count;
    prom_family(&p->prom, "weir_pool_forecast_slots", PROM_GAUGE,
                "Slots of a season, of 288, that the forecast has learned from, on the worker that "
                "knows most.");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t most = 0;
        for (uint32_t w = 0; w < p->census->sheets_count; w++) {
            const struct census_sheet *sheet = &p->census->sheets[w];
            if (i < sheet->pools_count && sheet->pools[i].forecast.slots > most)
                most = sheet->pools[i].forecast.slots;
        }
        prom_u64(&p->prom, LABELS({"pool", pool_name(p, i, room)}), most);
    }
    prom_family(&p->prom, "weir_pool_forecast_arrivals", PROM_GAUGE,
                "Leases per second that are expected now; 0 while the forecast is silent.");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t sum_x16 = 0;
        for (uint32_t w = 0; w < p->census->sheets_count; w++) {
            const struct census_sheet *sheet = &p->census->sheets[w];
            sum_x16 += i < sheet->pools_count ? sheet->pools[i].forecast.rate_x16 : 0;
        }
        prom_double(&p->prom, LABELS({"pool", pool_name(p, i, room)}), (double)sum_x16 / 16);
    }
}

static void write_pools(struct page *p)
{
    write_pool_states(p);
    write_pool_rows(p);
    write_pool_limits(p);
    write_pool_reasons(p, "weir_pool_closed_total", "Connections that were up and are gone.",
                       WEIR_ON_CLOSE, AT(closed_by));
    write_pool_reasons(p, "weir_pool_refused_total", "Callers refused or failed.", WEIR_ON_REFUSE,
                       AT(refused_by));
    write_pool_reasons(p, "weir_pool_failed_total", "Dials and probes that failed.", WEIR_ON_FAIL,
                       AT(failed_by));
    prom_family(&p->prom, "weir_pool_acquire_seconds", PROM_HISTOGRAM,
                "How long leases were waited for.");
    for (uint32_t i = 0; i < p->pools_count; i++)
        write_histogram(p, i, &p->pools[i].wait, NULL);
    prom_family(&p->prom, "weir_pool_hold_seconds", PROM_HISTOGRAM, "How long leases were held.");
    for (uint32_t i = 0; i < p->pools_count; i++)
        write_histogram(p, i, &p->pools[i].hold, NULL);
    prom_family(&p->prom, "weir_connect_seconds", PROM_HISTOGRAM, "How long dials took.");
    for (uint32_t i = 0; i < p->server->config->upstreams.count; i++) {
        write_histogram(p, i, &p->pools[i].connect, "connect");
        write_histogram(p, i, &p->pools[i].tls, "tls");
    }
    prom_family(&p->prom, "weir_pool_first_byte_seconds", PROM_HISTOGRAM,
                "From a lease to the first byte of its answer.");
    for (uint32_t i = 0; i < p->server->config->upstreams.count; i++)
        write_histogram(p, i, &p->pools[i].first_byte, NULL);
    write_forecasts(p);
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

enum endpoint_figure { ENDPOINT_USABLE, ENDPOINT_BUSY, ENDPOINT_ANSWERED, ENDPOINT_FAILED };

/* Over the workers: usable if it is to all of them, the others summed. */
static uint64_t endpoint_figure(const struct page *p, uint32_t index, enum endpoint_figure figure)
{
    uint64_t sum = figure == ENDPOINT_USABLE ? 1 : 0;
    for (uint32_t w = 0; w < p->census->sheets_count; w++) {
        const struct census_sheet *sheet = &p->census->sheets[w];
        if (index >= sheet->endpoints_count)
            continue;
        const struct relay_endpoint_info *info = &sheet->endpoints[index];
        switch (figure) {
        case ENDPOINT_USABLE:
            if (!info->healthy || info->key_state == WEIR_KEY_DOWN)
                sum = 0;
            break;
        case ENDPOINT_BUSY: sum += info->busy; break;
        case ENDPOINT_ANSWERED: sum += info->answered; break;
        case ENDPOINT_FAILED: sum += info->failed; break;
        }
    }
    return sum;
}

static void write_endpoint_family(struct page *p, const char *name, enum prom_type type,
                                  const char *help, enum endpoint_figure figure)
{
    const struct config *config = p->server->config;
    uint32_t index = 0;
    prom_family(&p->prom, name, type, help);
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++)
            prom_u64(&p->prom,
                     LABELS({"upstream", config->upstreams.at[u].name},
                            {"endpoint", config->upstreams.at[u].endpoints.at[e].name}),
                     endpoint_figure(p, index++, figure));
}

/* Of upstreams that have endpoints in our zone and in others. */
static void write_zones(struct page *p)
{
    const struct server *s = p->server;
    prom_family(&p->prom, "weir_upstream_zone_requests_total", PROM_COUNTER,
                "Requests for an endpoint of this gateway's zone (near), or of another one (far).");
    for (uint32_t u = 0; u < s->config->upstreams.count; u++) {
        struct relay_zone_counts sum = {0};
        for (uint32_t w = 0; w < s->sites_count; w++) {
            const struct relay_zone_counts one = relay_zone_counts_of(server_relay(s, w), u);
            sum.near += one.near;
            sum.far += one.far;
        }
        const char *name = s->config->upstreams.at[u].name;
        prom_u64(&p->prom, LABELS({"upstream", name}, {"result", "near"}), sum.near);
        prom_u64(&p->prom, LABELS({"upstream", name}, {"result", "far"}), sum.far);
    }
}

static void write_endpoints(struct page *p)
{
    write_endpoint_family(p, "weir_endpoint_usable", PROM_GAUGE,
                          "1 when the endpoint is neither down nor found ill.", ENDPOINT_USABLE);
    write_endpoint_family(p, "weir_endpoint_busy", PROM_GAUGE,
                          "Requests that an endpoint answers or that wait for it.", ENDPOINT_BUSY);
    write_endpoint_family(p, "weir_endpoint_answered_total", PROM_COUNTER,
                          "Requests that got an answer, of any code.", ENDPOINT_ANSWERED);
    write_endpoint_family(p, "weir_endpoint_failed_total", PROM_COUNTER, "Requests that got none.",
                          ENDPOINT_FAILED);
    write_zones(p);
}

/* --- listeners -----------------------------------------------------------------------------------
 */

struct listener_row {
    const char *family, *help; /* the same family in neighbouring rows has several reasons */
    const char *reason;
    struct counter_place place;
};

static const struct listener_row listener_rows[] = {
    {"weir_listener_requests_total", "Requests begun.", NULL, IN_BOTH(requests)},
    {"weir_listener_bad_requests_total", "Requests refused for their form.", NULL,
     IN_BOTH(bad_requests)},
    {"weir_listener_aborted_total", "Requests whose client left.", NULL, IN_BOTH(left)},
    {"weir_listener_cut_total", "Answers that could not be completed.", NULL, IN_BOTH(cut)},
    {"weir_listener_received_bytes_total", "Bytes received.", NULL, IN_BOTH(bytes_in)},
    {"weir_listener_sent_bytes_total", "Bytes sent.", NULL, IN_BOTH(bytes_out)},
    {"weir_listener_receives_total", "Receive calls that brought bytes.", NULL, IN_BOTH(reads)},
    {"weir_listener_sends_total", "Send calls.", NULL, IN_BOTH(writes)},
    {"weir_listener_timeouts_total", "Clients that took too long, by what for.", "headers",
     IN_BOTH(headers_timeouts)},
    {"weir_listener_timeouts_total", "", "request", IN_BOTH(request_timeouts)},
    {"weir_listener_timeouts_total", "", "idle", IN_BOTH(idle_timeouts)},
    {"weir_listener_timeouts_total", "", "keepalive", IN_BOTH(keepalive_timeouts)},
    {"weir_listener_timeouts_total", "", "write", IN_BOTH(write_timeouts)},
    {"weir_listener_refused_total", "Clients turned away at the door, by reason.", "full",
     IN_BOTH(refused_full)},
    {"weir_listener_refused_total", "", "per_ip", IN_BOTH(refused_per_ip)},
    {"weir_listener_refused_total", "", "overloaded", IN_BOTH(refused_short)},
    {"weir_listener_evicted_total",
     "Idle clients that were closed for want of descriptors or memory.", NULL, IN_BOTH(evicted)},
    {"weir_http2_connections_total", "Connections that spoke HTTP/2.", NULL, IN_HTTP2(connections)},
    {"weir_http2_resets_total", "Streams that were reset, by whom.", "client", IN_HTTP2(resets_in)},
    {"weir_http2_resets_total", "", "weir", IN_HTTP2(resets_out)},
    {"weir_http2_resets_total", "", "refused", IN_HTTP2(refused_streams)},
    {"weir_http2_ended_total", "Connections ended by weir, by reason.", "protocol",
     IN_HTTP2(protocol_errors)},
    {"weir_http2_ended_total", "", "ping_timeout", IN_HTTP2(ping_timeouts)},
    {"weir_http2_ended_total", "", "age", IN_HTTP2(aged)},
#define FLOOD(name, word)                                                                          \
    {"weir_http2_floods_total", "Connections told to be calm, by what there was too much of.",     \
     word, IN_HTTP2(floods[HTTP2_FLOOD_##name])},
    HTTP2_FLOODS(FLOOD)
#undef FLOOD
};

static void write_listener_family(struct page *p, size_t first, size_t end)
{
    const struct config *config = p->server->config;
    prom_family(&p->prom, listener_rows[first].family, PROM_COUNTER, listener_rows[first].help);
    for (uint32_t l = 0; l < config->listeners.count; l++)
        for (size_t r = first; r < end; r++) {
            const char *reason = listener_rows[r].reason;
            const struct prom_label labels[] = {{"listener", config->listeners.at[l].name},
                                                {reason != NULL ? "reason" : NULL, reason},
                                                {NULL, NULL}};
            prom_u64(&p->prom, labels, counter_sum(p, l, listener_rows[r].place));
        }
}

static void write_headers(struct page *p)
{
    static const struct {
        const char *word;
        size_t at;
    } rows[] = {
#define HEADER_ROW(name, text) {#name, offsetof(struct front_counters, name)},
        FRONT_HEADERS(HEADER_ROW)
#undef HEADER_ROW
    };
    const struct server *s = p->server;
    prom_family(&p->prom, "weir_listener_proxy_headers_total", PROM_COUNTER,
                "PROXY headers of clients, by what came of them.");
    for (uint32_t l = 0; l < s->config->listeners.count; l++)
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
            uint64_t sum = 0;
            for (uint32_t w = 0; w < s->sites_count; w++)
                sum += counter_at(inlet_front(server_inlet(s, w, l)), rows[r].at);
            prom_u64(
                &p->prom,
                LABELS({"listener", s->config->listeners.at[l].name}, {"result", rows[r].word}),
                sum);
        }
}

static void write_listeners(struct page *p)
{
    write_headers(p);
    const size_t rows = sizeof(listener_rows) / sizeof(listener_rows[0]);
    for (size_t first = 0, end; first < rows; first = end) {
        end = first + 1;
        while (end < rows && strcmp(listener_rows[end].family, listener_rows[first].family) == 0)
            end++;
        write_listener_family(p, first, end);
    }
}
