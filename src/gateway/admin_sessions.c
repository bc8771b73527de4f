/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_sessions.h"

#include <weir/session.h>

#include "base/list.h"
#include "gateway/admin_command.h"
#include "gateway/admin_rows.h"
#include "gateway/affinity.h"
#include "gateway/server.h"
#include "proto/json_read.h"
#include "session/ident.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

enum { BY_ID, BY_USER, BY_UPSTREAM, BY_ACCOUNT, BY_KEY, BY_STATUS, LIMIT, SCOPE, WORDS };
static const char *const words[WORDS] = {"id",  "user",   "upstream", "account",
                                         "key", "status", "limit",    "scope"};

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
            return "it can be asked for id, user, upstream, account, key, status, limit, scope";
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
                                      .key = or_all(ret->values[BY_KEY]),
                                      .place = or_all(ret->values[BY_ACCOUNT])};
    if (ret->values[BY_USER][0] != '\0') {
        affinity_user_text(affinity_user_of(slice_of(ret->values[BY_USER])), ret->user);
        ret->query.user = ret->user;
    }
    if (ret->values[BY_STATUS][0] != '\0' && !status_of(ret->values[BY_STATUS], &ret->query.status))
        return "status is active, idle, suspended or failed";
    const char *scope = ret->values[SCOPE];
    return scope[0] == '\0' || strcmp(scope, "gateway") == 0 || strcmp(scope, "fleet") == 0
               ? NULL
               : "scope is gateway or fleet";
}

/* False: as many as were asked for are shown. */
static bool show(void *arg, const weir_session *session)
{
    struct seeking *seeking = arg;
    char id[WEIR_SESSION_TEXT];
    weir_session_id_text(session->id, id);
    if (!slice_starts(slice_of(id), slice_of(seeking->values[BY_ID])))
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

static uint16_t list_here(struct seeking *seeking, weir_sessions *sessions, struct bytes *out)
{
    rows_open(&seeking->rows, "sessions", out);
    if (sessions != NULL)
        weir_sessions_find(sessions, &seeking->query, show, seeking);
    return rows_close(&seeking->rows);
}

/* --- the list of all who share the Redis ---------------------------------------------------------
 *
 * A page after the other comes on a thread of the sessions'; rows are written on the hub's.
 */

#define FLEET_PAGE 1000U
#define FLEET_TIMEOUT_MS                                                                           \
    5000U /* of all pages: what is there by then is shown, but for one that fails */

struct fleet {
    struct admin_job job;
    struct seeking seeking;
    weir_sessions *sessions;
    struct loop *loop;
    struct loop_wake *wake;
    struct bytes *out;
    admin_done_fn *done;
    void *self;
    uint64_t deadline_ms;
    pthread_mutex_t mutex; /* of what follows */
    bool has_page, is_asked, has_left;
    weir_err err;
    uint64_t next;
    uint32_t count;
    weir_session page[FLEET_PAGE];
};

static void fleet_free(struct fleet *fleet)
{
    pthread_mutex_destroy(&fleet->mutex);
    free(fleet);
}

/* Whoever comes last frees it: the answer to a question that is under way, or who leaves. */
static void fleet_leave(struct admin_job *take_job)
{
    struct fleet *fleet = container_of(take_job, struct fleet, job);
    pthread_mutex_lock(&fleet->mutex);
    bool is_last = !fleet->is_asked;
    fleet->has_left = true;
    if (fleet->wake != NULL)
        loop_wake_free(fleet->wake);
    pthread_mutex_unlock(&fleet->mutex);
    if (is_last)
        fleet_free(fleet);
}

static void fleet_end(struct fleet *fleet, uint16_t status)
{
    admin_done_fn *done = fleet->done;
    void *self = fleet->self;
    fleet_leave(&fleet->job);
    done(self, status);
}

static void on_page(void *arg, weir_err err, const weir_session_page *page)
{
    struct fleet *fleet = arg;
    pthread_mutex_lock(&fleet->mutex);
    bool has_left = fleet->has_left;
    fleet->is_asked = false;
    fleet->has_page = true;
    fleet->err = err;
    fleet->next = page->next;
    fleet->count = page->count;
    memcpy(fleet->page, page->sessions, page->count * sizeof(*fleet->page));
    if (!has_left)
        loop_wake_send(fleet->wake);
    pthread_mutex_unlock(&fleet->mutex);
    if (has_left)
        fleet_free(fleet);
}

/* One row more than are wanted says that there are more. */
static weir_err ask_fleet(struct fleet *fleet, uint64_t from)
{
    uint64_t now_ms = loop_now_ms(fleet->loop), left = fleet->seeking.limit - fleet->seeking.shown;
    bool is_all = fleet->seeking.values[BY_ID][0] != '\0' || left >= FLEET_PAGE;
    const weir_session_search what = {
        .size = sizeof(what),
        .query = &fleet->seeking.query,
        .limit = is_all ? FLEET_PAGE : (uint32_t)left + 1,
        .timeout_ms = fleet->deadline_ms > now_ms ? (uint32_t)(fleet->deadline_ms - now_ms) : 1,
        .from = from};
    fleet->is_asked = true; /* on_page() may be sooner than the answer to this */
    weir_err err = weir_sessions_search(fleet->sessions, &what, on_page, fleet);
    if (err != WEIR_EAGAIN)
        fleet->is_asked = false;
    return err;
}

/* Why none is shown: what this gateway knows would be taken for all. */
static uint16_t say_away(struct fleet *fleet, weir_err err)
{
    char why[ROW_BYTES / 4], text[ROW_BYTES / 2];
    weir_sessions_redis_fault(fleet->sessions, why, sizeof(why));
    snprintf(text, sizeof(text),
             "the Redis of the sessions cannot be asked: %s; what this gateway knows is shown "
             "without scope=fleet",
             why[0] != '\0' ? why : weir_err_text(err));
    bytes_clear(fleet->out);
    return rows_fault(fleet->out, 503, text);
}

static void on_wake(void *self)
{
    struct fleet *fleet = self;
    pthread_mutex_lock(&fleet->mutex);
    bool has_page = fleet->has_page;
    fleet->has_page = false;
    pthread_mutex_unlock(&fleet->mutex);
    if (!has_page)
        return;
    if (fleet->err != WEIR_OK) {
        fleet_end(fleet, say_away(fleet, fleet->err));
        return;
    }
    bool wants_more = true;
    for (uint32_t i = 0; wants_more && i < fleet->count; i++)
        wants_more = show(&fleet->seeking, &fleet->page[i]);
    bool is_late = loop_now_ms(fleet->loop) >= fleet->deadline_ms;
    if (wants_more && fleet->next != 0 && !is_late) {
        weir_err err = ask_fleet(fleet, fleet->next);
        if (err != WEIR_EAGAIN)
            fleet_end(fleet, say_away(fleet, err));
        return;
    }
    fleet->seeking.rows.cut |= wants_more && fleet->next != 0;
    fleet_end(fleet, rows_close(&fleet->seeking.rows));
}

/* Where the Redis is asked; NULL: *ret_status and `out` say why it is not. */
static struct fleet *fleet_new(const struct server *server, struct bytes *out, admin_done_fn *done,
                               void *self)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL)
        return NULL;
    fleet->job.cancel = fleet_leave;
    fleet->loop = server->opt.loop;
    fleet->sessions = sessions_of(server);
    fleet->out = out;
    fleet->done = done;
    fleet->self = self;
    fleet->deadline_ms = loop_now_ms(fleet->loop) + FLEET_TIMEOUT_MS;
    pthread_mutex_init(&fleet->mutex, NULL);
    if (loop_wake_new(fleet->loop, on_wake, fleet, &fleet->wake) != 0) {
        fleet->wake = NULL;
        fleet_leave(&fleet->job);
        return NULL;
    }
    return fleet;
}

/* NULL: it is answered. Where there is no Redis this gateway is all there is. */
static struct admin_job *begin_fleet(struct fleet *fleet, uint16_t *ret_status)
{
    rows_open(&fleet->seeking.rows, "sessions", fleet->out);
    weir_err err = fleet->sessions != NULL ? ask_fleet(fleet, 0) : WEIR_ESTATE;
    if (err == WEIR_EAGAIN)
        return &fleet->job;
    if (err == WEIR_ESTATE) {
        bytes_clear(fleet->out);
        *ret_status = list_here(&fleet->seeking, fleet->sessions, fleet->out);
    } else {
        *ret_status = say_away(fleet, err);
    }
    fleet_leave(&fleet->job);
    return NULL;
}

struct admin_job *admin_sessions_list(const struct server *server, const struct admin_ask *ask,
                                      struct bytes *out, admin_done_fn *done, void *self,
                                      uint16_t *ret_status)
{
    struct seeking seeking = {.limit = 0};
    const char *fault = seeking_of(ask->query, &seeking);
    if (fault != NULL || strcmp(seeking.values[SCOPE], "fleet") != 0) {
        *ret_status = fault != NULL ? rows_fault(out, 400, fault)
                                    : list_here(&seeking, sessions_of(server), out);
        return NULL;
    }
    struct fleet *fleet = fleet_new(server, out, done, self);
    if (fleet == NULL) {
        *ret_status = rows_fault(out, 503, weir_err_text(WEIR_ENOMEM));
        return NULL;
    }
    seeking_of(ask->query, &fleet->seeking); /* whose query is in it */
    return begin_fleet(fleet, ret_status);
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
