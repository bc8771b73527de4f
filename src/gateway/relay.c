/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay.h"

#include "base/alloc.h"
#include "base/check.h"
#include "gateway/clients.h"
#include "gateway/openclaw.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

#define OVERLOADED_FOR_MS 1000U
#define BLOCKS_AT_ONCE    4U /* of a kept body: what is not taken of them is copied */

static bool is_short(const struct http_head *head);
static void tell_to_continue(struct transit *transit);
static bool has_no_call(const struct transit *transit);
static void granted(void *arg, const weir_grant *grant);
static void lease_failed(struct transit *transit, weir_err err, uint32_t retry_after_ms);
static void send_first(struct transit *transit, void *object, struct http_head *head);
static void send_kept(struct transit *transit, void *object);
static void send_unsent(struct transit *transit);
static bool send_head(struct transit *transit, void *object, struct http_head *head);
static void end_request(struct transit *transit);
static void on_websocket_head(struct transit *transit, struct http_head *head);
static bool fits_limits(struct transit *transit, const struct http_head *head);
static const struct http_caller caller;

/* --- the request, as the listener brings it ----------------------------------------------------
 */

/* A certificate was shown for one name, the request is for another (RFC 9110 §7.4): the client's
 * side of TLS promised nothing for that. */
static bool is_misdirected(const struct http_peer *peer, const struct http_head *head)
{
    if (!peer->tls || peer->server_name == NULL || peer->server_name[0] == '\0') {
        return false;
    }
    return !slice_same_nocase(route_host_of(head->authority), slice_of(peer->server_name));
}

/* An upgrade to anything but WebSocket is not heard: the request is as good without. */
static enum fault websocket_ask(struct transit *transit, struct http_head *head)
{
    bool is_http1 = transit->ex->ops->tunnel != NULL;
    if (is_http1 && !ws_is_asked(head)) {
        head->upgrade = false;
        return FAULT_NONE;
    }
    transit->is_websocket = true;
    transit->request_ended = true; /* what comes behind it is no body */
    bytes_init(&transit->ahead, &alloc_libc, HELD_WAIT_MAX);
    struct slice key;
    enum fault fault = handshake_ask(head, is_http1 ? &key : NULL);
    if (fault == FAULT_NONE && is_http1) {
        memcpy(transit->key, key.at, WS_KEY_LEN);
    }
    return fault;
}

/* Whether the upstream takes that kind of request at all. */
static enum fault judge_protocol(const struct transit *transit)
{
    enum config_protocol protocol = transit->upstream->config->protocol;
    if (transit->is_websocket) {
        return protocol == PROTOCOL_GRPC ? FAULT_NO_WEBSOCKET : FAULT_NONE;
    }
    return protocol == PROTOCOL_WEBSOCKET ? FAULT_WEBSOCKET_ONLY : FAULT_NONE;
}

/* Newcomers where nobody has priority are refused at the door already. */
static bool is_too_many(const struct transit *transit)
{
    const struct relay_shared *shared = transit->lane->relay->opt.shared;
    uint8_t strain = atomic_load_explicit(&shared->lasting->strain, memory_order_relaxed);
    return strain != RELAY_AT_EASE && !transit->ex->is_favoured
           && (strain == RELAY_SPENT || transit->ex->is_first);
}

static void on_request(void *self, struct http_exchange *ex, struct http_head *head, bool end)
{
    struct lane *lane = self;
    struct relay *relay = lane->relay;
    struct transit *transit = transit_new(lane, ex);
    ex->user = transit;
    if (transit == NULL) {
        relay_answer_with(relay, ex, FAULT_INTERNAL, 0, head->method_id == HTTP_HEAD);
        return;
    }
    transit->request_ended = end;
    enum fault fault = head->upgrade ? websocket_ask(transit, head) : FAULT_NONE;
    if (!held_take_head(&transit->held, head)) {
        transit_refuse(transit, FAULT_INTERNAL, 0);
        return;
    }
    if (http_has(head, HTTP_CONTENT_TYPE) && grpc_is(head)) { /* before anything is refused */
        transit->is_grpc = true;
        rpc_begin(&transit->rpc, relay->opt.loop, head, transit_deadline_passed);
    }
    if (fault != FAULT_NONE || is_misdirected(ex->peer, head)) {
        transit_refuse(transit, fault != FAULT_NONE ? fault : FAULT_MISDIRECTED, 0);
        return;
    }
    if (relay->opt.shared->client_keys != NULL && !client_admit(transit, head)) {
        return;
    }
    if (is_too_many(transit)) {
        ex->is_last = true;
        transit_refuse(transit, FAULT_OVERLOADED, OVERLOADED_FOR_MS);
        return;
    }
    bool is_health = transit->is_grpc && lane->config->grpc.health == WEIR_ON
                     && grpc_health_method_of(head->path) != GRPC_HEALTH_NONE;
    uint32_t route = routes_match(lane->routes, head);
    if (route == ROUTE_NONE) {
        relay_ask_health(transit, is_health, end);
        return;
    }
    transit->rules = &lane->rules[route];
    transit->series = lane->series[route];
    transit->upstream = &relay->upstreams[lane->config->routes.at[route].upstream];
    transit->harmless = replay_is_harmless(head);
    fault = judge_protocol(transit);
    if (fault != FAULT_NONE) {
        transit_refuse(transit, fault, 0);
        return;
    }
    if (!fits_limits(transit, head)) {
        return;
    }
    if (is_health) {
        relay_ask_health(transit, true, end);
        return;
    }
    replay_budget_earn(&transit->upstream->budget);
    transit->keeps = account_keeps_body(transit, head);
    if (!transit->request_ended && (transit->keeps || is_short(head))) {
        transit->state = TRANSIT_GATHERING;
        if (head->expect_continue) {
            tell_to_continue(transit);
        }
        return;
    }
    transit_begin(transit, head);
}

/* Its body is wanted here, whatever the upstream will say. */
static void tell_to_continue(struct transit *transit)
{
    const struct http_head head = {.status = 100, .version_minor = 1};
    transit->is_continued = true;
    transit->ex->ops->respond(transit->ex, &head);
    transit->ex->ops->flush(transit->ex);
}

/* Of a client of HTTP/2. */
static void websocket_body(struct transit *transit, const void *data, size_t len)
{
    if (transit->channel != NULL) {
        channel_client_body(transit->channel, data, len);
    } else if (!bytes_append(&transit->ahead, data, len)) {
        transit_cut(transit, FAULT_TOO_LARGE);
    }
}

static void on_body(struct http_exchange *ex, const void *data, size_t len)
{
    struct transit *transit = ex->user;
    if (transit->is_websocket) {
        websocket_body(transit, data, len);
        return;
    }
    transit->request_bytes += len;
    if (transit->body_max != 0 && transit->request_bytes > transit->body_max) {
        transit_cut(transit, FAULT_TOO_LARGE);
        return;
    }
    if (transit->is_grpc
        && !rpc_fits(&transit->rpc.up, data, len,
                     transit->lane->config->grpc.max_receive_message)) {
        transit_cut(transit, FAULT_MESSAGE_SIZE);
        return;
    }
    bool waits = has_no_call(transit);
    if (transit->keeps || transit->unsent != NULL || (waits && transit->hold.len > 0)) {
        account_take_body(transit, data, len);
        return;
    }
    if (transit->body_held
        && !held_add_body(&transit->held, data, len, waits ? HELD_WAIT_MAX : HELD_BODY_MAX)) {
        transit->body_held = false;
    }
    if (waits) {
        if (!transit->body_held) {
            transit_refuse(transit, FAULT_INTERNAL, 0);
        }
    } else {
        transit->call->ops->body(transit->call, data, len); /* the flush tells whether to pause */
    }
}

static void on_request_end(struct http_exchange *ex, const struct http_head *trailers)
{
    struct transit *transit = ex->user;
    if (transit->is_websocket) {
        transit->ahead_ended = true;
        if (transit->channel != NULL) {
            channel_client_end(transit->channel);
        }
        return;
    }
    transit->request_ended = true;
    bool has_trailers = trailers != NULL && trailers->field_count > 0;
    bool is_kept = transit->body_held || transit->unsent != NULL || has_no_call(transit);
    if (has_trailers && is_kept && !held_take_trailers(&transit->held, trailers)) {
        transit->body_held = false;
        if (has_no_call(transit)) {
            transit_refuse(transit, FAULT_INTERNAL, 0);
            return;
        }
    }
    if (transit->state == TRANSIT_GATHERING) {
        transit->state = TRANSIT_WAITING;
        transit_begin(transit, held_head(&transit->held));
    } else if (transit->state == TRANSIT_ASKING) {
        relay_answer_health(transit);
    } else if (!has_no_call(transit) && transit->unsent == NULL) {
        transit->call->ops->end(transit->call, trailers);
    }
}

static void on_client_flush(struct http_exchange *ex)
{
    struct transit *transit = ex->user;
    if (has_no_call(transit)) {
        return;
    }
    bool is_blocked = transit->call->ops->flush(transit->call);
    if (!is_blocked && transit->unsent != NULL) {
        send_unsent(transit); /* it took what it had not: nobody will say that it drained */
    } else {
        transit_pace_client(transit, is_blocked);
    }
}

static void on_client_drain(struct http_exchange *ex)
{
    struct transit *transit = ex->user;
    if (transit->channel != NULL) {
        channel_client_drained(transit->channel);
    } else {
        transit_pace_upstream(transit, false);
    }
}

static enum fault fault_of_abort(enum http_fault why)
{
    switch (why) {
    case HTTP_FAULT_CANCELLED:
    case HTTP_FAULT_RESET: return FAULT_CLIENT_LEFT;
    case HTTP_FAULT_BAD_REQUEST: return FAULT_BAD_REQUEST;
    case HTTP_FAULT_IDLE: return FAULT_IDLE;
    default: return FAULT_SLOW_REQUEST;
    }
}

static void on_client_abort(struct http_exchange *ex, enum http_fault why)
{
    struct transit *transit = ex->user;
    if (transit->channel != NULL) {
        channel_client_gone(transit->channel);
        return;
    }
    transit->fault = fault_of_abort(why);
    if (transit->status == 0) {
        transit->status = fault_status(transit->fault);
    }
    transit_call_off(transit);
    transit_finish(transit);
}

const struct http_handler relay_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_client_flush,
    .on_drain = on_client_drain,
    .on_abort = on_client_abort,
};

/* False: it was refused. */
static bool fits_limits(struct transit *transit, const struct http_head *head)
{
    const struct config_route *route = transit->rules->route;
    transit->body_max = route->limits.body;
    if (transit->body_max != 0 && head->framing == HTTP_LENGTH
        && head->content_length > transit->body_max) {
        transit_refuse(transit, FAULT_TOO_LARGE, 0);
        return false;
    }
    uint8_t client[16];
    if (route->limits.concurrent_per_client != 0) {
        forward_client(transit->lane->config, transit->ex->peer, head, client);
    }
    if (route->limits.concurrent_per_client != 0
        && !clients_take(transit->lane->relay->opt.shared->clients, client,
                         route->limits.concurrent_per_client, &transit->seat)) {
        transit_refuse(transit, FAULT_CLIENT_BUSY, 1000);
        return false;
    }
    return true;
}

/* --- back-pressure -----------------------------------------------------------------------------
 *
 * What was given in one read may not fit at once, and yet be gone with the flush that follows: only
 * a flush, and the drain after one that could not send all, say whether the giver is to wait.
 */

void transit_pace_client(struct transit *transit, bool blocked)
{
    if (blocked != transit->client_paused && !transit->request_ended) {
        transit->client_paused = blocked;
        transit->ex->ops->pause(transit->ex, blocked);
    }
}

void transit_pace_upstream(struct transit *transit, bool blocked)
{
    if (blocked != transit->upstream_paused) {
        transit->upstream_paused = blocked;
        transit->call->ops->pause(transit->call, blocked);
    }
}

/* --- from a request to a connection ------------------------------------------------------------
 */

/* Clients that send their bodies slowly, or not at all, must not use up the upstream's connections:
 * what is small enough to be kept is there before one is asked for. Who waits for 100 waits for the
 * upstream's word. */
static bool is_short(const struct http_head *head)
{
    return head->framing == HTTP_LENGTH && head->content_length <= HELD_BODY_MAX
           && !head->expect_continue;
}

static bool has_no_call(const struct transit *transit)
{
    return transit->state <= TRANSIT_CHANNEL || transit->watch != NULL;
}

/* What it may be risked on. */
static uint32_t flags_of(const struct transit *transit)
{
    return (transit->harmless ? WEIR_IDEMPOTENT : 0)
           | (transit->body_held && transit->request_ended ? WEIR_REPLAYABLE : 0);
}

bool transit_is_for_openclaw(const struct transit *transit, struct slice path)
{
    const struct openclaw *openclaw = transit->upstream->openclaw;
    return openclaw != NULL && !transit->is_websocket && openclaw_is_asked(openclaw, path);
}

/* No lease stands for it: it takes one for each request by itself. */
static void *openclaw_of(struct transit *transit, const struct http_head *head, uint32_t endpoint)
{
    struct openclaw *openclaw = transit->upstream->openclaw;
    if (endpoint == BALANCE_NOBODY || !transit_is_for_openclaw(transit, head->path)) {
        return NULL;
    }
    if (transit->upstream->accounts == NULL) {
        transit->body_held = false; /* it is repeated by the connector, or not at all */
    }
    return openclaw_link(openclaw, endpoint, transit->account);
}

void transit_get_in_line(struct transit *transit, struct wait_line *line, wait_turn_fn *turn)
{
    uint32_t patience_ms = transit->upstream->config->pool.acquire_timeout_ms;
    uint64_t now_ms = loop_now_ms(transit->lane->relay->opt.loop);
    uint64_t until_ms = patience_ms == WEIR_NEVER ? UINT64_MAX : now_ms + patience_ms;
    transit->state = TRANSIT_WAITING;
    transit->was_in_line = true;
    transit->wait.priority = client_priority(transit);
    wait_line_join(line, &transit->wait, until_ms, turn);
    transit_pace_client(transit, true);
}

void transit_begin(struct transit *transit, struct http_head *head)
{
    struct upstream *upstream = transit->upstream;
    if (transit->client_no != 0 && !client_enter(transit)) {
        return;
    }
    if (!pause_passes(transit)) {
        return;
    }
    bool is_read = upstream->accounts != NULL || transit->rules->route->affinity.is_on;
    if (is_read && !session_read(transit)) {
        return;
    }
    if (upstream->accounts == NULL) {
        transit->endpoint = upstream_choose(upstream, 0, session_hash(transit, head->path),
                                            BALANCE_NOBODY);
        transit_go(transit, head);
    } else if (account_choose(transit, head->path)) {
        transit_go(transit, head);
    }
}

static struct upstream_way way_of(const struct transit *transit)
{
    bool is_apart = transit->has_session && transit->rules->route->isolate == ISOLATE_SESSION;
    return (struct upstream_way){.endpoint = transit->endpoint,
                                 .account = transit->account,
                                 .client = transit->ex->peer,
                                 .over_http1 = transit->over_http1,
                                 .session = is_apart ? &transit->session : NULL};
}

void transit_go(struct transit *transit, struct http_head *head)
{
    uint32_t endpoint = transit->endpoint;
    const struct upstream_way way = way_of(transit);
    void *object = openclaw_of(transit, head, endpoint);
    if (object != NULL
        || (endpoint != BALANCE_NOBODY
            && upstream_try_lease(transit->upstream, &way, flags_of(transit), &transit->lease,
                                  &object)
                   == WEIR_OK)) {
        transit->tries = 1;
        transit->granted_ns = transit->was_in_line ? loop_turn_ns(transit->lane->relay->opt.loop)
                                                   : transit->begun_ns;
        if (transit->held.body_len > 0 || transit->hold.len > 0 || transit->was_in_line) {
            send_kept(transit, object);
        } else {
            send_first(transit, object, head);
        }
        return;
    }
    if (endpoint == BALANCE_NOBODY) {
        transit_refuse_down(transit);
    } else {
        transit_ask(transit, 0);
    }
}

/* Asks for a connection at the chosen endpoint; the client's body waits meanwhile. */
void transit_ask(struct transit *transit, uint32_t flags)
{
    struct upstream *upstream = transit->upstream;
    const weir_acquire_options opt = {
        .size = sizeof opt,
        .flags = flags | flags_of(transit),
    };
    transit->state = TRANSIT_WAITING;
    transit->tries++;
    void *object = openclaw_of(transit, held_head(&transit->held), transit->endpoint);
    if (object != NULL) {
        transit->granted_ns = loop_turn_ns(transit->lane->relay->opt.loop);
        send_kept(transit, object);
        return;
    }
    const struct upstream_way way = way_of(transit);
    weir_err err = upstream_lease(upstream, &way, &opt, granted, transit, &transit->lease);
    if (err != WEIR_OK) {
        lease_failed(transit, err, weir_pool_retry_after(upstream->pool));
        return;
    }
    transit->asked = true;
    transit_pace_client(transit, true);
    pace_begin(transit->lane->relay);
}

static void granted(void *arg, const weir_grant *grant)
{
    struct transit *transit = arg;
    transit->asked = false;
    if (transit->state == TRANSIT_LEFT) {
        transit_free(transit);
    } else if (grant->err != WEIR_OK) {
        lease_failed(transit, grant->err, grant->retry_after_ms);
    } else {
        transit->lease = grant->lease;
        transit->granted_ns = loop_turn_ns(transit->lane->relay->opt.loop);
        send_kept(transit, grant->object);
    }
}

/* Whether the endpoint itself is at fault, so that another one may do better. */
static bool is_of_endpoint(weir_err err)
{
    switch (err) {
    case WEIR_EDOWN:
    case WEIR_ECONNECT:
    case WEIR_EREFUSED:
    case WEIR_EUNREACHABLE:
    case WEIR_ERESOLVE:
    case WEIR_ECONNECT_TIMEOUT:
    case WEIR_ERESET:
    case WEIR_EHANGUP: return true;
    default: return false;
    }
}

/* … or the way there, which may be the account's own. */
static bool is_of_account(weir_err err)
{
    uint16_t status = fault_status(fault_of_err(err));
    return is_of_endpoint(err) || status == 502 || status == 504;
}

static void lease_failed(struct transit *transit, weir_err err, uint32_t retry_after_ms)
{
    struct upstream *upstream = transit->upstream;
    uint32_t failed = transit->endpoint;
    if (transit->over_http1 && upstream_speaks_http2_alone(upstream, failed, err)) {
        transit_refuse(transit, FAULT_NO_WEBSOCKET, 0);
        return;
    }
    if (is_of_endpoint(err) && upstream->config->retry.on_connect
        && transit->tries < REPLAY_TRIES_MAX) {
        struct slice path = held_head(&transit->held)->path;
        uint32_t other = upstream_choose(upstream, transit->account, session_hash(transit, path),
                                         failed);
        if (other != BALANCE_NOBODY
            && transit_again(transit, &transit->series->retries_connect, false)) {
            transit->endpoint = other;
            transit->over_http1 = false;
            transit_ask(transit, 0);
            return;
        }
    }
    if (is_of_account(err) && account_failed(transit, &transit->series->retries_connect)) {
        return;
    }
    if (err != WEIR_EDOWN) {
        upstream->endpoints[failed].failed++;
    }
    bool is_apart = upstream->config->proxy_protocol != 0 || way_of(transit).session != NULL;
    if (is_of_endpoint(err) && is_apart) { /* its key knows nothing of these keys */
        upstream_judge(upstream, failed, false);
    }
    transit_refuse(transit, fault_of_err(err), retry_after_ms);
}

/* Takes one retry from the budget, unless it is free. */
bool transit_again(struct transit *transit, uint64_t *counter, bool is_free)
{
    if (!is_free
        && !replay_budget_take(&transit->upstream->budget,
                               loop_now_ms(transit->lane->relay->opt.loop))) {
        count_one(&transit->series->retries_over_budget);
        return false;
    }
    count_one(counter);
    return true;
}

/* The head at hand goes out as it was parsed. */
static void send_first(struct transit *transit, void *object, struct http_head *head)
{
    if (send_head(transit, object, head) && transit->request_ended) {
        end_request(transit);
    }
}

/* The extended CONNECT of HTTP/2 has no end: what follows is the WebSocket (RFC 8441 §5). */
static void end_request(struct transit *transit)
{
    struct http_call *call = transit->call;
    if (!transit->is_websocket || call->ops->tunnel != NULL) {
        call->ops->end(call, held_trailers(&transit->held));
    }
}

/* As many blocks as are sent at once, or as the upstream's connection wants for now. Returns how
 * many: they are borrowed until the flush. */
static unsigned give_blocks(struct transit *transit)
{
    struct http_call *call = transit->call;
    unsigned given = 0;
    bool is_full = false;
    for (; transit->unsent != NULL && given < BLOCKS_AT_ONCE && !is_full; given++) {
        is_full = call->ops->body(call, transit->unsent->at, transit->unsent->len);
        transit->unsent = transit->unsent->next;
    }
    return given;
}

/* Some blocks in one piece, then as many again, as the upstream takes them; with the last of them
 * the request's end, if it has come. */
static void send_unsent(struct transit *transit)
{
    struct http_call *call = transit->call;
    bool is_blocked;
    do {
        unsigned given = give_blocks(transit);
        if (transit->unsent == NULL && transit->request_ended) {
            end_request(transit);
        }
        is_blocked = call->ops->flush(call);
        for (; given > 0 && !transit->body_held; given--) {
            hold_drop_first(&transit->hold); /* it is never sent again */
        }
    } while (transit->unsent != NULL && !is_blocked);
    transit_pace_client(transit, is_blocked || transit->unsent != NULL);
}

/* The head and what there is of the body go out from the copy. */
static void send_kept(struct transit *transit, void *object)
{
    if (!send_head(transit, object, held_head(&transit->held))) {
        return;
    }
    struct http_call *call = transit->call;
    transit->unsent = transit->hold.first;
    if (transit->held.body_len > 0) {
        call->ops->body(call, held_body(&transit->held), transit->held.body_len);
    }
    send_unsent(transit);
}

/* The connection at hand takes no WebSocket: one of HTTP/1.1 may (as browsers do it). */
static void ask_for_http1(struct transit *transit)
{
    if (!upstream_may_speak_http1(transit->upstream, transit->endpoint)) {
        transit_refuse(transit, FAULT_NO_WEBSOCKET, 0);
        return;
    }
    transit->call->ops->cancel(transit->call);
    transit_give_back(transit, WEIR_KEEP, WEIR_OK);
    transit->over_http1 = true;
    transit->tries--; /* nobody was asked anything */
    transit_ask(transit, 0);
}

/* What the client's version has not said, and the upstream's has to. */
static bool prepare_handshake(struct transit *transit, struct http_head *head)
{
    if (!transit->call->can_upgrade) {
        ask_for_http1(transit);
        return false;
    }
    bool is_from_http1 = transit->ex->ops->tunnel != NULL;
    bool is_to_http1 = transit->call->ops->tunnel != NULL;
    handshake_limit(head, is_from_http1 && is_to_http1);
    if (!is_from_http1 && is_to_http1) {
        handshake_make_key(transit->key);
        forward_upgrade(&transit->lane->relay->forward,
                        (struct slice){transit->key, sizeof transit->key}, head);
    }
    return true;
}

/* False: for want of memory it was refused. */
static bool send_head(struct transit *transit, void *object, struct http_head *head)
{
    struct lane *lane = transit->lane;
    struct relay *relay = lane->relay;
    bool trusted = transit->rules->policy == FORWARDED_APPEND
                   && forward_trusts(lane->config, transit->ex->peer->address);
    forward_request(&relay->forward, transit->rules, transit->ex->peer, trusted, head);
    if (transit->is_continued) {
        forward_continued(head);
    }
    if (transit->shown != 0) {
        forward_hide(head, transit->shown);
    }
    if (transit->upstream->accounts != NULL) {
        account_sign(transit, head);
    }
    if (transit->trace_begun != 0 && relay->forward.trace_begun != 0) {
        forward_same_trace(&relay->forward, transit->trace_begun);
    }
    transit->trace_begun = relay->forward.trace_begun;
    if (relay->opt.spans != NULL) {
        span_pass_on(transit, head);
    }
    transit->call = http_call_open(object, &caller, transit);
    if (transit->call == NULL) {
        transit_give_back(transit, WEIR_KEEP, WEIR_OK);
        transit_refuse(transit, FAULT_INTERNAL, 0);
        return false;
    }
    if (transit->is_websocket && !prepare_handshake(transit, head)) {
        return false;
    }
    transit->state = TRANSIT_CALLING;
    transit->call->ahead[0] = transit;
    transit->call->ahead[1] = transit->ex;
    transit->call->ahead[2] = transit->ex->near;
    transit->call->ahead[3] = pool_lease_at(transit->upstream->pool, transit->lease);
    transit->reused = transit->call->reused;
    transit->took = transit->reused ? (struct http_took){0, 0} : transit->call->took;
    transit->call->ops->request(transit->call, head);
    return true;
}

/* --- the answer, as the connector brings it ----------------------------------------------------
 */

/* Whether this answer is to be thrown away and the request tried at another endpoint. */
static bool tries_code_again(struct transit *transit, uint16_t status)
{
    const struct config_retry *retry = &transit->upstream->config->retry;
    for (uint32_t i = 0; i < retry->codes_count; i++) {
        if (retry->codes[i] != status) {
            continue;
        }
        if (!transit->request_ended || !transit->body_held || transit->tries >= REPLAY_TRIES_MAX
            || !replay_code(status, transit->harmless)) {
            return false;
        }
        uint64_t hash = session_hash(transit, held_head(&transit->held)->path);
        uint32_t other = upstream_choose(transit->upstream, 0, hash, transit->endpoint);
        if (other == BALANCE_NOBODY
            || !transit_again(transit, &transit->series->retries_code, false)) {
            return false;
        }
        weir_fate fate = transit->call->shared ? WEIR_KEEP : WEIR_RETIRE;
        transit->call->ops->cancel(transit->call);
        transit_give_back(transit, fate, WEIR_OK);
        transit->endpoint = other;
        transit_ask(transit, 0);
        return true;
    }
    return false;
}

/* Upstreams are not heard that switch without having been asked to: 101 is of a WebSocket. */
static bool is_agreed(const struct transit *transit, uint16_t status)
{
    bool is_any_http2 = transit->ex->ops->tunnel == NULL || transit->call->ops->tunnel == NULL;
    return handshake_is_agreed(status, is_any_http2);
}

static void on_head(struct http_call *call, struct http_head *head)
{
    struct transit *transit = call->user;
    struct http_exchange *ex = transit->ex;
    if (head->status < 200 && head->status != 101) { /* there is more to come */
        if (transit->held.head.version_minor > 0) {
            ex->ops->respond(ex, head);
        }
        return;
    }
    if (transit->upstream->accounts != NULL && account_answered(transit, head)) {
        return;
    }
    if (transit->is_websocket && is_agreed(transit, head->status)) {
        on_websocket_head(transit, head);
        return;
    }
    upstream_judge(transit->upstream, transit->endpoint, head->status < 500);
    if (transit->upstream->config->retry.codes_count > 0 && transit->upstream->accounts == NULL
        && tries_code_again(transit, head->status)) {
        return;
    }
    transit->first_byte_ns = loop_turn_ns(transit->lane->relay->opt.loop);
    transit->state = TRANSIT_ANSWERING;
    transit->status = head->status;
    transit->upstream->endpoints[transit->endpoint].answered++;
    pool_lease_fetch_conn(transit->upstream->pool, transit->lease);
    forward_answer(transit->rules, head);
    session_answered(transit, head);
    if (head->framing != HTTP_LENGTH || transit->upstream->accounts != NULL
        || transit->client_no != 0) {
        stream_begin(transit, head);
    }
    ex->ops->respond(ex, head);
}

/* The upstream agrees, or seems to. */
static void on_websocket_head(struct transit *transit, struct http_head *head)
{
    struct http_exchange *ex = transit->ex;
    bool is_http1 = transit->call->ops->tunnel != NULL;
    struct slice key = {transit->key, is_http1 ? sizeof transit->key : 0};
    bool deflate;
    if (!handshake_judge(held_head(&transit->held), key, head, &deflate)) {
        transit->upstream->endpoints[transit->endpoint].failed++;
        upstream_judge(transit->upstream, transit->endpoint, false);
        transit_refuse(transit, FAULT_BAD_ANSWER, 0);
        return;
    }
    upstream_judge(transit->upstream, transit->endpoint, true);
    transit->upstream->endpoints[transit->endpoint].answered++;
    transit->first_byte_ns = loop_turn_ns(transit->lane->relay->opt.loop);
    forward_answer(transit->rules, head);
    session_answered(transit, head);
    bool is_http2 = ex->ops->tunnel == NULL;
    const struct http_head *answer = handshake_answer(&transit->lane->relay->handshake, head,
                                                      !is_http2, is_http1,
                                                      (struct slice){transit->key, WS_KEY_LEN});
    struct slice ahead;
    struct channel *channel = channel_prepare(transit, deflate, &ahead);
    if (channel == NULL) {
        transit_refuse(transit, FAULT_INTERNAL, 0);
        return;
    }
    transit->status = answer->status;
    ex->ops->respond(ex, answer);
    ex->ops->flush(ex);
    if (!channel_open(channel, transit, ahead)) {
        transit_cut(transit, FAULT_INTERNAL);
    } else if (!is_http2) {
        transit->ex = NULL;
        transit_free(transit);
    }
}

static void on_answer_body(struct http_call *call, const void *data, size_t len)
{
    struct transit *transit = call->user;
    transit->answer_bytes += len;
    if (transit->is_grpc
        && !rpc_fits(&transit->rpc.down, data, len, transit->lane->config->grpc.max_send_message)) {
        transit_cut(transit, FAULT_ANSWER_SIZE);
        return;
    }
    if (transit->hears != 0) {
        stream_hear(transit, data, len);
    }
    transit->ex->ops->body(transit->ex, data, len); /* the flush tells whether to pause */
}

static void on_answer_flush(struct http_call *call)
{
    struct transit *transit = call->user;
    transit_pace_upstream(transit, transit->ex->ops->flush(transit->ex));
}

static void on_answer_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    struct transit *transit = call->user;
    struct http_exchange *ex = transit->ex;
    if (transit->hears != 0) { /* before its client can go on from it */
        session_ended(transit);
        stream_end(transit);
    }
    ex->ops->end(ex, trailers);
    ex->ops->flush(ex);
    call->ops->took(call, (uint32_t)((transit->first_byte_ns - transit->granted_ns) / 1000));
    transit_give_back(transit, reusable ? WEIR_KEEP : WEIR_RETIRE, WEIR_OK);
    transit_finish(transit);
}

static void on_call_drain(struct http_call *call)
{
    struct transit *transit = call->user;
    if (transit->unsent != NULL) {
        send_unsent(transit);
    } else {
        transit_pace_client(transit, false);
    }
}

static void on_call_fail(struct http_call *call, enum http_fault why)
{
    struct transit *transit = call->user;
    const struct replay_case it = {
        .reused = transit->reused,
        .answer_begun = transit->status != 0 || why != HTTP_FAULT_STALE,
        .harmless = transit->harmless,
        .at_hand = transit->body_held,
        .untouched = call->untouched,
        .refused = call->refused,
        .sent = call->sent,
        .replays = transit->replays,
    };
    transit_give_back(transit, http_call_fate(call), fault_err_of_call(why));
    if (transit->upstream->config->retry.on_stale && replay_stale(&it)
        && transit_again(transit, &transit->series->retries_stale, replay_is_free(&it))) {
        transit->replays++;
        transit_ask(transit, it.untouched ? 0 : WEIR_FRESH);
        return;
    }
    transit->upstream->endpoints[transit->endpoint].failed++;
    upstream_judge(transit->upstream, transit->endpoint, false);
    if (transit->status == 0 && transit->harmless
        && account_failed(transit, &transit->series->retries_code)) {
        return;
    }
    transit_cut(transit, fault_of_call(why));
}

static const struct http_caller caller = {
    .on_head = on_head,
    .on_body = on_answer_body,
    .on_end = on_answer_end,
    .on_flush = on_answer_flush,
    .on_drain = on_call_drain,
    .on_fail = on_call_fail,
};
