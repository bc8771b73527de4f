/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - `weir serve`: a configuration file, served.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/run.h"
#include "io/oserror.h"

#include <stdio.h>
#include <string.h>

/* What the file may not have meant, where the rest of the program's log is. */
static void advise(const struct server *server, void *arg)
{
    const struct config_faults *faults = arg;
    for (uint32_t i = 0; i < faults->count; i++)
        log_to(&server->voice.sink, LOG_WARN_LEVEL, "configuration advice",
               log_text("file", faults->at[i].file), log_u64("line", faults->at[i].line),
               log_u64("column", faults->at[i].column), log_text("advice", faults->at[i].text));
}

static int serve(const struct config *config, struct config_faults *faults)
{
    struct run_options opt = {
        .command = "serve", .config = config, .on_ready = advise, .arg = faults};
    int error = loop_new(&(struct loop_options){0}, &opt.loop);
    if (error != 0) {
        fprintf(stderr, "weir serve: %s\n", oserror_text(error));
        return 1;
    }
    int status = run_gateway(&opt);
    loop_free(opt.loop);
    return status;
}

int command_serve(int count, char **words)
{
    const char *path = NULL;
    const struct command_option options[] = {{"-c", &path, NULL}, {"--config", &path, NULL}, {0}};
    if (command_options("serve", count, words, options) != 0 || path == NULL) {
        fprintf(stderr, "usage: weir serve -c FILE\n");
        return EXIT_USAGE;
    }
    struct config_faults faults;
    struct config *config = config_read(path, &faults);
    int status = 1;
    if (config == NULL)
        faults_print(stderr, &faults, false);
    else
        status = serve(config, &faults);
    config_free(config);
    config_faults_free(&faults);
    return status;
}
