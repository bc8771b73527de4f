/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_discovery.c - what is looked for, and what was found: as a page, and as metrics.
 */
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/discovery.h"
#include "gateway/metrics_discovery.h"
#include "io/clock.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static void write_looks(struct json *row, const struct source *source)
{
    json_open(row, "looks", '{');
    for (unsigned i = 0; i < DISCOVERY_RESULTS_COUNT; i++)
        json_u64(row, discovery_result_word(i), source->counts[i]);
    json_close(row, '}');
}

uint16_t admin_discovery(const struct server *server, const struct census *census, bool openmetrics,
                         struct bytes *out)
{
    struct rows rows;
    char stamp[CLOCK_STAMP + 1];
    (void)census, (void)openmetrics;
    rows_open(&rows, "discovery", out);
    for (uint32_t i = 0; i < server->config->upstreams.count; i++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[i];
        const struct source *source = discovery_source(server->discovery, upstream->name);
        if (source == NULL)
            continue;
        struct json row = row_begin(&rows);
        clock_stamp(source->good_wall_ms, stamp);
        json_text(&row, "upstream", upstream->name);
        json_text(&row, "source", source_kind(upstream));
        json_text(&row, "state", discovery_state_word(source));
        json_u64(&row, "endpoints", upstream->endpoints.count);
        json_text(&row, "last_success", source->good_wall_ms > 0 ? stamp : NULL);
        json_text(&row, "error", source->is_failing ? source->why : "");
        write_looks(&row, source);
        row_end(&rows, &row);
    }
    return rows_close(&rows);
}

/* --- metrics -------------------------------------------------------------------------------------
 */

typedef void write_fn(struct prom *prom, const struct config_upstream *upstream,
                      const struct source *source);

static void each(const struct server *server, struct prom *prom, write_fn *write)
{
    for (uint32_t i = 0; i < server->config->upstreams.count; i++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[i];
        const struct source *source = discovery_source(server->discovery, upstream->name);
        if (source != NULL)
            write(prom, upstream, source);
    }
}

static void write_up(struct prom *prom, const struct config_upstream *upstream,
                     const struct source *source)
{
    prom_u64(prom, LABELS({"upstream", upstream->name}), !source->is_failing);
}

static void write_endpoints(struct prom *prom, const struct config_upstream *upstream,
                            const struct source *source)
{
    (void)source;
    prom_u64(prom, LABELS({"upstream", upstream->name}), upstream->endpoints.count);
}

static void write_results(struct prom *prom, const struct config_upstream *upstream,
                          const struct source *source)
{
    for (unsigned i = 0; i < DISCOVERY_RESULTS_COUNT; i++)
        prom_u64(prom, LABELS({"upstream", upstream->name}, {"result", discovery_result_word(i)}),
                 source->counts[i]);
}

static void write_success(struct prom *prom, const struct config_upstream *upstream,
                          const struct source *source)
{
    prom_double(prom, LABELS({"upstream", upstream->name}), (double)source->good_wall_ms / 1000);
}

void metrics_discovery_write(const struct server *server, struct prom *prom)
{
    prom_family(prom, "weir_discovery_up", PROM_GAUGE,
                "1: the last look for endpoints was good; 0: what was found before serves.");
    each(server, prom, write_up);
    prom_family(prom, "weir_discovery_endpoints", PROM_GAUGE,
                "Endpoints of an upstream that discovers them.");
    each(server, prom, write_endpoints);
    prom_family(prom, "weir_discovery_looks_total", PROM_COUNTER,
                "Looks for endpoints, by what came of them: changed, same, empty, failed.");
    each(server, prom, write_results);
    prom_family(prom, "weir_discovery_last_success_timestamp_seconds", PROM_GAUGE,
                "When a look for endpoints was good last; 0: never.");
    each(server, prom, write_success);
}
