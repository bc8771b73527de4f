/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hedge.h"

#include "support/fake.h"

static void the_percentile_is_found(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    struct key *key;
    weir_key a = fake_key("a");
    assert_int_equal(pool_key_pin(fake->pool, &a, &key), WEIR_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        hedge_learn(key, 1 + i * 7919 % 1000); /* evenly from 1 to 1000 */
    }
    assert_in_range(key->dial_p95_x256 / 256, 900, 980);
    for (uint32_t i = 0; i < 10000; i++) {
        hedge_learn(key, 0);
    }
    assert_int_equal(key->dial_p95_x256, 0);
    hedge_learn(key, UINT64_MAX); /* slowly up again */
    assert_in_range(key->dial_p95_x256, 1, 255);
    key->dial_samples = 0;
    hedge_learn(key, UINT64_MAX);
    assert_int_equal(key->dial_p95_x256, UINT32_MAX / 2);
    key->dial_samples = 1;
    key->dial_p95_x256 = 255;
    hedge_learn(key, 1); /* not beyond what was seen */
    assert_int_equal(key->dial_p95_x256, 256);
    fake_free(fake);
}

static void nobody_waits_and_none_is_hedged(void **state)
{
    (void)state;
    weir_pool_options opt = {.hedge = WEIR_ON, .jitter_pct = WEIR_NONE};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held[HEDGE_SAMPLES + 1];
    for (uint32_t i = 0; i < HEDGE_SAMPLES; i++) {
        held[i] = fake_lease_up(fake, "a");
    }
    held[HEDGE_SAMPLES] = fake_acquire(fake, "a");
    fake_wait(fake, 1);
    fake->log[0] = '\0';
    fake_release(fake, held[HEDGE_SAMPLES], WEIR_KEEP); /* it leaves before its dial is slow */
    fake_wait(fake, 5000);
    assert_null(strstr(fake->log, "dial"));
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_percentile_is_found),
        cmocka_unit_test(nobody_waits_and_none_is_hedged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
