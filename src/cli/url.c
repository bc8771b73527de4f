/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/url.h"

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || text_is_digit(c)
           || (c != '\0' && strchr("-._~", c) != NULL);
}

size_t url_escape(char *ret, size_t size, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        const char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        size_t piece = is_plain(text.at[i]) ? 1 : 3;
        if (len + piece < size)
            memcpy(ret + len, piece == 1 ? &text.at[i] : escaped, piece);
        len += piece;
    }
    if (size > 0)
        ret[len < size ? len : size - 1] = '\0';
    return len;
}
