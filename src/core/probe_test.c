/* SPDX-License-Identifier: Apache-2.0
 *
 * Probes that take their time. What they are for is told by the stories time-probe-*.
 */
#include "core/probe.h"

#include "support/fake.h"

static void a_probe_without_a_time_out_may_take_for_ever(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 1000,
                             .probe_timeout_ms = WEIR_NEVER,
                             .idle_timeout_ms = WEIR_NEVER,
                             .max_age_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    fake_wait(fake, 1000);
    fake_expect(fake, "probe1");
    fake_wait(fake, WEIR_MOST);
    fake_expect(fake, "");
    fake_up(fake, 1);
    fake_wait(fake, 1000);
    fake_expect(fake, "probe1");
    fake_free(fake);
}

/* Or it would be probed from then on without an end. */
static void all_of_the_jitter_leaves_time_between_probes(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 1, .jitter_pct = 100};
    struct fake *fake = fake_open(&opt, NULL);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(probe_every_ms(fake->pool), 1, 2);
    }
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_without_a_time_out_may_take_for_ever),
        cmocka_unit_test(all_of_the_jitter_leaves_time_between_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
