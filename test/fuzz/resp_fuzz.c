/* SPDX-License-Identifier: Apache-2.0
 *
 * resp_fuzz.c - any bytes as what a Redis says: where they are cut makes no difference to what is
 * read, a reply's values end where the reply ends, and a reply that was read as a command is the
 * one that was written.
 */
#include "proto/resp.h"

#include "base/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct said {
    enum resp_error error;
    uint32_t replies, values, texts;
    uint64_t sum; /* of lengths and numbers, in their order */
};

static void say(struct said *said, const char *reply, size_t len)
{
    struct resp_walk walk = resp_walk_of(reply, len);
    struct resp_value value;
    said->replies++;
    uint64_t owed = 1;
    while (owed > 0) {
        check(resp_next(&walk, &value));
        owed += value.count;
        owed--;
        said->values++;
        said->texts += value.text.len > 0;
        said->sum = said->sum * 31 + value.type + value.text.len + (uint64_t)value.number;
        for (uint32_t i = 0; i < value.text.len; i++) {
            said->sum = said->sum * 31 + (unsigned char)value.text.at[i];
        }
    }
    check(walk.at == reply + len);
    walk = resp_walk_of(reply, len);
    check(resp_next(&walk, &value));
    resp_pass(&walk, &value);
    check(walk.at == reply + len);
}

static struct said read_in_steps(const uint8_t *data, size_t size, size_t step)
{
    static const struct resp_limits limits = {
        .bulk_max = 4096, .line_max = 300, .count_max = 500, .reply_max = 8192};
    struct said said = {0};
    struct resp_reader reader;
    size_t from = 0, have = 0;
    resp_reader_init(&reader, &limits);
    while (have < size && reader.error == RESP_FINE) {
        have = have + step < size ? have + step : size;
        char *copy = malloc(have - from);
        check(copy != NULL);
        memcpy(copy, data + from, have - from);
        size_t whole, used = 0, len = have - from;
        while ((whole = resp_read(&reader, copy + used, len - used)) > 0) {
            check(whole <= len - used);
            say(&said, copy + used, whole);
            used += whole;
        }
        check(len - used <= limits.reply_max + limits.line_max || reader.error != RESP_FINE);
        free(copy);
        from += used;
    }
    said.error = reader.error;
    return said;
}

static void check_command(const uint8_t *data, size_t size)
{
    struct bytes out;
    struct resp_value value;
    struct resp_reader reader;
    const struct slice words[] = {{(const char *)data, (uint32_t)(size / 2)},
                                  {(const char *)data + size / 2, (uint32_t)(size - size / 2)}};
    bytes_init(&out, &alloc_libc, 1U << 20);
    resp_reader_init(&reader, NULL);
    check(resp_command(&out, words, 2));
    check(resp_read(&reader, bytes_at(&out), bytes_len(&out)) == bytes_len(&out));
    struct resp_walk walk = resp_walk_of(bytes_at(&out), bytes_len(&out));
    check(resp_next(&walk, &value) && value.type == RESP_ARRAY && value.count == 2);
    check(resp_next(&walk, &value) && slice_same(value.text, words[0]));
    check(resp_next(&walk, &value) && slice_same(value.text, words[1]));
    bytes_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1U << 16) {
        return 0;
    }
    size_t step = 1 + data[0];
    data++;
    size--;
    struct said whole = read_in_steps(data, size, size);
    struct said cut = read_in_steps(data, size, step);
    check(whole.error == cut.error && whole.replies == cut.replies && whole.values == cut.values);
    check(whole.texts == cut.texts && whole.sum == cut.sum);
    check_command(data, size);
    return 0;
}
