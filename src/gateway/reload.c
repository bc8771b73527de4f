/* SPDX-License-Identifier: Apache-2.0
 *
 * reload.c - the steps, one after the other; each may be the last.
 *
 *     IDLE ─▶ AWAITING ─▶ JOINING: each worker builds its part ─▶ WAITING ─▶ SWITCHING ─▶ IDLE
 *         the eldest's end   └─ one failed ─▶ LEAVING: each takes it down   for censuses    ▲
 *         if there are too many                          └──────────────────────────────────┘
 */
#include "gateway/reload.h"

#include "base/check.h"
#include "gateway/admin_page.h"
#include "gateway/census.h"
#include "gateway/config_diff.h"
#include "gateway/config_found.h"
#include "gateway/discovery.h"
#include "gateway/environment.h"
#include "gateway/generation.h"
#include "gateway/manager.h"
#include "gateway/reload_rules.h"
#include "gateway/secure.h"
#include "gateway/server.h"
#include "gateway/upgrade.h"
#include "io/clock.h"
#include "io/oserror.h"
#include "proto/json.h"
#include "runtime/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX_BYTES (1U << 20)
#define CHANGE_BYTES      4096U
#define SHOWN_MAX         1024U /* bytes of a value that is shown */
#define DRAINS            "the gateway drains, or does not serve yet: nothing is put in force"

enum step {
    STEP_IDLE,
    STEP_LOOKING,
    STEP_AWAITING,
    STEP_JOINING,
    STEP_LEAVING,
    STEP_WAITING,
    STEP_SWITCHING
};

/* What a worker is told: a note cannot be refused. */
struct order {
    struct worker_note note;
    struct reload *reload;
    uint32_t worker;
    void (*run)(struct reload *reload, uint32_t worker);
};

struct reload {
    struct server *server;
    struct order *orders;   /* one for each worker */
    struct list asks;       /* the first is under way, unless IDLE */
    struct reload_ask *ask; /* under way; NULL: who asked has left */
    struct loop_later later;
    enum step step;
    bool finds;            /* what is under way is discovery's */
    struct config *wanted; /* while it waits */
    struct generation *next;
    uint32_t pending; /* workers */
    int error;        /* of one of them */

    struct config_faults faults;
    bool has_faults;
    struct bytes changes;
    uint32_t changes_count;
    char message[RELOAD_MESSAGE_MAX];

    bool was_good; /* the last one */
    uint64_t good_wall_ms;
    uint64_t counts[RELOAD_RESULTS_COUNT];
};

static void next(struct loop_later *later);
static void build(struct reload *reload, struct config *take_wanted);
static void finish(struct reload *reload, enum reload_result result);
static void tell_all(struct reload *reload, enum step step,
                     void (*run)(struct reload *reload, uint32_t worker));
static void looked(void *self, uint64_t unused);

static const struct {
    const char *word;
    bool is_good;
} results[] = {
#define RELOAD_ROW(name, word, good) {word, good},
    RELOAD_RESULTS(RELOAD_ROW)
#undef RELOAD_ROW
};

const char *reload_result_word(enum reload_result result)
{
    return results[result].word;
}

bool reload_is_good(enum reload_result result)
{
    return results[result].is_good;
}

/* --- life ----------------------------------------------------------------------------------------
 */

int reload_open(struct server *server, struct reload **ret_reload)
{
    struct reload *reload = calloc(1, sizeof(*reload));
    if (reload == NULL)
        return -ENOMEM;
    reload->server = server;
    reload->orders = calloc(server->sites_count, sizeof(*reload->orders));
    if (reload->orders == NULL) {
        free(reload);
        return -ENOMEM;
    }
    reload->later.run = next;
    reload->was_good = true;
    reload->good_wall_ms = clock_wall_ms();
    list_init(&reload->asks);
    bytes_init(&reload->changes, &alloc_libc, CHANGES_MAX_BYTES);
    *ret_reload = reload;
    return 0;
}

static void forget(struct reload *reload)
{
    if (reload->has_faults)
        config_faults_free(&reload->faults);
    reload->has_faults = false;
    bytes_fini(&reload->changes);
    bytes_init(&reload->changes, &alloc_libc, CHANGES_MAX_BYTES);
    reload->changes_count = 0;
    reload->message[0] = '\0';
}

/* What some workers have done already, for the others, whose threads have ended. */
static void switch_all(struct reload *reload)
{
    struct server *s = reload->server;
    for (uint32_t w = 0; w < s->sites_count; w++)
        if (s->sites[w].relay != reload->next->parts[w].relay)
            generation_switch(reload->next, w);
    generation_settle(reload->next);
}

void reload_close(struct reload *take_reload)
{
    struct reload *reload = take_reload;
    if (reload == NULL)
        return;
    loop_later_cancel(reload->server->opt.loop, &reload->later);
    while (!list_is_empty(&reload->asks))
        list_pop_front(&reload->asks);
    if (reload->next != NULL && reload->step == STEP_SWITCHING) {
        switch_all(reload);
    } else if (reload->next != NULL) {
        for (uint32_t w = 0; w < reload->server->sites_count; w++)
            generation_abandon(reload->next, w);
        generation_free(reload->next);
    }
    config_free(reload->wanted);
    forget(reload);
    bytes_fini(&reload->changes);
    free(reload->orders);
    free(reload);
}

bool reload_is_under_way(const struct reload *reload)
{
    return reload->step != STEP_IDLE;
}

void reload_give_up(struct reload *reload)
{
    if (reload->step != STEP_AWAITING)
        return;
    config_free(reload->wanted);
    reload->wanted = NULL;
    snprintf(reload->message, sizeof(reload->message), "%s", DRAINS);
    finish(reload, RELOAD_REFUSED);
}

void reload_begin(struct reload *reload, struct reload_ask *ask)
{
    list_push_back(&reload->asks, &ask->on_reload);
    loop_later(reload->server->opt.loop, &reload->later);
}

void reload_leave(struct reload *reload, struct reload_ask *ask)
{
    if (reload->ask == ask)
        reload->ask = NULL;
    list_leave(&ask->on_reload);
}

/* --- read, and compared --------------------------------------------------------------------------
 */

struct telling {
    struct reload *reload;
    bool hides;
};

static void say_value(struct json *row, const char *name, struct slice value, bool is_shown)
{
    if (is_shown && value.at != NULL && value.len <= SHOWN_MAX && value.at[0] != '{')
        json_raw(row, name, value);
    else
        json_null(row, name);
}

static void note_change(void *self, const struct config_change *change)
{
    struct telling *telling = self;
    struct reload *reload = telling->reload;
    char room[CHANGE_BYTES];
    struct json row = json_into(room, sizeof(room));
    json_open(&row, NULL, '{');
    json_text(&row, "path", change->path);
    json_text(&row, "change", config_change_word(change->kind));
    say_value(&row, "running", change->running, true);
    say_value(&row, "wanted", change->wanted, !telling->hides);
    json_text(&row, "apply",
              change->option != NULL ? option_apply_text(change->option->apply) : "live");
    json_close(&row, '}');
    if (!row.full) {
        bytes_append_text(&reload->changes, reload->changes_count > 0 ? ",\n" : "\n");
        bytes_append(&reload->changes, row.at, row.len);
    }
    reload->changes_count++;
    if (reload->message[0] == '\0' && change->option != NULL
        && change->option->apply == OPTION_RESTART && change->kind == CONFIG_CHANGED)
        snprintf(reload->message, sizeof(reload->message),
                 "%s: a change of it needs a restart; nothing was changed", change->path);
}

/* The configuration that is wanted; NULL: it is over. */
static struct config *read_wanted(struct reload *reload)
{
    const struct reload_ask *ask = reload->ask;
    const char *path = reload->server->opt.path;
    if (ask->text.at == NULL && path == NULL) {
        snprintf(reload->message, sizeof(reload->message),
                 "this gateway was started without a file: there is nothing to read again");
        finish(reload, RELOAD_REFUSED);
        return NULL;
    }
    struct config *wanted = ask->text.at != NULL ? config_read_text("body", ask->text.at,
                                                                    ask->text.len, &reload->faults)
                                                 : config_read(path, &reload->faults);
    environment_hide(); /* what it has used that the one before had not */
    reload->has_faults = true;
    if (wanted != NULL)
        return wanted;
    for (uint32_t i = 0; i < reload->faults.count && reload->message[0] == '\0'; i++) {
        const struct config_fault *fault = &reload->faults.at[i];
        if (!fault->advice)
            snprintf(reload->message, sizeof(reload->message), "%s:%u:%u: %s", fault->file,
                     fault->line, fault->column, ask->hides ? "not valid" : fault->text);
    }
    finish(reload, RELOAD_INVALID);
    return NULL;
}

/* True: another one is in force than the asker knows. */
static bool is_overtaken(const struct reload *reload)
{
    char tag[ADMIN_TAG_TEXT];
    const char *expected = reload->ask->if_match;
    admin_config_tag(reload->server, tag);
    return expected != NULL && expected[0] != '\0' && strcmp(expected, "*") != 0
           && strcmp(expected, tag) != 0;
}

/* On a worker's thread: some may have ended by now. */
static void look(struct reload *reload, uint32_t worker)
{
    generation_look(&reload->server->sites[worker]);
    check(crew_post_hub(reload->server->crew, looked, reload, 0));
}

/* What ended was told before. */
static void looked(void *self, uint64_t unused)
{
    struct reload *reload = self;
    (void)unused;
    if (--reload->pending > 0)
        return;
    reload->step = STEP_AWAITING;
    if (reload->server->is_drain_due) {
        reload_give_up(reload);
        return;
    }
    generation_end_eldest(reload->server, reload->finds);
    reload_look(reload);
}

static const char *obstacle_of(const struct reload *reload)
{
    const struct server *s = reload->server;
    struct upgrade_info upgrade;
    upgrade_info(s->upgrade, &upgrade);
    if (s->state != SERVER_SERVING || s->is_drain_due)
        return DRAINS;
    if (strcmp(upgrade.state, "idle") != 0)
        return "another process is about to take over: it reads the configuration as well";
    return is_overtaken(reload) ? "another configuration is in force than If-Match says" : NULL;
}

/* It may be put in force. */
static void proceed(struct reload *reload, struct config *take_wanted)
{
    if (generation_is_room(reload->server, reload->finds)) {
        build(reload, take_wanted);
        return;
    }
    reload->wanted = take_wanted;
    tell_all(reload, STEP_LOOKING, look);
}

static void begin_found(struct reload *reload)
{
    struct server *s = reload->server;
    struct config *wanted = discovery_config(s->discovery, s->config);
    const char *obstacle = obstacle_of(reload);
    if (wanted == NULL)
        snprintf(reload->message, sizeof(reload->message), "no memory");
    else if (obstacle != NULL)
        snprintf(reload->message, sizeof(reload->message), "%s", obstacle);
    else
        reload_rules_check(s, wanted, reload->message, sizeof(reload->message));
    if (reload->message[0] != '\0') {
        config_free(wanted);
        finish(reload, obstacle != NULL ? RELOAD_REFUSED : RELOAD_FAILED);
        return;
    }
    reload->changes_count = 1;
    proceed(reload, wanted);
}

/* What was found for upstreams that both have is as good for the one that is wanted. */
static void add_found(struct reload *reload, struct config *take_wanted)
{
    bool discovers = false;
    for (uint32_t i = 0; i < take_wanted->upstreams.count; i++)
        discovers = discovers || config_discovers(&take_wanted->upstreams.at[i]);
    if (!discovers) {
        proceed(reload, take_wanted);
        return;
    }
    struct config *with = discovery_config(reload->server->discovery, take_wanted);
    config_free(take_wanted);
    if (with == NULL) {
        snprintf(reload->message, sizeof(reload->message), "no memory");
        finish(reload, RELOAD_FAILED);
        return;
    }
    proceed(reload, with);
}

/* Who wanted it and why; what comes of it is an event of its own. */
static void tell_reason(const struct reload *reload)
{
    const struct reload_ask *ask = reload->ask;
    const struct told_event event = {
        .event = "changed", .pool = "", .who = ask->who, .what = "reload", .why = ask->reason};
    if (ask->reason != NULL && ask->reason[0] != '\0')
        server_tell(reload->server, LOG_INFO_LEVEL, &event);
}

static void begin_read(struct reload *reload)
{
    struct server *s = reload->server;
    struct telling telling = {reload, reload->ask->hides};
    tell_reason(reload);
    if (s->manager != NULL)
        manager_reloading(s->manager, "reads its configuration again");
    const char *obstacle = obstacle_of(reload);
    if (obstacle != NULL) {
        snprintf(reload->message, sizeof(reload->message), "%s", obstacle);
        finish(reload, RELOAD_REFUSED);
        return;
    }
    struct config *wanted = read_wanted(reload);
    if (wanted == NULL)
        return;
    /* Whether its files may be read at all is asked of config_read(): where a sandbox is closed to
     * one, that says so as of any file that it may not open. */
    bool is_compared = config_diff(s->config, wanted, note_change, &telling) != UINT32_MAX;
    if (!is_compared) {
        snprintf(reload->message, sizeof(reload->message),
                 "it cannot be compared with the one in force: no memory");
        config_free(wanted);
        finish(reload, RELOAD_FAILED);
        return;
    }
    if (reload->message[0] == '\0')
        reload_rules_check(s, wanted, reload->message, sizeof(reload->message));
    if (reload->message[0] != '\0') {
        config_free(wanted);
        finish(reload, RELOAD_RESTART);
    } else if (reload->changes_count == 0) {
        config_free(wanted);
        server_reload_certificates(s);
        snprintf(reload->message, sizeof(reload->message), "nothing has changed");
        finish(reload, RELOAD_UNCHANGED);
    } else {
        add_found(reload, wanted);
    }
}

static void begin(struct reload *reload)
{
    forget(reload);
    reload->finds = reload->ask->finds;
    if (reload->finds)
        begin_found(reload);
    else
        begin_read(reload);
}

static void next(struct loop_later *later)
{
    struct reload *reload = container_of(later, struct reload, later);
    if (reload->step == STEP_IDLE && !list_is_empty(&reload->asks)) {
        reload->ask = list_entry(list_pop_front(&reload->asks), struct reload_ask, on_reload);
        begin(reload);
    }
}

/* --- built ---------------------------------------------------------------------------------------
 */

static void joined(void *self, uint64_t error);
static void left(void *self, uint64_t unused);
static void switched(void *self, uint64_t unused);

/* On a worker's thread, each of these. The ring to the hub has room for their answers. */
static void join(struct reload *reload, uint32_t worker)
{
    int error = generation_join(reload->next, worker);
    check(crew_post_hub(reload->server->crew, joined, reload, (uint64_t)-error));
}

static void leave(struct reload *reload, uint32_t worker)
{
    generation_abandon(reload->next, worker);
    check(crew_post_hub(reload->server->crew, left, reload, 0));
}

static void change_over(struct reload *reload, uint32_t worker)
{
    generation_switch(reload->next, worker);
    check(crew_post_hub(reload->server->crew, switched, reload, 0));
}

static void obey(struct worker_note *note)
{
    struct order *order = container_of(note, struct order, note);
    order->run(order->reload, order->worker);
}

static void tell_all(struct reload *reload, enum step step,
                     void (*run)(struct reload *reload, uint32_t worker))
{
    struct server *s = reload->server;
    reload->step = step;
    reload->pending = s->sites_count;
    for (uint32_t w = 0; w < s->sites_count; w++) {
        struct order *order = &reload->orders[w];
        order->note.run = obey;
        order->reload = reload;
        order->worker = w;
        order->run = run;
        worker_note(s->sites[w].worker, &order->note);
    }
}

static void build(struct reload *reload, struct config *take_wanted)
{
    struct server *s = reload->server;
    char fault[SERVER_FAULT_MAX] = "";
    int error = generation_new(s, take_wanted, s->generation, &reload->next, fault);
    if (error != 0) {
        snprintf(reload->message, sizeof(reload->message), "%s",
                 fault[0] != '\0' ? fault : oserror_text(error));
        finish(reload, RELOAD_FAILED);
        return;
    }
    reload->next->is_found = reload->finds;
    reload->error = 0;
    tell_all(reload, STEP_JOINING, join);
}

static void joined(void *self, uint64_t error)
{
    struct reload *reload = self;
    reload->error = error != 0 ? -(int)error : reload->error;
    if (--reload->pending > 0)
        return;
    if (reload->error != 0) {
        tell_all(reload, STEP_LEAVING, leave);
        return;
    }
    reload->step = STEP_WAITING;
    reload->server->holds_censuses = true;
    reload_look(reload);
}

static void left(void *self, uint64_t unused)
{
    struct reload *reload = self;
    (void)unused;
    if (--reload->pending > 0)
        return;
    generation_free(reload->next);
    reload->next = NULL;
    snprintf(reload->message, sizeof(reload->message), "a worker cannot serve by it: %s",
             reload->error == -EBUSY ? "an upstream of that name is about to close; try again"
                                     : oserror_text(reload->error));
    finish(reload, RELOAD_FAILED);
}

/* --- in force ------------------------------------------------------------------------------------
 */

void reload_look(struct reload *reload)
{
    if (reload->step == STEP_AWAITING && generation_is_room(reload->server, reload->finds)) {
        struct config *wanted = reload->wanted;
        reload->wanted = NULL;
        build(reload, wanted);
        return;
    }
    if (reload->step != STEP_WAITING || census_is_under_way(reload->server))
        return;
    generation_take_over(reload->next);
    tell_all(reload, STEP_SWITCHING, change_over);
}

static void switched(void *self, uint64_t unused)
{
    struct reload *reload = self;
    struct server *s = reload->server;
    (void)unused;
    if (--reload->pending > 0)
        return;
    const struct config *before = reload->next->elder->config;
    server_renewed(s, before); /* which may be gone once it is settled */
    generation_settle(reload->next);
    reload->next = NULL;
    s->holds_censuses = false;
    census_resume(s);
    snprintf(reload->message, sizeof(reload->message), "%" PRIu32 " %s in force",
             reload->changes_count, reload->changes_count == 1 ? "change is" : "changes are");
    finish(reload, RELOAD_RELOADED);
}

static void tell_result(struct reload *reload, enum reload_result result)
{
    struct server *s = reload->server;
    const struct reload_ask *ask = reload->ask;
    const struct told_event event = {.event = "config_reload",
                                     .who = ask != NULL ? ask->who : "",
                                     .what = reload_result_word(result),
                                     .why = reload->message};
    reload->counts[result]++;
    reload->was_good = reload_is_good(result);
    if (reload->was_good)
        reload->good_wall_ms = clock_wall_ms();
    server_tell(s, reload->was_good ? LOG_INFO_LEVEL : LOG_ERROR_LEVEL, &event);
    if (s->manager != NULL && s->state == SERVER_SERVING)
        manager_ready(s->manager, reload->message);
}

static void finish(struct reload *reload, enum reload_result result)
{
    struct server *s = reload->server;
    struct reload_ask *ask = reload->ask;
    const struct reload_verdict verdict = {.result = result,
                                           .message = reload->message,
                                           .generation = s->generation->number,
                                           .faults = reload->has_faults ? &reload->faults : NULL,
                                           .changes = bytes_slice(&reload->changes),
                                           .changes_count = reload->changes_count};
    if (!reload->finds)
        tell_result(reload, result);
    reload->step = STEP_IDLE;
    reload->ask = NULL;
    if (ask != NULL)
        ask->done(ask, &verdict);
    loop_later(s->opt.loop, &reload->later);
    server_drain_if_due(s);
}

/* --- figures -------------------------------------------------------------------------------------
 */

struct reload_figures reload_figures_of(const struct reload *reload)
{
    struct reload_figures figures = {.was_good = reload->was_good,
                                     .good_wall_ms = reload->good_wall_ms};
    memcpy(figures.counts, reload->counts, sizeof(figures.counts));
    return figures;
}
