/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_reload.h"

void reload_metrics_write(const struct server *server, struct prom *prom)
{
    const struct reload_figures figures = reload_figures_of(server->reload);
    prom_family(prom, "weir_config_last_reload_successful", PROM_GAUGE,
                "1: the last configuration that was to be put in force is, or was already.");
    prom_u64(prom, NULL, figures.was_good);
    prom_family(prom, "weir_config_last_reload_success_timestamp_seconds", PROM_GAUGE,
                "When that last was so; the start counts.");
    prom_double(prom, NULL, (double)figures.good_wall_ms / 1000);
    prom_family(prom, "weir_config_reloads_total", PROM_COUNTER,
                "Configurations that were to be put in force, by what came of it.");
    for (unsigned i = 0; i < RELOAD_RESULTS_COUNT; i++)
        prom_u64(prom, (const struct prom_label[]){{"result", reload_result_word(i)}, {NULL, NULL}},
                 figures.counts[i]);
    prom_family(prom, "weir_config_generations", PROM_GAUGE,
                "Configurations by which requests are served: the one in force, and older ones "
                "whose last requests have not ended.");
    prom_u64(prom, NULL, server->generations.count);
}
