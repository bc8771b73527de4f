/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_message.c - from the neutral head to the fields of HTTP/2 and back (RFC 9113 §8.2, §8.3).
 *
 * What nghttp2 has checked by then: names are lower-case tokens, values have no control characters
 * and no white space around them, no connection-specific field, pseudo-fields once and first,
 * :status of three digits, no DATA that contradicts content-length.
 */
#include "base/alloc.h"
#include "connector/http2_session.h"
#include "proto/grpc.h"

#include <string.h>

#define BIT(id) (1ULL << (id))

/* Said by rule or never, and so not copied. */
#define NEVER_COPIED                                                                               \
    (BIT(HTTP_HOST) | BIT(HTTP_CONTENT_LENGTH) | BIT(HTTP_TRANSFER_ENCODING)                       \
     | BIT(HTTP_CONNECTION) | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION) | BIT(HTTP_TE)     \
     | BIT(HTTP_UPGRADE) | BIT(HTTP_HTTP2_SETTINGS))
/* Never to be seen in the peer's table (RFC 7541 §7.1.3); nghttp2 sees to authorization and short
 * cookies. */
#define NEVER_INDEXED (BIT(HTTP_X_API_KEY) | BIT(HTTP_PROXY_AUTHORIZATION) | BIT(HTTP_COOKIE))
#define FIXED_NAME    NGHTTP2_NV_FLAG_NO_COPY_NAME /* one that stays for ever, in lower case */
/* Another value in each request: in the peer's table they would only push out what comes again. */
#define NEVER_AGAIN   (BIT(HTTP_TRACEPARENT) | BIT(HTTP_IDEMPOTENCY_KEY) | BIT(HTTP_LAST_EVENT_ID))

/* --- the answer ---------------------------------------------------------------------------------
 */

struct gathering *gathering_take(struct http2_connector *connector)
{
    struct node *spare = list_pop_front(&connector->rooms);
    struct gathering *gathering = spare != NULL ? list_entry(spare, struct gathering, on_spare)
                                                : alloc_new(&alloc_libc, sizeof *gathering);
    if (gathering != NULL) {
        gathering->on_spare = (struct node){0};
        gathering->count = 0;
        gathering->bytes = 0;
        gathering->status = 0;
        gathering->is_length_known = false;
    }
    return gathering;
}

void gathering_give(struct http2_connector *connector, struct gathering *gathering)
{
    for (uint32_t i = 0; i < 2 * gathering->count; i++) {
        nghttp2_rcbuf_decref(gathering->bufs[i]);
    }
    gathering->count = 0;
    list_push_front(&connector->rooms, &gathering->on_spare);
}

static struct slice slice_of_rcbuf(nghttp2_rcbuf *buf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(buf);
    return (struct slice){(const char *)vec.base, (uint32_t)vec.len};
}

static bool add_pseudo(struct gathering *gathering, struct slice name, struct slice value)
{
    if (!slice_is(name, ":status") || value.len != 3) {
        return false;
    }
    uint32_t status = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (!text_is_digit(value.at[i])) {
            return false;
        }
        status = status * 10 + (uint32_t)(value.at[i] - '0');
    }
    gathering->status = (uint16_t)status;
    return status >= 100 && status <= 599 && status != 101;
}

bool gathering_add(const struct http2_connector *connector, struct gathering *gathering,
                   nghttp2_rcbuf *name_buf, nghttp2_rcbuf *value_buf)
{
    struct slice name = slice_of_rcbuf(name_buf), value = slice_of_rcbuf(value_buf);
    size_t bytes = gathering->bytes + (size_t)name.len + value.len + 32;
    if (bytes > connector->header_bytes_max) {
        return false;
    }
    gathering->bytes = (uint32_t)bytes;
    if (name.len > 0 && name.at[0] == ':') {
        return add_pseudo(gathering, name, value);
    }
    enum http_field_id id = http_field_id_of(name);
    if (gathering->count >= connector->headers_max || !http_name_valid(name)
        || !http_value_valid(value)) {
        return false;
    }
    if (id == HTTP_CONTENT_LENGTH) {
        uint64_t length;
        if (gathering->is_length_known || !text_parse_u64(value, &length)) {
            return false;
        }
        gathering->is_length_known = true;
        gathering->length = length;
    }
    nghttp2_rcbuf_incref(name_buf);
    nghttp2_rcbuf_incref(value_buf);
    gathering->bufs[2 * (size_t)gathering->count] = name_buf;
    gathering->bufs[2 * (size_t)gathering->count + 1] = value_buf;
    gathering->fields[gathering->count++] =
        (struct http_field){.name = name, .value = value, .id = (uint8_t)id};
    return true;
}

bool gathering_head(struct gathering *gathering, uint8_t asked, bool is_end,
                    struct http_head *ret_head)
{
    uint16_t status = gathering->status;
    bool is_bodiless = asked == HTTP_HEAD || status < 200 || status == 204 || status == 304
                       || is_end;
    enum http_framing with_body = gathering->is_length_known ? HTTP_LENGTH : HTTP_CHUNKED;
    *ret_head = (struct http_head){
        .reason = http_reason_of(status),
        .status = status,
        .framing = is_bodiless ? HTTP_NO_BODY : with_body,
        .version_minor = 1,
        .is_http2 = true,
        .keep_alive = true,
        .length_said = gathering->is_length_known,
        .content_length = gathering->length,
        .field_count = (uint16_t)gathering->count,
        .fields = gathering->fields,
    };
    if (!gathering->is_length_known) {
        ret_head->content_length = 0;
    }
    for (uint32_t i = 0; i < gathering->count; i++) {
        ret_head->present |= BIT(gathering->fields[i].id);
    }
    unsigned words;
    return status != 0 && (status >= 200 || !is_end)
           && http_drop_hop_by_hop(ret_head, HTTP_FIELDS_MAX, &words);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* nghttp2 only reads; it copies both, and makes names lower-case, but for FIXED_NAME. */
static nghttp2_nv nv_of(struct slice name, struct slice value, uint8_t flags)
{
    union {
        const char *from;
        uint8_t *to;
    } a = {name.at}, b = {value.at};
    return (nghttp2_nv){a.to, b.to, name.len, value.len, flags};
}

/* The same, of names that no rule speaks of. */
static bool is_never_again(struct slice name)
{
    switch (name.len) {
    case 12: return slice_is_nocase(name, "x-request-id") || slice_is_nocase(name, "grpc-timeout");
    case 14: return slice_is_nocase(name, "grpc-trace-bin");
    case 16: return slice_is_nocase(name, "x-correlation-id");
    default: return false;
    }
}

static size_t add_fields(nghttp2_nv *nva, const struct http_field *fields, unsigned count,
                         bool is_by_hand)
{
    size_t added = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct http_field *field = &fields[i];
        unsigned id = field->id;
        if (is_by_hand && id == HTTP_FIELD_OTHER) {
            id = http_field_id_of(field->name); /* who added it may not have known */
        }
        if (field->drop || (NEVER_COPIED >> id & 1) != 0) {
            continue;
        }
        struct slice fixed = http_field_name((enum http_field_id)id);
        bool is_kept_out = id == HTTP_FIELD_OTHER ? is_never_again(field->name)
                                                  : ((NEVER_INDEXED | NEVER_AGAIN) >> id & 1) != 0;
        unsigned flags = (is_kept_out ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)
                         | (fixed.len > 0 ? FIXED_NAME : NGHTTP2_NV_FLAG_NONE);
        nva[added++] = nv_of(fixed.len > 0 ? fixed : field->name, field->value, (uint8_t)flags);
    }
    return added;
}

static struct slice number_of(uint64_t number, char room[20])
{
    char *end = room + 20, *at = end;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return (struct slice){at, (uint32_t)(end - at)};
}

size_t request_fields(struct http2_connector *connector, const struct http_head *head, bool is_tls,
                      char length[20])
{
    nghttp2_nv *nva = connector->nva;
    size_t count = 0;
    if (head->upgrade) { /* RFC 8441 §4: a WebSocket, nothing else is asked for here */
        nva[count++] = nv_of(SLICE(":method"), SLICE("CONNECT"), FIXED_NAME);
        nva[count++] = nv_of(SLICE(":protocol"), SLICE("websocket"), FIXED_NAME);
    } else {
        nva[count++] = nv_of(SLICE(":method"), head->method, FIXED_NAME);
    }
    nva[count++] = nv_of(SLICE(":scheme"), is_tls ? SLICE("https") : SLICE("http"), FIXED_NAME);
    nva[count++] = nv_of(SLICE(":authority"), head->authority, FIXED_NAME);
    nva[count++] = nv_of(SLICE(":path"), head->path, FIXED_NAME);
    count += add_fields(nva + count, head->fields, head->field_count, false);
    count += add_fields(nva + count, head->added, head->added_count, true);
    if (head->framing == HTTP_LENGTH
        || (head->framing == HTTP_NO_BODY && http_has(head, HTTP_CONTENT_LENGTH))) {
        uint64_t number = head->framing == HTTP_LENGTH ? head->content_length : 0;
        nva[count++] = nv_of(SLICE("content-length"), number_of(number, length), FIXED_NAME);
    }
    if (grpc_is(head)) {
        nva[count++] = nv_of(SLICE("te"), SLICE("trailers"), FIXED_NAME);
    }
    return count;
}

struct call_fields *fields_copy(const nghttp2_nv *nva, size_t count)
{
    size_t text = 0;
    for (size_t i = 0; i < count; i++) {
        text += nva[i].namelen + nva[i].valuelen;
    }
    struct call_fields *copy = alloc_new(&alloc_libc,
                                         sizeof *copy + count * sizeof copy->at[0] + text);
    if (copy == NULL) {
        return NULL;
    }
    uint8_t *to = (uint8_t *)&copy->at[count];
    copy->count = count;
    for (size_t i = 0; i < count; i++) {
        copy->at[i] = nva[i];
        if ((nva[i].flags & FIXED_NAME) == 0) {
            copy->at[i].name = memcpy(to, nva[i].name, nva[i].namelen);
            to += nva[i].namelen;
        }
        copy->at[i].value = to;
        if (nva[i].valuelen > 0) {
            memcpy(to, nva[i].value, nva[i].valuelen);
        }
        to += nva[i].valuelen;
    }
    return copy;
}

struct call_fields *trailers_copy(struct http2_connector *connector,
                                  const struct http_head *trailers)
{
    nghttp2_nv *nva = connector->nva;
    size_t count = 0;
    for (unsigned i = 0; trailers != NULL && i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];
        if (!field->drop && http_trailer_allowed(field->name)) {
            nva[count++] = nv_of(field->name, field->value, NGHTTP2_NV_FLAG_NONE);
        }
    }
    return count > 0 ? fields_copy(nva, count) : NULL;
}
