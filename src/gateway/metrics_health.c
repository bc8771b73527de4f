/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_health.h"

#include "gateway/accounts.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/verdict.h"
#include "io/clock.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})
#define SCALE       "0 healthy, 1 degraded, 2 overloaded, 3 unavailable"

static void write_accounts(const struct server *server, struct prom *prom)
{
    uint64_t now_ms = clock_now_ms();
    prom_family(prom, "weir_account_health_status", PROM_GAUGE, SCALE ".");
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        for (uint32_t i = 0; i < upstream->accounts.count; i++) {
            struct accounts_info info;
            accounts_info_of(relay_shared_accounts(server->shared, u), i, &info);
            prom_u64(prom, LABELS({"upstream", upstream->name}, {"account", info.config->name}),
                     verdict_of_account(&info, now_ms).health);
        }
    }
}

void metrics_health_write(const struct server *server, const struct census *census,
                          struct prom *prom)
{
    prom_family(prom, "weir_health_status", PROM_GAUGE, SCALE "; the worst of the workers.");
    for (uint32_t i = 0; i < census_pools_count(server); i++) {
        const struct census_who who = census_who_of(server, i);
        prom_u64(prom, LABELS({"pool", who.name}), verdict_of_pool(census, i).health);
    }
    prom_family(prom, "weir_upstream_health_status", PROM_GAUGE,
                SCALE "; of its pool, endpoints and accounts.");
    for (uint32_t u = 0; u < server->config->upstreams.count; u++)
        prom_u64(prom, LABELS({"upstream", server->config->upstreams.at[u].name}),
                 verdict_of_upstream(server, census, u).health);
    write_accounts(server, prom);
    prom_family(prom, "weir_gateway_health_status", PROM_GAUGE, SCALE "; of the whole.");
    prom_u64(prom, NULL, verdict_of_all(server, census).health);
}
