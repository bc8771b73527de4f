/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pool.h"
#include "support/fake.h"

static void resolved(struct fake *fake, const char *host, uint32_t a, uint32_t b)
{
    uint32_t addresses[] = {a, b};
    weir_pool_resolved(fake->pool, host, addresses, b != 0 ? 2 : a != 0);
}

static void addresses_are_told_of_what_was_dialled(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_conn stale = {12345}, in;
    weir_key peer = fake_key("peer");
    fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    assert_int_equal(weir_conn_address(fake->pool, stale, 7), WEIR_ESTALE);
    assert_int_equal(weir_admit(fake->pool, &peer, NULL, fake, &in), WEIR_OK);
    assert_int_equal(weir_conn_address(fake->pool, in, 7), WEIR_ESTATE);
    weir_pool *other;
    weir_pool_options opt = {.name = "other", .connector = &fake->connector};
    assert_int_equal(weir_pool_open(fake->engine, &opt, &other), WEIR_OK);
    assert_int_equal(weir_conn_address(other, fake->conns[1], 7), WEIR_ESTALE);
    fake_free(fake);
}

/* One that nobody told the address of is left alone, and so is one that another name led to. */
static void what_is_not_known_does_not_move(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = WEIR_NEVER, .max_age_ms = 60000};
    struct fake *fake = fake_open(&opt, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    fake_release(fake, fake_lease_up(fake, "b"), WEIR_KEEP);
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[2], 7), WEIR_OK);
    for (int i = 0; i < 4; i++) {
        resolved(fake, "a", 8, 0);
        resolved(fake, "c", 8, 0);
        fake_wait(fake, 1000);
    }
    fake_expect(fake, "");
    fake_free(fake);
}

static void the_third_answer_without_it_retires_it(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = WEIR_NEVER, .max_age_ms = 60000};
    struct fake *fake = fake_open(&opt, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    resolved(fake, "a", 8, 9);
    resolved(fake, "A", 9, 8);
    fake_expect(fake, "");
    resolved(fake, "a", 8, 9);
    fake_expect(fake, "dial2");
    fake_up(fake, 2);
    fake_expect(fake, "close1:address");
    fake_free(fake);
}

/* It goes anyway, or came by itself. */
static void what_is_on_its_way_out_or_was_admitted_is_left_alone(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = WEIR_NEVER, .max_age_ms = 1000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_conn in;
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    weir_lease held = fake_lease_up(fake, "b");
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[2], 7), WEIR_OK);
    assert_int_equal(weir_admit(fake->pool, &key, "a note of some length", fake, &in), WEIR_OK);
    assert_int_equal(weir_conn_retire(fake->pool, fake->conns[2], WEIR_ERETIRED), WEIR_OK);
    fake_wait(fake, 1000);
    fake_expect(fake, "dial3"); /* the first has its age */
    for (int i = 0; i < 4; i++) {
        resolved(fake, "a", 8, 0);
        resolved(fake, "b", 8, 0);
    }
    fake_expect(fake, "");
    fake_up(fake, 3);
    fake_expect(fake, "close1:age");
    fake_release(fake, held, WEIR_KEEP);
    fake_expect(fake, "close2:retired");
    fake_free(fake);
}

static void a_proxy_looks_names_up_itself(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_lease lease;
    key.proxy = "socks5://127.0.0.1:1080";
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    fake_release(fake, lease, WEIR_KEEP);
    for (int i = 0; i < 4; i++) {
        resolved(fake, "a", 8, 0);
    }
    fake_expect(fake, "");
    assert_false(pool_name_matters(fake->pool, "a"));
    fake_free(fake);
}

static void a_name_matters_as_long_as_something_hangs_on_it(void **state)
{
    (void)state;
    weir_pool_options opt = {.failures_max = 1, .down_for_ms = 1000};
    struct fake *fake = fake_open(&opt, NULL);
    assert_false(pool_name_matters(fake->pool, "a"));
    fake_acquire(fake, "a");
    assert_true(pool_name_matters(fake->pool, "A"));
    assert_false(pool_name_matters(fake->pool, "b"));
    fake_expect(fake, "dial1");
    fake_down(fake, 1, WEIR_EREFUSED);
    fake_expect(fake, "key_down fail:refused");
    assert_true(pool_name_matters(fake->pool, "a")); /* another answer ends the hold-down */
    resolved(fake, "a", 1, 0);
    resolved(fake, "a", 2, 0);
    fake_expect(fake, "key_up");
    assert_false(pool_name_matters(fake->pool, "a"));
    fake_free(fake);
}

static void a_name_that_somebody_waits_for_matters(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 1};
    struct fake *fake = fake_open(&opt, NULL);
    fake_lease_up(fake, "a");
    fake_acquire(fake, "b");
    fake_wait(fake, 0);
    assert_true(pool_name_matters(fake->pool, "b"));
    fake_free(fake);
}

static void a_name_that_is_only_pinned_matters_where_it_is_warmed(void **state)
{
    (void)state;
    static const uint32_t warm[] = {WEIR_OFF, WEIR_WARM_DNS};
    for (int i = 0; i < 2; i++) {
        weir_pool_options opt = {.warm = warm[i]};
        struct fake *fake = fake_open(&opt, NULL);
        weir_key key = fake_key("a");
        struct key *pin;
        assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
        assert_int_equal(pool_name_matters(fake->pool, "a"), i == 1);
        fake_free(fake);
    }
}

static void a_name_that_is_kept_warm_matters_without_a_connection(void **state)
{
    (void)state;
    weir_pool_options opt = {.warm = WEIR_WARM_UP};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    assert_int_equal(weir_pool_warm(fake->pool, &key, true), WEIR_OK);
    fake_expect(fake, "dial1");
    fake_down(fake, 1, WEIR_EREFUSED);
    fake_wait(fake, 0);
    assert_true(pool_name_matters(fake->pool, "a"));
    assert_int_equal(weir_pool_warm(fake->pool, &key, false), WEIR_OK);
    weir_pool_flush(fake->pool, &key, 0);
    assert_false(pool_name_matters(fake->pool, "a"));
    fake_free(fake);
}

static void a_pool_that_closes_learns_nothing(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    weir_pool_close(fake->pool, WEIR_NEVER);
    for (int i = 0; i < 4; i++) {
        resolved(fake, "a", 8, 0);
    }
    fake_expect(fake, "");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_of_what_was_dialled),
        cmocka_unit_test(what_is_not_known_does_not_move),
        cmocka_unit_test(the_third_answer_without_it_retires_it),
        cmocka_unit_test(what_is_on_its_way_out_or_was_admitted_is_left_alone),
        cmocka_unit_test(a_proxy_looks_names_up_itself),
        cmocka_unit_test(a_name_matters_as_long_as_something_hangs_on_it),
        cmocka_unit_test(a_name_that_somebody_waits_for_matters),
        cmocka_unit_test(a_name_that_is_only_pinned_matters_where_it_is_warmed),
        cmocka_unit_test(a_name_that_is_kept_warm_matters_without_a_connection),
        cmocka_unit_test(a_pool_that_closes_learns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
