/* SPDX-License-Identifier: Apache-2.0
 *
 * Runtimes: with threads, as a guest in a loop that polls, as a guest of libuv; what they are given
 * to run; memory that is refused.
 */
#include "support/hosted.h"
#include "support/shop.h"

#include <poll.h>
#include <unistd.h>
#include <uv.h>

/* --- a guest of a loop that polls ---------------------------------------------------------------
 */

struct call {
    _Atomic uint32_t calls;
    weir_err err;
    pthread_t thread;
};

static void give_back(void *arg, weir_err err, const weir_loan *loan, uint32_t retry_after_ms)
{
    struct call *call = arg;
    (void)retry_after_ms;
    call->err = err;
    call->thread = pthread_self();
    call->calls++;
    if (err == WEIR_OK) {
        weir_loan own = *loan;
        weir_loan_return(&own, WEIR_KEEP);
    }
}

/* What a program's own loop does. */
static void poll_until(weir_runtime *runtime, const struct call *call, uint32_t calls)
{
    uint64_t end_ms = clock_now_ms() + SHOP_DEADLINE_MS;
    while (call->calls < calls) {
        assert_true(clock_now_ms() < end_ms);
        struct pollfd watched = {.fd = weir_runtime_fd(runtime), .events = POLLIN};
        int timeout_ms = weir_runtime_timeout_ms(runtime);
        poll(&watched, 1, timeout_ms < 0 || timeout_ms > 1000 ? 1000 : timeout_ms);
        assert_int_equal(weir_runtime_turn(runtime, 0), WEIR_OK);
    }
}

static void open_hosted(struct shop *shop, uint32_t threads_max)
{
    shop_init(shop, threads_max);
    assert_int_equal(weir_runtime_open_hosted(NULL, &shop->runtime), WEIR_OK);
}

static void lives_in_a_loop_that_polls(void **state)
{
    (void)state;
    struct shop shop;
    struct call call = {0};
    open_hosted(&shop, 1);
    assert_true(weir_runtime_fd(shop.runtime) >= 0);
    assert_int_equal(weir_runtime_workers(shop.runtime), 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_key key = shop_key("a");
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(weir_acquire_async(pool, &key, NULL, give_back, &call, NULL), WEIR_OK);
        poll_until(shop.runtime, &call, i);
        assert_int_equal(call.err, WEIR_OK);
        assert_true(pthread_equal(call.thread, pthread_self()));
    }
    assert_int_equal(shop.made, 1);
    shop_close(&shop);
}

static void turns_while_its_own_thread_waits(void **state)
{
    (void)state;
    struct shop shop;
    weir_loan none;
    open_hosted(&shop, 0);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    weir_key key = shop_key("a");
    weir_acquire_options soon = {.timeout_ms = 20};
    assert_int_equal(weir_acquire_wait(pool, &key, &soon, &none), WEIR_EACQUIRE_TIMEOUT);
    /* Kept for too long, but this thread may still give it back. */
    assert_int_equal(weir_runtime_close(shop.runtime, 1), WEIR_ESTATE);
    shop_give(&loan);
    shop_close(&shop);
}

static void *take_and_give(void *arg)
{
    struct shop *shop = arg;
    weir_shared *pool = weir_shared_find(shop->runtime, "x");
    weir_key key = shop_key("a");
    for (int i = 0; i < 200; i++) {
        weir_loan loan;
        if (weir_acquire_wait(pool, &key, NULL, &loan) != WEIR_OK) {
            shop->wrong++;
            continue;
        }
        weir_loan_return(&loan, i % 10 == 0 ? WEIR_RETIRE : WEIR_KEEP);
    }
    shop->validated++;
    return NULL;
}

static void serves_other_threads_from_its_hosts_loop(void **state)
{
    (void)state;
    struct shop shop;
    pthread_t threads[3];
    open_hosted(&shop, 0);
    shop_pool(&shop, &(weir_pool_options){.name = "x", .max_total = 2});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &shop), 0);
    }
    await_true(shop.validated >= 3, SHOP_DEADLINE_MS,
               assert_int_equal(weir_runtime_turn(shop.runtime, 10), WEIR_OK));
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    shop_close(&shop);
}

/* --- a guest of libuv ---------------------------------------------------------------------------
 */

static void lives_in_a_loop_of_libuv(void **state)
{
    (void)state;
    struct shop shop;
    struct call call = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    shop_init(&shop, 1);
    assert_int_equal(weir_runtime_open_on_uv(&loop, NULL, &shop.runtime), WEIR_OK);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_key key = shop_key("a");
    assert_int_equal(weir_acquire_async(pool, &key, NULL, give_back, &call, NULL), WEIR_OK);
    await_true(call.calls > 0, SHOP_DEADLINE_MS, uv_run(&loop, UV_RUN_ONCE));
    assert_int_equal(call.err, WEIR_OK);
    shop_close(&shop);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);

    weir_runtime *none;
    assert_int_equal(weir_runtime_open_on_uv(NULL, NULL, &none), WEIR_EINVAL);
}

/* --- what workers are given to run --------------------------------------------------------------
 */

struct visits {
    _Atomic uint32_t done;
    _Atomic uint32_t seen; /* a bit for each worker */
    weir_engine *engines[4];
};

static void visit(void *arg, weir_engine *engine, uint32_t worker)
{
    struct visits *visits = arg;
    visits->engines[worker] = engine;
    visits->seen |= 1U << worker;
    visits->done++;
}

static void runs_what_it_is_given_on_the_worker(void **state)
{
    (void)state;
    struct visits visits = {0};
    weir_runtime *runtime;
    weir_runtime_options opt = {.workers = 4, .posts_max = 1000};
    assert_int_equal(weir_runtime_open(&opt, &runtime), WEIR_OK);
    assert_int_equal(weir_runtime_workers(runtime), 4);
    assert_int_equal(weir_runtime_fd(runtime), -1);
    assert_int_equal(weir_runtime_turn(runtime, 0), WEIR_ESTATE);
    assert_int_equal(weir_runtime_post(runtime, 4, visit, &visits), WEIR_EINVAL);
    for (uint32_t i = 0; i < 400; i++) {
        assert_int_equal(weir_runtime_post(runtime, i % 4, visit, &visits), WEIR_OK);
    }
    shop_until(visits.done == 400);
    assert_int_equal(visits.seen, 15);
    assert_ptr_not_equal(visits.engines[0], visits.engines[1]);
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

static void wait_for_release(void *arg, weir_engine *engine, uint32_t worker)
{
    _Atomic bool *is_released = arg;
    (void)engine, (void)worker;
    while (!*is_released) {
        sched_yield();
    }
}

static void takes_no_more_than_it_may(void **state)
{
    (void)state;
    weir_runtime *runtime;
    weir_runtime_options opt = {.workers = 1, .posts_max = 2};
    _Atomic bool is_released = false;
    weir_err err = WEIR_OK;
    assert_int_equal(weir_runtime_open(&opt, &runtime), WEIR_OK);
    for (int i = 0; i < 10 && err == WEIR_OK; i++) {
        err = weir_runtime_post(runtime, 0, wait_for_release, &is_released);
    }
    assert_int_equal(err, WEIR_EFULL);
    is_released = true;
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

/* --- events -------------------------------------------------------------------------------------
 */

struct heard {
    _Atomic uint32_t kinds; /* bits */
    _Atomic uint32_t wrong;
    weir_runtime *runtime;
};

static void hear(void *arg, const weir_event *event)
{
    struct heard *heard = arg;
    heard->kinds |= 1U << event->kind;
    heard->wrong += event->pool != NULL || event->pool_name == NULL;
    if (event->kind == WEIR_EVENT_CONNECTION_ADDED) {
        heard->wrong += strcmp(event->key->host, "a") != 0;
        /* No lock is held: the pool may be asked. */
        weir_shared *pool = weir_shared_find(heard->runtime, event->pool_name);
        heard->wrong += pool == NULL || shop_stats(pool).total != 1;
    }
}

static void tells_what_happens(void **state)
{
    (void)state;
    struct shop shop;
    struct heard heard = {0};
    weir_runtime_options opt = {.workers = 1, .on_event = hear, .event_arg = &heard};
    shop_init(&shop, 0);
    assert_int_equal(weir_runtime_open(&opt, &shop.runtime), WEIR_OK);
    heard.runtime = shop.runtime;
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.name = "x", .max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    shop_give(&loan);
    loan = shop_take(pool, "a");
    shop_give(&loan);
    shop_until(heard.kinds & 1U << WEIR_EVENT_CONNECTION_ADDED); /* its worker may be late */
    shop_close(&shop);
    uint32_t expected = 1U << WEIR_EVENT_CONNECTION_ADDED | 1U << WEIR_EVENT_CONNECTION_REUSED
                        | 1U << WEIR_EVENT_CONNECTION_RETURNED | 1U << WEIR_EVENT_CONNECTION_REMOVED
                        | 1U << WEIR_EVENT_POOL_CLOSED;
    assert_int_equal(heard.kinds & expected, expected);
    assert_int_equal(heard.wrong, 0);
}

struct logged {
    _Atomic uint32_t lines[WEIR_LEVEL_DEBUG + 1]; /* of each level */
    _Atomic uint32_t heard;
    char down[200];
};

static void log_line(void *arg, weir_level level, const char *line)
{
    struct logged *logged = arg;
    if (strncmp(line, "key_down ", 9) == 0) {
        snprintf(logged->down, sizeof logged->down, "%s", line);
    }
    logged->lines[level]++;
}

static void count_event(void *arg, const weir_event *event)
{
    struct logged *logged = arg;
    logged->heard += event->kind == WEIR_EVENT_CONNECTION_ADDED ? 1 : 1000;
}

/* One connection, then a key that goes down. */
static void log_at(weir_level level, struct logged *logged)
{
    struct shop shop;
    weir_loan loan;
    weir_key a = shop_key("a"), b = shop_key("b");
    shop_init(&shop, 0);
    memset(logged, 0, sizeof *logged);
    weir_runtime_options opt = {.log = log_line,
                                .log_arg = logged,
                                .log_level = level,
                                .on_event = count_event,
                                .event_arg = logged,
                                .events = 1U << WEIR_EVENT_CONNECTION_ADDED};
    assert_int_equal(weir_runtime_open_hosted(&opt, &shop.runtime), WEIR_OK);
    weir_shared *pool = shop_pool(&shop,
                                  &(weir_pool_options){.failures_max = 2, .retry_first_ms = 1});
    assert_int_equal(weir_acquire_wait(pool, &a, NULL, &loan), WEIR_OK);
    shop_give(&loan);
    shop.create_err = WEIR_EREFUSED;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_acquire_wait(pool, &b, NULL, &loan), WEIR_EREFUSED);
    }
    shop_close(&shop);
    assert_non_null(strstr(logged->down, "connection refused, 2 failures in a row"));
    assert_int_equal(logged->heard, 1); /* what it asked for, whatever the log wants */
}

static void writes_a_log(void **state)
{
    (void)state;
    struct logged logged;
    log_at(0, &logged);
    assert_true(logged.lines[WEIR_LEVEL_ERROR] > 0 && logged.lines[WEIR_LEVEL_WARN] > 0);
    assert_int_equal(logged.lines[WEIR_LEVEL_INFO] + logged.lines[WEIR_LEVEL_DEBUG], 0);
    log_at(WEIR_LEVEL_ERROR, &logged);
    assert_int_equal(logged.lines[WEIR_LEVEL_WARN], 0);
    log_at(WEIR_LEVEL_DEBUG, &logged);
    assert_true(logged.lines[WEIR_LEVEL_DEBUG] > 0);

    weir_runtime *runtime = NULL;
    const weir_runtime_options odd = {.log_level = (weir_level)9};
    assert_int_equal(weir_runtime_open_hosted(&odd, &runtime), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "log_level");
}

/* --- memory -------------------------------------------------------------------------------------
 */

/* A life of a runtime, in one thread. What fails, fails with an answer. */
static void live(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct shop shop;
    weir_shared *pool;
    shop_init(&shop, 0);
    if (hosted_open(alloc, &shop.runtime) != WEIR_OK) {
        return;
    }
    weir_shared_options options = {
        .pool = {.max_total = 2}, .factory = &shop.factory, .factory_self = &shop};
    weir_err err = weir_shared_open(shop.runtime, &options, &pool);
    for (int i = 0; err == WEIR_OK && i < 2; i++) {
        weir_loan loan;
        weir_key key = shop_key(i == 0 ? "a" : "b");
        weir_acquire_options soon = {.timeout_ms = 2000};
        err = weir_acquire_wait(pool, &key, &soon, &loan);
        if (err == WEIR_OK) {
            weir_loan_return(&loan, WEIR_KEEP);
        }
    }
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    shop_close(&shop);
}

static void answers_where_memory_is_refused(void **state)
{
    (void)state;
    torture(live, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_in_a_loop_that_polls),
        cmocka_unit_test(turns_while_its_own_thread_waits),
        cmocka_unit_test(serves_other_threads_from_its_hosts_loop),
        cmocka_unit_test(lives_in_a_loop_of_libuv),
        cmocka_unit_test(runs_what_it_is_given_on_the_worker),
        cmocka_unit_test(takes_no_more_than_it_may),
        cmocka_unit_test(tells_what_happens),
        cmocka_unit_test(writes_a_log),
        cmocka_unit_test(answers_where_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
