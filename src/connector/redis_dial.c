/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_dial.c - from a key to a connection that takes commands: the transport, then who we are and
 * who it is, one question after the other.
 */
#include "base/check.h"
#include "connector/dial.h"
#include "connector/http.h"
#include "connector/redis_parts.h"
#include "io/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void dialled(void *self, const struct dial_result *result);
static void located(struct redis_sentinels_query *query, weir_err err,
                    const struct redis_place *place);

/* --- the transport ------------------------------------------------------------------------------
 */

static void on_transport(void *self)
{
    const struct redis_conn *conn = self;
    weir_conn_handshake(conn->connector->mux.pool, conn->named.id);
}

static const char *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int dial(struct redis_conn *conn, const char *host, uint16_t port)
{
    const struct redis_connector_options *opt = &conn->connector->opt;
    const weir_key *key = &conn->key.view;
    bool is_tls = strcmp(key->scheme, "rediss") == 0;
    if (is_tls && opt->tls == NULL) {
        return -EPROTONOSUPPORT;
    }
    const struct dial_request request = {
        .host = host,
        .port = port,
        .source = key->source,
        .proxy = key->proxy,
        .tenant = key->tenant,
        .proxy_tls = opt->proxy_tls,
        .timeout_ms = opt->connect_timeout_ms,
        .desk = opt->desk,
        .tls = is_tls ? opt->tls : NULL,
        .tls_timeout_ms = opt->tls_timeout_ms,
        .on_transport = is_tls ? on_transport : NULL,
    };
    return dial_start(opt->loop, opt->dns, &request, dialled, conn, &conn->dial);
}

static void dial_to(struct redis_conn *conn, const char *host, uint16_t port)
{
    int error = dial(conn, host, port);
    if (error != 0) {
        conn->dial = NULL;
        redis_conn_gone(conn, error == -ENOMEM ? WEIR_ENOMEM : WEIR_ECONNECT, "");
    }
}

void redis_dial_begin(struct redis_conn *conn)
{
    struct redis_sentinels *sentinels = conn->connector->opt.sentinels;
    if (sentinels != NULL) {
        conn->query.done = located;
        redis_sentinels_ask(sentinels, &conn->query);
    } else {
        dial_to(conn, conn->key.view.host, conn->key.view.port);
    }
}

static void located(struct redis_sentinels_query *query, weir_err err,
                    const struct redis_place *place)
{
    struct redis_conn *conn = container_of(query, struct redis_conn, query);
    if (err != WEIR_OK) {
        redis_conn_gone(conn, err, "no sentinel says where the master is");
        return;
    }
    conn->place = *place;
    dial_to(conn, place->host, place->port);
}

/* --- the handshake ------------------------------------------------------------------------------
 */

static const char *user_of(const struct redis_connector_options *opt)
{
    return text_or_null(opt->user);
}

static uint32_t hello_of(const struct redis_connector_options *opt, struct slice words[7])
{
    uint32_t count = 0;
    words[count++] = SLICE("HELLO");
    words[count++] = SLICE("3");
    if (text_or_null(opt->password) != NULL) {
        words[count++] = SLICE("AUTH");
        words[count++] = slice_of(user_of(opt) != NULL ? opt->user : "default");
        words[count++] = slice_of(opt->password);
    }
    if (text_or_null(opt->name) != NULL) {
        words[count++] = SLICE("SETNAME");
        words[count++] = slice_of(opt->name);
    }
    return count;
}

/* Of a server that knows no users, the password alone is to be shown. */
static uint32_t auth_of(const struct redis_connector_options *opt, struct slice words[7])
{
    uint32_t count = 0;
    words[count++] = SLICE("AUTH");
    if (user_of(opt) != NULL) {
        words[count++] = slice_of(opt->user);
    }
    words[count++] = slice_of(opt->password);
    return count;
}

static bool is_wanted(const struct redis_connector_options *opt, enum redis_step step)
{
    return (step != REDIS_STEP_AUTH || text_or_null(opt->password) != NULL)
           && (step != REDIS_STEP_SELECT || opt->database != 0)
           && (step != REDIS_STEP_ROLE || opt->sentinels != NULL);
}

static uint32_t words_of(const struct redis_conn *conn, struct slice words[7], char number[12])
{
    const struct redis_connector_options *opt = &conn->connector->opt;
    switch (conn->step) {
    case REDIS_STEP_HELLO: return hello_of(opt, words);
    case REDIS_STEP_AUTH: return auth_of(opt, words);
    case REDIS_STEP_SELECT:
        snprintf(number, 12, "%u", (unsigned)opt->database);
        words[0] = SLICE("SELECT");
        words[1] = slice_of(number);
        return 2;
    case REDIS_STEP_ROLE: words[0] = SLICE("ROLE"); return 1;
    case REDIS_STEP_INFO:
        words[0] = SLICE("INFO");
        words[1] = SLICE("server");
        return 2;
    case REDIS_STEP_PING:
    case REDIS_STEPS: break;
    }
    words[0] = SLICE("PING");
    return 1;
}

/* The step, or the next one that is wanted. */
static void take_step(struct redis_conn *conn, enum redis_step step)
{
    struct slice words[7];
    char number[12];
    struct bytes command;
    while (!is_wanted(&conn->connector->opt, step)) {
        step++;
    }
    conn->step = step;
    bytes_init(&command, conn->connector->opt.alloc, 1U << 20);
    uint32_t count = words_of(conn, words, number);
    bool is_said = resp_command(&command, words, count)
                   && redis_talk_say(conn, bytes_slice(&command));
    if (bytes_len(&command) > 0) {
        explicit_bzero(bytes_at(&command), bytes_len(&command)); /* a password may be in it */
    }
    bytes_fini(&command);
    if (!is_said) {
        redis_conn_gone(conn, WEIR_ERESET, "");
    }
}

static void dialled(void *self, const struct dial_result *result)
{
    struct redis_conn *conn = self;
    const struct redis_connector_options *opt = &conn->connector->opt;
    weir_err err = http_err_of_dial(result);
    conn->dial = NULL;
    if (err != WEIR_OK) {
        redis_conn_gone(conn, err, "");
        return;
    }
    conn->stream = result->take_stream;
    conn->stage = REDIS_TALKING;
    socket_patience(stream_fd(conn->stream), opt->write_timeout_ms);
    loop_timer_set(opt->loop, &conn->timer, loop_now_ms(opt->loop) + opt->handshake_timeout_ms);
    redis_talk_begin(conn);
    take_step(conn, REDIS_STEP_HELLO);
}

static void up(struct redis_conn *conn)
{
    struct redis_connector *connector = conn->connector;
    loop_timer_stop(connector->opt.loop, &conn->timer);
    conn->stage = REDIS_UP;
    connector->refusal = REDIS_FINE;
    redis_count(&connector->counters.hellos, 1);
    weir_conn_up(connector->mux.pool, conn->named.id, conn, connector->opt.calls_max);
}

/* Why it will not have us. */
static void refused(struct redis_conn *conn, struct slice error)
{
    struct redis_connector *connector = conn->connector;
    enum redis_says says = redis_says_of(error);
    weir_err why = WEIR_EPROTOCOL;
    connector->refusal = says;
    switch (says) {
    case REDIS_LOADING:
        redis_count(&connector->counters.loading, 1);
        why = WEIR_EREFUSED;
        break;
    case REDIS_MASTERDOWN:
        redis_count(&connector->counters.master_down, 1);
        why = WEIR_EREFUSED;
        break;
    case REDIS_NOAUTH:
    case REDIS_WRONGPASS:
    case REDIS_NOPERM:
        redis_count(&connector->counters.denied, 1);
        why = WEIR_EDENIED;
        break;
    default: break;
    }
    redis_conn_gone(conn, why, "");
}

/* A replica, or a sentinel: where the master was, or will be. */
static void is_no_master(struct redis_conn *conn)
{
    conn->connector->refusal = REDIS_READONLY;
    redis_count(&conn->connector->counters.not_master, 1);
    redis_conn_gone(conn, WEIR_EREFUSED, "");
}

/* Which begins with a word: "master", "slave" or "sentinel". */
static bool is_master(const struct resp_value *role, struct resp_walk *inside)
{
    struct resp_value word;
    return role->type == RESP_ARRAY && resp_next(inside, &word) && word.type == RESP_TEXT
           && slice_is(word.text, "master");
}

/* "run_id:<40 digits>", which another process does not have. */
static void note_run_id(struct redis_conn *conn, struct slice info)
{
    struct slice line;
    while (slice_split(&info, '\n', &line)) {
        if (slice_starts(line, SLICE("run_id:"))) {
            struct slice id = slice_sub(line, 7, line.len);
            id.len -= id.len > 0 && id.at[id.len - 1] == '\r';
            slice_copy(conn->run_id, sizeof conn->run_id, id);
        }
    }
}

/* An old one does not know HELLO, or not this version; whoever does says so with another word. */
static bool is_old(const struct resp_value *value)
{
    enum redis_says says = redis_says_of(value->text);
    return says == REDIS_ERR || says == REDIS_NOPROTO;
}

void redis_dial_heard(struct redis_conn *conn, const struct resp_value *value,
                      struct resp_walk *inside)
{
    enum redis_step step = conn->step;
    bool has_failed = value->type == RESP_FAILED;
    if (has_failed && step == REDIS_STEP_HELLO && is_old(value)) {
        redis_count(&conn->connector->counters.old, 1);
        take_step(conn, REDIS_STEP_AUTH);
    } else if (has_failed && step != REDIS_STEP_INFO) { /* whose process it is, it may keep */
        refused(conn, value->text);
    } else if (step == REDIS_STEP_ROLE && !is_master(value, inside)) {
        is_no_master(conn);
    } else if (step == REDIS_STEP_PING) {
        up(conn);
    } else {
        if (step == REDIS_STEP_INFO && value->type == RESP_TEXT) {
            note_run_id(conn, value->text);
        }
        take_step(conn, step == REDIS_STEP_HELLO ? REDIS_STEP_SELECT : step + 1);
    }
}
