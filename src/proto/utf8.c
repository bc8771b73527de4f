/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.c - RFC 3629's table, row by row; runs of ASCII are skipped eight bytes at a time.
 */
#include "proto/utf8.h"

#include <string.h>

#define ASCII_WORD UINT64_C(0x8080808080808080)

static bool begin_character(struct utf8 *utf8, uint8_t lead)
{
    *utf8 = (struct utf8){0};
    if (lead < 0x80) {
        return true;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return false;
    }
    utf8->missing = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    utf8->low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    utf8->high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool continue_character(struct utf8 *utf8, uint8_t byte)
{
    if (byte < utf8->low || byte > utf8->high) {
        return false;
    }
    utf8->missing--;
    utf8->low = 0x80;
    utf8->high = 0xbf;
    return true;
}

static size_t ascii_run(const char *at, size_t len)
{
    size_t run = 0;
    uint64_t word;
    for (; run + sizeof word <= len; run += sizeof word) {
        memcpy(&word, at + run, sizeof word);
        if ((word & ASCII_WORD) != 0) {
            break;
        }
    }
    return run;
}

bool utf8_feed(struct utf8 *utf8, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (utf8->missing == 0) {
            i += ascii_run(at + i, len - i);
            if (i == len) {
                break;
            }
        }
        uint8_t byte = (uint8_t)at[i];
        if (!(utf8->missing > 0 ? continue_character(utf8, byte) : begin_character(utf8, byte))) {
            return false;
        }
    }
    return true;
}

size_t utf8_write(uint32_t point, char ret[static UTF8_MAX])
{
    if (point < 0x80) {
        ret[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        ret[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    ret[0] = (char)((0xf00U >> len & 0xf0) | point);
    return len;
}
