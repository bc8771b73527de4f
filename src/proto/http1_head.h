/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_head.h - what the files of HTTP/1.1 share among themselves: reading field lines, and
 * judging bytes of a head that is not complete yet.
 *
 * The parser (http1.c) is written for the head that is all there, and starts at its first byte. The
 * judge (http1_partial.c) goes over the bytes of an incomplete one, each once, and only says when
 * the parser must look again: at the end of the start line, at the end of the head, or at a byte
 * that cannot be there. Then the parser, shown the bytes judged so far, says what they are. So
 * there is one place that knows what is right, and a drip of single bytes still costs O(n).
 */
#pragma once
#include "proto/http1.h"

struct http1_reader {
    const char *at, *end;
    const char *start;      /* bytes from here to `at` may be looked at again */
    enum http1_error error; /* HTTP1_FINE while a failed read only means: more bytes */
    uint64_t repeated;      /* known fields that are there more than once */
};

static inline bool http1_fail(struct http1_reader *reader, enum http1_error error)
{
    reader->error = error;
    return false;
}

/* Reads field lines up to and with the empty line: fields, field_count and present of the head.
 * False: an error, or (HTTP1_FINE) more bytes are needed. */
bool http1_read_fields(struct http1_reader *reader, unsigned fields_max, struct http_head *head);

enum http1_judged { HTTP1_JUDGE_REQUEST, HTTP1_JUDGE_RESPONSE, HTTP1_JUDGE_TRAILERS };

/* Goes on from progress->judged to len. True: the parser has to look at the first progress->judged
 * bytes. False: all bytes were judged, and more are needed. */
bool http1_judge(struct http1_progress *progress, enum http1_judged what, const char *buf,
                 size_t len, const struct http1_limits *limits);

/* The end, or a byte that cannot be there, was met: the parser must have a verdict. */
bool http1_judged_out(const struct http1_progress *progress);
/* The start line is not complete. */
bool http1_in_start_line(const struct http1_progress *progress);
