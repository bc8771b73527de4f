/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_alerts.c - GET /api/v1/alerts: those that fire first, then those that may soon.
 */
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/lookout.h"
#include "gateway/server.h"
#include "io/clock.h"

static void put_figure(struct json *row, const char *key, double value)
{
    json_fixed(row, key, value > 0 ? (uint64_t)(value * 1e6 + 0.5) : 0, 6);
}

static void alert_row(struct rows *rows, const struct server *server, const struct alert *alert)
{
    struct json row = row_begin(rows);
    uint64_t since_ms = alert->since_ms > 0 ? alert->since_ms : server->started_ms;
    bool is_early = alert_rule_of(alert->kind) == ALERT_EARLY;
    json_text(&row, "alert", alert_word(alert->kind));
    json_text(&row, "pool", lookout_subject(server->lookout, alert));
    json_text(&row, "state", alert_state_word(alert->state));
    json_bool(&row, "early_warning", is_early);
    json_fixed(&row, "since_seconds", clock_now_ms() - since_ms, 3);
    if (alert->is_known)
        put_figure(&row, "value", alert->value);
    else
        json_null(&row, "value");
    if (is_early)
        json_null(&row, "threshold");
    else
        put_figure(&row, "threshold", alert->threshold);
    json_u64(&row, "fired", alert->fired);
    json_text(&row, "message", alert->message[0] != '\0' ? alert->message : NULL);
    json_text(&row, "text", alert_text(alert->kind));
    row_end(rows, &row);
}

uint16_t admin_alerts(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out)
{
    (void)census, (void)openmetrics;
    const struct alerts *alerts = lookout_alerts(server->lookout);
    struct rows rows;
    rows_open(&rows, "alerts", out);
    for (int state = ALERT_FIRING; state >= ALERT_QUIET; state--)
        for (uint32_t i = 0; i < alerts_count(alerts); i++)
            if (alerts_at(alerts, i)->state == (enum alert_state)state)
                alert_row(&rows, server, alerts_at(alerts, i));
    return rows_close(&rows);
}
