/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_request.h - from the fields of an HTTP/2 request, one after the other as HPACK brings them,
 * to the neutral head (RFC 9113 §8.3.1), and the same for trailers.
 *
 * The text is laid out as HTTP/1.1 would write it, "name: value CRLF", so that a writer of HTTP/1.1
 * copies it whole; method first, then pseudo-fields, then fields in their order. Crumbs of cookies
 * are joined (§8.2.3). What makes a message malformed (§8.1.1) and what nghttp2 has checked by then
 * are told apart in http2_request.c.
 *
 * The extended CONNECT of a WebSocket (RFC 8441) becomes what it would have been in HTTP/1.1: a GET
 * without a body that asks for an upgrade; the stream's data follow it.
 *
 * Nothing is kept beyond the limits; what is too much is remembered as the verdict.
 */
#pragma once
#include "base/bytes.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP2_TARGET_MAX (16U << 10)

/* name, status of the answer (0: the stream is reset), word. */
#define HTTP2_VERDICTS(ROW)                                                                        \
    ROW(FINE, 0, "fine")                                                                           \
    ROW(MALFORMED, 0, "malformed")                                                                 \
    ROW(NO_MEMORY, 0, "memory")                                                                    \
    ROW(BAD_AUTHORITY, 400, "host")                                                                \
    ROW(BAD_PATH, 400, "target")                                                                   \
    ROW(METHOD_REFUSED, 405, "method_refused")                                                     \
    ROW(METHOD_UNKNOWN, 501, "method_size")                                                        \
    ROW(PROTOCOL_UNKNOWN, 501, "protocol")                                                         \
    ROW(TARGET_SIZE, 414, "target_size")                                                           \
    ROW(EXPECT, 417, "expect")                                                                     \
    ROW(HEAD_SIZE, 431, "head_size")

enum http2_verdict {
#define HTTP2_VERDICT_ROW(name, status, word) HTTP2_##name,
    HTTP2_VERDICTS(HTTP2_VERDICT_ROW)
#undef HTTP2_VERDICT_ROW
        HTTP2_VERDICT_COUNT
};

uint16_t http2_verdict_status(enum http2_verdict verdict);
const char *http2_verdict_word(enum http2_verdict verdict);

struct http2_limits {
    uint32_t list_bytes_max; /* names, values, and 32 for each field (RFC 9113 §6.5.2) */
    uint16_t fields_max;     /* crumbs of cookies count; ≤ HTTP_FIELDS_MAX */
};

struct http2_span {
    uint32_t at, len;
};

struct http2_request {
    struct bytes text;
    struct bytes lines;  /* a struct http2_line for each field */
    uint64_t list_bytes; /* seen, also beyond the limits */
    uint32_t fields_seen;
    struct http2_span method, path, authority, protocol;
    uint32_t cookie; /* which field is the one that crumbs are joined to, + 1 */
    uint16_t count;
    uint8_t verdict; /* enum http2_verdict */
    bool is_trailer;
    bool is_grpc; /* its Content-Type says so; also where the limits were passed before */
};

void http2_request_init(struct http2_request *request, const struct alloc *alloc);
void http2_request_fini(struct http2_request *request);

/* Begins a section. */
void http2_request_begin(struct http2_request *request, bool is_trailer);
/* The next field. */
void http2_request_field(struct http2_request *request, const struct http2_limits *limits,
                         struct slice name, struct slice value);
/* The section is complete. `head->fields` is the caller's room for limits->fields_max; its rest is
 * written where the verdict is FINE, and valid until the next section begins. `end`: no body
 * follows. */
enum http2_verdict http2_request_end(struct http2_request *request, bool end,
                                     struct http_head *head);
