/* SPDX-License-Identifier: Apache-2.0
 *
 *   begin ──▶ WAITING (for a lease) ──▶ ASKED ──▶ replies, time, its connection's end ──▶ done
 */
#include "base/check.h"
#include "connector/redis_parts.h"

enum call_state { CALL_IDLE, CALL_WAITING, CALL_ASKED, CALL_ENDING };

static void granted(void *arg, const weir_grant *grant);
static void call_fire(struct loop_timer *timer, uint64_t now_ms);

static struct loop *loop_of(const struct redis_call *call)
{
    return call->connector->opt.loop;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void lease_end(struct redis_call *call, weir_fate fate, weir_err why)
{
    weir_lease lease = call->lease;
    call->lease = (weir_lease){0};
    call->conn = NULL;
    if (lease.id != 0) {
        weir_release_why(call->connector->pool, lease, fate, why);
    }
}

static void finish(struct redis_call *call, struct redis_outcome *outcome)
{
    call->state = CALL_IDLE;
    loop_timer_stop(loop_of(call), &call->timer);
    outcome->was_sent = call->was_sent;
    outcome->replies = call->replies;
    outcome->detail = outcome->detail != NULL ? outcome->detail : "";
    outcome->run_id = outcome->run_id != NULL ? outcome->run_id : "";
    call->done(call, outcome);
}

/* done() is to come, though not from inside here. */
static void fail_soon(struct redis_call *call, weir_err err)
{
    call->state = CALL_ENDING;
    call->err = err;
    call->retry_after_ms = err == WEIR_EDOWN ? weir_pool_retry_after(call->connector->pool) : 0;
    loop_timer_set(loop_of(call), &call->timer, loop_now_ms(loop_of(call)));
}

/* --- leases -------------------------------------------------------------------------------------
 */

static struct redis_wait *wait_take(struct redis_call *call)
{
    struct redis_connector *connector = call->connector;
    struct redis_wait *wait = connector->spare_waits;
    if (wait != NULL) {
        connector->spare_waits = wait->next;
    } else {
        wait = alloc_zeroed(connector->opt.alloc, sizeof *wait);
    }
    if (wait != NULL) {
        *wait = (struct redis_wait){.connector = connector, .call = call};
        connector->waits++;
    }
    return wait;
}

static void wait_give(struct redis_wait *wait)
{
    struct redis_connector *connector = wait->connector;
    wait->next = connector->spare_waits;
    connector->spare_waits = wait;
    connector->waits--;
}

static void ask(struct redis_call *call, struct redis_conn *conn, weir_lease lease)
{
    struct redis_connector *connector = call->connector;
    call->lease = lease;
    call->conn = conn;
    if (conn->stage != REDIS_UP || !redis_talk_owe(conn, call, call->count, false)) {
        /* It owes more than it ever will give: those who come get another connection. */
        bool is_gone = conn->stage != REDIS_UP;
        lease_end(call, is_gone ? WEIR_BROKEN : WEIR_RETIRE, WEIR_EREAD_TIMEOUT);
        fail_soon(call, is_gone ? WEIR_EHANGUP : WEIR_EREAD_TIMEOUT);
        return;
    }
    call->state = CALL_ASKED;
    call->was_sent = true;
    call->sent_ns = loop_turn_ns(loop_of(call));
    redis_count(&connector->counters.commands, call->count);
    if (!redis_talk_say(conn, call->commands)) {
        redis_talk_forget(conn, call); /* the others on it learn from its end */
        lease_end(call, WEIR_BROKEN, WEIR_EWRITE_TIMEOUT);
        fail_soon(call, WEIR_EWRITE_TIMEOUT);
    }
}

static void granted(void *arg, const weir_grant *grant)
{
    struct redis_wait *wait = arg;
    struct redis_call *call = wait->call;
    struct redis_connector *connector = wait->connector;
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
        struct redis_outcome outcome = {.err = grant->err,
                                        .retry_after_ms = grant->retry_after_ms,
                                        .detail = redis_says_word(connector->refusal)};
        finish(call, &outcome);
    }
}

static uint32_t patience_of(const struct redis_call *call)
{
    uint64_t now_ms = loop_now_ms(loop_of(call));
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    return left_ms < call->connector->opt.acquire_timeout_ms ? (uint32_t)left_ms : 0;
}

static void seek(struct redis_call *call)
{
    weir_pool *pool = call->connector->pool;
    weir_lease lease;
    void *object;
    call->state = CALL_WAITING;
    if (weir_try_acquire(pool, &call->key, 0, &lease, &object) == WEIR_OK) {
        ask(call, object, lease);
        return;
    }
    const weir_acquire_options opt = {.timeout_ms = patience_of(call)};
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

void redis_call_begin(struct redis_connector *connector, struct redis_call *call,
                      const weir_key *key, uint32_t timeout_ms)
{
    check(call->count > 0 && call->state == CALL_IDLE);
    call->connector = connector;
    call->conn = NULL;
    call->lease = (weir_lease){0};
    call->wait = NULL;
    call->key = *key;
    call->replies = 0;
    call->was_sent = false;
    call->timer = (struct loop_timer){.fire = call_fire};
    call->deadline_ms = loop_now_ms(connector->opt.loop) + timeout_ms;
    loop_timer_set(connector->opt.loop, &call->timer, call->deadline_ms);
    seek(call);
}

/* Nothing of it is left with the pool or the connection. */
static void withdraw(struct redis_call *call)
{
    if (call->state == CALL_WAITING) {
        call->wait->call = NULL;
        call->wait = NULL;
        weir_release(call->connector->pool, call->lease, WEIR_KEEP);
        call->lease = (weir_lease){0};
    } else if (call->state == CALL_ASKED) {
        redis_talk_forget(call->conn, call);
        lease_end(call, WEIR_KEEP, WEIR_OK);
    }
}

void redis_call_cancel(struct redis_call *call)
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
    struct redis_call *call = container_of(timer, struct redis_call, timer);
    struct redis_connector *connector = call->connector;
    struct redis_outcome outcome = {.err = call->err, .retry_after_ms = call->retry_after_ms};
    (void)now_ms;
    if (call->state == CALL_ENDING) {
        finish(call, &outcome);
        return;
    }
    struct redis_conn *conn = call->conn;
    bool was_asked = call->state == CALL_ASKED;
    outcome.err = was_asked ? WEIR_ETOTAL_TIMEOUT : WEIR_EACQUIRE_TIMEOUT;
    redis_count(&connector->counters.timeouts, was_asked);
    if (was_asked && conn->heard_ns <= call->sent_ns) { /* nothing since: it is dead, or stopped */
        redis_count(&connector->counters.silent, 1);
        redis_conn_gone(conn, WEIR_EREAD_TIMEOUT, "the server says nothing"); /* tells this one */
        return;
    }
    withdraw(call);
    finish(call, &outcome);
}

void redis_call_replied(struct redis_call *call, const struct resp_value *value,
                        struct resp_walk *inside, bool is_last)
{
    struct redis_connector *connector = call->connector;
    const struct redis_conn *conn = call->conn;
    uint32_t index = call->replies++;
    if (is_last) {
        uint64_t took_us = (loop_turn_ns(loop_of(call)) - call->sent_ns) / 1000;
        weir_conn_latency(connector->pool, conn->id,
                          took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX);
        lease_end(call, WEIR_KEEP, WEIR_OK);
        call->state = CALL_ENDING; /* nothing of it is left anywhere but here */
    }
    if (call->on_reply != NULL) {
        call->on_reply(call, index, value, inside);
    }
    if (is_last && call->state == CALL_ENDING) { /* else it was cancelled */
        struct redis_outcome outcome = {.err = WEIR_OK, .run_id = conn->run_id};
        finish(call, &outcome);
    }
}

void redis_call_lost(struct redis_call *call, weir_err why, const char *detail)
{
    struct redis_outcome outcome = {.err = why, .detail = detail};
    lease_end(call, WEIR_BROKEN, why);
    finish(call, &outcome);
}
