/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_http.c - requests: relaxed atomics of the workers, read where they are and summed.
 */
#include "gateway/metrics_http.h"

#include "gateway/relay.h"
#include "gateway/server.h"
#include "io/clock.h"

#include <stdio.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* Every worker has the same series in the same order. */
static uint64_t series_sum(const struct server *server, uint32_t index, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const struct relay_series *series = relay_series_at(server_relay(server, w), index);
        sum += count_read((const uint64_t *)(const void *)((const char *)series + offset));
    }
    return sum;
}

static uint32_t series_count(const struct server *server)
{
    return relay_series_count(server_relay(server, 0));
}

static const struct relay_series *series_at(const struct server *server, uint32_t index)
{
    return relay_series_at(server_relay(server, 0), index);
}

static void write_codes(const struct server *server, struct prom *prom)
{
    prom_family(
        prom, "weir_http_requests_total", PROM_COUNTER,
        "Requests, by the code of their answer; 499: the client left, cut: the answer ended "
        "too early.");
    for (uint32_t i = 0; i < series_count(server); i++)
        for (unsigned code = 0; code < RELAY_CODES; code++) {
            char text[8] = "cut";
            uint64_t count = series_sum(
                server, i, offsetof(struct relay_series, by_code) + code * sizeof(uint64_t));
            if (count == 0)
                continue;
            if (code > 0)
                snprintf(text, sizeof(text), "%u", code);
            prom_u64(prom,
                     LABELS({"listener", series_at(server, i)->listener},
                            {"upstream", series_at(server, i)->upstream}, {"code", text}),
                     count);
        }
}

/* The times of requests, and where the worker's series have them. */
struct time_row {
    const char *name, *help;
    size_t timing, examples;
};

/* The latest one of all workers. */
static struct prom_exemplar exemplar_of(const struct server *server, uint32_t index, size_t offset)
{
    struct prom_exemplar ret = {.trace = ""};
    struct exemplar_seen seen, latest = {.trace = ""};
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const void *series = relay_series_at(server_relay(server, w), index);
        const void *example = (const char *)series + offset;
        if (exemplar_see(example, &seen) && seen.taken_ms >= latest.taken_ms)
            latest = seen;
    }
    if (latest.trace[0] == '\0')
        return ret;
    uint64_t age_ms = clock_now_ms() - latest.taken_ms;
    memcpy(ret.trace, latest.trace, sizeof latest.trace);
    ret.value = (double)latest.us / 1e6;
    ret.at_s = (double)(clock_wall_ms() - age_ms) / 1000;
    return ret;
}

static void write_time(const struct server *server, struct prom *prom, const struct time_row *row,
                       uint32_t index, const double ends[static TIMING_BUCKETS - 1])
{
    uint64_t counts[TIMING_BUCKETS];
    struct prom_exemplar exemplars[TIMING_BUCKETS];
    for (unsigned b = 0; b < TIMING_BUCKETS; b++) {
        counts[b] = series_sum(server, index, row->timing + b * sizeof(uint64_t));
        if (prom->openmetrics)
            exemplars[b] = exemplar_of(server, index, row->examples + b * sizeof(struct exemplar));
    }
    uint64_t sum_us = series_sum(server, index, row->timing + offsetof(struct timing, sum_us));
    const struct prom_histogram shown = {ends,
                                         counts,
                                         TIMING_BUCKETS - 1,
                                         counts[TIMING_BUCKETS - 1],
                                         (double)sum_us / 1e6,
                                         prom->openmetrics ? exemplars : NULL};
    prom_histogram(prom,
                   LABELS({"listener", series_at(server, index)->listener},
                          {"upstream", series_at(server, index)->upstream}),
                   &shown);
}

static void write_times(const struct server *server, struct prom *prom)
{
    static const struct time_row rows[] = {
        {"weir_http_request_seconds", "From a request's first byte to its answer's last.",
         offsetof(struct relay_series, total), offsetof(struct relay_series, total_examples)},
        {"weir_http_first_byte_seconds", "From a request's first byte to its answer's first.",
         offsetof(struct relay_series, first_byte),
         offsetof(struct relay_series, first_byte_examples)},
    };
    double ends[TIMING_BUCKETS - 1];
    for (unsigned b = 0; b < TIMING_BUCKETS - 1; b++)
        ends[b] = (double)timing_end_us(b) / 1e6;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        prom_family(prom, rows[r].name, PROM_HISTOGRAM, rows[r].help);
        for (uint32_t i = 0; i < series_count(server); i++)
            write_time(server, prom, &rows[r], i, ends);
    }
}

static void write_series(const struct server *server, struct prom *prom, const char *name,
                         const char *help, size_t offset)
{
    prom_family(prom, name, PROM_COUNTER, help);
    for (uint32_t i = 0; i < series_count(server); i++)
        prom_u64(prom,
                 LABELS({"listener", series_at(server, i)->listener},
                        {"upstream", series_at(server, i)->upstream}),
                 series_sum(server, i, offset));
}

static void write_retries(const struct server *server, struct prom *prom)
{
    static const struct {
        const char *word;
        size_t offset;
    } rows[] = {
        {"stale", offsetof(struct relay_series, retries_stale)},
        {"connect", offsetof(struct relay_series, retries_connect)},
        {"code", offsetof(struct relay_series, retries_code)},
        {"over_budget", offsetof(struct relay_series, retries_over_budget)},
    };
    prom_family(prom, "weir_http_retries_total", PROM_COUNTER,
                "Requests tried once more, by cause; over_budget: that were not, for the budget.");
    for (uint32_t i = 0; i < series_count(server); i++)
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
            prom_u64(prom,
                     LABELS({"listener", series_at(server, i)->listener},
                            {"upstream", series_at(server, i)->upstream}, {"reason", rows[r].word}),
                     series_sum(server, i, rows[r].offset));
}

void metrics_http_write(const struct server *server, struct prom *prom)
{
    write_codes(server, prom);
    write_times(server, prom);
    write_series(server, prom, "weir_http_request_body_bytes_total", "Bytes of requests' bodies.",
                 offsetof(struct relay_series, request_bytes));
    write_series(server, prom, "weir_http_answer_body_bytes_total", "Bytes of answers' bodies.",
                 offsetof(struct relay_series, answer_bytes));
    write_series(server, prom, "weir_http_failed_total",
                 "Requests answered 5xx by anybody, or cut otherwise than by their client.",
                 offsetof(struct relay_series, failed));
    write_retries(server, prom);
}
