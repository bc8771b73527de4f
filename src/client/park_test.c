/* SPDX-License-Identifier: Apache-2.0
 *
 * Parking: what a thread returned it has again without the lock, and nobody ever pays for that: not
 * who waits, not who reads figures, not the limits.
 */
#include "client/park.h"

#include "client/runtime.h"
#include "support/shop.h"

#include <unistd.h>

static const weir_pool_options one = {.max_total = 1};
static const weir_pool_options two = {.max_total = 2};

static uint32_t parked(const weir_shared *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PARK_SEATS; i++) {
        uint32_t number = atomic_load(&pool->park.seats[i].number);
        count += number > 0 && atomic_load(&pool->park.turns[number - 1].number) % 2 == 1;
    }
    return count;
}

static void lies_on_its_thread_s_seat(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    const void *object = loan.object;
    uint64_t lease = loan.lease.id;
    shop_give(&loan);
    uint32_t again = 0; /* a tick may have swept it in between: then it is another lease */
    for (int i = 0; i < 1000; i++) {
        loan = shop_take(pool, "a");
        assert_ptr_equal(loan.object, object);
        assert_true(loan.reused);
        again += loan.lease.id == lease;
        lease = loan.lease.id;
        shop_give(&loan);
    }
    assert_true(again > 0);
    weir_stats stats = shop_stats(pool);
    assert_int_equal(parked(pool), 0); /* whoever reads figures has it swept */
    assert_int_equal(stats.idle, 1);
    assert_int_equal(stats.leases, 0);
    assert_int_equal(stats.grants, stats.released);
    assert_int_equal(stats.grants, stats.reused + 1);
    shop_close(&shop);
}

static void is_swept_in_time(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    shop_give(&loan);
    shop_until(parked(pool) == 0);
    shop_until(!atomic_load(&pool->park.is_ticking)); /* and then nobody looks any more */
    loan = shop_take(pool, "a");
    shop_give(&loan);
    shop_until(parked(pool) == 0);
    shop_close(&shop);
}

/* The same loan again and again is told to the engine every two ticks. */
static void is_heard_of_while_it_goes_on(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    uint64_t first = loan.lease.id;
    shop_give(&loan);
    shop_until((loan = shop_take(pool, "a"), shop_give(&loan), loan.lease.id != first));
    shop_close(&shop);
}

static void other_keys_do_not_find_it(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    static const weir_key others[] = {
        {.scheme = "shop", .host = "b", .port = 1},
        {.scheme = "shop", .host = "a", .port = 2},
        {.scheme = "shop", .host = "a", .port = 1, .tenant = "t"},
        {.scheme = "shop", .host = "a", .port = 1, .tls = "t"},
        {.scheme = "shop", .host = "a", .port = 1, .proxy = "socks5://p"},
        {.scheme = "shop", .host = "a", .port = 1, .source = "127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        weir_loan loan = shop_take(pool, "a");
        weir_loan other = {0};
        shop_give(&loan);
        assert_int_equal(weir_acquire_now(pool, &others[i], NULL, &other), WEIR_EAGAIN);
    }
    weir_key same = {.scheme = "SHOP", .host = "A", .port = 1, .tenant = ""};
    weir_loan loan = {0};
    assert_int_equal(weir_acquire_now(pool, &same, NULL, &loan), WEIR_OK);
    shop_give(&loan);
    assert_int_equal(shop.made, 1);
    shop_close(&shop);
}

struct other {
    weir_shared *pool;
    weir_err err;
    const void *object;
};

static void *take_elsewhere(void *arg)
{
    struct other *other = arg;
    weir_key key = shop_key("a");
    weir_loan loan = {0};
    other->err = weir_acquire_now(other->pool, &key, NULL, &loan);
    if (other->err == WEIR_OK) {
        other->object = loan.object;
        weir_loan_return(&loan, WEIR_KEEP);
    }
    return NULL;
}

/* Another thread has it at once, though it may only try. */
static void another_thread_has_it_at_once(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &one);
    for (int i = 0; i < 100; i++) {
        weir_loan loan = shop_take(pool, "a");
        struct other other = {.pool = pool, .err = WEIR_EIO};
        const void *object = loan.object;
        shop_give(&loan);
        shop_crowd(1, take_elsewhere, &other, 0);
        assert_int_equal(other.err, WEIR_OK);
        assert_ptr_equal(other.object, object);
    }
    shop_close(&shop);
}

/* The only place of the pool is parked by one key, and asked for by another. */
static void another_key_has_its_room(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &one);
    for (int i = 0; i < 50; i++) {
        weir_loan loan = shop_take(pool, i % 2 == 0 ? "a" : "b");
        assert_int_equal(loan.waited_ms / 1000, 0);
        shop_give(&loan);
    }
    assert_int_equal(shop.made, 50);
    shop_close(&shop);
}

static void flush_and_close_find_it(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    shop_give(&loan);
    weir_shared_flush(pool, NULL, 0);
    shop_until(shop.destroyed == 1);

    /* And what was lent meanwhile is not parked when it comes back. */
    loan = shop_take(pool, "a");
    weir_shared_flush(pool, NULL, WEIR_NEVER);
    shop_give(&loan);
    assert_int_equal(parked(pool), 0);
    shop_until(shop.destroyed == 2);

    loan = shop_take(pool, "a");
    shop_give(&loan);
    weir_shared_close(pool, 0);
    shop_until(shop.destroyed == 3);
    shop_close(&shop);
}

static bool yes(void *self, void *object)
{
    (void)self, (void)object;
    return true;
}

/* Rules that look at each lease. */
static void pools_that_look_at_each_lease_do_without(void **state)
{
    (void)state;
    static const weir_pool_options rules[] = {
        {.reuse = WEIR_OLDEST}, {.reuse = WEIR_FEWEST},      {.reuse = WEIR_NO_REUSE},
        {.max_uses = 100},      {.lease_timeout_ms = 60000}, {.lease_warn_ms = 60000},
        {.max_total = 2},
    };
    size_t count = sizeof rules / sizeof *rules;
    for (size_t i = 0; i < count; i++) {
        struct shop shop;
        shop_open(&shop, 0, 1);
        shop.factory.usable = i == count - 1 ? yes : NULL;
        weir_shared *pool = shop_pool(&shop, &rules[i]);
        weir_loan loan = shop_take(pool, "a");
        shop_give(&loan);
        assert_int_equal(parked(pool), 0);
        shop_close(&shop);
    }
}

static void an_update_ends_it(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    weir_shared *pool = shop_pool(&shop, &two);
    weir_loan loan = shop_take(pool, "a");
    shop_give(&loan);
    weir_pool_options opt = {.size = sizeof opt};
    weir_shared_options_of(pool, &opt);
    opt.max_uses = 100;
    assert_int_equal(weir_shared_update(pool, &opt), WEIR_OK);
    assert_int_equal(parked(pool), 0);
    loan = shop_take(pool, "a");
    shop_give(&loan);
    assert_int_equal(parked(pool), 0);
    shop_close(&shop);
}

/* More threads than seats, all of one pool; each loan is returned twice. */
struct crowd {
    weir_shared *pool;
    _Atomic uint32_t wrong;
};

static void *throng(void *arg)
{
    struct crowd *crowd = arg;
    weir_key key = shop_key("a");
    for (int i = 0; i < 100; i++) {
        weir_loan loan = {0};
        if (weir_acquire_wait(crowd->pool, &key, NULL, &loan) != WEIR_OK) {
            crowd->wrong++;
            continue;
        }
        weir_loan copy = loan;
        crowd->wrong += !shop_use(&loan);
        crowd->wrong += weir_loan_return(&loan, WEIR_KEEP) != WEIR_OK;
        crowd->wrong += weir_loan_return(&copy, WEIR_BROKEN) != WEIR_ESTALE;
    }
    return NULL;
}

static void threads_may_be_more_than_seats(void **state)
{
    (void)state;
    enum { THREADS = PARK_SEATS + 6 };
    struct shop shop;
    shop_open(&shop, 0, 1);
    struct crowd crowd = {.pool = shop_pool(&shop, &(weir_pool_options){.max_total = 8})};
    shop_crowd(THREADS, throng, &crowd, 0); /* all of them the same one */
    assert_int_equal(crowd.wrong, 0);
    weir_stats stats = shop_stats(crowd.pool);
    assert_int_equal(stats.leases, 0);
    assert_true(stats.total <= 8);
    assert_int_equal(stats.grants, THREADS * 100);
    assert_int_equal(stats.released, THREADS * 100);
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_on_its_thread_s_seat),
        cmocka_unit_test(is_swept_in_time),
        cmocka_unit_test(is_heard_of_while_it_goes_on),
        cmocka_unit_test(other_keys_do_not_find_it),
        cmocka_unit_test(another_thread_has_it_at_once),
        cmocka_unit_test(another_key_has_its_room),
        cmocka_unit_test(flush_and_close_find_it),
        cmocka_unit_test(pools_that_look_at_each_lease_do_without),
        cmocka_unit_test(an_update_ends_it),
        cmocka_unit_test(threads_may_be_more_than_seats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
