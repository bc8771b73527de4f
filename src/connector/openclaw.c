/* SPDX-License-Identifier: Apache-2.0
 *
 * The connector as its owner and its pool see it.
 */
#include "connector/openclaw.h"

#include "base/check.h"
#include "connector/names.h"
#include "connector/openclaw_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FRAGMENTS_MAX  1024U
#define CLOSE_MS       1000U
#define SHORT_LIFE_MS  5000U
#define SHORT_PAUSE_MS 1000U /* as long as one that is away is left alone */

static void bury(struct loop_later *later);
static struct ws_limits limits_of(const struct claw_connector_options *opt);
static void yield(void *self, struct gate_side *side);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);

/* --- opening ------------------------------------------------------------------------------------
 */

static void set_numbers(struct claw_connector_options *opt)
{
    opt->handshake_timeout_ms = opt->handshake_timeout_ms != 0 ? opt->handshake_timeout_ms
                                                               : CLAW_HANDSHAKE_MS;
    opt->handshakes_max = opt->handshakes_max != 0 ? opt->handshakes_max : CLAW_HANDSHAKES_MAX;
    opt->requests_max = opt->requests_max != 0 ? opt->requests_max : CLAW_REQUESTS_MAX;
    opt->message_max = opt->message_max != 0 ? opt->message_max : CLAW_PAYLOAD_MAX;
    opt->unsent_max = opt->unsent_max != 0 ? opt->unsent_max : CLAW_PAYLOAD_MAX;
}

static int open_sides(struct claw_connector *connector)
{
    const struct claw_connector_options *opt = &connector->opt;
    const struct gate_side like = {.loop = opt->loop,
                                   .begin = claw_gate_open,
                                   .refuse = claw_gate_refused,
                                   .yield = yield,
                                   .self = connector};
    return gate_sides_open(&like, opt->gates, opt->gates_count, opt->alloc, &connector->sides);
}

int claw_connector_new(const struct claw_connector_options *opt,
                       struct claw_connector **ret_connector)
{
    struct claw_connector *connector = alloc_zeroed(opt->alloc, sizeof *connector);
    if (connector == NULL) {
        return -ENOMEM;
    }
    list_init(&connector->conns);
    list_init(&connector->hosts);
    connector->opt = *opt;
    set_numbers(&connector->opt);
    int error = open_sides(connector);
    if (error == 0 && opt->dns != NULL) {
        error = names_new(opt->loop, opt->dns, &connector->names);
    }
    if (error != 0) {
        gate_sides_close(opt->alloc, connector->sides, opt->gates_count);
        alloc_free(opt->alloc, connector);
        return error;
    }
    const struct ws_limits limits = limits_of(&connector->opt);
    connector->mux = (struct mux){.ops = &claw_mux_ops,
                                  .loop = opt->loop,
                                  .alloc = opt->alloc,
                                  .acquire_timeout_ms = opt->acquire_timeout_ms};
    connector->bury.run = bury;
    bytes_init(&connector->scratch, opt->alloc, SIZE_MAX / 4);
    ws_desk_init(&connector->desk, opt->loop, opt->alloc, &claw_end_ops, &limits, opt->seed);
    *ret_connector = connector;
    return 0;
}

void claw_account_fini(struct claw_account *account)
{
    claw_standing_close(&account->standing);
}

void claw_connector_free(struct claw_connector *take_connector)
{
    struct claw_connector *connector = take_connector;
    if (connector == NULL) {
        return;
    }
    loop_later_cancel(connector->opt.loop, &connector->bury);
    bury(&connector->bury);
    check(list_is_empty(&connector->conns) && list_is_empty(&connector->hosts));
    gate_sides_close(connector->opt.alloc, connector->sides, connector->opt.gates_count);
    mux_fini(&connector->mux);
    names_free(connector->names);
    bytes_fini(&connector->scratch);
    ws_desk_fini(&connector->desk);
    alloc_free(connector->opt.alloc, connector);
}

static struct ws_limits limits_of(const struct claw_connector_options *opt)
{
    return (struct ws_limits){
        .message_bytes_max = opt->message_max,
        .fragments_max = FRAGMENTS_MAX,
        .unsent_max = opt->unsent_max,
        .ping_interval_ms = WEIR_NEVER, /* ticks say who lives */
        .pong_timeout_ms = WEIR_NEVER,
        .silence_ms = WEIR_NEVER,
        .write_timeout_ms = opt->write_timeout_ms,
        .close_timeout_ms = CLOSE_MS,
    };
}

void claw_connector_update(struct claw_connector *connector,
                           const struct claw_connector_options *opt)
{
    connector->opt.connect_timeout_ms = opt->connect_timeout_ms;
    connector->opt.tls_timeout_ms = opt->tls_timeout_ms;
    connector->opt.write_timeout_ms = opt->write_timeout_ms;
    connector->opt.acquire_timeout_ms = opt->acquire_timeout_ms;
    connector->opt.down_for_ms = opt->down_for_ms;
    connector->opt.denied_for_ms = opt->denied_for_ms;
    connector->opt.requests_max = opt->requests_max;
    connector->opt.message_max = opt->message_max;
    set_numbers(&connector->opt);
    connector->mux.acquire_timeout_ms = opt->acquire_timeout_ms;
    connector->desk.limits = limits_of(&connector->opt);
}

void claw_connector_secure(struct claw_connector *connector, struct tls_desk *desk,
                           struct tls_client *tls)
{
    connector->opt.desk = desk;
    connector->opt.tls = tls;
}

void claw_connector_secure_proxies(struct claw_connector *connector, struct tls_desk *desk,
                                   struct tls_client *proxy_tls)
{
    connector->opt.desk = desk;
    connector->opt.proxy_tls = proxy_tls;
}

void claw_connector_serve(struct claw_connector *connector, weir_pool *pool)
{
    connector->mux.pool = pool;
    if (connector->names != NULL) {
        names_serve(connector->names, pool);
    }
}

void claw_connector_served(struct claw_connector *connector)
{
    names_free(connector->names);
    connector->names = NULL;
}

const struct claw_counters *claw_connector_counters(const struct claw_connector *connector)
{
    return &connector->counters;
}

/* --- a connection's end -------------------------------------------------------------------------
 */

static void conn_free(struct claw_conn *conn)
{
    const struct alloc *alloc = conn->connector->opt.alloc;
    if (conn->has_session) {
        claw_session_fini(&conn->session);
    }
    key_copy_fini(alloc, &conn->key);
    alloc_free(alloc, conn);
}

/* The stack may still have been in them. */
static void bury(struct loop_later *later)
{
    struct claw_connector *connector = container_of(later, struct claw_connector, bury);
    while (connector->graves != NULL) {
        struct claw_conn *conn = connector->graves;
        connector->graves = conn->next_grave;
        conn_free(conn);
    }
}

/* Up, and lost soon after: the next one is not dialled at once, or a gateway that takes us in and
 * throws us out would be asked without a pause. */
static void note_life(struct claw_conn *conn)
{
    struct claw_account *account = conn->account;
    uint64_t now_ms = loop_now_ms(conn->connector->opt.loop);
    if (conn->is_stale) {
        return;
    }
    if (now_ms - conn->up_ms >= SHORT_LIFE_MS) {
        account->was_short = false;
        return;
    }
    if (account->was_short) {
        account->not_before_ms = now_ms + SHORT_PAUSE_MS;
    }
    account->was_short = true;
}

static void lose_calls(struct claw_conn *conn, weir_err why, uint16_t code, const char *detail)
{
    struct claw_call *call;
    while (conn->has_session && (call = claw_session_drop(&conn->session)) != NULL) {
        if ((void *)call != conn) { /* a probe */
            claw_call_lost(call, why, code, detail);
        }
    }
}

void claw_tell_denied(struct claw_conn *conn, bool is_hearsay)
{
    const struct claw_connector_options *opt = &conn->connector->opt;
    struct claw_account *account = conn->account;
    account->is_denied = true;
    account->is_hearsay = is_hearsay;
    if (opt->ops != NULL && opt->ops->on_denied != NULL) {
        opt->ops->on_denied(opt->self, account); /* before others hear of it */
    }
    if (!is_hearsay) {
        claw_count(&conn->connector->counters.denied);
        claw_standing_denied(&account->standing, loop_now_ms(opt->loop), &account->refusal);
        conn->is_asker = false;
    }
}

void claw_conn_gone(struct claw_conn *conn, weir_err why, uint16_t code, const char *detail)
{
    struct claw_connector *connector = conn->connector;
    if (conn->stage == CLAW_GONE) {
        return;
    }
    if (conn->stage == CLAW_LIVE) {
        note_life(conn);
    }
    if ((conn->stage == CLAW_LIVE || conn->stage == CLAW_ENDING) && !conn->is_stale) {
        claw_standing_doubt(&conn->account->standing);
    }
    claw_ask_leave(conn);
    claw_place_leave(conn);
    claw_gate_leave(conn);
    conn->stage = CLAW_GONE;
    loop_timer_stop(connector->opt.loop, &conn->timer);
    list_leave(&conn->named.on_list);
    weir_conn_down(connector->mux.pool, conn->named.id, why);
    lose_calls(conn, why, code, detail);
    conn->next_grave = connector->graves;
    connector->graves = conn;
    loop_later(connector->opt.loop, &connector->bury);
}

static void cut(struct claw_conn *conn, weir_err why)
{
    if (conn->stage < CLAW_TALKING) {
        claw_dial_end(conn);
    } else {
        claw_talk_cut(conn, WS_CODE_AWAY, "");
    }
    claw_conn_gone(conn, why, 0, "");
}

void claw_connector_cut(struct claw_connector *connector)
{
    for (struct node *it; (it = list_first(&connector->conns)) != NULL;) {
        cut(list_entry(it, struct claw_conn, named.on_list), WEIR_ECLOSED);
    }
}

/* --- who it is to its gateway is another --------------------------------------------------------
 */

void claw_account_renew(struct claw_connector *connector, struct claw_account *account)
{
    weir_list_each_safe(it, &connector->conns) {
        struct claw_conn *conn = list_entry(it, struct claw_conn, named.on_list);
        if (conn->account != account) {
            continue;
        }
        if (conn->stage < CLAW_LIVE) {
            cut(conn, WEIR_EFLUSHED); /* what it has learnt would be taken for the new one's */
        } else {
            conn->is_stale = true;
        }
    }
    claw_standing_close(&account->standing);
    account->refusal = (struct claw_refusal){0};
    account->is_denied = account->is_hearsay = false;
    account->not_before_ms = 0;
    account->was_short = false;
}

/* --- as the pool sees it ------------------------------------------------------------------------
 */

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct claw_conn *conn = container_of(timer, struct claw_conn, timer);
    if (conn->stage == CLAW_TALKING || conn->stage == CLAW_LIVE) {
        claw_talk_time(conn, now_ms);
    } else {
        claw_dial_time(conn, now_ms);
    }
}

static void pool_dial(void *self, weir_conn id, const weir_key *key)
{
    struct claw_connector *connector = self;
    const struct alloc *alloc = connector->opt.alloc;
    struct claw_account *account = connector->opt.account(connector->opt.self, key);
    struct claw_conn *conn = account != NULL ? alloc_zeroed(alloc, sizeof *conn) : NULL;
    if (conn == NULL || !key_copy_init(alloc, key, &conn->key)) {
        alloc_free(alloc, conn);
        weir_conn_down(connector->mux.pool, id, account != NULL ? WEIR_ENOMEM : WEIR_ECONNECT);
        return;
    }
    conn->connector = connector;
    conn->account = account;
    conn->side = gate_side_of(connector->sides, connector->opt.gates_count, key->proxy);
    conn->timer.fire = on_timer;
    named_add(&connector->conns, &conn->named, id);
    claw_dial_begin(conn);
}

static void pool_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct claw_connector *connector = self;
    struct claw_conn *conn = object != NULL ? object
                                            : container_of(named_of(&connector->conns, id),
                                                           struct claw_conn, named);
    if (conn->stage < CLAW_LIVE) {
        cut(conn, why);
    } else if (conn->stage == CLAW_LIVE) {
        conn->stage = CLAW_ENDING;
        conn->why = why;
        loop_timer_stop(conn->connector->opt.loop, &conn->timer);
        ws_end_close(&conn->end, WS_CODE_NORMAL, (struct slice){0});
        lose_calls(conn, why, 0, "");
    }
}

static void pool_cut(void *self, weir_conn id, void *object)
{
    struct claw_conn *conn = object;
    (void)self;
    (void)id;
    if (conn->end.stream != NULL) {
        shutdown(stream_fd(conn->end.stream), SHUT_RDWR);
    }
}

static void pool_probe(void *self, weir_conn id, void *object)
{
    struct claw_conn *conn = object;
    (void)self;
    (void)id;
    if (conn->stage == CLAW_LIVE
        && claw_send(conn, conn, "health", (struct slice){0}, false, &conn->probe_id) != WEIR_OK) {
        claw_talk_cut(conn, WS_CODE_AWAY, "");
        claw_conn_gone(conn, WEIR_EPROBE, 0, "");
    }
}

/* Others want its place, and it has had its time. */
static bool is_to_yield(const struct claw_conn *conn)
{
    const struct claw_connector_options *opt = &conn->connector->opt;
    const struct claw_ops *ops = opt->ops;
    return conn->stage == CLAW_LIVE && gate_is_wanted(&conn->place)
           && loop_now_ms(opt->loop) - conn->up_ms >= CLAW_STAY_MS
           && (ops == NULL || ops->is_heard == NULL || !ops->is_heard(opt->self, conn->account));
}

struct idlest {
    const struct gate_side *side;
    weir_conn conn;
    uint64_t since_ms;
};

static bool find_idlest(void *arg, const weir_conn_info *info)
{
    struct idlest *idlest = arg;
    const struct claw_conn *conn = info->object;
    if (info->state == WEIR_IDLE && conn->side == idlest->side && is_to_yield(conn)
        && info->since_ms < idlest->since_ms) {
        idlest->conn = conn->named.id;
        idlest->since_ms = info->since_ms;
    }
    return true;
}

static void yield(void *self, struct gate_side *side)
{
    struct claw_connector *connector = self;
    struct idlest idlest = {.side = side, .since_ms = UINT64_MAX};
    weir_pool_each(connector->mux.pool, find_idlest, &idlest);
    if (idlest.since_ms != UINT64_MAX) {
        weir_conn_retire(connector->mux.pool, idlest.conn, WEIR_EEVICTED);
    }
}

static bool pool_reusable(void *self, void *object)
{
    const struct claw_conn *conn = object;
    (void)self;
    return conn->stage == CLAW_LIVE && !is_to_yield(conn);
}

static uint32_t pool_leases(void *self, const weir_key *key)
{
    const struct claw_connector *connector = self;
    (void)key;
    return connector->opt.requests_max;
}

const weir_connector claw_pool_connector = {
    .scheme = "openclaw",
    .dial = pool_dial,
    .probe = pool_probe,
    .close = pool_close,
    .cut = pool_cut,
    .reusable = pool_reusable,
    .leases = pool_leases,
};
