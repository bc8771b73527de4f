/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_usage_fuzz.c - an answer of any bytes: read in one piece and in pieces of any size, as JSON
 * and as an event stream, it says the same tokens; and where it may be spoken between two events a
 * comment that is put there changes none of them, as a reader of event streams that knows nothing
 * of us sees them.
 */
#include "proto/ai_usage.h"

#include "base/check.h"
#include "proto/sse.h"

#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_in_steps(const uint8_t *data, size_t size, bool is_stream)
{
    struct ai_usage whole, parts;
    struct ai_usage_said one = {{0}}, other = {{0}};
    ai_usage_begin(&whole, is_stream);
    ai_usage_feed(&whole, data, size);
    bool has_said = ai_usage_get(&whole, &one);
    for (size_t step = 1; step <= 9; step += 2) {
        ai_usage_begin(&parts, is_stream);
        for (size_t at = 0; at < size; at += step) {
            ai_usage_feed(&parts, data + at, size - at < step ? size - at : step);
        }
        check(ai_usage_get(&parts, &other) == has_said);
        check(memcmp(&one, &other, sizeof one) == 0);
        check(whole.state == parts.state && whole.line == parts.line && whole.depth == parts.depth);
    }
    check(whole.depth <= AI_USAGE_LEVELS && whole.key_len <= AI_USAGE_KEY_MAX);
}

/* A plain reader: a hash over the lines that are no comments, with an event's end wherever an empty
 * line follows at least one of those. */
struct reader {
    uint64_t hash;
    bool is_open, was_cr;
    uint8_t line[512];
    size_t len;
};

static void reader_line(struct reader *reader)
{
    if (reader->len == 0) {
        reader->hash = reader->is_open ? XXH3_64bits_withSeed("end", 3, reader->hash)
                                       : reader->hash;
        reader->is_open = false;
    } else if (reader->line[0] != ':') {
        reader->hash = XXH3_64bits_withSeed(reader->line, reader->len, reader->hash);
        reader->is_open = true;
    }
    reader->len = 0;
}

static void reader_feed(struct reader *reader, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool is_rest = reader->was_cr && data[i] == '\n';
        reader->was_cr = data[i] == '\r';
        if (data[i] == '\r' || (data[i] == '\n' && !is_rest)) {
            reader_line(reader);
        } else if (!is_rest && reader->len < sizeof reader->line) {
            reader->line[reader->len++] = data[i];
        }
    }
}

static void speak_between(const uint8_t *data, size_t size)
{
    struct reader plain = {.hash = 1}, spoken = {.hash = 1};
    struct sse sse;
    sse_begin(&sse);
    reader_feed(&plain, data, size);
    for (size_t i = 0; i < size; i++) {
        if (sse_is_between(&sse)) {
            static const uint8_t lf[] = ": ping\n\n", crlf[] = ": ping\r\n\r\n";
            bool is_crlf = sse_is_crlf(&sse);
            reader_feed(&spoken, is_crlf ? crlf : lf, is_crlf ? sizeof crlf - 1 : sizeof lf - 1);
        }
        reader_feed(&spoken, data + i, 1);
        sse_feed(&sse, data + i, 1);
    }
    check(plain.hash == spoken.hash);
    struct sse whole;
    sse_begin(&whole);
    sse_feed(&whole, data, size);
    check(memcmp(&whole, &sse, sizeof sse) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_in_steps(data, size, false);
    read_in_steps(data, size, true);
    speak_between(data, size);
    return 0;
}
