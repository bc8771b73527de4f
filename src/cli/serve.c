/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - `weir serve`: a configuration file, served; by a process of its own, or by one that
 * takes over from another.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/run.h"
#include "gateway/affinity.h"
#include "gateway/successor.h"
#include "io/launcher.h"
#include "io/oserror.h"
#include "io/sdnotify.h"

#include <stdio.h>
#include <string.h>

#define WHY_MAX 1000

/* What the file may not have meant, where the rest of the program's log is. */
static void advise(const struct server *server, void *arg)
{
    const struct config_faults *faults = arg;
    for (uint32_t i = 0; i < faults->count; i++)
        log_to(&server->voice.sink, LOG_WARN_LEVEL, "configuration advice",
               log_text("file", faults->at[i].file), log_u64("line", faults->at[i].line),
               log_u64("column", faults->at[i].column), log_text("advice", faults->at[i].text));
}

static int complain(int error, const char *what)
{
    fprintf(stderr, "weir serve: %s: %s\n", what, oserror_text(error));
    return 1;
}

/* The sockets that it was given, by whoever it was. */
static int receive(struct run_options *opt)
{
    char fault[SUCCESSOR_FAULT_MAX];
    int error = inherited_new(&opt->inherited);
    if (error != 0)
        return complain(error, "sockets");
    if (opt->successor == NULL) {
        int count = inherited_add_activated(opt->inherited);
        return count >= 0 ? 0 : complain(count, "LISTEN_FDS: a descriptor that does not listen");
    }
    if (successor_receive(opt->successor, opt->inherited, affinity_is_used(*opt->take_config),
                          fault)
        != 0) {
        fprintf(stderr, "weir serve: %s\n", fault);
        successor_refuse(opt->successor, fault);
        return 1;
    }
    return 0;
}

static int serve(struct run_options *opt)
{
    int status = receive(opt);
    if (status == 0) {
        int error = loop_new(&(struct loop_options){0}, &opt->loop);
        status = error == 0 ? run_gateway(opt) : complain(error, "its loop");
    }
    return status;
}

/* The process that serves tells it to whoever has asked for the upgrade. */
static void refuse(struct successor *successor, const struct config_faults *faults)
{
    char why[WHY_MAX];
    uint32_t i = 0;
    while (i + 1 < faults->count && faults->at[i].advice)
        i++;
    if (faults->count == 0)
        return;
    snprintf(why, sizeof(why), "%s:%u:%u: %s", faults->at[i].file, faults->at[i].line,
             faults->at[i].column, faults->at[i].text);
    successor_refuse(successor, why);
}

static int read_and_serve(const char *path, struct run_options *opt)
{
    struct config_faults faults;
    struct config *config = config_read(path, &faults);
    int status = 1;
    opt->take_config = &config;
    opt->path = path;
    opt->arg = &faults;
    if (config == NULL) {
        faults_print(stderr, &faults, false);
        refuse(opt->successor, &faults);
    } else {
        status = serve(opt);
    }
    opt->take_config = NULL;
    opt->arg = NULL;
    config_free(config);
    config_faults_free(&faults);
    return status;
}

int command_serve(int count, char **words)
{
    const char *path = NULL;
    const struct command_option options[] = {{"-c", &path, NULL}, {"--config", &path, NULL}, {0}};
    struct run_options opt = {.command = "serve", .on_ready = advise};
    char fault[SUCCESSOR_FAULT_MAX];
    if (command_options("serve", count, words, options) != 0 || path == NULL) {
        fprintf(stderr, "usage: weir serve -c FILE\n");
        return EXIT_USAGE;
    }
    /* Before anything that another process must not have: threads, secrets, less than all rights.
     */
    int error = launcher_open(program_words, SUCCESSOR_WORD, &opt.launcher);
    if (error != 0)
        return complain(error, "its launcher");
    int status = 1;
    error = sdnotify_open(&opt.notify);
    if (error != 0)
        complain(error, "NOTIFY_SOCKET"); /* who waits for it will say so, too */
    if (successor_begin(&opt.successor, fault) != 0)
        fprintf(stderr, "weir serve: %s\n", fault);
    else
        status = read_and_serve(path, &opt);
    launcher_close(opt.launcher);
    successor_end(opt.successor);
    inherited_free(opt.inherited);
    sdnotify_close(opt.notify);
    if (opt.loop != NULL)
        loop_free(opt.loop);
    return status;
}
