/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_health.c - GET /healthz: the whole first, then its parts.
 */
#include "gateway/accounts.h"
#include "gateway/admin_page.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/verdict.h"
#include "io/clock.h"

#include <stdio.h>

/* ,"name":{"health":…,"why":…} */
static void put_part(struct bytes *out, const char **comma, struct slice name,
                     const struct health_verdict *verdict)
{
    bytes_append_text(out, *comma);
    bytes_append_json(out, name);
    bytes_printf(out, ":{\"health\":\"%s\",\"why\":", weir_health_word(verdict->health));
    bytes_append_json(out, slice_of(verdict->why));
    bytes_append_text(out, "}");
    *comma = ",";
}

static void put_upstreams(const struct server *server, const struct census *census,
                          struct bytes *out)
{
    const char *comma = "";
    bytes_append_text(out, ",\"upstreams\":{");
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct health_verdict verdict = verdict_of_upstream(server, census, u);
        put_part(out, &comma, slice_of(server->config->upstreams.at[u].name), &verdict);
    }
}

static void put_listeners(const struct server *server, const struct census *census,
                          struct bytes *out)
{
    const char *comma = "";
    bytes_append_text(out, "},\"listeners\":{");
    for (uint32_t l = 0; l < server->config->listeners.count; l++) {
        const struct health_verdict verdict = verdict_of_listener(server, census, l);
        put_part(out, &comma, slice_of(server->config->listeners.at[l].name), &verdict);
    }
}

static void put_accounts(const struct server *server, struct bytes *out)
{
    const char *comma = "";
    uint64_t now_ms = clock_now_ms();
    bytes_append_text(out, "},\"accounts\":{");
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        for (uint32_t i = 0; i < upstream->accounts.count; i++) {
            char name[2 * CONFIG_LABEL_MAX + 2];
            struct accounts_info info;
            accounts_info_of(relay_shared_accounts(server->shared, u), i, &info);
            const struct health_verdict verdict = verdict_of_account(&info, now_ms);
            snprintf(name, sizeof(name), "%s/%s", upstream->name, info.config->name);
            put_part(out, &comma, slice_of(name), &verdict);
        }
    }
}

uint16_t admin_healthz(const struct server *server, const struct census *census, bool openmetrics,
                       struct bytes *out)
{
    static const char *const words[] = {"opening", "serving", "draining", "stopped"};
    (void)openmetrics;
    const struct health_verdict all = verdict_of_all(server, census);
    const char *comma = "";
    bytes_printf(out, "{\"state\":\"%s\",\"health\":\"%s\",\"why\":", words[server->state],
                 weir_health_word(all.health));
    bytes_append_json(out, slice_of(all.why));
    bytes_append_text(out, ",\"pools\":{");
    for (uint32_t i = 0; i < census_pools_count(server); i++, comma = ",") {
        bytes_append_text(out, comma);
        bytes_append_json(out, slice_of(census_who_of(server, i).name));
        bytes_printf(out, ":\"%s\"", weir_health_word(verdict_of_pool(census, i).health));
    }
    bytes_append_text(out, "}");
    put_upstreams(server, census, out);
    put_listeners(server, census, out);
    put_accounts(server, out);
    bytes_append_text(out, "}}\n");
    return server->state == SERVER_SERVING ? 200 : 503;
}
