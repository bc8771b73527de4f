/* SPDX-License-Identifier: Apache-2.0
 *
 * nghttp2 has seen to it by then: names are lower-case tokens, values have no control characters,
 * pseudo-fields come first, each once, no others than requests have, none in trailers; no
 * connection-specific field but `te: trailers`; one Content-Length, and a number; a method, a
 * scheme, a path, and an authority or a Host. The rest is judged here.
 */
#include "proto/http2_request.h"

#include "base/check.h"
#include "proto/grpc.h"
#include "proto/http1.h"

#include <string.h>

#define BIT(id)    (UINT64_C(1) << (id))
#define TEXT_MAX   (4U << 20) /* more than any limit can allow */
#define KEEP_BYTES 4096U
#define NAMED_MAX  1U

static const struct slice content_type = {"content-type", 12};

struct http2_line {
    uint32_t at;
    uint32_t name_len, value_len;
};

static const struct {
    uint16_t status;
    const char *word;
} verdicts[] = {
#define HTTP2_VERDICT_ROW(name, number, text) {.status = (number), .word = (text)},
    HTTP2_VERDICTS(HTTP2_VERDICT_ROW)
#undef HTTP2_VERDICT_ROW
};

uint16_t http2_verdict_status(enum http2_verdict verdict)
{
    check(verdict < HTTP2_VERDICT_COUNT);
    return verdicts[verdict].status;
}

const char *http2_verdict_word(enum http2_verdict verdict)
{
    check(verdict < HTTP2_VERDICT_COUNT);
    return verdicts[verdict].word;
}

void http2_request_init(struct http2_request *request, const struct alloc *alloc)
{
    *request = (struct http2_request){0};
    bytes_init(&request->text, alloc, TEXT_MAX);
    bytes_init(&request->lines, alloc, HTTP_FIELDS_MAX * sizeof(struct http2_line));
}

void http2_request_fini(struct http2_request *request)
{
    bytes_fini(&request->text);
    bytes_fini(&request->lines);
}

void http2_request_begin(struct http2_request *request, bool is_trailer)
{
    bytes_clear(&request->text);
    bytes_clear(&request->lines);
    if (request->text.size > KEEP_BYTES) {
        bytes_release(&request->text);
    }
    request->list_bytes = 0;
    request->fields_seen = 0;
    request->method = request->path = request->authority = (struct http2_span){0};
    request->protocol = (struct http2_span){0};
    request->cookie = 0;
    request->count = 0;
    request->is_trailer = is_trailer;
    request->is_grpc = false;
    /* The method lies in front of all other text, whenever it comes. */
    char *room = bytes_room(&request->text, HTTP1_METHOD_MAX);
    request->verdict = room != NULL ? HTTP2_FINE : HTTP2_NO_MEMORY;
    if (room != NULL) {
        bytes_filled(&request->text, HTTP1_METHOD_MAX);
    }
}

/* --- fields as they come -----------------------------------------------------------------------
 */

static void judge(struct http2_request *request, enum http2_verdict verdict)
{
    if (request->verdict == HTTP2_FINE) {
        request->verdict = (uint8_t)verdict;
    }
}

static struct http2_span keep(struct http2_request *request, struct slice value)
{
    struct http2_span span = {(uint32_t)bytes_len(&request->text), value.len};
    if (!bytes_append(&request->text, value.at, value.len)) {
        judge(request, HTTP2_NO_MEMORY);
        span.len = 0;
    }
    return span;
}

static void take_method(struct http2_request *request, struct slice value)
{
    if (value.len == 0 || value.len > HTTP1_METHOD_MAX) {
        judge(request, HTTP2_METHOD_UNKNOWN);
        return;
    }
    request->method = (struct http2_span){HTTP1_METHOD_MAX - value.len, value.len};
    memcpy(bytes_at(&request->text) + request->method.at, value.at, value.len);
}

static void take_pseudo(struct http2_request *request, struct slice name, struct slice value)
{
    if (slice_is(name, ":method")) {
        take_method(request, value);
    } else if (slice_is(name, ":path")) {
        if (value.len > HTTP2_TARGET_MAX) {
            judge(request, HTTP2_TARGET_SIZE);
        } else {
            request->path = keep(request, value);
        }
    } else if (slice_is(name, ":authority")) {
        request->authority = keep(request, value);
    } else if (slice_is(name, ":protocol")) {
        request->protocol = keep(request, value);
    } else if (!slice_is(name, ":scheme")) {
        judge(request, HTTP2_MALFORMED);
    }
}

static struct http2_line *line_at(struct http2_request *request, uint32_t index)
{
    return (struct http2_line *)(void *)bytes_at(&request->lines) + index;
}

static void add_line(struct http2_request *request, struct slice name, struct slice value)
{
    size_t len = (size_t)name.len + value.len + 4;
    char *room = bytes_room(&request->text, len);
    struct http2_line line = {(uint32_t)bytes_len(&request->text), name.len, value.len};
    if (room == NULL || !bytes_append(&request->lines, &line, sizeof line)) {
        judge(request, HTTP2_NO_MEMORY);
        return;
    }
    memcpy(room, name.at, name.len);
    memcpy(room + name.len, ": ", 2);
    if (value.len > 0) {
        memcpy(room + name.len + 2, value.at, value.len);
    }
    memcpy(room + len - 2, "\r\n", 2);
    bytes_filled(&request->text, len);
    request->count++;
}

/* To the cookie that came before; where other fields came between, it moves behind them. */
static void join_crumb(struct http2_request *request, struct slice value)
{
    uint32_t index = request->cookie - 1U;
    struct http2_line old = *line_at(request, index);
    if (index + 1U != request->count) {
        size_t len = (size_t)old.name_len + old.value_len + 4;
        uint32_t at = (uint32_t)bytes_len(&request->text);
        char *room = bytes_room(&request->text, len);
        if (room == NULL) {
            judge(request, HTTP2_NO_MEMORY);
            return;
        }
        memcpy(room, bytes_at(&request->text) + old.at, len);
        bytes_filled(&request->text, len);
        struct http2_line *line = line_at(request, index);
        memmove(line, line + 1, (request->count - index - 1U) * sizeof *line);
        index = request->count - 1U;
        old.at = at;
        *line_at(request, index) = old;
        request->cookie = request->count;
    }
    char *room = bytes_room(&request->text, (size_t)value.len + 2);
    if (room == NULL) {
        judge(request, HTTP2_NO_MEMORY);
        return;
    }
    memcpy(room - 2, "; ", 2); /* where the line ended */
    if (value.len > 0) {
        memcpy(room, value.at, value.len);
    }
    memcpy(room + value.len, "\r\n", 2);
    bytes_filled(&request->text, (size_t)value.len + 2);
    line_at(request, index)->value_len = old.value_len + value.len + 2;
}

void http2_request_field(struct http2_request *request, const struct http2_limits *limits,
                         struct slice name, struct slice value)
{
    request->list_bytes += (uint64_t)name.len + value.len + 32;
    request->fields_seen++;
    if (name.len == content_type.len && slice_same(name, content_type)) {
        request->is_grpc = grpc_is_type(value);
    }
    bool is_pseudo = name.len > 0 && name.at[0] == ':';
    if (request->list_bytes > limits->list_bytes_max
        || (!is_pseudo && request->count >= limits->fields_max)
        || request->fields_seen > limits->fields_max + 4U + (request->protocol.len > 0)) {
        judge(request, HTTP2_HEAD_SIZE);
    }
    if (request->verdict != HTTP2_FINE) {
        return;
    }
    if (is_pseudo) {
        take_pseudo(request, name, value);
    } else if (request->cookie != 0 && slice_is(name, "cookie")) {
        join_crumb(request, value);
    } else {
        add_line(request, name, value);
        if (slice_is(name, "cookie")) {
            request->cookie = request->count;
        }
    }
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static struct slice text_of(const struct http2_request *request, struct http2_span span)
{
    return (struct slice){bytes_at(&request->text) + span.at, span.len};
}

static void fill_fields(struct http2_request *request, struct http_head *head)
{
    const char *text = bytes_at(&request->text);
    const char *end = text + bytes_len(&request->text);
    for (uint32_t i = 0; i < request->count; i++) {
        const struct http2_line *line = line_at(request, i);
        struct http_field *field = &head->fields[i];
        *field =
            (struct http_field){.name = {text + line->at, line->name_len},
                                .value = {text + line->at + line->name_len + 2, line->value_len},
                                .wire = true};
        field->id = (uint8_t)http_field_id_near(field->name, end);
        head->present |= BIT(field->id);
    }
    head->field_count = request->count;
}

static bool has_twice(const struct http_head *head, enum http_field_id id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        count += head->fields[i].id == id;
    }
    return count > 1;
}

/* §8.3.1: the authority, and Host where it is missing; where both are there, they agree. */
static enum http2_verdict decide_authority(struct http_head *head)
{
    const struct http_field *host = http_find(head, HTTP_HOST);
    if (host != NULL) {
        if (has_twice(head, HTTP_HOST)
            || (head->authority.len > 0 && !slice_same_nocase(head->authority, host->value))) {
            return HTTP2_MALFORMED;
        }
        head->authority = head->authority.len > 0 ? head->authority : host->value;
    }
    if (slice_find(head->authority, '@') < head->authority.len) {
        return HTTP2_MALFORMED;
    }
    return http_authority_valid(head->authority) ? HTTP2_FINE : HTTP2_BAD_AUTHORITY;
}

static enum http2_verdict decide_target(struct http_head *head)
{
    if (head->method_id == HTTP_CONNECT || head->method_id == HTTP_TRACE) {
        return HTTP2_METHOD_REFUSED;
    }
    if (!http_name_valid(head->method) || head->path.len == 0) {
        return HTTP2_MALFORMED;
    }
    check(head->path.at != NULL);
    for (uint32_t i = 0; i < head->path.len; i++) {
        unsigned char c = (unsigned char)head->path.at[i];
        if (c <= ' ' || c == 0x7f || c == '#') {
            return c == '#' ? HTTP2_BAD_PATH : HTTP2_MALFORMED;
        }
    }
    bool is_star = slice_is(head->path, "*");
    if (is_star ? head->method_id != HTTP_OPTIONS : head->path.at[0] != '/') {
        return HTTP2_MALFORMED;
    }
    return is_star || http_path_check(head->path) ? HTTP2_FINE : HTTP2_BAD_PATH;
}

static enum http2_verdict decide_framing(struct http_head *head, bool end)
{
    const struct http_field *length = http_find(head, HTTP_CONTENT_LENGTH);
    head->framing = end ? HTTP_NO_BODY : HTTP_CHUNKED;
    if (length == NULL) {
        return HTTP2_FINE;
    }
    if (has_twice(head, HTTP_CONTENT_LENGTH)
        || !text_parse_u64(length->value, &head->content_length) || head->content_length > INT64_MAX
        || (end && head->content_length != 0)) {
        return HTTP2_MALFORMED;
    }
    head->length_said = length->value.at[0] != '0';
    head->framing = end ? HTTP_NO_BODY
                        : HTTP_LENGTH; /* of 0, too: that it ends is still to be seen */
    return HTTP2_FINE;
}

/* RFC 9110 §10.1.1; without a body it means nothing and goes no further. */
static enum http2_verdict decide_expect(struct http_head *head)
{
    if (!http_has(head, HTTP_EXPECT)) {
        return HTTP2_FINE;
    }
    bool means = head->framing != HTTP_NO_BODY;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (field->id == HTTP_EXPECT) {
            if (!slice_is_nocase(field->value, "100-continue")) {
                return HTTP2_EXPECT;
            }
            field->drop |= !means;
        }
    }
    head->expect_continue = means;
    return HTTP2_FINE;
}

/* nghttp2 has seen to it that :protocol comes with CONNECT alone, and where it was offered. */
static enum http2_verdict decide_protocol(struct http2_request *request, bool end,
                                          struct http_head *head)
{
    if (request->protocol.len == 0) {
        return HTTP2_FINE;
    }
    if (!slice_is_nocase(text_of(request, request->protocol), "websocket")) {
        return HTTP2_PROTOCOL_UNKNOWN;
    }
    if (head->method_id != HTTP_CONNECT || end || http_has(head, HTTP_CONTENT_LENGTH)) {
        return HTTP2_MALFORMED;
    }
    take_method(request, SLICE("GET")); /* where the other one lay */
    head->method = text_of(request, request->method);
    head->method_id = HTTP_GET;
    head->upgrade = true;
    return HTTP2_FINE;
}

static enum http2_verdict end_head(struct http2_request *request, bool end, struct http_head *head)
{
    unsigned words;
    head->method = text_of(request, request->method);
    head->method_id = (uint8_t)http_method_of(head->method);
    head->path = head->target = text_of(request, request->path);
    head->authority = text_of(request, request->authority);
    head->version_minor = 1;
    head->is_http2 = true;
    head->keep_alive = true;
    head->came_len = (uint32_t)bytes_len(&request->text);
    enum http2_verdict verdict = decide_protocol(request, end, head);
    if (verdict == HTTP2_FINE) {
        verdict = decide_target(head);
    }
    if (verdict == HTTP2_FINE) {
        verdict = decide_authority(head);
    }
    if (verdict == HTTP2_FINE) {
        verdict = decide_framing(head, end || head->upgrade);
    }
    if (verdict == HTTP2_FINE) {
        verdict = decide_expect(head);
    }
    if (verdict == HTTP2_FINE && !http_drop_hop_by_hop(head, NAMED_MAX, &words)) {
        verdict = HTTP2_MALFORMED;
    }
    return verdict;
}

enum http2_verdict http2_request_end(struct http2_request *request, bool end,
                                     struct http_head *head)
{
    struct http_field *fields = head->fields;
    *head = (struct http_head){.fields = fields};
    if (request->verdict != HTTP2_FINE) {
        return (enum http2_verdict)request->verdict;
    }
    fill_fields(request, head);
    if (!request->is_trailer) {
        return end_head(request, end, head);
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        head->fields[i].drop = !http_trailer_allowed(head->fields[i].name);
    }
    return HTTP2_FINE;
}
