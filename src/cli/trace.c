/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trace.h"

#include <stdarg.h>
#include <stdio.h>

enum column { SECOND, ARRIVALS, HOLD_MS, ERRORS, LATENCY_MS, LEAKED, COLUMNS };

static const char *const names[COLUMNS] = {"second", "arrivals",   "hold_ms",
                                           "errors", "latency_ms", "leaked"};

/* Of an imagined trace: how many come in an interval is not chance, when they come is. */
#define IMAGINED_SECONDS 60U

struct reader {
    struct trace *trace;
    struct trace_fault *fault;
    uint32_t number; /* of the line */
    uint32_t latest; /* that of the latest interval */
    uint32_t capacity;
    enum column columns[COLUMNS]; /* what stands in each place */
    uint32_t columns_count;       /* 0: not known yet */
};

static bool fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reader->fault->line = reader->number;
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is not */
    vsnprintf(reader->fault->text, sizeof(reader->fault->text), format, args);
    va_end(args);
    return false;
}

/* --- columns ------------------------------------------------------------------------------ */

static bool has_column(const struct reader *reader, enum column column)
{
    for (uint32_t i = 0; i < reader->columns_count; i++)
        if (reader->columns[i] == column)
            return true;
    return false;
}

static bool add_column(struct reader *reader, struct slice name)
{
    for (int i = 0; i < COLUMNS; i++) {
        if (!slice_is_nocase(name, names[i]))
            continue;
        if (has_column(reader, (enum column)i))
            return fail(reader, "column %s is named twice", names[i]);
        reader->columns[reader->columns_count++] = (enum column)i;
        return true;
    }
    const char *near = text_did_you_mean(name, names, COLUMNS);
    return fail(reader, "there is no column \"%.*s\"%s%s", (int)(name.len < 40 ? name.len : 40),
                name.at, near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

static bool read_names(struct reader *reader, struct slice line)
{
    struct slice name;
    while (slice_split(&line, ',', &name))
        if (!add_column(reader, slice_trim(name)))
            return false;
    if (!has_column(reader, SECOND) || !has_column(reader, ARRIVALS))
        return fail(reader, "the columns second and arrivals are needed");
    return true;
}

/* Without names: the first ones, in their order. */
static bool guess_names(struct reader *reader, struct slice line)
{
    struct slice part;
    uint32_t count = 0;
    while (slice_split(&line, ',', &part))
        count++;
    if (count < 2 || count > 3)
        return fail(reader,
                    "%u columns without names: \"second,arrivals\" or "
                    "\"second,arrivals,hold_ms\" need none",
                    count);
    for (uint32_t i = 0; i < count; i++)
        reader->columns[reader->columns_count++] = (enum column)i;
    return true;
}

/* --- lines -------------------------------------------------------------------------------- */

static bool read_values(struct reader *reader, struct slice line, uint64_t *values)
{
    struct slice part;
    uint32_t at = 0;
    while (slice_split(&line, ',', &part)) {
        if (at == reader->columns_count)
            return fail(reader, "more than %u columns", reader->columns_count);
        part = slice_trim(part);
        if (!text_parse_u64(part, &values[reader->columns[at]]))
            return fail(reader, "%s is not a whole number: \"%.*s\"", names[reader->columns[at]],
                        (int)(part.len < 40 ? part.len : 40), part.at);
        at++;
    }
    if (at < reader->columns_count)
        return fail(reader, "%u columns of %u", at, reader->columns_count);
    return true;
}

static bool judge_values(struct reader *reader, const uint64_t *values)
{
    const struct trace *trace = reader->trace;
    if (values[SECOND] > TRACE_SECOND_MAX)
        return fail(reader, "second is beyond every date: are these milliseconds?");
    if (trace->count > 0 && values[SECOND] <= trace->lines[trace->count - 1].second)
        return fail(reader, "second does not grow: %llu after %llu",
                    (unsigned long long)values[SECOND],
                    (unsigned long long)trace->lines[trace->count - 1].second);
    if (values[HOLD_MS] > TRACE_HOLD_MAX || values[LATENCY_MS] > TRACE_HOLD_MAX)
        return fail(reader, "longer than a day");
    if (values[ERRORS] > values[ARRIVALS] || values[LEAKED] > values[ARRIVALS] - values[ERRORS])
        return fail(reader, "more errors and leaks than arrivals");
    return true;
}

/* Room for one more; twice as much as before where there is none. */
static bool reserve(struct reader *reader)
{
    struct trace *trace = reader->trace;
    if (trace->count < reader->capacity)
        return true;
    if (trace->count == TRACE_LINES_MAX)
        return fail(reader, "more than %u intervals", TRACE_LINES_MAX);
    uint32_t capacity = reader->capacity > 0 ? 2 * reader->capacity : 1024;
    struct trace_line *lines = alloc_array(trace->alloc, capacity, sizeof(*lines));
    if (lines == NULL)
        return fail(reader, "out of memory");
    if (trace->count > 0)
        memcpy(lines, trace->lines, trace->count * sizeof(*lines));
    alloc_free(trace->alloc, trace->lines);
    trace->lines = lines;
    reader->capacity = capacity;
    return true;
}

static bool end_line(struct reader *reader, uint64_t seconds)
{
    struct trace_line *last = &reader->trace->lines[reader->trace->count - 1];
    last->seconds = (uint32_t)(seconds < UINT32_MAX ? seconds : UINT32_MAX);
    if (last->arrivals / last->seconds > TRACE_RATE_MAX) {
        reader->number = reader->latest;
        return fail(reader, "more than %llu arrivals a second in the interval at %llu",
                    (unsigned long long)TRACE_RATE_MAX, (unsigned long long)last->second);
    }
    return true;
}

static bool read_line(struct reader *reader, struct slice line)
{
    uint64_t values[COLUMNS] = {0};
    struct trace *trace = reader->trace;
    if (reader->columns_count == 0) {
        bool is_data = text_is_digit(line.at[0]);
        if (!is_data)
            return read_names(reader, line);
        if (!guess_names(reader, line))
            return false;
    }
    if (!read_values(reader, line, values) || !judge_values(reader, values) || !reserve(reader))
        return false;
    if (trace->count > 0
        && !end_line(reader, values[SECOND] - trace->lines[trace->count - 1].second))
        return false;
    trace->lines[trace->count++] = (struct trace_line){.second = values[SECOND],
                                                       .arrivals = values[ARRIVALS],
                                                       .hold_ms = (uint32_t)values[HOLD_MS],
                                                       .errors = values[ERRORS],
                                                       .latency_ms = (uint32_t)values[LATENCY_MS],
                                                       .leaked = values[LEAKED]};
    trace->arrivals += values[ARRIVALS];
    reader->latest = reader->number;
    return true;
}

static bool read_all(struct reader *reader, struct slice text)
{
    struct trace *trace = reader->trace;
    struct slice line;
    while (slice_split(&text, '\n', &line)) {
        reader->number++;
        if (slice_ends(line, SLICE("\r")))
            line.len--;
        line = slice_trim(slice_sub(line, 0, slice_find(line, '#')));
        if (line.len > 0 && !read_line(reader, line))
            return false;
    }
    if (trace->count == 0) {
        reader->number = 0;
        return fail(reader, "there is no interval in it");
    }
    const struct trace_line *last = &trace->lines[trace->count - 1];
    return end_line(reader, trace->count > 1 ? last->second - last[-1].second : 1);
}

bool trace_read(struct slice text, const struct alloc *alloc, struct trace *ret_trace,
                struct trace_fault *ret_fault)
{
    struct trace trace = {.alloc = alloc};
    struct reader reader = {.trace = &trace, .fault = ret_fault};
    *ret_fault = (struct trace_fault){0};
    if (!read_all(&reader, text)) {
        trace_fini(&trace);
        return false;
    }
    trace.has_hold = has_column(&reader, HOLD_MS);
    trace.has_latency = has_column(&reader, LATENCY_MS);
    *ret_trace = trace;
    return true;
}

bool trace_imagine(double rate_from, double rate_to, uint32_t seconds, const struct alloc *alloc,
                   struct trace *ret_trace)
{
    uint32_t count = (seconds + IMAGINED_SECONDS - 1) / IMAGINED_SECONDS;
    struct trace trace = {.alloc = alloc, .count = count};
    double owed = 0.5; /* to round is to add a half, and to cut */
    trace.lines = alloc_array(alloc, count, sizeof(*trace.lines));
    if (trace.lines == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t begin = i * IMAGINED_SECONDS;
        uint32_t length = i + 1 < count ? IMAGINED_SECONDS : seconds - begin;
        double middle = ((double)begin + (double)length / 2) / seconds;
        owed += (rate_from + (rate_to - rate_from) * middle) * length;
        uint64_t come = (uint64_t)owed;
        owed -= (double)come;
        trace.lines[i] = (struct trace_line){.second = begin, .seconds = length, .arrivals = come};
        trace.arrivals += come;
    }
    *ret_trace = trace;
    return true;
}

void trace_fini(struct trace *trace)
{
    alloc_free(trace->alloc, trace->lines);
    *trace = (struct trace){0};
}

uint64_t trace_end(const struct trace *trace)
{
    const struct trace_line *last = &trace->lines[trace->count - 1];
    return last->second + last->seconds;
}

bool trace_cut(struct trace *trace, uint64_t from, uint64_t to)
{
    uint32_t kept = 0;
    uint64_t arrivals = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        if (trace->lines[i].second < from || trace->lines[i].second >= to)
            continue;
        arrivals += trace->lines[i].arrivals;
        trace->lines[kept++] = trace->lines[i];
    }
    if (kept == 0)
        return false;
    trace->count = kept;
    trace->arrivals = arrivals;
    return true;
}
