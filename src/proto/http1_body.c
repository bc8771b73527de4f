/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies (RFC 9112 §6, §7): each byte is looked at once and, but for trailers, consumed as it
 * comes.
 *
 *     SIZE ─▶ DIGITS ─▶ [EXT_ …] ─▶ SIZE_LF ─▶ DATA ─▶ DATA_CR ─▶ DATA_LF ─▶ SIZE
 *                                      │ 0
 *                                      ▼
 *                                   TRAILERS ─▶ LAST_LF ─▶ ENDED
 */
#include "base/check.h"
#include "proto/http1_head.h"
#include "proto/http_chars.h"

enum body_state {
    BODY_DATA = 0, /* of a length, of a chunk, or until the peer closes */
    BODY_SIZE,
    BODY_DIGITS,
    BODY_EXT_NAME, /* behind ";" */
    BODY_EXT_NAME_MORE,
    BODY_EXT_VALUE, /* behind "=" */
    BODY_EXT_TOKEN,
    BODY_EXT_QUOTED,
    BODY_EXT_ESCAPED, /* behind a backslash */
    BODY_EXT_QUOTED_END,
    BODY_SIZE_LF,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILERS, /* at the first byte of the trailer section */
    BODY_LAST_LF,  /* of an empty one */
    BODY_ENDED,
    BODY_FAILED,
};

/* What a chunk may cost in bytes around its data without being waste. */
#define CHUNK_COST 16U

void http1_body_init(struct http1_body *body, const struct http_head *head,
                     const struct http1_limits *limits)
{
    *body = (struct http1_body){
        .framing = head->framing,
        .trailer_bytes_max = limits->trailer_bytes_max,
        .trailers_max = limits->fields_max,
    };
    switch ((enum http_framing)head->framing) {
    case HTTP_NO_BODY: body->state = BODY_ENDED; break;
    case HTTP_LENGTH:
        body->left = head->content_length;
        body->state = body->left > 0 ? BODY_DATA : BODY_ENDED;
        break;
    case HTTP_CHUNKED: body->state = BODY_SIZE; break;
    case HTTP_UNTIL_CLOSE: body->left = UINT64_MAX; break;
    }
}

bool http1_body_ends_with_close(const struct http1_body *body)
{
    return body->framing == HTTP_UNTIL_CLOSE || body->state == BODY_ENDED;
}

/* --- chunk lines ----------------------------------------------------------------------------- */

static enum http1_error take_digit(struct http1_body *body, char c)
{
    int digit = text_is_digit(c) ? c - '0' : text_lower(c) - 'a' + 10;
    if (!text_is_digit(c) && (text_lower(c) < 'a' || text_lower(c) > 'f')) {
        return HTTP1_BAD_CHUNK_SIZE;
    }
    /* Sixteen digits: more are either overflow or zeroes that nobody needs. */
    if (body->line > 16 || body->left > (uint64_t)INT64_MAX >> 4) {
        return HTTP1_BAD_CHUNK_SIZE;
    }
    body->left = body->left << 4 | (uint64_t)digit;
    body->state = BODY_DIGITS;
    return HTTP1_FINE;
}

/* What may follow a chunk's size, or an extension that is complete. */
static bool take_separator(struct http1_body *body, char c)
{
    if (c != '\r' && c != ';') {
        return false;
    }
    body->state = c == ';' ? BODY_EXT_NAME : BODY_SIZE_LF;
    return true;
}

static bool take_token(struct http1_body *body, char c, enum body_state more)
{
    if (!http_char_is(c, HTTP_CHAR_TOKEN)) {
        return false;
    }
    body->state = (uint8_t)more;
    return true;
}

static bool take_quoted(struct http1_body *body, char c)
{
    bool escaped = body->state == BODY_EXT_ESCAPED;
    body->state = BODY_EXT_QUOTED;
    if (!escaped && c == '"') {
        body->state = BODY_EXT_QUOTED_END;
    } else if (!escaped && c == '\\') {
        body->state = BODY_EXT_ESCAPED;
    }
    return http_char_is(c, HTTP_CHAR_VALUE);
}

/* ";" token [ "=" ( token / quoted-string ) ] (RFC 9112 §7.1.1), without the white space that only
 * recipients of long ago wrote. */
static bool take_extension(struct http1_body *body, char c)
{
    switch ((enum body_state)body->state) {
    case BODY_EXT_NAME: return take_token(body, c, BODY_EXT_NAME_MORE);
    case BODY_EXT_NAME_MORE:
        if (c == '=') {
            body->state = BODY_EXT_VALUE;
            return true;
        }
        return take_token(body, c, BODY_EXT_NAME_MORE) || take_separator(body, c);
    case BODY_EXT_VALUE:
        if (c == '"') {
            body->state = BODY_EXT_QUOTED;
            return true;
        }
        return take_token(body, c, BODY_EXT_TOKEN);
    case BODY_EXT_TOKEN: return take_token(body, c, BODY_EXT_TOKEN) || take_separator(body, c);
    case BODY_EXT_QUOTED:
    case BODY_EXT_ESCAPED: return take_quoted(body, c);
    default: return take_separator(body, c);
    }
}

/* A chunk line is done: is it in proportion? One-byte chunks with long extensions cost us a
 * multiple of what they carry, for as long as a body may last. */
static enum http1_error end_chunk_line(struct http1_body *body)
{
    uint64_t due = body->left > HTTP1_CHUNK_WASTE ? UINT32_MAX : CHUNK_COST + 2 * body->left;
    uint64_t spent = (uint64_t)body->waste + body->line;
    body->waste = (uint32_t)(spent > due ? spent - due : 0);
    if (body->waste > HTTP1_CHUNK_WASTE) {
        return HTTP1_BAD_CHUNK_EXTENSION;
    }
    body->line = 0;
    body->state = body->left == 0 ? BODY_TRAILERS : BODY_DATA;
    return HTTP1_FINE;
}

static enum http1_error take_line_byte(struct http1_body *body, char c)
{
    if (++body->line > HTTP1_CHUNK_LINE_MAX) {
        return HTTP1_BAD_CHUNK_EXTENSION;
    }
    switch ((enum body_state)body->state) {
    case BODY_SIZE: return take_digit(body, c);
    case BODY_DIGITS: return take_separator(body, c) ? HTTP1_FINE : take_digit(body, c);
    case BODY_SIZE_LF: return c == '\n' ? end_chunk_line(body) : HTTP1_BAD_CHUNK_SIZE;
    case BODY_DATA_CR:
        body->state = BODY_DATA_LF;
        return c == '\r' ? HTTP1_FINE : HTTP1_BAD_CHUNK_END;
    case BODY_DATA_LF:
        body->state = BODY_SIZE;
        body->line = 0;
        return c == '\n' ? HTTP1_FINE : HTTP1_BAD_CHUNK_END;
    default: return take_extension(body, c) ? HTTP1_FINE : HTTP1_BAD_CHUNK_EXTENSION;
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static enum http1_body_event fail(struct http1_body *body, enum http1_error error,
                                  struct http1_piece *piece)
{
    body->state = BODY_FAILED;
    piece->error = error;
    return HTTP1_BODY_BAD;
}

static enum http1_body_event give_data(struct http1_body *body, const char *at, size_t len,
                                       struct http1_piece *piece)
{
    uint64_t most = body->left < UINT32_MAX ? body->left : UINT32_MAX;
    uint32_t given = len < most ? (uint32_t)len : (uint32_t)most;
    piece->data = (struct slice){at, given};
    piece->used += given;
    if (body->framing != HTTP_UNTIL_CLOSE) {
        body->left -= given;
    }
    if (body->left == 0) {
        body->state = body->framing == HTTP_CHUNKED ? BODY_DATA_CR : BODY_ENDED;
    }
    return HTTP1_BODY_DATA;
}

static void drop_dangerous(struct http_head *trailers)
{
    for (unsigned i = 0; i < trailers->field_count; i++) {
        if (!http_trailer_allowed(trailers->fields[i].name)) {
            trailers->fields[i].drop = 1;
        }
    }
}

/* The section, if all of it is in the len bytes at at. 0: more are needed. */
static ssize_t parse_trailers(const struct http1_body *body, const char *at, size_t len,
                              struct http_head *trailers)
{
    struct http1_reader reader = {.at = at, .end = at + len, .start = at};
    if (!http1_read_fields(&reader, body->trailers_max, trailers)) {
        return -(ssize_t)reader.error;
    }
    drop_dangerous(trailers);
    return reader.at - at;
}

static ssize_t find_trailers(struct http1_body *body, const char *at, size_t len,
                             struct http_head *trailers)
{
    struct http1_limits limits = {.fields_max = body->trailers_max};
    size_t seen = len < body->trailer_bytes_max ? len : body->trailer_bytes_max;
    struct http1_progress *progress = &body->trailer_progress;
    while (http1_judge(progress, HTTP1_JUDGE_TRAILERS, at, seen, &limits)) {
        ssize_t result = parse_trailers(body, at, progress->judged, trailers);
        if (result != 0) {
            return result;
        }
        if (http1_judged_out(progress)) {
            check_deep(!"the judge and the parser disagree");
            return -(ssize_t)HTTP1_BAD_FIELD_NAME;
        }
    }
    return seen == body->trailer_bytes_max ? -(ssize_t)HTTP1_BAD_TRAILER_SIZE : 0;
}

static enum http1_body_event give_trailers(struct http1_body *body, const char *at, size_t len,
                                           struct http_head *trailers, struct http1_piece *piece)
{
    if (len == 0) {
        return HTTP1_BODY_MORE;
    }
    ssize_t result = find_trailers(body, at, len, trailers);
    if (result < 0) {
        return fail(body, (enum http1_error) - result, piece);
    }
    if (result == 0) {
        return HTTP1_BODY_MORE;
    }
    piece->used += (size_t)result;
    body->state = BODY_ENDED;
    return HTTP1_BODY_END;
}

static bool is_line_state(unsigned state)
{
    return state >= BODY_SIZE && state <= BODY_DATA_LF;
}

/* Takes bytes of chunk lines until something else begins. */
static enum http1_error take_lines(struct http1_body *body, const char *buf, size_t len,
                                   size_t *used)
{
    while (is_line_state(body->state) && *used < len) {
        enum http1_error error = take_line_byte(body, buf[(*used)++]);
        if (error != HTTP1_FINE) {
            return error;
        }
    }
    return HTTP1_FINE;
}

/* An empty section, which is nearly all of them, needs no bytes kept. */
static bool skip_empty_trailers(struct http1_body *body, const char *buf, size_t len, size_t *used)
{
    if (body->state == BODY_TRAILERS && body->trailer_progress.judged == 0 && *used < len
        && buf[*used] == '\r') {
        body->state = BODY_LAST_LF;
        (*used)++;
    }
    return body->state == BODY_LAST_LF;
}

enum http1_body_event http1_body_next(struct http1_body *body, const char *buf, size_t len,
                                      struct http_head *trailers, struct http1_piece *ret_piece)
{
    struct http_field *room = trailers->fields;
    *ret_piece = (struct http1_piece){0};
    enum http1_error error = take_lines(body, buf, len, &ret_piece->used);
    if (error != HTTP1_FINE) {
        return fail(body, error, ret_piece);
    }
    size_t *used = &ret_piece->used;
    if (skip_empty_trailers(body, buf, len, used) && *used < len) {
        if (buf[(*used)++] != '\n') {
            return fail(body, HTTP1_BAD_CHUNK_END, ret_piece);
        }
        body->state = BODY_ENDED;
        *trailers = (struct http_head){.fields = room};
        return HTTP1_BODY_END;
    }
    switch ((enum body_state)body->state) {
    case BODY_DATA:
        return *used < len ? give_data(body, buf + *used, len - *used, ret_piece) : HTTP1_BODY_MORE;
    case BODY_TRAILERS:
        *trailers = (struct http_head){.fields = room};
        return give_trailers(body, buf + *used, len - *used, trailers, ret_piece);
    case BODY_ENDED: *trailers = (struct http_head){.fields = room}; return HTTP1_BODY_END;
    case BODY_FAILED: return fail(body, HTTP1_BAD_CHUNK_END, ret_piece);
    default: return HTTP1_BODY_MORE;
    }
}
