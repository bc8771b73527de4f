/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stats.h"

#include "support/fake.h"

static void buckets_meet(void **state)
{
    (void)state;
    uint64_t from = 0;
    for (unsigned i = 0; i + 1 < WEIR_BUCKETS; i++) {
        uint64_t end = weir_bucket_end_ms(i);
        assert_true(end > from);
        assert_int_equal(bucket_of(from), i);
        assert_int_equal(bucket_of(end - 1), i);
        assert_int_equal(bucket_of(end), i + 1);
        assert_true(i < 4 || end - from <= from / 4 + 1); /* right within a quarter */
        from = end;
    }
    assert_int_equal(bucket_of(UINT64_MAX), WEIR_BUCKETS - 1);
    assert_true(weir_bucket_end_ms(WEIR_BUCKETS - 1) == UINT64_MAX);
    assert_true(weir_bucket_end_ms(WEIR_BUCKETS + 5) == UINT64_MAX);
}

static void percentiles_are_of_what_is_recent(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    weir_histogram report;
    assert_int_equal(histogram_at(&histogram, 500), 0);
    for (uint64_t i = 0; i < 100; i++) {
        histogram_add(&histogram, 0, i < 90 ? 10 : 1000);
    }
    histogram_report(&histogram, &report);
    assert_int_equal(report.count, 100);
    assert_int_equal(report.sum_ms, 900 + 10000);
    assert_int_equal(report.max_ms, 1000);
    assert_in_range(report.p50_ms, 10, 12);
    assert_in_range(report.p90_ms, 10, 12);
    assert_in_range(report.p99_ms, 1000, 1250);
    for (uint64_t i = 0; i < 60; i++) {
        histogram_add(&histogram, 240000, 3);
    }
    histogram_report(&histogram, &report);
    assert_int_equal(report.count, 160);
    assert_int_equal(report.buckets[3], 60);
    assert_in_range(report.p50_ms, 3, 3);
    histogram_add(&histogram, UINT64_C(60000) * 60, 7);
    assert_int_equal(histogram.recent[bucket_of(3)], 0);
    assert_int_equal(histogram.recent[bucket_of(7)], 1);
    histogram_add_times(&histogram, UINT64_C(60000) * 60, 7, UINT32_MAX);
    assert_int_equal(histogram.recent[bucket_of(7)], UINT32_MAX); /* as far as it goes */
    struct histogram other = {.decayed_ms = histogram.decayed_ms};
    histogram_add(&other, other.decayed_ms, 7);
    histogram_merge(&histogram, &other, other.decayed_ms);
    assert_int_equal(histogram.recent[bucket_of(7)], UINT32_MAX);
}

static void a_report_counts_lists(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 1, .failures_max = 1};
    struct fake *fake = fake_open(&opt, NULL);
    weir_stats stats;
    weir_lease lease = fake_lease_up(fake, "a");
    fake_acquire(fake, "a");
    fake_wait(fake, 30);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.size, sizeof stats);
    assert_int_equal(stats.total, 1);
    assert_int_equal(stats.active, 1);
    assert_int_equal(stats.leases, 1);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(stats.oldest_wait_ms, 30);
    assert_int_equal(stats.keys, 1);
    assert_int_equal(stats.acquires, 2);
    assert_int_equal(stats.grants, 1);
    fake_release(fake, lease, WEIR_BROKEN);
    fake_wait(fake, 0);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_wait(fake, 0);
    fake_down(fake, 2, WEIR_EREFUSED);
    fake_wait(fake, 0);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.keys_down, 1);
    assert_int_equal(stats.closed_by[WEIR_EBROKEN], 1);
    assert_int_equal(stats.failed_by[WEIR_EREFUSED], 1);
    assert_int_equal(stats.refused_by[WEIR_EREFUSED], 1);
    assert_int_equal(stats.dials, 2);
    fake_wait(fake, 60000);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.keys_down, 1); /* on trial */
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_meet),
        cmocka_unit_test(percentiles_are_of_what_is_recent),
        cmocka_unit_test(a_report_counts_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
