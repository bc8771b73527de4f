/* SPDX-License-Identifier: Apache-2.0
 *
 * json_texts_fuzz.c - a command of any bytes: what was read ends with NUL, is UTF-8, and is there
 * only where the whole was taken for what it should be; reading it again says the same.
 */
#include "proto/json_texts.h"

#include "base/check.h"
#include "proto/utf8.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_wanted wanted[2], again[2];
    wanted[0].key = again[0].key = "a";
    wanted[1].key = again[1].key = "upstream";
    if (size > UINT32_MAX) {
        return 0;
    }
    struct slice json = {(const char *)data, (uint32_t)size};
    bool is_read = json_texts_read(json, wanted, 2);
    check(json_texts_read(json, again, 2) == is_read);
    for (int i = 0; is_read && i < 2; i++) {
        size_t len = strnlen(wanted[i].value, JSON_TEXTS_MAX);
        struct utf8 utf8 = {0};
        check(len < JSON_TEXTS_MAX && strcmp(wanted[i].value, again[i].value) == 0);
        check(utf8_feed(&utf8, wanted[i].value, len) && utf8_is_whole(&utf8));
        check(wanted[i].is_there || len == 0);
    }
    return 0;
}
