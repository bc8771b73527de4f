/* SPDX-License-Identifier: Apache-2.0
 *
 * A client has one timer, for itself and all its streams. It is set for the earliest deadline and
 * then left alone: one that moved back is found out when it fires.
 */
#include "listener/http2_client.h"

#define MEASURE_MS     1000U /* a body that kept its rate is measured again after */
#define DRAIN_FRESH_MS 1000U /* a drain waits so long for the first stream of a new client */

static const struct http1_refusal slow = {
    .status = 408,
    .code = "request_timeout",
    .message = "The request took too long.",
    .proxy_error = "http_request_error",
};
static const struct http1_refusal silent = {
    .status = 504,
    .code = "idle_timeout",
    .message = "Nothing was received for too long.",
    .proxy_error = "http_response_timeout",
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void http2_arm(struct http2_client *client, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX || client->state == HTTP2_GONE
        || (loop_timer_is_set(&client->timer) && client->timer.node.deadline_ms <= deadline_ms)) {
        return;
    }
    loop_timer_set(client->home->loop, &client->timer, deadline_ms);
}

/* --- when ---------------------------------------------------------------------------------------
 */

static bool is_measured(const struct http2_stream *stream)
{
    return stream->reading == HTTP2_READING_BODY && !stream->paused && http2_is_heard(stream)
           && !stream->untimed;
}

static bool is_listened_for(const struct http2_stream *stream)
{
    return http2_is_heard(stream) && !stream->untimed;
}

static uint64_t silence_due_ms(const struct http2_stream *stream)
{
    const struct http2_listener_options *opt = &stream->home->opt;
    bool waits = stream->answer == HTTP2_ANSWER_NONE && stream->reading == HTTP2_READING_DONE;
    if (!is_listened_for(stream) || stream->blocked_ms != 0) {
        return UINT64_MAX;
    }
    return http2_later(stream->active_ms, waits ? opt->answer_timeout_ms : opt->idle_timeout_ms);
}

/* When to look again: an answer that begins shortens what is left. */
static uint64_t silence_look_ms(const struct http2_stream *stream, uint64_t now_ms)
{
    if (!is_listened_for(stream)) {
        return UINT64_MAX;
    }
    uint32_t every_ms = stream->home->opt.idle_timeout_ms;
    uint64_t look_ms = http2_later(stream->active_ms, every_ms);
    if (look_ms <= now_ms) {
        look_ms = http2_later(now_ms, every_ms);
    }
    return earlier(silence_due_ms(stream), look_ms);
}

static uint64_t window_due_ms(const struct http2_stream *stream)
{
    return stream->blocked_ms != 0
               ? http2_later(stream->blocked_ms, stream->home->opt.write_timeout_ms)
               : UINT64_MAX;
}

static uint64_t stream_due_ms(const struct http2_stream *stream, uint64_t now_ms)
{
    uint64_t due_ms = is_measured(stream) ? stream->due_ms : UINT64_MAX;
    return earlier(due_ms, earlier(silence_look_ms(stream, now_ms), window_due_ms(stream)));
}

static uint64_t idle_due_ms(const struct http2_client *client)
{
    const struct http2_listener *listener = client->home;
    if (client->is_turned_away) {
        return client->since_ms + HTTP2_LINGER_MS;
    }
    if (!list_is_empty(&client->streams)) {
        return UINT64_MAX;
    }
    if (!client->fresh) {
        uint32_t timeout_ms = listener->opt.keepalive_timeout_ms;
        bool is_halved = listener->is_short && !client->is_favoured && timeout_ms != WEIR_NEVER;
        return http2_later(client->since_ms, is_halved ? timeout_ms / 2 : timeout_ms);
    }
    uint64_t due_ms = http2_later(client->since_ms, listener->opt.headers_timeout_ms);
    return client->leaving != HTTP2_STAYING ? earlier(due_ms, client->leaving_ms + DRAIN_FRESH_MS)
                                            : due_ms;
}

static uint64_t ping_due_ms(const struct http2_client *client)
{
    const struct http2_listener_options *opt = &client->home->opt;
    uint32_t every_ms = client->is_grpc ? opt->grpc_keepalive_time_ms : opt->ping_interval_ms;
    if ((list_is_empty(&client->streams) && !client->is_grpc) || every_ms == WEIR_NEVER) {
        return UINT64_MAX;
    }
    return client->active_ms + (client->pinged ? 2 : 1) * (uint64_t)every_ms;
}

/* When a client of gRPC is too old, or was for too long. */
static uint64_t age_due_ms(const struct http2_client *client)
{
    if (!client->is_grpc || client->aged_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    return client->leaving == HTTP2_STAYING
               ? client->aged_ms
               : http2_later(client->aged_ms, client->home->opt.grpc_max_age_grace_ms);
}

static uint64_t client_due_ms(const struct http2_client *client)
{
    const struct http2_listener_options *opt = &client->home->opt;
    if (client->state == HTTP2_LINGER) {
        return client->leaving_ms + HTTP2_LINGER_MS;
    }
    if (client->ending) { /* nothing is waited for but that what it is told gets through */
        return client->blocked ? http2_later(client->blocked_ms, opt->write_timeout_ms)
                               : UINT64_MAX;
    }
    uint64_t due_ms = earlier(age_due_ms(client),
                              earlier(idle_due_ms(client), ping_due_ms(client)));
    if (client->block_ms != 0) {
        due_ms = earlier(due_ms, http2_later(client->block_ms, opt->headers_timeout_ms));
    }
    if (client->blocked) {
        due_ms = earlier(due_ms, http2_later(client->blocked_ms, opt->write_timeout_ms));
    }
    if (client->leaving == HTTP2_NOTICED) {
        due_ms = earlier(due_ms, client->leaving_ms);
    }
    return due_ms;
}

void http2_arm_client(struct http2_client *client)
{
    http2_arm(client, client_due_ms(client));
}

void http2_arm_stream(struct http2_stream *stream)
{
    http2_arm(stream->client, stream_due_ms(stream, http2_now_ms(stream->client)));
}

/* --- what then
 * ------------------------------------------------------------------------------------ */

static bool body_is_fast(const struct http2_stream *stream, uint64_t now_ms)
{
    uint64_t rate = stream->home->opt.min_rate;
    uint64_t took_ms = now_ms - stream->measured_ms;
    return rate > 0 && took_ms > 0 && stream->measured_bytes * 1000 / took_ms >= rate;
}

static void measure(struct http2_stream *stream, uint64_t now_ms)
{
    stream->measured_ms = now_ms;
    stream->measured_bytes = 0;
    stream->due_ms = now_ms + MEASURE_MS;
}

/* A window that opens by crumbs is as good as shut. */
static bool window_is_fast(const struct http2_stream *stream)
{
    const struct http2_listener_options *opt = &stream->home->opt;
    uint64_t least = opt->min_rate * opt->write_timeout_ms / 1000;
    return stream->blocked_bytes > 0 && stream->blocked_bytes >= least;
}

/* Says no more to it; RST_STREAM tells the client so. */
static void give_up(struct http2_stream *stream, enum http_fault fault)
{
    if (http2_is_heard(stream)) {
        stream->answer = HTTP2_ANSWER_ABORTED;
        stream->exchange.handler->on_abort(&stream->exchange, fault);
    }
    http2_stream_reset(stream, NGHTTP2_CANCEL);
}

static void stream_fire(struct http2_stream *stream, uint64_t now_ms)
{
    struct http2_counters *counters = &stream->home->counters;
    bool all_read = stream->reading == HTTP2_READING_DONE;
    if (window_due_ms(stream) <= now_ms) {
        if (window_is_fast(stream)) {
            stream->blocked_ms = now_ms;
            stream->blocked_bytes = 0;
            return;
        }
        http2_tally(&counters->write_timeouts, 1);
        http2_tally(&counters->cut, 1);
        stream->blocked_ms = 0;
        give_up(stream, HTTP_FAULT_WRITE_TIMEOUT);
    } else if (silence_due_ms(stream) <= now_ms) {
        http2_tally(&counters->idle_timeouts, 1);
        http2_stream_refuse(stream, all_read ? &silent : &slow,
                            all_read ? HTTP_FAULT_IDLE : HTTP_FAULT_READ_TIMEOUT);
    } else if (is_measured(stream) && stream->due_ms <= now_ms) {
        if (body_is_fast(stream, now_ms)) {
            measure(stream, now_ms);
            return;
        }
        http2_tally(&counters->request_timeouts, 1);
        http2_stream_refuse(stream, &slow, HTTP_FAULT_READ_TIMEOUT);
    }
}

/* Opens no more calls; those that are open have the grace. True: that is over. */
static bool grow_old(struct http2_client *client)
{
    if (client->leaving != HTTP2_STAYING) {
        http2_client_end(client, NGHTTP2_NO_ERROR, WEIR_EAGE);
        return true;
    }
    http2_tally(&client->home->counters.aged, 1);
    client->why = WEIR_EAGE;
    http2_client_notice(client);
    return false;
}

/* Of the connection itself. True: it ends. */
static bool client_fire(struct http2_client *client, uint64_t now_ms)
{
    struct http2_counters *counters = &client->home->counters;
    const struct http2_listener_options *opt = &client->home->opt;
    if (client->state == HTTP2_LINGER) {
        if (client_due_ms(client) <= now_ms) {
            http2_client_close(client, HTTP_FAULT_CANCELLED, client->why);
            return true;
        }
    } else if (client->blocked
               && http2_later(client->blocked_ms, opt->write_timeout_ms) <= now_ms) {
        http2_tally(&counters->write_timeouts, 1);
        http2_client_close(client, HTTP_FAULT_WRITE_TIMEOUT, WEIR_EWRITE_TIMEOUT);
        return true;
    } else if (client->block_ms != 0
               && http2_later(client->block_ms, opt->headers_timeout_ms) <= now_ms) {
        http2_tally(&counters->headers_timeouts, 1);
        http2_client_calm(client, HTTP2_FLOOD_SLOW);
        return true;
    } else if (idle_due_ms(client) <= now_ms) {
        http2_tally(client->fresh ? &counters->headers_timeouts : &counters->keepalive_timeouts,
                    !client->is_turned_away);
        http2_client_end(client, NGHTTP2_NO_ERROR, WEIR_EIDLE);
        return true;
    } else if (age_due_ms(client) <= now_ms) {
        return grow_old(client);
    } else if (ping_due_ms(client) <= now_ms) {
        if (client->pinged) {
            http2_tally(&counters->ping_timeouts, 1);
            http2_client_close(client, HTTP_FAULT_CANCELLED, WEIR_EHANGUP);
            return true;
        }
        client->pinged = true;
        nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL);
        http2_client_soon(client);
    }
    return false;
}

void http2_timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct http2_client *client = container_of(timer, struct http2_client, timer);
    if (client_fire(client, now_ms) || client->state != HTTP2_OPEN) {
        http2_arm_client(client);
        return;
    }
    if (client->leaving == HTTP2_NOTICED && client->leaving_ms <= now_ms) {
        http2_client_last_word(client);
    }
    uint64_t due_ms = client_due_ms(client);
    weir_list_each_safe(node, &client->streams) {
        struct http2_stream *stream = container_of(node, struct http2_stream, on_client);
        stream_fire(stream, now_ms);
        due_ms = earlier(due_ms, stream_due_ms(stream, now_ms));
    }
    http2_arm(client, due_ms);
}
