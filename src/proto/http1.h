/* SPDX-License-Identifier: Apache-2.0
 *
 * http1.h - HTTP/1.1 (RFC 9112) between bytes and the neutral message, strict in both directions.
 *
 *     bytes ──▶ http1_parse_request / _response ──▶ struct http_head ──▶ http1_write_… ──▶ bytes
 *     bytes ──▶ http1_body_next ──▶ data, end with trailers          ──▶ http1_write_chunk_… ──▶
 *
 * What is always true: nothing is copied (slices point into the caller's buffer), nothing is
 * allocated, and the verdict on some bytes does not depend on how they were cut into reads. What
 * two readers could understand differently is refused, never repaired.
 *
 * A head is parsed from one contiguous buffer that begins with it. While it is incomplete the
 * caller keeps the bytes, adds more and calls again with the same `progress`; the whole costs O(n)
 * even when bytes drip one at a time, and what cannot become a head is refused with its first wrong
 * byte, not at a time-out.
 *
 * Called by listener/http1 and connector/http1.
 */
#pragma once
#include "proto/http.h"

#include <stddef.h>
#include <sys/types.h>

/* Why bytes were refused: a row is the name, the status a listener answers with, the log's word.
 * A connector answers 502 whatever it is. In every case the connection ends. */
#define HTTP1_ERRORS(ROW)                                                                          \
    ROW(METHOD, 400, "method")                 /* not a token, or too long: not HTTP at all */     \
    ROW(METHOD_REFUSED, 405, "method_refused") /* CONNECT, TRACE */                                \
    ROW(TARGET, 400, "target")                 /* a byte or a form that no target has */           \
    ROW(TARGET_LENGTH, 414, "target_length")   /* over target_bytes_max, or the limit in it */     \
    ROW(PATH, 400, "path")                     /* http_path_check() */                             \
    ROW(START_LINE, 400, "start_line")         /* its end, or HTTP/x.y, is malformed */            \
    ROW(VERSION, 505, "version")               /* well-formed, neither 1.0 nor 1.1 */              \
    ROW(STATUS, 400, "status")                 /* not a status line; 101 that nobody asked */      \
    ROW(FIELD_NAME, 400, "field_name")         /* empty, not a token, no colon, folded line */     \
    ROW(FIELD_VALUE, 400, "field_value")       /* a control byte, a bare CR or LF */               \
    ROW(HEAD_SIZE, 431, "head_size")           /* over head_bytes_max */                           \
    ROW(FIELD_COUNT, 431, "field_count")       /* over fields_max */                               \
    ROW(HOST, 400, "host")                     /* missing, repeated, malformed, contradicted */    \
    ROW(CONNECTION, 400, "connection")         /* names more fields than anybody means */          \
    ROW(EXPECT, 417, "expect")                 /* anything but 100-continue */                     \
    ROW(LENGTH, 400, "length")                 /* Content-Length malformed or repeated */          \
    ROW(LENGTH_AND_CODING, 400, "length_and_coding")                                               \
    ROW(CODING, 400, "coding")                 /* Transfer-Encoding that does not frame */         \
    ROW(CODING_UNKNOWN, 501, "coding_unknown") /* "gzip, chunked" */                               \
    ROW(CHUNK_SIZE, 400, "chunk_size")                                                             \
    ROW(CHUNK_EXTENSION, 400, "chunk_extension") /* malformed, or too much of them */              \
    ROW(CHUNK_END, 400, "chunk_end")             /* no CRLF where the data has to end */           \
    ROW(TRAILER_SIZE, 431, "trailer_size")

enum http1_error {
    HTTP1_FINE = 0,
#define HTTP1_ROW(name, status, word) HTTP1_BAD_##name,
    HTTP1_ERRORS(HTTP1_ROW)
#undef HTTP1_ROW
        HTTP1_ERROR_COUNT
};

uint16_t http1_error_status(enum http1_error error); /* 400, 405, 414, 417, 431, 501, 505 */
const char *http1_error_word(enum http1_error error);

struct http1_limits {
    uint32_t head_bytes_max;    /* start line and fields with the empty line [32 KiB] */
    uint32_t target_bytes_max;  /* [16 KiB] */
    uint32_t trailer_bytes_max; /* trailer section with the empty line [8 KiB] */
    uint16_t fields_max;        /* in a head, and in a trailer section; ≤ HTTP_FIELDS_MAX [100] */
};
#define HTTP1_LIMITS_DEFAULT                                                                       \
    ((struct http1_limits){.head_bytes_max = 32768,                                                \
                           .target_bytes_max = 16384,                                              \
                           .trailer_bytes_max = 8192,                                              \
                           .fields_max = 100})

#define HTTP1_METHOD_MAX     32   /* bytes of a method */
#define HTTP1_NAMED_MAX      64   /* fields that Connection may name in one head */
#define HTTP1_CHUNK_LINE_MAX 1024 /* a chunk's size with its extensions */
#define HTTP1_CHUNK_WASTE                                                                          \
    16384 /* bytes of chunk lines in a body beyond 16 + 2 per byte of data                         \
           */

/* How far the bytes of an incomplete head were judged. All zero before the first byte of a head;
 * the parser zeroes it again when it returns anything but 0. */
struct http1_progress {
    uint32_t judged; /* bytes from the front */
    uint32_t run;    /* bytes of the current element */
    uint16_t fields; /* lines seen */
    uint8_t state;
};

/* What the request was that an answer belongs to. */
struct http1_asked {
    uint8_t method_id; /* enum http_method: HEAD has no body */
    bool upgrade;      /* 101 is welcome */
};

/* Parses the head at the front of buf. Returns the bytes it took (> 0), 0 when more are needed,
 * or -(enum http1_error).
 *
 * The caller sets ret_head->fields to room for limits->fields_max fields; everything else is
 * written here, valid only when the result is > 0, and points into buf. Afterwards:
 *   - path is the origin-form part of the target and http_path_check() has passed on it;
 *   - authority is Host's, or the target's where it is absolute (they agree); empty only in a
 *     request of HTTP/1.0 without Host;
 *   - framing, content_length, keep_alive, expect_continue are decided. `Content-Length: 0` is
 *     HTTP_NO_BODY, with HTTP_CONTENT_LENGTH in `present`. An answer to HEAD, a 1xx, 204 or 304 is
 *     HTTP_NO_BODY whatever its fields say; content_length is then what the field said;
 *   - upgrade: Connection names it and Upgrade is there, to something other than h2c;
 *   - hop-by-hop fields and all that Connection names are marked `drop` (http_drop_hop_by_hop).
 * One empty line before a request is skipped (RFC 9112 §2.2). */
ssize_t http1_parse_request(struct http1_progress *progress, const char *buf, size_t len,
                            const struct http1_limits *limits, struct http_head *ret_head);
ssize_t http1_parse_response(struct http1_progress *progress, const char *buf, size_t len,
                             const struct http1_limits *limits, struct http1_asked asked,
                             struct http_head *ret_head);

/* --- bodies ---------------------------------------------------------------------------------- */

enum http1_body_event {
    HTTP1_BODY_MORE, /* all that can be used was used: read more */
    HTTP1_BODY_DATA, /* piece->data, never empty; call again */
    HTTP1_BODY_END,  /* the body is complete, trailers are set; what follows is not the body's */
    HTTP1_BODY_BAD,  /* piece->error; the connection ends */
};

struct http1_piece {
    size_t used; /* bytes to drop from the front of what was given, at every event */
    struct slice data;
    enum http1_error error;
};

struct http1_body {
    uint64_t left;  /* of the body (HTTP_LENGTH) or of the current chunk */
    uint32_t waste; /* chunk lines beyond what data justifies */
    uint16_t line;  /* bytes of the current chunk line */
    uint8_t framing;
    uint8_t state;
    uint32_t trailer_bytes_max;
    uint16_t trailers_max;
    struct http1_progress trailer_progress;
};

/* Reads the body that `head` announces; limits are copied. */
void http1_body_init(struct http1_body *body, const struct http_head *head,
                     const struct http1_limits *limits);

/* Takes what it can from the front of buf, one event a call. `trailers->fields` is the caller's
 * room for limits->fields_max; its rest is written at HTTP1_BODY_END. Chunk extensions are checked,
 * bounded and gone. Bytes of an incomplete trailer section are not used up (MORE with used == 0):
 * keep them and give them again with more behind; everything else is consumed as it comes.
 *
 * Trailers that frame, route, authenticate or control are marked `drop` (http_trailer_allowed).
 *
 *     do {
 *         event = http1_body_next(&body, at, len, &trailers, &piece);
 *         at += piece.used, len -= piece.used;
 *         …
 *     } while (event == HTTP1_BODY_DATA);
 */
enum http1_body_event http1_body_next(struct http1_body *body, const char *buf, size_t len,
                                      struct http_head *trailers, struct http1_piece *ret_piece);

/* The peer closed its direction: was the body complete with that? False: it was cut. */
bool http1_body_ends_with_close(const struct http1_body *body);

/* --- writing --------------------------------------------------------------------------------- */

struct http1_writing {
    struct slice date; /* answers: Date's value, for a head that has none; empty: write none */
    bool close;        /* say Connection: close */
    bool upgrade; /* requests: the upgrade that the head asks for may pass; 101 can be carried */
    uint8_t peer_minor; /* answers: the client's version; 0 is told keep-alive, and never chunks */
    uint8_t asked;      /* answers: enum http_method of the request */
};

/* How the body of an answer is framed towards a client: head->framing, but chunked instead of
 * until-close for HTTP/1.1, until-close instead of chunked for HTTP/1.0, nothing after HEAD, 1xx,
 * 204, 304. Until-close needs writing->close. */
enum http_framing http1_answer_framing(const struct http_head *head, uint8_t asked,
                                       uint8_t peer_minor);

/* Write a whole head and return its length, or -1 where cap is too small (nothing useful is in out
 * then). Start line; Host from head->authority (requests); head->fields and head->added that are
 * not marked drop, as they are; framing from head->framing and content_length; Connection; Date.
 * Fields that those rules generate, and the hop-by-hop ones of HTTP/1.1, are never copied, whether
 * marked or not. Upgrade passes, and Connection names it, in an answer whose head says `upgrade`
 * (101, 426), and in a request whose head and writing both do.
 *
 * Names and values must be valid (http_name_valid, http_value_valid): those of any reader are; what
 * comes from elsewhere is checked where it comes in. */
ssize_t http1_write_request(const struct http_head *head, const struct http1_writing *writing,
                            char *out, size_t cap);
ssize_t http1_write_response(const struct http_head *head, const struct http1_writing *writing,
                             char *out, size_t cap);

/* Enough for any of the two: so a caller can choose its buffer before it writes. */
size_t http1_head_size(const struct http_head *head, const struct http1_writing *writing);

#define HTTP1_CHUNK_HEAD_MAX 18 /* 16 digits, CRLF */
/* A chunk is: this, len bytes of data, "\r\n". len > 0. Returns the bytes written. */
size_t http1_write_chunk_head(size_t len, char out[HTTP1_CHUNK_HEAD_MAX]);
#define HTTP1_CHUNK_TAIL "\r\n"
/* The last chunk, the trailers that may pass (NULL: none), the empty line; or -1. */
ssize_t http1_write_last_chunk(const struct http_head *trailers, char *out, size_t cap);
