/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_read.h"

#include "proto/utf8.h"

#include <string.h>

struct scan {
    const char *at, *end;
};

static bool scan_value(struct scan *scan, unsigned depth);

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && is_space(*scan->at)) {
        scan->at++;
    }
}

static bool take(struct scan *scan, char c)
{
    bool is_there = scan->at < scan->end && *scan->at == c;
    scan->at += is_there;
    return is_there;
}

static bool take_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    bool is_there = (size_t)(scan->end - scan->at) >= len && memcmp(scan->at, word, len) == 0;
    scan->at += is_there ? len : 0;
    return is_there;
}

static bool take_digits(struct scan *scan)
{
    const char *from = scan->at;
    while (scan->at < scan->end && text_is_digit(*scan->at)) {
        scan->at++;
    }
    return scan->at > from;
}

static bool scan_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan)) {
        return false;
    }
    if (take(scan, '.') && !take_digits(scan)) {
        return false;
    }
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+')) {
            take(scan, '-');
        }
        return take_digits(scan);
    }
    return true;
}

/* Four hexadecimal digits; -1: they are not. */
static int32_t take_unit(struct scan *scan)
{
    uint64_t unit;
    if (scan->end - scan->at < 4 || !text_parse_hex((struct slice){scan->at, 4}, &unit)) {
        return -1;
    }
    scan->at += 4;
    return (int32_t)unit;
}

/* Behind "\u". A surrogate without its other half is -1. */
static int32_t take_point(struct scan *scan)
{
    int32_t unit = take_unit(scan);
    if (unit < 0xd800 || unit > 0xdfff) {
        return unit;
    }
    if (unit > 0xdbff || !take_word(scan, "\\u")) {
        return -1;
    }
    int32_t low = take_unit(scan);
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : -1;
}

/* Behind the first quote. */
static bool scan_text(struct scan *scan)
{
    while (scan->at < scan->end) {
        char c = *scan->at++;
        if (c == '"') {
            return true;
        }
        if ((unsigned char)c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        if (take(scan, 'u')) {
            if (take_point(scan) < 0) {
                return false;
            }
        } else if (scan->at == scan->end || strchr("\"\\/bfnrt", *scan->at) == NULL
                   || *scan->at == '\0') {
            return false;
        } else {
            scan->at++;
        }
    }
    return false;
}

static bool scan_name(struct scan *scan)
{
    if (!take(scan, '"') || !scan_text(scan)) {
        return false;
    }
    skip_space(scan);
    return take(scan, ':');
}

/* Behind the bracket. */
static bool scan_container(struct scan *scan, bool is_object, unsigned depth)
{
    char end = is_object ? '}' : ']';
    skip_space(scan);
    if (take(scan, end)) {
        return true;
    }
    do {
        skip_space(scan);
        if ((is_object && !scan_name(scan)) || !scan_value(scan, depth)) {
            return false;
        }
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, end);
}

static bool scan_value(struct scan *scan, unsigned depth)
{
    skip_space(scan);
    if (scan->at == scan->end) {
        return false;
    }
    switch (*scan->at) {
    case '{':
    case '[':
        if (depth == 0) {
            return false;
        }
        scan->at++;
        return scan_container(scan, scan->at[-1] == '{', depth - 1);
    case '"': scan->at++; return scan_text(scan);
    case 't': return take_word(scan, "true");
    case 'f': return take_word(scan, "false");
    case 'n': return take_word(scan, "null");
    default: return scan_number(scan);
    }
}

bool json_check(struct slice text)
{
    struct utf8 utf8 = {0};
    if (text.len == 0 || !utf8_feed(&utf8, text.at, text.len) || !utf8_is_whole(&utf8)) {
        return false;
    }
    struct scan scan = {text.at, text.at + text.len};
    if (!scan_value(&scan, JSON_DEPTH_MAX)) {
        return false;
    }
    skip_space(&scan);
    return scan.at == scan.end;
}

struct slice json_trim(struct slice text)
{
    while (text.len > 0 && is_space(text.at[0])) {
        text = slice_sub(text, 1, text.len);
    }
    while (text.len > 0 && is_space(text.at[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* --- looking in ---------------------------------------------------------------------------------
 */

static struct slice taken(const char *from, const struct scan *scan)
{
    return (struct slice){from, (uint32_t)(scan->at - from)};
}

bool json_next(struct slice container, struct json_at *at, struct slice *ret_name,
               struct slice *ret_value)
{
    bool is_object = json_is_object(container);
    if (container.len < 2 || (!is_object && container.at[0] != '[')) {
        return false;
    }
    struct scan scan = {container.at + (at->used > 0 ? at->used : 1), container.at + container.len};
    skip_space(&scan);
    if (at->used > 0 && !take(&scan, ',')) {
        return false;
    }
    skip_space(&scan);
    *ret_name = (struct slice){scan.at, 0};
    if (is_object) {
        const char *name = scan.at;
        if (!take(&scan, '"') || !scan_text(&scan)) {
            return false; /* there is none */
        }
        *ret_name = (struct slice){name + 1, (uint32_t)(scan.at - name) - 2};
        skip_space(&scan);
        take(&scan, ':');
        skip_space(&scan);
    }
    const char *value = scan.at;
    if (!scan_value(&scan, JSON_DEPTH_MAX)) {
        return false;
    }
    *ret_value = taken(value, &scan);
    at->used = (uint32_t)(scan.at - container.at);
    return true;
}

static uint32_t plain_of(char escaped)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found = strchr(from, escaped);
    return found != NULL ? (uint32_t)to[found - from] : (uint32_t)escaped;
}

/* One character, as it was written or escaped; 0: NUL. */
static size_t take_character(struct scan *scan, char ret[static UTF8_MAX])
{
    char c = *scan->at++;
    if (c != '\\') {
        ret[0] = c; /* or a byte of one */
        return 1;
    }
    uint32_t point = take(scan, 'u') ? (uint32_t)take_point(scan) : plain_of(*scan->at++);
    return point > 0 ? utf8_write(point, ret) : 0;
}

/* The text between two quotes. */
static size_t undo_escapes(struct slice inner, char *ret_text, size_t size)
{
    struct scan scan = {inner.at, inner.at + inner.len};
    size_t len = 0;
    while (scan.at < scan.end) {
        char plain[UTF8_MAX];
        size_t more = take_character(&scan, plain);
        if (more == 0 || size - len <= more) {
            return JSON_NO_TEXT;
        }
        memcpy(ret_text + len, plain, more);
        len += more;
    }
    ret_text[len] = '\0';
    return len;
}

size_t json_get_text(struct slice value, char *ret_text, size_t size)
{
    if (value.len < 2 || value.at[0] != '"' || size == 0) {
        return JSON_NO_TEXT;
    }
    return undo_escapes(slice_sub(value, 1, value.len - 1), ret_text, size);
}

bool json_member(struct slice object, struct slice name, struct slice *ret_value)
{
    struct json_at at = {0};
    struct slice key, value;
    char plain[128];
    unsigned found = 0;
    while (json_is_object(object) && json_next(object, &at, &key, &value)) {
        size_t len = undo_escapes(key, plain, sizeof plain);
        if (len == name.len && memcmp(plain, name.at, len) == 0) {
            *ret_value = value;
            found++;
        }
    }
    return found == 1;
}

bool json_get_u64(struct slice value, uint64_t *ret_number)
{
    return value.len > 0 && text_is_digit(value.at[0]) && text_parse_u64(value, ret_number);
}

bool json_get_bool(struct slice value, bool *ret_bool)
{
    *ret_bool = slice_same(value, SLICE("true"));
    return *ret_bool || slice_same(value, SLICE("false"));
}
