/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_end.c - how a request ends where its upstream's answer is not what ends it: answers of our
 * own, and what becomes of what is under way.
 */
#include "gateway/relay_parts.h"

void relay_answer_with(struct relay *relay, struct http_exchange *ex, enum fault fault,
                       uint32_t retry_after_ms, bool head_only)
{
    struct fault_answer *answer = &relay->answer;
    fault_answer_make(answer, fault, retry_after_ms, "weir");
    ex->ops->respond(ex, &answer->head);
    if (!head_only) {
        ex->ops->body(ex, answer->body, answer->body_len);
    }
    ex->ops->end(ex, NULL);
    ex->ops->flush(ex);
}

/* Clients of gRPC look for a status of its own (trailers only). */
static void refuse_grpc(struct transit *transit, enum fault fault)
{
    struct http_exchange *ex = transit->ex;
    struct fault_answer *answer = &transit->lane->relay->answer;
    transit->fault = fault;
    transit->status = 200;
    transit_call_off(transit);
    fault_answer_grpc(answer, fault, false);
    ex->ops->respond(ex, &answer->head);
    ex->ops->end(ex, NULL);
    ex->ops->flush(ex);
    transit_finish(transit);
}

/* Answers with an error where nothing was told to the client yet. */
void transit_refuse(struct transit *transit, enum fault fault, uint32_t retry_after_ms)
{
    if (transit->is_grpc) {
        refuse_grpc(transit, fault);
        return;
    }
    transit->fault = fault;
    transit->status = fault_status(fault);
    transit_call_off(transit);
    relay_answer_with(transit->lane->relay, transit->ex, fault, retry_after_ms,
                      transit->held.head.method_id == HTTP_HEAD);
    transit_finish(transit);
}

/* There is no endpoint to go to, just now or as yet. */
void transit_refuse_down(struct transit *transit)
{
    if (transit->upstream->count == 0) {
        transit_refuse(transit, FAULT_UNDISCOVERED, 0);
    } else {
        transit_refuse(transit, FAULT_DOWN, upstream_retry_after_ms(transit->upstream));
    }
}

/* The same wherever the request stands: an answer that has begun is cut, never completed. */
void transit_cut(struct transit *transit, enum fault fault)
{
    if (transit->status == 0) {
        transit_refuse(transit, fault, 0);
        return;
    }
    struct http_exchange *ex = transit->ex;
    transit->fault = fault;
    ex->ops->flush(ex);
    if (transit->is_grpc) { /* its trailers say that it failed, and why */
        struct fault_answer *answer = &transit->lane->relay->answer;
        fault_answer_grpc(answer, fault, true);
        ex->ops->end(ex, &answer->head);
        ex->ops->flush(ex);
    } else {
        ex->ops->abort(ex);
    }
    transit_call_off(transit);
    transit_finish(transit);
}

void transit_deadline_passed(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    transit_cut(container_of(timer, struct transit, rpc.timer), FAULT_DEADLINE);
}

/* Ends what is under way towards the upstream, if anything is. */
void transit_call_off(struct transit *transit)
{
    if (transit->call != NULL) {
        weir_fate fate = http_call_fate(transit->call);
        transit->call->ops->cancel(transit->call);
        transit_give_back(transit, fate, WEIR_ECANCELED);
    } else if (transit->asked) {
        weir_release(transit->upstream->pool, transit->lease, WEIR_KEEP);
    }
}

/* The client has what it will get. */
void transit_finish(struct transit *transit)
{
    transit_settle(transit);
    transit->ex = NULL;
    if (transit->asked) {
        transit->state = TRANSIT_LEFT; /* freed by the callback of the lease it gave up */
    } else {
        transit_free(transit);
    }
}

void transit_give_back(struct transit *transit, weir_fate fate, weir_err why)
{
    if (transit->lease.id != 0) {
        weir_release_why(transit->upstream->pool, transit->lease, fate, why);
    }
    transit->call = NULL;
}

void relay_cut_open(struct relay *relay)
{
    channels_cut(relay);
    weir_list_each_safe(it, &relay->transits) {
        struct transit *transit = list_entry(it, struct transit, on_relay);
        if (transit->state < TRANSIT_LEFT && transit->channel == NULL) {
            transit_cut(transit, FAULT_CLOSING);
        }
    }
}
