/* SPDX-License-Identifier: Apache-2.0
 *
 * trace_fuzz.c - a trace of any bytes: either a fault that says why, or intervals that follow one
 * another and stay within every bound.
 */
#include "cli/trace.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct trace *trace)
{
    uint64_t arrivals = 0;
    check(trace->count > 0 && trace->count <= TRACE_LINES_MAX);
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_line *line = &trace->lines[i];
        bool is_last = i + 1 == trace->count;
        check(line->seconds > 0 && line->arrivals / line->seconds <= TRACE_RATE_MAX);
        check(is_last || line->second + line->seconds <= line[1].second);
        check(line->errors + line->leaked <= line->arrivals);
        check(line->hold_ms <= TRACE_HOLD_MAX && line->latency_ms <= TRACE_HOLD_MAX);
        arrivals += line->arrivals;
    }
    check(arrivals == trace->arrivals);
    check(trace_end(trace) > trace->lines[0].second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, (uint32_t)size};
    struct trace trace;
    struct trace_fault fault;
    if (!trace_read(text, &alloc_libc, &trace, &fault)) {
        check(fault.text[0] != '\0');
        return 0;
    }
    judge(&trace);
    if (trace_cut(&trace, trace.lines[0].second + 1, UINT64_MAX)) {
        judge(&trace);
    }
    trace_fini(&trace);
    return 0;
}
