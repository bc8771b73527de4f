/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

#include "support/fake.h"

static weir_health judge(struct health_facts facts)
{
    char message[120];
    if (facts.acquire_timeout_ms == 0) {
        facts.acquire_timeout_ms = 30000;
    }
    weir_health health = health_of(&facts, message, sizeof message);
    assert_true(strlen(message) > 0);
    return health;
}

static void each_rule_has_its_word(void **state)
{
    (void)state;
    assert_int_equal(judge((struct health_facts){0}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.used = 80, .most = 100}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.used = 81, .most = 100}), WEIR_DEGRADED);
    assert_int_equal(judge((struct health_facts){.used = 95, .most = 100}), WEIR_DEGRADED);
    assert_int_equal(judge((struct health_facts){.used = 96, .most = 100}), WEIR_OVERLOADED);
    assert_int_equal(judge((struct health_facts){.good = 94, .bad = 6}), WEIR_DEGRADED);
    assert_int_equal(judge((struct health_facts){.good = 95, .bad = 5}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.good = 49, .bad = 51}), WEIR_UNAVAILABLE);
    assert_int_equal(judge((struct health_facts){.good = 0, .bad = 9}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.oldest_wait_ms = 15000}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.oldest_wait_ms = 15001}), WEIR_DEGRADED);
    assert_int_equal(judge((struct health_facts){.keys = 2, .keys_usable = 1}), WEIR_HEALTHY);
    assert_int_equal(judge((struct health_facts){.keys = 2}), WEIR_UNAVAILABLE);
}

static void thresholds_are_left_lower_than_entered(void **state)
{
    (void)state;
    struct health_facts facts = {.used = 78, .most = 100};
    assert_int_equal(judge(facts), WEIR_HEALTHY);
    facts.now = WEIR_DEGRADED;
    assert_int_equal(judge(facts), WEIR_DEGRADED);
    facts.used = 75;
    assert_int_equal(judge(facts), WEIR_HEALTHY);
    facts = (struct health_facts){.good = 970, .bad = 30, .now = WEIR_DEGRADED};
    assert_int_equal(judge(facts), WEIR_DEGRADED);
    facts.bad = 20; /* some may fail where all is well */
    assert_int_equal(judge(facts), WEIR_HEALTHY);
}

static void counts_fade(void **state)
{
    (void)state;
    struct window window = {0};
    for (int i = 0; i < 8; i++) {
        health_count(&window, 0, i < 4);
    }
    health_count(&window, 10000, true);
    assert_int_equal(window.good, 1);
    assert_int_equal(window.bad, 0);
    assert_int_equal(window.good_before, 4);
    assert_int_equal(window.bad_before, 4);
    health_count(&window, 20000, true);
    assert_int_equal(window.good_before, 1);
    assert_int_equal(window.bad_before, 0);
    health_count(&window, 1000000, false);
    assert_int_equal(window.good, 0);
    assert_int_equal(window.bad, 1);
    assert_int_equal(window.good_before, 0);
    health_count_good(&window, 1000000, UINT32_MAX - 1);
    health_count_good(&window, 1000000, 7); /* as far as it goes */
    assert_int_equal(window.good, UINT32_MAX);
}

static void a_pool_tells_when_its_word_changes(void **state)
{
    (void)state;
    weir_pool_options opt = {
        .max_total = 1, .idle_timeout_ms = WEIR_NEVER, .max_age_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_health_report report;
    fake->is_listening = true;
    weir_lease lease = fake_lease_up(fake, "a");
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_HEALTHY);
    assert_string_equal(report.message, "healthy for now");
    assert_true(report.utilization == 1.0);
    fake_wait(fake, 1000);
    fake_expect(fake, "health_status_changed");
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_OVERLOADED);
    assert_int_equal(report.since_ms, fake->now_ms);
    assert_string_equal(report.message, "1 of 1 connections in use");
    fake_release(fake, lease, WEIR_KEEP);
    fake_wait(fake, 4000);
    fake_expect(fake, "connection_returned");
    fake_wait(fake, 1000);
    fake_expect(fake, "health_status_changed");
    fake_wait(fake, 1000);
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_HEALTHY);
    fake_wait(fake, 10000); /* what was armed lazily has been looked at */
    assert_true(weir_step(fake->engine, fake->now_ms) == WEIR_NO_DEADLINE);
    fake_free(fake);
}

static void a_pool_that_nobody_asks_is_well_again(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 100, .max_per_key = 100};
    struct fake *fake = fake_open(&opt, NULL);
    weir_health_report report;
    for (int i = 0; i < 12; i++) {
        weir_lease lease = fake_lease_up(fake, "a");
        fake_release(fake, lease, WEIR_BROKEN);
    }
    fake_wait(fake, 1000);
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_UNAVAILABLE);
    assert_string_equal(report.message, "100 % of requests fail");
    for (int i = 0; i < 21; i++) {
        fake_wait(fake, 1000);
    }
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_HEALTHY);
    assert_true(report.error_rate == 0.0);
    fake_free(fake);
}

static void a_pool_without_a_limit_is_never_full(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = WEIR_UNLIMITED};
    struct fake *fake = fake_open(&opt, NULL);
    weir_health_report report;
    for (int i = 0; i < 3; i++) {
        fake_lease_up(fake, "a");
    }
    fake_wait(fake, 1000);
    weir_pool_health(fake->pool, &report);
    assert_int_equal(report.health, WEIR_HEALTHY);
    assert_true(report.utilization == 0.0);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_has_its_word),
        cmocka_unit_test(thresholds_are_left_lower_than_entered),
        cmocka_unit_test(counts_fade),
        cmocka_unit_test(a_pool_tells_when_its_word_changes),
        cmocka_unit_test(a_pool_that_nobody_asks_is_well_again),
        cmocka_unit_test(a_pool_without_a_limit_is_never_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
