/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - `weir config`: a configuration in full, and the table of options in three forms.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "gateway/admin_openapi.h"
#include "gateway/config_dump.h"

#include <string.h>

#define TEXT_BYTES_MAX (64U << 20)

static int dump(const char *path, bool json, struct bytes *out)
{
    struct config_faults faults;
    struct config *config = config_read(path, &faults);
    if (config == NULL)
        faults_print(stderr, &faults, false);
    else if (json)
        config_dump_json(config, out);
    else
        config_dump_yaml(config, out);
    int status = config == NULL ? 1 : 0;
    config_free(config);
    config_faults_free(&faults);
    return status;
}

static int usage(void)
{
    fprintf(stderr, "usage: weir config dump -c FILE [--format yaml|json]\n"
                    "       weir config schema|options|reference|openapi\n");
    return EXIT_USAGE;
}

int command_config(int count, char **words)
{
    const char *path = NULL, *format = "yaml";
    const struct command_option options[] = {
        {"-c", &path, NULL}, {"--config", &path, NULL}, {"--format", &format, NULL}, {0}};
    int left = command_options("config", count, words, options);
    bool json = strcmp(format, "json") == 0;
    if (left < 1 || left > 2 || (!json && strcmp(format, "yaml") != 0))
        return usage();
    if (left == 2 && path == NULL)
        path = words[1];
    struct bytes out;
    int status = 0;
    bytes_init(&out, &alloc_libc, TEXT_BYTES_MAX);
    if (strcmp(words[0], "dump") == 0 && path != NULL)
        status = dump(path, json, &out);
    else if (strcmp(words[0], "schema") == 0)
        config_schema(&out);
    else if (strcmp(words[0], "options") == 0)
        config_options(&out);
    else if (strcmp(words[0], "reference") == 0)
        config_reference(&out);
    else if (strcmp(words[0], "openapi") == 0)
        admin_openapi(&out);
    else
        status = usage();
    if (bytes_len(&out) > 0)
        fwrite(bytes_at(&out), 1, bytes_len(&out), stdout);
    if (json && bytes_len(&out) > 0)
        putchar('\n');
    bytes_fini(&out);
    return fflush(stdout) == 0 ? status : 1;
}
