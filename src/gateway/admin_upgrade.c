/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_upgrade.h"

#include "gateway/admin_command.h"
#include "gateway/admin_rows.h"
#include "gateway/upgrade.h"
#include "io/clock.h"
#include "proto/json_read.h"

#include <stdlib.h>
#include <string.h>

/* Somebody waits for it. */
struct waiting {
    struct admin_job job;
    const struct server *server;
    struct bytes *out;
    admin_done_fn *done;
    void *self;
    uint64_t begun_ms;
};

static void cancel(struct admin_job *take_job)
{
    struct waiting *waiting = container_of(take_job, struct waiting, job);
    upgrade_forget(waiting->server->upgrade);
    free(waiting);
}

static void say_done(struct waiting *waiting)
{
    char room[256];
    struct json json = json_into(room, sizeof(room));
    struct upgrade_info info;
    upgrade_info(waiting->server->upgrade, &info);
    json_open(&json, NULL, '{');
    json_text(&json, "done", "upgrade");
    json_u64(&json, "generation", info.self.generation + 1);
    json_u64(&json, "pid", info.pid);
    json_fixed(&json, "seconds", clock_now_ms() - waiting->begun_ms, 3);
    json_close(&json, '}');
    bytes_append(waiting->out, json.at, json.len);
    bytes_append_text(waiting->out, "\n");
}

static void upgraded(void *self, const char *why)
{
    struct waiting *waiting = self;
    admin_done_fn *done = waiting->done;
    void *done_self = waiting->self;
    uint16_t status = 200;
    if (why == NULL)
        say_done(waiting);
    else
        status = rows_fault(waiting->out, 500, why);
    free(waiting);
    done(done_self, status);
}

/* {"reason": TEXT, "timeout_ms": NUMBER}, both or none; or nothing at all. */
static uint16_t read_ask(struct slice input, struct command_said *ret_said, struct bytes *out)
{
    uint16_t status = command_read_time(input, "timeout_ms", ret_said, out);
    if (status == 0 && ret_said->has_grace && ret_said->grace_ms == 0)
        return rows_fault(out, 400, "timeout_ms is a number of milliseconds, at least 1");
    return status;
}

struct admin_job *admin_upgrade_start(const struct server *server, const struct admin_ask *ask,
                                      struct bytes *out, admin_done_fn *done, void *self,
                                      uint16_t *ret_status)
{
    struct command_said said;
    *ret_status = read_ask(ask->input, &said, out);
    if (*ret_status != 0)
        return NULL;
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL || server->upgrade == NULL) {
        free(waiting);
        *ret_status = rows_fault(out, 503, "no memory");
        return NULL;
    }
    *waiting = (struct waiting){.job = {.cancel = cancel},
                                .server = server,
                                .out = out,
                                .done = done,
                                .self = self,
                                .begun_ms = clock_now_ms()};
    const struct upgrade_ask order = {.who = ask->who,
                                      .reason = said.reason,
                                      .timeout_ms = said.has_grace ? said.grace_ms : 0,
                                      .done = upgraded,
                                      .self = waiting};
    const char *why = upgrade_begin(server->upgrade, &order);
    if (why == NULL)
        return &waiting->job;
    free(waiting);
    *ret_status = rows_fault(out, 409, why);
    return NULL;
}

/* --- how it stands -------------------------------------------------------------------------------
 */

static void write_predecessor(struct json *json, const struct successor_info *self)
{
    if (self->pid == 0) {
        json_null(json, "predecessor");
        return;
    }
    json_open(json, "predecessor", '{');
    json_u64(json, "pid", self->pid);
    json_u64(json, "clients", self->clients);
    json_close(json, '}');
}

static void write_draining(struct json *json, const struct server *server)
{
    if (server->state != SERVER_DRAINING) {
        json_null(json, "draining");
        return;
    }
    uint32_t left_ms = server_drain_left_ms(server);
    json_open(json, "draining", '{');
    json_u64(json, "clients", server_left(server));
    if (left_ms != WEIR_NEVER)
        json_fixed(json, "cut_in_seconds", left_ms, 3);
    else
        json_null(json, "cut_in_seconds");
    json_close(json, '}');
}

void admin_upgrade_members(struct json *json, const struct server *server)
{
    char stamp[CLOCK_STAMP + 1];
    struct upgrade_info info;
    upgrade_info(server->upgrade, &info);
    clock_stamp(info.self.since_wall_ms != 0 ? info.self.since_wall_ms : server->started_wall_ms,
                stamp);
    json_u64(json, "generation", info.self.generation);
    json_text(json, "serving_since", stamp);
    write_predecessor(json, &info.self);
    write_draining(json, server);
    json_open(json, "upgrade", '{');
    json_text(json, "state", info.state);
    json_u64(json, "done", info.done);
    json_u64(json, "failed", info.failed);
    json_text(json, "why", info.why);
    json_close(json, '}');
}
