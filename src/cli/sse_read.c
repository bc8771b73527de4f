/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sse_read.h"

void sse_reader_init(struct sse_reader *reader,
                     void (*on_message)(void *arg, const struct sse_message *message), void *arg)
{
    *reader = (struct sse_reader){.on_message = on_message, .arg = arg};
    bytes_init(&reader->line, &alloc_libc, SSE_DATA_MAX);
    bytes_init(&reader->data, &alloc_libc, SSE_DATA_MAX);
}

void sse_reader_fini(struct sse_reader *reader)
{
    bytes_fini(&reader->line);
    bytes_fini(&reader->data);
}

void sse_reader_again(struct sse_reader *reader)
{
    bytes_clear(&reader->line);
    bytes_clear(&reader->data);
    reader->name[0] = '\0';
    reader->was_cr = reader->is_too_long = false;
}

static void dispatch(struct sse_reader *reader)
{
    struct slice data = bytes_slice(&reader->data);
    if (reader->is_too_long) {
        reader->skipped++;
    } else if (data.len > 0) {
        data.len--; /* the line end behind the last line */
        const struct sse_message message = {.name = reader->name, .id = reader->id, .data = data};
        reader->on_message(reader->arg, &message);
    }
    bytes_clear(&reader->data);
    reader->name[0] = '\0';
    reader->is_too_long = false;
}

static void take_line(struct sse_reader *reader)
{
    struct slice line = bytes_slice(&reader->line);
    if (line.len == 0) {
        dispatch(reader);
        return;
    }
    uint32_t colon = slice_find(line, ':');
    struct slice name = slice_sub(line, 0, colon);
    struct slice value = slice_sub(line, colon + 1, line.len);
    if (value.len > 0 && value.at[0] == ' ')
        value = slice_sub(value, 1, value.len);
    if (slice_is(name, "data")) {
        reader->is_too_long |= !bytes_append_slice(&reader->data, value)
                               || !bytes_append_text(&reader->data, "\n");
    } else if (slice_is(name, "event")) {
        slice_copy(reader->name, sizeof(reader->name), value);
    } else if (slice_is(name, "id") && value.len < SSE_WORD_MAX
               && memchr(value.at, '\0', value.len) == NULL) {
        slice_copy(reader->id, sizeof(reader->id), value);
    } else if (slice_is(name, "retry")) {
        text_parse_u64(value, &reader->retry_ms);
    }
}

void sse_reader_feed(struct sse_reader *reader, struct slice data)
{
    while (data.len > 0) {
        uint32_t end = 0;
        while (end < data.len && data.at[end] != '\n' && data.at[end] != '\r')
            end++;
        if (!bytes_append(&reader->line, data.at, end))
            reader->is_too_long = true;
        if (end == data.len)
            return;
        bool is_second_half = data.at[end] == '\n' && reader->was_cr && end == 0
                              && bytes_len(&reader->line) == 0;
        reader->was_cr = data.at[end] == '\r';
        if (!is_second_half) {
            take_line(reader);
            bytes_clear(&reader->line);
        }
        data = slice_sub(data, end + 1, data.len);
    }
}
