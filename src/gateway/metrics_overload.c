/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_overload.h"

#include "gateway/relay.h"
#include "gateway/relief.h"
#include "gateway/server.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static void write_paced(const struct server *server, struct prom *prom)
{
    prom_family(prom, "weir_listener_paced_total", PROM_COUNTER,
                "Times that new clients had to wait outside, since all upstreams would have "
                "refused them for their wait.");
    for (uint32_t l = 0; l < server->config->listeners.count; l++) {
        uint64_t paced = 0;
        for (uint32_t w = 0; w < server->sites_count; w++)
            paced += relay_paced(server_relay(server, w), l);
        prom_u64(prom, LABELS({"listener", server->config->listeners.at[l].name}), paced);
    }
}

void metrics_overload_write(const struct server *server, struct prom *prom)
{
    struct relief_info info;
    relief_info_of(server->relief, &info);
    prom_family(prom, "weir_overload_level", PROM_GAUGE,
                "What is given up: 0 nothing, 1 half of keep-alive, 2 those idle for longest, "
                "3 new clients.");
    prom_u64(prom, NULL, info.overload.level);
    prom_family(prom, "weir_overload_used_ratio", PROM_GAUGE,
                "Part of what the process may have that it uses; 0 where there is no limit.");
    for (enum overload_resource i = 0; i < OVERLOAD_RESOURCES; i++)
        prom_double(prom, LABELS({"kind", overload_resource_word(i)}),
                    info.overload.share[i] / 1000.0);
    prom_family(prom, "weir_overload_begun_total", PROM_COUNTER,
                "Times that a level of it was reached.");
    for (enum overload_level i = OVERLOAD_SHORTEN; i < OVERLOAD_LEVEL_COUNT; i++)
        prom_u64(prom, LABELS({"state", overload_word(i)}), info.overload.begun[i]);
    write_paced(server, prom);
}
