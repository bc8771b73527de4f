/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - `weir check`: what `weir serve` would say to a file, and whether its endpoints answer.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "gateway/probe.h"

#include <string.h>

static void probe_one(const struct config *config, const struct config_upstream *upstream,
                      const struct config_endpoint *endpoint)
{
    struct trial_result result;
    probe_endpoint(config, endpoint, upstream, &result);
    if (result.error != DIAL_OK) {
        printf("%s/%s: advice: cannot connect (%s): %s\n", upstream->name, endpoint->name,
               dial_step_text(result.step), result.why);
        return;
    }
    printf("%s/%s: connected in %u.%03u ms", upstream->name, endpoint->name, result.took_us / 1000,
           result.took_us % 1000);
    if (upstream->proxy[0] != '\0') {
        uint32_t exit_us = result.step_us[DIAL_PASSING];
        printf(", of them %u.%03u from the proxy on", exit_us / 1000, exit_us % 1000);
    }
    printf("\n");
}

static void probe_all(const struct config *config)
{
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++)
            probe_one(config, &config->upstreams.at[u], &config->upstreams.at[u].endpoints.at[e]);
}

int command_check(int count, char **words)
{
    const char *path = NULL, *format = "text";
    bool probe = false;
    const struct command_option options[] = {{"-c", &path, NULL},
                                             {"--config", &path, NULL},
                                             {"--format", &format, NULL},
                                             {"--probe", NULL, &probe},
                                             {0}};
    int left = command_options("check", count, words, options);
    if (left == 1 && path == NULL)
        path = words[0];
    bool json = strcmp(format, "json") == 0;
    if (left < 0 || left > 1 || path == NULL || (!json && strcmp(format, "text") != 0)) {
        fprintf(stderr, "usage: weir check -c FILE [--format text|json] [--probe]\n");
        return EXIT_USAGE;
    }
    struct config_faults faults;
    struct config *config = config_read(path, &faults);
    bool valid = config != NULL;
    if (json)
        faults_print_json(stdout, &faults);
    else
        faults_print(stdout, &faults, true);
    if (probe && valid && !json)
        probe_all(config);
    if (valid && !json)
        printf("%s: valid: %u listeners, %u upstreams\n", path, config->listeners.count,
               config->upstreams.count);
    config_free(config);
    config_faults_free(&faults);
    return valid ? 0 : 1;
}
