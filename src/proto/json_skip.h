/* SPDX-License-Identifier: Apache-2.0
 *
 * json_skip.h - over the bytes of a string of JSON that mean themselves: sixteen at a time where
 * the processor compares as many at once, else eight.
 */
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

/* The first byte that is a quote, a backslash or a control byte; `end`: there is none. */
static inline const char *json_skip_plain_portable(const char *at, const char *end)
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

#if defined(__SSE2__)

static inline const char *json_skip_plain(const char *at, const char *end)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f); /* the last of them */
    while (end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        mark = _mm_or_si128(mark, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        unsigned found = (unsigned)_mm_movemask_epi8(mark);
        if (found != 0) {
            return at + __builtin_ctz(found);
        }
        at += 16;
    }
    return json_skip_plain_portable(at, end);
}

#else

static inline const char *json_skip_plain(const char *at, const char *end)
{
    return json_skip_plain_portable(at, end);
}

#endif
