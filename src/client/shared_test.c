/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared pools from many threads: what is lent, to whom, and in which order.
 */
#include "support/shop.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static const weir_pool_options two = {.max_total = 2};

static void lends_the_same_object_again(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan first = shop_take(pool, "a");
    const void *object = first.object;
    assert_false(first.reused);
    assert_ptr_equal(first.pool, pool);
    shop_give(&first);
    assert_null(first.pool);

    weir_loan again = shop_take(pool, "a");
    assert_ptr_equal(again.object, object);
    assert_true(again.reused);
    shop_give(&again);

    weir_stats stats = shop_stats(pool);
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.reused, 1);
    assert_int_equal(stats.idle, 1);
    assert_int_equal(stats.leases, 0);
    shop_close(&shop);
}

static void takes_what_is_returned_once(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    weir_loan copy = loan;
    shop_give(&loan);
    assert_int_equal(weir_loan_return(&loan, WEIR_KEEP), WEIR_ESTALE);
    assert_int_equal(weir_loan_return(&copy, WEIR_KEEP), WEIR_ESTALE);

    /* Also when the object is lent anew. */
    weir_loan next = shop_take(pool, "a");
    assert_int_equal(weir_loan_return(&copy, WEIR_BROKEN), WEIR_ESTALE);
    assert_int_equal(shop_stats(pool).leases, 1);
    shop_give(&next);

    /* And when another pool is where its own was. */
    next = shop_take(pool, "a");
    copy = next;
    shop_give(&next);
    weir_shared_close(pool, 0);
    shop_until(weir_acquire_now(pool, &(weir_key){.host = "a"}, NULL, &next) == WEIR_ECLOSED
               && shop.destroyed == 1);
    weir_shared *other = shop_pool(&shop, &two);
    loan = shop_take(other, "a");
    assert_int_equal(weir_loan_return(&copy, WEIR_BROKEN), WEIR_ESTALE);
    assert_int_equal(weir_loan_return(&copy, WEIR_KEEP), WEIR_ESTALE);
    shop_give(&loan);
    shop_close(&shop);
}

static void is_not_lent(void *arg, weir_err err, const weir_loan *loan, uint32_t retry_after_ms)
{
    (void)arg, (void)err, (void)loan, (void)retry_after_ms;
    fail();
}

/* Two that differ in the last byte alone share nothing, parked or idle; one that is too long is
 * nobody's. */
static void keys_may_be_long(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    char host[WEIR_KEY_BYTES_MAX + 1];
    static const size_t lens[] = {511, 512, 513, 1000, WEIR_KEY_BYTES_MAX - 6 - 6 - 4};
    for (uint32_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        memset(host, 'x', lens[i]);
        host[lens[i]] = '\0';
        weir_loan loan = shop_take(pool, host);
        shop_give(&loan);
        host[lens[i] - 1] = 'y';
        loan = shop_take(pool, host);
        assert_false(loan.reused);
        shop_give(&loan);
        assert_int_equal(shop.made, 2 * (i + 1));
    }
    memset(host, 'x', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    weir_key key = shop_key(host);
    weir_loan loan;
    assert_int_equal(weir_acquire_wait(pool, &key, NULL, &loan), WEIR_EINVAL);
    assert_int_equal(weir_acquire_now(pool, &key, NULL, &loan), WEIR_EINVAL);
    assert_int_equal(weir_acquire_async(pool, &key, NULL, is_not_lent, NULL, NULL), WEIR_EINVAL);
    shop_close(&shop);
}

static void never_dials_where_it_only_tries(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_key key = shop_key("a");
    weir_loan loan;
    assert_int_equal(weir_acquire_now(pool, &key, NULL, &loan), WEIR_EAGAIN);
    weir_loan first = shop_take(pool, "a");
    assert_int_equal(weir_acquire_now(pool, &key, NULL, &loan), WEIR_EAGAIN);
    shop_give(&first);
    assert_int_equal(weir_acquire_now(pool, &key, NULL, &loan), WEIR_OK);
    shop_give(&loan);
    assert_int_equal(shop.made, 1);
    shop_close(&shop);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

struct line {
    weir_shared *pool;
    uint32_t place;
    _Atomic uint32_t *served;
    uint32_t was; /* served as which */
    weir_err err;
};

static void *stand_in_line(void *arg)
{
    struct line *line = arg;
    weir_key key = shop_key("a");
    weir_loan loan;
    line->err = weir_acquire_wait(line->pool, &key, NULL, &loan);
    if (line->err == WEIR_OK) {
        line->was = (*line->served)++;
        weir_loan_return(&loan, WEIR_KEEP);
    }
    return NULL;
}

static void serves_first_who_came_first(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    struct shop shop;
    struct line lines[THREADS];
    pthread_t threads[THREADS];
    _Atomic uint32_t served = 0;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    for (uint32_t i = 0; i < THREADS; i++) {
        lines[i] = (struct line){.pool = pool, .place = i, .served = &served};
        assert_int_equal(pthread_create(&threads[i], NULL, stand_in_line, &lines[i]), 0);
        shop_until(shop_stats(pool).waiting == i + 1);
    }
    shop_give(&loan);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(lines[i].err, WEIR_OK);
        assert_int_equal(lines[i].was, i);
    }
    assert_int_equal(shop.made, 1);
    shop_close(&shop);
}

static void stops_waiting_in_time(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a"), none;
    weir_key key = shop_key("a");
    weir_acquire_options opt = {.timeout_ms = 30};
    uint64_t begun_ms = clock_now_ms();
    assert_int_equal(weir_acquire_wait(pool, &key, &opt, &none), WEIR_EACQUIRE_TIMEOUT);
    assert_true(clock_now_ms() - begun_ms >= 30);
    assert_int_equal(shop_stats(pool).refused_by[WEIR_EACQUIRE_TIMEOUT], 1);
    shop_give(&loan);
    shop_close(&shop);
}

static void fails_those_who_wait_when_it_closes(void **state)
{
    (void)state;
    struct shop shop;
    pthread_t thread;
    _Atomic uint32_t served = 0;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    struct line line = {.pool = pool, .served = &served};
    assert_int_equal(pthread_create(&thread, NULL, stand_in_line, &line), 0);
    shop_until(shop_stats(pool).waiting == 1);
    weir_shared_close(pool, WEIR_NEVER);
    pthread_join(thread, NULL);
    assert_int_equal(line.err, WEIR_ECLOSED);
    /* A loan that is out keeps the runtime from closing; it is cut, and may be returned. */
    assert_int_equal(weir_runtime_close(shop.runtime, 1), WEIR_ESTATE);
    shop_until(shop.cut == 1);
    shop_give(&loan);
    shop_close(&shop);
}

/* --- callbacks ----------------------------------------------------------------------------------
 */

struct call {
    weir_shared *pool;
    pthread_t thread;
    weir_err err;
    weir_err wait_err; /* of waiting inside the callback */
    _Atomic uint32_t calls;
};

static void is_lent(void *arg, weir_err err, const weir_loan *loan, uint32_t retry_after_ms)
{
    struct call *call = arg;
    (void)retry_after_ms;
    call->err = err;
    call->thread = pthread_self();
    if (err == WEIR_OK) {
        weir_loan own = *loan, other;
        weir_key key = shop_key("a");
        call->wait_err = weir_acquire_wait(call->pool, &key, NULL, &other);
        weir_loan_return(&own, WEIR_KEEP);
    }
    call->calls++;
}

static void calls_back_on_the_worker(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 2);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_key key = shop_key("a");
    struct call call = {.pool = pool};
    weir_lease lease;
    assert_int_equal(weir_acquire_async(pool, &key, NULL, is_lent, &call, &lease), WEIR_OK);
    shop_until(call.calls == 1);
    assert_int_equal(call.err, WEIR_OK);
    assert_int_equal(call.wait_err, WEIR_ESTATE);
    assert_false(pthread_equal(call.thread, pthread_self()));
    assert_int_equal(weir_acquire_cancel(pool, lease), WEIR_ESTALE);
    shop_close(&shop);
}

static void cancels_a_caller_that_waits(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_key key = shop_key("a");
    weir_loan loan = shop_take(pool, "a");
    struct call call = {.pool = pool};
    weir_lease lease;
    assert_int_equal(weir_acquire_async(pool, &key, NULL, is_lent, &call, &lease), WEIR_OK);
    assert_int_equal(weir_acquire_cancel(pool, lease), WEIR_OK);
    shop_until(call.calls == 1);
    assert_int_equal(call.err, WEIR_ECANCELED);
    assert_int_equal(weir_acquire_cancel(pool, lease), WEIR_ESTALE);
    assert_int_equal(weir_acquire_cancel(pool, loan.lease), WEIR_ESTALE); /* it is held */
    assert_int_equal(shop_stats(pool).leases, 1);
    shop_give(&loan);
    shop_close(&shop);
}

/* --- names and options --------------------------------------------------------------------------
 */

static void finds_pools_by_name(void **state)
{
    (void)state;
    struct shop shop;
    weir_shared *pool, *same;
    shop_open(&shop, 0, 2);
    weir_shared_options opt = {
        .pool = {.name = "db", .max_total = 3}, .factory = &shop.factory, .factory_self = &shop};
    assert_null(weir_shared_find(shop.runtime, "db"));
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &pool), WEIR_OK);
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &same), WEIR_OK);
    assert_ptr_equal(pool, same);
    assert_ptr_equal(weir_shared_find(shop.runtime, "db"), pool);
    assert_string_equal(weir_shared_name(pool), "db");
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &same), WEIR_EEXISTS);
    opt.pool.max_total = 4;
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &same), WEIR_EEXISTS);
    opt.pool.max_total = 3;
    opt.factory_self = NULL;
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &same), WEIR_EEXISTS);
    shop_close(&shop);
}

static void without_a_name_equal_options_are_enough(void **state)
{
    (void)state;
    struct shop shop, other_shop;
    weir_shared *pool, *same, *other;
    shop_open(&shop, 0, 2);
    shop_init(&other_shop, 0);
    weir_shared_options opt = {
        .pool = {.max_total = 3}, .factory = &shop.factory, .factory_self = &shop};
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &pool), WEIR_OK);
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &same), WEIR_OK);
    assert_ptr_equal(pool, same);
    opt.pool.max_total = 4;
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &other), WEIR_OK);
    assert_ptr_not_equal(pool, other);
    char expected[80];
    snprintf(expected, sizeof expected, "%s-2", weir_shared_name(pool));
    assert_string_equal(weir_shared_name(other), expected);
    opt.pool.max_total = 3;
    opt.factory_self = &other_shop; /* whose things they are counts, too */
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &other), WEIR_OK);
    assert_ptr_not_equal(pool, other);
    opt.factory_self = &shop;
    assert_int_equal(weir_shared_get(shop.runtime, &opt, &same), WEIR_OK);
    assert_ptr_equal(pool, same);
    shop_close(&shop);
}

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    struct shop shop;
    weir_shared *pool;
    shop_open(&shop, 0, 1);
    weir_shared_options opt = {.pool = {.jitter_pct = 101}, .factory = &shop.factory};
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "jitter");
    opt.pool.jitter_pct = 0;
    opt.factory = NULL;
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "factory");
    weir_factory factory = {.destroy = shop_destroy};
    opt.factory = &factory;
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "factory.create");
    factory = (weir_factory){.create = shop_create};
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "factory.destroy");
    factory = shop.factory;
    factory.threads_max = 100000;
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "factory.threads_max");
    shop_close(&shop);

    weir_runtime *runtime;
    const struct {
        weir_runtime_options opt;
        const char *field;
    } bad[] = {
        {{.workers = 1000}, "workers"},
        {{.size = 4096}, "size"},
        {{.pools_max = 1000000}, "pools_max"},
        {{.conns_max = WEIR_UNLIMITED}, "conns_max"},
        {{.waiting_max = WEIR_UNLIMITED}, "waiting_max"},
        {{.keys_max = WEIR_UNLIMITED}, "keys_max"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_runtime_open(&bad[i].opt, &runtime), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].field);
    }
}

static void changes_options_while_it_serves(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    weir_key key = shop_key("a");
    weir_acquire_options soon = {.timeout_ms = 10};
    weir_loan second;
    assert_int_equal(weir_acquire_wait(pool, &key, &soon, &second), WEIR_EACQUIRE_TIMEOUT);
    weir_pool_options opt;
    weir_shared_options_of(pool, &opt);
    assert_int_equal(opt.max_total, 1);
    opt.max_total = 2;
    assert_int_equal(weir_shared_update(pool, &opt), WEIR_OK);
    second = shop_take(pool, "a");
    opt.jitter_pct = 101;
    assert_int_equal(weir_shared_update(pool, &opt), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "jitter");
    shop_give(&second);
    shop_give(&loan);
    weir_shared_flush(pool, NULL, 0);
    shop_until(shop.destroyed == 2);
    shop_close(&shop);
}

/* --- reports ------------------------------------------------------------------------------------
 */

static bool sees(void *arg, const weir_conn_info *info)
{
    const struct thing *thing = info->object;
    *(uint32_t *)arg += thing->number;
    return true;
}

static bool sees_key(void *arg, const weir_key_info *info)
{
    *(uint32_t *)arg += info->active;
    return true;
}

static bool sees_pool(void *arg, weir_shared *pool, const weir_stats *stats)
{
    char *names = arg;
    strcat(names, weir_shared_name(pool));
    strcat(names, stats->total == 2 ? "2 " : "0 ");
    return true;
}

static void shows_what_it_has(void **state)
{
    (void)state;
    struct shop shop;
    uint32_t numbers = 0, active = 0;
    char names[64] = "", text[2000];
    shop_open(&shop, 0, 2);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.name = "x"});
    shop_pool(&shop, &(weir_pool_options){.name = "y"});
    weir_loan a = shop_take(pool, "a"), b = shop_take(pool, "a");
    weir_shared_each(pool, sees, &numbers);
    assert_int_equal(numbers, 1 + 2);
    weir_shared_each_key(pool, sees_key, &active);
    assert_int_equal(active, 2);
    weir_key key = shop_key("a");
    weir_key_info info = {.size = sizeof info};
    assert_int_equal(weir_shared_key_of(pool, &key, &info), WEIR_OK);
    assert_int_equal(info.created, 2);
    weir_health_report health = {.size = sizeof health};
    weir_shared_health(pool, &health);
    assert_int_equal(health.health, WEIR_HEALTHY);
    assert_true(weir_shared_explain(pool, &key, text, sizeof text) > 0);
    weir_runtime_each(shop.runtime, sees_pool, names);
    assert_string_equal(names, "x2 y0 ");
    weir_factory_stats stats;
    weir_shared_factory_stats(pool, &stats);
    assert_int_equal(stats.created, 2);
    shop_give(&a);
    shop_give(&b);
    shop_close(&shop);
}

static void scope(weir_shared *pool, weir_fate fate)
{
    weir_key key = shop_key("a");
    WEIR_SCOPED(lease) loan = {0};
    if (weir_acquire_wait(pool, &key, NULL, &loan) == WEIR_OK) {
        loan.fate = fate;
    }
}

static void gives_back_when_a_scope_ends(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    scope(pool, WEIR_KEEP);
    assert_int_equal(shop_stats(pool).idle, 1);
    scope(pool, WEIR_BROKEN);
    shop_until(shop.destroyed == 1);
    assert_int_equal(shop_stats(pool).leases, 0);
    shop_close(&shop);
}

/* --- many threads -------------------------------------------------------------------------------
 */

struct crowd {
    weir_shared *pool;
    uint32_t seed, rounds;
    _Atomic uint32_t wrong;
};

static void *jostle(void *arg)
{
    struct crowd *crowd = arg;
    static const char *const hosts[] = {"a", "b", "c"};
    static const weir_fate fates[] = {WEIR_KEEP, WEIR_KEEP,   WEIR_KEEP,   WEIR_KEEP,
                                      WEIR_KEEP, WEIR_RETIRE, WEIR_BROKEN, WEIR_UNKNOWN};
    uint32_t seed = crowd->seed;
    for (uint32_t i = 0; i < crowd->rounds; i++) {
        seed = seed * 1664525U + 1013904223U;
        weir_key key = shop_key(hosts[(seed >> 8) % 3]);
        weir_loan loan;
        weir_err err = (seed >> 12) % 4 == 0 ? weir_acquire_now(crowd->pool, &key, NULL, &loan)
                                             : weir_acquire_wait(crowd->pool, &key, NULL, &loan);
        if (err != WEIR_OK) {
            crowd->wrong += err != WEIR_EAGAIN;
            continue;
        }
        crowd->wrong += !shop_use(&loan);
        weir_fate fate = fates[(seed >> 16) % 8];
        crowd->wrong += weir_loan_return(&loan, fate) != WEIR_OK;
    }
    return NULL;
}

static void run_crowd(uint32_t threads_max, uint32_t workers, uint32_t max_total, uint32_t rounds)
{
    enum { THREADS = 4 };
    struct shop shop;
    shop_open(&shop, threads_max, workers);
    shop.factory.validate = shop_validate;
    weir_shared *pool = shop_pool(
        &shop, &(weir_pool_options){.max_total = max_total, .max_per_key = 3, .retry_first_ms = 1});
    struct crowd crowds[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.pool = pool, .seed = i + 1, .rounds = rounds};
    }
    shop_crowd(THREADS, jostle, crowds, sizeof *crowds);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(crowds[i].wrong, 0);
    }
    weir_stats stats = shop_stats(pool);
    assert_int_equal(stats.leases, 0);
    assert_int_equal(stats.waiting, 0);
    assert_true(stats.total <= max_total);
    shop_close(&shop);
}

static void four_threads_never_share_an_object(void **state)
{
    (void)state;
    run_crowd(0, 1, 4, 2000);
    run_crowd(0, 2, 2, 1000);
    run_crowd(3, 2, 4, 1000);
    run_crowd(2, 1, 1, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lends_the_same_object_again),
        cmocka_unit_test(takes_what_is_returned_once),
        cmocka_unit_test(keys_may_be_long),
        cmocka_unit_test(never_dials_where_it_only_tries),
        cmocka_unit_test(serves_first_who_came_first),
        cmocka_unit_test(stops_waiting_in_time),
        cmocka_unit_test(fails_those_who_wait_when_it_closes),
        cmocka_unit_test(calls_back_on_the_worker),
        cmocka_unit_test(cancels_a_caller_that_waits),
        cmocka_unit_test(finds_pools_by_name),
        cmocka_unit_test(without_a_name_equal_options_are_enough),
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(changes_options_while_it_serves),
        cmocka_unit_test(shows_what_it_has),
        cmocka_unit_test(gives_back_when_a_scope_ends),
        cmocka_unit_test(four_threads_never_share_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
