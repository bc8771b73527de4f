/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said on an open WebSocket: who we are, and, once we are let in, requests, answers,
 * events and ticks.
 */
#include "base/check.h"
#include "connector/openclaw_parts.h"
#include "connector/websocket_live.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONNECT_MAX      16384U /* bytes of the frame that says who we are */
#define PAUSE_LEAST_MS   50U    /* whatever a gateway asks for */
#define PAUSE_MOST_MS    30000U
#define SCRATCH_KEEP_MAX 65536U

/* --- the end of it ------------------------------------------------------------------------------
 */

void claw_talk_cut(struct claw_conn *conn, uint16_t code, const char *reason)
{
    struct ws_end *end = &conn->end;
    enum claw_stage stage = conn->stage;
    if (end->state == WS_END_OPEN) {
        ws_end_say_close(end, code, slice_of(reason));
        ws_end_flush(end);
    }
    conn->stage = CLAW_ENDING; /* whoever hears of it knows, */
    conn->why = WEIR_OK;       /* and it is not for that to end it */
    ws_end_abort(end, WEIR_ECLOSED);
    conn->stage = stage;
}

static void lose(struct claw_conn *conn, uint16_t code, weir_err why, const char *detail)
{
    claw_talk_cut(conn, code, detail);
    claw_conn_gone(conn, why, 0, detail);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* From the beginning, in the same dial. */
static void talk_again(struct claw_conn *conn, uint32_t after_ms)
{
    if (conn->end.state != WS_END_GONE) {
        claw_talk_cut(conn, WS_CODE_NORMAL, "");
    }
    claw_session_fini(&conn->session);
    conn->has_session = false;
    claw_dial_again(conn, after_ms);
}

static void starting(struct claw_conn *conn, uint32_t after_ms)
{
    claw_count(&conn->connector->counters.starting);
    talk_again(conn, least(after_ms > PAUSE_LEAST_MS ? after_ms : PAUSE_LEAST_MS, PAUSE_MOST_MS));
}

static void denied(struct claw_conn *conn)
{
    struct claw_account *account = conn->account;
    claw_tell_denied(conn, false);
    if (conn->end.state != WS_END_GONE) {
        claw_talk_cut(conn, WS_CODE_NORMAL, "");
    }
    claw_conn_gone(conn, WEIR_EDENIED, 0, account->refusal.message);
}

/* Where the device token was not taken, what we were given beside it is tried once. If that lets us
 * in, the gateway gives another device token. */
static bool has_another_way(struct claw_conn *conn)
{
    const struct claw_account *account = conn->account;
    bool has = conn->is_alone && (account->token != NULL || account->password != NULL);
    conn->is_distrust = has;
    return has;
}

static void refused(struct claw_conn *conn, struct slice error)
{
    struct claw_refusal *refusal = &conn->account->refusal;
    claw_read_refusal(error, refusal);
    if (!claw_refusal_is_terminal(refusal)) {
        starting(conn, refusal->retry_after_ms > 0 ? refusal->retry_after_ms : CLAW_STARTING_MS);
    } else if (has_another_way(conn)) {
        talk_again(conn, 0);
    } else {
        denied(conn);
    }
}

/* --- who we are ---------------------------------------------------------------------------------
 */

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void say_connect(struct claw_conn *conn)
{
    char text[CONNECT_MAX], token[CLAW_TOKEN_MAX];
    const struct claw_account *account = conn->account;
    struct claw_identity *identity = account->identity;
    struct json json = json_into(text, sizeof text);
    struct claw_connect connect = {.token = account->token,
                                   .password = account->password,
                                   .version = account->version,
                                   .scopes = account->scopes,
                                   .scopes_count = account->scopes_count,
                                   .nonce = conn->session.nonce,
                                   .now_ms = unix_ms()};
    conn->is_alone = identity != NULL && !conn->is_distrust
                     && claw_identity_token(identity, conn->host_text, token);
    if (conn->is_alone) {
        connect.token = connect.password = NULL;
        connect.device_token = token;
    }
    connect.device = identity != NULL ? claw_identity_device(identity) : NULL;
    claw_write_connect(&json, CLAW_CONNECT_ID, &connect);
    explicit_bzero(token, sizeof token);
    if (json.full) {
        lose(conn, WS_CODE_AWAY, WEIR_EIO, "who we are does not fit, or cannot be signed");
    } else if (ws_end_send(&conn->end, WS_TEXT, text, json.len) != WEIR_OK) {
        lose(conn, WS_CODE_AWAY, WEIR_ENOMEM, "");
    } else {
        claw_session_connected(&conn->session);
    }
    explicit_bzero(text, json.len);
}

static void welcomed(struct claw_conn *conn, const struct claw_frame *frame)
{
    struct claw_connector *connector = conn->connector;
    struct claw_account *account = conn->account;
    struct claw_hello *hello = &conn->session.hello;
    const struct claw_ops *ops = connector->opt.ops;
    if (account->identity != NULL && hello->device_token[0] != '\0') {
        claw_identity_keep(account->identity, conn->host_text, hello->device_token);
    }
    explicit_bzero(hello->device_token, sizeof hello->device_token);
    account->is_denied = account->is_hearsay = false;
    account->refusal = (struct claw_refusal){0};
    claw_count(&connector->counters.hellos);
    claw_standing_welcomed(&account->standing);
    conn->is_asker = false;
    claw_place_leave(conn);
    conn->stage = CLAW_LIVE;
    conn->up_ms = loop_now_ms(connector->opt.loop);
    loop_timer_set(connector->opt.loop, &conn->timer, claw_session_due_ms(&conn->session));
    if (ops != NULL && ops->on_hello != NULL) {
        ops->on_hello(connector->opt.self, account, hello, frame->payload);
    }
    if (conn->stage == CLAW_LIVE) {
        weir_conn_up(connector->mux.pool, conn->named.id, conn, conn->requests_max);
    }
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void answered(struct claw_conn *conn, const struct claw_happening *now)
{
    struct claw_connector *connector = conn->connector;
    if (now->owner == conn) { /* whatever it says: who answers, lives */
        weir_conn_up(connector->mux.pool, conn->named.id, conn, conn->requests_max);
        return;
    }
    claw_count(&connector->counters.answers);
    claw_call_answered(now->owner, &now->frame);
}

static void told(const struct claw_conn *conn, const struct claw_frame *frame)
{
    const struct claw_connector_options *opt = &conn->connector->opt;
    claw_count(&conn->connector->counters.events);
    /* The one that has taken its place hears them, too. */
    if (opt->ops != NULL && opt->ops->on_event != NULL && !conn->is_stale) {
        opt->ops->on_event(opt->self, conn->account, frame);
    }
}

static void broke(struct claw_conn *conn, const char *why)
{
    struct claw_counters *counters = &conn->connector->counters;
    if (strcmp(why, "ticks") == 0) {
        claw_count(&counters->ticks_missed);
        lose(conn, WS_CODE_AWAY, WEIR_EREAD_TIMEOUT, "the gateway missed two ticks");
    } else if (strcmp(why, "handshake") == 0) {
        lose(conn, WS_CODE_AWAY, WEIR_ECONNECT_TIMEOUT, "the handshake took too long");
    } else if (strcmp(why, "stranger") == 0) {
        claw_count(&counters->strangers);
        lose(conn, WS_CODE_PROTOCOL, WEIR_EPROTOCOL, "an answer to what nobody asked");
    } else {
        char detail[64];
        claw_count(&counters->bad_frames);
        snprintf(detail, sizeof detail, "not a frame: %s", why);
        lose(conn, WS_CODE_PROTOCOL, WEIR_EPROTOCOL, detail);
    }
}

static void act(struct claw_conn *conn, const struct claw_happening *now)
{
    switch (now->news) {
    case CLAW_ASKED: say_connect(conn); break;
    case CLAW_WELCOMED: welcomed(conn, &now->frame); break;
    case CLAW_REFUSED: refused(conn, now->frame.error); break;
    case CLAW_ANSWERED: answered(conn, now); break;
    case CLAW_TOLD: told(conn, &now->frame); break;
    case CLAW_TICKED: claw_count(&conn->connector->counters.ticks); break;
    case CLAW_LATE: claw_count(&conn->connector->counters.late); break;
    case CLAW_BROKEN: broke(conn, now->why); break;
    case CLAW_NOTHING: break;
    }
}

static struct claw_conn *conn_of(struct ws_end *end)
{
    return container_of(end, struct claw_conn, end);
}

static void on_message(struct ws_end *end, unsigned opcode, const char *at, size_t len)
{
    struct claw_conn *conn = conn_of(end);
    struct claw_happening now;
    if (conn->stage != CLAW_TALKING && conn->stage != CLAW_LIVE) {
        return;
    }
    if (opcode != WS_TEXT) {
        broke(conn, "binary");
        return;
    }
    claw_session_take(&conn->session, (struct slice){at, (uint32_t)len},
                      loop_now_ms(conn->connector->opt.loop), &now);
    act(conn, &now);
}

/* --- the gateway's end --------------------------------------------------------------------------
 */

static void gone_talking(struct claw_conn *conn, const struct ws_farewell *farewell)
{
    struct claw_refusal *refusal = &conn->account->refusal;
    if (farewell->code == WS_CODE_TRY_LATER) {
        starting(conn, CLAW_STARTING_MS);
    } else if (farewell->err == WEIR_OK && claw_close_is_terminal(farewell->code)) {
        *refusal = (struct claw_refusal){0};
        snprintf(refusal->code, sizeof refusal->code, "CLOSED_%u", (unsigned)farewell->code);
        slice_copy(refusal->message, sizeof refusal->message, farewell->reason);
        if (has_another_way(conn)) {
            talk_again(conn, 0);
        } else {
            denied(conn);
        }
    } else {
        claw_conn_gone(conn, farewell->err != WEIR_OK ? farewell->err : WEIR_EHANGUP,
                       farewell->code, "");
    }
}

static void gone_live(struct claw_conn *conn, const struct ws_farewell *farewell)
{
    struct claw_counters *counters = &conn->connector->counters;
    char detail[WS_CONTROL_MAX + 1] = "";
    bool is_restart = farewell->code == WS_CODE_RESTART || farewell->code == WS_CODE_TRY_LATER;
    weir_err why = farewell->err != WEIR_OK ? farewell->err
                   : is_restart             ? WEIR_EGOAWAY
                                            : WEIR_EHANGUP;
    slice_copy(detail, sizeof detail, farewell->reason);
    if (farewell->reason.len == 0) {
        snprintf(detail, sizeof detail, "%.100s", farewell->detail);
    }
    if (farewell->code == WS_CODE_RESTART) {
        claw_count(&counters->restarts);
    }
    if (why == WEIR_ETOO_LARGE) {
        claw_count(&counters->too_large);
    } else if (why == WEIR_EPROTOCOL) {
        claw_count(&counters->bad_frames);
    }
    claw_conn_gone(conn, why, farewell->code, detail);
}

static void on_gone(struct ws_end *end, const struct ws_farewell *farewell)
{
    struct claw_conn *conn = conn_of(end);
    if (conn->stage == CLAW_TALKING) {
        gone_talking(conn, farewell);
    } else if (conn->stage == CLAW_LIVE) {
        gone_live(conn, farewell);
    } else if (conn->stage == CLAW_ENDING && conn->why != WEIR_OK) {
        claw_conn_gone(conn, conn->why, farewell->code, "");
    }
}

static void on_pong(struct ws_end *end, struct slice payload)
{
    (void)end;
    (void)payload;
}

static void on_drain(struct ws_end *end)
{
    (void)end;
}

const struct ws_end_ops claw_end_ops = {
    .on_message = on_message,
    .on_pong = on_pong,
    .on_drain = on_drain,
    .on_gone = on_gone,
};

/* --- beginning, and time ------------------------------------------------------------------------
 */

void claw_talk_begin(struct claw_conn *conn, struct bytes *behind)
{
    struct claw_connector *connector = conn->connector;
    const struct claw_connector_options *opt = &connector->opt;
    conn->requests_max = opt->requests_max;
    /* As many answers may be owed to those who left as to those who wait; and one to a probe. */
    if (!claw_session_init(&conn->session, opt->alloc, 2 * conn->requests_max + 1,
                           opt->handshake_timeout_ms, loop_now_ms(opt->loop))) {
        claw_dial_failed(conn, WEIR_ENOMEM);
        return;
    }
    struct stream *stream = conn->stream;
    conn->stream = NULL;
    conn->has_session = true;
    conn->stage = CLAW_TALKING;
    conn->end = (struct ws_end){0};
    ws_end_open(&conn->end, &connector->desk, stream, false, NULL);
    loop_timer_set(opt->loop, &conn->timer, claw_session_due_ms(&conn->session));
    if (bytes_len(behind) > 0) {
        ws_end_feed(&conn->end, bytes_at(behind), bytes_len(behind));
    }
}

void claw_talk_time(struct claw_conn *conn, uint64_t now_ms)
{
    struct claw_happening now;
    claw_session_time(&conn->session, now_ms, &now);
    if (now.news == CLAW_BROKEN) {
        broke(conn, now.why);
    } else {
        loop_timer_set(conn->connector->opt.loop, &conn->timer,
                       claw_session_due_ms(&conn->session));
    }
}

/* --- requests -----------------------------------------------------------------------------------
 */

weir_err claw_send(struct claw_conn *conn, void *owner, const char *method, struct slice params,
                   bool wants_final, uint64_t *ret_id)
{
    struct bytes *scratch = &conn->connector->scratch;
    size_t size = claw_request_size(method, params);
    uint64_t id = claw_session_begin(&conn->session, owner, wants_final);
    if (id == 0) {
        return WEIR_EFULL;
    }
    bytes_clear(scratch);
    char *text = bytes_room(scratch, size);
    struct json json = json_into(text, text != NULL ? size : 0);
    weir_err err = text != NULL ? WEIR_OK : WEIR_ENOMEM;
    if (err == WEIR_OK) {
        claw_write_request(&json, id, method, params);
        err = json.full ? WEIR_EINVAL
              : json.len > conn->session.hello.payload_max
                  ? WEIR_ETOO_LARGE
                  : ws_end_send(&conn->end, WS_TEXT, text, json.len);
    }
    if (scratch->size > SCRATCH_KEEP_MAX) {
        bytes_release(scratch);
    }
    if (err != WEIR_OK) {
        claw_session_undo(&conn->session, id);
        return err;
    }
    *ret_id = id;
    return WEIR_OK;
}
