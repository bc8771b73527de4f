/* SPDX-License-Identifier: Apache-2.0
 *
 * json_skip.h - over the bytes of a string of JSON that mean themselves, eight at a time.
 */
#pragma once
#include <stdint.h>
#include <string.h>

/* The first byte that is a quote, a backslash or a control byte; `end`: there is none. */
static inline const char *json_skip_plain(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (end - at >= 8) {
        uint64_t x;
        memcpy(&x, at, 8);
        uint64_t quote = x ^ (ones * '"'), slash = x ^ (ones * '\\');
        uint64_t found = ((quote - ones) & ~quote) | ((slash - ones) & ~slash)
                         | ((x - ones * 0x20) & ~x);
        found &= ones * 0x80;
        if (found != 0) { /* the lowest mark is true, whatever a borrow did to those above */
            return at + __builtin_ctzll(found) / 8;
        }
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) {
        at++;
    }
    return at;
}
