/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/resp.h"

#include "base/check.h"

#define NUMBER_MAX 40U /* bytes of a line that says a number */
#define DIGITS_MAX 20U

/* A value's head while it is read. */
struct element {
    const struct resp_limits *limits;
    const char *at;
    size_t len;
    size_t line;       /* looked through before */
    size_t left;       /* bytes that the reply may still have */
    size_t used;       /* in the end: all of it but the values in it; 0: it is not whole */
    struct slice text; /* of the line, without its first byte and its end */
    enum resp_error error;
    struct resp_value value;
};

const char *resp_error_text(enum resp_error error)
{
    static const char *const texts[] = {[RESP_FINE] = "",
#define RESP_ROW(name, text) [RESP_BAD_##name] = (text),
                                        RESP_ERRORS(RESP_ROW)
#undef RESP_ROW
    };
    return (unsigned)error < RESP_ERROR_COUNT ? texts[error] : "unknown";
}

/* --- a value ------------------------------------------------------------------------------------
 */

static enum resp_type type_of(char first)
{
    switch (first) {
    case '+': return RESP_STATUS;
    case '-':
    case '!': return RESP_FAILED;
    case ':': return RESP_NUMBER;
    case '$':
    case '=': return RESP_TEXT;
    case '(': return RESP_BIG;
    case ',': return RESP_DOUBLE;
    case '#': return RESP_BOOL;
    case '*': return RESP_ARRAY;
    case '~': return RESP_SET;
    case '%': return RESP_MAP;
    case '>': return RESP_PUSH;
    case '|': return RESP_ATTRIBUTE;
    default: return RESP_NULL; /* '_', or none at all */
    }
}

static bool has_text(char first)
{
    return first == '+' || first == '-' || first == '(';
}

/* Is the line whole? What shows that it cannot be one is an error now. */
static bool find_line(struct element *el)
{
    size_t max = has_text(el->at[0]) ? el->limits->line_max : NUMBER_MAX;
    size_t room = el->len < max + 3 ? el->len : max + 3; /* the type, and the end */
    size_t from = el->line > 1 ? el->line : 1;
    const char *cr = from < room ? memchr(el->at + from, '\r', room - from) : NULL;
    size_t end = cr != NULL ? (size_t)(cr - el->at) : room;
    size_t within = end < max + 1 ? end : max + 1; /* what is behind is too long, whatever it is */
    bool has_lf = from < within && memchr(el->at + from, '\n', within - from) != NULL;
    if (!has_lf && end - 1 > max) {
        el->error = RESP_BAD_LINE_LENGTH;
    } else if (has_lf || (cr != NULL && end + 1 < el->len && el->at[end + 1] != '\n')) {
        el->error = RESP_BAD_LINE;
    }
    el->line = end;
    el->text = (struct slice){el->at + 1, (uint32_t)(end - 1)};
    el->used = end + 2;
    return el->error == RESP_FINE && cr != NULL && end + 1 < el->len;
}

static bool read_integer(struct element *el)
{
    struct slice text = el->text;
    if (text.len > 1 && text.at[0] == '+' && text_is_digit(text.at[1])) {
        text = slice_sub(text, 1, text.len);
    }
    if (!text_parse_i64(text, &el->value.number)) {
        el->error = RESP_BAD_NUMBER;
    }
    return el->error == RESP_FINE;
}

static bool is_double(struct slice text)
{
    if (slice_is(text, "inf") || slice_is(text, "-inf") || slice_is(text, "nan")
        || slice_is(text, "-nan")) {
        return true;
    }
    bool has_digit = false;
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        has_digit = has_digit || text_is_digit(c);
        if (!text_is_digit(c) && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E') {
            return false;
        }
    }
    return has_digit;
}

static bool is_big(struct slice text)
{
    uint32_t from = text.len > 0 && (text.at[0] == '-' || text.at[0] == '+');
    for (uint32_t i = from; i < text.len; i++) {
        if (!text_is_digit(text.at[i])) {
            return false;
        }
    }
    return text.len > from;
}

/* A length, or a count; one of -1 is a null where there is one. */
static bool read_length(struct element *el, bool may_be_null, uint64_t *ret_length)
{
    if (slice_is(el->text, "?")) {
        el->error = RESP_BAD_STREAMED;
    } else if (may_be_null && slice_is(el->text, "-1")) {
        el->value.type = RESP_NULL;
    } else if (!text_parse_u64(el->text, ret_length)) {
        el->error = RESP_BAD_NUMBER;
    }
    return el->error == RESP_FINE && el->value.type != RESP_NULL;
}

static void read_bulk(struct element *el)
{
    uint64_t len;
    if (!read_length(el, el->at[0] == '$', &len)) {
        return;
    }
    if (len > el->limits->bulk_max) {
        el->error = RESP_BAD_BULK_LENGTH;
        return;
    }
    const char *text = el->at + el->used;
    size_t have = el->len - el->used;
    el->value.text = (struct slice){text, (uint32_t)len};
    el->used += (size_t)len + 2;
    if (el->used > el->left) {
        el->error = RESP_BAD_REPLY_LENGTH;
    } else if ((have > len && text[len] != '\r') || (have > len + 1 && text[len + 1] != '\n')) {
        el->error = RESP_BAD_BULK_END;
    } else if (have < len + 2) {
        el->used = 0;
    }
}

static void read_verbatim(struct element *el)
{
    read_bulk(el);
    if (el->error != RESP_FINE || el->used == 0) {
        return;
    }
    struct slice *text = &el->value.text;
    if (text->len < 4 || text->at[3] != ':') {
        el->error = RESP_BAD_VERBATIM;
    } else {
        *text = slice_sub(*text, 4, text->len);
    }
}

static void read_count(struct element *el)
{
    bool is_pairs = el->at[0] == '%' || el->at[0] == '|';
    uint64_t count;
    if (!read_length(el, el->at[0] == '*', &count)) {
        return;
    }
    if (count > el->limits->count_max / (is_pairs ? 2 : 1)) {
        el->error = RESP_BAD_COUNT;
        return;
    }
    el->value.count = (uint32_t)count * (is_pairs ? 2 : 1);
}

static void read_word(struct element *el)
{
    struct slice text = el->text;
    bool is_right = false;
    switch (el->at[0]) {
    case '#':
        is_right = slice_is(text, "t") || slice_is(text, "f");
        el->value.number = slice_is(text, "t");
        break;
    case ',': is_right = is_double(text); break;
    case '(': is_right = is_big(text); break;
    default: is_right = text.len == 0; break; /* '_' */
    }
    if (el->value.type == RESP_DOUBLE || el->value.type == RESP_BIG) {
        el->value.text = text;
    }
    if (!is_right) {
        el->error = RESP_BAD_WORD;
    }
}

/* el->used is 0 where it is not whole, or wrong. */
static void read_element(struct element *el)
{
    char first = el->at[0];
    el->value = (struct resp_value){.type = type_of(first)};
    if (el->value.type == RESP_NULL && first != '_') {
        el->error = RESP_BAD_TYPE;
        return;
    }
    if (!find_line(el)) {
        el->used = 0;
        return;
    }
    switch (first) {
    case '+':
    case '-': el->value.text = el->text; break;
    case ':': read_integer(el); break;
    case '$':
    case '!': read_bulk(el); break;
    case '=': read_verbatim(el); break;
    case '*':
    case '~':
    case '%':
    case '>':
    case '|': read_count(el); break;
    default: read_word(el); break;
    }
}

/* --- a reply ------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

void resp_reader_init(struct resp_reader *reader, const struct resp_limits *limits)
{
    static const struct resp_limits none = {0};
    limits = limits != NULL ? limits : &none;
    *reader = (struct resp_reader){
        .limits = {.depth_max = or_default(limits->depth_max, RESP_DEPTH_MAX),
                   .bulk_max = or_default(limits->bulk_max, RESP_BULK_MAX),
                   .line_max = or_default(limits->line_max, RESP_LINE_MAX),
                   .count_max = or_default(limits->count_max, RESP_COUNT_MAX),
                   .reply_max = or_default(limits->reply_max, RESP_REPLY_MAX)}};
    check(reader->limits.depth_max <= RESP_DEPTH_MAX);
}

/* A value was read; those in it come next. */
static void take(struct resp_reader *reader, const struct resp_value *value)
{
    bool is_attribute = value->type == RESP_ATTRIBUTE; /* of the value behind it, and none itself */
    bool is_root = reader->depth == 0 && !is_attribute;
    if (value->type == RESP_PUSH && reader->depth > 0) {
        reader->error = RESP_BAD_PUSH;
        return;
    }
    if (reader->depth > 0 && !is_attribute) {
        reader->frames[reader->depth - 1].left--;
    }
    reader->has_root = reader->has_root || is_root;
    if (value->count > 0) {
        if (reader->depth == reader->limits.depth_max) {
            reader->error = RESP_BAD_DEPTH;
            return;
        }
        reader->frames[reader->depth++].left = value->count;
    }
    while (reader->depth > 0 && reader->frames[reader->depth - 1].left == 0) {
        reader->depth--;
    }
}

static bool is_whole(const struct resp_reader *reader)
{
    return reader->depth == 0 && reader->has_root;
}

size_t resp_read(struct resp_reader *reader, const char *at, size_t len)
{
    while (reader->error == RESP_FINE && !is_whole(reader) && reader->seen < len) {
        struct element el = {.limits = &reader->limits,
                             .at = at + reader->seen,
                             .len = len - reader->seen,
                             .line = reader->line,
                             .left = reader->limits.reply_max - reader->seen};
        read_element(&el);
        reader->error = el.error;
        if (el.error == RESP_FINE && el.used > el.left) {
            reader->error = RESP_BAD_REPLY_LENGTH;
        } else if (el.error == RESP_FINE && el.used == 0) {
            reader->line = el.line;
            return 0;
        } else if (el.error == RESP_FINE) {
            reader->seen += el.used;
            reader->line = 0;
            take(reader, &el.value);
        }
    }
    if (reader->error != RESP_FINE || !is_whole(reader)) {
        return 0;
    }
    size_t whole = reader->seen;
    reader->seen = 0;
    reader->has_root = false;
    return whole;
}

/* --- its values ---------------------------------------------------------------------------------
 */

static bool next_any(struct resp_walk *walk, struct resp_value *ret_value)
{
    static const struct resp_limits any = {
        .bulk_max = UINT32_MAX, .line_max = UINT32_MAX - 3, .count_max = UINT32_MAX};
    struct element el = {
        .limits = &any, .at = walk->at, .len = (size_t)(walk->end - walk->at), .left = SIZE_MAX};
    if (el.len == 0) {
        return false;
    }
    read_element(&el);
    if (el.error != RESP_FINE || el.used == 0) {
        walk->at = walk->end; /* not what resp_read() found */
        return false;
    }
    walk->at += el.used;
    *ret_value = el.value;
    return true;
}

void resp_pass(struct resp_walk *walk, const struct resp_value *value)
{
    struct resp_value inner;
    for (uint64_t left = value->count; left > 0 && next_any(walk, &inner);) {
        left += inner.count;
        left -= inner.type != RESP_ATTRIBUTE;
    }
}

bool resp_next(struct resp_walk *walk, struct resp_value *ret_value)
{
    struct resp_value value;
    while (next_any(walk, &value)) {
        if (value.type != RESP_ATTRIBUTE) {
            *ret_value = value;
            return true;
        }
        resp_pass(walk, &value);
    }
    return false;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void put(struct resp_writer *writer, const void *at, size_t len)
{
    writer->failed = writer->failed || !bytes_append(writer->out, at, len);
}

/* Where the digits begin, which end at `end`. */
static char *print(char *end, uint64_t number)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

static void put_head(struct resp_writer *writer, char type, uint32_t number)
{
    char head[1 + DIGITS_MAX + 2], *end = head + 1 + DIGITS_MAX;
    end[0] = '\r';
    end[1] = '\n';
    char *at = print(end, number) - 1;
    *at = type;
    put(writer, at, (size_t)(end + 2 - at));
}

void resp_begin(struct resp_writer *writer, struct bytes *out, uint32_t words)
{
    check(words > 0);
    *writer = (struct resp_writer){.out = out, .began = bytes_len(out), .left = words};
    put_head(writer, '*', words);
}

void resp_word(struct resp_writer *writer, struct slice word)
{
    check(writer->left > 0);
    writer->left--;
    put_head(writer, '$', word.len);
    if (word.len > 0) {
        put(writer, word.at, word.len);
    }
    put(writer, "\r\n", 2);
}

void resp_number(struct resp_writer *writer, uint64_t number)
{
    char text[DIGITS_MAX], *end = text + DIGITS_MAX;
    char *at = print(end, number);
    resp_word(writer, (struct slice){at, (uint32_t)(end - at)});
}

bool resp_end(struct resp_writer *writer)
{
    check(writer->left == 0);
    if (writer->failed) {
        writer->out->to = writer->out->from + writer->began;
    }
    return !writer->failed;
}

bool resp_command(struct bytes *out, const struct slice *words, uint32_t count)
{
    struct resp_writer writer;
    resp_begin(&writer, out, count);
    for (uint32_t i = 0; i < count; i++) {
        resp_word(&writer, words[i]);
    }
    return resp_end(&writer);
}
