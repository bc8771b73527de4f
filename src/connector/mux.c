/* SPDX-License-Identifier: Apache-2.0
 *
 * A wait is not a part of its call, since the pool's answer may come when the call has gone.
 */
#include "connector/mux.h"

#include "base/check.h"
#include "base/list.h"

struct mux_wait {
    struct mux *mux;
    struct mux_call *call; /* NULL: cancelled */
    struct mux_wait *next; /* spare */
};

static void granted(void *arg, const weir_grant *grant);
static void call_fire(struct loop_timer *timer, uint64_t now_ms);

void mux_fini(struct mux *mux)
{
    check(mux->waits == 0);
    while (mux->spare_waits != NULL) {
        struct mux_wait *wait = mux->spare_waits;
        mux->spare_waits = wait->next;
        alloc_free(mux->alloc, wait);
    }
}

/* --- leases -------------------------------------------------------------------------------------
 */

static struct mux_wait *wait_take(struct mux_call *call)
{
    struct mux *mux = call->mux;
    struct mux_wait *wait = mux->spare_waits;
    if (wait != NULL) {
        mux->spare_waits = wait->next;
    } else {
        wait = alloc_zeroed(mux->alloc, sizeof *wait);
    }
    if (wait != NULL) {
        *wait = (struct mux_wait){.mux = mux, .call = call};
        mux->waits++;
    }
    return wait;
}

static void wait_give(struct mux_wait *wait)
{
    struct mux *mux = wait->mux;
    wait->next = mux->spare_waits;
    mux->spare_waits = wait;
    mux->waits--;
}

static void lease_end(struct mux_call *call, weir_fate fate, weir_err why)
{
    weir_lease lease = call->lease;
    call->lease = (weir_lease){0};
    call->conn = NULL;
    if (lease.id != 0) {
        weir_release_why(call->mux->pool, lease, fate, why);
    }
}

static void ask(struct mux_call *call, void *conn, weir_lease lease)
{
    call->lease = lease;
    call->conn = conn;
    call->state = MUX_ASKED;
    call->asked_ns = loop_turn_ns(call->mux->loop);
    call->mux->ops->ask(call);
}

static void tell_failed(struct mux_call *call, weir_err err, uint32_t retry_after_ms)
{
    mux_call_end(call);
    call->mux->ops->failed(call, err, retry_after_ms);
}

static void granted(void *arg, const weir_grant *grant)
{
    struct mux_wait *wait = arg;
    struct mux_call *call = wait->call;
    weir_pool *pool = wait->mux->pool;
    wait_give(wait);
    if (call == NULL) { /* cancelled, though it may have come too late for the pool */
        if (grant->err == WEIR_OK) {
            weir_release(pool, grant->lease, WEIR_KEEP);
        }
        return;
    }
    call->wait = NULL;
    call->lease = (weir_lease){0};
    if (grant->err == WEIR_OK) {
        ask(call, grant->object, grant->lease);
    } else {
        call->state = MUX_ENDING;
        tell_failed(call, grant->err, grant->retry_after_ms);
    }
}

static uint32_t patience_of(const struct mux_call *call)
{
    uint64_t now_ms = loop_now_ms(call->mux->loop);
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    return left_ms < call->mux->acquire_timeout_ms ? (uint32_t)left_ms : 0;
}

static void seek(struct mux_call *call)
{
    weir_pool *pool = call->mux->pool;
    weir_lease lease;
    void *conn;
    if (weir_try_acquire(pool, &call->key, 0, &lease, &conn) == WEIR_OK) {
        weir_lease_tag(pool, lease, call->tag);
        ask(call, conn, lease);
        return;
    }
    const weir_acquire_options opt = {.timeout_ms = patience_of(call), .tag = call->tag};
    call->state = MUX_WAITING;
    call->wait = wait_take(call);
    weir_err err = call->wait != NULL
                       ? weir_acquire(pool, &call->key, &opt, granted, call->wait, &call->lease)
                       : WEIR_ENOMEM;
    if (err != WEIR_OK) {
        if (call->wait != NULL) {
            wait_give(call->wait);
            call->wait = NULL;
        }
        mux_call_fail(call, WEIR_KEEP, err);
    }
}

/* --- as its connector has it --------------------------------------------------------------------
 */

void mux_call_begin(struct mux *mux, struct mux_call *call, const weir_key *key, uint64_t tag,
                    uint32_t timeout_ms)
{
    check(call->state == MUX_IDLE);
    *call = (struct mux_call){.mux = mux, .key = *key, .tag = tag, .deadline_ms = UINT64_MAX};
    call->timer.fire = call_fire;
    if (timeout_ms != WEIR_NEVER) {
        call->deadline_ms = loop_now_ms(mux->loop) + timeout_ms;
        loop_timer_set(mux->loop, &call->timer, call->deadline_ms);
    }
    seek(call);
}

void mux_call_again(struct mux_call *call)
{
    check(call->state == MUX_ENDING);
    seek(call);
}

void mux_call_fail(struct mux_call *call, weir_fate fate, weir_err err)
{
    struct mux *mux = call->mux;
    lease_end(call, fate, err);
    call->state = MUX_ENDING;
    call->err = err;
    call->retry_after_ms = err == WEIR_EDOWN ? weir_pool_retry_after(mux->pool) : 0;
    loop_timer_set(mux->loop, &call->timer, loop_now_ms(mux->loop));
}

static void call_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct mux_call *call = container_of(timer, struct mux_call, timer);
    (void)now_ms;
    if (call->state == MUX_ENDING) {
        tell_failed(call, call->err, call->retry_after_ms);
    } else {
        call->mux->ops->late(call);
    }
}

void mux_call_answered(struct mux_call *call, weir_conn id)
{
    uint64_t took_us = (loop_turn_ns(call->mux->loop) - call->asked_ns) / 1000;
    weir_conn_latency(call->mux->pool, id, took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX);
    lease_end(call, WEIR_KEEP, WEIR_OK);
    call->state = MUX_ENDING;
}

void mux_call_lost(struct mux_call *call, weir_err why)
{
    lease_end(call, WEIR_BROKEN, why);
    call->state = MUX_ENDING;
}

void mux_call_end(struct mux_call *call)
{
    if (call->state == MUX_IDLE) {
        return;
    }
    if (call->state == MUX_WAITING) {
        call->wait->call = NULL;
        call->wait = NULL;
        weir_release(call->mux->pool, call->lease, WEIR_KEEP);
        call->lease = (weir_lease){0};
    } else if (call->state == MUX_ASKED) {
        call->mux->ops->forget(call);
        lease_end(call, WEIR_KEEP, WEIR_OK);
    }
    loop_timer_stop(call->mux->loop, &call->timer);
    call->state = MUX_IDLE;
}
