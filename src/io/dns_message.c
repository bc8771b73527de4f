/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dns_message.h"

#include "base/text.h"

#include <string.h>
#include <sys/socket.h>

#define HEADER_LEN 12U
#define LABEL_MAX  63U
#define JUMPS_MAX  32U /* of a compressed name */
#define TYPE_CNAME 5U
#define CLASS_IN   1U
#define FLAG_QR    0x8000U
#define TTL_MOST   0x7fffffffU /* RFC 2181 §8 */

struct cursor {
    const uint8_t *data;
    size_t len, at;
};

static bool take_u16(struct cursor *c, uint16_t *ret)
{
    if (c->len - c->at < 2) {
        return false;
    }
    *ret = (uint16_t)(c->data[c->at] << 8 | c->data[c->at + 1]);
    c->at += 2;
    return true;
}

static bool take_u32(struct cursor *c, uint32_t *ret)
{
    uint16_t high, low;
    if (!take_u16(c, &high) || !take_u16(c, &low)) {
        return false;
    }
    *ret = (uint32_t)high << 16 | low;
    return true;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || text_is_digit(c) || c == '-' || c == '_';
}

/* One label to the name. False: it is none that a host can have. */
static bool put_label(const uint8_t *label, size_t len, char *name, size_t *name_len)
{
    if (*name_len + (*name_len > 0) + len > DNS_TARGET_MAX) {
        return false;
    }
    if (*name_len > 0) {
        name[(*name_len)++] = '.';
    }
    for (size_t i = 0; i < len; i++) {
        char c = text_lower((char)label[i]);
        if (!is_host_char(c)) {
            return false;
        }
        name[(*name_len)++] = c;
    }
    return true;
}

/* The end of a name, or of what is written of it here: a pointer to the rest. */
static bool is_end(uint8_t len)
{
    return len == 0 || len >= 0xc0;
}

/* Behind the name that begins at the cursor. */
static bool skip_name(struct cursor *c)
{
    while (c->at < c->len && !is_end(c->data[c->at])) {
        if (c->data[c->at] > LABEL_MAX) {
            return false;
        }
        c->at += 1U + c->data[c->at];
    }
    if (c->at >= c->len) {
        return false;
    }
    c->at += c->data[c->at] == 0 ? 1 : 2;
    return c->at <= c->len;
}

/* The name that begins there, wherever it goes on; its NUL is there already. */
static bool read_name(const struct cursor *c, char *name)
{
    size_t at = c->at, len = 0;
    for (unsigned jumps = 0; jumps <= JUMPS_MAX && at + 1 < c->len; jumps++) {
        for (; at < c->len && !is_end(c->data[at]); at += 1U + c->data[at]) {
            if (c->data[at] > LABEL_MAX || c->len - at - 1 < c->data[at]
                || !put_label(c->data + at + 1, c->data[at], name, &len)) {
                return false;
            }
        }
        if (at >= c->len || c->data[at] == 0) {
            return at < c->len;
        }
        if (at + 1 >= c->len) {
            return false;
        }
        at = (size_t)(c->data[at] & 0x3f) << 8 | c->data[at + 1];
    }
    return at < c->len && c->data[at] == 0; /* the root is one byte */
}

static bool read_address(struct cursor data, int family, struct dns_record *record)
{
    size_t len = family == AF_INET ? 4 : 16;
    struct address address = {0};
    if (data.len - data.at != len) {
        return false;
    }
    if (family == AF_INET) {
        address.v4.sin_family = AF_INET;
        memcpy(&address.v4.sin_addr, data.data + data.at, len);
        address.len = sizeof address.v4;
    } else {
        address.v6.sin6_family = AF_INET6;
        memcpy(&address.v6.sin6_addr, data.data + data.at, len);
        address.len = sizeof address.v6;
    }
    return address_ip(&address, &record->ip);
}

/* The target may be compressed, though it should not be: `data` ends where the record does, and
 * begins where the message does. */
static bool read_service(struct cursor data, struct dns_record *record)
{
    return take_u16(&data, &record->priority) && take_u16(&data, &record->weight)
           && take_u16(&data, &record->port) && read_name(&data, record->target) && skip_name(&data)
           && data.at == data.len;
}

static bool read_data(struct cursor data, enum dns_type type, struct dns_record *record)
{
    switch (type) {
    case DNS_TYPE_A: return read_address(data, AF_INET, record);
    case DNS_TYPE_AAAA: return read_address(data, AF_INET6, record);
    default: return read_service(data, record);
    }
}

static bool take_record(struct cursor *c, enum dns_type type, struct dns_records *records)
{
    uint16_t is, class, len;
    uint32_t ttl_s;
    struct dns_record record = {0};
    if (!skip_name(c) || !take_u16(c, &is) || !take_u16(c, &class) || !take_u32(c, &ttl_s)
        || !take_u16(c, &len) || c->len - c->at < len) {
        return false;
    }
    const struct cursor data = {c->data, c->at + len, c->at};
    c->at += len;
    if (class != CLASS_IN || (is != type && is != TYPE_CNAME)) {
        return true;
    }
    ttl_s = ttl_s > TTL_MOST ? 0 : ttl_s;
    records->ttl_s = ttl_s < records->ttl_s ? ttl_s : records->ttl_s;
    if (is == TYPE_CNAME) {
        return true;
    }
    if (!read_data(data, type, &record)) {
        return false;
    }
    if (records->count < records->most) {
        records->at[records->count++] = record;
    } else {
        records->is_cut = true;
    }
    return true;
}

bool dns_message_read(const uint8_t *data, size_t len, enum dns_type type,
                      struct dns_records *records)
{
    struct cursor c = {.data = data, .len = len, .at = 2};
    uint16_t flags, questions, answers;
    if (len < HEADER_LEN || !take_u16(&c, &flags) || !take_u16(&c, &questions)
        || !take_u16(&c, &answers) || (flags & FLAG_QR) == 0) {
        return false;
    }
    c.at = HEADER_LEN;
    for (uint16_t i = 0; i < questions; i++) {
        uint32_t kind_and_class;
        if (!skip_name(&c) || !take_u32(&c, &kind_and_class)) {
            return false;
        }
    }
    for (uint16_t i = 0; i < answers; i++) {
        if (!take_record(&c, type, records)) {
            return false;
        }
    }
    return true;
}
