/* SPDX-License-Identifier: Apache-2.0
 *
 * From a key to a WebSocket on which nothing was said yet: leave to ask as who we are, a place at
 * the host and one at the gate of its proxy, the transport, the upgrade. A dial may begin again, in
 * the pool's eyes the same one: what bounds it all is the pool's time.
 */
#include "base/check.h"
#include "connector/dial.h"
#include "connector/http.h"
#include "connector/names.h"
#include "connector/openclaw_parts.h"
#include "io/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DOOR_LOOK_MS 10U /* between two looks while others have the places */
#define ASK_LOOK_MS  10U /* … while another one asks */

static void dialled(void *self, const struct dial_result *result);
static void opened(struct ws_opener *opener, const struct ws_opener_result *result);
static void start(struct claw_conn *conn);
static void attend(struct claw_host *host);
static void arrive(struct claw_conn *conn);

static struct loop *loop_of(const struct claw_conn *conn)
{
    return conn->connector->opt.loop;
}

/* --- places -------------------------------------------------------------------------------------
 */

/* NULL: no memory. */
static struct claw_host *host_of(struct claw_connector *connector, const char *name)
{
    weir_list_each(it, &connector->hosts) {
        struct claw_host *host = list_entry(it, struct claw_host, on_connector);
        if (strcmp(host->name, name) == 0) {
            return host;
        }
    }
    size_t size = strlen(name) + 1;
    struct claw_host *host = alloc_zeroed(connector->opt.alloc, sizeof *host + size);
    if (host != NULL) {
        memcpy(host->name, name, size);
        claw_door_open(&host->door, host->name);
        list_init(&host->waiting);
        list_push_back(&connector->hosts, &host->on_connector);
    }
    return host;
}

static void pause_until(struct claw_conn *conn, uint64_t until_ms)
{
    conn->stage = CLAW_PAUSED;
    loop_timer_set(loop_of(conn), &conn->timer, until_ms);
}

/* In a later event: what begins may fail, and the caller's stack is not to hear of it. */
static void begin_soon(struct claw_conn *conn)
{
    pause_until(conn, loop_now_ms(loop_of(conn)));
}

static bool place_enter(struct claw_conn *conn)
{
    conn->has_place = claw_door_enter(&conn->host->door, conn->connector->opt.handshakes_max);
    return conn->has_place;
}

static bool place_take(struct claw_conn *conn)
{
    struct claw_connector *connector = conn->connector;
    struct claw_host *host = conn->host != NULL ? conn->host : host_of(connector, conn->host_text);
    if (host == NULL) {
        return false;
    }
    host->users += conn->host == NULL;
    conn->host = host;
    if (!place_enter(conn)) {
        conn->stage = CLAW_QUEUED;
        list_push_back(&host->waiting, &conn->on_host);
        attend(host);
    }
    return true;
}

/* Nobody tells of a place that another connector's has left: who is first looks again. */
static void attend(struct claw_host *host)
{
    struct node *first = list_first(&host->waiting);
    if (first != NULL) {
        struct claw_conn *conn = list_entry(first, struct claw_conn, on_host);
        loop_timer_set(loop_of(conn), &conn->timer, loop_now_ms(loop_of(conn)) + DOOR_LOOK_MS);
    }
}

static void queue_time(struct claw_conn *conn)
{
    struct claw_host *host = conn->host;
    if (place_enter(conn)) {
        list_remove(&host->waiting, &conn->on_host);
        attend(host);
        arrive(conn);
    } else {
        attend(host);
    }
}

void claw_place_leave(struct claw_conn *conn)
{
    struct claw_host *host = conn->host;
    if (host == NULL) {
        return;
    }
    list_leave(&conn->on_host);
    if (conn->has_place) {
        conn->has_place = false;
        claw_door_leave(&host->door);
    }
    conn->host = NULL;
    host->users--;
    struct node *first = list_first(&host->waiting);
    struct claw_conn *next = first != NULL ? list_entry(first, struct claw_conn, on_host) : NULL;
    if (next != NULL && place_enter(next)) {
        list_remove(&host->waiting, first);
        begin_soon(next);
    }
    attend(host);
    if (host->users == 0) {
        claw_door_close(&host->door);
        list_remove(&conn->connector->hosts, &host->on_connector);
        alloc_free(conn->connector->opt.alloc, host);
    }
}

/* Half the time of a dial: the other half is the dial's own. */
static uint64_t wait_end_ms(const struct claw_conn *conn)
{
    uint32_t timeout_ms = conn->connector->opt.connect_timeout_ms;
    return timeout_ms != WEIR_NEVER ? loop_now_ms(loop_of(conn)) + timeout_ms / 2 : UINT64_MAX;
}

static void arrive(struct claw_conn *conn)
{
    if (conn->side == NULL) {
        start(conn);
        return;
    }
    conn->stage = CLAW_AT_GATE;
    conn->pass.of = conn->account;
    conn->pass.until_ms = wait_end_ms(conn);
    gate_arrive(conn->side, &conn->pass);
}

void claw_gate_open(void *self, struct gate_pass *pass)
{
    (void)self;
    start(container_of(pass, struct claw_conn, pass));
}

/* A limit of ours, like that of descriptors: no failure of whom it was to. */
void claw_gate_refused(void *self, struct gate_pass *pass)
{
    (void)self;
    claw_dial_failed(container_of(pass, struct claw_conn, pass), WEIR_EFILES);
}

void claw_gate_leave(struct claw_conn *conn)
{
    if (conn->side != NULL) {
        gate_leave(conn->side, &conn->pass);
        gate_give(&conn->place);
    }
}

/* --- beginning, and beginning again -------------------------------------------------------------
 */

/* Whether it may ask; where not, it waits for who does, or is told what that one was. */
static bool leave_take(struct claw_conn *conn, uint64_t now_ms)
{
    struct claw_account *account = conn->account;
    struct claw_refusal refusal;
    enum claw_leave leave = claw_standing_enter(&account->standing, now_ms,
                                                conn->connector->opt.down_for_ms, &refusal);
    conn->has_leave = leave == CLAW_GO || leave == CLAW_ASK;
    conn->is_asker = leave == CLAW_ASK;
    if (leave == CLAW_WAIT) {
        pause_until(conn, now_ms + ASK_LOOK_MS);
    } else if (leave == CLAW_STOP) {
        account->refusal = refusal;
        claw_tell_denied(conn, true);
        claw_conn_gone(conn, WEIR_EDENIED, 0, account->refusal.message);
    }
    return conn->has_leave;
}

void claw_ask_leave(struct claw_conn *conn)
{
    if (conn->is_asker) {
        conn->is_asker = false;
        claw_standing_gave_up(&conn->account->standing);
    }
}

static void try_start(struct claw_conn *conn)
{
    uint64_t now_ms = loop_now_ms(loop_of(conn));
    if (now_ms < conn->account->not_before_ms) {
        pause_until(conn, conn->account->not_before_ms);
    } else if (!conn->has_leave && !leave_take(conn, now_ms)) {
        return;
    } else if (!conn->has_place && !place_take(conn)) {
        claw_conn_gone(conn, WEIR_ENOMEM, 0, "");
    } else if (conn->has_place) {
        arrive(conn);
    }
}

/* False: no memory. */
static bool stand(struct claw_conn *conn)
{
    struct claw_account *account = conn->account;
    uint8_t who[CLAW_WHO_BYTES];
    if (!account->standing.is_open) {
        if (!claw_who(account, &conn->key.view, who)) {
            return false;
        }
        claw_standing_open(&account->standing, who);
    }
    account->standing.wait_ms = conn->connector->opt.denied_for_ms;
    return true;
}

void claw_dial_begin(struct claw_conn *conn)
{
    const weir_key *key = &conn->key.view;
    if (!stand(conn)) {
        claw_conn_gone(conn, WEIR_ENOMEM, 0, "");
        return;
    }
    bool is_v6 = strchr(key->host, ':') != NULL;
    snprintf(conn->host_text, sizeof conn->host_text, is_v6 ? "[%s]:%u" : "%s:%u", key->host,
             (unsigned)key->port);
    try_start(conn);
}

static void on_transport(void *self)
{
    const struct claw_conn *conn = self;
    weir_conn_handshake(conn->connector->mux.pool,
                        conn->named.id); /* only the first time of a dial */
}

static int dial(struct claw_conn *conn)
{
    const struct claw_connector_options *opt = &conn->connector->opt;
    const weir_key *key = &conn->key.view;
    bool is_tls = strcmp(key->scheme, "wss") == 0;
    if (is_tls && opt->tls == NULL) {
        return -EPROTONOSUPPORT;
    }
    const struct dial_request request = {
        .host = key->host,
        .port = key->port,
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

static void start(struct claw_conn *conn)
{
    conn->stage = CLAW_DIALLING;
    claw_count(&conn->connector->counters.handshakes);
    int error = dial(conn);
    if (error != 0) {
        conn->dial = NULL;
        claw_dial_failed(conn, error == -ENOMEM ? WEIR_ENOMEM : WEIR_ECONNECT);
        return;
    }
    names_watch_key(conn->connector->names, &conn->key.view); /* the same look-up as the dial's */
}

void claw_dial_end(struct claw_conn *conn)
{
    if (conn->dial != NULL) {
        dial_cancel(conn->dial);
        conn->dial = NULL;
    }
    ws_opener_end(&conn->opener);
    if (conn->stream != NULL) {
        stream_close(conn->stream);
        conn->stream = NULL;
    }
}

void claw_dial_failed(struct claw_conn *conn, weir_err why)
{
    claw_dial_end(conn);
    claw_conn_gone(conn, why, 0, "");
}

void claw_dial_again(struct claw_conn *conn, uint32_t after_ms)
{
    claw_dial_end(conn);
    claw_place_leave(conn);
    claw_gate_leave(conn);
    conn->has_leave = conn->is_asker; /* who asks for all goes on until it knows */
    pause_until(conn, loop_now_ms(loop_of(conn)) + after_ms);
}

void claw_dial_time(struct claw_conn *conn, uint64_t now_ms)
{
    (void)now_ms;
    if (conn->stage == CLAW_PAUSED) {
        try_start(conn);
    } else if (conn->stage == CLAW_QUEUED) {
        queue_time(conn);
    } else if (conn->stage == CLAW_OPENING) {
        claw_dial_failed(conn, WEIR_ECONNECT_TIMEOUT);
    }
}

/* --- the way ------------------------------------------------------------------------------------
 */

static void dialled(void *self, const struct dial_result *result)
{
    struct claw_conn *conn = self;
    const struct claw_connector_options *opt = &conn->connector->opt;
    weir_err err = http_err_of_dial(result);
    conn->dial = NULL;
    if (conn->side != NULL) {
        gate_tell(conn->side->gate, result);
        conn->place = gate_move(&conn->pass.place);
        gate_leave(conn->side, &conn->pass);
    }
    if (err != WEIR_OK) {
        claw_dial_failed(conn, err);
        return;
    }
    names_tell_address(conn->connector->mux.pool, conn->named.id, &result->peer);
    conn->stream = result->take_stream;
    conn->stage = CLAW_OPENING;
    socket_patience(stream_fd(conn->stream), opt->write_timeout_ms);
    conn->opener = (struct ws_opener){.done = opened, .loop = opt->loop, .alloc = opt->alloc};
    if (!ws_opener_begin(&conn->opener, conn->stream, conn->host_text, conn->account->path)) {
        claw_dial_failed(conn, WEIR_ENOMEM);
        return;
    }
    loop_timer_set(opt->loop, &conn->timer, loop_now_ms(opt->loop) + opt->handshake_timeout_ms);
}

static void upgrade_refused(struct claw_conn *conn, const struct ws_opener_result *result)
{
    uint16_t status = result->status;
    if (status == 503 && result->retry_after_s > 0) {
        claw_count(&conn->connector->counters.starting);
        claw_dial_again(conn, result->retry_after_s * 1000);
        return;
    }
    bool is_us = status == 401 || status == 403;
    if (is_us) {
        struct claw_refusal *refusal = &conn->account->refusal;
        *refusal = (struct claw_refusal){0};
        snprintf(refusal->code, sizeof refusal->code, "HTTP_%u", (unsigned)status);
        snprintf(refusal->message, sizeof refusal->message, "the upgrade was answered %u",
                 (unsigned)status);
        claw_tell_denied(conn, false);
    }
    claw_dial_failed(conn, is_us ? WEIR_EDENIED : status == 503 ? WEIR_EREFUSED : WEIR_EPROTOCOL);
}

static void opened(struct ws_opener *opener, const struct ws_opener_result *result)
{
    struct claw_conn *conn = container_of(opener, struct claw_conn, opener);
    switch (result->error) {
    case 0: claw_talk_begin(conn, result->behind); break;
    case -ECONNREFUSED: upgrade_refused(conn, result); break;
    case -EPROTO: claw_dial_failed(conn, WEIR_EPROTOCOL); break;
    case -ENOMEM: claw_dial_failed(conn, WEIR_ENOMEM); break;
    case -EPIPE: claw_dial_failed(conn, WEIR_EHANGUP); break;
    default: claw_dial_failed(conn, WEIR_ERESET); break;
    }
}
