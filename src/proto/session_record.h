/* SPDX-License-Identifier: Apache-2.0
 *
 * session_record.h - a session as it is kept on a disk or sent to another process: bytes and back.
 *
 * A record is absolute: it says how the session is, not what changed, so that reading it twice does
 * no harm and the last one counts.
 *
 *   frame  =  crc32c u32 | length u32 | serial u64 | kind u8 | body       all little endian
 *
 * The checksum is over everything behind it, and begins from the file's own salt: the frame of
 * another file, or of an older life of this one, is no frame. Serials grow by one.
 *
 * What is always true: reading stays within the bytes it was given, takes a frame whole or not at
 * all, and a frame that is taken keeps all limits of this header.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_NAME_MAX  255U
#define SESSION_ATTRS_MAX 4096U
#define SESSION_STATUSES  8U /* numbers of a status are below */

enum session_name { SESSION_USER, SESSION_ACCOUNT, SESSION_KEY, SESSION_PLACE, SESSION_NAMES };

#define SESSION_TEXT_MAX (SESSION_NAMES * SESSION_NAME_MAX + SESSION_ATTRS_MAX)

struct session_id {
    uint64_t high, low; /* both zero: no id */
};

static inline bool session_id_same(struct session_id a, struct session_id b)
{
    return a.high == b.high && a.low == b.low;
}

static inline bool session_id_is_none(struct session_id id)
{
    return id.high == 0 && id.low == 0;
}

enum session_kind {
    SESSION_WHOLE, /* everything but the attributes */
    SESSION_TOUCH, /* id, expires, active, requests, errors */
    SESSION_ATTRS, /* id, attributes */
    SESSION_OVER,  /* id, expires (of the tombstone), forward */
    SESSION_CLOCK, /* what the times of the frames behind it are counted from */
    SESSION_KINDS
};

/* Fields that its kind does not have are zero. Times are monotonic. */
struct session_record {
    enum session_kind kind;
    struct session_id id;
    uint64_t created_ms, active_ms, expires_ms, bound_until_ms;
    uint32_t ttl_ms, epoch, requests, errors;
    uint8_t status;
    struct slice names[SESSION_NAMES];
    struct slice attrs;
    struct session_id forward;
    /* SESSION_CLOCK */
    uint64_t mono_ms, wall_ms;
    struct session_id boot; /* of the system: monotonic times compare within one */
};

#define SESSION_FRAME_HEAD 17U
#define SESSION_FRAME_MAX  (SESSION_FRAME_HEAD + 96U + SESSION_TEXT_MAX)

/* Writes the frame; its length. size ≥ SESSION_FRAME_MAX. The record keeps the limits above. */
size_t session_record_write(const struct session_record *record, uint32_t salt, uint64_t serial,
                            char *ret_bytes);

/* Reads the frame at the start of the bytes; its length, or 0: there is none. Texts of the record
 * lie in the bytes. */
size_t session_record_read(const char *bytes, size_t len, uint32_t salt, uint64_t serial,
                           struct session_record *ret_record);
