/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http2_client.h"

#include "base/fetch.h"
#include "base/rand.h"
#include "core/pool.h"
#include "io/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_MAX 16384U /* SETTINGS_MAX_FRAME_SIZE, of which nothing else is said */

static void client_ready(struct stream *stream, unsigned events);
static void client_readable(struct http2_client *client);
static void client_lost(struct http2_client *client, ssize_t how);
static void client_send(struct loop_later *later);
static void send_frames(struct http2_client *client);
static void bury_over(struct http2_client *client);
static void flush(struct http2_client *client);
static void judge_window(struct http2_stream *stream, uint64_t now_ms);
static void settle(struct http2_client *client);
static void linger(struct http2_client *client);
static void wake_givers(struct http2_client *client);
static bool is_unknown(const struct http2_client *client, const struct http2_frame_head *head);
static bool admit_frame(struct http2_client *client, const struct http2_frame_head *head);
static void judge_block(struct http2_client *client);
static void tell_flushes(struct http2_client *client);

/* --- a client's life ----------------------------------------------------------------------------
 */

static void guest_close(struct guest *guest, weir_err why)
{
    struct http2_client *client = (struct http2_client *)(void *)guest;
    if (client->state == HTTP2_OPEN) {                   /* one that lingers ends by itself, soon */
        http2_client_end(client, NGHTTP2_NO_ERROR, why); /* what is on its way may go again */
    }
}

static void guest_cut(struct guest *guest)
{
    const struct http2_client *client = (struct http2_client *)(void *)guest;
    shutdown(stream_fd(client->stream), SHUT_RDWR); /* the reader sees it */
}

static void guest_each(const struct guest *guest, guest_exchange_fn *fn, void *arg)
{
    const struct http2_client *client = (const struct http2_client *)(const void *)guest;
    weir_list_each(node, &client->streams) {
        const struct http2_stream *stream = container_of(node, struct http2_stream, on_client);
        if (http2_is_heard(stream)) {
            fn(arg, (uint32_t)stream->id, &stream->exchange);
        }
    }
}

static int guest_fd_of(const struct guest *guest)
{
    const struct http2_client *client = (const struct http2_client *)(const void *)guest;
    return client->stream != NULL ? stream_fd(client->stream) : -1;
}

static const struct guest_ops guest_ops = {.close = guest_close,
                                           .cut = guest_cut,
                                           .fd = guest_fd_of,
                                           .each = guest_each};

/* A tenth more or less, so that those who came together do not leave together. */
static uint64_t aged_at(const struct http2_client *client, uint64_t now_ms)
{
    uint64_t age_ms = client->home->opt.grpc_max_age_ms;
    uint64_t most = age_ms / 5;
    uint64_t lot = rand_mix(now_ms ^ (uint64_t)(uintptr_t)client);
    return age_ms == WEIR_NEVER ? UINT64_MAX : now_ms + age_ms - most / 2 + lot % (most + 1);
}

struct http2_client *http2_client_new(struct http2_listener *listener, struct stream *take_stream,
                                      const struct front_client *from)
{
    struct http2_client *client = alloc_zeroed(listener->opt.alloc, sizeof *client);
    if (client == NULL) {
        stream_close(take_stream);
        if (from->is_seated && listener->front != NULL) {
            front_leave(listener->front, from->address);
        }
        return NULL;
    }
    uint64_t now_ms = loop_now_ms(listener->loop);
    client->guest.ops = &guest_ops;
    client->home = listener;
    client->stream = take_stream;
    client->timer.fire = http2_timer_fire;
    client->send.run = client_send;
    client->seated = from->is_seated;
    client->fresh = true;
    client->since_ms = client->active_ms = now_ms;
    client->aged_ms = aged_at(client, now_ms);
    client->scan.left = sizeof http2_preface;
    list_init(&client->streams);
    list_init(&client->laden);
    list_init(&client->told);
    list_init(&client->over);
    outbox_init(&client->out, &listener->cork, HTTP2_KEPT_MAX);
    http2_budget_init(&client->budget, now_ms);
    memcpy(client->peer.address, from->address, sizeof client->peer.address);
    client->peer.text_len = (uint8_t)guest_print(from->address, client->peer.text);
    client->peer.tls = from->is_tls;
    client->peer.server_name = from->server_name;
    client->ends = from->ends;
    client->peer.ends = &client->ends;
    take_stream->owner = client;
    take_stream->on_ready = client_ready;
    list_push_back(&listener->clients, &client->on_list);
    if (http2_session_open(client) != 0) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, WEIR_ENOMEM);
        return NULL;
    }
    http2_tally(&listener->counters.connections, 1);
    http2_client_want(client);
    http2_arm_client(client);
    return client;
}

static void request_let_go(struct http2_client *client)
{
    struct http2_listener *listener = client->home;
    if (client->request == NULL) {
        return;
    }
    if (listener->spare_request == NULL) {
        listener->spare_request = client->request;
    } else {
        http2_request_fini(client->request);
        alloc_free(listener->opt.alloc, client->request);
    }
    client->request = NULL;
}

void http2_client_close(struct http2_client *client, enum http_fault fault, weir_err why)
{
    struct http2_listener *listener = client->home;
    if (client->state == HTTP2_GONE) {
        return;
    }
    client->state = HTTP2_GONE;
    while (!list_is_empty(&client->streams)) {
        http2_stream_close(
            container_of(list_first(&client->streams), struct http2_stream, on_client), fault);
    }
    bury_over(client);
    request_let_go(client);
    loop_timer_stop(listener->loop, &client->timer);
    loop_later_cancel(listener->loop, &client->send);
    outbox_fini(&client->out);
    stream_close(client->stream);
    client->stream = NULL;
    if (client->conn.id != 0) {
        weir_conn_down(listener->pool, client->conn, why);
    }
    listener->refusals -= client->is_turned_away;
    if (client->seated && listener->front != NULL) {
        front_leave(listener->front, client->peer.address);
    }
    list_remove(&listener->clients, &client->on_list);
    list_push_back(&listener->graves, &client->on_list);
    loop_later(listener->loop, &listener->bury);
}

void http2_client_end(struct http2_client *client, uint32_t code, weir_err why)
{
    if (client->state != HTTP2_OPEN || client->ending) {
        return;
    }
    client->ending = true;
    client->why = why;
    client->leaving = HTTP2_LEAVING;
    client->leaving_ms = http2_now_ms(client);
    if (nghttp2_session_terminate_session(client->session, code) != 0) {
        client->out.failed = true; /* no memory for a last word */
    }
    http2_client_soon(client);
}

void http2_client_calm(struct http2_client *client, enum http2_flood flood)
{
    if (client->flood != HTTP2_FLOOD_NONE || flood == HTTP2_FLOOD_NONE) {
        return;
    }
    client->flood = (uint8_t)flood;
    http2_tally(&client->home->counters.floods[flood], 1);
    http2_client_end(client, NGHTTP2_ENHANCE_YOUR_CALM, WEIR_EPROTOCOL);
}

void http2_client_no_memory(struct http2_client *client)
{
    if (client->flood == HTTP2_FLOOD_NONE) {
        client->flood = HTTP2_FLOOD_MEMORY;
        http2_tally(&client->home->counters.floods[HTTP2_FLOOD_MEMORY], 1);
    }
    client->out.failed = true;
    http2_client_soon(client);
}

/* It opens no more streams when it has read this, and those that are on their way still count. */
void http2_client_notice(struct http2_client *client)
{
    if (client->state != HTTP2_OPEN || client->leaving != HTTP2_STAYING) {
        return;
    }
    client->leaving = HTTP2_NOTICED;
    client->leaving_ms = http2_now_ms(client) + HTTP2_DRAIN_MS;
    nghttp2_submit_shutdown_notice(client->session);
    http2_client_soon(client);
    http2_arm_client(client);
}

void http2_client_last_word(struct http2_client *client)
{
    client->leaving = HTTP2_LEAVING;
    nghttp2_submit_goaway(client->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(client->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    http2_client_soon(client);
}

/* --- reading ------------------------------------------------------------------------------------
 */

static bool client_reads(const struct http2_client *client)
{
    if (client->state != HTTP2_OPEN) {
        return true;
    }
    /* One that does not read what we say is not listened to for long. */
    return !client->ending
           && (!client->blocked
               || nghttp2_session_get_outbound_queue_size(client->session) < HTTP2_ACKS_MAX);
}

void http2_client_want(struct http2_client *client)
{
    if (client->state == HTTP2_GONE) {
        return;
    }
    unsigned wants = outbox_is_blocked(&client->out) ? STREAM_WRITE : 0;
    if (!client->ended) {
        wants |= client_reads(client) ? STREAM_READ : STREAM_HANGUP;
    }
    if (wants != client->wants) {
        client->wants = (uint8_t)wants;
        stream_want(client->stream, wants);
    }
}

static void client_ready(struct stream *stream, unsigned events)
{
    struct http2_client *client = stream->owner;
    if ((events & STREAM_WRITE) != 0 && outbox_is_blocked(&client->out)) {
        send_frames(client);
    }
    if (client->state == HTTP2_GONE) {
        return;
    }
    if ((events & STREAM_READ) != 0) {
        client_readable(client);
    } else if ((events & STREAM_HANGUP) != 0) {
        client_lost(client, 0);
    }
}

static void client_readable(struct http2_client *client)
{
    struct http2_listener *listener = client->home;
    size_t cap;
    char *buf = loop_buffer(listener->loop, &cap);
    ssize_t n = stream_read(client->stream, buf, cap);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        client_lost(client, n);
        return;
    }
    http2_tally(&listener->counters.reads, 1);
    http2_tally(&listener->counters.bytes_in, (uint64_t)n);
    if (client->state == HTTP2_LINGER) {
        client->forgotten += (uint32_t)n;
        if (client->forgotten > HTTP2_LINGER_MAX) {
            http2_client_close(client, HTTP_FAULT_CANCELLED, client->why);
        }
        return;
    }
    http2_client_feed(client, buf, (size_t)n);
}

/* The client closed its direction (0), or the connection broke (-errno). Without a direction to us
 * it can open no window, so there is no use in going on but for what is framed already. */
static void client_lost(struct http2_client *client, ssize_t how)
{
    if (how == 0 && outbox_is_blocked(&client->out) && list_is_empty(&client->streams)) {
        client->ended = true;
        http2_client_want(client);
        return;
    }
    http2_client_close(client, HTTP_FAULT_CANCELLED, how == 0 ? WEIR_EHANGUP : WEIR_ERESET);
}

/* What nghttp2 could not go on after. */
static void feed_failed(struct http2_client *client, ssize_t error)
{
    switch (error) {
    case NGHTTP2_ERR_CALLBACK_FAILURE: break; /* ended where it failed */
    case NGHTTP2_ERR_FLOODED: http2_client_calm(client, HTTP2_FLOOD_QUEUE); break;
    case NGHTTP2_ERR_NOMEM: http2_client_no_memory(client); break;
    default:
        http2_tally(&client->home->counters.protocol_errors, 1);
        http2_client_end(client, NGHTTP2_PROTOCOL_ERROR, WEIR_EPROTOCOL);
    }
}

static bool feed_library(struct http2_client *client, const char *at, size_t len)
{
    if (len == 0) {
        return true;
    }
    ssize_t took = nghttp2_session_mem_recv(client->session, (const uint8_t *)at, len);
    if (took < 0) {
        feed_failed(client, took);
    }
    return took >= 0 && client->state == HTTP2_OPEN && !client->ending && !client->out.failed;
}

void http2_client_feed(struct http2_client *client, const char *at, size_t len)
{
    size_t fed = 0, seen = 0;
    client->feeding = true;
    client->active_ms = http2_now_ms(client);
    bool goes_on = true;
    while (goes_on && seen < len) {
        struct http2_frame_head head;
        bool found;
        seen += http2_scan_next(&client->scan, at + seen, len - seen, &found, &head);
        if (!found) {
            continue;
        }
        if (is_unknown(client, &head)
            && seen - fed > HTTP2_FRAME_HEAD) { /* or it began in what is not fed yet */
            goes_on = feed_library(client, at + fed, seen - fed - HTTP2_FRAME_HEAD);
            fed = seen - HTTP2_FRAME_HEAD;
        }
        goes_on = goes_on && admit_frame(client, &head);
    }
    if (goes_on && fed < len) {
        feed_library(client, at + fed, len - fed);
    }
    client->feeding = false;
    tell_flushes(client);
    if (client->state != HTTP2_OPEN || client->out.failed) {
        return;
    }
    judge_block(client);
    if (client->memory + client->pending > client->home->opt.max_session_memory) {
        http2_client_calm(client, HTTP2_FLOOD_MEMORY);
    }
    if (nghttp2_session_get_outbound_queue_size(client->session) > HTTP2_FRAMES_MAX) {
        http2_client_calm(client, HTTP2_FLOOD_QUEUE);
    }
    http2_client_soon(client);
}

void http2_client_forget(struct http2_client *client, int32_t id)
{
    client->resets[client->resets_at++ % HTTP2_RESETS_KEPT] = id;
}

static bool was_reset(const struct http2_client *client, int32_t id)
{
    for (unsigned i = 0; i < HTTP2_RESETS_KEPT; i++) {
        if (client->resets[i] == id) {
            return true;
        }
    }
    return false;
}

/* A head or a body of a stream that was there before, but is not now; or its beginning has not been
 * fed yet. */
static bool is_unknown(const struct http2_client *client, const struct http2_frame_head *head)
{
    bool is_judged = head->type == NGHTTP2_DATA || head->type == NGHTTP2_HEADERS;
    return is_judged && head->stream != 0 && head->stream <= client->last_id
           && head->stream != client->begun
           && nghttp2_session_get_stream_user_data(client->session, head->stream) == NULL;
}

/* What nghttp2 forgives and RFC 9113 §5.1 does not: a head or a body for a stream that is over, or
 * was passed by. */
static bool admit_stream(struct http2_client *client, const struct http2_frame_head *head)
{
    if ((head->type != NGHTTP2_DATA && head->type != NGHTTP2_HEADERS) || head->stream == 0) {
        return true;
    }
    int32_t last = client->last_id;
    if (head->stream > last) {
        if (head->type == NGHTTP2_HEADERS && head->stream % 2 == 1) {
            client->last_id = head->stream;
        }
        return true;
    }
    if (head->stream % 2 == 0 || head->stream == client->begun || was_reset(client, head->stream)
        || nghttp2_session_get_stream_user_data(client->session, head->stream) != NULL) {
        return true;
    }
    http2_tally(&client->home->counters.protocol_errors, 1);
    http2_client_end(client, NGHTTP2_STREAM_CLOSED, WEIR_EPROTOCOL);
    return false;
}

/* The stream whose body comes next, as a rule, and which needs no looking up then; or 0. */
static int32_t goes_on_with(const struct http2_client *client, const struct http2_frame_head *head)
{
    bool begins = head->type == NGHTTP2_HEADERS && head->stream > client->last_id
                  && head->stream % 2 == 1 && (head->flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    bool goes_on = head->type == NGHTTP2_DATA && head->stream == client->begun;
    return (begins || goes_on) && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0 ? head->stream : 0;
}

/* What nghttp2 lets pass, having no use for it: RFC 9113 §4.2, §6.3. */
static uint32_t fault_of_frame(const struct http2_frame_head *head)
{
    if (head->type == NGHTTP2_CONTINUATION && head->length > FRAME_MAX) {
        return NGHTTP2_FRAME_SIZE_ERROR;
    }
    return head->type == NGHTTP2_PRIORITY && head->stream == 0 ? NGHTTP2_PROTOCOL_ERROR
                                                               : NGHTTP2_NO_ERROR;
}

static bool admit_frame(struct http2_client *client, const struct http2_frame_head *head)
{
    uint32_t fault = fault_of_frame(head);
    if (fault != NGHTTP2_NO_ERROR) {
        http2_tally(&client->home->counters.protocol_errors, 1);
        http2_client_end(client, fault, WEIR_EPROTOCOL);
        return false;
    }
    enum http2_flood flood = http2_budget_frame(&client->budget, head->type, head->length,
                                                head->flags, http2_now_ms(client));
    if (flood != HTTP2_FLOOD_NONE) {
        http2_client_calm(client, flood);
        return false;
    }
    if (head->type == NGHTTP2_HEADERS || head->type == NGHTTP2_CONTINUATION) {
        bool is_last = (head->flags & NGHTTP2_FLAG_END_HEADERS) != 0;
        client->block = is_last ? HTTP2_BLOCK_LAST : HTTP2_BLOCK_OPEN;
    } else {
        client->block = HTTP2_BLOCK_NONE;
    }
    int32_t begun = goes_on_with(client, head);
    bool is_fine = admit_stream(client, head);
    client->begun = begun;
    return is_fine;
}

/* A header block that is not complete has a deadline, and keeps the room that it is read into. */
static void judge_block(struct http2_client *client)
{
    bool is_open = client->block == HTTP2_BLOCK_OPEN
                   || (client->block == HTTP2_BLOCK_LAST && client->scan.left > 0);
    if (!is_open) {
        client->block_ms = 0;
        request_let_go(client);
    } else if (client->block_ms == 0) {
        client->block_ms = http2_now_ms(client);
        http2_arm_client(client);
    }
}

/* Each handler that was told something in this read hears that it is over. */
static void tell_flushes(struct http2_client *client)
{
    struct node *node;
    while ((node = list_pop_front(&client->told)) != NULL) {
        struct http2_stream *stream = container_of(node, struct http2_stream, on_told);
        if (http2_is_heard(stream)) {
            stream->exchange.handler->on_flush(&stream->exchange);
        }
    }
}

/* --- writing ------------------------------------------------------------------------------------
 */

void http2_client_soon(struct http2_client *client)
{
    if (client->state == HTTP2_OPEN) {
        loop_later(client->home->loop, &client->send);
    }
}

static void client_send(struct loop_later *later)
{
    send_frames(container_of(later, struct http2_client, send));
}

/* Our SETTINGS, the first frame. What nghttp2 was told of max_concurrent_streams is no limit, since
 * it ends the connection where one stream is too many; the client is told ours, and
 * RFC 9113 §5.1.2 is obeyed where streams begin. */
static void greet(struct http2_client *client, const uint8_t *frame, size_t len)
{
    const size_t at = HTTP2_FRAME_HEAD;
    uint32_t most = client->home->opt.max_concurrent_streams;
    check(len >= at + 6 && frame[3] == NGHTTP2_SETTINGS
          && frame[at + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    const uint8_t ours[4] = {(uint8_t)(most >> 24), (uint8_t)(most >> 16), (uint8_t)(most >> 8),
                             (uint8_t)most};
    outbox_text(&client->out, frame, at + 2);
    outbox_text(&client->out, ours, sizeof ours);
    outbox_text(&client->out, frame + at + 6, len - at - 6);
    client->greeted = true;
}

/* Frames until there are none, the cork is full, or the socket takes no more. */
static bool gather(struct http2_client *client)
{
    const struct cork *cork = client->out.cork;
    client->full = false;
    client->sending = true;
    ssize_t n;
    do {
        const uint8_t *bytes;
        n = nghttp2_session_mem_send(client->session, &bytes);
        if (n > 0 && client->greeted) {
            outbox_text(&client->out, bytes, (size_t)n);
        } else if (n > 0) {
            greet(client, bytes, (size_t)n);
        }
        if (cork->owner == &client->out && cork->text_used > CORK_TEXT_BYTES / 2) {
            client->full = true;
        }
    } while (n > 0 && !client->full);
    client->sending = false;
    if (n < 0) {
        client->out.failed = true; /* no memory: nothing that it says can be relied on */
    }
    return client->full;
}

static void send_frames(struct http2_client *client)
{
    bool more = true;
    if (client->state == HTTP2_GONE) {
        return;
    }
    flush(client);
    while (more && client->state == HTTP2_OPEN && !client->out.failed
           && !outbox_is_blocked(&client->out)) {
        more = gather(client);
        flush(client);
    }
    settle(client);
}

static void flush(struct http2_client *client)
{
    struct http2_counters *counters = &client->home->counters;
    size_t sent = outbox_flush(&client->out, client->stream);
    uint64_t now_ms = http2_now_ms(client);
    if (sent > 0) {
        http2_tally(&counters->writes, 1);
        http2_tally(&counters->bytes_out, sent);
    }
    bool blocked = outbox_is_blocked(&client->out);
    if (blocked && (sent > 0 || !client->blocked)) {
        client->blocked_ms = now_ms;
    }
    if (blocked != client->blocked) {
        client->blocked = blocked;
        http2_arm_client(client);
    }
    weir_list_each(node, &client->laden) {
        struct http2_stream *stream = container_of(node, struct http2_stream, on_laden);
        if (stream->framed > 0) {
            bytes_consume(&stream->body, stream->framed);
            client->pending -= stream->framed;
            stream->framed = 0;
        }
        judge_window(stream, now_ms);
    }
    bury_over(client);
}

/* What lies there although everything that may go has gone waits for the client's window. */
static void judge_window(struct http2_stream *stream, uint64_t now_ms)
{
    const struct http2_client *client = stream->client;
    if (bytes_len(&stream->body) == 0 || client->blocked || client->full) {
        stream->blocked_ms = 0;
    } else if (stream->blocked_ms == 0) {
        stream->blocked_ms = now_ms;
        stream->blocked_bytes = 0;
        http2_arm_stream(stream);
    }
}

static void bury_over(struct http2_client *client)
{
    struct node *node;
    while ((node = list_pop_front(&client->over)) != NULL) {
        struct http2_stream *stream = container_of(node, struct http2_stream, on_client);
        http2_stream_bury(stream);
    }
}

/* What comes of having sent: givers go on, the goodbye is over, the connection broke. */
static void settle(struct http2_client *client)
{
    if (client->state == HTTP2_GONE) {
        return;
    }
    if (client->out.failed) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, WEIR_ERESET);
        return;
    }
    if (client->state == HTTP2_OPEN) {
        wake_givers(client);
    }
    if (client->state == HTTP2_OPEN && !client->blocked) {
        bool is_done = client->ending
                       || (client->leaving == HTTP2_LEAVING && list_is_empty(&client->streams));
        if (is_done
            || (nghttp2_session_want_read(client->session) == 0
                && nghttp2_session_want_write(client->session) == 0)) {
            linger(client);
        }
    } else if (client->state == HTTP2_LINGER && !outbox_is_blocked(&client->out)) {
        stream_shutdown(client->stream);
        if (client->ended) {
            http2_client_close(client, HTTP_FAULT_CANCELLED, client->why);
        }
    }
    http2_client_want(client);
}

static void wake_givers(struct http2_client *client)
{
    weir_list_each_safe(node, &client->laden) {
        struct http2_stream *stream = container_of(node, struct http2_stream, on_laden);
        size_t left = bytes_len(&stream->body);
        /* One that has sent all goes on, however much the others have that are not read. */
        if (stream->waits && left < HTTP2_BODY_HIGH
            && (left == 0 || client->pending < HTTP2_PENDING_HIGH)) {
            http2_stream_drained(stream);
        }
        if (client->state != HTTP2_OPEN) {
            return;
        }
        if (bytes_len(&stream->body) == 0 && !stream->waits) {
            list_leave(&stream->on_laden);
        }
    }
}

/* All is said. What the client was still saying is read for a while, since a close with unread
 * bytes is a reset that can overtake our last word. */
static void linger(struct http2_client *client)
{
    struct http2_listener *listener = client->home;
    client->why = client->why != WEIR_OK ? client->why : WEIR_ERETIRED;
    if (client->ended) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, client->why);
        return;
    }
    client->state = HTTP2_LINGER;
    client->leaving_ms = http2_now_ms(client);
    while (!list_is_empty(&client->streams)) {
        http2_stream_close(
            container_of(list_first(&client->streams), struct http2_stream, on_client),
            client->flood != HTTP2_FLOOD_NONE ? HTTP_FAULT_BAD_REQUEST : HTTP_FAULT_CANCELLED);
    }
    bury_over(client);
    request_let_go(client);
    http2_session_close(client);
    client->session = NULL;
    if (client->conn.id != 0) {
        weir_conn_retire(listener->pool, client->conn, client->why);
    }
    if (stream_shutdown(client->stream) != 0) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, client->why);
        return;
    }
    loop_timer_stop(listener->loop, &client->timer);
    http2_arm_client(client);
}
