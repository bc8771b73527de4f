/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http1_client.h"
#include "listener/refusal.h"

static void refusal_write(struct request *request, const struct http1_refusal *refusal,
                          uint8_t asked)
{
    struct refusal_answer answer;
    refusal_make(&answer, refusal, request->client->home->opt.server);
    request->answer = ANSWER_NONE;
    request->keep = false;
    request->method_id = asked;
    request->exchange.ops->respond(&request->exchange, &answer.head);
    request->exchange.ops->body(&request->exchange, answer.body, answer.body_len);
    request->answer = ANSWER_ENDED;
    http1_answer_flush(request);
}

void client_refuse(struct client *client, const struct http1_refusal *refusal,
                   enum http_fault fault, weir_err why)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    uint8_t asked = HTTP_METHOD_OTHER;
    if (client->state == CLIENT_OPEN) {
        asked = request->method_id;
        if (request->headed || !request_is_heard(request)) {
            http1_tally(&listener->counters.cut, request_is_heard(request));
            client_abort(client, fault, why);
            return;
        }
        request->answer = ANSWER_ABORTED;
        listener->handler->on_abort(&request->exchange, fault);
    }
    if (request == NULL) {
        request = request_new(client);
    }
    if (request == NULL) {
        client_close(client, why);
        return;
    }
    if (asked == HTTP_METHOD_OTHER) {
        request->minor = 1;
        request_fill_peer(request);
    }
    if (listener->opt.on_refuse != NULL) {
        listener->opt.on_refuse(listener->opt.refuse_self, &request->peer, refusal);
    }
    refusal_write(request, refusal, asked);
    client_linger(client, why);
}

void client_refuse_bad(struct client *client, enum http1_error error)
{
    const struct http1_refusal refusal = {
        .status = http1_error_status(error),
        .code = http1_error_word(error),
        .message = "The request cannot be understood.",
        .proxy_error = "http_request_error",
    };
    http1_tally(&client->home->counters.bad_requests, 1);
    client_refuse(client, &refusal, HTTP_FAULT_BAD_REQUEST, WEIR_EPROTOCOL);
}

void client_refuse_full(struct client *client)
{
    client_refuse(client, refusal_of_door((enum accept_refusal)client->refusal), HTTP_FINE,
                  WEIR_EFULL);
}

/* --- lingering ----------------------------------------------------------------------------------
 *
 * Closing a socket that has unread bytes sends a reset, which can overtake the last answer and wipe
 * it out at the client. So the end of our direction is sent, and what the client was still saying
 * is read until it ends, too, or had its chance.
 */

void client_linger(struct client *client, weir_err why)
{
    struct http1_listener *listener = client->home;
    struct request *request = client->request;
    if (client->ended && !outbox_is_blocked(&request->out)) {
        client_close(client, why);
        return;
    }
    request_end_lease(request);
    if (client->conn.id != 0) {
        weir_conn_retire(listener->pool, client->conn, why);
    }
    loop_later_cancel(listener->loop, &request->kick);
    bytes_release(&request->held);
    request->forgotten = 0;
    request->reading = READING_DONE;
    client->state = CLIENT_LINGER;
    client->since = (uint32_t)client_now_ms(client);
    client_arm_state(client);
    client_want(client);
    client_linger_said(client);
}

void client_linger_said(struct client *client)
{
    const struct request *request = client->request;
    if (request->out.failed || client->ended) {
        if (!outbox_is_blocked(&request->out)) {
            client_close(client, WEIR_EHANGUP);
        }
    } else if (!outbox_is_blocked(&request->out) && stream_shutdown(client->stream) != 0) {
        client_close(client, WEIR_ERESET);
    }
}

void client_linger_read(struct client *client, size_t len)
{
    struct request *request = client->request;
    uint64_t forgotten = (uint64_t)request->forgotten + len;
    request->forgotten = (uint32_t)forgotten;
    if (forgotten > HTTP1_LINGER_MAX) {
        client_close(client, WEIR_ERETIRED);
    }
}
