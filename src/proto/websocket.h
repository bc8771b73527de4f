/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.h - WebSocket frames (RFC 6455 §5) between bytes and pieces, for both ends and for one
 * who only stands between.
 *
 *     bytes ──▶ ws_read ──▶ HEAD, DATA …, HEAD, DATA …, CONTROL ──▶ ws_write_head, ws_mask ──▶
 * bytes
 *
 * What is always true: nothing is allocated and no payload is copied (but a control frame's, of
 * 125 bytes at most); data is unmasked where it was read; how the bytes were cut into reads makes
 * no difference. What the standard forbids is refused at the first byte that shows it, with the
 * close code to answer.
 *
 * An end (a server or a client) gets its payloads unmasked and texts checked for UTF-8. One who
 * stands between (`transparent`) gets heads and payloads as they were on the wire, to be passed on
 * untouched; only control frames are read for him, so that he can swallow one or put one between.
 */
#pragma once
#include "base/text.h"
#include "proto/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

#define WS_FIN         0x80U
#define WS_RSV1        0x40U /* the message is deflated (RFC 7692 §6) */
#define WS_HEAD_MAX    14U   /* bytes of a frame's head */
#define WS_CONTROL_MAX 125U  /* bytes of a control frame's payload */

/* Close codes (RFC 6455 §7.4.1, and its registry) that weir itself sends or must know. */
#define WS_CODE_NORMAL    1000U
#define WS_CODE_AWAY      1001U
#define WS_CODE_PROTOCOL  1002U
#define WS_CODE_NONE      1005U /* never on the wire: the close frame was empty */
#define WS_CODE_ABNORMAL  1006U /* never on the wire: there was no close frame */
#define WS_CODE_TEXT      1007U
#define WS_CODE_POLICY    1008U
#define WS_CODE_TOO_BIG   1009U
#define WS_CODE_RESTART   1012U
#define WS_CODE_TRY_LATER 1013U

struct ws_rules {
    uint64_t message_bytes_max; /* payload bytes on the wire of one message [16 MiB] */
    uint32_t fragments_max;     /* frames of one message [1024] */
    bool is_masked;             /* every frame must be (a server reads), else none may (a client) */
    bool deflate;               /* permessage-deflate was agreed: RSV1 may open a message */
    bool transparent;
};
#define WS_MESSAGE_BYTES_MAX (UINT64_C(16) << 20)
#define WS_FRAGMENTS_MAX     1024U

/* Why bytes were refused: a row is the name, the close code to answer with, the log's word. */
#define WS_ERRORS(ROW)                                                                             \
    ROW(RESERVED, 1002, "reserved_bits")        /* RSV bits that nothing gives a meaning */        \
    ROW(OPCODE, 1002, "opcode")                 /* 3 to 7, 11 to 15 */                             \
    ROW(MASK, 1002, "mask")                     /* missing, or where none may be */                \
    ROW(LENGTH, 1002, "length")                 /* not in its shortest form, or over 2⁶³ - 1 */ \
    ROW(CONTROL_LENGTH, 1002, "control_length") /* over 125 bytes */                               \
    ROW(CONTROL_FRAGMENT, 1002, "control_fragment")                                                \
    ROW(CONTINUATION, 1002, "continuation") /* of nothing, or missing */                           \
    ROW(CLOSE_LENGTH, 1002, "close_length") /* one byte is no code */                              \
    ROW(CLOSE_CODE, 1002, "close_code")     /* one that nobody may send */                         \
    ROW(AFTER_CLOSE, 1002, "after_close")   /* a frame after the last one */                       \
    ROW(TEXT, 1007, "utf8")                 /* a text, or a close reason, that is not UTF-8 */     \
    ROW(DEFLATE, 1007, "deflate")           /* it does not inflate */                              \
    ROW(MESSAGE_SIZE, 1009, "message_size") /* over message_bytes_max */                           \
    ROW(FRAGMENTS, 1008, "fragments")       /* over fragments_max */                               \
    ROW(MEMORY, 1013, "memory")             /* ours: there is none to keep it in */

enum ws_error {
    WS_FINE = 0,
#define WS_ROW(name, code, word) WS_BAD_##name,
    WS_ERRORS(WS_ROW)
#undef WS_ROW
        WS_ERROR_COUNT
};

uint16_t ws_error_code(enum ws_error error);
const char *ws_error_word(enum ws_error error);

enum ws_kind {
    WS_NOTHING, /* all was used, more is needed */
    WS_HEAD,    /* a data frame begins */
    WS_DATA,    /* some of its payload, maybe none; `ends_frame` with the last one */
    WS_CONTROL, /* a whole control frame */
    WS_BAD,     /* what came is not WebSocket: `error`; nothing is read any more */
};

struct ws_piece {
    enum ws_kind kind;
    uint8_t opcode;      /* of the message in HEAD and DATA, never WS_CONTINUATION */
    bool opens_message;  /* HEAD: not a continuation */
    bool ends_message;   /* HEAD: the frame has FIN; DATA: these are the message's last bytes */
    bool ends_frame;     /* DATA */
    bool is_deflated;    /* HEAD and DATA: of the message */
    enum ws_error error; /* BAD */
    uint16_t code;       /* CONTROL, a close: its code, WS_CODE_NONE where it has none */
    uint64_t frame_len;  /* HEAD: bytes of payload to come */
    struct slice head;   /* HEAD and CONTROL: as on the wire; valid until the next call */
    struct slice data;   /* DATA: where it was read. CONTROL: the payload unmasked (a close's with
                            its code), valid until the next call */
};

struct ws_reader {
    struct ws_rules rules;
    uint64_t left;          /* of the frame's payload */
    uint64_t message_bytes; /* of all frames of the message up to here */
    uint32_t fragments;
    uint8_t message; /* opcode of the message under way, 0: none */
    bool message_deflated;
    bool in_payload;
    bool is_closed; /* a close frame was read */
    enum ws_error error;
    uint8_t opcode;    /* of the frame under way */
    uint8_t head_have; /* bytes of a head that is not whole */
    uint8_t head_len;  /* of the last whole one */
    uint8_t control_len;
    uint8_t mask[4]; /* zeroes without one */
    struct utf8 utf8;
    uint8_t head[WS_HEAD_MAX];
    char control[WS_CONTROL_MAX];
};

void ws_reader_init(struct ws_reader *reader, const struct ws_rules *rules);

/* How many messages these bytes are, where they are nothing but whole and unbroken ones that the
 * rules allow, each of one frame of up to 64 KiB. 0: ws_read() will say what they are. For one who
 * stands between and is between two messages: most that passes is of this kind. */
uint32_t ws_count_whole(const struct ws_rules *rules, const char *at, size_t len);

/* The next piece of `len` bytes; returns how many were used for it. Call again with what is left,
 * until it says NOTHING or BAD. `at` is written to: payloads are unmasked in place. */
size_t ws_read(struct ws_reader *reader, char *at, size_t len, struct ws_piece *ret);

/* Between two frames: where something may be put between. */
static inline bool ws_is_between(const struct ws_reader *reader)
{
    return reader->head_have == 0 && !reader->in_payload;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* A frame's head of at most WS_HEAD_MAX bytes; returns its length. `first`: an opcode with WS_FIN
 * and WS_RSV1 as they apply. `mask`: four bytes, or NULL from a server. */
size_t ws_write_head(char *ret, uint8_t first, uint64_t payload_len, const uint8_t *mask);

/* Masks or unmasks (RFC 6455 §5.3) the bytes of a payload that begin `offset` into it. */
void ws_mask(char *at, size_t len, const uint8_t mask[4], uint64_t offset);

/* A close frame's payload; of the reason what fits. WS_CODE_NONE: none. Returns its length. */
size_t ws_write_close(char ret[WS_CONTROL_MAX], uint16_t code, struct slice reason);

/* May be in a close frame (RFC 6455 §7.4). */
bool ws_code_is_sendable(uint16_t code);
