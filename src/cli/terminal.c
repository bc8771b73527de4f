/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <stdbool.h>
#include <stdint.h>

static bool goes_on(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The bytes of the letter, and which one it is; 0: it is none. */
static size_t letter_at(const char *at, uint32_t *ret_point)
{
    unsigned char first = (unsigned char)at[0];
    size_t len = first < 0x80   ? 1
                 : first < 0xc2 ? 0
                 : first < 0xe0 ? 2
                 : first < 0xf0 ? 3
                 : first < 0xf5 ? 4
                                : 0;
    *ret_point = len < 2 ? first : first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if (!goes_on(at[i]))
            return 0;
        *ret_point = *ret_point << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return len;
}

static bool is_letter(uint32_t point)
{
    bool is_control = point < ' ' || (point >= 0x7f && point < 0xa0);
    bool is_mark = point == 0x61c || point == 0x200e || point == 0x200f
                   || (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
    return !is_control && !is_mark;
}

void terminal_tame(char *text)
{
    char *to = text;
    uint32_t point;
    while (*text != '\0') {
        size_t len = letter_at(text, &point);
        bool is_shown = len > 0 && is_letter(point);
        if (!is_shown)
            *to++ = '?';
        for (size_t i = 0; is_shown && i < len; i++)
            *to++ = text[i];
        text += len > 0 ? len : 1;
    }
    *to = '\0';
}

size_t terminal_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += !goes_on(*text);
    return width;
}
