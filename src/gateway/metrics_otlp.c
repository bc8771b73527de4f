/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_otlp.h"

#include "gateway/otlp.h"
#include "gateway/server.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

void metrics_otlp_write(const struct server *server, struct prom *prom)
{
    struct otlp_counts counts = otlp_counts_of(server->otlp);
    prom_family(prom, "weir_otlp_spans_total", PROM_COUNTER,
                "Spans for log.otlp: sent, or failed: refused by the collector, or given up.");
    prom_u64(prom, LABELS({"result", "sent"}), counts.sent);
    prom_u64(prom, LABELS({"result", "failed"}), counts.failed);
    prom_family(prom, "weir_otlp_dropped_total", PROM_COUNTER,
                "Requests whose spans found no room in log.otlp.queue.");
    prom_u64(prom, NULL, counts.dropped);
    prom_family(prom, "weir_otlp_failures_total", PROM_COUNTER,
                "Posts to it that failed; most are repeated.");
    prom_u64(prom, NULL, counts.posts_failed);
    prom_family(prom, "weir_otlp_waiting", PROM_GAUGE, "Spans of the post under way.");
    prom_u64(prom, NULL, counts.waiting);
}
