/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that leave their pool while somebody still has a lease on them.
 */
#include "core/ends.h"

#include "support/fake.h"

static void what_closes_cannot_retire(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_lease leases[2];
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[1], fake, 10), WEIR_OK);
    fake_expect(fake, "grant:1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_conn_lease(fake->pool, fake->conns[1], &leases[i]), WEIR_OK);
    }
    fake_release(fake, leases[0], WEIR_BROKEN);
    assert_int_equal(weir_conn_retire(fake->pool, fake->conns[1], WEIR_OK), WEIR_OK);
    fake_expect(fake, "close1:broken");
    fake_release(fake, leases[1], WEIR_KEEP);
    fake_expect(fake, "");
    fake_free(fake);
}

/* Granted and not told, and its connection goes while the pool closes: nothing is left to wait for.
 */
static void an_untold_grant_of_a_pool_that_closes_fails(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    fake_acquire(fake, "a");
    weir_pool_close(fake->pool, 1000);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_expect(fake, "fail:closed pool_closed");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_closes_cannot_retire),
        cmocka_unit_test(an_untold_grant_of_a_pool_that_closes_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
