/* SPDX-License-Identifier: Apache-2.0
 *
 * json_texts.h - reads the JSON that commands come in: one object whose values are texts, no
 * deeper.
 *
 * Strict (RFC 8259): one object and nothing behind it; each key is wanted, and comes once; texts
 * are UTF-8, and hold no NUL.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_TEXTS_MAX 1024U /* bytes of one value, with its NUL */

struct json_wanted {
    const char *key;
    bool is_there;
    char value[JSON_TEXTS_MAX];
};

/* False: it is not that. Any bytes will do. */
bool json_texts_read(struct slice json, struct json_wanted *wanted, uint32_t count);
