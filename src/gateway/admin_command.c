/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_command.c - what an operator does to a pool, an endpoint, or all of it.
 *
 *     read ─▶ said to all workers ─▶ each does its part, and says how it stands ─▶ answer
 *
 * What is decided for all of them (a pause, an endpoint's mode) is set first, where every worker
 * sees it with its next request; then each is asked, so that the answer comes when it holds.
 */
#include "gateway/admin_command.h"

#include "gateway/accounts.h"
#include "gateway/admin_rows.h"
#include "gateway/generation.h"
#include "gateway/inlet.h"
#include "gateway/relay.h"
#include "gateway/steer.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_MS  30000U /* unless it is said how long */
#define FAULT_MAX 100U

/* What the workers do. */
struct command {
    const char *word; /* of what it is */
    bool is_endpoint;
    bool flushes;
    uint32_t grace_ms;
    uint32_t pool; /* as a census counts them */
    uint32_t upstream, endpoint;
};

/* --- what it says --------------------------------------------------------------------------------
 */

/* `word`: what a time is called, or NULL; `room` for what is wrong. */
static const char *read_member(struct slice name, struct slice value, const char *word,
                               struct command_said *ret, char room[static FAULT_MAX])
{
    uint64_t grace_ms;
    if (slice_is(name, "reason") && ret->reason[0] == '\0')
        return json_get_text(value, ret->reason, sizeof(ret->reason)) != JSON_NO_TEXT
                   ? NULL
                   : "reason is a text of at most 200 bytes";
    if (word == NULL)
        return "what is understood is {\"reason\": TEXT}";
    if (!slice_is(name, word) || ret->has_grace) {
        snprintf(room, FAULT_MAX, "what is understood is {\"reason\": TEXT, \"%s\": NUMBER}", word);
        return room;
    }
    if (!json_get_u64(value, &grace_ms) || grace_ms > COMMAND_GRACE_MAX_MS) {
        snprintf(room, FAULT_MAX, "%s is a number of milliseconds, of a day at most", word);
        return room;
    }
    ret->has_grace = true;
    ret->grace_ms = (uint32_t)grace_ms;
    return NULL;
}

uint16_t command_read(struct slice input, bool has_grace, struct command_said *ret_said,
                      struct bytes *out)
{
    return command_read_time(input, has_grace ? "grace_ms" : NULL, ret_said, out);
}

uint16_t command_read_time(struct slice input, const char *word, struct command_said *ret_said,
                           struct bytes *out)
{
    char room[FAULT_MAX];
    struct json_at at = {0};
    struct slice name, value;
    const char *fault = NULL;
    *ret_said = (struct command_said){.has_grace = false};
    if (input.len == 0)
        return 0;
    if (!json_check(input) || !json_is_object(json_trim(input)))
        return rows_fault(out, 400, "the body is no JSON object");
    while (fault == NULL && json_next(json_trim(input), &at, &name, &value))
        fault = read_member(name, value, word, ret_said, room);
    return fault != NULL ? rows_fault(out, 400, fault) : 0;
}

void command_tell(struct server *server, const struct admin_ask *ask, const char *pool,
                  const char *what, const char *reason)
{
    const struct told_event event = {
        .event = "changed", .pool = pool, .who = ask->who, .what = what, .why = reason};
    server_tell(server, LOG_INFO_LEVEL, &event);
}

/* --- on each worker's thread ---------------------------------------------------------------------
 */

static void obey(const void *data, struct site *site, struct census_sheet *sheet)
{
    const struct command *command = data;
    (void)sheet;
    if (!command->flushes)
        return;
    if (command->is_endpoint)
        relay_flush_endpoint(site->relay, command->upstream, command->endpoint, command->grace_ms);
    else
        weir_pool_flush(census_pool_of(site, command->pool), NULL, command->grace_ms);
}

static uint16_t give_order(const struct command *command, struct census_order *ret_order,
                           struct bytes *out)
{
    struct command *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return rows_fault(out, 503, "no memory");
    *copy = *command;
    *ret_order = (struct census_order){.run = obey, .data = copy};
    return 0;
}

/* --- pools ---------------------------------------------------------------------------------------
 */

static struct slice verb_of(const struct admin_ask *ask)
{
    uint32_t at = ask->path.len;
    while (at > 0 && ask->path.at[at - 1] != '/')
        at--;
    return slice_sub(ask->path, at, ask->path.len);
}

static bool find_pool(const struct server *server, const char *name, uint32_t *ret_pool,
                      struct census_who *ret_who)
{
    for (uint32_t i = 0; i < census_pools_count(server); i++) {
        *ret_who = census_who_of(server, i);
        *ret_pool = i;
        if (strcmp(ret_who->name, name) == 0)
            return true;
    }
    return false;
}

static const struct pool_verb {
    const char *word;
    bool holds, lets_go, flushes, has_grace;
} pool_verbs[] = {
    {"pause", true, false, false, false},
    {"resume", false, true, false, false},
    {"reconnect", false, false, true, false},
    {"flush", false, false, true, true},
};

static const struct pool_verb *pool_verb_of(struct slice word)
{
    const struct pool_verb *it = pool_verbs;
    while (!slice_is(word, it->word))
        it++; /* the table of pages has no other */
    return it;
}

uint16_t admin_command_pool(struct server *server, const struct admin_ask *ask,
                            struct census_order *ret_order, struct bytes *out)
{
    const struct pool_verb *verb = pool_verb_of(verb_of(ask));
    struct command command = {.word = verb->word, .flushes = verb->flushes};
    struct command_said said;
    struct census_who who;
    uint16_t status = command_read(ask->input, verb->has_grace, &said, out);
    if (status != 0)
        return status;
    if (!find_pool(server, ask->names[0], &command.pool, &who))
        return rows_fault(out, 404, "there is no such pool");
    if ((verb->holds || verb->lets_go) && who.kind != CENSUS_UPSTREAM)
        return rows_fault(out, 409,
                          "nothing is held back there: pause the pool of an upstream instead");
    command.upstream = who.index;
    command.grace_ms = !verb->has_grace ? WEIR_NEVER : said.has_grace ? said.grace_ms : GRACE_MS;
    status = give_order(&command, ret_order, out);
    if (status != 0)
        return status;
    if (verb->holds || verb->lets_go)
        steer_set_paused(relay_shared_steer(server->shared, who.index), verb->holds);
    command_tell(server, ask, who.name, verb->word, said.reason);
    return 0;
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

static bool find_endpoint(const struct config *config, const struct admin_ask *ask,
                          struct command *ret)
{
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        for (uint32_t e = 0; e < config->upstreams.at[u].endpoints.count; e++)
            if (strcmp(config->upstreams.at[u].name, ask->names[0]) == 0
                && strcmp(config->upstreams.at[u].endpoints.at[e].name, ask->names[1]) == 0) {
                ret->upstream = ret->pool = u;
                ret->endpoint = e;
                return true;
            }
    return false;
}

uint16_t admin_command_endpoint(struct server *server, const struct admin_ask *ask,
                                struct census_order *ret_order, struct bytes *out)
{
    enum steer_mode mode = STEER_READY;
    struct command_said said;
    struct command command = {.is_endpoint = true};
    char word[8], what[EVENTLOG_WHAT_MAX + 1];
    slice_copy(word, sizeof(word), verb_of(ask));
    steer_mode_of(word, &mode); /* the table of pages has no other */
    uint16_t status = command_read(ask->input, mode == STEER_MAINT, &said, out);
    if (status != 0)
        return status;
    if (!find_endpoint(server->config, ask, &command))
        return rows_fault(out, 404, "there is no such endpoint");
    command.word = steer_word(mode);
    command.flushes = mode != STEER_READY;
    command.grace_ms = mode != STEER_MAINT ? WEIR_NEVER : said.has_grace ? said.grace_ms : GRACE_MS;
    status = give_order(&command, ret_order, out);
    if (status != 0)
        return status;
    generation_steer(server, command.upstream, command.endpoint, mode);
    snprintf(what, sizeof(what), "%s %s", ask->names[1], word);
    command_tell(server, ask, ask->names[0], what, said.reason);
    return 0;
}

/* --- the answer ----------------------------------------------------------------------------------
 */

static void endpoint_cells(struct json *json, const struct server *server,
                           const struct census *census, const struct command *command)
{
    const struct config_upstream *upstream = &server->config->upstreams.at[command->upstream];
    uint32_t index = command->endpoint;
    uint64_t busy = 0;
    for (uint32_t u = 0; u < command->upstream; u++)
        index += server->config->upstreams.at[u].endpoints.count;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        if (index < census->sheets[w].endpoints_count)
            busy += census->sheets[w].endpoints[index].busy;
    json_text(json, "upstream", upstream->name);
    json_text(json, "endpoint", upstream->endpoints.at[command->endpoint].name);
    json_u64(json, "busy", busy);
}

static void pool_cells(struct json *json, const struct server *server, const struct census *census,
                       const struct command *command)
{
    uint64_t leases = 0, waiting = 0;
    struct census_who who = census_who_of(server, command->pool);
    for (uint32_t w = 0; w < census->sheets_count; w++)
        if (command->pool < census->sheets[w].pools_count) {
            leases += census->sheets[w].pools[command->pool].stats.leases;
            waiting += census->sheets[w].pools[command->pool].stats.waiting;
        }
    if (who.kind == CENSUS_UPSTREAM)
        waiting += atomic_load(&relay_shared_steer(server->shared, who.index)->pause->hall.waiting);
    json_text(json, "pool", who.name);
    json_u64(json, "leases", leases);
    json_u64(json, "waiting", waiting);
}

uint16_t admin_command_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    const struct command *command = census->order.data;
    char room[1024];
    struct json json = json_into(room, sizeof(room));
    uint64_t workers = 0;
    (void)openmetrics;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        workers += census->sheets[w].answered;
    json_open(&json, NULL, '{');
    json_text(&json, "done", command->word);
    json_u64(&json, "workers", workers);
    if (command->is_endpoint)
        endpoint_cells(&json, server, census, command);
    else
        pool_cells(&json, server, census, command);
    json_close(&json, '}');
    bytes_append(out, json.at, json.len);
    bytes_append_text(out, "\n");
    return json.full ? 500 : 200;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

uint16_t admin_drain(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    struct command_said said;
    uint16_t status = command_read(ask->input, true, &said, out);
    if (status != 0)
        return status;
    if (server->state != SERVER_SERVING)
        return rows_fault(out, 409, "it drains already");
    command_tell(server, ask, "", "drain", said.reason);
    server_drain_soon(server, said.has_grace ? said.grace_ms : UINT32_MAX);
    bytes_append_text(out, "{\"done\":\"drain\"}\n");
    return 200;
}

/* What is held against it is forgotten. */
uint16_t admin_clear(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    const char *upstream = ask->names[0], *account = ask->names[1];
    struct command_said said;
    bool is_known = false;
    char what[EVENTLOG_WHAT_MAX + 1];
    uint16_t status = command_read(ask->input, false, &said, out);
    if (status != 0)
        return status;
    for (uint32_t u = 0; u < server->config->upstreams.count; u++)
        if (strcmp(upstream, server->config->upstreams.at[u].name) == 0
            && server->config->upstreams.at[u].accounts.count > 0)
            is_known = accounts_clear(relay_shared_accounts(server->shared, u), slice_of(account));
    if (!is_known)
        return rows_fault(out, 404, "there is no such account");
    snprintf(what, sizeof(what), "%s clear", account);
    command_tell(server, ask, upstream, what, said.reason);
    bytes_append_text(out, "{\"cleared\":true}\n");
    return 200;
}
