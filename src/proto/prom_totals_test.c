/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/prom_totals.h"

#include "support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static bool knows_all(const void *self, const struct prom_label *labels)
{
    (void)self, (void)labels;
    return true;
}

static bool knows_no_b(const void *self, const struct prom_label *labels)
{
    (void)self;
    return strcmp(labels[0].value, "b") != 0;
}

static struct prom_past past_of(struct prom_totals *totals)
{
    return (struct prom_past){.totals = totals, .is_known = knows_all};
}

/* A page with one family of each kind. */
static void write_page(struct prom *prom, uint64_t whole, double real, uint64_t fast, uint64_t slow)
{
    const double ends[] = {0.1, 1};
    const uint64_t counts[] = {fast, slow};
    const struct prom_histogram histogram = {ends, counts, 2, 1, 2.5, NULL};
    prom_family(prom, "weir_level", PROM_GAUGE, "A gauge.");
    prom_u64(prom, LABELS({"pool", "a"}), whole);
    prom_family(prom, "weir_done_total", PROM_COUNTER, "Done.");
    prom_u64(prom, LABELS({"pool", "a"}, {"code", "200"}), whole);
    prom_family(prom, "weir_cpu_seconds_total", PROM_COUNTER, "Time.");
    prom_double(prom, NULL, real);
    prom_family(prom, "weir_wait_seconds", PROM_HISTOGRAM, "Waits.");
    prom_histogram(prom, LABELS({"pool", "a"}), &histogram);
    prom_end(prom);
}

/* What that has counted, after `past`. */
static struct prom_totals *totals_after(struct prom_totals *past, uint64_t whole, double real)
{
    struct prom_totals *totals = NULL;
    struct prom_past from = past_of(past);
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 4096);
    prom_init_record(&prom, &out);
    prom_go_on_from(&prom, &from);
    write_page(&prom, whole, real, 1, 2);
    assert_false(prom.full);
    assert_int_equal(prom_totals_read(bytes_at(&out), bytes_len(&out), &totals), 0);
    bytes_fini(&out);
    return totals;
}

/* The page that goes on from them. */
static void page_after(struct prom_past past, char ret_text[static 2048], bool has_samples)
{
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 2047);
    prom_init(&prom, &out, false);
    prom_go_on_from(&prom, &past);
    if (has_samples) {
        write_page(&prom, 5, 0.25, 10, 20);
    } else {
        prom_family(&prom, "weir_done_total", PROM_COUNTER, "Done.");
        prom_end(&prom);
    }
    assert_false(prom.full);
    memcpy(ret_text, bytes_at(&out), bytes_len(&out));
    ret_text[bytes_len(&out)] = '\0';
    bytes_fini(&out);
}

static void has(const char *text, const char *line)
{
    char whole[160];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no line %s in\n%s", line, text);
}

static void a_page_goes_on_from_the_ones_before(void **state)
{
    (void)state;
    char text[2048];
    struct prom_totals *first = totals_after(NULL, 7, 0.5), *second = totals_after(first, 1, 0.5);
    assert_int_equal(prom_totals_count(second), 3); /* not of the gauge */
    page_after(past_of(second), text, true);
    has(text, "weir_level{pool=\"a\"} 5");
    has(text, "weir_done_total{pool=\"a\",code=\"200\"} 13");
    has(text, "weir_cpu_seconds_total 1.25");
    has(text, "weir_wait_seconds_bucket{pool=\"a\",le=\"0.1\"} 12");
    has(text, "weir_wait_seconds_bucket{pool=\"a\",le=\"1\"} 36");
    has(text, "weir_wait_seconds_bucket{pool=\"a\",le=\"+Inf\"} 39");
    has(text, "weir_wait_seconds_sum{pool=\"a\"} 7.5");
    has(text, "weir_wait_seconds_count{pool=\"a\"} 39");
    page_after(past_of(second), text, true); /* and again */
    has(text, "weir_done_total{pool=\"a\",code=\"200\"} 13");
    prom_totals_free(first);
    prom_totals_free(second);
}

/* As a counter of another name, labels in another order, or not at all. */
static void samples_are_found_by_their_labels(void **state)
{
    (void)state;
    struct prom_totals *totals = totals_after(NULL, 7, 0.5);
    struct prom_total total;
    assert_true(prom_totals_take(totals, "weir_done_total", LABELS({"code", "200"}, {"pool", "a"}),
                                 &total));
    assert_int_equal(total.whole, 7);
    assert_false(prom_totals_take(totals, "weir_done_total", LABELS({"pool", "a"}), &total));
    assert_false(
        prom_totals_take(totals, "weir_done", LABELS({"code", "200"}, {"pool", "a"}), &total));
    assert_false(prom_totals_take(totals, "weir_level", LABELS({"pool", "a"}), &total));
    prom_totals_free(totals);
}

static void what_was_not_counted_since_is_shown_where_it_is_known(void **state)
{
    (void)state;
    char text[2048];
    struct prom_totals *totals;
    struct prom_past past;
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 4096);
    prom_init_record(&prom, &out);
    prom_family(&prom, "weir_done_total", PROM_COUNTER, "Done.");
    prom_u64(&prom, LABELS({"pool", "b"}), 4);
    prom_u64(&prom, LABELS({"pool", "a"}), 3);
    prom_u64(&prom, LABELS({"pool", "a"}, {"zone", "x\"y"}), 2);
    prom_family(&prom, "weir_done_total_more_total", PROM_COUNTER,
                "Of a family that begins alike.");
    prom_u64(&prom, NULL, 9);
    prom_end(&prom);
    assert_int_equal(prom_totals_read(bytes_at(&out), bytes_len(&out), &totals), 0);
    bytes_fini(&out);
    past = past_of(totals);
    page_after(past, text, false);
    assert_string_equal(text, "# HELP weir_done_total Done.\n# TYPE weir_done_total counter\n"
                              "weir_done_total{pool=\"a\"} 3\n"
                              "weir_done_total{pool=\"a\",zone=\"x\\\"y\"} 2\n"
                              "weir_done_total{pool=\"b\"} 4\n");
    past.is_known = knows_no_b;
    page_after(past, text, false);
    assert_null(strstr(text, "pool=\"b\""));
    has(text, "weir_done_total{pool=\"a\"} 3");
    prom_totals_free(totals);
}

/* A family that was of another kind begins anew. */
static void kinds_are_not_mixed(void **state)
{
    (void)state;
    struct prom_totals *totals = totals_after(NULL, 7, 2.5);
    struct prom_past past = past_of(totals);
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 4096);
    prom_init(&prom, &out, false);
    prom_go_on_from(&prom, &past);
    prom_family(&prom, "weir_done_total", PROM_COUNTER, "Done.");
    prom_double(&prom, LABELS({"pool", "a"}, {"code", "200"}), 0.5);
    prom_family(&prom, "weir_cpu_seconds_total", PROM_COUNTER, "Time.");
    prom_u64(&prom, NULL, 1);
    prom_family(&prom, "weir_wait_seconds", PROM_GAUGE, "Waits.");
    prom_u64(&prom, LABELS({"pool", "a"}), 1);
    prom_end(&prom);
    assert_true(bytes_append(&out, "", 1));
    has(bytes_at(&out), "weir_done_total{pool=\"a\",code=\"200\"} 7.5");
    has(bytes_at(&out), "weir_cpu_seconds_total 3");
    has(bytes_at(&out), "weir_wait_seconds{pool=\"a\"} 1");
    bytes_fini(&out);
    prom_totals_free(totals);
}

/* A value is never said to be less than it may have been. */
static void buckets_may_differ(void **state)
{
    (void)state;
    struct prom_total now = {.kind = PROM_TOTAL_HISTOGRAM, .buckets = 2, .ends = {1, 4}, .rest = 1};
    const struct prom_total before = {.kind = PROM_TOTAL_HISTOGRAM,
                                      .real = 3,
                                      .buckets = 4,
                                      .ends = {0.5, 1, 2, 8},
                                      .counts = {1, 10, 100, 1000},
                                      .rest = 10000};
    prom_total_add(&now, &before);
    assert_int_equal(now.counts[0], 11);
    assert_int_equal(now.counts[1], 100);
    assert_int_equal(now.rest, 11001);
    assert_true(now.real == 3);
}

static void what_is_too_long_is_not_written(void **state)
{
    (void)state;
    static char text[PROM_TOTALS_KEY_MAX + 1];
    const struct prom_total total = {.kind = PROM_TOTAL_WHOLE, .whole = 1};
    struct bytes out;
    memset(text, 'x', PROM_TOTALS_KEY_MAX);
    bytes_init(&out, &alloc_libc, 64);
    assert_true(prom_totals_begin(&out));
    assert_false(prom_totals_add(&out, "weir_done_total", LABELS({"pool", text}), &total));
    assert_true(prom_totals_add(&out, "weir_done_total", NULL, &total));
    assert_false(prom_totals_add(&out, "weir_more_done_total", NULL, &total)); /* no room */
    bytes_fini(&out);
}

/* Cut anywhere, and any byte changed: it is refused, or read as something; it never does more. */
static void what_is_none_is_refused(void **state)
{
    (void)state;
    struct prom_totals *totals;
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 4096);
    prom_init_record(&prom, &out);
    write_page(&prom, 1, 2, 3, 4);
    size_t len = bytes_len(&out);
    char *bytes = bytes_at(&out);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(prom_totals_read(bytes, cut, &totals), -EPROTO);
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
            int error = prom_totals_read(bytes, len, &totals);
            if (error == 0)
                prom_totals_free(totals);
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
            if (at >= 8 && at < 12)
                assert_int_equal(error, -EPROTONOSUPPORT);
        }
    bytes_fini(&out);
}

static void a_sample_is_named_once(void **state)
{
    (void)state;
    const struct prom_total total = {.kind = PROM_TOTAL_WHOLE, .whole = 1};
    struct prom_totals *totals;
    struct bytes out;
    bytes_init(&out, &alloc_libc, 4096);
    assert_true(prom_totals_begin(&out));
    assert_true(prom_totals_add(&out, "weir_done_total", LABELS({"a", "1"}, {"b", "2"}), &total));
    assert_true(prom_totals_add(&out, "weir_done_total", LABELS({"b", "2"}, {"a", "1"}), &total));
    assert_true(prom_totals_end(&out));
    assert_int_equal(prom_totals_read(bytes_at(&out), bytes_len(&out), &totals), -EPROTO);
    bytes_fini(&out);
}

static void a_file_that_nobody_would_take_is_known_to_be_none(void **state)
{
    (void)state;
    char name[16];
    struct bytes out;
    struct prom prom;
    bytes_init(&out, &alloc_libc, 8); /* not even its head */
    prom_init_record(&prom, &out);
    prom_end(&prom);
    assert_true(prom.full);
    bytes_fini(&out);
    for (uint32_t more = 0; more < 2; more++) {
        bytes_init(&out, &alloc_libc, PROM_TOTALS_BYTES_MAX);
        prom_init_record(&prom, &out);
        prom_family(&prom, "weir_done_total", PROM_COUNTER, "Done.");
        for (uint32_t i = 0; i < PROM_TOTALS_SAMPLES_MAX + more; i++) {
            snprintf(name, sizeof(name), "%u", i);
            prom_u64(&prom, LABELS({"a", name}), 1);
        }
        prom_end(&prom);
        assert_int_equal(prom.full, more > 0);
        bytes_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_goes_on_from_the_ones_before),
        cmocka_unit_test(samples_are_found_by_their_labels),
        cmocka_unit_test(what_was_not_counted_since_is_shown_where_it_is_known),
        cmocka_unit_test(kinds_are_not_mixed),
        cmocka_unit_test(buckets_may_differ),
        cmocka_unit_test(what_is_too_long_is_not_written),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_sample_is_named_once),
        cmocka_unit_test(a_file_that_nobody_would_take_is_known_to_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
