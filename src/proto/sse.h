/* SPDX-License-Identifier: Apache-2.0
 *
 * sse.h - where an event stream (WHATWG HTML §9.2.6) stands: whether it is between two events, so
 * that a comment may be put there.
 *
 * It is between events at its start and behind an empty line. Lines end with LF, CRLF or CR; behind
 * a CR that may be the first half of a CRLF it is not known, so it is not between. Behind a line
 * that is a comment it is taken to be inside one.
 *
 * Only the last three bytes count, so what passes is not read, whatever comes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct sse {
    char last[3]; /* the newest first */
};

static inline void sse_begin(struct sse *sse)
{
    *sse = (struct sse){.last = {'\n', '\n', '\n'}};
}

static inline void sse_feed(struct sse *sse, const void *data, size_t len)
{
    const char *end = (const char *)data + len;
    if (len >= 3) {
        *sse = (struct sse){.last = {end[-1], end[-2], end[-3]}};
    } else {
        for (const char *at = data; at < end; at++) {
            *sse = (struct sse){.last = {*at, sse->last[0], sse->last[1]}};
        }
    }
}

/* It ends its lines with CRLF. */
static inline bool sse_is_crlf(const struct sse *sse)
{
    return sse->last[0] == '\n' && sse->last[1] == '\r';
}

static inline bool sse_is_between(const struct sse *sse)
{
    if (sse_is_crlf(sse)) {
        return sse->last[2] == '\n' || sse->last[2] == '\r';
    }
    return sse->last[0] == sse->last[1] && (sse->last[0] == '\n' || sse->last[0] == '\r');
}
