/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.c - the reader: a head is gathered byte by byte and judged as soon as a byte shows what
 * is wrong; then its payload, of which only a control frame's is gathered.
 */
#include "proto/websocket.h"

#include "base/check.h"

#include <string.h>

#define FIRST_RSV        0x70U
#define FIRST_OPCODE     0x0fU
#define SECOND_MASK      0x80U
#define SECOND_LENGTH    0x7fU
#define LENGTH_IN_TWO    126U
#define LENGTH_IN_EIGHT  127U
#define LENGTH_MAX       (UINT64_MAX >> 1) /* RFC 6455 §5.2: the highest bit must be 0 */
#define MASK_LEN         4U
#define CONTROL_BIT      0x08U
#define CLOSE_CODE_BYTES 2U

static enum ws_error judge_first(const struct ws_reader *reader, uint8_t first);
static enum ws_error judge_second(const struct ws_reader *reader, uint8_t first, uint8_t second);
static enum ws_error judge_head(struct ws_reader *reader);
static enum ws_error open_frame(struct ws_reader *reader);
static size_t head_size(const struct ws_reader *reader);
static void say_head(struct ws_reader *reader, struct ws_piece *ret);
static size_t read_data(struct ws_reader *reader, char *at, size_t len, struct ws_piece *ret);
static size_t read_control(struct ws_reader *reader, const char *at, size_t len,
                           struct ws_piece *ret);

uint16_t ws_error_code(enum ws_error error)
{
    static const uint16_t codes[] = {WS_CODE_NORMAL,
#define WS_ROW(name, code, word) (code),
                                     WS_ERRORS(WS_ROW)
#undef WS_ROW
    };
    check((unsigned)error < WS_ERROR_COUNT);
    return codes[error];
}

const char *ws_error_word(enum ws_error error)
{
    static const char *const words[] = {"fine",
#define WS_ROW(name, code, word) (word),
                                        WS_ERRORS(WS_ROW)
#undef WS_ROW
    };
    check((unsigned)error < WS_ERROR_COUNT);
    return words[error];
}

void ws_reader_init(struct ws_reader *reader, const struct ws_rules *rules)
{
    *reader = (struct ws_reader){.rules = *rules};
}

/* --- at a glance -------------------------------------------------------------------------------
 */

/* Bytes of the frame that begins here; 0: it is not whole, not a message, or not plainly right. */
static size_t whole_message(const struct ws_rules *rules, const uint8_t *at, size_t len)
{
    size_t head = 2 + (rules->is_masked ? MASK_LEN : 0);
    if (len < head) {
        return 0;
    }
    uint8_t first = at[0] & (uint8_t) ~(rules->deflate ? WS_RSV1 : 0);
    if ((first != (WS_FIN | WS_TEXT) && first != (WS_FIN | WS_BINARY))
        || ((at[1] & SECOND_MASK) != 0) != rules->is_masked) {
        return 0;
    }
    size_t payload = at[1] & SECOND_LENGTH;
    if (payload == LENGTH_IN_TWO && len >= head + 2) {
        head += 2;
        payload = (size_t)at[2] << 8 | at[3];
        if (payload < LENGTH_IN_TWO) {
            return 0;
        }
    } else if (payload >= LENGTH_IN_TWO) {
        return 0;
    }
    return payload <= rules->message_bytes_max && payload <= len - head ? head + payload : 0;
}

uint32_t ws_count_whole(const struct ws_rules *rules, const char *at, size_t len)
{
    uint32_t count = 0;
    for (size_t used = 0; used < len; count++) {
        size_t size = whole_message(rules, (const uint8_t *)at + used, len - used);
        if (size == 0) {
            return 0;
        }
        used += size;
    }
    return count;
}

/* --- piece by piece ----------------------------------------------------------------------------
 */

static void refuse(struct ws_reader *reader, enum ws_error error, struct ws_piece *ret)
{
    reader->error = error;
    *ret = (struct ws_piece){.kind = WS_BAD, .error = error};
}

/* Gathers what the head still needs. Returns the bytes used; the head is whole when `head_have` is
 * its size. */
static size_t gather_head(struct ws_reader *reader, const char *at, size_t len,
                          enum ws_error *ret_error)
{
    size_t used = 0;
    *ret_error = WS_FINE;
    while (used < len && reader->head_have < 2 && *ret_error == WS_FINE) {
        reader->head[reader->head_have++] = (uint8_t)at[used++];
        *ret_error = reader->head_have == 1
                         ? judge_first(reader, reader->head[0])
                         : judge_second(reader, reader->head[0], reader->head[1]);
    }
    if (*ret_error == WS_FINE && reader->head_have >= 2) {
        size_t missing = head_size(reader) - reader->head_have;
        size_t take = len - used < missing ? len - used : missing;
        memcpy(reader->head + reader->head_have, at + used, take);
        reader->head_have += (uint8_t)take;
        used += take;
    }
    return used;
}

size_t ws_read(struct ws_reader *reader, char *at, size_t len, struct ws_piece *ret)
{
    check(len <= UINT32_MAX);
    *ret = (struct ws_piece){.kind = WS_NOTHING};
    if (reader->error != WS_FINE) {
        refuse(reader, reader->error, ret);
        return 0;
    }
    size_t used = 0;
    if (!reader->in_payload) {
        enum ws_error error;
        used = gather_head(reader, at, len, &error);
        bool is_whole = reader->head_have >= 2 && reader->head_have == head_size(reader);
        if (error == WS_FINE && is_whole) {
            error = judge_head(reader);
        }
        if (error != WS_FINE) {
            refuse(reader, error, ret);
            return used;
        }
        if (!is_whole) {
            return used;
        }
        if ((reader->opcode & CONTROL_BIT) == 0) {
            say_head(reader, ret);
            return used;
        }
    }
    return used
           + ((reader->opcode & CONTROL_BIT) != 0 ? read_control(reader, at + used, len - used, ret)
                                                  : read_data(reader, at + used, len - used, ret));
}

/* --- heads ----------------------------------------------------------------------------------- */

static enum ws_error judge_first(const struct ws_reader *reader, uint8_t first)
{
    uint8_t opcode = first & FIRST_OPCODE;
    uint8_t reserved = first & FIRST_RSV;
    bool is_control = (opcode & CONTROL_BIT) != 0;
    if (reader->is_closed) {
        return WS_BAD_AFTER_CLOSE;
    }
    if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE)) {
        return WS_BAD_OPCODE;
    }
    bool may_deflate = reader->rules.deflate && !is_control && opcode != WS_CONTINUATION;
    if ((reserved & ~(may_deflate ? WS_RSV1 : 0U)) != 0) {
        return WS_BAD_RESERVED;
    }
    if (is_control) {
        return (first & WS_FIN) != 0 ? WS_FINE : WS_BAD_CONTROL_FRAGMENT;
    }
    bool continues = opcode == WS_CONTINUATION;
    return continues == (reader->message != 0) ? WS_FINE : WS_BAD_CONTINUATION;
}

static enum ws_error judge_second(const struct ws_reader *reader, uint8_t first, uint8_t second)
{
    if (((second & SECOND_MASK) != 0) != reader->rules.is_masked) {
        return WS_BAD_MASK;
    }
    bool is_control = (first & CONTROL_BIT) != 0;
    return is_control && (second & SECOND_LENGTH) > WS_CONTROL_MAX ? WS_BAD_CONTROL_LENGTH
                                                                   : WS_FINE;
}

static size_t length_size(const struct ws_reader *reader)
{
    uint8_t length = reader->head[1] & SECOND_LENGTH;
    return length == LENGTH_IN_TWO ? 2 : length == LENGTH_IN_EIGHT ? 8 : 0;
}

static size_t head_size(const struct ws_reader *reader)
{
    return 2 + length_size(reader) + ((reader->head[1] & SECOND_MASK) != 0 ? MASK_LEN : 0);
}

static uint64_t payload_length(const struct ws_reader *reader)
{
    size_t size = length_size(reader);
    uint64_t length = size == 0 ? reader->head[1] & SECOND_LENGTH : 0;
    for (size_t i = 0; i < size; i++) {
        length = length << 8 | reader->head[2 + i];
    }
    return length;
}

static enum ws_error judge_head(struct ws_reader *reader)
{
    static const uint64_t shortest[] = {[0] = 0, [2] = LENGTH_IN_TWO, [8] = UINT64_C(1) << 16};
    reader->left = payload_length(reader);
    if (reader->left > LENGTH_MAX || reader->left < shortest[length_size(reader)]) {
        return WS_BAD_LENGTH;
    }
    return open_frame(reader);
}

static enum ws_error open_message(struct ws_reader *reader)
{
    if (reader->opcode != WS_CONTINUATION) {
        reader->message = reader->opcode;
        reader->message_deflated = (reader->head[0] & WS_RSV1) != 0;
        reader->message_bytes = 0;
        reader->fragments = 0;
        reader->utf8 = (struct utf8){0};
    }
    if (reader->left > reader->rules.message_bytes_max - reader->message_bytes) {
        return WS_BAD_MESSAGE_SIZE;
    }
    reader->message_bytes += reader->left;
    return ++reader->fragments > reader->rules.fragments_max ? WS_BAD_FRAGMENTS : WS_FINE;
}

static enum ws_error open_frame(struct ws_reader *reader)
{
    reader->opcode = reader->head[0] & FIRST_OPCODE;
    reader->head_len = reader->head_have;
    reader->head_have = 0;
    reader->in_payload = true;
    reader->control_len = 0;
    memset(reader->mask, 0, sizeof reader->mask);
    if (reader->rules.is_masked) {
        memcpy(reader->mask, reader->head + reader->head_len - MASK_LEN, MASK_LEN);
    }
    return (reader->opcode & CONTROL_BIT) != 0 ? WS_FINE : open_message(reader);
}

static struct slice head_of(const struct ws_reader *reader)
{
    return (struct slice){(const char *)reader->head, reader->head_len};
}

static void say_head(struct ws_reader *reader, struct ws_piece *ret)
{
    *ret = (struct ws_piece){.kind = WS_HEAD,
                             .opcode = reader->message,
                             .opens_message = reader->opcode != WS_CONTINUATION,
                             .ends_message = (reader->head[0] & WS_FIN) != 0,
                             .is_deflated = reader->message_deflated,
                             .frame_len = reader->left,
                             .head = head_of(reader)};
}

/* --- payloads -------------------------------------------------------------------------------- */

static void rotate_mask(struct ws_reader *reader, size_t by)
{
    uint8_t turned[MASK_LEN];
    for (size_t i = 0; i < MASK_LEN; i++) {
        turned[i] = reader->mask[(i + by) % MASK_LEN];
    }
    memcpy(reader->mask, turned, sizeof turned);
}

/* A deflated text is judged by who inflates it, a passing one by its receiver. */
static bool is_text_to_judge(const struct ws_reader *reader)
{
    return reader->message == WS_TEXT && !reader->message_deflated && !reader->rules.transparent;
}

static size_t read_data(struct ws_reader *reader, char *at, size_t len, struct ws_piece *ret)
{
    if (len == 0 && reader->left > 0) {
        return 0;
    }
    size_t used = len < reader->left ? len : (size_t)reader->left;
    if (reader->rules.is_masked && !reader->rules.transparent) {
        ws_mask(at, used, reader->mask, 0);
        rotate_mask(reader, used);
    }
    reader->left -= used;
    bool ends_frame = reader->left == 0;
    bool ends_message = ends_frame && (reader->head[0] & WS_FIN) != 0;
    if (is_text_to_judge(reader)
        && (!utf8_feed(&reader->utf8, at, used)
            || (ends_message && !utf8_is_whole(&reader->utf8)))) {
        refuse(reader, WS_BAD_TEXT, ret);
        return used;
    }
    *ret = (struct ws_piece){.kind = WS_DATA,
                             .opcode = reader->message,
                             .ends_frame = ends_frame,
                             .ends_message = ends_message,
                             .is_deflated = reader->message_deflated,
                             .data = {at, (uint32_t)used}};
    reader->in_payload = !ends_frame;
    reader->message = ends_message ? 0 : reader->message;
    return used;
}

static uint16_t close_code(const struct ws_reader *reader)
{
    const uint8_t *at = (const uint8_t *)reader->control;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static enum ws_error judge_close(struct ws_reader *reader, uint16_t *ret_code)
{
    reader->is_closed = true;
    *ret_code = WS_CODE_NONE;
    if (reader->control_len == 0) {
        return WS_FINE;
    }
    if (reader->control_len < CLOSE_CODE_BYTES) {
        return WS_BAD_CLOSE_LENGTH;
    }
    *ret_code = close_code(reader);
    if (!ws_code_is_sendable(*ret_code)) {
        return WS_BAD_CLOSE_CODE;
    }
    struct utf8 utf8 = {0};
    bool is_text = utf8_feed(&utf8, reader->control + CLOSE_CODE_BYTES,
                             reader->control_len - CLOSE_CODE_BYTES);
    return is_text && utf8_is_whole(&utf8) ? WS_FINE : WS_BAD_TEXT;
}

static size_t read_control(struct ws_reader *reader, const char *at, size_t len,
                           struct ws_piece *ret)
{
    size_t used = len < reader->left ? len : (size_t)reader->left;
    if (used > 0) {
        memcpy(reader->control + reader->control_len, at, used);
        reader->control_len += (uint8_t)used;
        reader->left -= used;
    }
    if (reader->left > 0) {
        return used;
    }
    reader->in_payload = false;
    ws_mask(reader->control, reader->control_len, reader->mask, 0);
    uint16_t code = 0;
    enum ws_error error = reader->opcode == WS_CLOSE ? judge_close(reader, &code) : WS_FINE;
    if (error != WS_FINE) {
        refuse(reader, error, ret);
        return used;
    }
    *ret = (struct ws_piece){.kind = WS_CONTROL,
                             .opcode = reader->opcode,
                             .code = code,
                             .head = head_of(reader),
                             .data = {reader->control, reader->control_len}};
    return used;
}

/* --- writing --------------------------------------------------------------------------------- */

size_t ws_write_head(char *ret, uint8_t first, uint64_t payload_len, const uint8_t *mask)
{
    check(payload_len <= LENGTH_MAX);
    size_t size = payload_len < LENGTH_IN_TWO ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    uint8_t word = size == 0   ? (uint8_t)payload_len
                   : size == 2 ? (uint8_t)LENGTH_IN_TWO
                               : (uint8_t)LENGTH_IN_EIGHT;
    ret[0] = (char)first;
    ret[1] = (char)(word | (mask != NULL ? SECOND_MASK : 0));
    for (size_t i = 0; i < size; i++) {
        ret[2 + i] = (char)(payload_len >> (8 * (size - 1 - i)));
    }
    if (mask != NULL) {
        memcpy(ret + 2 + size, mask, MASK_LEN);
    }
    return 2 + size + (mask != NULL ? MASK_LEN : 0);
}

/* Sixteen bytes at a time, wherever they lie. */
typedef uint8_t vector __attribute__((vector_size(16)));

void ws_mask(char *at, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t pattern[sizeof(vector)];
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = mask[(offset + i) % MASK_LEN];
    }
    vector wide;
    memcpy(&wide, pattern, sizeof wide);
    size_t done = 0;
    for (; done + sizeof wide <= len; done += sizeof wide) {
        vector block;
        memcpy(&block, at + done, sizeof block);
        block ^= wide;
        memcpy(at + done, &block, sizeof block);
    }
    for (; done < len; done++) {
        at[done] = (char)((uint8_t)at[done] ^ pattern[done % MASK_LEN]);
    }
}

/* The longest part of `text` that fits and ends with a whole character. */
static uint32_t whole_prefix(struct slice text, uint32_t room)
{
    uint32_t len = text.len < room ? text.len : room;
    while (len > 0 && len < text.len && ((uint8_t)text.at[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

size_t ws_write_close(char ret[WS_CONTROL_MAX], uint16_t code, struct slice reason)
{
    if (code == WS_CODE_NONE) {
        return 0;
    }
    check(ws_code_is_sendable(code));
    ret[0] = (char)(code >> 8);
    ret[1] = (char)code;
    uint32_t len = whole_prefix(reason, WS_CONTROL_MAX - CLOSE_CODE_BYTES);
    if (len > 0) {
        memcpy(ret + CLOSE_CODE_BYTES, reason.at, len);
    }
    return CLOSE_CODE_BYTES + len;
}

bool ws_code_is_sendable(uint16_t code)
{
    bool is_registered = code >= WS_CODE_NORMAL && code <= 1014 && code != 1004
                         && code != WS_CODE_NONE && code != WS_CODE_ABNORMAL;
    return is_registered || (code >= 3000 && code <= 4999);
}
