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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_counts_what_was_renewed),
        cmocka_unit_test(only_what_is_held_is_renewed_and_only_what_waits_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
