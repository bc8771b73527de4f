/* SPDX-License-Identifier: Apache-2.0
 *
 * What a caller is told who finds the queue full.
 */
#include "core/queue.h"

#include "support/fake.h"

/* Leases last for weeks here, and many wait: in longer than a number can say. */
static void the_predicted_wait_has_a_bound(void **state)
{
    (void)state;
    enum { WAITING = 200 };
    weir_pool_options opt = {.max_per_key = 1,
                             .waiting_max = WAITING,
                             .acquire_timeout_ms = WEIR_NEVER,
                             .max_age_ms = WEIR_NEVER,
                             .lease_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_lease lease = fake_lease_up(fake, "a");
    fake_wait(fake, UINT32_MAX);
    fake_release(fake, lease, WEIR_KEEP);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    for (int i = 0; i < WAITING; i++) {
        fake_acquire(fake, "a");
    }
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_EQUEUE);
    assert_int_equal(weir_pool_retry_after(fake->pool), WEIR_MOST);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_predicted_wait_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
