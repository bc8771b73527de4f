/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/alerts.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#define FOR_MS    30000U
#define WINDOW_MS 300000U
#define MIB       UINT64_C(1048576)

/* One gateway: an upstream and a listener. */
static struct alerts *alerts;
static struct alert_pool_facts pools[2];
static struct alert_facts facts;
static char told[4096];              /* "+error_rate -error_rate …" */
static char said[ALERT_MESSAGE_MAX]; /* with the last of them */

static const struct alerts_options defaults = {.thresholds = {[ALERT_ERROR_RATE] = 0.05,
                                                              [ALERT_SESSION_SURVIVAL] = 0.9,
                                                              [ALERT_CACHE_HIT] = 0.8,
                                                              [ALERT_POOL_UTILIZATION] = 0.9,
                                                              [ALERT_MEMORY] = 500.0 * MIB},
                                               .for_ms = FOR_MS,
                                               .window_ms = WINDOW_MS,
                                               .horizon_ms = 600000,
                                               .pools = 2,
                                               .upstreams = 1};

static void on_told(void *arg, const struct alert *alert)
{
    (void)arg;
    assert_true(alert->message[0] != '\0');
    size_t len = strlen(told);
    snprintf(said, sizeof said, "%s", alert->message);
    snprintf(told + len, sizeof told - len, "%s%s ", alert->state == ALERT_FIRING ? "+" : "-",
             alert_word(alert->kind));
}

static void look_for(uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds; i++) {
        facts.now_ms += 1000;
        alerts_look(alerts, &facts, on_told, NULL);
    }
}

static void serve(uint64_t seconds, uint64_t good, uint64_t bad)
{
    for (uint64_t i = 0; i < seconds; i++) {
        facts.finished += good + bad;
        facts.failed += bad;
        pools[0].finished += good + bad;
        pools[0].failed += bad;
        look_for(1);
    }
}

static void assert_told(const char *expected)
{
    assert_string_equal(told, expected);
    told[0] = '\0';
}

static const struct alert *find(enum alert_kind kind, uint32_t pool)
{
    for (uint32_t i = 0; i < alerts_count(alerts); i++) {
        const struct alert *alert = alerts_at(alerts, i);
        if (alert->kind == kind && alert->pool == pool) {
            return alert;
        }
    }
    fail_msg("there is no %s of %u", alert_word(kind), pool);
    return NULL;
}

static int begin(void **state)
{
    (void)state;
    memset(pools, 0, sizeof pools);
    pools[0] = (struct alert_pool_facts){.name = "up", .most = 100, .busy_most = 100};
    pools[1] = (struct alert_pool_facts){.name = "listener:web", .most = 1000};
    facts = (struct alert_facts){.now_ms = 1000000, .resident_bytes = 20 * MIB, .pools = pools};
    told[0] = '\0';
    alerts = alerts_new(&defaults, &alloc_libc);
    assert_non_null(alerts);
    return 0;
}

static int end(void **state)
{
    (void)state;
    alerts_free(alerts);
    return 0;
}

static void all_is_quiet(void **state)
{
    (void)state;
    assert_int_equal(alerts_count(alerts), 4 + 2 + 3);
    pools[0].total = 50;
    serve(3600, 10, 0);
    assert_told("");
    for (uint32_t i = 0; i < alerts_count(alerts); i++) {
        assert_int_equal(alerts_at(alerts, i)->state, ALERT_QUIET);
        assert_string_equal(alerts_at(alerts, i)->message, "");
    }
    assert_float_equal(find(ALERT_POOL_UTILIZATION, 0)->value, 0.5, 1e-9);
    assert_float_equal(find(ALERT_ERROR_RATE, 0)->value, 0, 1e-9);
    assert_float_equal(alerts_survival(alerts), 1, 1e-9);
}

static void it_fires_after_its_time_and_not_before(void **state)
{
    (void)state;
    pools[0].total = 91;
    look_for(1);
    assert_int_equal(find(ALERT_POOL_UTILIZATION, 0)->state, ALERT_PENDING);
    look_for(29);
    assert_told("");
    look_for(1);
    assert_told("+pool_utilization ");
    assert_int_equal(find(ALERT_POOL_UTILIZATION, 0)->state, ALERT_FIRING);
    assert_int_equal(find(ALERT_POOL_UTILIZATION, 1)->state, ALERT_QUIET);
    assert_string_equal(find(ALERT_POOL_UTILIZATION, 0)->message,
                        "up: 91 of 100 connections; the limit is 90.0 %");
    look_for(100);
    assert_told("");
    assert_int_equal(find(ALERT_POOL_UTILIZATION, 0)->fired, 1);
}

static void what_does_not_last_does_not_fire(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        pools[0].total = 95;
        look_for(25);
        pools[0].total = 90;
        look_for(1);
    }
    assert_told("");
}

/* Entered above 0.9, left at 0.81 and below. */
static void it_is_left_a_tenth_further_on(void **state)
{
    (void)state;
    pools[0].total = 95;
    look_for(31);
    assert_told("+pool_utilization ");
    pools[0].total = 82;
    look_for(1000);
    assert_told("");
    pools[0].total = 81;
    look_for(20);
    pools[0].total = 85; /* once more, in between */
    look_for(1);
    pools[0].total = 81;
    look_for(30);
    assert_told("");
    look_for(1);
    assert_told("-pool_utilization ");
    assert_string_equal(said, "up: 81 of 100 connections; the limit is 90.0 %");
}

static void failures_of_a_window(void **state)
{
    (void)state;
    serve(600, 10, 0);
    serve(15, 0, 10); /* 150 of 3000, and no more: not above */
    serve(5, 10, 0);
    assert_told("");
    serve(40, 0, 10);
    assert_told("+error_rate ");
    assert_true(find(ALERT_ERROR_RATE, 0)->value > 0.1);
    serve(330, 10, 0);
    assert_told("-error_rate "); /* it has left the window, and then some */
}

static void few_requests_say_nothing(void **state)
{
    (void)state;
    look_for(1);
    serve(ALERT_REQUESTS_LEAST - 1, 0, 1);
    look_for(60);
    assert_told("");
    assert_false(find(ALERT_ERROR_RATE, 0)->is_known);
    serve(1, 0, 1);
    look_for(60);
    assert_told("+error_rate ");
    look_for(600); /* nobody asks any more */
    assert_told("-error_rate ");
}

static void what_is_known_of_conversations(void **state)
{
    (void)state;
    facts.cache_hits = 79;
    facts.cache_misses = 21;
    look_for(100); /* what was before the first look does not count */
    assert_told("");
    facts.cache_hits += 79;
    facts.cache_misses += 21;
    look_for(31);
    assert_told("+cache_hit ");
    facts.cache_hits += 10;
    look_for(100);
    assert_told(""); /* 0.807: above 0.8, and not above 0.82 */
    facts.cache_hits += 10;
    look_for(31);
    assert_told("-cache_hit ");
}

static void sessions_that_end(void **state)
{
    (void)state;
    look_for(1);
    facts.ended = 100;
    facts.lost = 11;
    look_for(40);
    assert_told("+session_survival ");
    assert_float_equal(alerts_survival(alerts), 0.89, 1e-9);
    look_for(3000);
    assert_told("");
    look_for(1000);
    assert_told("-session_survival ");
    assert_float_equal(alerts_survival(alerts), 1, 1e-9);
}

static void memory_grows(void **state)
{
    (void)state;
    facts.resident_bytes = 501 * MIB;
    look_for(31);
    assert_told("+memory ");
    facts.resident_bytes = 460 * MIB;
    look_for(100);
    assert_told("");
    facts.resident_bytes = 450 * MIB;
    look_for(31);
    assert_told("-memory ");
}

static void nought_and_one_turn_rules_off(void **state)
{
    (void)state;
    struct alerts_options opt = defaults;
    opt.thresholds[ALERT_MEMORY] = opt.thresholds[ALERT_CACHE_HIT] = 0;
    opt.thresholds[ALERT_SESSION_SURVIVAL] = 0;
    opt.thresholds[ALERT_ERROR_RATE] = opt.thresholds[ALERT_POOL_UTILIZATION] = 1;
    opt.horizon_ms = 0;
    alerts_free(alerts);
    alerts = alerts_new(&opt, &alloc_libc);
    assert_int_equal(alerts_count(alerts), 4 + 2);
    look_for(1);
    facts.resident_bytes = UINT64_MAX / 2;
    pools[0].total = 100;
    facts.cache_misses = facts.ended = facts.lost = 100;
    serve(100, 0, 100);
    assert_told("");
}

static void a_pool_without_a_limit_is_never_full(void **state)
{
    (void)state;
    pools[0].most = pools[0].busy_most = 0;
    pools[0].total = pools[0].busy = 100000;
    look_for(100);
    assert_told("");
    assert_false(find(ALERT_POOL_UTILIZATION, 0)->is_known);
}

/* --- early warnings ------------------------------------------------------------------------------
 */

static void a_leak_is_foretold(void **state)
{
    (void)state;
    pools[0].busy = pools[0].total = 20;
    look_for(900);
    for (unsigned i = 0; i < 70 && told[0] == '\0'; i++) {
        pools[0].busy++;
        look_for(10);
    }
    assert_told("+early_exhaustion ");
    const struct alert *alert = find(ALERT_EARLY_EXHAUSTION, 0);
    uint32_t left = pools[0].most - pools[0].busy;
    assert_in_range(left, 10, 50);
    assert_in_range(alert->value, left * 8, left * 14); /* seconds: some of the window was calm */
    assert_true(alert->value > 60);
    look_for(600); /* it stays as it is */
    assert_told("-early_exhaustion ");
}

static void a_jump_is_not_foretold(void **state)
{
    (void)state;
    pools[0].busy = 20;
    look_for(900);
    pools[0].busy = 80;
    look_for(900);
    assert_told("");
}

static void failures_that_grow(void **state)
{
    (void)state;
    serve(700, 100, 0);
    for (unsigned i = 0; i < 800 && told[0] == '\0'; i++) {
        serve(1, 100, i / 200);
    }
    assert_told("+early_error_rate ");
    assert_true((double)facts.failed / (double)facts.finished < 0.03);
    serve(800, 100, 0);
    assert_told("-early_error_rate ");
}

static void more_than_all_cannot_fail(void **state)
{
    (void)state;
    struct alerts_options opt = defaults;
    opt.thresholds[ALERT_ERROR_RATE] = 1;
    alerts_free(alerts);
    alerts = alerts_new(&opt, &alloc_libc);
    serve(700, 100, 0);
    for (unsigned i = 0; i < 700; i++) {
        serve(1, 100 - i / 10, i / 10);
    }
    assert_told("");
    assert_float_equal(find(ALERT_EARLY_ERROR_RATE, 0)->value, 1, 1e-9);
}

static void answer(uint64_t seconds, double ms, double growth)
{
    for (uint64_t i = 0; i < seconds && told[0] == '\0'; i++) {
        pools[0].first_bytes += 10;
        pools[0].first_byte_us += (uint64_t)(10000 * (ms + growth * (double)i));
        serve(1, 10, 0);
    }
}

static void answers_that_slow_down(void **state)
{
    (void)state;
    answer(700, 100, 0);
    assert_told("");
    answer(900, 100, 0.15);
    assert_told("+early_latency ");
    answer(900, 1000, 0); /* from now on it is so */
    assert_told("-early_latency ");
}

static void a_millisecond_more_is_no_matter(void **state)
{
    (void)state;
    answer(700, 1, 0);
    answer(3000, 1, 0.005);
    assert_told("");
}

/* The next configuration's, with counters that begin anew at so much. */
static void renew(const struct alerts_options *opt, uint64_t finished, uint64_t failed)
{
    static const char *const names[] = {"up", "listener:web"};
    struct alerts *heir = alerts_new(opt, &alloc_libc);
    assert_non_null(heir);
    alerts_inherit(heir, names, alerts, names);
    alerts_free(alerts);
    alerts = heir;
    facts.finished = finished;
    facts.failed = failed;
}

static void a_window_goes_on_after_a_reload(void **state)
{
    (void)state;
    serve(200, 95, 5);
    serve(25, 0, 10);
    assert_told("");
    renew(&defaults, 7, 0); /* less than it was, and no request has become undone */
    look_for(1);
    assert_float_equal(find(ALERT_ERROR_RATE, 0)->value, 1250.0 / 20250, 0.001);
    renew(&defaults, 1000000, 1000);
    serve(30, 10, 0);
    assert_told("+error_rate ");
    struct alerts_options other = defaults;
    other.window_ms = WINDOW_MS / 2; /* of another length, it begins anew */
    renew(&other, 1000000, 1000);
    look_for(1);
    assert_false(find(ALERT_ERROR_RATE, 0)->is_known);
}

static void without_memory(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct alerts *it = alerts_new(&defaults, alloc);
    if (it != NULL) {
        facts.now_ms += 1000;
        alerts_look(it, &facts, on_told, NULL);
    }
    alerts_free(it);
}

static void memory_is_refused(void **state)
{
    (void)state;
    torture(without_memory, NULL);
}

static void pauses(void **state)
{
    (void)state;
    struct alerts_options opt = defaults;
    assert_int_equal(alerts_pause_ms(&opt), 1000);
    opt.horizon_ms = 6000;
    assert_int_equal(alerts_pause_ms(&opt), 100);
    opt.horizon_ms = 0;
    assert_int_equal(alerts_pause_ms(&opt), 1000);
    opt.window_ms = 1000;
    assert_int_equal(alerts_pause_ms(&opt), 50);
}

int main(void)
{
#define IT(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        IT(all_is_quiet),
        IT(it_fires_after_its_time_and_not_before),
        IT(what_does_not_last_does_not_fire),
        IT(it_is_left_a_tenth_further_on),
        IT(failures_of_a_window),
        IT(few_requests_say_nothing),
        IT(what_is_known_of_conversations),
        IT(sessions_that_end),
        IT(memory_grows),
        IT(nought_and_one_turn_rules_off),
        IT(a_pool_without_a_limit_is_never_full),
        IT(a_leak_is_foretold),
        IT(a_jump_is_not_foretold),
        IT(failures_that_grow),
        IT(more_than_all_cannot_fail),
        IT(answers_that_slow_down),
        IT(a_millisecond_more_is_no_matter),
        IT(a_window_goes_on_after_a_reload),
        IT(memory_is_refused),
        IT(pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
