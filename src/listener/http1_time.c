/* SPDX-License-Identifier: Apache-2.0
 *
 * A client has one timer. It is set for the earliest deadline of its state and then left alone: a
 * deadline that moved back is found out when it fires, so that a request sets no timer.
 */
#include "listener/http1_client.h"

#define MEASURE_MS 1000U /* a body that kept its rate is measured again after */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the clock of its state began. */
static uint64_t since_ms(const struct client *client)
{
    uint64_t now_ms = client_now_ms(client);
    return now_ms - ((uint32_t)now_ms - client->since);
}

static uint64_t idle_due_ms(const struct client *client)
{
    const struct http1_listener *listener = client->home;
    if (!client->fresh) {
        uint32_t timeout_ms = listener->opt.keepalive_timeout_ms;
        bool is_halved = listener->is_short && !client->favoured && timeout_ms != WEIR_NEVER;
        return earlier(later(since_ms(client), is_halved ? timeout_ms / 2 : timeout_ms),
                       drain_idle_until_ms(&listener->drain, since_ms(client)));
    }
    uint64_t due_ms = later(since_ms(client), listener->opt.headers_timeout_ms);
    return listener->drain.is_on ? earlier(due_ms, drain_fresh_until_ms(&listener->drain)) : due_ms;
}

static bool is_measured(const struct request *request)
{
    return request->reading != READING_DONE && !request->paused;
}

static uint64_t silence_due_ms(const struct client *client)
{
    const struct request *request = client->request;
    const struct http1_listener_options *opt = &client->home->opt;
    bool waits = request->answer == ANSWER_NONE && request->reading == READING_DONE;
    return request_is_heard(request)
               ? later(request->active_ms, waits ? opt->answer_timeout_ms : opt->idle_timeout_ms)
               : UINT64_MAX;
}

/* When to look again whether it is silent. The answer may begin at any moment and shorten what is
 * left, so a wait that may be long is looked at as often as a short one; beginning to answer then
 * has no timer to move. */
static uint64_t silence_look_ms(const struct client *client)
{
    if (!request_is_heard(client->request)) {
        return UINT64_MAX;
    }
    uint32_t every_ms = client->home->opt.idle_timeout_ms;
    uint64_t look_ms = later(client->request->active_ms, every_ms);
    if (look_ms <= client_now_ms(client)) {
        look_ms = later(client_now_ms(client), every_ms);
    }
    return earlier(silence_due_ms(client), look_ms);
}

static uint64_t write_due_ms(const struct client *client)
{
    const struct request *request = client->request;
    return request->blocked ? later(request->blocked_ms, client->home->opt.write_timeout_ms)
                            : UINT64_MAX;
}

static uint64_t state_due_ms(const struct client *client)
{
    switch ((enum client_state)client->state) {
    case CLIENT_IDLE: return idle_due_ms(client);
    case CLIENT_HEAD: return later(since_ms(client), client->home->opt.headers_timeout_ms);
    case CLIENT_OPEN: break;
    case CLIENT_LINGER:
    case CLIENT_REFUSED: return since_ms(client) + HTTP1_LINGER_MS;
    case CLIENT_GONE: return UINT64_MAX;
    }
    const struct request *request = client->request;
    uint64_t due_ms = is_measured(request) ? request->due_ms : UINT64_MAX;
    return earlier(due_ms, earlier(silence_look_ms(client), write_due_ms(client)));
}

void client_arm_state(struct client *client)
{
    client_arm(client, state_due_ms(client));
}

void request_measure(struct request *request, uint64_t now_ms)
{
    request->measured_ms = now_ms;
    request->measured_bytes = 0;
    if (request->due_ms < now_ms + MEASURE_MS) {
        request->due_ms = now_ms + MEASURE_MS;
    }
}

/* Did the body keep its rate since it was measured last? */
static bool body_is_fast(const struct client *client, uint64_t now_ms)
{
    const struct request *request = client->request;
    uint64_t rate = client->home->opt.min_rate;
    uint64_t took_ms = now_ms - request->measured_ms;
    return rate > 0 && took_ms > 0 && request->measured_bytes * 1000 / took_ms >= rate;
}

static void open_fire(struct client *client, uint64_t now_ms)
{
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
    struct http1_counters *counters = &client->home->counters;
    struct request *request = client->request;
    if (write_due_ms(client) <= now_ms) {
        http1_tally(&counters->write_timeouts, 1);
        client_reset(client, HTTP_FAULT_WRITE_TIMEOUT, WEIR_EWRITE_TIMEOUT);
    } else if (silence_due_ms(client) <= now_ms) {
        http1_tally(&counters->idle_timeouts, 1);
        bool all_read = request->reading == READING_DONE;
        client_refuse(client, all_read ? &silent : &slow,
                      all_read ? HTTP_FAULT_IDLE : HTTP_FAULT_READ_TIMEOUT, WEIR_EREAD_TIMEOUT);
    } else if (is_measured(request) && request->due_ms <= now_ms) {
        if (body_is_fast(client, now_ms)) {
            request_measure(request, now_ms);
            client_arm_state(client);
            return;
        }
        http1_tally(&counters->request_timeouts, 1);
        client_refuse(client, &slow, HTTP_FAULT_READ_TIMEOUT, WEIR_EREAD_TIMEOUT);
    } else {
        client_arm_state(client);
    }
}

static void head_fire(struct client *client)
{
    static const struct http1_refusal slow = {
        .status = 408,
        .code = "headers_timeout",
        .message = "The head of the request took too long.",
        .proxy_error = "http_request_error",
    };
    http1_tally(&client->home->counters.headers_timeouts, 1);
    client_refuse(client, &slow, HTTP_FAULT_READ_TIMEOUT, WEIR_EREAD_TIMEOUT);
}

bool client_may_go(const struct client *client)
{
    return client_now_ms(client) >= since_ms(client) + client->home->drain.patience_ms;
}

void client_timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct client *client = container_of(timer, struct client, timer);
    struct http1_counters *counters = &client->home->counters;
    if (client->state == CLIENT_OPEN) {
        open_fire(client, now_ms);
        return;
    }
    if (state_due_ms(client) > now_ms) {
        client_arm_state(client);
        return;
    }
    switch ((enum client_state)client->state) {
    case CLIENT_IDLE:
        http1_tally(client->fresh               ? &counters->headers_timeouts
                    : client->home->drain.is_on ? &counters->drained
                                                : &counters->keepalive_timeouts,
                    1);
        client_close(client, WEIR_EIDLE);
        break;
    case CLIENT_HEAD: head_fire(client); break;
    case CLIENT_LINGER: client_close(client, WEIR_ERETIRED); break;
    case CLIENT_REFUSED:
        client_refuse_full(client);
        client_close(client, WEIR_EFULL);
        break;
    case CLIENT_OPEN:
    case CLIENT_GONE: unreachable();
    }
}
