/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler may do with an exchange. Nothing here calls a handler: what comes of a call, a
 * broken connection or the next request, comes in a later event.
 */
#include "base/fetch.h"
#include "core/pool.h"
#include "listener/http1_client.h"

#include <errno.h>

static struct request *request_of(struct http_exchange *exchange)
{
    return container_of(exchange, struct request, exchange);
}

/* A connection that broke is found out by its reader, or here, after the handler's call. */
static void note_failure(struct request *request)
{
    struct client *client = request->client;
    if (request->out.failed && client->state == CLIENT_OPEN) {
        loop_later(client->home->loop, &request->kick);
    }
}

static void settle_unless_feeding(struct client *client)
{
    if (client->home->feeding != client) {
        client_settle(client);
    }
}

/* --- the head -----------------------------------------------------------------------------------
 */

static void count_answer(struct http1_counters *counters, unsigned status)
{
    _Atomic uint64_t *by_class[] = {
        &counters->answers_1xx, &counters->answers_2xx, &counters->answers_3xx,
        &counters->answers_4xx, &counters->answers_5xx,
    };
    if (status >= 100 && status < 600) {
        http1_tally(by_class[status / 100 - 1], 1);
    }
}

/* An error said before the body was read will not make the client stop sending: the rest is read
 * only where it is known to be short. Who waits for 100 and gets a final answer may or may not send
 * its body (RFC 9110 §10.1.1): only closing is unambiguous. */
static bool body_spoils(const struct request *request, unsigned status)
{
    if (request->reading != READING_BODY) {
        return false;
    }
    bool is_short = request->body.framing == HTTP_LENGTH
                    && request->body.left <= HTTP1_DRAIN_BODY_MAX;
    return !request->continued || (status >= 400 && !is_short);
}

static void plan_answer(struct request *request, const struct http_head *head)
{
    request->framing = http1_answer_framing(head, request->method_id, request->minor);
    request->left = head->content_length;
    request->headed = true;
    request->answer = ANSWER_BODY;
    if (request->framing == HTTP_UNTIL_CLOSE || request->client->home->drain.is_on
        || request->exchange.is_last || body_spoils(request, head->status)) {
        request->keep = false;
    }
}

/* An answer ends soon after its head, mostly. */
static void fetch_end(const struct request *request)
{
    const struct client *client = request->client;
    fetch(client->stream, FETCH_LINE);
    fetch(pool_lease_at(client->home->pool, request->lease), POOL_LEASE_BYTES);
    pool_conn_fetch(client->home->pool, client->conn);
}

static void exchange_respond(struct http_exchange *exchange, const struct http_head *head)
{
    struct request *request = request_of(exchange);
    if (request->client == NULL || request->answer != ANSWER_NONE) {
        return;
    }
    struct http1_listener *listener = request->client->home;
    fetch_end(request);
    struct http1_writing writing = {.peer_minor = request->minor, .asked = request->method_id};
    if (head->status >= 200) {
        plan_answer(request, head);
        writing.date = (struct slice){loop_http_date(listener->loop), 29};
        writing.close = !request->keep;
    } else if (request->minor == 0) {
        return; /* HTTP/1.0 knows none (RFC 9110 §15.2) */
    } else {
        request->continued |= head->status == 100;
    }
    size_t cap = http1_head_size(head, &writing);
    char *room = outbox_room(&request->out, cap);
    if (room == NULL) {
        note_failure(request);
        return;
    }
    ssize_t len = http1_write_response(head, &writing, room, cap);
    check(len > 0);
    outbox_unused(&request->out, cap - (size_t)len);
    count_answer(&listener->counters, head->status);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static bool exchange_body(struct http_exchange *exchange, const void *data, size_t len)
{
    struct request *request = request_of(exchange);
    struct outbox *out = &request->out;
    if (request->client == NULL || request->answer != ANSWER_BODY) {
        return false;
    }
    if (request->framing == HTTP_LENGTH && len > request->left) {
        len = request->left; /* what is more than announced would be read as the next answer */
        request->keep = false;
    }
    if (len > 0 && request->framing == HTTP_CHUNKED) {
        char line[HTTP1_CHUNK_HEAD_MAX];
        outbox_text(out, line, http1_write_chunk_head(len, line));
        outbox_refer(out, data, len);
        outbox_text(out, HTTP1_CHUNK_TAIL, sizeof HTTP1_CHUNK_TAIL - 1);
    } else if (len > 0 && request->framing != HTTP_NO_BODY) {
        outbox_refer(out, data, len);
        request->left -= request->framing == HTTP_LENGTH ? len : 0;
    }
    note_failure(request);
    return outbox_is_blocked(out);
}

/* So much of the answer has been sent now. True: there is more that the stream did not take. */
static bool answer_sent(struct request *request, size_t sent)
{
    struct client *client = request->client;
    struct http1_counters *counters = &client->home->counters;
    bool blocked = outbox_is_blocked(&request->out);
    if (sent > 0) {
        http1_tally(&counters->writes, 1);
        http1_tally(&counters->bytes_out, sent);
        request->active_ms = client_now_ms(client);
    }
    if (blocked && (sent > 0 || !request->blocked)) {
        request->blocked_ms = client_now_ms(client);
    }
    if (blocked != request->blocked) {
        request->blocked = blocked;
        client_arm_state(client);
        client_want(client);
    }
    note_failure(request);
    return blocked;
}

bool http1_answer_flush(struct request *request)
{
    const struct client *client = request->client;
    if (client == NULL || client->state == CLIENT_GONE || request->out.departing) {
        return false;
    }
    return answer_sent(request, outbox_flush(&request->out, client->stream));
}

/* The handler's. It may be what sends the last of an answer that has ended: then that is over. */
static bool exchange_flush(struct http_exchange *exchange)
{
    struct request *request = request_of(exchange);
    bool blocked = http1_answer_flush(request);
    if (request->client != NULL && request->answer == ANSWER_ENDED) {
        settle_unless_feeding(request->client);
    }
    return blocked;
}

static void write_last_chunk(struct request *request, const struct http_head *trailers)
{
    size_t cap = sizeof "0\r\n\r\n";
    for (unsigned i = 0; trailers != NULL && i < trailers->field_count; i++) {
        cap += trailers->fields[i].name.len + trailers->fields[i].value.len + sizeof ": \r\n";
    }
    char *room = outbox_room(&request->out, cap);
    if (room == NULL) {
        return;
    }
    ssize_t len = http1_write_last_chunk(trailers, room, cap);
    check(len > 0);
    outbox_unused(&request->out, cap - (size_t)len);
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void exchange_abort(struct http_exchange *exchange)
{
    struct request *request = request_of(exchange);
    if (request->client == NULL || !request_is_heard(request)) {
        return;
    }
    request->answer = ANSWER_ABORTED;
    settle_unless_feeding(request->client);
}

/* The connection ends with this answer, or part of the request is still to come. */
static bool is_last(const struct request *request)
{
    return !request->keep || request->reading != READING_DONE;
}

static void answer_departed(struct outbox *outbox, size_t sent)
{
    struct request *request = container_of(outbox, struct request, out);
    struct client *client = request->client;
    answer_sent(request, sent);
    settle_unless_feeding(client);
}

static void exchange_end(struct http_exchange *exchange, const struct http_head *trailers)
{
    struct request *request = request_of(exchange);
    struct client *client = request->client;
    if (client == NULL || !request_is_heard(request)) {
        return;
    }
    if (!request->headed || (request->framing == HTTP_LENGTH && request->left > 0)) {
        exchange_abort(exchange); /* less than announced: the client has to see a cut */
        return;
    }
    if (request->framing == HTTP_CHUNKED) {
        write_last_chunk(request, trailers);
    }
    request->answer = ANSWER_ENDED;
    if (!is_last(request) && outbox_depart(&request->out, client->stream, answer_departed)) {
        return; /* all the rest when it is gone */
    }
    http1_answer_flush(request);
    settle_unless_feeding(client);
}

static void exchange_pause(struct http_exchange *exchange, bool paused)
{
    struct request *request = request_of(exchange);
    struct client *client = request->client;
    if (client == NULL || request->paused == paused || request->reading != READING_BODY) {
        return;
    }
    request->paused = paused;
    if (!paused) {
        request_measure(request, client_now_ms(client));
        client_arm_state(client);
    }
    if (client->home->feeding != client) {
        client_want(client);
    }
}

static int exchange_tunnel_ready(struct http_exchange *exchange)
{
    const struct client *client = request_of(exchange)->client;
    return client == NULL || loop_cell_ready(client->home->loop) ? 0 : -ENOMEM;
}

/* The bytes behind the request's head are of the new protocol; of the answer, 101 was all. */
static int exchange_tunnel(struct http_exchange *exchange, struct http_tunnel *tunnel,
                           struct bytes *ret_ahead)
{
    struct request *request = request_of(exchange);
    struct client *client = request->client;
    if (client == NULL || client->state != CLIENT_OPEN || request->answer != ANSWER_NONE
        || request->reading != READING_DONE || client->ended
        || (client->home->feeding == client && tunnel->taker->on_ahead == NULL)
        || request->out.failed || outbox_holds(&request->out)) {
        return -EALREADY;
    }
    struct bytes held = request->held;
    bytes_init(&request->held, held.alloc, held.max);
    if (!client_tunnel(client, tunnel)) {
        request->held = held;
        return -ENOMEM;
    }
    *ret_ahead = held;
    return 0;
}

const struct http_exchange_ops http1_exchange_ops = {
    .respond = exchange_respond,
    .body = exchange_body,
    .end = exchange_end,
    .flush = exchange_flush,
    .abort = exchange_abort,
    .pause = exchange_pause,
    .tunnel_ready = exchange_tunnel_ready,
    .tunnel = exchange_tunnel,
};
