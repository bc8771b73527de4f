/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trace.h"

#include "support/unit.h"

#include <stdio.h>

static bool read_text(const char *text, struct trace *trace, struct trace_fault *fault)
{
    return trace_read(slice_of(text), &alloc_libc, trace, fault);
}

static void named_columns_in_any_order(void **state)
{
    (void)state;
    struct trace trace;
    struct trace_fault fault;
    assert_true(read_text("# a comment\n\nhold_ms, Arrivals ,second,leaked,errors,latency_ms\r\n"
                          "120,10,100,1,2,80 # one\r\n"
                          "130,20,105,0,0,90\n",
                          &trace, &fault));
    assert_int_equal(trace.count, 2);
    assert_int_equal(trace.arrivals, 30);
    assert_true(trace.has_hold && trace.has_latency);
    assert_int_equal(trace.lines[0].second, 100);
    assert_int_equal(trace.lines[0].seconds, 5);
    assert_int_equal(trace.lines[0].hold_ms, 120);
    assert_int_equal(trace.lines[0].leaked, 1);
    assert_int_equal(trace.lines[0].errors, 2);
    assert_int_equal(trace.lines[1].latency_ms, 90);
    assert_int_equal(trace.lines[1].seconds, 5);
    assert_int_equal(trace_end(&trace), 110);
    trace_fini(&trace);
}

static void without_names_the_first_columns(void **state)
{
    (void)state;
    struct trace trace;
    struct trace_fault fault;
    assert_true(read_text("7,3", &trace, &fault));
    assert_int_equal(trace.lines[0].seconds, 1);
    assert_false(trace.has_hold);
    trace_fini(&trace);
    assert_true(read_text("0,3,50\n60,4,70\n", &trace, &fault));
    assert_true(trace.has_hold);
    assert_false(trace.has_latency);
    assert_int_equal(trace.lines[1].hold_ms, 70);
    trace_fini(&trace);
}

static void says_which_line_is_wrong_and_why(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *why;
    } bad[] = {
        {"", 0, "there is no interval in it"},
        {"# nothing\n\n", 0, "there is no interval in it"},
        {"second,arrivals\n", 0, "there is no interval in it"},
        {"second,arrivels\n0,1\n", 1, "there is no column \"arrivels\"; did you mean arrivals"},
        {"second,arrivals,#\n0,1\n", 1, "there is no column \"\""},
        {"arrivals,hold_ms\n0,1\n", 1, "the columns second and arrivals are needed"},
        {"second,arrivals,second\n0,1,2\n", 1, "column second is named twice"},
        {"0\n", 1, "1 columns without names"},
        {"0,1,2,3\n", 1, "4 columns without names"},
        {"0,1\n\n# so\n5,x\n", 4, "arrivals is not a whole number: \"x\""},
        {"0,1\n5,1.5\n", 2, "arrivals is not a whole number: \"1.5\""},
        {"0,1\n5,-1\n", 2, "arrivals is not a whole number: \"-1\""},
        {"0,1\n5,\n", 2, "arrivals is not a whole number: \"\""},
        {"0,1\n5\n", 2, "1 columns of 2"},
        {"0,1\n5,1,1\n", 2, "more than 2 columns"},
        {"5,1\n5,1\n", 2, "second does not grow: 5 after 5"},
        {"5,1\n4,1\n", 2, "second does not grow: 4 after 5"},
        {"0,99999999999999999999\n", 1, "arrivals is not a whole number"},
        {"1700000000000,1\n", 1, "are these milliseconds?"},
        {"0,1\n1,5000000\n\n2,1\n", 2, "more than 1000000 arrivals a second in the interval at 1"},
        {"0,1,86400001\n", 1, "longer than a day"},
        {"second,arrivals,latency_ms\n0,1,86400001\n", 2, "longer than a day"},
        {"second,arrivals,errors\n0,1,2\n", 2, "more errors and leaks than arrivals"},
        {"second,arrivals,errors,leaked\n0,3,2,2\n", 2, "more errors and leaks than arrivals"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace trace;
        struct trace_fault fault;
        assert_false(read_text(bad[i].text, &trace, &fault));
        if (strstr(fault.text, bad[i].why) == NULL || fault.line != bad[i].line)
            fail_msg("%s: line %u: %s", bad[i].text, fault.line, fault.text);
    }
}

static void a_line_of_rubbish_is_quoted_in_part(void **state)
{
    (void)state;
    struct trace trace;
    struct trace_fault fault;
    char text[5000];
    memset(text, 'x', sizeof text);
    assert_false(trace_read((struct slice){text, sizeof text}, &alloc_libc, &trace, &fault));
    assert_non_null(strstr(fault.text, "there is no column \"xxxxx"));
    memcpy(text, "0,", 2);
    assert_false(trace_read((struct slice){text, sizeof text}, &alloc_libc, &trace, &fault));
    assert_non_null(strstr(fault.text, "arrivals is not a whole number: \"xxxxx"));
}

static void imagined_arrivals_add_up(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_imagine(0.01, 0.01, 1000, &alloc_libc, &trace));
    assert_int_equal(trace.arrivals, 10);
    assert_int_equal(trace.count, 17);
    assert_int_equal(trace.lines[16].seconds, 40);
    assert_int_equal(trace_end(&trace), 1000);
    trace_fini(&trace);
    assert_true(trace_imagine(0, 100, 600, &alloc_libc, &trace));
    assert_int_equal(trace.arrivals, 30000);
    assert_int_equal(trace.lines[0].arrivals, 300);
    assert_int_equal(trace.lines[9].arrivals, 5700);
    trace_fini(&trace);
    assert_true(trace_imagine(7, 7, 1, &alloc_libc, &trace));
    assert_int_equal(trace.arrivals, 7);
    trace_fini(&trace);
}

static void a_part_is_cut_out(void **state)
{
    (void)state;
    struct trace trace;
    struct trace_fault fault;
    assert_true(read_text("100,1\n110,2\n120,4\n130,8\n", &trace, &fault));
    assert_false(trace_cut(&trace, 0, 100));
    assert_true(trace_cut(&trace, 110, 130));
    assert_int_equal(trace.count, 2);
    assert_int_equal(trace.arrivals, 6);
    assert_int_equal(trace.lines[0].second, 110);
    assert_int_equal(trace_end(&trace), 130);
    trace_fini(&trace);
}

static void read_many(const struct alloc *alloc, void *arg)
{
    struct trace trace;
    struct trace_fault fault;
    if (trace_read(*(const struct slice *)arg, alloc, &trace, &fault)) {
        assert_int_equal(trace.count, 3000);
        trace_fini(&trace);
    } else {
        assert_string_equal(fault.text, "out of memory");
    }
    if (trace_imagine(1, 2, 10, alloc, &trace))
        trace_fini(&trace);
}

static void memory_that_is_refused_is_said(void **state)
{
    (void)state;
    static char text[3000 * 10];
    uint32_t len = 0;
    for (uint32_t i = 0; i < 3000; i++)
        len += (uint32_t)snprintf(text + len, sizeof text - len, "%u,1\n", i);
    struct slice slice = {text, len};
    torture(read_many, &slice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_columns_in_any_order),
        cmocka_unit_test(without_names_the_first_columns),
        cmocka_unit_test(says_which_line_is_wrong_and_why),
        cmocka_unit_test(a_line_of_rubbish_is_quoted_in_part),
        cmocka_unit_test(imagined_arrivals_add_up),
        cmocka_unit_test(a_part_is_cut_out),
        cmocka_unit_test(memory_that_is_refused_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
