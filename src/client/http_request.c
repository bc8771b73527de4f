/* SPDX-License-Identifier: Apache-2.0
 *
 * One request, from the order to send it to on_end: which connection it takes, what a failure
 * means, when it is sent again. The rules of repetition are connector/replay.h's.
 */
#include "base/check.h"
#include "client/http.h"
#include "core/pool.h"

#include <string.h>

static void granted(void *arg, const weir_grant *grant);

static uint64_t now_ms(const struct request *request)
{
    return loop_now_ms(request->lane->loop);
}

static void arm(struct request *request)
{
    if (request->deadline_ms == UINT64_MAX
        || (loop_timer_is_set(&request->timer)
            && request->timer.node.deadline_ms <= request->deadline_ms)) {
        return;
    }
    loop_timer_set(request->lane->loop, &request->timer, request->deadline_ms);
}

/* --- asking for a connection --------------------------------------------------------------------
 */

/* To be told later: this is a call of the program's, or somebody's stack. */
static void end_later(struct request *request, weir_err err)
{
    request->state = REQUEST_ENDING;
    request->err = (uint8_t)err;
    request_kick(request);
}

static void call_begin(struct request *request, void *object, bool here)
{
    request->call = http_call_open(object, &request_caller, request);
    if (request->call == NULL) {
        request_let_go(request, WEIR_KEEP, WEIR_OK);
        end_later(request, WEIR_ENOMEM);
        return;
    }
    request->is_reused = request->call->reused;
    request->state = REQUEST_CALLING;
    request->first_byte_ns = 0;
    request->is_redirect = false;
    request_send(request, here);
}

static uint32_t flags_of(const struct request *request)
{
    return (request->is_harmless ? WEIR_IDEMPOTENT : 0)
           | (request_is_repeatable(request) ? WEIR_REPLAYABLE : 0);
}

static void ask(struct request *request, uint32_t flags, bool here)
{
    struct lane *lane = request->lane;
    void *object;
    check(request->origin != NULL); /* it was routed */
    request->asked_ns = loop_now_ns(lane->loop);
    if ((flags & WEIR_FRESH) == 0
        && pool_try_acquire_pinned(lane->pool, request->origin->pin, flags_of(request),
                                   &request->lease, &object)
               == WEIR_OK) {
        request->granted_ns = request->asked_ns;
        if (request->tag != 0) {
            weir_lease_tag(lane->pool, request->lease, request->tag);
        }
        call_begin(request, object, here);
        return;
    }
    const weir_acquire_options opt = {
        .size = sizeof opt,
        .flags = flags | flags_of(request),
        .tag = request->tag,
    };
    request->state = REQUEST_WAITING;
    weir_err err = pool_acquire_pinned(lane->pool, request->origin->pin, &opt, granted, request,
                                       &request->lease);
    if (err != WEIR_OK) {
        request->lease.id = 0;
        end_later(request, err);
    }
}

static void granted(void *arg, const weir_grant *grant)
{
    struct request *request = arg;
    if (request->state == REQUEST_LEAVING || grant->err != WEIR_OK) {
        bool is_leaving = request->state == REQUEST_LEAVING;
        request->lease.id = 0;
        request_end(request, is_leaving ? (weir_err)request->err : grant->err);
        return;
    }
    request->lease = grant->lease;
    request->granted_ns = loop_now_ns(request->lane->loop);
    call_begin(request, grant->object, false);
}

void request_begin(struct request *request, bool here)
{
    struct lane *lane = request->lane;
    request->state = REQUEST_BEGUN;
    list_push_back(&lane->live, &request->on_lane);
    if (lane->is_closed || lane->client->is_closing) {
        end_later(request, WEIR_ECLOSED);
        return;
    }
    lane_count(&lane->sent, 1);
    replay_budget_earn(&lane->budget);
    arm(request);
    weir_err err = lane_origin(lane, &request->message, &request->origin);
    if (err != WEIR_OK) {
        end_later(request, err);
    } else {
        ask(request, 0, here);
    }
}

void request_again(struct request *request, uint32_t flags)
{
    struct origin *before = request->origin;
    request->origin = NULL;
    weir_err err = lane_origin(request->lane, &request->message, &request->origin);
    lane_origin_leave(request->lane, before);
    if (err != WEIR_OK) {
        end_later(request, err);
    } else {
        ask(request, flags, false);
    }
}

/* --- giving it back -----------------------------------------------------------------------------
 */

void request_let_go(struct request *request, weir_fate fate, weir_err why)
{
    weir_release_why(request->lane->pool, request->lease, fate, why);
    request->lease.id = 0;
    request->call = NULL;
    request->state = REQUEST_BEGUN;
}

void request_cut(struct request *request, weir_err why)
{
    weir_fate fate = http_call_fate(request->call);
    request->call->ops->cancel(request->call);
    request_let_go(request, fate == WEIR_BROKEN && why == WEIR_ERETIRED ? WEIR_RETIRE : fate, why);
}

void request_fail(struct request *request, weir_err err)
{
    if (request->state == REQUEST_CALLING) {
        request_cut(request, err);
    }
    request_end(request, err);
}

void request_abandon(struct request *request, weir_err err)
{
    switch ((enum request_state)request->state) {
    case REQUEST_FREE:
    case REQUEST_POSTED:
    case REQUEST_LEAVING: break;
    case REQUEST_WAITING:
        request->state = REQUEST_LEAVING;
        request->err = (uint8_t)err;
        weir_release(request->lane->pool, request->lease, WEIR_KEEP);
        break;
    case REQUEST_ENDING: request_end(request, (weir_err)request->err); break;
    case REQUEST_BEGUN:
    case REQUEST_CALLING: request_fail(request, err); break;
    }
}

static uint32_t us_between(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t us = to_ns > from_ns && from_ns != 0 ? (to_ns - from_ns) / 1000 : 0;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static weir_http_result result_of(const struct request *request)
{
    return (weir_http_result){
        .size = sizeof(weir_http_result),
        .status = request->status,
        .reused = request->is_reused,
        .redirects = request->redirects,
        .retries = request->retries,
        .body_bytes = request->body_told,
        .wait_us = us_between(request->asked_ns, request->granted_ns),
        .first_byte_us = us_between(request->granted_ns, request->first_byte_ns),
        .total_us = us_between(request->sent_ns, loop_now_ns(request->lane->loop)),
    };
}

void request_end(struct request *request, weir_err err)
{
    struct lane *lane = request->lane;
    const weir_http_handler *handler = request->handler;
    void *arg = request->arg;
    const weir_http_result result = result_of(request);
    lane_count(err == WEIR_OK ? &lane->answered : &lane->failed, 1);
    lane_count(&lane->reused, err == WEIR_OK && request->is_reused);
    if (request->origin != NULL) {
        lane_origin_leave(lane, request->origin);
    }
    request_give(request);
    lane->depth++;
    handler->on_end(arg, err, &result);
    lane->depth--;
}

/* --- orders, kicks, time ------------------------------------------------------------------------
 */

void request_kick(struct request *request)
{
    loop_later(request->lane->loop, &request->kick);
}

void request_orders(struct request *request, unsigned orders, weir_err err)
{
    if (orders & ORDER_BEGIN) {
        if (err != WEIR_OK) {
            list_push_back(&request->lane->live, &request->on_lane);
            end_later(request, err);
        } else {
            request_begin(request, false);
        }
    }
    if (orders & ORDER_CANCEL) {
        request->is_canceled = true;
        request_kick(request);
    }
    if (orders & (ORDER_RESUME | ORDER_PULL)) {
        request->pull_waits = false;
        request->is_resumed |= (orders & ORDER_RESUME) != 0 && request->is_paused;
        request_kick(request);
    }
}

void request_kicked(struct loop_later *later)
{
    struct request *request = container_of(later, struct request, kick);
    if (request->state == REQUEST_FREE) {
        return;
    }
    if (request->state == REQUEST_ENDING || request->is_canceled) {
        request_abandon(request, request_why_canceled(request));
        return;
    }
    uint64_t turn = request_turn(request);
    if (request->state == REQUEST_CALLING && !request->is_sent) {
        request_send_more(request);
    }
    if (request_turn(request) == turn && request->is_resumed) {
        request->is_resumed = false;
        answer_resume(request);
    }
}

void request_timer(struct loop_timer *timer, uint64_t now)
{
    struct request *request = container_of(timer, struct request, timer);
    if (request->state == REQUEST_FREE || request->state == REQUEST_POSTED) {
        return; /* the next one arms it again */
    }
    if (request->deadline_ms > now) {
        arm(request);
    } else {
        request_abandon(request, WEIR_ETOTAL_TIMEOUT);
    }
}

/* --- what the connector tells -------------------------------------------------------------------
 */

weir_err http_err_of(enum http_fault why)
{
    switch (why) {
    case HTTP_FAULT_REFUSED: return WEIR_ECONNECT;
    case HTTP_FAULT_CONNECT_TIMEOUT: return WEIR_ECONNECT_TIMEOUT;
    case HTTP_FAULT_STALE: return WEIR_EHANGUP;
    case HTTP_FAULT_RESET: return WEIR_ERESET;
    case HTTP_FAULT_BAD_ANSWER: return WEIR_EPROTOCOL;
    case HTTP_FAULT_FIRST_BYTE_TIMEOUT: return WEIR_EFIRST_BYTE_TIMEOUT;
    case HTTP_FAULT_READ_TIMEOUT: return WEIR_EREAD_TIMEOUT;
    case HTTP_FAULT_WRITE_TIMEOUT: return WEIR_EWRITE_TIMEOUT;
    case HTTP_FAULT_TOTAL_TIMEOUT: return WEIR_ETOTAL_TIMEOUT;
    case HTTP_FINE:
    case HTTP_FAULT_CANCELLED:
    case HTTP_FAULT_BAD_REQUEST:
    case HTTP_FAULT_IDLE: break;
    }
    return WEIR_EIO;
}

static void on_head(struct http_call *call, struct http_head *head)
{
    if (head->status >= 200) {
        answer_head(call->user, head);
    }
}

static void on_body(struct http_call *call, const void *data, size_t len)
{
    answer_body(call->user, data, len);
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    struct request *request = call->user;
    if (trailers != NULL && !request->is_redirect && !request->is_canceled) {
        answer_trailers(request, trailers);
    }
    call->ops->took(call, us_between(request->granted_ns, request->first_byte_ns));
    request_let_go(request, reusable ? WEIR_KEEP : WEIR_RETIRE, WEIR_OK);
    answer_end(request);
}

static void on_flush(struct http_call *call)
{
    (void)call;
}

static void on_drain(struct http_call *call)
{
    struct request *request = call->user;
    request->is_blocked = false;
    if (!request->is_sent) {
        request_send_more(request);
    }
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    struct request *request = call->user;
    struct lane *lane = request->lane;
    const struct replay_case it = {
        .reused = request->is_reused,
        .answer_begun = request->first_byte_ns != 0 || why != HTTP_FAULT_STALE,
        .harmless = request->is_harmless,
        .at_hand = request_is_repeatable(request),
        .untouched = call->untouched,
        .refused = call->refused,
        .sent = call->sent,
        .replays = request->replays,
    };
    request_let_go(request, http_call_fate(call), http_err_of(why));
    if (!request->is_canceled && replay_stale(&it)
        && (replay_is_free(&it) || replay_budget_take(&lane->budget, now_ms(request)))
        && request_rewind(request)) {
        request->replays++;
        request->retries++;
        lane_count(&lane->retries, 1);
        request_again(request, it.untouched ? 0 : WEIR_FRESH);
    } else {
        request_end(request,
                    request->is_canceled ? request_why_canceled(request) : http_err_of(why));
    }
}

const struct http_caller request_caller = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_fail = on_fail,
};
