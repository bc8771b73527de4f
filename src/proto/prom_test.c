/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/prom.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static void write_all(struct bytes *out, bool openmetrics, bool *ret_full)
{
    struct prom prom;
    const struct prom_label labels[] = {{"pool", "a\"b\\c\nd"}, {"state", "idle"}, {NULL, NULL}};
    prom_init(&prom, out, openmetrics);
    prom_family(&prom, "weir_things", PROM_GAUGE, "Things,\nand more.");
    prom_u64(&prom, labels, 7);
    prom_double(&prom, NULL, 0.5);
    prom_family(&prom, "weir_done_total", PROM_COUNTER, "Done.");
    prom_u64(&prom, NULL, UINT64_MAX);
    prom_family(&prom, "weir_seconds", PROM_HISTOGRAM, "Time.");
    const double ends[] = {0.001, 0.25};
    const uint64_t counts[] = {2, 3};
    const struct prom_histogram histogram = {ends, counts, 2, 1, 1.75};
    prom_histogram(&prom, NULL, &histogram);
    prom_end(&prom);
    *ret_full = prom.full;
}

static void both_formats(void **state)
{
    (void)state;
    static const char *const families[] = {"weir_done_total", "weir_done"};
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        struct bytes out;
        bool full;
        char want[1024];
        snprintf(want, sizeof(want),
                 "# HELP weir_things Things,\\nand more.\n# TYPE weir_things gauge\n"
                 "weir_things{pool=\"a\\\"b\\\\c\\nd\",state=\"idle\"} 7\nweir_things 0.5\n"
                 "# HELP %s Done.\n# TYPE %s counter\nweir_done_total 18446744073709551615\n"
                 "# HELP weir_seconds Time.\n# TYPE weir_seconds histogram\n"
                 "weir_seconds_bucket{le=\"0.001\"} 2\nweir_seconds_bucket{le=\"0.25\"} 5\n"
                 "weir_seconds_bucket{le=\"+Inf\"} 6\nweir_seconds_sum 1.75\nweir_seconds_count 6\n"
                 "%s",
                 families[openmetrics], families[openmetrics], openmetrics ? "# EOF\n" : "");
        bytes_init(&out, &alloc_libc, 4096);
        write_all(&out, openmetrics, &full);
        assert_false(full);
        assert_int_equal(bytes_len(&out), strlen(want));
        assert_memory_equal(bytes_at(&out), want, strlen(want));
        bytes_fini(&out);
    }
}

static void full_is_told(void **state)
{
    (void)state;
    struct bytes out;
    bool full;
    bytes_init(&out, &alloc_libc, 100);
    write_all(&out, false, &full);
    assert_true(full);
    bytes_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_formats),
        cmocka_unit_test(full_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
