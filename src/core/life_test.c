/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools are opened, found, updated, flushed, closed, listed.
 */
#include "support/fake.h"

static void names_are_unique(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool *pool;
    weir_pool_options opt = {
        .name = "other", .connector = &fake->connector, .connector_self = fake};
    weir_pool_options wrong = {.name = "wrong"};
    assert_int_equal(weir_pool_open(fake->engine, &wrong, &pool), WEIR_EINVAL);
    assert_string_equal(weir_engine_fault(fake->engine), "connector");
    assert_int_equal(weir_pool_open(fake->engine, &opt, &pool), WEIR_OK);
    assert_string_equal(weir_pool_name(pool), "other");
    assert_ptr_equal(weir_pool_connector_self(pool), fake);
    assert_ptr_equal(weir_pool_find(fake->engine, "other"), pool);
    assert_ptr_equal(weir_pool_find(fake->engine, "fake"), fake->pool);
    assert_null(weir_pool_find(fake->engine, "none"));
    assert_int_equal(weir_pool_open(fake->engine, &opt, &pool), WEIR_EEXISTS);
    fake_free(fake);
}

/* Its replacement is under way when max_age changes: that stands. Should it come to nothing, the
 * old one goes at twice its age. */
static void what_is_replaced_stays_so(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_age_ms = 1000,
                             .jitter_pct = WEIR_NONE,
                             .connect_timeout_ms = WEIR_NEVER,
                             .probe_every_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    fake->log[0] = '\0';
    fake_wait(fake, 1000);
    fake_expect(fake, "dial2");
    weir_pool_options_of(fake->pool, &opt);
    opt.max_age_ms = 2000;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 999);
    fake_expect(fake, "config_changed");
    fake_wait(fake, 1);
    fake_expect(fake, "close1:age");
    fake_free(fake);
}

static void equal_options_share_a_pool(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_connector other = fake->connector;
    weir_pool *pool = NULL;
    weir_pool *same = NULL;
    weir_pool_options opt = {
        .name = "shared", .connector = &fake->connector, .connector_self = fake};
    weir_pool_options changed = opt;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &pool), WEIR_OK);
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_OK);
    assert_ptr_equal(pool, same);
    changed.max_total = 3;
    assert_int_equal(weir_pool_get(fake->engine, &changed, &same), WEIR_EEXISTS);
    changed = opt;
    changed.connector_self = NULL;
    assert_int_equal(weir_pool_get(fake->engine, &changed, &same), WEIR_EEXISTS);
    changed = opt;
    changed.connector = &other;
    assert_int_equal(weir_pool_get(fake->engine, &changed, &same), WEIR_EEXISTS);
    changed.connector = NULL;
    assert_int_equal(weir_pool_get(fake->engine, &changed, &same), WEIR_EINVAL);
    struct key *pin;
    weir_key key = fake_key("a");
    assert_int_equal(pool_key_pin(pool, &key, &pin), WEIR_OK);
    weir_lease lease;
    assert_int_equal(weir_acquire(pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    fake_expect(fake, "dial1");
    weir_pool_close(pool, WEIR_NONE);
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_EEXISTS);
    fake_expect(fake, "fail:closed close1:closed");
    assert_int_equal(weir_conn_down(pool, fake->conns[1], WEIR_ECLOSED), WEIR_OK);
    fake_expect(fake, "pool_closed");
    fake_free(fake);
}

static void an_update_is_all_or_nothing(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool_options opt;
    weir_pool_options after;
    weir_pool_options_of(fake->pool, &opt);
    opt.max_total = 7;
    opt.jitter_pct = 200;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_EINVAL);
    assert_string_equal(weir_engine_fault(fake->engine), "jitter");
    weir_pool_options_of(fake->pool, &after);
    assert_int_equal(after.max_total, 100);
    weir_pool_close(fake->pool, 0);
    opt.jitter_pct = 20;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_ECLOSED);
    fake_free(fake);
}

static void new_times_count_for_what_is_there(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 500000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease a = fake_lease_up(fake, "a");
    weir_lease b = fake_lease_up(fake, "a");
    weir_lease c = fake_lease_up(fake, "a");
    fake_release(fake, a, WEIR_KEEP);
    fake_acquire(fake, "b");
    fake_expect(fake, "dial4");
    weir_pool_options_of(fake->pool, &opt);
    opt.max_age_ms = 1000;
    opt.probe_every_ms = 800;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_expect(fake, "config_changed");
    fake_wait(fake, 800);
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    fake_wait(fake, 200);
    fake_expect(fake, "dial5"); /* a replacement, before the old one closes */
    fake_release(fake, b, WEIR_KEEP);
    fake_expect(fake, "");
    fake_up(fake, 5);
    fake_expect(fake, "close1:age");
    fake_wait(fake, 400);
    fake_release(fake, c, WEIR_KEEP);
    fake_wait(fake, 2000);
    opt.max_age_ms = WEIR_NEVER;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 0);
    fake_free(fake);
}

static void what_is_above_a_new_limit_goes(void **state)
{
    (void)state;
    weir_pool_options opt = {.connecting_max = 8};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease a = fake_lease_up(fake, "a");
    weir_lease b = fake_lease_up(fake, "a");
    weir_lease c = fake_lease_up(fake, "b");
    weir_lease d = fake_lease_up(fake, "b");
    fake_release(fake, a, WEIR_KEEP);
    fake_release(fake, c, WEIR_KEEP);
    fake_acquire(fake, "c");
    fake_expect(fake, "dial5");
    weir_pool_options_of(fake->pool, &opt);
    opt.max_per_key = 1;
    opt.max_total = 1;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_expect(fake, "config_changed close1:surplus close3:surplus close5:surplus");
    fake_release(fake, b, WEIR_KEEP);
    fake_expect(fake, "close2:surplus");
    fake_release(fake, d, WEIR_KEEP);
    fake_expect(fake, "");
    fake_down(fake, 1, WEIR_ECLOSED);
    fake_down(fake, 2, WEIR_ECLOSED);
    fake_down(fake, 3, WEIR_ECLOSED);
    fake_down(fake, 5, WEIR_ECLOSED);
    fake_expect(fake, "close4:evicted");
    fake_down(fake, 4, WEIR_ECLOSED);
    fake_expect(fake, "dial6");
    fake_free(fake);
}

static void a_flush_forgets_failures(void **state)
{
    (void)state;
    weir_pool_options opt = {.failures_max = 1};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key a = fake_key("a");
    weir_key unknown = fake_key("unknown");
    fake_acquire(fake, "a");
    fake_wait(fake, 0);
    fake_down(fake, 1, WEIR_EREFUSED);
    fake_expect(fake, "dial1 key_down fail:refused");
    weir_pool_flush(fake->pool, &unknown, WEIR_NONE);
    fake_expect(fake, "");
    weir_pool_flush(fake->pool, &a, WEIR_NONE);
    fake_expect(fake, "key_up");
    weir_lease lease = fake_lease_up(fake, "a");
    weir_pool_flush(fake->pool, NULL, WEIR_NONE);
    fake_expect(fake, "cut2");
    fake_release(fake, lease, WEIR_BROKEN);
    fake_expect(fake, "close2:broken");
    fake_free(fake);
}

struct listing {
    unsigned seen, stop_at;
};

static bool see_conn(void *arg, const weir_conn_info *info)
{
    struct listing *listing = arg;
    assert_int_equal(info->size, sizeof *info);
    assert_string_equal(info->key->scheme, "fake");
    return ++listing->seen != listing->stop_at;
}

static bool see_key(void *arg, const weir_key_info *info)
{
    struct listing *listing = arg;
    assert_int_equal(info->size, sizeof *info);
    assert_int_equal(info->idle + info->active, 1);
    return ++listing->seen != listing->stop_at;
}

static void lists_everything_until_told_to_stop(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    struct listing listing = {0};
    weir_lease a = fake_lease_up(fake, "a");
    fake_lease_up(fake, "b");
    fake_release(fake, a, WEIR_KEEP);
    weir_pool_each(fake->pool, see_conn, &listing);
    assert_int_equal(listing.seen, 2);
    listing = (struct listing){.stop_at = 1};
    weir_pool_each(fake->pool, see_conn, &listing);
    assert_int_equal(listing.seen, 1);
    listing = (struct listing){0};
    weir_pool_each_key(fake->pool, see_key, &listing);
    assert_int_equal(listing.seen, 2);
    listing = (struct listing){.stop_at = 1};
    weir_pool_each_key(fake->pool, see_key, &listing);
    assert_int_equal(listing.seen, 1);
    weir_key key = fake_key("b");
    weir_key_info info;
    assert_int_equal(weir_pool_key_of(fake->pool, &key, &info), WEIR_OK);
    assert_int_equal(info.grants, 1);
    assert_int_equal(info.active, 1);
    fake_free(fake);
}

static void explains_what_it_did(void **state)
{
    (void)state;
    weir_pool_options opt = {.failures_max = 1};
    struct fake *fake = fake_open(&opt, NULL);
    char text[4000];
    weir_key a = fake_key("a");
    weir_key b = {.scheme = "fake", .host = "a", .port = 2, .tenant = "t"};
    weir_lease lease = fake_lease_up(fake, "a");
    fake_release(fake, lease, WEIR_KEEP);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
        fake_release(fake, lease, WEIR_KEEP);
    }
    weir_pool_explain(fake->pool, &a, text, sizeof text);
    assert_non_null(strstr(text, "reused an idle connection (3 times since"));
    assert_non_null(strstr(text, "idle 1,"));
    assert_null(strstr(text, "nearest"));
    weir_pool_explain(fake->pool, &b, text, sizeof text);
    assert_non_null(strstr(text, "not known"));
    assert_non_null(strstr(text, "nearest other key: fake://a:1 (differs in port, tenant)"));
    fake_acquire(fake, "c");
    fake_wait(fake, 0);
    fake_down(fake, 2, WEIR_EREFUSED);
    fake_wait(fake, 0);
    weir_key c = fake_key("c");
    weir_pool_explain(fake->pool, &c, text, sizeof text);
    assert_non_null(strstr(text, "last: connection refused"));
    size_t len = weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_int_equal(weir_pool_explain(fake->pool, NULL, NULL, 0), len);
    char small[20];
    assert_int_equal(weir_pool_explain(fake->pool, NULL, small, sizeof small), len);
    assert_int_equal(strlen(small), sizeof small - 1);
    unsigned up = 1;
    for (int i = 0; i < 100; i++) { /* around the ring */
        fake_try(fake, "a", &lease);
        fake_release(fake, lease, WEIR_UNKNOWN);
        fake_acquire(fake, "a");
        fake_wait(fake, 0);
        fake_down(fake, up, WEIR_ECLOSED);
        up = fake->count;
        fake_up(fake, up);
        fake_wait(fake, 0);
        fake_release(fake, fake->last, WEIR_KEEP);
        fake->log[0] = '\0';
    }
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    fake_free(fake);
}

static void without_a_name_equal_options_are_enough(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL); /* "fake" */
    weir_pool *first = NULL, *same = NULL, *other = NULL, *third = NULL;
    weir_pool_options opt = {.connector = &fake->connector, .connector_self = fake, .max_total = 7};
    assert_int_equal(weir_pool_get(fake->engine, &opt, &first), WEIR_OK);
    assert_string_equal(weir_pool_name(first), "fake-2");
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_OK);
    assert_ptr_equal(first, same);
    opt.max_total = 8;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &other), WEIR_OK);
    assert_ptr_not_equal(first, other);
    assert_string_equal(weir_pool_name(other), "fake-3");
    weir_pool_options_of(fake->pool, &opt);
    opt.name = NULL;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_OK);
    assert_ptr_equal(same, fake->pool);
    weir_pool_options_of(first, &opt);
    opt.max_total = 9;
    assert_int_equal(weir_pool_update(first, &opt), WEIR_OK);
    opt.name = NULL;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_OK);
    assert_ptr_equal(first, same); /* the options in force count */
    opt.max_total = 7;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &third), WEIR_OK);
    assert_string_equal(weir_pool_name(third), "fake-4");
    char scheme[64];
    memset(scheme, 's', sizeof scheme);
    scheme[63] = '\0';
    weir_connector long_named = fake->connector;
    long_named.scheme = scheme;
    opt.connector = &long_named;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_OK);
    opt.max_total = 2;
    assert_int_equal(weir_pool_get(fake->engine, &opt, &same), WEIR_EINVAL);
    assert_string_equal(weir_engine_fault(fake->engine), "name");
    fake->log[0] = '\0';
    fake_free(fake);
}

struct gathered {
    char names[200];
    uint64_t total, most;
};

static bool gather(void *arg, weir_pool *pool, const weir_stats *stats)
{
    struct gathered *gathered = arg;
    snprintf(gathered->names + strlen(gathered->names),
             sizeof gathered->names - strlen(gathered->names), "%s ", weir_pool_name(pool));
    gathered->total += stats->total;
    return --gathered->most > 0;
}

static void shows_the_figures_of_all_pools_at_once(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool *pool;
    weir_pool_options opt = {.name = "b", .connector = &fake->connector, .connector_self = fake};
    assert_int_equal(weir_pool_open(fake->engine, &opt, &pool), WEIR_OK);
    opt.name = "a";
    assert_int_equal(weir_pool_open(fake->engine, &opt, &pool), WEIR_OK);
    fake_release(fake, fake_lease_up(fake, "k"), WEIR_KEEP);
    struct gathered all = {.most = 10};
    weir_engine_each(fake->engine, gather, &all);
    assert_string_equal(all.names, "fake b a ");
    assert_int_equal(all.total, 1);
    struct gathered two = {.most = 2};
    weir_engine_each(fake->engine, gather, &two);
    assert_string_equal(two.names, "fake b ");
    fake_free(fake);
}

/* Four callers in one second of every season, the 100th. */
static void live_through(struct fake *fake, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        weir_lease lease;
        for (int n = 0; n < 4 && fake->now_ms / 1000 % 288 == 100; n++) {
            assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
            fake_release(fake, lease, WEIR_KEEP);
        }
        fake_wait(fake, 1000);
    }
}

static void says_what_the_forecast_is_worth(void **state)
{
    (void)state;
    weir_pool_options opt = {.size_min = 1, .forecast_ms = 288000, .idle_timeout_ms = WEIR_NEVER};
    opt.max_age_ms = WEIR_NEVER;
    struct fake *fake = fake_open(&opt, NULL);
    char text[4000];
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    live_through(fake, 300);
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_non_null(strstr(text, "\nforecast: learning, "));
    live_through(fake, 500);
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_non_null(strstr(text, "\nforecast: in use, its error is "));
    assert_non_null(strstr(text, " arrivals a second expected\n"));
    weir_pool_options_of(fake->pool, &opt);
    opt.forecast_ms = 300000;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 1000);
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_non_null(strstr(text, "\nforecast: learning, "));
    for (unsigned i = 0; i < 700; i++) {
        fake_wait(fake, 1000);
        weir_lease lease;
        assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
        fake_release(fake, lease, WEIR_KEEP);
    }
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_non_null(strstr(text, "\nforecast: not in use, its error is "));
    opt.forecast_ms = WEIR_NEVER;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    weir_pool_explain(fake->pool, NULL, text, sizeof text);
    assert_null(strstr(text, "forecast"));
    fake_free(fake);
}

static void names_the_nearest_of_several_keys(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    char text[4000];
    weir_key wanted = fake_key("b");
    fake_lease_up(fake, "a");
    fake_lease_up(fake, "c"); /* as near: the first that was found stays */
    weir_pool_explain(fake->pool, &wanted, text, sizeof text);
    assert_non_null(strstr(text, "nearest other key: fake://a:1 (differs in host)"));
    fake_free(fake);
}

/* It waited for room in the pool, and there is room now; but it may have no more. */
static void a_key_above_its_new_limit_does_not_dial(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 2, .max_per_key = 2, .acquire_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    fake_lease_up(fake, "a");
    weir_lease held = fake_lease_up(fake, "b");
    fake_acquire(fake, "b");
    fake_expect(fake, "pool_limit_reached");
    weir_pool_options_of(fake->pool, &opt);
    opt.max_total = 10;
    opt.max_per_key = 1;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_expect(fake, "config_changed");
    fake_release(fake, held, WEIR_KEEP);
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

static void new_numbers_of_leases_count_for_what_is_there(void **state)
{
    (void)state;
    weir_pool_options opt = {.leases_hard = 10};
    struct fake *fake = fake_open(&opt, NULL);
    weir_stats stats;
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[1], fake, 10), WEIR_OK);
    fake_expect(fake, "grant:1");
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.shared, 1);
    weir_pool_options_of(fake->pool, &opt);
    opt.leases_hard = opt.leases_ideal = 1;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.shared, 0);
    assert_int_equal(stats.active, 1);
    fake_free(fake);
}

/* A new age is not for what is on its way out. */
static void what_retires_keeps_its_grace(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_age_ms = 60000, .lease_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    fake_lease_up(fake, "a");
    weir_pool_flush(fake->pool, NULL, 5000);
    weir_pool_options_of(fake->pool, &opt);
    opt.max_age_ms = 1000;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 4999);
    fake_expect(fake, "config_changed");
    fake_wait(fake, 1);
    fake_expect(fake, "cut1");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(what_is_replaced_stays_so),
        cmocka_unit_test(equal_options_share_a_pool),
        cmocka_unit_test(an_update_is_all_or_nothing),
        cmocka_unit_test(new_times_count_for_what_is_there),
        cmocka_unit_test(what_is_above_a_new_limit_goes),
        cmocka_unit_test(a_flush_forgets_failures),
        cmocka_unit_test(lists_everything_until_told_to_stop),
        cmocka_unit_test(without_a_name_equal_options_are_enough),
        cmocka_unit_test(shows_the_figures_of_all_pools_at_once),
        cmocka_unit_test(explains_what_it_did),
        cmocka_unit_test(says_what_the_forecast_is_worth),
        cmocka_unit_test(names_the_nearest_of_several_keys),
        cmocka_unit_test(a_key_above_its_new_limit_does_not_dial),
        cmocka_unit_test(new_numbers_of_leases_count_for_what_is_there),
        cmocka_unit_test(what_retires_keeps_its_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
