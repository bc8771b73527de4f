/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing heads and chunks. Plain copies into the caller's buffer; the room for each part is asked
 * for before it is written, so a buffer too small is told and never overrun.
 */
#include "base/check.h"
#include "proto/http1.h"

#include <string.h>

#define BIT(id) (1ULL << (id))

/* Written by rule or never, and so not copied, whoever made the head. */
#define NEVER_COPIED                                                                               \
    (BIT(HTTP_CONTENT_LENGTH) | BIT(HTTP_TRANSFER_ENCODING) | BIT(HTTP_CONNECTION)                 \
     | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION) | BIT(HTTP_TE) | BIT(HTTP_UPGRADE)        \
     | BIT(HTTP_HTTP2_SETTINGS))

struct out {
    char *at;
    char *end;
    bool full;
};

static inline void put(struct out *out, const char *bytes, size_t len)
{
    if ((size_t)(out->end - out->at) < len) {
        out->full = true;
        return;
    }
    memcpy(out->at, bytes, len);
    out->at += len;
}

#define put_text(out, literal) put((out), (literal), sizeof(literal) - 1)

static inline void put_slice(struct out *out, struct slice text)
{
    if (text.len > 0) {
        put(out, text.at, text.len);
    }
}

static void put_number(struct out *out, uint64_t number)
{
    char digits[20];
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(out, at, (size_t)(digits + sizeof digits - at));
}

/* --- fields ---------------------------------------------------------------------------------- */

/* Its line lies in memory as it is to be written: it came that way, and nobody has changed it. */
static inline bool lies_ready(const struct http_field *field)
{
    const char *name_end = field->name.at + field->name.len;
    return field->wire && field->value.at == name_end + 2 && memcmp(name_end, ": ", 2) == 0
           && memcmp(field->value.at + field->value.len, "\r\n", 2) == 0;
}

/* Most names and values are short: loads that overlap instead of a call. */
static inline void copy_short(char *to, const char *from, size_t len)
{
    if (len > 32) {
        memcpy(to, from, len);
    } else if (len >= 16) {
        memcpy(to, from, 16);
        memcpy(to + len - 16, from + len - 16, 16);
    } else if (len >= 8) {
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else if (len >= 4) {
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
    } else {
        for (size_t i = 0; i < len; i++) {
            to[i] = from[i];
        }
    }
}

static inline void put_field(struct out *out, const struct http_field *field)
{
    size_t name_len = field->name.len, value_len = field->value.len;
    if ((size_t)(out->end - out->at) < name_len + value_len + 4) {
        out->full = true;
        return;
    }
    char *at = out->at;
    copy_short(at, field->name.at, name_len);
    memcpy(at + name_len, ": ", 2);
    at += name_len + 2;
    copy_short(at, field->value.at, value_len);
    memcpy(at + value_len, "\r\n", 2);
    out->at = at + value_len + 2;
}

static inline void put_run(struct out *out, const char *run, const char *run_end)
{
    if (run != NULL) {
        put(out, run, (size_t)(run_end - run));
    }
}

/* All but those that are dropped or never copied; returns which passed. Neighbours that lie in
 * memory as they are written leave in one copy. */
static inline uint64_t put_fields(struct out *out, const struct http_field *fields, unsigned count,
                                  uint64_t never, bool is_by_hand)
{
    uint64_t passed = 0;
    const char *run = NULL;
    const char *run_end = NULL;
    for (unsigned i = 0; i < count; i++) { /* fields is NULL where there are none */
        const struct http_field *field = &fields[i];
        unsigned id = field->id;
        if (is_by_hand && id == HTTP_FIELD_OTHER) {
            id = http_field_id_of(field->name); /* who added it may not have known */
        }
        if (field->drop || (never >> id & 1) != 0) {
            continue;
        }
        passed |= BIT(id);
        bool is_ready = lies_ready(field);
        if (!is_ready || field->name.at != run_end) {
            put_run(out, run, run_end);
            run = is_ready ? field->name.at : NULL;
        }
        if (is_ready) {
            run_end = field->value.at + field->value.len + 2;
        } else {
            put_field(out, field);
            run_end = NULL;
        }
    }
    put_run(out, run, run_end);
    return passed;
}

/* True: Content-Length has passed, too, since it says what is to be said. */
static bool put_all_fields(struct out *out, const struct http_head *head, uint64_t never,
                           enum http_framing framing)
{
    bool is_said = framing == HTTP_LENGTH && head->length_said;
    uint64_t length = is_said ? BIT(HTTP_CONTENT_LENGTH) : 0;
    uint64_t passed = put_fields(out, head->fields, head->field_count, never & ~length, false);
    put_fields(out, head->added, head->added_count, never, true);
    return (passed & length) != 0;
}

/* Connection, with Upgrade where it is meant. */
static void put_upgrade(struct out *out, const struct http_head *head)
{
    put_text(out, "Connection: upgrade\r\n");
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_UPGRADE) {
            put_field(out, &head->fields[i]);
        }
    }
    for (unsigned i = 0; i < head->added_count; i++) {
        if (head->added[i].id == HTTP_UPGRADE) {
            put_field(out, &head->added[i]);
        }
    }
}

static void put_length(struct out *out, uint64_t length)
{
    put_text(out, "Content-Length: ");
    put_number(out, length);
    put_text(out, "\r\n");
}

/* --- heads ----------------------------------------------------------------------------------- */

static void put_request_framing(struct out *out, const struct http_head *head)
{
    bool usual = head->method_id == HTTP_POST || head->method_id == HTTP_PUT
                 || head->method_id == HTTP_PATCH;
    switch ((enum http_framing)head->framing) {
    case HTTP_LENGTH: put_length(out, head->content_length); break;
    case HTTP_CHUNKED: put_text(out, "Transfer-Encoding: chunked\r\n"); break;
    case HTTP_NO_BODY:
        /* RFC 9110 §8.6: said where a body would be usual. */
        if (usual || http_has(head, HTTP_CONTENT_LENGTH)) {
            put_length(out, 0);
        }
        break;
    case HTTP_UNTIL_CLOSE: unreachable(); /* a request has no such end */
    }
}

static ssize_t result_of(const struct out *out, const char *start)
{
    return out->full ? -1 : out->at - start;
}

ssize_t http1_write_request(const struct http_head *head, const struct http1_writing *writing,
                            char *out, size_t cap)
{
    struct out to = {out, out + cap, false};
    put_slice(&to, head->method);
    put_text(&to, " ");
    put_slice(&to, head->path);
    put_text(&to, " HTTP/1.1\r\nHost: ");
    put_slice(&to, head->authority);
    put_text(&to, "\r\n");
    if (!put_all_fields(&to, head, NEVER_COPIED | BIT(HTTP_HOST),
                        (enum http_framing)head->framing)) {
        put_request_framing(&to, head);
    }
    if (head->upgrade && writing->upgrade) {
        put_upgrade(&to, head);
    } else if (writing->close) {
        put_text(&to, "Connection: close\r\n");
    }
    put_text(&to, "\r\n");
    return result_of(&to, out);
}

static bool is_bodiless(const struct http_head *head, uint8_t asked)
{
    return asked == HTTP_HEAD || head->status < 200 || head->status == 204 || head->status == 304;
}

enum http_framing http1_answer_framing(const struct http_head *head, uint8_t asked,
                                       uint8_t peer_minor)
{
    if (is_bodiless(head, asked)) {
        return HTTP_NO_BODY;
    }
    switch ((enum http_framing)head->framing) {
    case HTTP_CHUNKED:
    case HTTP_UNTIL_CLOSE: return peer_minor > 0 ? HTTP_CHUNKED : HTTP_UNTIL_CLOSE;
    default: return (enum http_framing)head->framing;
    }
}

static void put_answer_framing(struct out *out, const struct http_head *head,
                               const struct http1_writing *writing, enum http_framing framing)
{
    if (head->status < 200 || head->status == 204) {
        return; /* RFC 9110 §8.6: never there */
    }
    if (is_bodiless(head, writing->asked)) {
        /* What GET would have had, if it is known. */
        if (head->framing == HTTP_LENGTH || http_has(head, HTTP_CONTENT_LENGTH)) {
            put_length(out, head->content_length);
        }
        return;
    }
    switch (framing) {
    case HTTP_LENGTH: put_length(out, head->content_length); break;
    case HTTP_CHUNKED: put_text(out, "Transfer-Encoding: chunked\r\n"); break;
    case HTTP_NO_BODY: put_length(out, 0); break;
    case HTTP_UNTIL_CLOSE: check(writing->close); break;
    }
}

static void put_answer_connection(struct out *out, const struct http_head *head,
                                  const struct http1_writing *writing)
{
    if (head->upgrade) {
        put_upgrade(out, head);
    }
    if (head->status < 200) {
        return;
    }
    if (writing->close) {
        put_text(out, "Connection: close\r\n");
    } else if (writing->peer_minor == 0) {
        put_text(out, "Connection: keep-alive\r\n");
    }
}

static void put_status(struct out *out, const struct http_head *head)
{
    if (head->status == 200 && slice_is(head->reason, "OK")) {
        put_text(out, "HTTP/1.1 200 OK\r\n");
        return;
    }
    check(head->status >= 100 && head->status <= 999);
    char digits[4] = {(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
                      (char)('0' + head->status % 10), ' '};
    put_text(out, "HTTP/1.1 ");
    put(out, digits, sizeof digits);
    put_slice(out, head->reason.len > 0 ? head->reason : http_reason_of(head->status));
    put_text(out, "\r\n");
}

ssize_t http1_write_response(const struct http_head *head, const struct http1_writing *writing,
                             char *out, size_t cap)
{
    struct out to = {out, out + cap, false};
    put_status(&to, head);
    enum http_framing framing = http1_answer_framing(head, writing->asked, writing->peer_minor);
    if (!put_all_fields(&to, head, NEVER_COPIED, framing)) {
        put_answer_framing(&to, head, writing, framing);
    }
    put_answer_connection(&to, head, writing);
    if (writing->date.len > 0 && head->status >= 200 && !http_has(head, HTTP_DATE)) {
        put_text(&to, "Date: ");
        put_slice(&to, writing->date);
        put_text(&to, "\r\n");
    }
    put_text(&to, "\r\n");
    return result_of(&to, out);
}

static size_t fields_size(const struct http_field *fields, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        size += fields[i].name.len + 4 + fields[i].value.len;
    }
    return size;
}

size_t http1_head_size(const struct http_head *head, const struct http1_writing *writing)
{
    /* Start line and generated fields without their variable parts: at most 160 bytes. */
    size_t size = 192 + head->authority.len + writing->date.len
                  + fields_size(head->added, head->added_count);
    if (head->came_len != 0) {
        return size + head->came_len + head->field_count; /* a space that was missing in each */
    }
    return size + head->method.len + head->path.len + head->reason.len
           + fields_size(head->fields, head->field_count);
}

/* --- chunks ---------------------------------------------------------------------------------- */

size_t http1_write_chunk_head(size_t len, char out[HTTP1_CHUNK_HEAD_MAX])
{
    check(len > 0); /* a chunk of 0 would be the end */
    unsigned digits = (67U - (unsigned)__builtin_clzll(len)) / 4U;
    for (unsigned i = digits; i-- > 0; len >>= 4) {
        out[i] = "0123456789abcdef"[len & 15];
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

ssize_t http1_write_last_chunk(const struct http_head *trailers, char *out, size_t cap)
{
    struct out to = {out, out + cap, false};
    put_text(&to, "0\r\n");
    for (unsigned i = 0; trailers != NULL && i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];
        if (!field->drop && http_trailer_allowed(field->name)) {
            put_field(&to, field);
        }
    }
    put_text(&to, "\r\n");
    return result_of(&to, out);
}
