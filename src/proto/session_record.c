/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/session_record.h"

#include "base/check.h"
#include "base/crc32c.h"

#define LENGTH_AT 4U /* behind the checksum */
#define SERIAL_AT 8U
#define KIND_AT   16U

/* --- numbers ------------------------------------------------------------------------------------
 */

static char *put(char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        *at++ = (char)(value >> (8 * i));
    }
    return at;
}

static char *put_id(char *at, struct session_id id)
{
    return put(put(at, id.high, 8), id.low, 8);
}

static char *put_text(char *at, struct slice text, unsigned bytes)
{
    at = put(at, text.len, bytes);
    if (text.len > 0) {
        memcpy(at, text.at, text.len);
    }
    return at + text.len;
}

/* What is left of a frame; `at` is NULL once something was missing. */
struct rest {
    const char *at, *end;
};

static uint64_t get(struct rest *rest, unsigned bytes)
{
    uint64_t value = 0;
    if (rest->at == NULL || (size_t)(rest->end - rest->at) < bytes) {
        rest->at = NULL;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)(unsigned char)*rest->at++ << (8 * i);
    }
    return value;
}

static struct session_id get_id(struct rest *rest)
{
    uint64_t high = get(rest, 8);
    return (struct session_id){high, get(rest, 8)};
}

static struct slice get_text(struct rest *rest, unsigned bytes, uint32_t max)
{
    uint32_t len = (uint32_t)get(rest, bytes);
    if (rest->at == NULL || len > max || (size_t)(rest->end - rest->at) < len) {
        rest->at = NULL;
        return (struct slice){NULL, 0};
    }
    struct slice text = {rest->at, len};
    rest->at += len;
    return text;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static char *write_counters(char *at, const struct session_record *record)
{
    at = put(at, record->active_ms, 8);
    at = put(at, record->requests, 4);
    return put(at, record->errors, 4);
}

static char *write_whole(char *at, const struct session_record *record)
{
    at = put(at, record->expires_ms, 8);
    at = write_counters(at, record);
    at = put(at, record->created_ms, 8);
    at = put(at, record->bound_until_ms, 8);
    at = put(at, record->ttl_ms, 4);
    at = put(at, record->epoch, 4);
    at = put(at, record->status, 1);
    for (unsigned i = 0; i < SESSION_NAMES; i++) {
        check(record->names[i].len <= SESSION_NAME_MAX);
        at = put_text(at, record->names[i], 1);
    }
    return at;
}

static char *write_body(char *at, const struct session_record *record)
{
    if (record->kind == SESSION_CLOCK) {
        at = put(at, record->mono_ms, 8);
        at = put(at, record->wall_ms, 8);
        return put_id(at, record->boot);
    }
    at = put_id(at, record->id);
    switch (record->kind) {
    case SESSION_WHOLE: return write_whole(at, record);
    case SESSION_TOUCH: return write_counters(put(at, record->expires_ms, 8), record);
    case SESSION_ATTRS:
        check(record->attrs.len <= SESSION_ATTRS_MAX);
        return put_text(at, record->attrs, 2);
    case SESSION_OVER: return put_id(put(at, record->expires_ms, 8), record->forward);
    case SESSION_CLOCK:
    case SESSION_KINDS: break;
    }
    unreachable();
    return at;
}

size_t session_record_write(const struct session_record *record, uint32_t salt, uint64_t serial,
                            char *ret_bytes)
{
    char *end = write_body(ret_bytes + SESSION_FRAME_HEAD, record);
    size_t len = (size_t)(end - ret_bytes);
    put(ret_bytes + LENGTH_AT, len, 4);
    put(ret_bytes + SERIAL_AT, serial, 8);
    put(ret_bytes + KIND_AT, record->kind, 1);
    put(ret_bytes, crc32c(salt, ret_bytes + LENGTH_AT, len - LENGTH_AT), 4);
    return len;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static void read_counters(struct rest *rest, struct session_record *record)
{
    record->active_ms = get(rest, 8);
    record->requests = (uint32_t)get(rest, 4);
    record->errors = (uint32_t)get(rest, 4);
}

static void read_whole(struct rest *rest, struct session_record *record)
{
    record->expires_ms = get(rest, 8);
    read_counters(rest, record);
    record->created_ms = get(rest, 8);
    record->bound_until_ms = get(rest, 8);
    record->ttl_ms = (uint32_t)get(rest, 4);
    record->epoch = (uint32_t)get(rest, 4);
    record->status = (uint8_t)get(rest, 1);
    for (unsigned i = 0; i < SESSION_NAMES; i++) {
        record->names[i] = get_text(rest, 1, SESSION_NAME_MAX);
    }
}

static void read_body(struct rest *rest, struct session_record *record)
{
    if (record->kind == SESSION_CLOCK) {
        record->mono_ms = get(rest, 8);
        record->wall_ms = get(rest, 8);
        record->boot = get_id(rest);
        return;
    }
    record->id = get_id(rest);
    switch (record->kind) {
    case SESSION_WHOLE: read_whole(rest, record); break;
    case SESSION_TOUCH:
        record->expires_ms = get(rest, 8);
        read_counters(rest, record);
        break;
    case SESSION_ATTRS: record->attrs = get_text(rest, 2, SESSION_ATTRS_MAX); break;
    case SESSION_OVER:
        record->expires_ms = get(rest, 8);
        record->forward = get_id(rest);
        break;
    case SESSION_CLOCK:
    case SESSION_KINDS: break;
    }
}

static bool is_sound(const struct session_record *record)
{
    return record->kind == SESSION_CLOCK
           || (!session_id_is_none(record->id) && record->status < SESSION_STATUSES);
}

size_t session_record_read(const char *bytes, size_t len, uint32_t salt, uint64_t serial,
                           struct session_record *ret_record)
{
    struct rest head = {bytes, bytes + len};
    uint32_t sum = (uint32_t)get(&head, 4);
    size_t whole = get(&head, 4);
    uint64_t number = get(&head, 8);
    uint8_t kind = (uint8_t)get(&head, 1);
    if (head.at == NULL || whole < SESSION_FRAME_HEAD || whole > len || whole > SESSION_FRAME_MAX
        || number != serial || kind >= SESSION_KINDS
        || crc32c(salt, bytes + LENGTH_AT, whole - LENGTH_AT) != sum) {
        return 0;
    }
    struct session_record record = {.kind = kind};
    struct rest rest = {head.at, bytes + whole};
    read_body(&rest, &record);
    if (rest.at != rest.end || !is_sound(&record)) {
        return 0;
    }
    *ret_record = record;
    return whole;
}
