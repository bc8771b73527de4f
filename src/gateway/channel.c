/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.c - a channel's life: how it begins, what its sides' events lead to, its times, its end.
 *
 * Only settle() frees a channel, and it is the last thing that each event does.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "gateway/channel_parts.h"
#include "gateway/clients.h"
#include "gateway/relay_parts.h"

#include <string.h>
#include <sys/random.h>

#define LOGGED_HOST_MAX 255U
#define LOGGED_PATH_MAX 512U
#define RETRY_PING_MS   1000U /* a frame is under way to a side that is to be asked */

static struct channel *channel_new(struct transit *transit, bool deflate);
static bool take_upstream(struct channel *channel, struct transit *transit,
                          struct slice *ret_ahead);
static bool take_client(struct channel *channel, struct transit *transit, struct bytes *ret_ahead);
static void hear_ahead(struct channel *channel, struct slice peer, struct bytes *take_client);
static void hear(struct channel_side *side, char *at, size_t len);
static void lose(struct channel_side *side);
static void side_close(struct channel_side *side);
static void pause_by(struct channel_side *side);
static void enter(struct channel *channel, enum channel_state state);
static void settle(struct channel *channel);
static void finish(struct channel *channel);
static void arm(struct channel *channel);
static void fire(struct loop_timer *timer, uint64_t now_ms);
static void log_it(struct channel *channel, uint64_t now_ns);

const char *channel_end_word(enum channel_end end)
{
    static const char *const words[] = {
#define CHANNEL_ROW(name, word, client, upstream) word,
        CHANNEL_ENDS(CHANNEL_ROW)
#undef CHANNEL_ROW
    };
    check((unsigned)end < CHANNEL_END_COUNT);
    return words[end];
}

/* --- birth ------------------------------------------------------------------------------------ */

static bool is_client_ready(const struct transit *transit)
{
    const struct http_exchange_ops *ops = transit->ex->ops;
    return ops->tunnel == NULL || ops->tunnel_ready(transit->ex) == 0;
}

struct channel *channel_prepare(struct transit *transit, bool deflate, struct slice *ret_ahead)
{
    struct channel *channel = channel_new(transit, deflate);
    *ret_ahead = (struct slice){"", 0};
    if (channel == NULL || !is_client_ready(transit)
        || !take_upstream(channel, transit, ret_ahead)) {
        alloc_free(&alloc_libc, channel);
        return NULL;
    }
    return channel;
}

bool channel_open(struct channel *take_channel, struct transit *transit, struct slice ahead)
{
    struct channel *channel = take_channel;
    struct relay *relay = transit->lane->relay;
    struct bytes client_ahead;
    if (!take_client(channel, transit, &client_ahead)) {
        channel->peer.ops->close(&channel->peer);
        weir_release_why(transit->upstream->pool, transit->lease, WEIR_RETIRE, WEIR_ECANCELED);
        alloc_free(&alloc_libc, channel);
        return false;
    }
    struct relay_series *series = channel->series;
    list_push_back(&relay->channels.open, &channel->on_list);
    count_one(&series->channels.opened);
    count_one(&series->by_code[transit->status]);
    timing_add(&series->first_byte, channel->first_byte_us);
    if (relay->opt.spans != NULL) {
        span_record(transit, loop_turn_ns(relay->opt.loop)); /* its handshake */
    }
    hear_ahead(channel, ahead, &client_ahead);
    if (relay->channels.drain.is_on) {
        channel_goodbye(channel, CHANNEL_END_DRAIN);
    }
    settle(channel);
    return true;
}

static char *put_text(char *to, const char *at, size_t len)
{
    if (len > 0) {
        memcpy(to, at, len);
    }
    return to + len;
}

static uint32_t us_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (uint32_t)((to_ns - from_ns) / 1000) : 0;
}

static void fill(struct channel *channel, const struct transit *transit)
{
    struct loop *loop = transit->lane->relay->opt.loop;
    uint64_t now_ns = loop_turn_ns(loop);
    channel->lane = transit->lane;
    channel->upstream = transit->upstream;
    channel->series = transit->series;
    channel->lease = transit->lease;
    channel->timer.fire = fire;
    channel->begun_ns = transit->begun_ns;
    channel->affinity = transit->affinity;
    channel->queue_us = us_between(transit->begun_ns, transit->granted_ns);
    channel->took = transit->took;
    channel->first_byte_us = us_between(transit->begun_ns, now_ns);
    channel->endpoint = transit->endpoint;
    channel->retries = transit->tries > 0 ? (uint8_t)(transit->tries - 1) : 0;
    channel->is_reused = transit->reused;
    if (getrandom(&channel->nonce, sizeof channel->nonce, GRND_NONBLOCK) != sizeof channel->nonce) {
        channel->nonce = (uint32_t)now_ns;
    }
    channel->peer.is_upstream = true;
    channel->client.heard_ms = channel->peer.heard_ms = (uint32_t)loop_now_ms(loop);
}

static struct channel *channel_new(struct transit *transit, bool deflate)
{
    const struct http_head *head = &transit->held.head;
    bool is_logged = transit->lane->relay->log.ring != NULL;
    struct slice path = route_path_of(head->path);
    uint32_t host_len = is_logged ? slice_sub(head->authority, 0, LOGGED_HOST_MAX).len : 0;
    uint32_t path_len = is_logged ? slice_sub(path, 0, LOGGED_PATH_MAX).len : 0;
    uint8_t client_len = is_logged ? transit->client_len : 0;
    char trace_room[FORWARD_TRACE_ID];
    struct slice trace = is_logged ? transit_trace(transit, trace_room) : (struct slice){"", 0};
    struct channel *channel =
        alloc_zeroed(&alloc_libc, sizeof *channel + host_len + path_len + client_len + trace.len);
    if (channel == NULL) {
        return NULL;
    }
    fill(channel, transit);
    channel->deflate = deflate;
    channel->host_len = (uint16_t)host_len;
    channel->path_len = (uint16_t)path_len;
    channel->client_len = client_len;
    channel->trace_len = (uint8_t)trace.len;
    char *to = put_text(channel->text, head->authority.at, host_len);
    to = put_text(to, path.at, path_len);
    to = put_text(to, transit->client, client_len);
    put_text(to, trace.at, trace.len);
    return channel;
}

static bool take_upstream(struct channel *channel, struct transit *transit, struct slice *ret_ahead)
{
    struct channel_side *side = &channel->peer;
    struct http_call *call = transit->call;
    if (call->ops->tunnel == NULL) {
        side->ops = &channel_call_ops;
        side->call = call;
        call->caller = &channel_caller;
        call->user = side;
        call->ops->untime(call);
        for (int i = 0; i < HTTP_AHEAD; i++) {
            call->ahead[i] = NULL;
        }
    } else {
        side->ops = &channel_tunnel_ops;
        side->tunnel.taker = &channel_tunneler;
        if (!call->ops->tunnel(call, &side->tunnel, ret_ahead)) {
            return false;
        }
        channel_tunnel_begin(side);
    }
    transit->call = NULL;
    return true;
}

static bool take_client(struct channel *channel, struct transit *transit, struct bytes *ret_ahead)
{
    struct channel_side *side = &channel->client;
    struct http_exchange *ex = transit->ex;
    if (ex->ops->tunnel == NULL) {
        side->ops = &channel_exchange_ops;
        side->ex = ex;
        channel->transit = transit;
        transit->channel = channel;
        transit->state = TRANSIT_CHANNEL;
        ex->ops->untime(ex);
        *ret_ahead = transit->ahead;
        bytes_init(&transit->ahead, &alloc_libc, HELD_WAIT_MAX);
    } else {
        side->ops = &channel_tunnel_ops;
        side->tunnel.taker = &channel_tunneler;
        if (ex->ops->tunnel(ex, &side->tunnel, ret_ahead) != 0) {
            return false;
        }
        channel_tunnel_begin(side);
    }
    channel->seat = transit->seat;
    transit->seat = 0;
    channel->client_no = transit->has_place ? transit->client_no : 0;
    transit->has_place = false;
    channel->account = transit->account;
    channel->has_account = transit->has_account;
    transit->has_account = false;
    return true;
}

/* Frames that came with the answer, and those that a client had sent behind its request. */
static void hear_ahead(struct channel *channel, struct slice peer, struct bytes *take_client)
{
    union {
        const char *given;
        char *at; /* nobody writes to it: the reader is transparent */
    } ahead = {peer.at};
    if (peer.len > 0) {
        hear(&channel->peer, ahead.at, peer.len);
    }
    if (bytes_len(take_client) > 0 && !channel->client.is_gone) {
        hear(&channel->client, bytes_at(take_client), bytes_len(take_client));
    }
    bytes_fini(take_client);
    if (channel->transit != NULL && channel->transit->ahead_ended && !channel->client.is_gone) {
        channel->client.is_ended = true;
        enter(channel, CHANNEL_CLOSING);
    }
}

/* --- events of sides -------------------------------------------------------------------------- */

/* Messages, whole ones, have passed, and the other side takes them: nothing follows from it. What
 * is heard only puts deadlines off, unless a pong was waited for, which may take longer than the
 * next ping; the timer finds out when it fires. */
static bool hear_whole(struct channel_side *side, char *at, size_t len)
{
    struct channel *channel = channel_of(side);
    struct channel_side *other = channel_other(side);
    bool was_pinged = side->is_pinged, is_broken;
    if (channel->state != CHANNEL_OPEN || !channel_pass_whole(side, at, len, &is_broken)) {
        return false;
    }
    side->heard_ms = channel_now_ms(channel);
    side->is_pinged = false;
    if (is_broken) {
        lose(other);
    }
    pause_by(side);
    if (is_broken || was_pinged || other->is_blocked || !loop_timer_is_set(&channel->timer)) {
        settle(channel);
    }
    return true;
}

void channel_heard(struct channel_side *side, char *at, size_t len)
{
    struct channel *channel = channel_of(side);
    if (!hear_whole(side, at, len)) {
        hear(side, at, len);
        settle(channel);
    }
}

void channel_drained(struct channel_side *side)
{
    struct channel *channel = channel_of(side);
    struct channel_side *other = channel_other(side);
    if (!side->ops->drain(side)) {
        lose(side);
    } else if (channel->state == CHANNEL_CLOSING) {
        channel->state_ms = channel_now_ms(channel);
    }
    if (!side->is_blocked && other->is_paused) {
        other->is_paused = false;
        other->heard_ms = channel_now_ms(channel);
        other->ops->want(other);
    }
    side->pinged_ms = channel_now_ms(channel);
    settle(channel);
}

void channel_side_ended(struct channel_side *side)
{
    struct channel *channel = channel_of(side);
    side->is_ended = true;
    side->ops->want(side);
    if (!side->has_said_close && channel->state == CHANNEL_OPEN) {
        channel->end = side->is_upstream ? CHANNEL_END_UPSTREAM_LEFT : CHANNEL_END_CLIENT_LEFT;
    }
    enter(channel, CHANNEL_CLOSING);
    settle(channel);
}

void channel_broken(struct channel_side *side)
{
    struct channel *channel = channel_of(side);
    lose(side);
    settle(channel);
}

void channel_departed(struct channel_side *side, bool is_broken)
{
    struct channel *channel = channel_of(side);
    if (is_broken) {
        lose(side);
    } else {
        pause_by(channel_other(side));
    }
    settle(channel);
}

void channel_cut(struct channel_side *side)
{
    struct channel *channel = channel_of(side);
    channel_goodbye(channel, CHANNEL_END_CUT);
    settle(channel);
}

/* It cannot be read, or written to, any more. */
static void lose(struct channel_side *side)
{
    struct channel *channel = channel_of(side);
    if (!side->has_said_close && channel->state == CHANNEL_OPEN) {
        channel->end = side->is_upstream ? CHANNEL_END_UPSTREAM_LEFT : CHANNEL_END_CLIENT_LEFT;
    }
    side_close(side);
    if (channel->is_starved && channel->state == CHANNEL_OPEN) {
        channel_goodbye(channel, CHANNEL_END_INTERNAL); /* the other one hears whose fault it was */
    } else {
        enter(channel, CHANNEL_CLOSING);
    }
}

static void hear_bad(struct channel_side *side, bool is_mute)
{
    struct channel *channel = channel_of(side);
    if (side->has_said_close || is_mute) {
        side->is_ended = true; /* what comes behind a close frame is nothing */
        side->ops->want(side);
    } else if (channel->bad == WS_BAD_MESSAGE_SIZE) {
        channel_goodbye(channel, CHANNEL_END_TOO_BIG);
    } else {
        channel_goodbye(channel,
                        side->is_upstream ? CHANNEL_END_UPSTREAM_BAD : CHANNEL_END_CLIENT_BAD);
    }
}

static void hear(struct channel_side *side, char *at, size_t len)
{
    struct channel *channel = channel_of(side);
    struct channel_side *other = channel_other(side);
    bool is_mute = channel->state == CHANNEL_GOODBYE || other->is_gone || other->is_shut;
    side->heard_ms = channel_now_ms(channel);
    side->is_pinged = false;
    switch (channel_pass(side, at, len, is_mute)) {
    case CHANNEL_PASSED: break;
    case CHANNEL_PASSED_BROKEN: lose(other); break;
    case CHANNEL_PASSED_BAD: hear_bad(side, is_mute); break;
    case CHANNEL_PASSED_MEMORY: channel_goodbye(channel, CHANNEL_END_INTERNAL); break;
    }
    if (side->has_said_close) {
        enter(channel, CHANNEL_CLOSING);
    }
    pause_by(side);
}

/* Is read only as fast as the other one takes. */
static void pause_by(struct channel_side *side)
{
    const struct channel_side *other = channel_other(side);
    if (!side->is_gone && !side->is_paused && !other->is_gone && other->is_blocked) {
        side->is_paused = true;
        side->ops->want(side);
    }
}

/* --- of clients of HTTP/2 --------------------------------------------------------------------- */

void channel_client_body(struct channel *channel, const void *data, size_t len)
{
    union {
        const void *given;
        char *at; /* nobody writes to it: the reader is transparent */
    } body = {data};
    channel_heard(&channel->client, body.at, len);
}

void channel_client_end(struct channel *channel)
{
    channel_side_ended(&channel->client);
}

void channel_client_drained(struct channel *channel)
{
    channel_drained(&channel->client);
}

void channel_client_gone(struct channel *channel)
{
    channel->client.ex = NULL;
    channel_broken(&channel->client);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void enter(struct channel *channel, enum channel_state state)
{
    if (channel->state < state) {
        channel->state = (uint8_t)state;
        channel->state_ms = channel_now_ms(channel);
    }
}

static void side_close(struct channel_side *side)
{
    if (side->is_gone) {
        return;
    }
    side->is_gone = true;
    side->is_blocked = side->is_paused = false;
    side->ops->close(side);
    struct channel_side *other = channel_other(side);
    if (!other->is_gone && other->is_paused) { /* nobody is to be waited for */
        other->is_paused = false;
        other->ops->want(other);
    }
}

static uint16_t code_to(const struct channel *channel, const struct channel_side *side)
{
    static const struct {
        uint16_t client, upstream;
    } codes[] = {
#define CHANNEL_ROW(name, word, client, upstream) {client, upstream},
        CHANNEL_ENDS(CHANNEL_ROW)
#undef CHANNEL_ROW
    };
    uint16_t code = side->is_upstream ? codes[channel->end].upstream : codes[channel->end].client;
    return code == WS_CODE_PROTOCOL ? ws_error_code((enum ws_error)channel->bad) : code;
}

/* It hears why, where a frame may be put between; else its connection ends. */
static void part_from(struct channel *channel, struct channel_side *side)
{
    uint16_t code = code_to(channel, side);
    if (side->is_gone || (side->was_told_close && channel->end != CHANNEL_END_CUT)) {
        return;
    }
    char payload[WS_CONTROL_MAX];
    if (code == 0 || !channel_may_say(side)
        || !channel_say(side, WS_CLOSE,
                        (struct slice){payload, (uint32_t)ws_write_close(
                                                    payload, code,
                                                    slice_of(channel_end_word(channel->end)))})) {
        side_close(side);
    }
}

void channel_goodbye(struct channel *channel, enum channel_end why)
{
    if (channel->state == CHANNEL_GOODBYE && why != CHANNEL_END_CUT) {
        return;
    }
    if (channel->state != CHANNEL_GOODBYE) {
        channel->end = (uint8_t)why;
        enter(channel, CHANNEL_GOODBYE);
    }
    if (why == CHANNEL_END_CUT) {
        side_close(&channel->client);
        side_close(&channel->peer);
        return;
    }
    part_from(channel, &channel->client);
    part_from(channel, &channel->peer);
    struct channel_side *sides[] = {&channel->client, &channel->peer};
    for (int i = 0; i < 2; i++) {
        if (!sides[i]->is_gone && sides[i]->is_paused) {
            sides[i]->is_paused = false; /* its close frame is waited for */
            sides[i]->ops->want(sides[i]);
        }
    }
}

void channels_let_go(struct drain *drain, uint32_t part)
{
    struct channels *channels = container_of(drain, struct channels, drain);
    uint32_t staying = 0;
    weir_list_each(node, &channels->open) {
        staying += container_of(node, struct channel, on_list)->state != CHANNEL_GOODBYE;
    }
    uint32_t quota = drain_quota(drain, staying, part);
    weir_list_each_safe(node, &channels->open) {
        struct channel *channel = container_of(node, struct channel, on_list);
        if (quota > 0 && channel->state != CHANNEL_GOODBYE) {
            quota--;
            channel_goodbye(channel, CHANNEL_END_DRAIN);
            settle(channel);
        }
    }
}

void channels_drain(struct relay *relay, uint32_t spread_ms)
{
    /* Their listeners cut who is left. */
    const struct drain_time time = {.grace_ms = WEIR_NEVER, .spread_ms = spread_ms};
    drain_begin(&relay->channels.drain, time, NULL, NULL);
}

void channels_cut(struct relay *relay)
{
    while (!list_is_empty(&relay->channels.open)) {
        struct channel *channel = container_of(list_first(&relay->channels.open), struct channel,
                                               on_list);
        channel_goodbye(channel, CHANNEL_END_CUT);
        settle(channel);
    }
}

/* What follows from how it stands, for one side. */
static void settle_side(struct channel *channel, struct channel_side *side)
{
    const struct channel_side *other = channel_other(side);
    if (side->is_gone || side->is_blocked || side->is_departing) {
        return;
    }
    bool is_over = channel->state == CHANNEL_GOODBYE
                       ? side->has_said_close || side->is_ended
                       : side->has_said_close && other->has_said_close;
    if (is_over) {
        side_close(side);
        return;
    }
    if (!side->is_shut && (other->is_ended || other->is_gone)
        && channel->state != CHANNEL_GOODBYE) {
        side->is_shut = true;
        side->ops->shut(side);
    }
    if (side->is_shut && side->is_ended) {
        side_close(side);
    }
}

static void settle(struct channel *channel)
{
    if (channel->state != CHANNEL_OPEN) {
        settle_side(channel, &channel->client);
        settle_side(channel, &channel->peer);
        settle_side(channel, &channel->client); /* what the other one's end means for it */
    }
    if (channel->client.is_gone && channel->peer.is_gone) {
        finish(channel);
    } else {
        arm(channel);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static uint32_t write_timeout_ms(const struct channel *channel, const struct channel_side *side)
{
    return side->is_upstream ? channel->upstream->config->pool.write_timeout_ms
                             : channel->lane->config->pool.write_timeout_ms;
}

/* How long from now, at least 0, to a time-out that began then. */
static uint32_t left_ms(uint32_t now_ms, uint32_t since_ms, uint32_t timeout_ms)
{
    uint32_t passed_ms = now_ms - since_ms;
    return timeout_ms == CONFIG_NEVER ? UINT32_MAX
           : passed_ms >= timeout_ms  ? 0
                                      : timeout_ms - passed_ms;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A side that does not take what is there for it is given its time for that; one that waits for the
 * other one is not asked for anything. */
static uint32_t side_left_ms(const struct channel *channel, const struct channel_side *side,
                             uint32_t now_ms)
{
    const struct config_listener *config = channel->lane->config;
    if (side->is_gone) {
        return UINT32_MAX;
    }
    if (side->is_blocked) {
        return left_ms(now_ms, side->blocked_ms, write_timeout_ms(channel, side));
    }
    if (side->is_paused || channel->state != CHANNEL_OPEN) {
        return UINT32_MAX;
    }
    return side->is_pinged ? left_ms(now_ms, side->pinged_ms, config->websocket.pong_timeout_ms)
                           : left_ms(now_ms, side->heard_ms, config->websocket.ping_interval_ms);
}

/* Where nobody is asked, silence alone decides. */
static uint32_t idle_left_ms(const struct channel *channel, uint32_t now_ms)
{
    const struct config_listener *config = channel->lane->config;
    if (config->websocket.ping_interval_ms != CONFIG_NEVER || channel->state != CHANNEL_OPEN
        || channel->client.is_blocked || channel->peer.is_blocked) {
        return UINT32_MAX;
    }
    uint32_t silent_ms = lesser(now_ms - channel->client.heard_ms, now_ms - channel->peer.heard_ms);
    return left_ms(now_ms, now_ms - silent_ms, config->pool.idle_timeout_ms);
}

static void arm(struct channel *channel)
{
    uint32_t now_ms = channel_now_ms(channel);
    uint32_t left = channel->state == CHANNEL_OPEN
                        ? idle_left_ms(channel, now_ms)
                        : left_ms(now_ms, channel->state_ms, CHANNEL_CLOSE_MS);
    left = lesser(left, side_left_ms(channel, &channel->client, now_ms));
    left = lesser(left, side_left_ms(channel, &channel->peer, now_ms));
    struct loop *loop = channel_relay(channel)->opt.loop;
    if (left != UINT32_MAX) {
        loop_timer_set(loop, &channel->timer, loop_now_ms(loop) + left);
    } else {
        loop_timer_stop(loop, &channel->timer);
    }
}

/* A side whose time has come is given up, or asked. */
static void side_fire(struct channel *channel, struct channel_side *side, uint32_t now_ms)
{
    if (channel->state == CHANNEL_GOODBYE || side_left_ms(channel, side, now_ms) > 0) {
        return;
    }
    if (side->is_blocked) {
        channel_goodbye(channel,
                        side->is_upstream ? CHANNEL_END_UPSTREAM_SLOW : CHANNEL_END_CLIENT_SLOW);
        return;
    }
    if (side->is_pinged) {
        channel_goodbye(channel, side->is_upstream ? CHANNEL_END_UPSTREAM_SILENT
                                                   : CHANNEL_END_CLIENT_SILENT);
        return;
    }
    if (!channel_may_say(side)) {
        uint32_t interval_ms = channel->lane->config->websocket.ping_interval_ms;
        uint32_t retry_ms = lesser(RETRY_PING_MS, interval_ms);
        side->heard_ms = now_ms - (interval_ms - retry_ms);
        return;
    }
    char payload[CHANNEL_PING_LEN];
    channel_ping_payload(channel, payload);
    side->is_pinged = true;
    side->pinged_ms = now_ms;
    count_one(&channel->series->channels.pings);
    if (!channel_say(side, WS_PING, (struct slice){payload, sizeof payload})) {
        lose(side);
    }
}

static void fire(struct loop_timer *timer, uint64_t now)
{
    struct channel *channel = container_of(timer, struct channel, timer);
    uint32_t now_ms = (uint32_t)now;
    if (channel->state != CHANNEL_OPEN
        && left_ms(now_ms, channel->state_ms, CHANNEL_CLOSE_MS) == 0) {
        side_close(&channel->client);
        side_close(&channel->peer);
    }
    side_fire(channel, &channel->client, now_ms);
    side_fire(channel, &channel->peer, now_ms);
    if (idle_left_ms(channel, now_ms) == 0) {
        channel_goodbye(channel, CHANNEL_END_IDLE);
    }
    settle(channel);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The client's, unless it said none: then the upstream's. */
static uint16_t close_code_of(const struct channel *channel)
{
    uint16_t code = channel->client.close_code;
    return code != 0 && code != WS_CODE_NONE ? code : channel->peer.close_code;
}

static void count_end(const struct channel *channel)
{
    struct channel_counts *counts = &channel->series->channels;
    uint16_t code = close_code_of(channel);
    count_one(&counts->closed);
    count_one(&counts->ends[channel->end]);
    if (code >= WS_CODE_NORMAL && code < WS_CODE_NORMAL + 16) {
        count_one(&counts->codes[code - WS_CODE_NORMAL]);
    } else {
        count_one(code >= 3000 ? &counts->codes_app : &counts->codes_x);
    }
}

static void finish(struct channel *channel)
{
    struct relay *relay = channel_relay(channel);
    bool is_call = channel->peer.ops == &channel_call_ops;
    count_end(channel);
    if (relay->log.ring != NULL) {
        log_it(channel, loop_turn_ns(relay->opt.loop));
    }
    if (channel->has_account) {
        upstream_give_account(channel->upstream, channel->account);
    }
    if (channel->seat != 0) {
        clients_give(relay->opt.shared->clients, channel->seat);
    }
    if (channel->client_no != 0) {
        relay_leave_place(relay, channel->client_no);
    }
    loop_timer_stop(relay->opt.loop, &channel->timer);
    weir_release_why(channel->upstream->pool, channel->lease, is_call ? WEIR_KEEP : WEIR_RETIRE,
                     WEIR_OK);
    if (channel->transit != NULL) {
        channel->transit->channel = NULL;
        transit_free(channel->transit);
    }
    alloc_free(&alloc_libc, channel->client.reader);
    alloc_free(&alloc_libc, channel->peer.reader);
    list_leave(&channel->on_list);
    alloc_free(&alloc_libc, channel);
}

static void log_it(struct channel *channel, uint64_t now_ns)
{
    struct relay *relay = channel_relay(channel);
    const struct channel_side *client = &channel->client, *peer = &channel->peer;
    const char *text = channel->text;
    const struct access_websocket figures = {
        .messages = {client->messages, peer->messages},
        .pings = {client->pings, peer->pings},
        .codes = {client->close_code, peer->close_code},
    };
    const struct access_entry entry = {
        .now_ms = loop_now_ms(relay->opt.loop),
        .listener = channel->lane->config->name,
        .upstream = channel->upstream->config->name,
        .endpoint = channel->upstream->endpoints[channel->endpoint].config->name,
        .account = channel->upstream->config->accounts.count > 0
                       ? channel->upstream->config->accounts.at[channel->account].name
                       : "",
        .session = affinity_word((enum affinity)channel->affinity),
        .client = {text + channel->host_len + channel->path_len, channel->client_len},
        .client_name = channel->client_no != 0 ? client_keys_name(relay->opt.shared->client_keys,
                                                                  channel->client_no - 1)
                                               : "",
        .method = SLICE("GET"),
        .host = {text, channel->host_len},
        .path = {text + channel->host_len, channel->path_len},
        .trace = {text + channel->host_len + channel->path_len + channel->client_len,
                  channel->trace_len},
        .status = 101,
        .error = channel->bad != 0 && channel->end != CHANNEL_END_CLOSED
                     ? ws_error_word((enum ws_error)channel->bad)
                     : channel_end_word((enum channel_end)channel->end),
        .cut = channel->end != CHANNEL_END_CLOSED,
        .reused = channel->is_reused,
        .retries = channel->retries,
        .request_bytes = client->bytes,
        .answer_bytes = peer->bytes,
        .queue_us = channel->queue_us,
        .took = channel->took,
        .first_byte_us = channel->first_byte_us,
        .total_us = (now_ns - channel->begun_ns) / 1000,
        .websocket = &figures,
    };
    access_write(&relay->log, &entry);
}

/* --- looking in ------------------------------------------------------------------------------- */

static void look_at(struct channel_side *side, struct channel_info *ret)
{
    const struct channel *channel = channel_of(side);
    const struct channel_side *other = channel_other(side);
    struct loop *loop = channel_relay(channel)->opt.loop;
    *ret = (struct channel_info){
        .is_upstream = side->is_upstream,
        .messages_in = side->messages,
        .messages_out = other->messages,
        .bytes_in = side->bytes,
        .bytes_out = other->bytes,
        .rtt_us = side->rtt_us,
        .age_ms = (uint32_t)((loop_turn_ns(loop) - channel->begun_ns) / 1000000),
        .silent_ms = channel_now_ms(channel) - side->heard_ms,
    };
}

void channel_info_of(const struct http_tunnel *tunnel, struct channel_info *ret)
{
    look_at(container_of((struct http_tunnel *)(uintptr_t)tunnel, struct channel_side, tunnel),
            ret);
}

bool channel_info_of_exchange(const struct http_exchange *ex, struct channel_info *ret)
{
    const struct transit *transit = ex->handler == &relay_handler ? ex->user : NULL;
    if (transit == NULL || transit->channel == NULL || transit->channel->client.ex != ex) {
        return false;
    }
    look_at(&transit->channel->client, ret);
    return true;
}

bool channel_info_of_call(const struct http_call *call, struct channel_info *ret)
{
    if (call->caller != &channel_caller) {
        return false;
    }
    look_at(call->user, ret);
    return true;
}
