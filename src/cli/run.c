/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - signals into what the server is asked to do.
 */
#include "cli/run.h"

#include "gateway/sandbox.h"
#include "io/signal.h"

#include <signal.h>
#include <stdio.h>

#define SHORT_DRAIN_MS 3000

struct run {
    struct loop *loop;
    struct server *server;
};

static void on_signal(void *self, int number)
{
    struct run *run = self;
    if (number == SIGUSR1)
        server_reopen_logs(run->server);
    else if (run->server->state == SERVER_DRAINING)
        server_stop(run->server);
    else
        server_drain(run->server, number == SIGINT ? SHORT_DRAIN_MS : UINT32_MAX);
}

static void on_end(void *arg)
{
    struct run *run = arg;
    loop_stop(run->loop);
}

/* Nothing is left to stop: who asks once more shall not change how the program ends. */
static void ignore(const int *numbers)
{
    for (; *numbers != 0; numbers++)
        signal(*numbers, SIG_IGN);
}

static int serve(const struct run_options *opt, struct sandbox *sandbox)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, 0};
    struct run run = {.loop = opt->loop};
    struct signal_watch *signals;
    char fault[SERVER_FAULT_MAX];
    struct server_options server = {.config = opt->config,
                                    .loop = opt->loop,
                                    .sandbox = sandbox,
                                    .on_end = on_end,
                                    .arg = &run};
    /* Before the threads: they inherit that these signals are the loop's. */
    if (signal_open(opt->loop, numbers, on_signal, &run, &signals) != 0) {
        fprintf(stderr, "weir %s: cannot watch signals\n", opt->command);
        return 1;
    }
    int error = server_open(&server, &run.server, fault);
    if (error != 0) {
        fprintf(stderr, "weir %s: %s\n", opt->command, fault);
        signal_close(signals);
        return 1;
    }
    if (opt->on_ready != NULL)
        opt->on_ready(run.server, opt->arg);
    error = loop_run(opt->loop);
    server_close(run.server);
    ignore(numbers);
    signal_close(signals);
    return error == 0 ? 0 : 1;
}

int run_gateway(const struct run_options *opt)
{
    if (opt->sandbox != NULL)
        return serve(opt, opt->sandbox);
    struct sandbox *own = sandbox_new(opt->config);
    if (own == NULL) {
        fprintf(stderr, "weir %s: out of memory\n", opt->command);
        return 1;
    }
    int status = serve(opt, own);
    sandbox_free(own);
    return status;
}
