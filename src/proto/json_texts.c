/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_texts.h"

#include "proto/json_read.h"

#include <string.h>

#define KEY_MAX 64U

static struct json_wanted *find(struct json_wanted *wanted, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(wanted[i].key, key) == 0) {
            return &wanted[i];
        }
    }
    return NULL;
}

static bool take_member(struct slice name, struct slice value, struct json_wanted *wanted,
                        uint32_t count)
{
    char key[KEY_MAX];
    const struct slice quoted = {name.at - 1, name.len + 2};
    if (json_get_text(quoted, key, sizeof key) == JSON_NO_TEXT) {
        return false;
    }
    struct json_wanted *it = find(wanted, count, key);
    if (it == NULL || it->is_there
        || json_get_text(value, it->value, sizeof it->value) == JSON_NO_TEXT) {
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
    if (!json_check(json) || !json_is_object(json_trim(json))) {
        return false;
    }
    struct json_at at = {0};
    struct slice name, value;
    while (json_next(json_trim(json), &at, &name, &value)) {
        if (!take_member(name, value, wanted, count)) {
            return false;
        }
    }
    return true;
}
