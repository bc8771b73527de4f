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
    const double ends[] = {0.001, 1};
    const uint64_t counts[] = {2, 3};
    const struct prom_exemplar exemplars[] = {
        {"", 0, 0},
        {"0af7651916cd43dd8448eb211c80319c", 0.25, 1520879607.789},
        {"4bf92f3577b34da6a3ce929d0e0e4736", 2, 1520879608}};
    const struct prom_histogram histogram = {ends, counts, 2, 1, 1.75, exemplars};
    prom_histogram(&prom, NULL, &histogram);
    prom_end(&prom);
    *ret_full = prom.full;
}

static void both_formats(void **state)
{
    (void)state;
    static const char *const families[] = {"weir_done_total", "weir_done"};
    static const char *const ends[] = {"1", "1.0"};
    static const char *const exemplars[][2] = {
        {"", ""},
        {" # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.25 1520879607.789",
         " # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 2 1520879608.000"}};
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        struct bytes out;
        bool full;
        char want[1024];
        snprintf(
            want, sizeof(want),
            "# HELP weir_things Things,\\nand more.\n# TYPE weir_things gauge\n"
            "weir_things{pool=\"a\\\"b\\\\c\\nd\",state=\"idle\"} 7\nweir_things 0.5\n"
            "# HELP %s Done.\n# TYPE %s counter\nweir_done_total 18446744073709551615\n"
            "# HELP weir_seconds Time.\n# TYPE weir_seconds histogram\n"
            "weir_seconds_bucket{le=\"0.001\"} 2\nweir_seconds_bucket{le=\"%s\"} 5%s\n"
            "weir_seconds_bucket{le=\"+Inf\"} 6%s\nweir_seconds_sum 1.75\nweir_seconds_count 6\n"
            "%s",
            families[openmetrics], families[openmetrics], ends[openmetrics],
            exemplars[openmetrics][0], exemplars[openmetrics][1], openmetrics ? "# EOF\n" : "");
        bytes_init(&out, &alloc_libc, 4096);
        write_all(&out, openmetrics, &full);
        assert_false(full);
        assert_int_equal(bytes_len(&out), strlen(want));
        assert_memory_equal(bytes_at(&out), want, strlen(want));
        bytes_fini(&out);
    }
}

static void page_of(const struct prom_filter *filter, struct bytes *out, uint64_t *ret_folded)
{
    struct prom prom;
    static const char *const pools[] = {"a", "b", "c", "d"};
    const double ends[] = {1};
    bytes_init(out, &alloc_libc, 4096);
    prom_init(&prom, out, false);
    prom_filter_by(&prom, filter);
    prom_family(&prom, "weir_up", PROM_GAUGE, "Up.");
    for (uint64_t i = 0; i < 4; i++) {
        prom_u64(&prom, (const struct prom_label[]){{"pool", pools[i]}, {NULL, NULL}}, i + 1);
    }
    prom_family(&prom, "weir_part", PROM_GAUGE, "Part.");
    for (uint64_t i = 0; i < 3; i++) {
        prom_double(&prom, (const struct prom_label[]){{"pool", pools[i]}, {NULL, NULL}},
                    0.5 + (double)i);
    }
    prom_family(&prom, "weir_wait_seconds", PROM_HISTOGRAM, "Wait.");
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t counts[] = {i};
        const struct prom_histogram histogram = {ends, counts, 1, 1, 2, NULL};
        prom_histogram(&prom, (const struct prom_label[]){{"pool", pools[i]}, {NULL, NULL}},
                       &histogram);
    }
    prom_end(&prom);
    *ret_folded = prom.folded;
    assert_false(prom.full);
    bytes_append(out, "", 1);
}

static void too_many_are_one(void **state)
{
    (void)state;
    struct bytes out;
    uint64_t folded;
    page_of(&(struct prom_filter){.series_max = 2}, &out, &folded);
    assert_string_equal(
        bytes_at(&out),
        "# HELP weir_up Up.\n# TYPE weir_up gauge\nweir_up{pool=\"a\"} 1\n"
        "weir_up{pool=\"b\"} 2\nweir_up{pool=\"other\"} 7\n"
        "# HELP weir_part Part.\n# TYPE weir_part gauge\n"
        "weir_part{pool=\"a\"} 0.5\nweir_part{pool=\"b\"} 1.5\n"
        "weir_part{pool=\"other\"} 2.5\n"
        "# HELP weir_wait_seconds Wait.\n# TYPE weir_wait_seconds histogram\n"
        "weir_wait_seconds_bucket{pool=\"a\",le=\"1\"} 0\n"
        "weir_wait_seconds_bucket{pool=\"a\",le=\"+Inf\"} 1\n"
        "weir_wait_seconds_sum{pool=\"a\"} 2\nweir_wait_seconds_count{pool=\"a\"} 1\n"
        "weir_wait_seconds_bucket{pool=\"b\",le=\"1\"} 1\n"
        "weir_wait_seconds_bucket{pool=\"b\",le=\"+Inf\"} 2\n"
        "weir_wait_seconds_sum{pool=\"b\"} 2\nweir_wait_seconds_count{pool=\"b\"} 2\n"
        "weir_wait_seconds_bucket{pool=\"other\",le=\"1\"} 5\n"
        "weir_wait_seconds_bucket{pool=\"other\",le=\"+Inf\"} 7\n"
        "weir_wait_seconds_sum{pool=\"other\"} 4\n"
        "weir_wait_seconds_count{pool=\"other\"} 7\n");
    assert_int_equal(folded, 2 + 1 + 2);
    bytes_fini(&out);
}

static void families_are_left_out(void **state)
{
    (void)state;
    static const char *const include[] = {"weir_up", "*_seconds"}, *const exclude[] = {"weir_w*"};
    struct bytes out;
    uint64_t folded;
    page_of(&(struct prom_filter){.include = include, .include_count = 2}, &out, &folded);
    assert_non_null(strstr(bytes_at(&out), "weir_up{pool=\"d\"} 4\n"));
    assert_non_null(strstr(bytes_at(&out), "weir_wait_seconds_count{pool=\"d\"}"));
    assert_null(strstr(bytes_at(&out), "weir_part"));
    bytes_fini(&out);
    page_of(&(struct prom_filter){.exclude = exclude, .exclude_count = 1, .series_max = 1}, &out,
            &folded);
    assert_null(strstr(bytes_at(&out), "weir_wait"));
    assert_non_null(strstr(bytes_at(&out), "weir_part{pool=\"other\"} 4\n"));
    assert_int_equal(folded, 3 + 2); /* what is left out is not folded */
    bytes_fini(&out);
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
        cmocka_unit_test(too_many_are_one),
        cmocka_unit_test(families_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
