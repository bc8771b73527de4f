/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc_health.h"

#include <string.h>

#define SERVICE_FIELD 1U

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* What is left of a message. */
struct reader {
    const uint8_t *at, *end;
};

enum grpc_health_method grpc_health_method_of(struct slice path)
{
    const struct slice service = SLICE("/grpc.health.v1.Health/");
    if (!slice_starts(path, service)) {
        return GRPC_HEALTH_NONE;
    }
    struct slice method = slice_sub(path, service.len, path.len);
    return slice_is(method, "Check")   ? GRPC_HEALTH_CHECK
           : slice_is(method, "Watch") ? GRPC_HEALTH_WATCH
                                       : GRPC_HEALTH_OTHER;
}

static bool read_varint(struct reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct reader *reader, uint64_t len)
{
    if (len > (uint64_t)(reader->end - reader->at)) {
        return false;
    }
    reader->at += len;
    return true;
}

/* One field; what is not known is passed by, as protobuf wants it. */
static bool read_field(struct reader *reader, struct slice *service)
{
    uint64_t tag, number;
    if (!read_varint(reader, &tag)) {
        return false;
    }
    switch (tag & 7) {
    case WIRE_VARINT: return read_varint(reader, &number);
    case WIRE_64: return skip(reader, 8);
    case WIRE_32: return skip(reader, 4);
    case WIRE_BYTES: break;
    default: return false;
    }
    if (!read_varint(reader, &number)) {
        return false;
    }
    const char *text = (const char *)reader->at;
    if (!skip(reader, number)) {
        return false;
    }
    if (tag >> 3 == SERVICE_FIELD) {
        *service = (struct slice){text, (uint32_t)number};
    }
    return true;
}

bool grpc_health_read_message(const void *message, size_t len, struct slice *ret_service)
{
    const uint8_t *at = message;
    struct reader reader = {.at = at, .end = at + len};
    *ret_service = (struct slice){"", 0};
    while (reader.at < reader.end) {
        if (!read_field(&reader, ret_service)) {
            return false;
        }
    }
    return true;
}

bool grpc_health_read(const void *body, size_t len, struct slice *ret_service)
{
    struct grpc_scan scan = {0};
    bool begun = false;
    size_t used = grpc_scan_next(&scan, body, len, &begun);
    if (!begun || scan.prefix[0] != 0 || scan.left != len - used) {
        return false;
    }
    return grpc_health_read_message((const char *)body + used, len - used, ret_service);
}

void grpc_health_write(enum grpc_serving status, uint8_t out[GRPC_HEALTH_REPLY])
{
    grpc_prefix_write(2, out);
    out[GRPC_PREFIX] = SERVICE_FIELD << 3 | WIRE_VARINT;
    out[GRPC_PREFIX + 1] = (uint8_t)status;
}
