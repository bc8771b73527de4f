/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - signals into what the server is asked to do, and from whom it takes over.
 */
#include "cli/run.h"

#include "gateway/config.h"
#include "gateway/discovery.h"
#include "gateway/manager.h"
#include "gateway/sandbox.h"
#include "gateway/successor.h"
#include "gateway/upgrade.h"
#include "gateway/upgrade_sessions.h"
#include "gateway/upgrade_steer.h"
#include "gateway/upgrade_totals.h"
#include "io/oserror.h"
#include "io/signal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SHORT_DRAIN_MS 3000

struct run {
    const struct run_options *opt;
    struct server *server;
    struct upgrade *upgrade;
    struct manager *manager;
    bool is_asked;  /* to end, while another process has taken over already */
    bool is_failed; /* it was to take over, and nothing came of it */
};

static void upgrade_by_signal(struct run *run)
{
    upgrade_begin(run->upgrade, &(struct upgrade_ask){.who = "SIGUSR2", .reason = ""});
}

/* A manager may tell all of its processes to end, when it means the one that serves: one that
 * drains since another has taken over does so already. */
static void end_by_signal(struct run *run, int number)
{
    struct server *server = run->server;
    bool is_repeated = server->state == SERVER_DRAINING && (!server->is_given || run->is_asked);
    run->is_asked = true;
    if (is_repeated || server->state == SERVER_OPENING)
        server_stop(server);
    else if (number == SIGINT)
        server_drain_at_once(server, SHORT_DRAIN_MS);
    else
        server_drain(server, UINT32_MAX);
}

static void on_signal(void *self, int number)
{
    struct run *run = self;
    if (number == SIGUSR1)
        server_reopen_logs(run->server);
    else if (number == SIGHUP)
        server_reload(run->server);
    else if (number == SIGUSR2)
        upgrade_by_signal(run);
    else
        end_by_signal(run, number);
}

static void on_end(void *arg)
{
    struct run *run = arg;
    loop_stop(run->opt->loop);
}

/* Nothing is left to stop: who asks once more shall not change how the program ends. */
static void ignore(const int *numbers)
{
    for (; *numbers != 0; numbers++)
        signal(*numbers, SIG_IGN);
}

/* --- it takes over -------------------------------------------------------------------------------
 */

static void in_charge(void *self)
{
    struct run *run = self;
    struct successor_info info;
    char what[EVENTLOG_WHAT_MAX + 1];
    successor_info(run->opt->successor, &info);
    server_resume(run->server);
    manager_ready(run->manager, "serving");
    snprintf(what, sizeof(what), "process %d takes over from %u", (int)getpid(), info.pid);
    server_tell(run->server, LOG_INFO_LEVEL,
                &(struct told_event){.event = "upgraded", .what = what});
    if (run->opt->on_ready != NULL)
        run->opt->on_ready(run->server, run->opt->arg);
}

static void left(void *self)
{
    struct run *run = self;
    log_to(&run->server->voice.sink, LOG_ERROR_LEVEL,
           "the process that serves has not handed over; this one ends",
           log_u64("pid", (uint64_t)getpid()));
    run->is_failed = true;
    server_stop(run->server);
}

static void alone(void *self)
{
    struct run *run = self;
    log_to(&run->server->voice.sink, LOG_INFO_LEVEL, "the process before this one has ended",
           log_u64("pid", (uint64_t)getpid()));
}

static void records(void *self, struct slice frames)
{
    struct run *run = self;
    upgrade_sessions_hear(run->server, frames);
}

static void log_unknown(const struct run *run, struct slice text)
{
    log_to(&run->server->voice.sink, LOG_WARN_LEVEL, "what was set is of nothing that there is",
           log_slice("of", text));
}

static void steered(void *self, uint32_t mode, struct slice text)
{
    struct run *run = self;
    if (!upgrade_steer_apply(run->server, mode, text))
        log_unknown(run, text);
}

static void cooling(void *self, uint32_t reason, uint64_t until_ms, struct slice text)
{
    struct run *run = self;
    if (!upgrade_cooling_apply(run->server, reason, until_ms, text))
        log_unknown(run, text);
}

static void totals(void *self, int take_fd)
{
    struct run *run = self;
    upgrade_totals_hear(run->server, take_fd);
}

/* What no listener has asked for: who connects there shall be refused rather than wait. */
static void drop_inherited(const struct run *run)
{
    char name[INHERITED_NAME_MAX], address[ADDRESS_TEXT_MAX];
    while (inherited_drop(run->opt->inherited, name, address))
        log_to(&run->server->voice.sink, LOG_WARN_LEVEL, "no listener has this address any more",
               log_text("name", name), log_text("address", address));
    run->server->opt.inherited = NULL;
}

/* 0, or -errno: it cannot take over. */
static int begin(struct run *run)
{
    const struct run_options *opt = run->opt;
    const struct successor_ops ops = {.in_charge = in_charge,
                                      .left = left,
                                      .alone = alone,
                                      .records = records,
                                      .steered = steered,
                                      .cooling = cooling,
                                      .totals = totals,
                                      .self = run};
    drop_inherited(run);
    int error = upgrade_sessions_receive(run->server, opt->successor);
    if (error != 0)
        return error;
    if (opt->successor != NULL)
        return successor_ready(opt->successor, opt->loop, &ops);
    manager_ready(run->manager, "serving");
    if (opt->on_ready != NULL)
        opt->on_ready(run->server, opt->arg);
    return 0;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

/* The exit status. */
static int turn(struct run *run)
{
    const struct upgrade_options upgrade = {
        .server = run->server, .launcher = run->opt->launcher, .successor = run->opt->successor};
    int error = manager_open(run->server, run->opt->notify, &run->manager);
    if (error == 0)
        error = upgrade_open(&upgrade, &run->upgrade);
    if (error == 0)
        error = begin(run);
    if (error == 0)
        error = loop_run(run->opt->loop);
    else
        fprintf(stderr, "weir %s: %s\n", run->opt->command, oserror_text(error));
    server_halt(run->server);
    upgrade_close(run->upgrade);
    return error == 0 && !run->is_failed ? 0 : 1;
}

static int serve_by(const struct run_options *opt, struct config **take_config,
                    struct discovery *discovery, struct sandbox *sandbox)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, 0};
    struct run run = {.opt = opt};
    struct signal_watch *signals;
    char fault[SERVER_FAULT_MAX];
    struct server_options server = {.take_config = take_config,
                                    .path = opt->path,
                                    .loop = opt->loop,
                                    .sandbox = sandbox,
                                    .on_end = on_end,
                                    .arg = &run,
                                    .inherited = opt->inherited,
                                    .waits = opt->successor != NULL,
                                    .discovery = discovery};
    /* Before the threads: they inherit that these signals are the loop's. */
    if (signal_open(opt->loop, numbers, on_signal, &run, &signals) != 0) {
        fprintf(stderr, "weir %s: cannot watch signals\n", opt->command);
        discovery_close(discovery);
        return 1;
    }
    if (server_open(&server, &run.server, fault) != 0) {
        fprintf(stderr, "weir %s: %s\n", opt->command, fault);
        successor_refuse(opt->successor, fault);
        discovery_close(discovery);
        signal_close(signals);
        return 1;
    }
    int status = turn(&run);
    discovery_close(discovery);
    server_close(run.server);
    manager_close(run.manager);
    upgrade_free(run.upgrade);
    ignore(numbers);
    signal_close(signals);
    return status;
}

/* Endpoints that are to be found are looked for first: whoever comes then finds them there. */
static int serve(const struct run_options *opt, struct sandbox *sandbox)
{
    struct discovery *discovery = NULL;
    int error = discovery_open(opt->loop, *opt->take_config, &discovery);
    if (error == 0)
        error = discovery_wait(discovery);
    struct config *config = error == 0 ? discovery_config(discovery, *opt->take_config) : NULL;
    if (config == NULL) {
        fprintf(stderr, "weir %s: endpoints cannot be looked for: %s\n", opt->command,
                oserror_text(error != 0 ? error : -ENOMEM));
        successor_refuse(opt->successor, "endpoints cannot be looked for");
        discovery_close(discovery);
        return 1;
    }
    config_free(*opt->take_config);
    *opt->take_config = NULL;
    int status = serve_by(opt, &config, discovery, sandbox);
    config_free(config);
    return status;
}

int run_gateway(const struct run_options *opt)
{
    if (opt->sandbox != NULL)
        return serve(opt, opt->sandbox);
    struct sandbox *own = sandbox_new(*opt->take_config);
    if (own == NULL) {
        fprintf(stderr, "weir %s: out of memory\n", opt->command);
        return 1;
    }
    int status = serve(opt, own);
    sandbox_free(own);
    return status;
}
