/* SPDX-License-Identifier: Apache-2.0
 *
 * sse_read.h - an event stream (WHATWG HTML §9.2.6), read as it comes, however it was cut.
 *
 * A message that is longer than SSE_DATA_MAX is skipped and counted.
 */
#pragma once
#include "base/bytes.h"

#define SSE_DATA_MAX 262144U /* of a message, and of a line */
#define SSE_WORD_MAX 128U

struct sse_message {
    const char *name, *id; /* "": it was not said */
    struct slice data;
};

struct sse_reader {
    void (*on_message)(void *arg, const struct sse_message *message);
    void *arg;
    struct bytes line, data;
    char name[SSE_WORD_MAX], id[SSE_WORD_MAX]; /* the id stays until another is said */
    uint64_t retry_ms;                         /* what the server wishes; 0: nothing */
    uint64_t skipped;
    bool was_cr, is_too_long;
};

void sse_reader_init(struct sse_reader *reader,
                     void (*on_message)(void *arg, const struct sse_message *message), void *arg);
void sse_reader_fini(struct sse_reader *reader);
void sse_reader_feed(struct sse_reader *reader, struct slice data);
/* Another connection begins: what was not complete is forgotten, the id is not. */
void sse_reader_again(struct sse_reader *reader);
