/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc.h"

#include <stdio.h>
#include <string.h>

enum grpc_code grpc_code_of_http(unsigned status)
{
    switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

enum grpc_code grpc_code_of(struct slice value)
{
    uint64_t number;
    bool is_one = value.len > 0 && value.len <= 2 && text_parse_u64(value, &number)
                  && number <= GRPC_UNAUTHENTICATED;
    return is_one ? (enum grpc_code)number : GRPC_UNKNOWN;
}

enum grpc_code grpc_code_of_refusal(unsigned status)
{
    switch (status) {
    case 405:
    case 501: return GRPC_UNIMPLEMENTED;
    case 408: return GRPC_DEADLINE_EXCEEDED;
    case 413:
    case 414:
    case 431: return GRPC_RESOURCE_EXHAUSTED;
    case 417: return GRPC_INTERNAL;
    default: return grpc_code_of_http(status);
    }
}

bool grpc_is(const struct http_head *head)
{
    const struct http_field *type = http_find(head, HTTP_CONTENT_TYPE);
    return type != NULL && grpc_is_type(type->value);
}

bool grpc_is_type(struct slice content_type)
{
    const struct slice name = SLICE("application/grpc");
    const struct slice start = slice_sub(content_type, 0, name.len);
    if (!slice_same(start, name) && !slice_same_nocase(start, name)) { /* as a rule, the first */
        return false;
    }
    char next = content_type.len > name.len ? content_type.at[name.len] : ';';
    return next == ';' || next == '+' || next == ' ';
}

/* --- time-outs ----------------------------------------------------------------------------------
 */

bool grpc_timeout_ms(struct slice value, uint64_t *ret_ms)
{
    uint64_t number;
    if (value.len < 2 || value.len > 9
        || !text_parse_u64(slice_sub(value, 0, value.len - 1), &number)) {
        return false;
    }
    switch (value.at[value.len - 1]) {
    case 'H': *ret_ms = number * 3600000; return true;
    case 'M': *ret_ms = number * 60000; return true;
    case 'S': *ret_ms = number * 1000; return true;
    case 'm': *ret_ms = number; return true;
    case 'u': *ret_ms = (number + 999) / 1000; return true;
    case 'n': *ret_ms = (number + 999999) / 1000000; return true;
    default: return false;
    }
}

/* At most eight digits. */
void grpc_timeout_write(uint64_t ms, char ret[GRPC_TIMEOUT_MAX])
{
    if (ms <= 99999999) {
        snprintf(ret, GRPC_TIMEOUT_MAX, "%um", (unsigned)ms);
    } else {
        uint64_t seconds = ms / 1000 < 99999999 ? ms / 1000 : 99999999;
        snprintf(ret, GRPC_TIMEOUT_MAX, "%uS", (unsigned)seconds);
    }
}

/* --- messages of errors -------------------------------------------------------------------------
 */

size_t grpc_message_write(const char *text, char *out, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool is_plain = *at >= ' ' && *at <= '~' && *at != '%';
        if (cap - len < (is_plain ? 1U : 3U)) {
            break;
        }
        if (is_plain) {
            out[len++] = (char)*at;
        } else {
            out[len++] = '%';
            out[len++] = digits[*at >> 4];
            out[len++] = digits[*at & 15];
        }
    }
    return len;
}

static int nibble_of(char c)
{
    if (text_is_digit(c)) {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t grpc_message_read(struct slice value, char *out, size_t cap)
{
    size_t len = 0;
    for (uint32_t i = 0; i < value.len && len < cap; i++) {
        char c = value.at[i];
        if (c == '%' && value.len - i > 2 && nibble_of(value.at[i + 1]) >= 0
            && nibble_of(value.at[i + 2]) >= 0) {
            c = (char)(nibble_of(value.at[i + 1]) * 16 + nibble_of(value.at[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    return len;
}

/* --- messages -----------------------------------------------------------------------------------
 */

void grpc_prefix_write(uint32_t len, uint8_t out[GRPC_PREFIX])
{
    const uint8_t prefix[GRPC_PREFIX] = {0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                         (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(out, prefix, GRPC_PREFIX);
}

bool grpc_put(struct bytes *out, const void *message, uint32_t len)
{
    char *room = bytes_room(out, (size_t)GRPC_PREFIX + len);
    if (room == NULL) {
        return false;
    }
    grpc_prefix_write(len, (uint8_t *)room);
    if (len > 0) {
        memcpy(room + GRPC_PREFIX, message, len);
    }
    bytes_filled(out, (size_t)GRPC_PREFIX + len);
    return true;
}

size_t grpc_scan_next(struct grpc_scan *scan, const void *at, size_t len, bool *ret_begun)
{
    size_t used = len < scan->left ? len : (size_t)scan->left;
    scan->left -= used;
    *ret_begun = false;
    if (used == len) {
        return used;
    }
    size_t missing = GRPC_PREFIX - scan->have;
    size_t take = len - used < missing ? len - used : missing;
    memcpy(scan->prefix + scan->have, (const char *)at + used, take);
    scan->have += (uint8_t)take;
    used += take;
    if (scan->have == GRPC_PREFIX) {
        const uint8_t *prefix = scan->prefix;
        scan->left = (uint64_t)prefix[1] << 24 | (uint64_t)prefix[2] << 16
                     | (uint64_t)prefix[3] << 8 | prefix[4];
        scan->have = 0;
        *ret_begun = true;
    }
    return used;
}
