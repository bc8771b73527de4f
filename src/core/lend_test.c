/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases that pass from hand to hand without the pool being asked each time.
 */
#include "core/lend.h"

#include "support/fake.h"

static void a_tenant_counts_what_was_renewed(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    const weir_key key = {.scheme = "fake", .host = "a", .port = 1, .tenant = "alice"};
    weir_lease lease;
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    fake_wait(fake, 0);
    fake_up(fake, 1);
    fake_wait(fake, 0);
    fake_release(fake, lease, WEIR_KEEP);
    assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &lease, NULL), WEIR_OK);
    assert_int_equal(lease_renewed(fake->pool, lease, 3), WEIR_OK);
    weir_stats stats;
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.grants, 5);
    fake_release(fake, lease, WEIR_KEEP);
    fake_free(fake);
}

static void only_what_is_held_is_renewed_and_only_what_waits_is_cancelled(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool_options own = {
        .name = "other", .connector = &fake->connector, .connector_self = fake};
    weir_pool *other;
    assert_int_equal(weir_pool_open(fake->engine, &own, &other), WEIR_OK);
    weir_lease asked = fake_acquire(fake, "a");
    assert_int_equal(lease_renewed(fake->pool, asked, 1), WEIR_ESTALE);
    assert_int_equal(lease_cancel(other, asked), WEIR_ESTALE);
    assert_int_equal(lease_renewed(other, asked, 1), WEIR_ESTALE);
    fake_wait(fake, 0);
    fake_up(fake, 1);
    fake_wait(fake, 0);
    fake_release(fake, asked, WEIR_KEEP);
    assert_int_equal(lease_cancel(fake->pool, asked), WEIR_ESTALE);
    weir_key key = fake_key("a");
    weir_lease held;
    assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &held, NULL), WEIR_OK);
    assert_int_equal(lease_cancel(fake->pool, held), WEIR_ESTALE); /* nobody is to be told */
    assert_int_equal(lease_renewed(fake->pool, held, 3), WEIR_OK);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_wait(fake, 0);
    lease_renewed(fake->pool, held, 1);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    asked = fake_acquire(fake, "a");
    assert_int_equal(lease_renewed(fake->pool, asked, 1), WEIR_ESTALE); /* granted, not told */
    assert_int_equal(lease_cancel(fake->pool, asked), WEIR_OK);
    assert_int_equal(lease_cancel(fake->pool, asked), WEIR_ESTALE); /* its end is on the way */
    fake_wait(fake, 0);
    fake_free(fake);
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    engine_pass_time(fake->engine, 20);
    engine_pass_time(fake->engine, 10);
    assert_int_equal(fake->engine->now_ms, 20);
    fake->now_ms = 20;
    fake_wait(fake, 0);
    fake_free(fake);
}

static void granted_direct(void *arg, const weir_grant *grant)
{
    assert_int_equal(grant->err, WEIR_OK);
    fake_say(arg, "direct");
}

/* The others learn of theirs from the next step, in their order. */
static void the_answers_of_one_kind_do_not_wait_for_the_step(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_per_key = 3};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_lease leases[3];
    for (unsigned i = 0; i < 3; i++) {
        leases[i] = fake_lease_up(fake, "a");
    }
    for (unsigned i = 0; i < 3; i++) {
        fake_release(fake, leases[i], WEIR_KEEP);
    }
    engine_answer(fake->engine, granted_direct); /* nobody is to be told anything */
    fake_acquire(fake, "a");
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, granted_direct, fake, leases), WEIR_OK);
    fake_acquire(fake, "a");
    engine_answer(fake->engine, granted_direct);
    assert_string_equal(fake->log, "direct");
    fake_wait(fake, 0);
    assert_string_equal(fake->log, "direct grant:3 grant:1");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_counts_what_was_renewed),
        cmocka_unit_test(only_what_is_held_is_renewed_and_only_what_waits_is_cancelled),
        cmocka_unit_test(time_does_not_go_back),
        cmocka_unit_test(the_answers_of_one_kind_do_not_wait_for_the_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
