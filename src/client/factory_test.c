/* SPDX-License-Identifier: Apache-2.0
 *
 * Factories that answer at once, later, too late, twice, never, or wrongly: on the loop and on
 * threads of their own.
 */
#include "support/shop.h"

#include <signal.h>

static weir_shared *open_pool(struct shop *shop, uint32_t threads_max,
                              const weir_pool_options *options)
{
    shop_open(shop, threads_max, 1);
    shop->factory.abandon_after_ms = 20;
    shop->factory.validate = shop_validate;
    return shop_pool(shop, options);
}

static weir_err take(weir_shared *pool, const char *host, uint32_t timeout_ms, weir_loan *ret_loan)
{
    weir_key key = shop_key(host);
    weir_acquire_options opt = {.timeout_ms = timeout_ms};
    return weir_acquire_wait(pool, &key, &opt, ret_loan);
}

static weir_factory_stats stats_of(weir_shared *pool)
{
    weir_factory_stats stats = {.size = sizeof stats};
    weir_shared_factory_stats(pool, &stats);
    return stats;
}

/* --- creating -----------------------------------------------------------------------------------
 */

static void says_why_it_cannot(void **state)
{
    struct shop shop;
    weir_loan loan;
    uint32_t threads_max = *(uint32_t *)*state;
    weir_shared *pool = open_pool(&shop, threads_max, &(weir_pool_options){.max_total = 2});
    shop.create_err = WEIR_EREFUSED;
    assert_int_equal(take(pool, "a", 5000, &loan), WEIR_EREFUSED);
    assert_int_equal(shop_stats(pool).failed_by[WEIR_EREFUSED], 1);
    shop.create_err = WEIR_OK;
    weir_shared_flush(pool, NULL, 0); /* forgets the back-off */
    assert_int_equal(take(pool, "a", 5000, &loan), WEIR_OK);
    assert_int_equal(loan.slot, 0);
    shop_give(&loan);
    assert_int_equal(stats_of(pool).failed, 1);
    shop_close(&shop);
}

struct taker {
    weir_shared *pool;
    weir_err err;
    weir_loan loan;
    uint32_t timeout_ms;
};

static void *take_there(void *arg)
{
    struct taker *taker = arg;
    taker->err = take(taker->pool, "a", taker->timeout_ms, &taker->loan);
    return NULL;
}

static pthread_t start(struct taker *taker, weir_shared *pool, uint32_t timeout_ms)
{
    pthread_t thread;
    *taker = (struct taker){.pool = pool, .timeout_ms = timeout_ms};
    assert_int_equal(pthread_create(&thread, NULL, take_there, taker), 0);
    return thread;
}

static struct thing *thing_for_slot(struct shop *shop, uint32_t slot)
{
    weir_key key = shop_key("a");
    weir_create create = {.key = &key, .slot = slot};
    return shop_make(shop, &create);
}

static void answers_later_from_another_thread(void **state)
{
    struct shop shop;
    struct taker taker;
    uint32_t threads_max = *(uint32_t *)*state;
    weir_shared *pool = open_pool(&shop, threads_max, &(weir_pool_options){.max_total = 1});
    shop.create_err = WEIR_EAGAIN;
    pthread_t thread = start(&taker, pool, 10000);
    shop_until(shop.last_task_id != 0);
    struct thing *thing = thing_for_slot(&shop, 0);
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_EAGAIN, NULL), WEIR_EINVAL);
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_OK, thing), WEIR_OK);
    pthread_join(thread, NULL);
    assert_int_equal(taker.err, WEIR_OK);
    assert_ptr_equal(taker.loan.object, thing);

    /* The second answer is nobody's. */
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_OK, thing), WEIR_ESTALE);
    shop_until(shop.faults[WEIR_FAULT_TWICE] == 1);
    shop_give(&taker.loan);
    shop_close(&shop);
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_OK, thing), WEIR_ESTALE);
    assert_int_equal(weir_factory_answer((weir_task){0}, WEIR_OK, NULL), WEIR_ESTALE);
}

static weir_err create_and_answer(void *self, const weir_create *create, void **ret_object)
{
    struct shop *shop = self;
    struct thing *thing = shop_make(shop, create);
    (void)ret_object;
    shop->wrong += weir_factory_answer(create->task, WEIR_OK, thing) != WEIR_OK;
    return WEIR_EAGAIN;
}

static void answers_inside_the_question(void **state)
{
    struct shop shop;
    weir_loan loan;
    shop_open(&shop, *(uint32_t *)*state, 1);
    shop.factory.create = create_and_answer;
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    assert_int_equal(take(pool, "a", 5000, &loan), WEIR_OK);
    shop_give(&loan);
    shop_close(&shop);
}

/* A creation that takes too long. On a busy machine a dial may end before the factory heard of it:
 * that one does not count. */
static void take_in_vain(struct shop *shop, weir_shared *pool)
{
    shop->create_err = WEIR_EAGAIN;
    do {
        weir_loan loan;
        weir_shared_flush(pool, NULL, 0);
        assert_int_equal(take(pool, "a", 5000, &loan), WEIR_ECONNECT_TIMEOUT);
    } while (shop->last_task_id == 0);
}

static void answers_when_nobody_wants_it_any_more(void **state)
{
    struct shop shop;
    shop_open(&shop, *(uint32_t *)*state, 1);
    shop.factory.abandon_after_ms = 60000;
    weir_shared *pool = shop_pool(&shop,
                                  &(weir_pool_options){.max_total = 1, .connect_timeout_ms = 10});
    take_in_vain(&shop, pool);
    shop_until(shop.canceled == 1);
    assert_int_equal(shop_stats(pool).closing, 1); /* its place and its slot are still taken */
    assert_int_equal(stats_of(pool).creating, 1);
    struct thing *thing = thing_for_slot(&shop, 0);
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_OK, thing), WEIR_ECANCELED);
    shop_until(shop.destroyed == 1 && shop.faults[WEIR_FAULT_LATE] == 1);
    shop_until(shop_stats(pool).total == 0);
    shop_close(&shop);
}

/* On a busy machine even a creation that works may take too long. */
static weir_loan take_at_last(weir_shared *pool)
{
    weir_loan loan = {0};
    do {
        weir_shared_flush(pool, NULL, 0);
    } while (take(pool, "a", 5000, &loan) == WEIR_ECONNECT_TIMEOUT);
    assert_non_null(loan.object);
    return loan;
}

static void is_given_up_when_it_never_answers(void **state)
{
    struct shop shop;
    weir_shared *pool = open_pool(
        &shop, *(uint32_t *)*state,
        &(weir_pool_options){.max_total = 1, .connect_timeout_ms = 10, .retry_first_ms = 1});
    take_in_vain(&shop, pool);
    shop_until(shop.faults[WEIR_FAULT_STUCK] == 1);
    weir_task task = shop_task(&shop);
    shop_until(shop_stats(pool).total == 0);
    shop.create_err = WEIR_OK;
    weir_loan loan = take_at_last(pool);
    assert_int_equal(loan.slot, 0);
    assert_int_equal(weir_factory_answer(task, WEIR_OK, NULL), WEIR_ESTALE);
    shop_give(&loan);
    shop_close(&shop);
}

/* --- threads that block -------------------------------------------------------------------------
 */

/* A thread of the factory's is inside a creation that the pool has given up waiting for. */
static void get_a_thread_stuck(struct shop *shop, weir_shared *pool)
{
    shop->is_blocked = true;
    do { /* where no thread began with it in time, it was withdrawn */
        weir_loan loan;
        weir_shared_flush(pool, NULL, 0);
        assert_int_equal(take(pool, "a", 5000, &loan), WEIR_ECONNECT_TIMEOUT);
    } while (stats_of(pool).creating == 0 && stats_of(pool).threads_lost == 0);
    shop_until(shop->inside == 1);
}

static void loses_a_thread_that_does_not_come_back(void **state)
{
    (void)state;
    struct shop shop;
    weir_loan loan;
    weir_shared *pool = open_pool(
        &shop, 1,
        &(weir_pool_options){.max_total = 1, .connect_timeout_ms = 10, .retry_first_ms = 1});
    get_a_thread_stuck(&shop, pool);
    shop_until(shop.faults[WEIR_FAULT_STUCK] == 1);
    shop_until(stats_of(pool).threads_lost == 1);
    assert_int_equal(shop_stats(pool).total, 0);

    /* It comes back with an object that nobody wants; another thread is there for the others. */
    shop.is_blocked = false;
    shop_until(shop.destroyed == 1 && stats_of(pool).threads_lost == 0);
    assert_int_equal(stats_of(pool).faults[WEIR_FAULT_LATE], 1);
    loan = take_at_last(pool);
    shop_give(&loan);
    shop_close(&shop);
}

static void is_closed_before_its_thread_comes_back(void **state)
{
    (void)state;
    static struct shop shop; /* the thread uses it to its end, of which we do not hear */
    weir_shared *pool = open_pool(&shop, 1,
                                  &(weir_pool_options){.max_total = 1, .connect_timeout_ms = 10});
    get_a_thread_stuck(&shop, pool);
    assert_int_equal(weir_runtime_close(shop.runtime, 0), WEIR_OK);
    assert_int_equal(shop.made, 0);
    shop.is_blocked = false;
    shop_until(shop.destroyed == 1);
    assert_int_equal(shop.wrong, 0);
}

static void withdraws_what_no_thread_has_begun(void **state)
{
    (void)state;
    struct shop shop;
    weir_loan loan;
    shop_open(&shop, 1, 1);
    shop.factory.abandon_after_ms = 60000;
    weir_shared *pool = shop_pool(&shop,
                                  &(weir_pool_options){.max_total = 2, .connect_timeout_ms = 20});
    get_a_thread_stuck(&shop, pool);
    assert_int_equal(take(pool, "b", 5000, &loan), WEIR_ECONNECT_TIMEOUT);
    shop_until(shop_stats(pool).total == 1); /* b's is gone, a's waits for its thread */
    shop.is_blocked = false;
    shop_until(shop_stats(pool).total == 0);
    assert_int_equal(shop.made, 1);
    shop_close(&shop);
}

static void has_no_more_threads_than_it_may(void **state)
{
    (void)state;
    enum { TAKERS = 5 };
    struct shop shop;
    struct taker takers[TAKERS];
    pthread_t threads[TAKERS];
    shop_open(&shop, 2, 1);
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = TAKERS});
    weir_loan first = shop_take(pool, "a"); /* opens the ramp of dials */
    shop.is_blocked = true;
    for (unsigned i = 1; i < TAKERS; i++) {
        threads[i] = start(&takers[i], pool, 10000);
    }
    shop_until(shop.inside == 2);
    assert_true(stats_of(pool).threads <= 2);
    assert_int_equal(stats_of(pool).threads_busy, 2);
    shop.is_blocked = false;
    for (unsigned i = 1; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(takers[i].err, WEIR_OK);
        shop_give(&takers[i].loan);
    }
    shop_give(&first);
    shop_close(&shop);
}

/* --- validating ---------------------------------------------------------------------------------
 */

static void validates_what_is_idle(void **state)
{
    struct shop shop;
    weir_loan loan;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state,
                                  &(weir_pool_options){.max_total = 1, .probe_every_ms = 10});
    loan = shop_take(pool, "a");
    shop_give(&loan);
    shop_until(shop.validated >= 3);
    assert_int_equal(shop.destroyed, 0);
    shop.validate_err = WEIR_EPROTOCOL;
    shop_until(shop.destroyed == 1);
    shop_until(shop_stats(pool).total == 0);
    assert_int_equal(shop_stats(pool).closed_by[WEIR_EPROBE], 1);
    shop_close(&shop);
}

static void validates_nothing_while_that_is_switched_off(void **state)
{
    const weir_pool_options opt = {.max_total = 1, .probe_every_ms = 10};
    struct shop shop, other;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state, &opt);
    weir_shared *witness = open_pool(&other, *(uint32_t *)*state, &opt);
    assert_int_equal(weir_shared_probe(pool, false), WEIR_OK);
    weir_loan loan = shop_take(pool, "a"), seen = shop_take(witness, "a");
    shop_give(&loan);
    shop_give(&seen);
    shop_until(other.validated >= 5);
    assert_int_equal(shop.validated, 0);
    assert_int_equal(weir_shared_probe(pool, true), WEIR_OK);
    shop_until(shop.validated >= 2);
    shop_close(&other);
    shop_close(&shop);
}

static void validates_what_is_returned_unknown(void **state)
{
    struct shop shop;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    shop.validate_err = WEIR_EAGAIN;
    assert_int_equal(weir_loan_return(&loan, WEIR_UNKNOWN), WEIR_OK);
    shop_until(shop.validated == 1);
    weir_loan none;
    assert_int_equal(take(pool, "a", 20, &none), WEIR_EACQUIRE_TIMEOUT);
    assert_int_equal(weir_factory_answer(shop_task(&shop), WEIR_OK, NULL), WEIR_OK);
    loan = shop_take(pool, "a");
    assert_true(loan.reused);
    shop_give(&loan);
    shop_close(&shop);
}

static void gives_a_validation_up(void **state)
{
    struct shop shop;
    weir_loan loan;
    struct thing *thing;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state,
                                  &(weir_pool_options){.max_total = 1, .probe_timeout_ms = 10});
    shop.validate_err = WEIR_EAGAIN;
    do { /* where no thread began with it in time, it was withdrawn, and the object destroyed */
        loan = shop_take(pool, "a");
        thing = loan.object;
        assert_int_equal(weir_loan_return(&loan, WEIR_UNKNOWN), WEIR_OK);
        shop_until(shop_stats(pool).total == 0);
    } while (shop.validated == 0);
    assert_int_equal(shop_stats(pool).closed_by[WEIR_EPROBE_TIMEOUT], shop.made);
    assert_int_equal(shop.canceled, 1);
    assert_int_equal(stats_of(pool).faults[WEIR_FAULT_STUCK], 1);
    /* What became of the object nobody knows: it was not destroyed under a validation. */
    assert_int_equal(weir_runtime_close(shop.runtime, 0), WEIR_OK);
    assert_int_equal(shop.destroyed, shop.made - 1);
    free(thing);
}

static bool is_never_usable(void *self, void *object)
{
    (void)self, (void)object;
    return false;
}

static void looks_before_it_lends_again(void **state)
{
    struct shop shop;
    shop_open(&shop, *(uint32_t *)*state, 1);
    shop.factory.usable = is_never_usable;
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 2});
    weir_loan loan = shop_take(pool, "a");
    shop_give(&loan);
    for (uint64_t end_ms = clock_now_ms() + 5; clock_now_ms() < end_ms;) {
        sched_yield(); /* what came up this very moment is not asked */
    }
    loan = shop_take(pool, "a");
    assert_false(loan.reused);
    shop_give(&loan);
    shop_close(&shop);
}

/* --- ending -------------------------------------------------------------------------------------
 */

static void tells_what_it_could_not_destroy(void **state)
{
    struct shop shop;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state, &(weir_pool_options){.max_total = 1});
    weir_loan loan = shop_take(pool, "a");
    shop.destroy_err = WEIR_EIO;
    assert_int_equal(weir_loan_return_why(&loan, WEIR_BROKEN, WEIR_EPROTOCOL), WEIR_OK);
    shop_until(shop.faults[WEIR_FAULT_UNDESTROYED] == 1);
    shop_until(shop_stats(pool).total == 0);
    assert_int_equal(shop_stats(pool).closed_by[WEIR_EPROTOCOL], 1);
    assert_int_equal(stats_of(pool).destroyed, 0);
    shop_close(&shop);
}

static void cuts_a_loan_that_is_overdue(void **state)
{
    struct shop shop;
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state,
                                  &(weir_pool_options){.max_total = 1, .lease_timeout_ms = 10});
    weir_loan loan = shop_take(pool, "a");
    shop_until(shop.cut == 1);
    assert_int_equal(shop.destroyed, 0); /* not under its holder */
    shop_give(&loan);
    shop_until(shop.destroyed == 1);
    shop_close(&shop);
}

static void numbers_the_connections_of_a_key(void **state)
{
    struct shop shop;
    weir_loan loans[3];
    weir_shared *pool = open_pool(&shop, *(uint32_t *)*state,
                                  &(weir_pool_options){.max_per_key = 3});
    uint32_t slots = 0;
    for (unsigned i = 0; i < 3; i++) {
        loans[i] = shop_take(pool, "a");
        slots |= 1U << loans[i].slot;
    }
    assert_int_equal(slots, 7);
    weir_loan other = shop_take(pool, "b");
    assert_int_equal(other.slot, 0);
    uint32_t freed = loans[1].slot;
    assert_int_equal(weir_loan_return(&loans[1], WEIR_BROKEN), WEIR_OK);
    loans[1] = shop_take(pool, "a");
    assert_int_equal(loans[1].slot, freed);
    assert_int_equal(((struct thing *)loans[1].object)->slot, freed);
    for (unsigned i = 0; i < 3; i++) {
        shop_give(&loans[i]);
    }
    shop_give(&other);
    shop_close(&shop);
}

static weir_err crash_once(void *self, void *object, weir_err why)
{
    struct shop *shop = self;
    weir_err err = shop_destroy(self, object, why);
    if (shop->destroyed == 1) {
        raise(SIGSEGV);
    }
    return err;
}

/* Its thread is lost; its place in the limits, its slot and the pool are not. */
static void crashes_on_destroy(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 1, 1);
    shop.factory.destroy = crash_once;
    shop.factory.contain_crashes = true;
    weir_shared *pool = shop_pool(&shop, &(weir_pool_options){.max_total = 1});
    for (uint32_t i = 0; i < 3; i++) {
        weir_loan loan = shop_take(pool, "a");
        assert_int_equal(loan.slot, 0);
        assert_int_equal(weir_loan_return(&loan, WEIR_BROKEN), WEIR_OK);
    }
    shop_until(shop.destroyed == 3);
    assert_int_equal(shop.faults[WEIR_FAULT_CRASHED], 1);
    weir_factory_stats stats = {.size = sizeof stats};
    weir_shared_factory_stats(pool, &stats);
    assert_int_equal(stats.threads_lost, 1);
    assert_int_equal(stats.faults[WEIR_FAULT_CRASHED], 1);
    shop_close(&shop);
}

static void contains_crashes_of_its_own_threads_only(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, 0, 1);
    shop.factory.contain_crashes = true;
    weir_shared_options opt = {.factory = &shop.factory, .factory_self = &shop};
    weir_shared *pool;
    assert_int_equal(weir_shared_open(shop.runtime, &opt, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "factory.contain_crashes");
    shop_close(&shop);
}

static uint32_t on_the_loop = 0, on_threads = 2;

#define both(test)                                                                                 \
    {#test ", on the loop", test, NULL, NULL, &on_the_loop},                                       \
    {                                                                                              \
#        test ", on threads", test, NULL, NULL, &on_threads                                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        both(says_why_it_cannot),
        both(answers_later_from_another_thread),
        both(answers_inside_the_question),
        both(answers_when_nobody_wants_it_any_more),
        both(is_given_up_when_it_never_answers),
        cmocka_unit_test(loses_a_thread_that_does_not_come_back),
        cmocka_unit_test(is_closed_before_its_thread_comes_back),
        cmocka_unit_test(withdraws_what_no_thread_has_begun),
        cmocka_unit_test(has_no_more_threads_than_it_may),
        both(validates_what_is_idle),
        both(validates_nothing_while_that_is_switched_off),
        both(validates_what_is_returned_unknown),
        both(gives_a_validation_up),
        both(looks_before_it_lends_again),
        both(tells_what_it_could_not_destroy),
        cmocka_unit_test(crashes_on_destroy),
        cmocka_unit_test(contains_crashes_of_its_own_threads_only),
        both(cuts_a_loan_that_is_overdue),
        both(numbers_the_connections_of_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
