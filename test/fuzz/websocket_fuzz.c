/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames: the verdict and the payloads do not depend on the cuts, what one who stands
 * between passes on is byte for byte what he read, and what he finds right at a glance is right.
 */
#include "proto/websocket.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SAID_MAX (1U << 16)

/* Everything that a reader said, without how it was cut. */
struct said {
    char *at;
    size_t len;
    enum ws_error error;
    uint32_t messages; /* opened, */
    uint32_t others;   /* control frames and fragments, */
    bool is_between;   /* and none is under way at the end */
};

static void say(struct said *said, const void *at, size_t len)
{
    check(len <= SAID_MAX - said->len);
    if (len > 0) {
        memcpy(said->at + said->len, at, len);
    }
    said->len += len;
}

/* A control frame as it was on the wire. */
static void say_control(struct said *said, const struct ws_piece *piece, bool is_masked)
{
    char payload[WS_CONTROL_MAX];
    say(said, piece->head.at, piece->head.len);
    memcpy(payload, piece->data.at, piece->data.len);
    if (is_masked) {
        uint8_t mask[4];
        memcpy(mask, piece->head.at + piece->head.len - sizeof mask, sizeof mask);
        ws_mask(payload, piece->data.len, mask, 0);
    }
    say(said, payload, piece->data.len);
}

static bool read_piece(struct ws_reader *reader, char *at, size_t *used, size_t len,
                       struct said *said)
{
    struct ws_piece piece;
    *used += ws_read(reader, at + *used, len - *used, &piece);
    check(*used <= len);
    switch (piece.kind) {
    case WS_HEAD:
        check(piece.opcode == WS_TEXT || piece.opcode == WS_BINARY);
        say(said, piece.head.at, piece.head.len);
        said->messages += piece.opens_message;
        said->others += !piece.opens_message || !piece.ends_message;
        return true;
    case WS_DATA: say(said, piece.data.at, piece.data.len); return true;
    case WS_CONTROL:
        check(piece.data.len <= WS_CONTROL_MAX);
        say_control(said, &piece, reader->rules.is_masked);
        said->others++;
        return true;
    case WS_BAD: said->error = piece.error; return false;
    case WS_NOTHING: break;
    }
    check(*used == len);
    return false;
}

static struct said read_in_steps(const struct ws_rules *rules, const uint8_t *data, size_t size,
                                 size_t step)
{
    struct said said = {.at = malloc(SAID_MAX)};
    check(said.at != NULL);
    struct ws_reader reader;
    ws_reader_init(&reader, rules);
    for (size_t at = 0; at < size && said.error == WS_FINE; at += step) {
        size_t len = size - at < step ? size - at : step;
        char *copy = malloc(len);
        check(copy != NULL);
        memcpy(copy, data + at, len);
        size_t used = 0;
        while (read_piece(&reader, copy, &used, len, &said)) {
        }
        free(copy);
    }
    said.is_between = ws_is_between(&reader);
    return said;
}

static void check_glance(const struct ws_rules *rules, const uint8_t *data, size_t size,
                         const struct said *said)
{
    uint32_t count = ws_count_whole(rules, (const char *)data, size);
    if (count > 0) {
        check(said->error == WS_FINE || said->error == WS_BAD_TEXT);
        check(said->error != WS_FINE || (said->messages == count && said->others == 0));
        check(said->error != WS_FINE || said->is_between);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > SAID_MAX / 2) {
        return 0;
    }
    struct ws_rules rules = {.message_bytes_max = 4096,
                             .fragments_max = 8,
                             .is_masked = (data[0] & 1) != 0,
                             .deflate = (data[0] & 2) != 0,
                             .transparent = (data[0] & 4) != 0};
    size_t step = 1 + data[1];
    data += 2;
    size -= 2;
    struct said whole = read_in_steps(&rules, data, size, size + 1);
    struct said cut = read_in_steps(&rules, data, size, step);
    check(whole.error == cut.error);
    /* A text may be found wrong some good bytes earlier in smaller pieces. */
    size_t common = whole.len < cut.len ? whole.len : cut.len;
    check(whole.error == WS_BAD_TEXT || whole.len == cut.len);
    check(memcmp(whole.at, cut.at, common) == 0);
    check(!rules.transparent || memcmp(whole.at, data, whole.len) == 0);
    check_glance(&rules, data, size, &whole);
    free(whole.at);
    free(cut.at);
    return 0;
}
