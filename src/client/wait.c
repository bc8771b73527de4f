/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.c - a thread that sleeps until a connection is handed to it.
 *
 * The waiter lies on the sleeper's stack and is a lease callback's argument. Whoever releases the
 * connection runs that callback before it leaves the pool's lock (station.h), so that the hand-off
 * is one futex wake, without a detour through the worker. The pool keeps the time: its acquire
 * time-out ends the wait like any other. The sleeper's own clock is for the case that nobody turns
 * the loop.
 */
#include "base/check.h"
#include "client/runtime.h"
#include "core/lend.h"
#include "io/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How much later than the pool's own clock ours goes off. */
#define SLACK_MS 1000U

struct waiter {
    weir_shared *pool;
    weir_loan loan;
    weir_err err;
    _Atomic uint32_t is_over;
};

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Until it is not 0 any more, or until then (CLOCK_MONOTONIC; UINT64_MAX: for ever). */
static void sleep_on(_Atomic uint32_t *word, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000U),
                             .tv_nsec = (long)(until_ms % 1000U) * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, 0, until_ms != UINT64_MAX ? &until : NULL,
            NULL, FUTEX_BITSET_MATCH_ANY);
}

void wait_is_over(void *arg, const weir_grant *grant)
{
    struct waiter *waiter = arg;
    waiter->err = grant->err;
    if (grant->err == WEIR_OK) {
        shared_fill(waiter->pool, grant->lease, grant->object, grant->waited_ms, &waiter->loan);
    }
    atomic_store_explicit(&waiter->is_over, 1, memory_order_release);
    wake(&waiter->is_over); /* of its stack only the address is used from here on */
}

static bool is_over(struct waiter *waiter)
{
    return atomic_load_explicit(&waiter->is_over, memory_order_acquire) != 0;
}

static void wait_until(struct waiter *waiter, uint64_t until_ms)
{
    const struct weir_runtime *runtime = waiter->pool->runtime;
    bool is_host = runtime_is_host(runtime);
    while (!is_over(waiter) && clock_now_ms() < until_ms) {
        if (is_host) {
            loop_turn(runtime_host_loop(runtime), SLACK_MS);
        } else {
            sleep_on(&waiter->is_over, until_ms);
        }
    }
}

static uint64_t patience_of(const weir_shared *pool, const weir_acquire_options *opt)
{
    weir_pool_options options;
    if (opt != NULL && opt->timeout_ms != 0) {
        return opt->timeout_ms;
    }
    weir_pool_options_of(pool->pool, &options);
    return options.acquire_timeout_ms;
}

/* Until its turn comes, or its time is over. */
static weir_err wait_for(struct waiter *waiter, weir_lease lease, uint64_t patience_ms)
{
    uint64_t until_ms = patience_ms < WEIR_NEVER ? clock_now_ms() + patience_ms + SLACK_MS
                                                 : UINT64_MAX;
    wait_until(waiter, until_ms);
    if (!is_over(waiter)) {
        weir_acquire_cancel(waiter->pool, lease);
        wait_until(waiter, UINT64_MAX);
        waiter->err = waiter->err == WEIR_ECANCELED ? WEIR_EACQUIRE_TIMEOUT : waiter->err;
    }
    return waiter->err;
}

/* Nothing was on the seat, nor idle: joins those who wait. Under the lock, which it leaves. */
static weir_err join(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                     weir_loan *ret_loan)
{
    struct waiter waiter = {.pool = pool};
    weir_lease lease;
    engine_pass_time(pool->station.engine, clock_now_ms());
    park_want(pool);
    park_sweep(pool);
    uint64_t patience_ms = patience_of(pool, opt);
    weir_err err = weir_acquire(pool->pool, key, opt, wait_is_over, &waiter, &lease);
    station_leave(&pool->station);
    if (err == WEIR_OK) {
        err = wait_for(&waiter, lease, patience_ms);
    }
    park_want_no_more(pool);
    if (err == WEIR_OK) {
        *ret_loan = waiter.loan;
    }
    return err;
}

weir_err weir_acquire_wait(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
                           weir_loan *ret_loan)
{
    if (park_take(pool, key, opt, ret_loan)) {
        return WEIR_OK;
    }
    weir_err err = shared_enter(pool, 0);
    if (err != WEIR_OK) {
        return err;
    }
    err = shared_try(pool, key, opt, ret_loan);
    if (err != WEIR_EAGAIN && err != WEIR_EDOWN) {
        station_leave(&pool->station);
        return err;
    }
    if (runtime_is_inside(pool->runtime)) {
        station_leave(&pool->station);
        return WEIR_ESTATE;
    }
    return join(pool, key, opt, ret_loan);
}
