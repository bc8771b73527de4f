/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_texts.h"

#include "proto/utf8.h"

#include <string.h>

#define KEY_MAX 64U

static void skip_space(struct slice *rest)
{
    while (rest->len > 0 && strchr(" \t\r\n", rest->at[0]) != NULL && rest->at[0] != '\0') {
        rest->at++;
        rest->len--;
    }
}

static bool take(struct slice *rest, char wanted)
{
    skip_space(rest);
    if (rest->len == 0 || rest->at[0] != wanted) {
        return false;
    }
    rest->at++;
    rest->len--;
    return true;
}

/* \uXXXX, but no half of a pair and no NUL: as UTF-8. */
static size_t take_unicode(struct slice *rest, char *ret)
{
    uint64_t point;
    if (rest->len < 4 || !text_parse_hex((struct slice){rest->at, 4}, &point) || point == 0
        || (point >= 0xd800 && point < 0xe000)) {
        return 0;
    }
    *rest = slice_sub(*rest, 4, rest->len);
    if (point < 0x80) {
        ret[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        ret[0] = (char)(0xc0 | point >> 6);
        ret[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    ret[0] = (char)(0xe0 | point >> 12);
    ret[1] = (char)(0x80 | (point >> 6 & 0x3f));
    ret[2] = (char)(0x80 | (point & 0x3f));
    return 3;
}

/* What stands behind a backslash; its length, or 0. */
static size_t take_escape(struct slice *rest, char *ret)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (rest->len == 0) {
        return 0;
    }
    char name = rest->at[0];
    *rest = slice_sub(*rest, 1, rest->len);
    if (name == 'u') {
        return take_unicode(rest, ret);
    }
    const char *found = name != '\0' ? strchr(names, name) : NULL;
    if (found == NULL) {
        return 0;
    }
    ret[0] = means[found - names];
    return 1;
}

static bool take_text(struct slice *rest, char *ret, size_t size)
{
    size_t len = 0;
    if (!take(rest, '"')) {
        return false;
    }
    while (rest->len > 0 && rest->at[0] != '"') {
        char byte = rest->at[0];
        char made[4] = {byte};
        size_t more = 1;
        if ((unsigned char)byte < 0x20) {
            return false;
        }
        *rest = slice_sub(*rest, 1, rest->len);
        if (byte == '\\') {
            more = take_escape(rest, made);
        }
        if (more == 0 || len + more >= size) {
            return false;
        }
        memcpy(ret + len, made, more);
        len += more;
    }
    ret[len] = '\0';
    return take(rest, '"');
}

static struct json_wanted *find(struct json_wanted *wanted, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(wanted[i].key, key) == 0) {
            return &wanted[i];
        }
    }
    return NULL;
}

static bool take_member(struct slice *rest, struct json_wanted *wanted, uint32_t count)
{
    char key[KEY_MAX];
    if (!take_text(rest, key, sizeof key) || !take(rest, ':')) {
        return false;
    }
    struct json_wanted *it = find(wanted, count, key);
    if (it == NULL || it->is_there || !take_text(rest, it->value, sizeof it->value)) {
        return false;
    }
    it->is_there = true;
    return true;
}

bool json_texts_read(struct slice json, struct json_wanted *wanted, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        wanted[i].is_there = false;
        wanted[i].value[0] = '\0';
    }
    struct utf8 utf8 = {0};
    if (!utf8_feed(&utf8, json.at, json.len) || !utf8_is_whole(&utf8) || !take(&json, '{')) {
        return false;
    }
    if (!take(&json, '}')) {
        do {
            if (!take_member(&json, wanted, count)) {
                return false;
            }
        } while (take(&json, ','));
        if (!take(&json, '}')) {
            return false;
        }
    }
    skip_space(&json);
    return json.len == 0;
}
