/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of heads, in the order of the bytes: start line, fields; then what they mean together:
 * host, framing, connection. Syntax is judged byte by byte, meaning only when the start line or the
 * whole head is there, so that the verdict cannot depend on where a read ended.
 */
#include "proto/http1.h"

#include "base/check.h"
#include "proto/http1_head.h"
#include "proto/http_chars.h"

#include <string.h>

#define BIT(id) (1ULL << (id))

uint16_t http1_error_status(enum http1_error error)
{
    static const uint16_t statuses[HTTP1_ERROR_COUNT] = {[HTTP1_FINE] = 200,
#define HTTP1_ROW(name, status, word) [HTTP1_BAD_##name] = (status),
                                                         HTTP1_ERRORS(HTTP1_ROW)
#undef HTTP1_ROW
    };
    check((unsigned)error < HTTP1_ERROR_COUNT);
    return statuses[error];
}

const char *http1_error_word(enum http1_error error)
{
    static const char *const words[HTTP1_ERROR_COUNT] = {[HTTP1_FINE] = "fine",
#define HTTP1_ROW(name, status, word) [HTTP1_BAD_##name] = (word),
                                                         HTTP1_ERRORS(HTTP1_ROW)
#undef HTTP1_ROW
    };
    check((unsigned)error < HTTP1_ERROR_COUNT);
    return words[error];
}

static inline struct slice slice_between(const char *at, const char *end)
{
    return (struct slice){at, (uint32_t)(end - at)};
}

/* --- fields ---------------------------------------------------------------------------------- */

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_visible(char c)
{
    return (uint8_t)c > ' ';
}

/* What lies between the colon and the line's end, without the white space around it; and whether
 * that was one space, as nearly everywhere. */
static inline bool trim_value(const char *from, const char *stop, struct slice *ret_value)
{
    if (from[0] == ' ' && is_visible(from[1]) && is_visible(stop[-1])) {
        *ret_value = slice_between(from + 1, stop);
        return true;
    }
    const char *colon = from - 1;
    const char *line_end = stop;
    while (from < stop && is_blank(*from)) {
        from++;
    }
    while (stop > from && is_blank(stop[-1])) {
        stop--;
    }
    *ret_value = slice_between(from, stop);
    return from == colon + 2 && colon[1] == ' ' && stop == line_end;
}

/* The line at `at`. Returns where the next one begins, or NULL: an error, or more bytes are needed.
 */
static inline const char *read_field(struct http1_reader *reader, const char *at,
                                     struct http_field *field)
{
    const char *end = reader->end;
    const char *colon = http_skip_token_in(reader->start, at, end);
    if (colon == end) {
        return NULL;
    }
    if (*colon != ':' || colon == at) {
        http1_fail(reader, HTTP1_BAD_FIELD_NAME);
        return NULL;
    }
    const char *stop = http_skip_value_in(reader->start, colon + 1, end);
    if (stop == end || (*stop == '\r' && stop + 1 == end)) {
        return NULL;
    }
    if (*stop != '\r' || stop[1] != '\n') {
        http1_fail(reader, HTTP1_BAD_FIELD_VALUE);
        return NULL;
    }
    field->name = slice_between(at, colon);
    field->wire = trim_value(colon + 1, stop, &field->value);
    field->id = (uint8_t)http_field_id_near(field->name, end);
    field->drop = 0;
    return stop + 2;
}

bool http1_read_fields(struct http1_reader *reader, unsigned fields_max, struct http_head *head)
{
    uint64_t present = 0;
    unsigned count = 0;
    const char *at = reader->at;
    for (; at != reader->end && *at != '\r'; count++) {
        if (count == fields_max) {
            return http1_fail(reader, HTTP1_BAD_FIELD_COUNT);
        }
        at = read_field(reader, at, &head->fields[count]);
        if (at == NULL) {
            return false;
        }
        uint64_t bit = BIT(head->fields[count].id);
        reader->repeated |= present & bit;
        present |= bit;
    }
    if (reader->end - at < 2) {
        return false;
    }
    if (at[1] != '\n') {
        return http1_fail(reader, HTTP1_BAD_FIELD_NAME);
    }
    reader->at = at + 2;
    head->present = present & ~BIT(HTTP_FIELD_OTHER);
    head->field_count = (uint16_t)count;
    return true;
}

/* --- start lines ----------------------------------------------------------------------------- */

/* '0' in the pattern stands for any digit. */
static bool read_pattern(struct http1_reader *reader, const char *pattern, enum http1_error error)
{
    for (; *pattern != 0; pattern++, reader->at++) {
        if (reader->at == reader->end) {
            return false;
        }
        if (*pattern == '0' ? !text_is_digit(*reader->at) : *reader->at != *pattern) {
            return http1_fail(reader, error);
        }
    }
    return true;
}

static bool skip_empty_line(struct http1_reader *reader)
{
    if (reader->at == reader->end) {
        return false;
    }
    return *reader->at != '\r' || read_pattern(reader, "\r\n", HTTP1_BAD_METHOD);
}

/* A run of bytes that a space ends. */
static bool read_word(struct http1_reader *reader, const char *stop, enum http1_error error,
                      struct slice *ret_word)
{
    if (stop == reader->end) {
        return false;
    }
    if (*stop != ' ' || stop == reader->at) {
        return http1_fail(reader, error);
    }
    *ret_word = slice_between(reader->at, stop);
    reader->at = stop + 1;
    return true;
}

static bool read_method(struct http1_reader *reader, struct http_head *head)
{
    const char *stop = http_skip_token_in(reader->start, reader->at, reader->end);
    if (stop - reader->at > HTTP1_METHOD_MAX) {
        return http1_fail(reader, HTTP1_BAD_METHOD);
    }
    return read_word(reader, stop, HTTP1_BAD_METHOD, &head->method);
}

static bool read_target(struct http1_reader *reader, uint32_t target_bytes_max,
                        struct http_head *head)
{
    const char *stop = http_skip_target_in(reader->start, reader->at, reader->end);
    if ((size_t)(stop - reader->at) > target_bytes_max) {
        return http1_fail(reader, HTTP1_BAD_TARGET_LENGTH);
    }
    return read_word(reader, stop, HTTP1_BAD_TARGET, &head->target);
}

/* Of the form x.y that was read; only 1.0 and 1.1 are spoken. */
static inline bool check_version(struct http1_reader *reader, const char *digits,
                                 struct http_head *head)
{
    if (digits[0] != '1' || digits[2] > '1') {
        return http1_fail(reader, HTTP1_BAD_VERSION);
    }
    head->version_minor = (uint8_t)(digits[2] - '0');
    return true;
}

/* scheme://authority[path]: splits what follows the scheme. */
static bool split_absolute(struct http1_reader *reader, struct slice rest, struct http_head *head)
{
    uint32_t stop = 0;
    while (stop < rest.len && rest.at[stop] != '/' && rest.at[stop] != '?') {
        stop++;
    }
    head->authority = slice_sub(rest, 0, stop);
    head->path = slice_sub(rest, stop, rest.len);
    if (head->path.len == 0) {
        head->path = head->method_id == HTTP_OPTIONS ? SLICE("*") : SLICE("/");
    }
    /* "http://a?b" has a path that is not among its bytes. */
    if (head->path.at[0] == '?' || !http_authority_valid(head->authority)) {
        return http1_fail(reader, HTTP1_BAD_TARGET);
    }
    return true;
}

static bool has_scheme(struct slice target, struct slice scheme)
{
    return target.len > scheme.len && slice_same_nocase(slice_sub(target, 0, scheme.len), scheme);
}

/* RFC 9112 §3.2: origin-form, absolute-form, or "*" for OPTIONS. */
static bool split_target(struct http1_reader *reader, struct http_head *head)
{
    struct slice target = head->target;
    if (target.at[0] == '/'
        || (target.len == 1 && target.at[0] == '*' && head->method_id == HTTP_OPTIONS)) {
        head->path = target;
        return true;
    }
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (unsigned i = 0; i < 2; i++) {
        if (has_scheme(target, schemes[i])) {
            struct slice rest = slice_sub(target, schemes[i].len, target.len);
            return split_absolute(reader, rest, head);
        }
    }
    return http1_fail(reader, HTTP1_BAD_TARGET);
}

/* Whether the next bytes are the usual ones. */
static inline bool next_is(const struct http1_reader *reader, const char *usual, size_t len)
{
    return (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, usual, len) == 0;
}

/* The version of a request, with the line's end. */
static inline bool read_version(struct http1_reader *reader, struct http_head *head)
{
    if (next_is(reader, "HTTP/1.1\r\n", 10)) {
        reader->at += 10;
        head->version_minor = 1;
        return true;
    }
    return read_pattern(reader, "HTTP/0.0\r\n", HTTP1_BAD_START_LINE)
           && check_version(reader, reader->at - 5, head);
}

static bool read_request_line(struct http1_reader *reader, const struct http1_limits *limits,
                              struct http_head *head)
{
    if (!skip_empty_line(reader) || !read_method(reader, head)
        || !read_target(reader, limits->target_bytes_max, head) || !read_version(reader, head)) {
        return false;
    }
    head->method_id = (uint8_t)http_method_of(head->method);
    if (head->method_id == HTTP_CONNECT || head->method_id == HTTP_TRACE) {
        return http1_fail(reader, HTTP1_BAD_METHOD_REFUSED);
    }
    if (!split_target(reader, head)) {
        return false;
    }
    /* The path of an absolute target may be ours, and not among its bytes. */
    const char *limit = head->path.at == head->target.at ? reader->end
                                                         : head->path.at + head->path.len;
    return http_path_check_near(head->path, limit) || http1_fail(reader, HTTP1_BAD_PATH);
}

static bool read_status_line(struct http1_reader *reader, struct http_head *head)
{
    if (next_is(reader, "HTTP/1.1 200 OK\r\n", 17)) {
        head->reason = (struct slice){reader->at + 13, 2};
        head->version_minor = 1;
        head->status = 200;
        reader->at += 17;
        return true;
    }
    if (!read_pattern(reader, "HTTP/0.0 000", HTTP1_BAD_STATUS)) {
        return false;
    }
    const char *digits = reader->at - 7; /* "1.1 200" */
    if (reader->at == reader->end) {
        return false;
    }
    /* The space before an empty reason is often forgotten. */
    if (*reader->at == ' ') {
        reader->at++;
    } else if (*reader->at != '\r') {
        return http1_fail(reader, HTTP1_BAD_STATUS);
    }
    const char *stop = http_skip_value_in(reader->start, reader->at, reader->end);
    head->reason = slice_between(reader->at, stop);
    reader->at = stop;
    if (!read_pattern(reader, "\r\n", HTTP1_BAD_STATUS) || !check_version(reader, digits, head)) {
        return false;
    }
    head->status = (uint16_t)((digits[4] - '0') * 100 + (digits[5] - '0') * 10 + (digits[6] - '0'));
    return head->status >= 100 || http1_fail(reader, HTTP1_BAD_STATUS);
}

/* --- what the fields mean -------------------------------------------------------------------- */

static struct slice without_default_port(struct slice authority, bool https)
{
    struct slice suffix = https ? SLICE(":443") : SLICE(":80");
    return slice_ends(authority, suffix) ? slice_sub(authority, 0, authority.len - suffix.len)
                                         : authority;
}

/* RFC 9112 §3.2: exactly one Host, valid, and the same as in an absolute-form target. */
static bool decide_host(struct http1_reader *reader, struct http_head *head)
{
    const struct http_field *host = http_find(head, HTTP_HOST);
    if (host == NULL) {
        return head->version_minor == 0 || http1_fail(reader, HTTP1_BAD_HOST);
    }
    if ((reader->repeated & BIT(HTTP_HOST)) != 0
        || !http_authority_valid_near(host->value, reader->start, reader->end)) {
        return http1_fail(reader, HTTP1_BAD_HOST);
    }
    if (head->authority.len != 0) {
        bool https = has_scheme(head->target, SLICE("https://"));
        if (!slice_same_nocase(without_default_port(host->value, https),
                               without_default_port(head->authority, https))) {
            return http1_fail(reader, HTTP1_BAD_HOST);
        }
    }
    head->authority = host->value;
    return true;
}

/* One `chunked`, and it is the last. Other codings before it are well-formed, but not ours. */
static enum http1_error judge_coding(struct slice list)
{
    enum http1_error error = HTTP1_FINE;
    struct slice part;
    bool chunked = false;
    while (slice_split(&list, ',', &part)) {
        struct slice coding = slice_trim(part);
        if (chunked || !http_name_valid(coding)) {
            return HTTP1_BAD_CODING;
        }
        chunked = slice_is_nocase(coding, "chunked");
        error = chunked ? error : HTTP1_BAD_CODING_UNKNOWN;
    }
    return chunked ? error : HTTP1_BAD_CODING;
}

static bool decide_coding(struct http1_reader *reader, struct http_head *head)
{
    /* A reader of HTTP/1.0 knows no Transfer-Encoding and would look for the end elsewhere. */
    if ((reader->repeated & BIT(HTTP_TRANSFER_ENCODING)) != 0 || head->version_minor == 0) {
        return http1_fail(reader, HTTP1_BAD_CODING);
    }
    enum http1_error error = judge_coding(http_find(head, HTTP_TRANSFER_ENCODING)->value);
    if (error != HTTP1_FINE) {
        return http1_fail(reader, error);
    }
    head->framing = HTTP_CHUNKED;
    return true;
}

static bool decide_length(struct http1_reader *reader, struct http_head *head)
{
    struct slice value = http_find(head, HTTP_CONTENT_LENGTH)->value;
    if ((reader->repeated & BIT(HTTP_CONTENT_LENGTH)) != 0
        || !text_parse_u64(value, &head->content_length) || head->content_length > INT64_MAX) {
        return http1_fail(reader, HTTP1_BAD_LENGTH);
    }
    head->length_said = value.at[0] != '0';
    head->framing = head->content_length == 0 ? HTTP_NO_BODY : HTTP_LENGTH;
    return true;
}

/* RFC 9112 §6. Without either field: `otherwise`. */
static bool decide_framing(struct http1_reader *reader, struct http_head *head,
                           enum http_framing otherwise)
{
    bool coding = http_has(head, HTTP_TRANSFER_ENCODING);
    bool length = http_has(head, HTTP_CONTENT_LENGTH);
    if (coding && length) {
        return http1_fail(reader, HTTP1_BAD_LENGTH_AND_CODING);
    }
    if (coding) {
        return decide_coding(reader, head);
    }
    if (length) {
        return decide_length(reader, head);
    }
    head->framing = (uint8_t)otherwise;
    return true;
}

/* Upgrade names something, and nothing of it is HTTP/2, which is never spoken that way. */
static bool upgrade_meant(const struct http1_reader *reader, const struct http_head *head)
{
    const struct http_field *upgrade = http_find(head, HTTP_UPGRADE);
    if (upgrade == NULL || (reader->repeated & BIT(HTTP_UPGRADE)) != 0) {
        return false;
    }
    struct slice list = upgrade->value;
    struct slice part;
    while (slice_split(&list, ',', &part)) {
        struct slice protocol = slice_trim(part);
        if (protocol.len == 0 || slice_is_nocase(protocol, "h2c")
            || slice_is_nocase(protocol, "h2")) {
            return false;
        }
    }
    return true;
}

static bool decide_connection(struct http1_reader *reader, struct http_head *head)
{
    unsigned words = 0;
    if (!http_drop_hop_by_hop(head, HTTP1_NAMED_MAX, &words)) {
        return http1_fail(reader, HTTP1_BAD_CONNECTION);
    }
    bool close = (words & HTTP_CONNECTION_CLOSE) != 0;
    if (head->version_minor == 0) {
        head->keep_alive = !close && (words & HTTP_CONNECTION_KEEP_ALIVE) != 0;
        return true;
    }
    head->keep_alive = !close;
    head->upgrade = (words & HTTP_CONNECTION_UPGRADE) != 0 && upgrade_meant(reader, head);
    return true;
}

/* RFC 9110 §10.1.1. Without a body, and in HTTP/1.0, it means nothing and goes no further. */
static bool decide_expect(struct http1_reader *reader, struct http_head *head)
{
    if (!http_has(head, HTTP_EXPECT)) {
        return true;
    }
    bool means = head->version_minor > 0 && head->framing != HTTP_NO_BODY;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (field->id != HTTP_EXPECT) {
            continue;
        }
        if (head->version_minor > 0
            && ((reader->repeated & BIT(HTTP_EXPECT)) != 0
                || !slice_is_nocase(field->value, "100-continue"))) {
            return http1_fail(reader, HTTP1_BAD_EXPECT);
        }
        field->drop |= !means;
    }
    head->expect_continue = means;
    return true;
}

static bool no_body_after(const struct http_head *head, struct http1_asked asked)
{
    return asked.method_id == HTTP_HEAD || head->status < 200 || head->status == 204
           || head->status == 304;
}

/* A body where none may be: the peer may think that it follows, so nothing is read behind it. */
static void forget_body(struct http_head *head)
{
    bool never = head->status < 200 || head->status == 204;
    if (never && head->framing != HTTP_NO_BODY && head->framing != HTTP_UNTIL_CLOSE) {
        head->keep_alive = false;
    }
    head->framing = HTTP_NO_BODY;
}

static bool decide_answer(struct http1_reader *reader, struct http1_asked asked,
                          struct http_head *head)
{
    if (!decide_framing(reader, head, HTTP_UNTIL_CLOSE) || !decide_connection(reader, head)) {
        return false;
    }
    if (head->status == 101 && (!asked.upgrade || !head->upgrade)) {
        return http1_fail(reader, HTTP1_BAD_STATUS);
    }
    head->upgrade = head->status == 101;
    if (no_body_after(head, asked)) {
        forget_body(head);
    } else if (head->framing == HTTP_UNTIL_CLOSE) {
        head->keep_alive = false;
    }
    return true;
}

/* --- whole heads ----------------------------------------------------------------------------- */

static void clear_head(struct http_head *head)
{
    struct http_field *fields = head->fields;
    *head = (struct http_head){.fields = fields};
}

static bool read_request(struct http1_reader *reader, const struct http1_limits *limits,
                         struct http_head *head)
{
    return read_request_line(reader, limits, head)
           && http1_read_fields(reader, limits->fields_max, head) && decide_host(reader, head)
           && decide_framing(reader, head, HTTP_NO_BODY) && decide_connection(reader, head)
           && decide_expect(reader, head);
}

static bool read_response(struct http1_reader *reader, const struct http1_limits *limits,
                          struct http1_asked asked, struct http_head *head)
{
    return read_status_line(reader, head) && http1_read_fields(reader, limits->fields_max, head)
           && decide_answer(reader, asked, head);
}

/* What to parse, and into what. */
struct job {
    enum http1_judged what;
    struct http1_asked asked;
    const struct http1_limits *limits;
    struct http_head *head;
};

static ssize_t parse_whole(const struct job *job, const char *buf, size_t len)
{
    struct http1_reader reader = {.at = buf, .end = buf + len, .start = buf};
    clear_head(job->head);
    bool complete = job->what == HTTP1_JUDGE_REQUEST
                        ? read_request(&reader, job->limits, job->head)
                        : read_response(&reader, job->limits, job->asked, job->head);
    if (!complete) {
        return -(ssize_t)reader.error;
    }
    job->head->came_len = (uint32_t)(reader.at - buf);
    return reader.at - buf;
}

static enum http1_error too_large(const struct job *job, const struct http1_progress *progress)
{
    bool in_target = job->what == HTTP1_JUDGE_REQUEST && http1_in_start_line(progress);
    return in_target ? HTTP1_BAD_TARGET_LENGTH : HTTP1_BAD_HEAD_SIZE;
}

/* Not complete at its first sight: the judge goes over the new bytes. */
static ssize_t parse_partial(struct http1_progress *progress, const struct job *job,
                             const char *buf, size_t len)
{
    while (http1_judge(progress, job->what, buf, len, job->limits)) {
        ssize_t result = parse_whole(job, buf, progress->judged);
        if (result != 0) {
            return result;
        }
        if (http1_judged_out(progress)) {
            /* Ours to mend, but theirs to be refused. */
            check_deep(!"the judge and the parser disagree");
            return -(ssize_t)HTTP1_BAD_START_LINE;
        }
    }
    return len == job->limits->head_bytes_max ? -(ssize_t)too_large(job, progress) : 0;
}

static ssize_t parse(struct http1_progress *progress, const struct job *job, const char *buf,
                     size_t len)
{
    check(job->limits->fields_max <= HTTP_FIELDS_MAX);
    size_t seen = len < job->limits->head_bytes_max ? len : job->limits->head_bytes_max;
    ssize_t result = progress->judged == 0 ? parse_whole(job, buf, seen) : 0;
    if (result == 0) {
        result = parse_partial(progress, job, buf, seen);
    }
    if (result != 0) {
        *progress = (struct http1_progress){0};
    }
    return result;
}

ssize_t http1_parse_request(struct http1_progress *progress, const char *buf, size_t len,
                            const struct http1_limits *limits, struct http_head *ret_head)
{
    const struct job job = {HTTP1_JUDGE_REQUEST, {0}, limits, ret_head};
    return parse(progress, &job, buf, len);
}

ssize_t http1_parse_response(struct http1_progress *progress, const char *buf, size_t len,
                             const struct http1_limits *limits, struct http1_asked asked,
                             struct http_head *ret_head)
{
    const struct job job = {HTTP1_JUDGE_RESPONSE, asked, limits, ret_head};
    return parse(progress, &job, buf, len);
}
