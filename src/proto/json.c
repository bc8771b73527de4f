/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - the writer. Whether a comma is due is seen from the last byte written.
 */
#include "proto/json.h"

static void put(struct json *json, const char *text, size_t len)
{
    if (json->full || len > json->size - json->len) {
        json->full = true;
        return;
    }
    memcpy(json->at + json->len, text, len);
    json->len += len;
}

static void put_char(struct json *json, char c)
{
    if (json->full || json->len == json->size)
        json->full = true;
    else
        json->at[json->len++] = c;
}

/* A comma where a value stands before, and the key, in one piece: a log line has thirty. */
static void begin(struct json *json, const char *key)
{
    char last = json->len > 0 ? json->at[json->len - 1] : '[';
    if (last != '{' && last != '[')
        put_char(json, ',');
    if (key == NULL)
        return;
    size_t len = strlen(key);
    if (json->full || len + 3 > json->size - json->len) {
        json->full = true;
        return;
    }
    char *to = json->at + json->len;
    to[0] = '"';
    memcpy(to + 1, key, len);
    to[len + 1] = '"';
    to[len + 2] = ':';
    json->len += len + 3;
}

struct json json_into(void *buffer, size_t size)
{
    return (struct json){.at = buffer, .size = size};
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin(json, key);
    put_char(json, bracket);
}

void json_close(struct json *json, char bracket)
{
    put_char(json, bracket);
}

void json_slice(struct json *json, const char *key, struct slice value)
{
    begin(json, key);
    put_char(json, '"');
    if (!json->full) {
        size_t room = json->size - json->len; /* the escaper's NUL is overwritten by the quote */
        size_t len = text_json_escape(json->at + json->len, room, value);
        json->full = len >= room;
        json->len += json->full ? 0 : len;
    }
    put_char(json, '"');
}

void json_text(struct json *json, const char *key, const char *value)
{
    if (value == NULL)
        json_null(json, key);
    else
        json_slice(json, key, slice_of(value));
}

/* Digits from the end: this runs for every request that is logged. */
static void put_digits(struct json *json, uint64_t value, unsigned least)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || sizeof(digits) - at < least);
    put(json, digits + at, sizeof(digits) - at);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
    begin(json, key);
    put_digits(json, value, 1);
}

void json_i64(struct json *json, const char *key, int64_t value)
{
    begin(json, key);
    if (value < 0)
        put(json, "-", 1);
    put_digits(json, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin(json, key);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json *json, const char *key)
{
    begin(json, key);
    put(json, "null", 4);
}

void json_fixed(struct json *json, const char *key, uint64_t value, unsigned digits)
{
    uint64_t scale = 1;
    for (unsigned i = 0; i < digits; i++)
        scale *= 10;
    begin(json, key);
    put_digits(json, value / scale, 1);
    put_char(json, '.');
    put_digits(json, value % scale, digits);
}

void json_raw(struct json *json, const char *key, struct slice value)
{
    begin(json, key);
    put(json, value.at, value.len);
}
