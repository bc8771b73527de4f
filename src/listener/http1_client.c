/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http1_client.h"

#include "base/fetch.h"
#include "core/pool.h"
#include "io/socket.h"
#include "listener/guest.h"

#include <errno.h>
#include <string.h>

static void client_ready(struct stream *stream, unsigned events);
static void client_writable(struct client *client);
static void client_readable(struct client *client);
static void client_lost(struct client *client, ssize_t how);
static void client_feed(struct client *client, const char *at, size_t len);
static size_t client_take(struct client *client, const char *at, size_t len);
static bool is_preface(const struct client *client, const char *at, size_t len);
static size_t take_head(struct client *client, const char *at, size_t len);
static size_t take_body(struct client *client, const char *at, size_t len);
static void request_let_go(struct client *client);
static void request_begin(struct client *client, struct http_head *head);
static void request_finish(struct client *client);
static void request_kick(struct loop_later *later);

/* --- a client's life ----------------------------------------------------------------------------
 */

static void guest_close(struct guest *guest, weir_err why)
{
    struct client *client = container_of(guest, struct client, guest);
    if (client->state != CLIENT_LINGER) { /* that one ends by itself, soon */
        client_abort(client, HTTP_FAULT_CANCELLED, why);
    }
}

static void guest_cut(struct guest *guest)
{
    const struct client *client = container_of(guest, struct client, guest);
    shutdown(stream_fd(client->stream), SHUT_RDWR); /* the reader sees it */
}

static int guest_fd_of(const struct guest *guest)
{
    const struct client *client = (const struct client *)(const void *)guest; /* its first member */
    return client->stream != NULL ? stream_fd(client->stream) : -1;
}

static const struct guest_ops guest_ops = {.close = guest_close,
                                           .cut = guest_cut,
                                           .fd = guest_fd_of};

struct client *client_new(struct http1_listener *listener, struct stream *take_stream,
                          const uint8_t address[16])
{
    struct client *client = alloc_zeroed(listener->opt.alloc, sizeof *client);
    if (client == NULL) {
        stream_close(take_stream);
        return NULL;
    }
    client->guest.ops = &guest_ops;
    client->home = listener;
    client->stream = take_stream;
    client->timer.fire = client_timer_fire;
    client->state = CLIENT_IDLE;
    client->fresh = true;
    client->since = (uint32_t)loop_now_ms(listener->loop);
    memcpy(client->address, address, sizeof client->address);
    take_stream->owner = client;
    take_stream->on_ready = client_ready;
    socket_read_ahead(take_stream);
    list_push_back(&listener->clients, &client->on_list);
    client_want(client);
    client_arm_state(client);
    return client;
}

void client_turn_away(struct client *client, enum accept_refusal why)
{
    struct http1_listener *listener = client->home;
    listener->refusals++;
    client->state = CLIENT_REFUSED;
    client->refusal = (uint8_t)why;
    http1_tally(http1_refused(&listener->counters, why), 1);
    if (listener->opt.on_full != NULL) {
        listener->opt.on_full(listener->opt.refuse_self, why);
    }
    if (listener->refusals > (why == ACCEPT_SHORT ? HTTP1_SHORT_MAX : HTTP1_REFUSALS_MAX)) {
        client_refuse_full(client);
        client_close(client, WEIR_EFULL);
        return;
    }
    client_arm_state(client);
}

/* The stack may still be in it. */
static void client_to_grave(struct client *client)
{
    struct http1_listener *listener = client->home;
    list_remove(&listener->clients, &client->on_list);
    list_push_back(&listener->graves, &client->on_list);
    loop_later(listener->loop, &listener->bury);
}

/* Its stream is somebody else's, or about to be closed. */
static struct stream *client_bury(struct client *client, weir_err why)
{
    struct http1_listener *listener = client->home;
    struct stream *stream = client->stream;
    if (client->request != NULL) {
        request_let_go(client);
    }
    client->state = CLIENT_GONE;
    client->stream = NULL;
    loop_timer_stop(listener->loop, &client->timer);
    if (client->conn.id != 0) {
        weir_conn_down(listener->pool, client->conn, why);
    } else {
        listener->refusals--;
    }
    client_to_grave(client);
    return stream;
}

void http1_leave(struct http1_listener *listener, const uint8_t address[16])
{
    if (listener->opt.front != NULL) {
        front_leave(listener->opt.front, address);
    } else if (listener->door != NULL) {
        accept_leave(listener->door, address);
    }
}

void client_close(struct client *client, weir_err why)
{
    if (client->state == CLIENT_GONE) {
        return;
    }
    struct stream *stream = client_bury(client, why);
    if (stream != NULL) {
        stream_close(stream);
    }
    if (client->seated) {
        http1_leave(client->home, client->address);
    }
}

uint64_t client_spend(struct client *client, struct http_tunnel *tunnel)
{
    struct request *request = client->request;
    uint64_t lease = request->lease.id;
    request->lease.id = 0;
    request->answer = ANSWER_ENDED;
    request_let_go(client);
    loop_timer_stop(client->home->loop, &client->timer);
    client->stream = NULL;
    client->conn.id = 0;
    client->tunnel = tunnel;
    client->state = CLIENT_GONE;
    client_to_grave(client);
    return lease;
}

void client_hand_on(struct client *client, const char *at, size_t len)
{
    struct front *front = client->home->opt.front;
    struct front_client onward = {.is_seated = client->seated,
                                  .why = (enum accept_refusal)client->refusal,
                                  .ends = client->ends,
                                  .ahead = at,
                                  .ahead_len = len};
    struct stream *stream = client_bury(client, WEIR_EMOVED);
    memcpy(onward.address, client->address, sizeof onward.address);
    onward.is_tls = stream_is_tls(stream);
    onward.server_name = onward.is_tls ? tls_server_name(stream) : "";
    front_hand_on(front, stream, &onward);
}

void client_abort(struct client *client, enum http_fault fault, weir_err why)
{
    struct request *request = client->request;
    if (request != NULL && client->state == CLIENT_OPEN && request_is_heard(request)) {
        request->answer = ANSWER_ABORTED;
        http1_tally(&client->home->counters.left, fault == HTTP_FAULT_CANCELLED);
        client->home->handler->on_abort(&request->exchange, fault);
    }
    client_close(client, why);
}

/* A close_notify would say that all was said. */
static void client_silence(const struct client *client)
{
    if (stream_is_tls(client->stream)) {
        tls_close_silently(client->stream);
    }
}

void client_reset(struct client *client, enum http_fault fault, weir_err why)
{
    struct stream *bottom = client->stream;
    client_silence(client);
    while (bottom->below != NULL) {
        bottom = bottom->below;
    }
    socket_linger_none(bottom);
    client_abort(client, fault, why);
}

static bool client_reads(const struct client *client)
{
    const struct request *request = client->request;
    if (request == NULL || client->state == CLIENT_LINGER) {
        return true;
    }
    if (request->reading == READING_BODY) {
        return !request->paused;
    }
    return request->reading != READING_DONE || bytes_len(&request->held) == 0;
}

void client_want(struct client *client)
{
    const struct request *request = client->request;
    if (client->state == CLIENT_GONE) {
        return;
    }
    unsigned wants = request != NULL && outbox_is_blocked(&request->out) ? STREAM_WRITE : 0;
    if (!client->ended) {
        wants |= client_reads(client) ? STREAM_READ : STREAM_HANGUP;
    }
    if (wants != client->wants) {
        client->wants = (uint8_t)wants;
        stream_want(client->stream, wants);
    }
}

void client_arm(struct client *client, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX
        || (loop_timer_is_set(&client->timer) && client->timer.node.deadline_ms <= deadline_ms)) {
        return;
    }
    loop_timer_set(client->home->loop, &client->timer, deadline_ms);
}

/* --- request records ----------------------------------------------------------------------------
 */

static struct request *record_new(struct http1_listener *listener)
{
    struct request *request = listener->spare;
    if (request != NULL) {
        listener->spare = request->spare;
        listener->spare_count--;
        fetch(listener->spare, REQUEST_HOT_BYTES); /* for the next client */
        return request;
    }
    request = alloc_zeroed(listener->opt.alloc, sizeof *request);
    if (request == NULL) {
        return NULL;
    }
    request->exchange = (struct http_exchange){
        .ops = &http1_exchange_ops, .handler = listener->handler, .peer = &request->peer};
    request->kick.run = request_kick;
    outbox_init(&request->out, &listener->cork, HTTP1_PENDING_MAX);
    size_t cap;
    loop_buffer(listener->loop, &cap);
    bytes_init(&request->held, listener->opt.alloc, cap);
    return request;
}

static void record_free(struct http1_listener *listener, struct request *request)
{
    outbox_fini(&request->out);
    bytes_fini(&request->held);
    alloc_free(listener->opt.alloc, request);
}

/* Ready for a head. The record's buffers are as they were. */
static void request_reset(struct request *request, uint64_t now_ms)
{
    request->lease = (weir_lease){0};
    request->reading = READING_HEAD;
    request->progress = (struct http1_progress){0};
    request->answer = ANSWER_NONE;
    request->told = request->paused = request->headed = request->blocked = false;
    request->forgotten = 0;
    request->measured_ms = now_ms;
    request->measured_bytes = 0;
}

struct request *request_new(struct client *client)
{
    struct request *request = record_new(client->home);
    if (request == NULL) {
        return NULL;
    }
    uint64_t now_ms = client_now_ms(client);
    request->client = client;
    request->exchange.near = client;
    client->request = request;
    request_reset(request, now_ms);
    client->state = CLIENT_HEAD;
    if (!client->fresh) {
        client->since = (uint32_t)now_ms;
    }
    client_arm_state(client);
    return request;
}

void request_end_lease(struct request *request)
{
    if (request->lease.id != 0) {
        weir_release(request->client->home->pool, request->lease, WEIR_KEEP);
        request->lease.id = 0;
    }
}

/* The record goes back to the free list, the lease to the pool. */
static void request_let_go(struct client *client)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    request_end_lease(request);
    loop_later_cancel(listener->loop, &request->kick);
    request->client = NULL;
    client->request = NULL;
    if (listener->spare_count >= HTTP1_SPARE_MAX) {
        record_free(listener, request);
        return;
    }
    bytes_release(&request->held);
    if (request->out.failed || outbox_holds(&request->out)
        || listener->cork.owner == &request->out) {
        outbox_fini(&request->out);
        outbox_init(&request->out, &listener->cork, HTTP1_PENDING_MAX);
    }
    request->spare = listener->spare;
    listener->spare = request;
    listener->spare_count++;
}

void request_free_spare(struct http1_listener *listener)
{
    while (listener->spare != NULL) {
        struct request *request = listener->spare;
        listener->spare = request->spare;
        record_free(listener, request);
    }
    listener->spare_count = 0;
}

/* --- readiness ----------------------------------------------------------------------------------
 */

static void client_ready(struct stream *stream, unsigned events)
{
    struct client *client = stream->owner;
    if ((events & STREAM_WRITE) != 0) {
        client_writable(client);
    }
    if (client->state == CLIENT_GONE) {
        return;
    }
    if ((events & STREAM_READ) != 0) {
        client_readable(client);
    } else if ((events & STREAM_HANGUP) != 0) {
        client_lost(client, 0);
    }
}

static void client_writable(struct client *client)
{
    struct request *request = client->request;
    if (request == NULL || !outbox_is_blocked(&request->out)) {
        return;
    }
    http1_answer_flush(request);
    if (outbox_is_blocked(&request->out)) {
        return;
    }
    if (client->state == CLIENT_LINGER) {
        client_linger_said(client);
    } else if (request->out.failed) {
        client_abort(client, HTTP_FAULT_CANCELLED, WEIR_ERESET);
    } else if (request->answer == ANSWER_BODY) {
        client->home->handler->on_drain(&request->exchange);
    } else {
        client_settle(client);
    }
}

/* One read into the loop's buffer, behind what the client had sent before and is not used yet. */
static void client_readable(struct client *client)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    size_t cap;
    size_t held = request != NULL ? bytes_len(&request->held) : 0;
    char *buf = held > 0 ? loop_buffer(listener->loop, &cap) : loop_inbox(listener->loop, &cap);
    pool_conn_fetch(listener->pool, client->conn); /* while the kernel copies */
    ssize_t n = held < cap ? stream_read(client->stream, buf + held, cap - held) : -ENOBUFS;
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        client_lost(client, n);
        return;
    }
    http1_tally(&listener->counters.reads, 1);
    http1_tally(&listener->counters.bytes_in, (uint64_t)n);
    if (client->state == CLIENT_REFUSED && is_preface(client, buf, (size_t)n)) {
        client_hand_on(client, buf, (size_t)n);
    } else if (client->state == CLIENT_REFUSED) {
        client_refuse_full(client);
    } else if (client->state == CLIENT_LINGER) {
        client_linger_read(client, (size_t)n);
    } else {
        if (held > 0) {
            memcpy(buf, bytes_at(&request->held), held);
            bytes_clear(&request->held);
        }
        client_feed(client, buf, held + (size_t)n);
    }
}

/* The client closed its direction (0), or the connection broke (-errno). One that still takes the
 * end of its answer may have it. */
static void client_lost(struct client *client, ssize_t how)
{
    struct request *request = client->request;
    weir_err why = how == 0 ? WEIR_EHANGUP : WEIR_ERESET;
    bool is_taking = how == 0 && request != NULL && outbox_holds(&request->out)
                     && (client->state == CLIENT_LINGER || !request_is_heard(request));
    if (is_taking) {
        client->ended = true;
        client_want(client);
        return;
    }
    client_abort(client, HTTP_FAULT_CANCELLED, why);
}

/* --- bytes of requests --------------------------------------------------------------------------
 */

static void client_feed(struct client *client, const char *at, size_t len)
{
    struct http1_listener *listener = client->home;
    size_t used = 0;
    listener->feeding = client;
    for (size_t step = 1; step > 0 && used < len && client->state != CLIENT_GONE; used += step) {
        step = client_take(client, at + used, len - used);
    }
    if (client->state == CLIENT_GONE) {
        listener->feeding = NULL;
        if (client->tunnel != NULL) {
            client->tunnel->taker->on_ahead(client->tunnel, (char *)(uintptr_t)at + used,
                                            len - used);
        }
        return;
    }
    struct request *request = client->request;
    if (client->state == CLIENT_OPEN && request->told && request_is_heard(request)) {
        request->told = false;
        listener->handler->on_flush(&request->exchange);
    }
    listener->feeding = NULL;
    if (client->state != CLIENT_OPEN && client->state != CLIENT_HEAD) {
        return;
    }
    if (used < len && !bytes_append(&request->held, at + used, len - used)) {
        client_abort(client, HTTP_FAULT_CANCELLED, WEIR_ENOMEM);
        return;
    }
    client_settle(client);
    client_want(client);
}

/* Returns what was used; 0 where more is needed, or the client is not to be read now. */
static size_t client_take(struct client *client, const char *at, size_t len)
{
    struct request *request = client->request;
    if (request == NULL) {
        request = request_new(client);
        if (request == NULL) {
            client_close(client, WEIR_ENOMEM);
            return 0;
        }
    }
    size_t step = 0;
    if (request->reading == READING_HEAD) {
        step = take_head(client, at, len);
    } else if (request->reading != READING_DONE) {
        step = take_body(client, at, len);
    }
    client_settle(client);
    return client->state == CLIENT_LINGER ? 0 : step;
}

/* HTTP/2 by prior knowledge (RFC 9113 §3.3). Over TLS it is for ALPN to say so. */
static bool is_preface(const struct client *client, const char *at, size_t len)
{
    const struct front *front = client->home->opt.front;
    return len >= 4 && memcmp(at, "PRI ", 4) == 0 && client->fresh && front != NULL
           && front_has_http2(front) && !stream_is_tls(client->stream);
}

static size_t take_head(struct client *client, const char *at, size_t len)
{
    struct http1_listener *listener = client->home;
    struct http_head head;
    if (is_preface(client, at, len)) {
        client_hand_on(client, at, len);
        return 0;
    }
    if (listener->opt.hands_on_only && len >= 4) {
        client_refuse_bad(client, HTTP1_BAD_VERSION);
        return 0;
    }
    head.fields = listener->fields;
    ssize_t took = http1_parse_request(&client->request->progress, at, len, &listener->limits,
                                       &head);
    if (took < 0) {
        client_refuse_bad(client, (enum http1_error) - took);
        return 0;
    }
    if (took > 0) {
        request_begin(client, &head);
    }
    return (size_t)took;
}

/* What a handler gets to see of the client. Often the record's last client is this one, too. */
void request_fill_peer(struct request *request)
{
    struct http_peer *peer = &request->peer;
    const uint8_t *address = request->client->address;
    if (peer->text_len == 0 || memcmp(peer->address, address, 16) != 0) {
        memcpy(peer->address, address, 16);
        peer->text_len = (uint8_t)guest_print(address, peer->text);
    }
    peer->ends = &request->client->ends;
    peer->tls = stream_is_tls(request->client->stream);
    peer->server_name = peer->tls ? tls_server_name(request->client->stream) : NULL;
}

static void request_begin(struct client *client, struct http_head *head)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    if (weir_conn_lease(listener->pool, client->conn, &request->lease) != WEIR_OK) {
        client_close(client, WEIR_ECLOSED); /* the pool has told it to close meanwhile */
        return;
    }
    http1_tally(&listener->counters.requests, 1);
    bool has_body = head->framing != HTTP_NO_BODY;
    uint64_t now_ms = client_now_ms(client);
    client->state = CLIENT_OPEN;
    request->exchange.is_first = client->fresh;
    request->exchange.is_favoured = request->exchange.is_last = false;
    client->fresh = false;
    request->exchange.user = NULL;
    request->method_id = head->method_id;
    request->minor = head->version_minor;
    request->keep = head->keep_alive;
    request->continued = !head->expect_continue;
    request->reading = has_body ? READING_BODY : READING_DONE;
    request->told = true;
    request->active_ms = now_ms;
    request_fill_peer(request);
    if (has_body) {
        http1_body_init(&request->body, head, &listener->limits);
        request->due_ms = later(request->measured_ms, listener->opt.request_timeout_ms);
    }
    client_arm_state(client);
    listener->handler->on_request(listener->handler_self, &request->exchange, head, !has_body);
}

static void body_data(struct client *client, struct slice data)
{
    struct request *request = client->request;
    request->measured_bytes += data.len;
    request->continued = true;
    if (request_is_heard(request)) {
        request->told = true;
        client->home->handler->on_body(&request->exchange, data.at, data.len);
        return;
    }
    request->forgotten += data.len;
    if (request->answer == ANSWER_ENDED && request->forgotten > HTTP1_DRAIN_BODY_MAX) {
        client_linger(client, WEIR_ERETIRED);
    }
}

static size_t take_body(struct client *client, const char *at, size_t len)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    struct http_head trailers = {.fields = listener->trailers};
    struct http1_piece piece = {0};
    size_t used = 0;
    enum http1_body_event event;
    request->active_ms = client_now_ms(client);
    do {
        event = http1_body_next(&request->body, at + used, len - used, &trailers, &piece);
        used += piece.used;
        if (event == HTTP1_BODY_DATA) {
            body_data(client, piece.data);
        }
    } while (event == HTTP1_BODY_DATA && client->state == CLIENT_OPEN
             && request->answer != ANSWER_ABORTED);
    if (client->state != CLIENT_OPEN || request->answer == ANSWER_ABORTED) {
        return used;
    }
    if (event == HTTP1_BODY_BAD) {
        client_refuse_bad(client, piece.error);
    } else if (event == HTTP1_BODY_END) {
        request->reading = READING_DONE;
        if (request_is_heard(request)) {
            request->told = true;
            listener->handler->on_request_end(&request->exchange,
                                              trailers.field_count > 0 ? &trailers : NULL);
        }
    }
    return used;
}

/* --- the end of an exchange ---------------------------------------------------------------------
 */

/* A cut must not look like an end: where only the close ends the body, it has to be a reset. */
static void client_cut(struct client *client)
{
    struct request *request = client->request;
    http1_tally(&client->home->counters.cut, 1);
    outbox_flush(&request->out, client->stream);
    if (request->headed && request->framing == HTTP_UNTIL_CLOSE) {
        client_reset(client, HTTP_FINE, WEIR_EBROKEN);
    } else {
        client_silence(client);
        client_close(client, WEIR_EBROKEN);
    }
}

/* Too much is announced to read it all for nothing. */
static bool body_is_long(const struct request *request)
{
    return request->body.framing == HTTP_LENGTH && request->body.left > HTTP1_DRAIN_BODY_MAX;
}

void client_settle(struct client *client)
{
    struct request *request = client->request;
    if (client->state != CLIENT_OPEN || request_is_heard(request)) {
        return;
    }
    if (request->answer == ANSWER_ABORTED) {
        client_cut(client);
    } else if (request->out.failed || (client->ended && !outbox_holds(&request->out))) {
        client_close(client, WEIR_EHANGUP);
    } else if (outbox_holds(&request->out)) {
        return;
    } else if (request->reading == READING_DONE) {
        request_finish(client);
    } else if (!request->keep || !request->continued || body_is_long(request)) {
        client_linger(client, WEIR_ERETIRED);
    } else {
        request->reading = READING_NOTHING;
        client_want(client);
    }
}

/* It was told to keep its connection before the drain began: it asks next, or soon, or goes. */
static bool is_last(const struct client *client, uint64_t now_ms)
{
    return bytes_len(&client->request->held) == 0
           && drain_idle_until_ms(&client->home->drain, now_ms) <= now_ms;
}

static void request_finish(struct client *client)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    uint64_t now_ms = client_now_ms(client);
    if (!request->keep || (listener->drain.is_on && is_last(client, now_ms))) {
        client_close(client, WEIR_ERETIRED);
        return;
    }
    client->since = (uint32_t)now_ms;
    client->favoured = request->exchange.is_favoured;
    if (bytes_len(&request->held) > 0) {
        request_end_lease(request);
        request_reset(request, now_ms);
        client->state = CLIENT_HEAD;
        loop_later(listener->loop, &request->kick);
    } else {
        request_let_go(client);
        client->state = CLIENT_IDLE;
    }
    client_arm_state(client);
    client_want(client);
}

/* Out of the way of whatever was said: the next request lies here already, or a send failed. */
static void request_kick(struct loop_later *later)
{
    struct request *request = container_of(later, struct request, kick);
    struct client *client = request->client;
    if (client->state == CLIENT_OPEN) {
        if (request->out.failed) {
            client_abort(client, HTTP_FAULT_CANCELLED, WEIR_ERESET);
        }
    } else if (client->state == CLIENT_HEAD) {
        size_t cap;
        char *buf = loop_buffer(client->home->loop, &cap);
        size_t held = bytes_len(&request->held);
        memcpy(buf, bytes_at(&request->held), held);
        bytes_clear(&request->held);
        client_feed(client, buf, held);
    }
}
