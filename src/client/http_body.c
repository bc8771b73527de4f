/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending: the head, and the body in pieces as the peer takes them. A body in memory leaves with
 * the head where it is short; one that the program brings is asked for only while there is room.
 */
#include "base/check.h"
#include "client/http.h"

static void send_memory(struct request *request);
static void send_pulled(struct request *request);

void request_send(struct request *request, bool here)
{
    struct http_call *call = request->call;
    const struct message *message = &request->message;
    request->body_done = 0;
    request->is_sent = request->is_blocked = request->pull_waits = false;
    call->ops->request(call, &message->head);
    if (message->body_len == 0) {
        call->ops->end(call, NULL);
        request->is_sent = true;
        call->ops->flush(call);
    } else if (!request->is_pulled) {
        send_memory(request);
    } else if (here) {
        request->is_blocked = call->ops->flush(call);
        request_kick(request);
    } else {
        send_pulled(request);
    }
}

void request_send_more(struct request *request)
{
    if (request->is_blocked) {
        return;
    }
    if (request->is_pulled) {
        send_pulled(request);
    } else {
        send_memory(request);
    }
}

static void count_out(struct request *request, size_t len)
{
    request->body_done += len;
    lane_count(&request->lane->bytes_out, len);
}

static void finish_if_all(struct request *request)
{
    if (request->body_done == request->message.body_len) {
        request->call->ops->end(request->call, NULL);
        request->is_sent = true;
    }
}

static void send_memory(struct request *request)
{
    struct http_call *call = request->call;
    const struct message *message = &request->message;
    while (!request->is_sent && !request->is_blocked) {
        uint64_t left = message->body_len - request->body_done;
        size_t len = left < HTTP_PIECE ? (size_t)left : HTTP_PIECE;
        call->ops->body(call, (const char *)message->body + request->body_done, len);
        count_out(request, len);
        finish_if_all(request);
        request->is_blocked = call->ops->flush(call);
    }
}

/* --- bodies that the program brings -------------------------------------------------------------
 */

static bool has_piece(struct lane *lane)
{
    if (lane->piece == NULL) {
        lane->piece = alloc_new(lane->client->alloc, HTTP_PIECE);
    }
    return lane->piece != NULL;
}

static size_t pull(struct request *request)
{
    struct lane *lane = request->lane;
    uint64_t left = request->message.body_len - request->body_done;
    size_t room = left < HTTP_PIECE ? (size_t)left : HTTP_PIECE;
    request->was_pulled = true;
    lane->depth++;
    size_t len = request->handler->pull(request->arg, lane->piece, room);
    lane->depth--;
    return len <= room || len == WEIR_HTTP_LATER ? len : WEIR_HTTP_FAIL;
}

/* One piece; false: no more for now. */
static bool send_piece(struct request *request)
{
    struct http_call *call = request->call;
    size_t len = pull(request);
    if (request->is_canceled) {
        return false; /* by the program, from there: it is on its way */
    }
    bool is_open_ended = request->message.body_len == WEIR_HTTP_UNKNOWN;
    if (len == WEIR_HTTP_LATER) {
        request->pull_waits = true;
        request->is_blocked = call->ops->flush(call);
        return false;
    }
    if (len == WEIR_HTTP_FAIL || (len == 0 && !is_open_ended)) {
        request->is_canceled = true;
        request_kick(request);
        return false;
    }
    if (len == 0) {
        call->ops->end(call, NULL);
        request->is_sent = true;
    } else {
        call->ops->body(call, request->lane->piece, len);
        count_out(request, len);
        finish_if_all(request);
    }
    request->is_blocked = call->ops->flush(call);
    return !request->is_sent && !request->is_blocked;
}

static void send_pulled(struct request *request)
{
    if (request->pull_waits) {
        return;
    }
    if (!has_piece(request->lane)) {
        request->is_canceled = request->is_short = true;
        request_kick(request);
        return;
    }
    uint32_t pieces = 0;
    while (pieces < HTTP_PULLS && send_piece(request)) {
        pieces++;
    }
    if (pieces == HTTP_PULLS) {
        request_kick(request); /* others want their turn */
    }
}

/* --- again --------------------------------------------------------------------------------------
 */

bool request_is_repeatable(const struct request *request)
{
    return !request->was_pulled || request->handler->rewind != NULL;
}

bool request_rewind(struct request *request)
{
    if (!request->was_pulled) {
        return true;
    }
    request->lane->depth++;
    bool is_rewound = request->handler->rewind(request->arg);
    request->lane->depth--;
    request->was_pulled = !is_rewound;
    return is_rewound;
}
