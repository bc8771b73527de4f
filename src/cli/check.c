/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - `weir check`: what `weir serve` would say to a file, and whether its endpoints answer.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "gateway/probe.h"

#include <string.h>

static uint32_t probe_all(const struct config *config)
{
    uint32_t failed = 0;
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++) {
            const struct config_endpoint *endpoint = &config->upstreams.at[u].endpoints.at[e];
            struct probe_result result;
            probe_endpoint(config, endpoint, &config->upstreams.at[u], &result);
            if (result.connected)
                printf("%s/%s: connected in %u.%03u ms\n", config->upstreams.at[u].name,
                       endpoint->name, result.took_us / 1000, result.took_us % 1000);
            else
                printf("%s/%s: advice: cannot connect: %s\n", config->upstreams.at[u].name,
                       endpoint->name, result.why);
            failed += result.connected ? 0 : 1;
        }
    return failed;
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
