/* SPDX-License-Identifier: Apache-2.0
 *
 *   begin ──▶ WAITING (for a lease) ──▶ ASKED ──▶ answer, time ──▶ done
 *     └──────────▲──────────────────────┘ │
 *                └── its connection ended, and it may be sent again
 */
#include "base/check.h"
#include "connector/openclaw_parts.h"

#include <string.h>

enum call_state { CALL_IDLE, CALL_WAITING, CALL_ASKED, CALL_ENDING };

static void granted(void *arg, const weir_grant *grant);
static void call_fire(struct loop_timer *timer, uint64_t now_ms);

static struct loop *loop_of(const struct claw_call *call)
{
    return call->connector->opt.loop;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void lease_end(struct claw_call *call, weir_fate fate, weir_err why)
{
    weir_lease lease = call->lease;
    call->lease = (weir_lease){0};
    call->conn = NULL;
    if (lease.id != 0) {
        weir_release_why(call->connector->pool, lease, fate, why);
    }
}

static void finish(struct claw_call *call, struct claw_answer *answer)
{
    call->state = CALL_IDLE;
    loop_timer_stop(loop_of(call), &call->timer);
    answer->replays = call->tries > 1 ? call->tries - 1 : 0;
    answer->was_sent = call->was_sent;
    call->done(call, answer);
}

/* The pool's word, and where we were refused, why. */
static void fail_at_pool(struct claw_call *call, weir_err err, uint32_t retry_after_ms)
{
    const struct claw_connector_options *opt = &call->connector->opt;
    struct claw_answer answer = {.err = err, .detail = "", .retry_after_ms = retry_after_ms};
    const struct claw_account *account = opt->account(opt->self, &call->key);
    if ((err == WEIR_EDOWN || err == WEIR_EDENIED) && account != NULL && account->is_denied) {
        answer.err = WEIR_EDENIED;
        answer.detail = account->refusal.message;
    }
    finish(call, &answer);
}

/* done() is to come, though not from inside here. */
static void fail_soon(struct claw_call *call, weir_err err)
{
    call->state = CALL_ENDING;
    call->err = err;
    call->retry_after_ms = err == WEIR_EDOWN ? weir_pool_retry_after(call->connector->pool) : 0;
    loop_timer_set(loop_of(call), &call->timer, loop_now_ms(loop_of(call)));
}

/* --- leases -------------------------------------------------------------------------------------
 */

static struct claw_wait *wait_take(struct claw_call *call)
{
    struct claw_connector *connector = call->connector;
    struct claw_wait *wait = connector->spare_waits;
    if (wait != NULL) {
        connector->spare_waits = wait->next;
    } else {
        wait = alloc_zeroed(connector->opt.alloc, sizeof *wait);
    }
    if (wait != NULL) {
        *wait = (struct claw_wait){.connector = connector, .call = call};
        connector->waits++;
    }
    return wait;
}

static void wait_give(struct claw_wait *wait)
{
    struct claw_connector *connector = wait->connector;
    wait->next = connector->spare_waits;
    connector->spare_waits = wait;
    connector->waits--;
}

static void ask(struct claw_call *call, struct claw_conn *conn, weir_lease lease)
{
    struct claw_connector *connector = call->connector;
    bool wants_final = (call->flags & CLAW_CALL_FINAL) != 0;
    call->lease = lease;
    call->conn = conn;
    weir_err err = claw_send(conn, call, call->method, call->params, wants_final, &call->id);
    if (err == WEIR_OK) {
        call->state = CALL_ASKED;
        call->tries++;
        call->was_sent = true;
        call->sent_ns = loop_turn_ns(connector->opt.loop);
        claw_count(&connector->counters.requests);
        return;
    }
    /* It owes more answers than it ever will give: those who come get another connection. */
    bool is_silent = err == WEIR_EFULL;
    lease_end(call, is_silent ? WEIR_RETIRE : WEIR_KEEP, WEIR_EREAD_TIMEOUT);
    fail_soon(call, is_silent ? WEIR_EREAD_TIMEOUT : err == WEIR_ESTATE ? WEIR_EHANGUP : err);
}

static void granted(void *arg, const weir_grant *grant)
{
    struct claw_wait *wait = arg;
    struct claw_call *call = wait->call;
    struct claw_connector *connector = wait->connector;
    wait_give(wait);
    if (call == NULL) { /* cancelled, though it may have come too late for the pool */
        if (grant->err == WEIR_OK) {
            weir_release(connector->pool, grant->lease, WEIR_KEEP);
        }
        return;
    }
    call->wait = NULL;
    call->lease = (weir_lease){0};
    if (grant->err == WEIR_OK) {
        ask(call, grant->object, grant->lease);
    } else {
        fail_at_pool(call, grant->err, grant->retry_after_ms);
    }
}

static uint32_t patience_of(const struct claw_call *call)
{
    uint64_t now_ms = loop_now_ms(loop_of(call));
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    return left_ms < call->connector->opt.acquire_timeout_ms ? (uint32_t)left_ms : 0;
}

static void seek(struct claw_call *call)
{
    weir_pool *pool = call->connector->pool;
    weir_lease lease;
    void *object;
    call->state = CALL_WAITING;
    if (weir_try_acquire(pool, &call->key, 0, &lease, &object) == WEIR_OK) {
        weir_lease_tag(pool, lease, call->tag);
        ask(call, object, lease);
        return;
    }
    const weir_acquire_options opt = {.timeout_ms = patience_of(call), .tag = call->tag};
    call->wait = wait_take(call);
    weir_err err = call->wait != NULL
                       ? weir_acquire(pool, &call->key, &opt, granted, call->wait, &call->lease)
                       : WEIR_ENOMEM;
    if (err != WEIR_OK) {
        if (call->wait != NULL) {
            wait_give(call->wait);
            call->wait = NULL;
        }
        fail_soon(call, err);
    }
}

/* --- as its owner has it ------------------------------------------------------------------------
 */

void claw_call_begin(struct claw_connector *connector, struct claw_call *call, const weir_key *key,
                     uint32_t timeout_ms)
{
    call->connector = connector;
    call->conn = NULL;
    call->lease = (weir_lease){0};
    call->wait = NULL;
    call->key = *key;
    call->tries = 0;
    call->was_sent = false;
    call->timer = (struct loop_timer){.fire = call_fire};
    call->deadline_ms = UINT64_MAX;
    if (timeout_ms != WEIR_NEVER) {
        call->deadline_ms = loop_now_ms(connector->opt.loop) + timeout_ms;
        loop_timer_set(connector->opt.loop, &call->timer, call->deadline_ms);
    }
    seek(call);
}

/* Nothing of it is left with the pool or the session. */
static void withdraw(struct claw_call *call)
{
    if (call->state == CALL_WAITING) {
        call->wait->call = NULL;
        call->wait = NULL;
        weir_release(call->connector->pool, call->lease, WEIR_KEEP);
        call->lease = (weir_lease){0};
    } else if (call->state == CALL_ASKED) {
        claw_session_leave(&call->conn->session, call->id);
        lease_end(call, WEIR_KEEP, WEIR_OK);
    }
}

void claw_call_cancel(struct claw_call *call)
{
    if (call->state == CALL_IDLE) {
        return;
    }
    withdraw(call);
    loop_timer_stop(loop_of(call), &call->timer);
    call->state = CALL_IDLE;
}

static void call_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct claw_call *call = container_of(timer, struct claw_call, timer);
    (void)now_ms;
    if (call->state == CALL_ENDING) {
        fail_at_pool(call, call->err, call->retry_after_ms);
        return;
    }
    bool was_asked = call->state == CALL_ASKED;
    struct claw_answer answer = {
        .err = was_asked ? WEIR_ETOTAL_TIMEOUT : WEIR_EACQUIRE_TIMEOUT,
        .detail = was_asked ? "no answer in time" : "",
    };
    if (was_asked) {
        claw_count(&call->connector->counters.timeouts);
    }
    withdraw(call);
    finish(call, &answer);
}

void claw_call_answered(struct claw_call *call, const struct claw_frame *frame)
{
    struct claw_connector *connector = call->connector;
    struct claw_answer answer = {.err = WEIR_OK,
                                 .is_ok = frame->is_ok,
                                 .payload = frame->payload,
                                 .error = frame->error,
                                 .detail = ""};
    uint64_t took_us = (loop_turn_ns(connector->opt.loop) - call->sent_ns) / 1000;
    weir_conn_latency(connector->pool, call->conn->id,
                      took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX);
    lease_end(call, WEIR_KEEP, WEIR_OK);
    finish(call, &answer);
}

void claw_call_lost(struct claw_call *call, weir_err why, uint16_t code, const char *detail)
{
    bool is_again = (call->flags & CLAW_CALL_REPLAY) != 0 && call->tries < CLAW_TRIES_MAX
                    && why != WEIR_ECLOSED;
    struct claw_answer answer = {.err = why, .code = code, .detail = detail};
    lease_end(call, WEIR_BROKEN, why);
    if (is_again) {
        claw_count(&call->connector->counters.replays);
        seek(call);
    } else {
        finish(call, &answer);
    }
}
