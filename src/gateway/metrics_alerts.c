/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_alerts.h"

#include "gateway/lookout.h"
#include "gateway/server.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static void write_webhook(const struct server *server, struct prom *prom)
{
    uint32_t waiting;
    struct webhook_counts counts = lookout_webhook_counts(server->lookout, &waiting);
    prom_family(prom, "weir_webhook_messages_total", PROM_COUNTER,
                "Messages for alerts.webhook: delivered, given_up after repetitions, or dropped "
                "for want of room.");
    prom_u64(prom, LABELS({"result", "delivered"}), counts.delivered);
    prom_u64(prom, LABELS({"result", "given_up"}), counts.given_up);
    prom_u64(prom, LABELS({"result", "dropped"}), counts.dropped);
    prom_family(prom, "weir_webhook_failures_total", PROM_COUNTER,
                "Posts to it that failed; most are repeated.");
    prom_u64(prom, NULL, counts.failed);
    prom_family(prom, "weir_webhook_waiting", PROM_GAUGE, "Messages that it has not yet taken.");
    prom_u64(prom, NULL, waiting);
}

void metrics_alerts_write(const struct server *server, struct prom *prom)
{
    prom_family(prom, "weir_alert_firing", PROM_GAUGE,
                "Alerts of a kind that fire now; early_… are warnings of what is to come.");
    for (unsigned kind = 0; kind < ALERT_KINDS; kind++)
        prom_u64(prom, LABELS({"alert", alert_word((enum alert_kind)kind)}),
                 lookout_firing(server->lookout, (enum alert_kind)kind));
    prom_family(prom, "weir_alert_fired_total", PROM_COUNTER, "Times that an alert began to fire.");
    for (unsigned kind = 0; kind < ALERT_KINDS; kind++)
        prom_u64(prom, LABELS({"alert", alert_word((enum alert_kind)kind)}),
                 lookout_fired(server->lookout, (enum alert_kind)kind));
    write_webhook(server, prom);
}
