/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_config.c - the configuration in force, and what another one would change in it.
 *
 * What a client sends may not open files here; and what ${…} stands for is not told, since it may
 * be anything of our environment.
 */
#include "gateway/admin_command.h"
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/config_diff.h"
#include "gateway/config_dump.h"
#include "gateway/option.h"
#include "gateway/reload.h"
#include "gateway/server.h"
#include "proto/json_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define DUMP_MAX  (16U << 20)
#define SHOWN_MAX 1024U /* bytes of a value that is shown */

uint16_t admin_config(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out)
{
    (void)census, (void)openmetrics;
    config_dump_json(server->config, out);
    bytes_append_text(out, "\n");
    return 200;
}

void admin_config_tag(const struct server *server, char ret_tag[ADMIN_TAG_TEXT])
{
    struct bytes dump;
    bytes_init(&dump, &alloc_libc, DUMP_MAX);
    config_dump_json(server->config, &dump);
    snprintf(ret_tag, ADMIN_TAG_TEXT, "\"%016" PRIx64 "\"",
             (uint64_t)XXH3_64bits(bytes_at(&dump), bytes_len(&dump)));
    bytes_fini(&dump);
}

/* --- PUT -----------------------------------------------------------------------------------------
 */

static bool has_variables(struct slice text)
{
    for (uint32_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == '$' && text.at[i + 1] == '{')
            return true;
    return false;
}

/* A message without what it quotes. */
static void say_message(struct json *row, const char *text, bool hides)
{
    char plain[512];
    size_t len = 0;
    bool quoted = false;
    for (; *text != '\0' && len + 1 < sizeof(plain); text++) {
        bool is_quote = *text == '"';
        if (!hides || !quoted || is_quote)
            plain[len++] = *text;
        quoted = quoted != is_quote;
    }
    plain[len] = '\0';
    json_text(row, "message", plain);
}

static void say_faults(struct bytes *out, const struct config_faults *faults, bool hides)
{
    struct rows rows = {.out = out, .before = "\n"};
    bytes_append_text(out, "\"faults\":[");
    for (uint32_t i = 0; i < faults->count; i++) {
        const struct config_fault *fault = &faults->at[i];
        struct json row = row_begin(&rows);
        json_u64(&row, "line", fault->line);
        json_u64(&row, "column", fault->column);
        json_bool(&row, "advice", fault->advice);
        say_message(&row, fault->text, hides);
        row_end(&rows, &row);
    }
    bytes_append_text(out, "],");
}

struct telling {
    struct rows rows;
    bool hides; /* values that are wanted */
};

static void say_value(struct json *row, const char *name, struct slice value, bool is_shown)
{
    bool is_small = value.at != NULL && value.len <= SHOWN_MAX && !json_is_object(value);
    if (is_small && is_shown)
        json_raw(row, name, value);
    else
        json_null(row, name);
}

static void tell(void *self, const struct config_change *change)
{
    struct telling *telling = self;
    struct json row = row_begin(&telling->rows);
    json_text(&row, "path", change->path);
    json_text(&row, "change", config_change_word(change->kind));
    say_value(&row, "running", change->running, true);
    say_value(&row, "wanted", change->wanted, !telling->hides);
    json_text(&row, "apply",
              change->option != NULL ? option_apply_text(change->option->apply) : NULL);
    row_end(&telling->rows, &row);
}

/* False: they cannot be compared, since there is no memory. */
static bool say_changes(struct bytes *out, const struct config *running,
                        const struct config *wanted, bool hides)
{
    struct telling telling = {.rows = {.out = out, .before = "\n"}, .hides = hides};
    bytes_append_text(out, "\"changes\":[");
    uint32_t count = wanted != NULL ? config_diff(running, wanted, tell, &telling) : 0;
    bytes_printf(out, "],\"count\":%" PRIu32, count);
    return count != UINT32_MAX;
}

static uint16_t dry_run(const struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    struct config_faults faults;
    struct config *wanted = config_read_text("body", ask->input.len > 0 ? ask->input.at : "",
                                             ask->input.len, &faults);
    bool hides = has_variables(ask->input);
    bytes_printf(out, "{\"valid\":%s,", wanted != NULL ? "true" : "false");
    say_faults(out, &faults, hides);
    bool is_compared = say_changes(out, server->config, wanted, hides);
    bytes_append_text(out, "}\n");
    config_free(wanted);
    config_faults_free(&faults);
    if (is_compared)
        return 200;
    bytes_clear(out);
    return rows_fault(out, 503, "it cannot be compared with the one in force: no memory");
}

/* --- in force ------------------------------------------------------------------------------------
 */

struct reload_job {
    struct admin_job job;
    struct command_said said;
    struct reload_ask ask;
    struct reload *reload;
    struct bytes *out;
    admin_done_fn *done;
    void *self;
};

static uint16_t status_of(enum reload_result result)
{
    switch (result) {
    case RELOAD_RELOADED:
    case RELOAD_UNCHANGED: return 200;
    case RELOAD_INVALID: return 400;
    case RELOAD_FAILED: return 500;
    default: return 409;
    }
}

/* Without its braces. */
static void say_error(struct bytes *out, uint16_t status, const char *message)
{
    char room[ROW_BYTES];
    struct json json = json_into(room, sizeof(room));
    json_open(&json, NULL, '{');
    json_u64(&json, "code", status);
    json_text(&json, "message", message);
    json_close(&json, '}');
    bytes_append_text(out, "\"error\":");
    bytes_append(out, json.at, json.len);
    bytes_append_text(out, ",");
}

static void reload_done(struct reload_ask *ask, const struct reload_verdict *verdict)
{
    struct reload_job *job = container_of(ask, struct reload_job, ask);
    static const struct config_faults none;
    const struct config_faults *faults = verdict->faults != NULL ? verdict->faults : &none;
    uint16_t status = status_of(verdict->result);
    struct bytes *out = job->out;
    bytes_append_text(out, "{");
    if (status != 200)
        say_error(out, status, verdict->message);
    bytes_printf(out, "\"result\":\"%s\",\"message\":", reload_result_word(verdict->result));
    bytes_append_json(out, slice_of(verdict->message));
    bytes_printf(out, ",\"generation\":%" PRIu64 ",", verdict->generation);
    say_faults(out, faults, ask->hides);
    bytes_append_text(out, "\"changes\":[");
    bytes_append(out, verdict->changes.at, verdict->changes.len);
    bytes_printf(out, "],\"count\":%" PRIu32 "}\n", verdict->changes_count);
    job->done(job->self, status);
    free(job);
}

static void reload_cancel(struct admin_job *take_job)
{
    struct reload_job *job = container_of(take_job, struct reload_job, job);
    reload_leave(job->reload, &job->ask);
    free(job);
}

static struct admin_job *reload_start(const struct reload_job *wanted, struct bytes *out,
                                      uint16_t *ret_status)
{
    struct reload_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        *ret_status = rows_fault(out, 503, "no memory");
        return NULL;
    }
    *job = *wanted;
    job->out = out;
    job->job.cancel = reload_cancel;
    job->ask.hides = has_variables(job->ask.text);
    job->ask.done = reload_done;
    job->ask.reason = job->said.reason;
    reload_begin(job->reload, &job->ask);
    return &job->job;
}

struct admin_job *admin_reload(const struct server *server, const struct admin_ask *ask,
                               struct bytes *out, admin_done_fn *done, void *self,
                               uint16_t *ret_status)
{
    struct reload_job wanted = {.ask = {.who = ask->who, .if_match = ask->if_match},
                                .reload = server->reload,
                                .done = done,
                                .self = self};
    *ret_status = command_read(ask->input, false, &wanted.said, out);
    if (*ret_status != 0)
        return NULL;
    return reload_start(&wanted, out, ret_status);
}

struct admin_job *admin_config_put(const struct server *server, const struct admin_ask *ask,
                                   struct bytes *out, admin_done_fn *done, void *self,
                                   uint16_t *ret_status)
{
    char tag[ADMIN_TAG_TEXT];
    bool is_dry = slice_is(ask->query, "dry_run=1");
    admin_config_tag(server, tag);
    if (!is_dry && ask->query.len > 0) {
        *ret_status = rows_fault(out, 400, "what is understood is ?dry_run=1, or nothing");
        return NULL;
    }
    if (ask->if_match[0] != '\0' && strcmp(ask->if_match, "*") != 0
        && strcmp(ask->if_match, tag) != 0) {
        *ret_status = rows_fault(out, 412, "another configuration is in force than If-Match says");
        return NULL;
    }
    if (is_dry) {
        *ret_status = dry_run(server, ask, out);
        return NULL;
    }
    const struct slice text = {ask->input.len > 0 ? ask->input.at : "", ask->input.len};
    const struct reload_job wanted = {
        .ask = {.who = ask->who, .text = text, .if_match = ask->if_match},
        .reload = server->reload,
        .done = done,
        .self = self};
    return reload_start(&wanted, out, ret_status);
}
