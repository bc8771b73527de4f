/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_sessions.h"

#include <weir/session.h>

#include "gateway/admin_command.h"
#include "gateway/admin_rows.h"
#include "gateway/affinity.h"
#include "gateway/server.h"
#include "proto/json_read.h"
#include "session/ident.h"

#include <stdio.h>
#include <string.h>

#define VALUE_MAX WEIR_SESSION_NAME_MAX

static weir_sessions *sessions_of(const struct server *server)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    return affinities != NULL ? affinities_sessions(affinities) : NULL;
}

/* --- a row ---------------------------------------------------------------------------------------
 */

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void session_cells(struct json *row, const weir_session *session)
{
    char id[WEIR_SESSION_TEXT];
    weir_session_id_text(session->id, id);
    json_text(row, "id", id);
    json_text(row, "upstream", or_null(session->account));
    json_text(row, "account", or_null(session->place));
    json_text(row, "key", or_null(session->key));
    json_text(row, "user", or_null(session->user));
    json_text(row, "status", weir_session_status_word(session->status));
    json_u64(row, "epoch", session->epoch);
    json_u64(row, "requests", session->requests);
    json_fixed(row, "age_seconds", session->age_ms, 3);
    json_fixed(row, "idle_seconds", session->idle_ms, 3);
    json_fixed(row, "expires_seconds", session->left_ms, 3);
    json_fixed(row, "bound_seconds", session->bound_ms, 3);
}

static uint16_t say_session(struct bytes *out, const weir_session *session)
{
    char room[ROW_BYTES];
    struct json json = json_into(room, sizeof(room));
    json_open(&json, NULL, '{');
    session_cells(&json, session);
    json_close(&json, '}');
    bytes_append(out, json.at, json.len);
    bytes_append_text(out, "\n");
    return json.full ? 500 : 200;
}

/* --- the list ------------------------------------------------------------------------------------
 */

enum { BY_ID, BY_USER, BY_UPSTREAM, BY_ACCOUNT, BY_KEY, BY_STATUS, LIMIT, WORDS };
static const char *const words[WORDS] = {"id",  "user",   "upstream", "account",
                                         "key", "status", "limit"};

struct seeking {
    char values[WORDS][VALUE_MAX + 1]; /* "": whatever it is */
    char user[AFFINITY_USER_TEXT];
    weir_session_query query;
    uint64_t limit, shown;
    struct rows rows;
};

/* NULL: it is understood. */
static const char *read_words(struct slice query, struct seeking *ret)
{
    struct slice pair;
    while (slice_split(&query, '&', &pair)) {
        uint32_t at = slice_find(pair, '='), which = 0, len;
        struct slice name = slice_sub(pair, 0, at);
        while (which < WORDS && !slice_is(name, words[which]))
            which++;
        if (pair.len > 0 && which == WORDS)
            return "it can be asked for id, user, upstream, account, key, status, limit";
        if (pair.len > 0
            && !text_percent_decode(slice_sub(pair, at + 1, pair.len), true, ret->values[which],
                                    VALUE_MAX + 1, &len))
            return "a value is too long, or not what %xx may stand in";
    }
    return NULL;
}

static bool status_of(const char *word, weir_session_status *ret_status)
{
    for (weir_session_status s = WEIR_SESSION_ACTIVE; s < WEIR_SESSION_STATUS_END; s++)
        if (strcmp(word, weir_session_status_word(s)) == 0) {
            *ret_status = s;
            return true;
        }
    return false;
}

static const char *or_all(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

static const char *seeking_of(struct slice query, struct seeking *ret)
{
    const char *fault = read_words(query, ret);
    if (fault != NULL)
        return fault;
    ret->limit = SESSIONS_SHOWN;
    if (ret->values[LIMIT][0] != '\0'
        && (!text_parse_u64(slice_of(ret->values[LIMIT]), &ret->limit)
            || ret->limit > SESSIONS_MOST))
        return "limit is a number up to 10000";
    ret->query = (weir_session_query){.size = sizeof(ret->query),
                                      .account = or_all(ret->values[BY_UPSTREAM]),
                                      .key = or_all(ret->values[BY_KEY])};
    if (ret->values[BY_USER][0] != '\0') {
        affinity_user_text(affinity_user_of(slice_of(ret->values[BY_USER])), ret->user);
        ret->query.user = ret->user;
    }
    if (ret->values[BY_STATUS][0] != '\0' && !status_of(ret->values[BY_STATUS], &ret->query.status))
        return "status is active, idle, suspended or failed";
    return NULL;
}

/* False: as many as were asked for are shown. */
static bool show(void *arg, const weir_session *session)
{
    struct seeking *seeking = arg;
    char id[WEIR_SESSION_TEXT];
    weir_session_id_text(session->id, id);
    const char *account = seeking->values[BY_ACCOUNT];
    if (!slice_starts(slice_of(id), slice_of(seeking->values[BY_ID]))
        || (account[0] != '\0' && strcmp(account, session->place) != 0))
        return true;
    if (seeking->shown == seeking->limit) {
        seeking->rows.cut = true;
        return false;
    }
    seeking->shown++;
    struct json row = row_begin(&seeking->rows);
    session_cells(&row, session);
    row_end(&seeking->rows, &row);
    return true;
}

uint16_t admin_sessions_list(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    struct seeking seeking = {.limit = 0};
    weir_sessions *sessions = sessions_of(server);
    const char *fault = seeking_of(ask->query, &seeking);
    if (fault != NULL)
        return rows_fault(out, 400, fault);
    rows_open(&seeking.rows, "sessions", out);
    if (sessions != NULL)
        weir_sessions_find(sessions, &seeking.query, show, &seeking);
    return rows_close(&seeking.rows);
}

/* --- one of them ---------------------------------------------------------------------------------
 */

/* False: there is none that is here. */
static bool find(const struct server *server, const struct admin_ask *ask, weir_session *ret)
{
    struct session_id id;
    weir_sessions *sessions = sessions_of(server);
    ret->size = sizeof(*ret);
    return sessions != NULL && ident_parse(slice_of(ask->names[0]), &id)
           && weir_session_get(sessions, (weir_session_id){id.high, id.low}, ret) == WEIR_OK;
}

static uint16_t say_none(struct bytes *out)
{
    return rows_fault(out, 404, "there is no such session here");
}

uint16_t admin_sessions_one(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    weir_session session;
    return find(server, ask, &session) ? say_session(out, &session) : say_none(out);
}

/* Every change leaves a line, and an event. */
static void note(struct server *server, const struct admin_ask *ask, const char *what,
                 const weir_session *session, const char *reason)
{
    char id[WEIR_SESSION_TEXT], text[EVENTLOG_WHAT_MAX + 1];
    weir_session_id_text(session->id, id);
    log_to(&server->voice.sink, LOG_INFO_LEVEL, what, log_text("session", id),
           log_text("upstream", session->account), log_text("account", session->place),
           log_u64("epoch", session->epoch));
    snprintf(text, sizeof(text), "%s %s %.64s", what, id, session->place);
    command_tell(server, ask, session->account, text, reason);
}

uint16_t admin_sessions_end(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    weir_session session;
    struct command_said said;
    uint16_t status = command_read(ask->input, false, &said, out);
    if (status != 0)
        return status;
    if (!find(server, ask, &session)
        || weir_session_end(sessions_of(server), session.id) != WEIR_OK)
        return say_none(out);
    note(server, ask, "session ended", &session, said.reason);
    bytes_append_text(out, "{\"ended\":true}\n");
    return 200;
}

struct move {
    char account[CONFIG_LABEL_MAX + 1];
    uint64_t epoch;
    bool has_account, has_epoch, has_reason;
    char reason[EVENTLOG_WHY_MAX + 1];
};

static bool read_move(struct slice input, struct move *ret)
{
    struct json_at at = {0};
    struct slice name, value;
    *ret = (struct move){.has_account = false};
    if (!json_check(input) || !json_is_object(json_trim(input)))
        return false;
    while (json_next(json_trim(input), &at, &name, &value)) {
        bool is_account = slice_is(name, "account") && !ret->has_account;
        bool is_epoch = slice_is(name, "epoch") && !ret->has_epoch;
        bool is_reason = slice_is(name, "reason") && !ret->has_reason;
        bool is_read =
            is_account  ? json_get_text(value, ret->account, sizeof(ret->account)) != JSON_NO_TEXT
            : is_reason ? json_get_text(value, ret->reason, sizeof(ret->reason)) != JSON_NO_TEXT
                        : is_epoch && json_get_u64(value, &ret->epoch) && ret->epoch <= UINT32_MAX;
        if (!is_read)
            return false;
        ret->has_account |= is_account;
        ret->has_epoch |= is_epoch;
        ret->has_reason |= is_reason;
    }
    return ret->has_account;
}

static bool is_account_of(const struct config *config, const char *upstream, const char *account)
{
    for (uint32_t u = 0; u < config->upstreams.count; u++) {
        const struct config_upstream *it = &config->upstreams.at[u];
        for (uint32_t a = 0; strcmp(it->name, upstream) == 0 && a < it->accounts.count; a++)
            if (strcmp(it->accounts.at[a].name, account) == 0)
                return true;
    }
    return false;
}

uint16_t admin_sessions_rebind(struct server *server, const struct admin_ask *ask,
                               struct bytes *out)
{
    weir_session session;
    struct move move;
    if (!read_move(ask->input, &move))
        return rows_fault(
            out, 400,
            "what is understood is {\"account\": NAME, \"epoch\": NUMBER, \"reason\": TEXT}");
    if (!find(server, ask, &session))
        return say_none(out);
    if (!is_account_of(server->config, session.account, move.account))
        return rows_fault(out, 404, "its upstream has no such account");
    uint32_t epoch = move.has_epoch ? (uint32_t)move.epoch : session.epoch;
    weir_err err = weir_session_rebind(sessions_of(server), session.id, epoch, move.account, NULL);
    if (err == WEIR_ESTATE)
        return rows_fault(out, 409, "somebody else has moved it: its epoch is another one");
    if (err != WEIR_OK)
        return err == WEIR_ESTALE ? say_none(out) : rows_fault(out, 503, weir_err_text(err));
    if (!find(server, ask, &session))
        return say_none(out);
    note(server, ask, "session rebound", &session, move.reason);
    return say_session(out, &session);
}
