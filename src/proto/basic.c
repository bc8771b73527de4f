/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/basic.h"

#include <string.h>

#define BAD 64U

static unsigned digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : BAD;
}

/* Four digits are three bytes; "=" at the end of the last four stands for one or two that are
 * missing. False: it is no base64, or more than there is room for. */
static bool decode(struct slice text, char *ret, size_t size, uint32_t *ret_len)
{
    uint32_t len = 0, padding = 0;
    if (text.len == 0 || text.len % 4 != 0 || (size_t)text.len / 4 * 3 > size)
        return false;
    while (padding < 2 && text.at[text.len - 1 - padding] == '=')
        padding++;
    for (uint32_t i = 0; i < text.len; i += 4) {
        uint32_t bits = 0;
        for (uint32_t j = i; j < i + 4; j++) {
            unsigned digit = j >= text.len - padding ? 0 : digit_of(text.at[j]);
            if (digit == BAD)
                return false;
            bits = bits << 6 | digit;
        }
        ret[len++] = (char)(bits >> 16);
        ret[len++] = (char)(bits >> 8);
        ret[len++] = (char)bits;
    }
    *ret_len = len - padding;
    return true;
}

bool basic_password(struct slice value, char room[static BASIC_BYTES_MAX],
                    struct slice *ret_password)
{
    uint32_t len;
    if (!slice_is_nocase(slice_sub(value, 0, 6), "basic ")
        || !decode(slice_trim(slice_sub(value, 6, value.len)), room, BASIC_BYTES_MAX, &len)
        || memchr(room, '\0', len) != NULL)
        return false;
    struct slice pair = {room, len};
    uint32_t colon = slice_find(pair, ':');
    if (colon == len)
        return false;
    *ret_password = slice_sub(pair, colon + 1, len);
    return true;
}
