/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.h - arrivals over time: a file that somebody recorded, or a rate that somebody imagines.
 *
 * A trace is lines of comma-separated whole numbers, an interval each:
 *
 *     # anything, to the end of the line
 *     second,arrivals,hold_ms
 *     0,412,120
 *     60,398,118
 *
 * The first line may name the columns, in any order; without it they are second, arrivals and
 * hold_ms, as many as there are. `second` is when the interval begins and grows from line to line;
 * it ends where the next one begins, the last one takes as long as the one before it (a single
 * one: a second). Known columns:
 *
 *     second      when it begins (needed)
 *     arrivals    callers that came in it (needed)
 *     hold_ms     how long one of them kept its connection, on average
 *     errors      how many of them ended with the connection broken
 *     latency_ms  how long the first byte of an answer took, on average
 *     leaked      how many of them never gave their connection back
 *
 * Read by `weir simulate` and by the test of the forecast; test/data holds six.
 */
#pragma once
#include "base/alloc.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACE_BYTES_MAX  (64U << 20) /* of a file */
#define TRACE_LINES_MAX  2000000U
#define TRACE_SECOND_MAX UINT64_C(100000000000) /* milliseconds since 1970 are not seconds */
#define TRACE_RATE_MAX   UINT64_C(1000000)      /* arrivals a second */
#define TRACE_HOLD_MAX   86400000U

struct trace_line {
    uint64_t second;
    uint32_t seconds;
    uint32_t hold_ms, latency_ms;
    uint64_t arrivals, errors, leaked;
};

struct trace {
    struct trace_line *lines;
    const struct alloc *alloc;
    uint32_t count;
    bool has_hold, has_latency;
    uint64_t arrivals; /* in all */
};

struct trace_fault {
    uint32_t line; /* 0: the file as a whole */
    char text[200];
};

/* The text of a file. False with a fault; nothing to free then. */
bool trace_read(struct slice text, const struct alloc *alloc, struct trace *ret_trace,
                struct trace_fault *ret_fault);

/* So many seconds from 0 on, the rate going from one to the other in a straight line. False: no
 * memory. */
bool trace_imagine(double rate_from, double rate_to, uint32_t seconds, const struct alloc *alloc,
                   struct trace *ret_trace);

void trace_fini(struct trace *trace);

/* The second in which it is over. */
uint64_t trace_end(const struct trace *trace);

/* Keeps the lines that begin in from … to (not included); false where none does. */
bool trace_cut(struct trace *trace, uint64_t from, uint64_t to);
