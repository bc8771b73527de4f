/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade.h"

#include "base/alloc.h"
#include "gateway/census.h"
#include "gateway/manager.h"
#include "gateway/metrics.h"
#include "gateway/upgrade_sessions.h"
#include "gateway/upgrade_steer.h"
#include "gateway/upgrade_totals.h"
#include "io/oserror.h"
#include "io/passage.h"
#include "proto/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEFT_EVERY_MS 500U /* the new one hears who is left here, and what was counted */

enum upgrade_state {
    UPGRADE_IDLE,
    UPGRADE_LAUNCHING,
    UPGRADE_OFFERING,
    UPGRADE_SWITCHING,
    UPGRADE_GIVEN
};

struct upgrade {
    struct upgrade_options opt;
    enum upgrade_state state;
    struct passage *passage;   /* to the new one, or NULL */
    pid_t pid;                 /* its, while it runs; 0 */
    int status;                /* it ended with */
    bool has_ended, is_silent; /* it, and its end of the passage: both, for all it said is known */
    bool is_launcher_gone;
    struct loop_timer timer; /* it takes too long; later: who is left */
    uint32_t timeout_ms;
    uint32_t sockets;
    struct upgrade_sessions *sessions; /* once the new one has them, or NULL */
    struct census *counting;           /* what is to be told next of what was counted; or NULL */
    int totals_error;                  /* of the last that were to be told */
    bool is_paused, is_counted;        /* while it switches: both, and the new one is told */
    uint64_t failed;
    upgrade_done_fn *done;
    void *done_self;
    char who[80], reason[EVENTLOG_WHY_MAX + 1];
    char why[UPGRADE_WHY_MAX];
};

static void on_started(void *self, pid_t pid, struct passage *take_passage);
static void on_failed(void *self, int error);
static void on_ended(void *self, pid_t pid, int status);
static void on_gone(void *self);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void stop_counting(struct upgrade *upgrade);
static void tell_last(struct upgrade *upgrade);
static void say_totals(struct upgrade *upgrade, const struct census *census);

int upgrade_open(const struct upgrade_options *opt, struct upgrade **ret_upgrade)
{
    struct upgrade *upgrade = alloc_zeroed(&alloc_libc, sizeof(*upgrade));
    struct successor_info self;
    if (upgrade == NULL)
        return -ENOMEM;
    successor_info(opt->successor, &self);
    upgrade->opt = *opt;
    upgrade->failed = self.failed;
    upgrade->timer.fire = on_timer;
    if (opt->launcher != NULL) {
        const struct launcher_ops ops = {.started = on_started,
                                         .failed = on_failed,
                                         .ended = on_ended,
                                         .gone = on_gone,
                                         .self = upgrade};
        launcher_listen(opt->launcher, opt->server->opt.loop, &ops);
    }
    opt->server->upgrade = upgrade;
    *ret_upgrade = upgrade;
    return 0;
}

void upgrade_close(struct upgrade *upgrade)
{
    if (upgrade == NULL)
        return;
    upgrade->opt.server->upgrade = NULL;
    loop_timer_stop(upgrade->opt.server->opt.loop, &upgrade->timer);
    upgrade_sessions_flush(upgrade->sessions);
    stop_counting(upgrade);
    tell_last(upgrade);
    passage_close(upgrade->passage);
    upgrade->passage = NULL;
}

void upgrade_free(struct upgrade *take_upgrade)
{
    if (take_upgrade != NULL)
        upgrade_sessions_free(take_upgrade->sessions);
    alloc_free(&alloc_libc, take_upgrade);
}

static void set_timer(struct upgrade *upgrade, uint32_t ms)
{
    struct loop *loop = upgrade->opt.server->opt.loop;
    loop_timer_set(loop, &upgrade->timer, loop_now_ms(loop) + ms);
}

static const struct log_sink *log_of(const struct upgrade *upgrade)
{
    return &upgrade->opt.server->voice.sink;
}

/* --- it begins -----------------------------------------------------------------------------------
 */

static const char *obstacle_of(const struct upgrade *upgrade)
{
    struct successor_info self;
    successor_info(upgrade->opt.successor, &self);
    if (upgrade->state != UPGRADE_IDLE)
        return "an upgrade is under way already";
    if (upgrade->opt.server->state != SERVER_SERVING)
        return "it drains, or does not serve yet";
    if (reload_is_under_way(upgrade->opt.server->reload))
        return "another configuration is being put in force: try again in a moment";
    if (upgrade->opt.launcher == NULL)
        return "nothing can be started in its place: only `weir serve` can be upgraded";
    if (upgrade->is_launcher_gone)
        return "its launcher was ended by somebody: restart it instead";
    if (getpid() == 1)
        return "it is the first process of its container, which ends with it: replace the "
               "container instead";
    if (self.pid != 0)
        return "the process before this one still drains: wait until it has ended, or end it";
    return NULL;
}

const char *upgrade_begin(struct upgrade *upgrade, const struct upgrade_ask *ask)
{
    const char *obstacle = obstacle_of(upgrade);
    if (obstacle != NULL) {
        log_to(log_of(upgrade), LOG_WARN_LEVEL, "no upgrade", log_text("why", obstacle));
        return obstacle;
    }
    int error = launcher_start(upgrade->opt.launcher);
    if (error != 0)
        return "its launcher cannot be asked";
    upgrade->state = UPGRADE_LAUNCHING;
    upgrade->pid = 0;
    upgrade->has_ended = upgrade->is_silent = false;
    upgrade->done = ask->done;
    upgrade->done_self = ask->self;
    slice_copy(upgrade->who, sizeof(upgrade->who), slice_of(ask->who));
    slice_copy(upgrade->reason, sizeof(upgrade->reason), slice_of(ask->reason));
    upgrade->timeout_ms = ask->timeout_ms > 0 ? ask->timeout_ms : UPGRADE_TIMEOUT_MS;
    set_timer(upgrade, upgrade->timeout_ms);
    manager_reloading(upgrade->opt.server->manager, "a new process begins");
    log_to(log_of(upgrade), LOG_INFO_LEVEL, "upgrade begins",
           log_u64("timeout_ms", upgrade->timeout_ms));
    return NULL;
}

void upgrade_forget(struct upgrade *upgrade)
{
    upgrade->done = NULL;
}

/* --- how it ends ---------------------------------------------------------------------------------
 */

static void tell(struct upgrade *upgrade, enum log_level level, const char *event, const char *what,
                 const char *why)
{
    const struct told_event told = {.event = event, .who = upgrade->who, .what = what, .why = why};
    server_tell(upgrade->opt.server, level, &told);
}

static void answer(struct upgrade *upgrade, const char *why)
{
    upgrade_done_fn *done = upgrade->done;
    upgrade->done = NULL;
    if (done != NULL)
        done(upgrade->done_self, why);
}

/* Not, where it was told to end while the new one began. */
static bool serves(const struct upgrade *upgrade)
{
    return upgrade->opt.server->state == SERVER_SERVING;
}

/* This one serves on, or ends as it was told to. */
__attribute__((format(printf, 2, 3))) static void fail(struct upgrade *upgrade, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(upgrade->why, sizeof(upgrade->why), format, args);
    va_end(args);
    bool was_paused = upgrade->state == UPGRADE_SWITCHING;
    stop_counting(upgrade);
    upgrade->state = UPGRADE_IDLE;
    upgrade->failed++;
    loop_timer_stop(upgrade->opt.server->opt.loop, &upgrade->timer);
    passage_close(upgrade->passage);
    upgrade->passage = NULL;
    upgrade_sessions_take_back(upgrade->sessions);
    upgrade->sessions = NULL;
    if (upgrade->pid != 0 && !upgrade->has_ended)
        launcher_kill(upgrade->opt.launcher);
    if (was_paused)
        server_resume(upgrade->opt.server);
    if (serves(upgrade))
        manager_ready(upgrade->opt.server->manager, upgrade->why);
    tell(upgrade, LOG_ERROR_LEVEL, "upgrade_failed",
         serves(upgrade) ? "this process serves on" : "this process ends", upgrade->why);
    answer(upgrade, upgrade->why);
}

void upgrade_abandon(struct upgrade *upgrade)
{
    if (upgrade != NULL && upgrade->state != UPGRADE_IDLE && upgrade->state != UPGRADE_GIVEN)
        fail(upgrade, "this process was told to end while the new one began, which ends as well");
}

static void on_failed(void *self, int error)
{
    struct upgrade *upgrade = self;
    if (upgrade->state == UPGRADE_LAUNCHING || upgrade->state == UPGRADE_OFFERING)
        fail(upgrade, "the new process cannot be started: %s", oserror_text(error));
}

/* The end of one that has said nothing else. */
static void fail_ended(struct upgrade *upgrade)
{
    if (WIFSIGNALED(upgrade->status))
        fail(upgrade, "the new process was ended by signal %d before it was ready",
             WTERMSIG(upgrade->status));
    else
        fail(upgrade, "the new process ended with status %d before it was ready",
             WEXITSTATUS(upgrade->status));
}

static void on_ended(void *self, pid_t pid, int status)
{
    struct upgrade *upgrade = self;
    if (pid != upgrade->pid)
        return;
    upgrade->has_ended = true;
    upgrade->status = status;
    if (upgrade->state == UPGRADE_GIVEN)
        log_to(log_of(upgrade), LOG_ERROR_LEVEL, "the new process has ended",
               log_u64("pid", (uint64_t)pid), log_i64("status", status));
    else if (upgrade->state != UPGRADE_IDLE && upgrade->is_silent)
        fail_ended(upgrade);
}

static void on_silence(void *self)
{
    struct upgrade *upgrade = self;
    passage_close(upgrade->passage);
    upgrade->passage = NULL;
    upgrade->is_silent = true;
    if (upgrade->state == UPGRADE_GIVEN || upgrade->state == UPGRADE_IDLE)
        return;
    if (upgrade->has_ended)
        fail_ended(upgrade);
    else
        launcher_kill(upgrade->opt.launcher); /* its end is told */
}

static void on_gone(void *self)
{
    struct upgrade *upgrade = self;
    upgrade->is_launcher_gone = true;
    log_to(log_of(upgrade), LOG_ERROR_LEVEL, "the launcher has ended; no upgrade is possible",
           log_u64("pid", (uint64_t)getpid()));
    if (upgrade->state == UPGRADE_LAUNCHING)
        fail(upgrade, "its launcher was ended by somebody");
}

/* --- what is offered -----------------------------------------------------------------------------
 */

static int say(struct upgrade *upgrade, const struct takeover_message *message, int fd)
{
    char bytes[TAKEOVER_MAX];
    return passage_send(upgrade->passage, bytes, takeover_write(message, bytes), fd);
}

static void offer_socket(void *self, const char *name, int fd)
{
    struct upgrade *upgrade = self;
    const struct takeover_message message = {.kind = TAKEOVER_SOCKET, .text = slice_of(name)};
    upgrade->sockets++;
    say(upgrade, &message, fd); /* what goes wrong ends in a count that is another */
}

static void offer(struct upgrade *upgrade)
{
    struct successor_info self;
    successor_info(upgrade->opt.successor, &self);
    const struct takeover_message hello = {.kind = TAKEOVER_HELLO,
                                           .number = self.generation,
                                           .pid = (uint32_t)getpid(),
                                           .count = upgrade->failed,
                                           .text = SLICE(WEIR_VERSION)};
    upgrade->sockets = 0;
    upgrade->state = UPGRADE_OFFERING;
    say(upgrade, &hello, -1);
    server_sockets(upgrade->opt.server, offer_socket, upgrade);
    say(upgrade, &(struct takeover_message){.kind = TAKEOVER_OFFERED, .count = upgrade->sockets},
        -1);
}

static void on_records(void *self, struct slice frames)
{
    struct upgrade *upgrade = self;
    if (upgrade->passage != NULL)
        say(upgrade, &(struct takeover_message){.kind = TAKEOVER_RECORDS, .text = frames}, -1);
}

static void lend_sessions(struct upgrade *upgrade)
{
    int fd = -1;
    int error = upgrade->sessions == NULL ? upgrade_sessions_lend(upgrade->opt.server, on_records,
                                                                  upgrade, &upgrade->sessions, &fd)
                                          : -EPROTO;
    if (error != 0) {
        fail(upgrade, "the sessions cannot be handed over: %s", oserror_text(error));
        return;
    }
    error = say(upgrade, &(struct takeover_message){.kind = TAKEOVER_LENT}, fd);
    if (fd >= 0)
        close(fd);
    if (error != 0 && error != -EPIPE && error != -ECONNRESET)
        fail(upgrade, "the sessions cannot be sent: %s", oserror_text(error));
}

/* --- the switch ----------------------------------------------------------------------------------
 */

static void give(struct upgrade *upgrade)
{
    char what[EVENTLOG_WHAT_MAX + 1];
    upgrade->state = UPGRADE_GIVEN;
    snprintf(what, sizeof(what), "process %d takes over from %d", (int)upgrade->pid, (int)getpid());
    tell(upgrade, LOG_INFO_LEVEL, "upgraded", what, upgrade->reason);
    answer(upgrade, NULL);
    server_give(upgrade->opt.server);
    set_timer(upgrade, 0);
}

static void say_steered(void *self, uint32_t mode, const char *text)
{
    struct upgrade *upgrade = self;
    say(upgrade,
        &(struct takeover_message){
            .kind = TAKEOVER_STEERED, .number = mode, .text = slice_of(text)},
        -1);
}

static void say_cooling(void *self, uint32_t reason, uint64_t until_ms, const char *text)
{
    struct upgrade *upgrade = self;
    say(upgrade,
        &(struct takeover_message){
            .kind = TAKEOVER_COOLING, .number = reason, .count = until_ms, .text = slice_of(text)},
        -1);
}

static void say_learnt(struct upgrade *upgrade)
{
    if (upgrade->passage == NULL)
        return;
    upgrade_steer_each(upgrade->opt.server, say_steered, upgrade);
    upgrade_cooling_each(upgrade->opt.server, say_cooling, upgrade);
}

/* Nobody is accepted here any more, and what was counted is known. */
static void hand_over(struct upgrade *upgrade)
{
    if (!upgrade->is_paused || !upgrade->is_counted)
        return;
    say_learnt(upgrade);
    int error = upgrade->passage == NULL
                    ? -EPIPE
                    : say(upgrade, &(struct takeover_message){.kind = TAKEOVER_TAKEN}, -1);
    if (error == 0)
        give(upgrade);
    else if (error != -EPIPE && error != -ECONNRESET) /* those two are told as its end */
        fail(upgrade, "the new process cannot be told: %s", oserror_text(error));
}

static void on_paused(void *arg)
{
    struct upgrade *upgrade = arg;
    if (upgrade->state != UPGRADE_SWITCHING)
        return; /* it came to nothing meanwhile, and all go on */
    upgrade->is_paused = true;
    hand_over(upgrade);
}

static void on_first_counted(void *arg, struct census *census)
{
    struct upgrade *upgrade = arg;
    upgrade->counting = NULL;
    upgrade->is_counted = true;
    say_totals(upgrade, census);
    census_free(census);
    hand_over(upgrade);
}

/* A worker counts after it has paused, in the same turn. */
static void switch_over(struct upgrade *upgrade)
{
    upgrade->state = UPGRADE_SWITCHING;
    upgrade->is_paused = upgrade->is_counted = false;
    if (!server_pause(upgrade->opt.server, on_paused, upgrade))
        fail(upgrade, "a worker does not take letters");
    else if (census_take(upgrade->opt.server, METRICS_CENSUS, NULL, on_first_counted, upgrade,
                         &upgrade->counting)
             != 0)
        fail(upgrade, "what was counted cannot be handed over: no memory");
}

/* --- what was counted ----------------------------------------------------------------------------
 */

static void say_totals(struct upgrade *upgrade, const struct census *census)
{
    int fd, error = -EPIPE;
    if (upgrade->passage == NULL)
        return;
    error = upgrade_totals_of(upgrade->opt.server, census, &fd);
    if (error == 0) {
        error = say(upgrade, &(struct takeover_message){.kind = TAKEOVER_TOTALS}, fd);
        close(fd);
    }
    bool is_news = error != upgrade->totals_error && error != -EPIPE && error != -ECONNRESET;
    upgrade->totals_error = error;
    if (error != 0 && is_news) /* and not twice a second */
        log_to(log_of(upgrade), LOG_WARN_LEVEL, "counters are not handed over",
               log_text("why", oserror_text(error)));
}

void upgrade_tell_totals(struct upgrade *upgrade, const struct census *census)
{
    if (upgrade != NULL && upgrade->state == UPGRADE_GIVEN)
        say_totals(upgrade, census);
}

static void on_counted(void *arg, struct census *census)
{
    struct upgrade *upgrade = arg;
    upgrade->counting = NULL;
    say_totals(upgrade, census);
    census_free(census);
}

/* One at a time, and none while the new process has not taken the one before. */
static void count(struct upgrade *upgrade)
{
    if (upgrade->counting == NULL && !passage_is_behind(upgrade->passage)
        && census_take(upgrade->opt.server, METRICS_CENSUS, NULL, on_counted, upgrade,
                       &upgrade->counting)
               != 0)
        upgrade->counting = NULL; /* the next one will say it */
}

static void stop_counting(struct upgrade *upgrade)
{
    if (upgrade->counting != NULL)
        census_abandon(upgrade->counting);
    upgrade->counting = NULL;
}

static void tell_last(struct upgrade *upgrade)
{
    if (upgrade->state != UPGRADE_GIVEN)
        return;
    struct census *census = census_of_ended(upgrade->opt.server, METRICS_CENSUS);
    if (census != NULL) {
        say_totals(upgrade, census);
        census_free(census);
    }
}

static void on_message(void *self, const char *bytes, size_t len, int take_fd)
{
    struct upgrade *upgrade = self;
    struct takeover_message message;
    if (take_fd >= 0)
        close(take_fd);
    if (upgrade->state != UPGRADE_OFFERING)
        return;
    if (takeover_read(bytes, len, &message) != TAKEOVER_GOOD)
        fail(upgrade, "the new process says what is not understood");
    else if (message.kind == TAKEOVER_WANTED)
        lend_sessions(upgrade);
    else if (message.kind == TAKEOVER_READY)
        switch_over(upgrade);
    else if (message.kind == TAKEOVER_FAILED)
        fail(upgrade, "the new process: %.*s", SLICE_ARG(message.text));
}

static void on_started(void *self, pid_t pid, struct passage *take_passage)
{
    struct upgrade *upgrade = self;
    const struct passage_ops ops = {.message = on_message, .end = on_silence, .self = upgrade};
    if (upgrade->state != UPGRADE_LAUNCHING) { /* it took too long to be told */
        passage_close(take_passage);
        launcher_kill(upgrade->opt.launcher);
        return;
    }
    upgrade->pid = pid;
    upgrade->passage = take_passage;
    passage_listen(take_passage, upgrade->opt.server->opt.loop, &ops);
    log_to(log_of(upgrade), LOG_INFO_LEVEL, "the new process begins",
           log_u64("pid", (uint64_t)pid));
    offer(upgrade);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct upgrade *upgrade = container_of(timer, struct upgrade, timer);
    (void)now_ms;
    if (upgrade->state != UPGRADE_GIVEN) {
        fail(upgrade, "the new process was not ready within %u ms", upgrade->timeout_ms);
    } else if (upgrade->passage != NULL) {
        say(upgrade,
            &(struct takeover_message){.kind = TAKEOVER_LEFT,
                                       .count = server_left(upgrade->opt.server)},
            -1);
        count(upgrade);
        set_timer(upgrade, LEFT_EVERY_MS);
    }
}

/* --- how it stands -------------------------------------------------------------------------------
 */

void upgrade_info(const struct upgrade *upgrade, struct upgrade_info *ret_info)
{
    static const char *const words[] = {"idle", "launching", "offering", "switching", "given"};
    *ret_info = (struct upgrade_info){.state = words[UPGRADE_IDLE], .why = ""};
    successor_info(upgrade != NULL ? upgrade->opt.successor : NULL, &ret_info->self);
    if (upgrade != NULL) {
        ret_info->state = words[upgrade->state];
        ret_info->pid = upgrade->state != UPGRADE_IDLE ? (uint32_t)upgrade->pid : 0;
        ret_info->failed = upgrade->failed;
        ret_info->why = upgrade->why;
    }
    ret_info->done = ret_info->self.generation - 1;
}
