/* SPDX-License-Identifier: Apache-2.0
 *
 * A key whose dials fail, backs off, is taken down, and comes back.
 */
#include "core/lend.h"
#include "support/fake.h"

/* Other threads ask before the step that ends the back-off. */
static void a_back_off_that_is_over_keeps_nobody_out(void **state)
{
    (void)state;
    weir_pool_options opt = {.retry_first_ms = 1000, .failures_max = 3};
    struct fake *fake = fake_open(&opt, NULL);
    fake_acquire(fake, "k");
    fake_expect(fake, "dial1");
    fake_down(fake, 1, WEIR_ECONNECT);
    fake_expect(fake, "connection_error fail:connect");
    engine_pass_time(fake->engine, fake->engine->now_ms + 1005);
    fake_acquire(fake, "k");
    fake_wait(fake, 1005);
    fake_expect(fake, "dial2");
    fake_free(fake);
}

static void takes_a_key_down_and_tries_one_dial(void **state)
{
    (void)state;
    weir_pool_options opt = {.retry_first_ms = 1000,
                             .failures_max = 3,
                             .down_for_ms = 60000,
                             .on_dial_error = WEIR_WAIT};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key k = fake_key("k");
    weir_lease lease;

    fake_acquire(fake, "k");
    fake_expect(fake, "dial1");
    fake_wait(fake, 5);
    fake_down(fake, 1, WEIR_ECONNECT);
    fake_expect(fake, "connection_error");
    fake_wait(fake, 999);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    fake_expect(fake, "dial2");
    fake_wait(fake, 5);
    fake_down(fake, 2, WEIR_ECONNECT);
    fake_expect(fake, "connection_error");
    fake_wait(fake, 2000);
    fake_expect(fake, "dial3");
    fake_wait(fake, 5);
    fake_down(fake, 3, WEIR_ECONNECT);
    fake_expect(fake, "key_down fail:down");
    fake_wait(fake, 1000);
    assert_int_equal(weir_acquire(fake->pool, &k, NULL, fake_granted, fake, &lease), WEIR_EDOWN);
    assert_int_equal(weir_pool_retry_after(fake->pool), 59000);
    fake_wait(fake, 59000);
    fake_acquire(fake, "k");
    fake_acquire(fake, "k");
    fake_expect(fake, "dial4");
    fake_wait(fake, 8);
    fake_up(fake, 4);
    fake_expect(fake, "key_up grant:4 dial5");
    fake_free(fake);
}

/* However the pauses between them fall out. */
static void dials_go_on_with_all_of_the_jitter(void **state)
{
    (void)state;
    enum { DIALS = 100 };
    weir_pool_options opt = {.retry_first_ms = 1,
                             .retry_factor = 1,
                             .failures_max = 1000,
                             .jitter_pct = 100,
                             .acquire_timeout_ms = WEIR_NEVER,
                             .on_dial_error = WEIR_WAIT};
    struct fake *fake = fake_open(&opt, NULL);
    fake_acquire(fake, "k");
    for (uint32_t i = 1; i <= DIALS; i++) {
        char dial[16];
        snprintf(dial, sizeof dial, "dial%u", i);
        fake_expect(fake, dial);
        fake_down(fake, i, WEIR_ECONNECT);
        fake_expect(fake, "connection_error");
        fake_wait(fake, 2);
    }
    fake_free(fake);
}

/* An empty key, and everybody at the door. Each has a connection in the end. */
static void dials_for_five_hundred_at_once_ramp_up(void **state)
{
    (void)state;
    enum { CALLERS = 500, CONNECTING_MAX = 8 };
    static const uint32_t ramp[] = {1, 2, 4, CONNECTING_MAX}; /* it doubles with each that is up */
    weir_pool_options opt = {.max_total = CALLERS, .max_per_key = CALLERS};
    struct fake *fake = fake_open(&opt, NULL);
    for (unsigned i = 0; i < CALLERS; i++) {
        fake_acquire(fake, "k");
    }
    for (unsigned up = 0; up < CALLERS; up++) {
        fake_wait(fake, 1);
        fake->log[0] = '\0';
        unsigned allowed = ramp[up < 3 ? up : 3];
        unsigned left = CALLERS - up;
        assert_int_equal(fake->count - up, allowed < left ? allowed : left);
        fake_up(fake, up + 1);
    }
    fake_wait(fake, 0);
    assert_int_equal(fake->answers, CALLERS);
    assert_int_equal(fake->last_grant.err, WEIR_OK);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_back_off_that_is_over_keeps_nobody_out),
        cmocka_unit_test(takes_a_key_down_and_tries_one_dial),
        cmocka_unit_test(dials_go_on_with_all_of_the_jitter),
        cmocka_unit_test(dials_for_five_hundred_at_once_ramp_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
