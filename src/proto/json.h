/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - writes JSON (RFC 8259) into a buffer of fixed size: log lines, error bodies, answers.
 *
 * Commas and quotes are its affair, nesting is the caller's. What does not fit is not written, and
 * neither is anything after it: `full` then says that the text is to be thrown away. Keys are
 * literals of ours and are not escaped; NULL where there is none, in a list or at the top.
 *
 *     struct json json = json_into(line, sizeof(line));
 *     json_open(&json, NULL, '{');
 *     json_text(&json, "code", "no_route");
 *     json_close(&json, '}');
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *at;
    size_t size, len;
    bool full;
};

struct json json_into(void *buffer, size_t size);

void json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *json, char bracket);                 /* '}' or ']' */
void json_slice(struct json *json, const char *key, struct slice value);
void json_text(struct json *json, const char *key, const char *value); /* NULL: null */
void json_u64(struct json *json, const char *key, uint64_t value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* `value` / 10^digits, exactly: json_fixed(j, "seconds", 1500, 3) is 1.500. 1 to 18 digits. */
void json_fixed(struct json *json, const char *key, uint64_t value, unsigned digits);
/* What is JSON already. */
void json_raw(struct json *json, const char *key, struct slice value);
