/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.h - is a text that arrives in pieces UTF-8 (RFC 3629)? Overlong forms, surrogates and what
 * is beyond U+10FFFF are not. A piece may end within a character; the first byte that no text could
 * go on with is noticed when it comes, not at the end.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeroes at the beginning of a text. */
struct utf8 {
    uint8_t missing;   /* continuation bytes until the character is whole */
    uint8_t low, high; /* what the next of them may be */
};

/* False as soon as it can no longer be UTF-8; of no use afterwards. */
bool utf8_feed(struct utf8 *utf8, const char *at, size_t len);

#define UTF8_MAX 4U /* bytes of a character */

/* Writes a character that is one; how many bytes it takes. */
size_t utf8_write(uint32_t point, char ret[static UTF8_MAX]);

/* Whether the text may end here. */
static inline bool utf8_is_whole(const struct utf8 *utf8)
{
    return utf8->missing == 0;
}
