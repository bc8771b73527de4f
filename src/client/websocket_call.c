/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets that are dialled over a bay's other pool, of HTTP connections: as streams of HTTP/2
 * (RFC 8441), many on one of them. Where ALPN says HTTP/1.1, or the server takes none over HTTP/2,
 * a connection of HTTP/1.1 becomes one.
 *
 *     lease ──▶ ASKING ──200──▶ OPEN: a way ──▶ LEAVING ──▶ over
 *                 │ └───101──▶ OPEN: a tunnel ──▶ over
 *                 └── refused, late, given up ──▶ over, or once more where nobody has touched it
 *
 * Always true: a call has its lease until it is over. What is said last to a stream that its owner
 * has closed has LEAVE_MS to leave.
 */
#include "base/check.h"
#include "client/http.h"
#include "client/way.h"
#include "client/websocket_dial.h"
#include "connector/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRIES_MAX       3U
#define LEAVE_MS        1000U
#define FINGERPRINT_MAX 160U

struct ws_call {
    struct way way;            /* HTTP/2 */
    struct http_tunnel tunnel; /* HTTP/1.1; its stream is NULL until then */
    struct bay *bay;
    struct node on_bay;
    struct http_call *call;  /* NULL: it is over, or a tunnel */
    struct opening *opening; /* while ASKING */
    struct sock *sock;       /* whose the tunnel is */
    weir_lease lease;
    struct loop_timer timer; /* LEAVING */
    bool is_leaving;
};

static void granted(void *arg, const weir_grant *grant);
static void leave_over(struct loop_timer *timer, uint64_t now_ms);
static const struct http_caller caller;
static const struct http_tunneler taker;
static const struct way_ops way_ops;

/* --- the pool -----------------------------------------------------------------------------------
 */

static struct http_connector_options connector_options(struct bay *bay,
                                                       const weir_websocket_manager_options *opt)
{
    return (struct http_connector_options){
        .loop = bay->loop,
        .dns = bay->dns,
        .cork = &bay->desk.cork,
        .speaks = opt->http2 == WEIR_WEBSOCKET_ONLY ? HTTP_SPEAKS_HTTP2 : HTTP_SPEAKS_AUTO,
        .ping_interval_ms = opt->pool.probe_every_ms,
        .ping_timeout_ms = opt->pool.probe_timeout_ms,
        .connect_timeout_ms = opt->pool.connect_timeout_ms,
        .tls_timeout_ms = opt->pool.tls_timeout_ms,
        .first_byte_timeout_ms = WEIR_NEVER, /* open_timeout_ms is of all of it */
        .read_timeout_ms = WEIR_NEVER,
        .write_timeout_ms = opt->pool.write_timeout_ms,
        .total_timeout_ms = WEIR_NEVER,
    };
}

static weir_pool_options pool_options(const struct bay *bay,
                                      const weir_websocket_manager_options *opt, char name[80])
{
    weir_pool_options pool = opt->pool;
    snprintf(name, 80, "%s:http", bay->manager->member.name);
    pool.name = name;
    pool.connector = &http_pool_connector_shared;
    pool.connector_self = bay->http;
    return pool;
}

weir_err bay_calls_open(struct bay *bay, const weir_websocket_manager_options *opt)
{
    const struct http_connector_options connector = connector_options(bay, opt);
    int error = http_connector_new(&connector, &bay->http);
    if (error != 0) {
        bay->http = NULL;
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_EIO;
    }
    char name[80];
    const weir_pool_options pool = pool_options(bay, opt, name);
    weir_err err = weir_pool_open(worker_engine(bay->worker), &pool, &bay->calls_pool);
    if (err != WEIR_OK) {
        http_connector_free(bay->http);
        bay->http = NULL;
        return err;
    }
    http_connector_serve(bay->http, bay->calls_pool);
    bay_hears(bay, bay->calls_pool, opt);
    return WEIR_OK;
}

void bay_calls_update(struct bay *bay, const weir_websocket_manager_options *opt)
{
    if (bay->calls_pool == NULL) {
        return;
    }
    char name[80];
    const weir_pool_options pool = pool_options(bay, opt, name);
    const struct http_connector_options connector = connector_options(bay, opt);
    weir_err err = weir_pool_update(bay->calls_pool, &pool);
    check(err == WEIR_OK); /* they were looked at */
    http_connector_update(bay->http, &connector);
}

void bay_calls_close(struct bay *bay)
{
    if (bay->http == NULL) {
        return;
    }
    while (!list_is_empty(&bay->calls)) { /* all of them are LEAVING */
        ws_call_end(container_of(list_first(&bay->calls), struct ws_call, on_bay));
    }
    bay_pool_close(bay, &bay->calls_pool);
    http_connector_free(bay->http);
    bay->http = NULL;
}

/* --- a lease ------------------------------------------------------------------------------------
 */

weir_err ws_call_begin(struct opening *opening)
{
    const struct sock *sock = opening->sock;
    struct bay *bay = sock->bay;
    char fingerprint[FINGERPRINT_MAX];
    if (opening->is_tls) {
        snprintf(fingerprint, sizeof fingerprint, "%s%s",
                 tls_profile_fingerprint(bay->manager->profiles[OPTIONS_TLS]),
                 opening->over_http1 ? HTTP_KEY_HTTP1 : "");
    }
    const weir_key key = {
        .scheme = opening->is_tls ? "https" : "http",
        .host = sock->host,
        .port = opening->url.port,
        .source = opening->source,
        .proxy = opening->proxy,
        .tls = opening->is_tls ? fingerprint : NULL,
        .tenant = opening->tenant,
    };
    opening->pool = bay->calls_pool;
    return weir_acquire(bay->calls_pool, &key, NULL, granted, opening, &opening->lease);
}

static void begin_again(struct opening *opening)
{
    weir_err err = opening->why != WEIR_OK ? opening->why : ws_call_begin(opening);
    if (err != WEIR_OK) {
        opening_failed(opening, err, "");
    }
}

/* The call is over, and so is its lease. */
static void give_back(struct ws_call *own, weir_fate fate, weir_err why)
{
    weir_lease lease = own->lease;
    own->call = NULL;
    own->lease = (weir_lease){0};
    if (lease.id != 0) {
        weir_release_why(own->bay->calls_pool, lease, fate, why);
    }
}

static void call_free(struct ws_call *own)
{
    loop_timer_stop(own->bay->loop, &own->timer);
    list_remove(&own->bay->calls, &own->on_bay);
    way_fini(&own->way);
    alloc_free(own->bay->manager->alloc, own);
}

static void cancel(struct ws_call *own, weir_err why)
{
    struct http_call *call = own->call;
    if (call != NULL) {
        weir_fate fate = http_call_fate(call);
        call->ops->cancel(call);
        give_back(own, fate, why);
    }
}

void ws_call_end(struct ws_call *call)
{
    cancel(call, WEIR_ECANCELED);
    call_free(call);
}

/* --- the request --------------------------------------------------------------------------------
 *
 * It was written as HTTP/1.1 has it, and is read again here: so its fields need no other home.
 */

static bool ask(struct ws_call *own)
{
    struct opening *opening = own->opening;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_progress progress = {0};
    struct http_head head = {.fields = own->bay->fields};
    bool is_http1 = own->call->ops->tunnel != NULL;
    limits.head_bytes_max = limits.target_bytes_max = REQUEST_MAX;
    limits.fields_max = HTTP_FIELDS_MAX;
    if (http1_parse_request(&progress, bytes_at(&opening->out), bytes_len(&opening->out), &limits,
                            &head)
        <= 0) {
        return false;
    }
    for (unsigned i = 0; i < head.field_count && !is_http1; i++) { /* HTTP/2 has no key */
        head.fields[i].drop |= slice_same_nocase(head.fields[i].name, SLICE("Sec-WebSocket-Key"));
    }
    own->call->ops->request(own->call, &head);
    if (is_http1) {
        own->call->ops->end(own->call, NULL);
    }
    own->call->ops->flush(own->call);
    return true;
}

/* Nothing was asked of this connection; perhaps one of HTTP/1.1 takes a WebSocket. */
static void ask_elsewhere(struct opening *opening)
{
    if (!opening->is_tls || opening->over_http1
        || opening->sock->bay->manager->http2 == WEIR_WEBSOCKET_ONLY) {
        opening_failed(opening, WEIR_EPROTOCOL, "the server takes no WebSocket over HTTP/2");
        return;
    }
    opening->over_http1 = true;
    begin_again(opening);
}

static struct ws_call *call_new(struct opening *opening, const weir_grant *grant)
{
    struct bay *bay = opening->sock->bay;
    struct ws_call *own = alloc_zeroed(bay->manager->alloc, sizeof *own);
    struct http_call *call = own != NULL ? http_call_open(grant->object, &caller, own) : NULL;
    if (call == NULL) {
        alloc_free(bay->manager->alloc, own);
        weir_release_why(bay->calls_pool, grant->lease, WEIR_KEEP, WEIR_ENOMEM);
        return NULL;
    }
    own->bay = bay;
    own->call = call;
    own->lease = grant->lease;
    own->opening = opening;
    own->tunnel.taker = &taker;
    own->timer.fire = leave_over;
    way_init(&own->way, &way_ops, bay->loop, bay->manager->alloc);
    list_push_back(&bay->calls, &own->on_bay);
    opening->call = own;
    return own;
}

static void granted(void *arg, const weir_grant *grant)
{
    struct opening *opening = arg;
    if (!opening_granted(opening, grant)) {
        return;
    }
    if (opening->tries++ == 0) {
        opening_arm(opening);
    }
    struct ws_call *own = call_new(opening, grant);
    if (own == NULL) {
        opening_failed(opening, WEIR_ENOMEM, "");
    } else if (!own->call->can_upgrade) {
        opening->call = NULL;
        ws_call_end(own);
        ask_elsewhere(opening);
    } else if (!ask(own)) {
        opening_failed(opening, WEIR_ETOO_LARGE, "the request is too large");
    }
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static bool is_good(const struct ws_call *own, const struct http_head *head)
{
    const struct opening *opening = own->opening;
    const struct slice key = {opening->key, WS_KEY_LEN};
    struct slice protocols = opening_protocols(opening);
    enum ws_opening verdict = own->call->ops->tunnel != NULL ? ws_judge_answer(head, key, protocols)
                                                             : ws_judge_agreed(head, protocols);
    return verdict == WS_OPENING_FINE;
}

/* A stream of HTTP/2: the answer's body, and the request's. */
static void open_way(struct ws_call *own, const struct http_head *head,
                     const struct ws_terms *terms)
{
    struct opening *opening = own->opening;
    struct sock *sock = opening->sock;
    own->opening = NULL;
    own->call->ops->untime(own->call);
    sock->is_call = true;
    sock->call = NULL; /* the way is the end's from now on */
    opening_done(opening, head, terms, &own->way.stream);
}

/* False: no memory. */
static bool open_tunnel(struct ws_call *own, const struct http_head *head,
                        const struct ws_terms *terms)
{
    struct opening *opening = own->opening;
    struct sock *sock = opening->sock;
    union {
        const char *given;
        char *at; /* the connection's, which has no more use for it */
    } ahead;
    struct slice behind;
    if (!own->call->ops->tunnel(own->call, &own->tunnel, &behind)) {
        return false;
    }
    own->call = NULL;
    own->opening = NULL;
    own->sock = sock;
    sock->is_call = true;
    sock->call = own;
    opening_done(opening, head, terms, own->tunnel.stream);
    ahead.given = behind.at;
    if (behind.len > 0) {
        ws_end_feed(&sock->end, ahead.at, behind.len);
    }
    return true;
}

static void on_head(struct http_call *call, struct http_head *head)
{
    struct ws_call *own = call->user;
    struct opening *opening = own->opening;
    struct ws_terms terms;
    bool deflates;
    if ((head->status < 200 && head->status != 101) || opening == NULL) {
        return; /* of 1xx the connector bears so many */
    }
    opening->status = head->status;
    if (opening->why != WEIR_OK) { /* whatever it says: it is given up */
        opening_failed(opening, opening->why, "");
    } else if (!is_good(own, head) || !opening_terms(opening, head, &terms, &deflates)) {
        opening_failed(opening, WEIR_EPROTOCOL, "");
    } else if (call->ops->tunnel == NULL) {
        open_way(own, head, deflates ? &terms : NULL);
    } else if (!open_tunnel(own, head, deflates ? &terms : NULL)) {
        opening_failed(opening, WEIR_ENOMEM, "");
    }
}

static void on_body(struct http_call *call, const void *data, size_t len)
{
    struct ws_call *own = call->user;
    if (!own->is_leaving) {
        way_hear(&own->way, data, len);
    }
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    struct ws_call *own = call->user;
    (void)trailers;
    give_back(own, reusable ? WEIR_KEEP : WEIR_BROKEN, WEIR_OK);
    own->way.is_over = true;
    if (own->is_leaving) {
        call_free(own);
    } else {
        way_ended(&own->way);
    }
}

static void on_flush(struct http_call *call)
{
    (void)call;
}

static void on_drain(struct http_call *call)
{
    struct ws_call *own = call->user;
    way_drained(&own->way);
}

/* Before the answer: what nobody has touched goes once more. */
static void lost(struct ws_call *own, bool is_untouched, weir_err why)
{
    struct opening *opening = own->opening;
    opening->call = NULL;
    call_free(own);
    if (is_untouched && opening->tries < TRIES_MAX) {
        begin_again(opening);
    } else {
        opening_failed(opening, opening->why != WEIR_OK ? opening->why : why, "");
    }
}

static void on_fail(struct http_call *call, enum http_fault fault)
{
    struct ws_call *own = call->user;
    weir_err why = http_err_of(fault);
    bool is_untouched = call->untouched;
    give_back(own, http_call_fate(call), why);
    if (own->opening != NULL) {
        lost(own, is_untouched, why);
    } else if (own->is_leaving) {
        call_free(own);
    } else {
        way_broken(&own->way, -ECONNRESET);
    }
}

static const struct http_caller caller = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_fail = on_fail,
};

/* --- open: HTTP/1.1 -----------------------------------------------------------------------------
 */

static void tunnel_cut(struct http_tunnel *tunnel)
{
    ws_end_abort(&container_of(tunnel, struct ws_call, tunnel)->sock->end, WEIR_ECLOSED);
}

static const struct http_tunneler taker = {.on_cut = tunnel_cut};

void ws_call_gone(struct ws_call *call, weir_err why)
{
    if (call != NULL) {
        call->tunnel.stream = NULL;
        call->tunnel.close(&call->tunnel);
        give_back(call, WEIR_RETIRE, why);
        call_free(call);
    }
}

/* --- open: HTTP/2 -------------------------------------------------------------------------------
 */

static struct ws_call *at(struct way *way)
{
    return container_of(way, struct ws_call, way);
}

static void put(struct way *way, const void *data, size_t len)
{
    struct http_call *call = at(way)->call;
    call->ops->body(call, data, len);
}

static bool flush(struct way *way)
{
    struct http_call *call = at(way)->call;
    return call->ops->flush(call);
}

static void pause(struct way *way, bool paused)
{
    struct http_call *call = at(way)->call;
    call->ops->pause(call, paused);
}

static bool end(struct way *way)
{
    struct http_call *call = at(way)->call;
    call->ops->end(call, NULL);
    call->ops->flush(call);
    return false; /* the server's part may still come */
}

/* Nobody listens any more; what was said last may still be on its way. */
static void closed(struct way *way)
{
    struct ws_call *own = at(way);
    if (own->call == NULL) {
        call_free(own);
        return;
    }
    own->is_leaving = true;
    if (!way->is_shut) {
        end(way);
    }
    pause(way, false);
    loop_timer_set(own->bay->loop, &own->timer, loop_now_ms(own->bay->loop) + LEAVE_MS);
}

static const struct way_ops way_ops = {
    .body = put,
    .flush = flush,
    .pause = pause,
    .end = end,
    .closed = closed,
};

static void leave_over(struct loop_timer *timer, uint64_t now_ms)
{
    struct ws_call *own = container_of(timer, struct ws_call, timer);
    (void)now_ms;
    cancel(own, WEIR_OK);
    call_free(own);
}
