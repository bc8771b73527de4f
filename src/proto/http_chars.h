/* SPDX-License-Identifier: Apache-2.0
 *
 * http_chars.h - what each byte may be part of in HTTP, and the fastest way past many of them.
 *
 * Each http_skip_X(at, end) returns the first byte that is not an X, or end; no byte at or behind
 * end is read. With SSE2 sixteen bytes are judged at once, elsewhere eight; the portable ones are
 * always compiled, so that a test can compare the two. http_skip_X_in(start, at, end) may look back
 * as far as start, and so judges the last few bytes before end at once, too.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

#define HTTP_CHAR_TOKEN  1U /* RFC 9110 §5.6.2 */
#define HTTP_CHAR_VALUE  2U /* TAB, SP, VCHAR, obs-text: RFC 9110 §5.5 */
#define HTTP_CHAR_TARGET 4U /* VCHAR but '#': a fragment never travels (RFC 9112 §3.2) */
#define HTTP_CHAR_HOST   8U /* what host names are made of; sub-delims and escapes never were */

extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, unsigned kind)
{
    return (http_chars[(uint8_t)c] & kind) != 0;
}

static inline const char *http_skip_bytewise(const char *at, const char *end, unsigned kind)
{
    while (at < end && http_char_is(*at, kind)) {
        at++;
    }
    return at;
}

#define HTTP_EACH_BYTE(value) (0x0101010101010101ULL * (value))

/* All eight are VCHAR or SP. Bytes above 0x7e make it false: the slow way knows them. */
static inline bool http_eight_are_visible(const char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    uint64_t low = x - HTTP_EACH_BYTE(0x20);  /* borrows into the top bit where a byte is < 0x20 */
    uint64_t high = x + HTTP_EACH_BYTE(0x01); /* carries into it where a byte is 0x7f */
    return ((low | high | x) & HTTP_EACH_BYTE(0x80)) == 0;
}

static inline const char *http_skip_value_portable(const char *at, const char *end)
{
    for (;;) {
        while (end - at >= 8 && http_eight_are_visible(at)) {
            at += 8;
        }
        const char *stop = end - at > 8 ? at + 8 : end;
        at = http_skip_bytewise(at, stop, HTTP_CHAR_VALUE);
        if (at < stop || at == end) {
            return at;
        }
    }
}

#if defined(__SSE2__)

static inline __m128i http_load(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* Lanes from first to first + count - 1 become 0xff. */
static inline __m128i http_in_range(__m128i x, char first, char count)
{
    __m128i offset = _mm_sub_epi8(x, _mm_set1_epi8(first));
    return _mm_cmpeq_epi8(_mm_min_epu8(offset, _mm_set1_epi8((char)(count - 1))), offset);
}

/* Bit n: byte n is no letter, digit, '-' or '.', of which nearly all names and hosts are made. */
static inline unsigned http_odd_mask(const char *at)
{
    __m128i x = http_load(at);
    __m128i letter = http_in_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26);
    __m128i digit = http_in_range(x, '-', '9' - '-' + 1); /* "-./0123456789" */
    __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('/'));
    __m128i plain = _mm_or_si128(letter, _mm_andnot_si128(slash, digit));
    return 0xffffU & ~(unsigned)_mm_movemask_epi8(plain);
}

/* Bit n: byte n is a control (TAB too) or DEL. */
static inline unsigned http_control_mask(const char *at)
{
    __m128i x = http_load(at);
    __m128i low = http_in_range(x, 0, 0x20);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));
}

/* Bit n: byte n is not in "!" … "~", or is '#'. */
static inline unsigned http_no_target_mask(const char *at)
{
    __m128i x = http_load(at);
    __m128i visible = http_in_range(x, '!', '~' - '!' + 1);
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
    return 0xffffU & ~(unsigned)_mm_movemask_epi8(_mm_andnot_si128(hash, visible));
}

/* The mask of the bytes from `at`, sixteen or as many as there are before end; the rest is 0. At
 * least sixteen bytes that end at `end` must be readable. */
static inline unsigned http_mask_near(unsigned mask_of(const char *), const char *at,
                                      const char *end)
{
    return end - at >= 16 ? mask_of(at) : mask_of(end - 16) >> (16 - (end - at));
}

static inline const char *http_skip_value_in(const char *start, const char *at, const char *end)
{
    if (end - start < 16) {
        return http_skip_bytewise(at, end, HTTP_CHAR_VALUE);
    }
    for (;;) {
        unsigned stops = http_mask_near(http_control_mask, at, end);
        if (stops == 0) {
            if (end - at <= 16) {
                return end;
            }
            at += 16;
            continue;
        }
        at += __builtin_ctz(stops);
        if (*at != '\t') {
            return at;
        }
        at++;
    }
}

static inline const char *http_skip_target_in(const char *start, const char *at, const char *end)
{
    if (end - start < 16) {
        return http_skip_bytewise(at, end, HTTP_CHAR_TARGET);
    }
    for (;;) {
        unsigned stops = http_mask_near(http_no_target_mask, at, end);
        if (stops != 0) {
            return at + __builtin_ctz(stops);
        }
        if (end - at <= 16) {
            return end;
        }
        at += 16;
    }
}

/* kind: HTTP_CHAR_TOKEN or HTTP_CHAR_HOST; both contain the plain ones. */
static inline const char *http_skip_plain_in(const char *start, const char *at, const char *end,
                                             unsigned kind)
{
    if (end - start < 16) {
        return http_skip_bytewise(at, end, kind);
    }
    for (;;) {
        unsigned stops = http_mask_near(http_odd_mask, at, end);
        if (stops == 0) {
            if (end - at <= 16) {
                return end;
            }
            at += 16;
            continue;
        }
        at += __builtin_ctz(stops);
        if (!http_char_is(*at, kind)) {
            return at;
        }
        at++;
    }
}

#else

static inline const char *http_skip_value_in(const char *start, const char *at, const char *end)
{
    (void)start;
    return http_skip_value_portable(at, end);
}

static inline const char *http_skip_target_in(const char *start, const char *at, const char *end)
{
    (void)start;
    return http_skip_bytewise(at, end, HTTP_CHAR_TARGET);
}

static inline const char *http_skip_plain_in(const char *start, const char *at, const char *end,
                                             unsigned kind)
{
    (void)start;
    return http_skip_bytewise(at, end, kind);
}

#endif

static inline const char *http_skip_token_in(const char *start, const char *at, const char *end)
{
    return http_skip_plain_in(start, at, end, HTTP_CHAR_TOKEN);
}

static inline const char *http_skip_host_in(const char *start, const char *at, const char *end)
{
    return http_skip_plain_in(start, at, end, HTTP_CHAR_HOST);
}

static inline const char *http_skip_value(const char *at, const char *end)
{
    return http_skip_value_in(at, at, end);
}

static inline const char *http_skip_target(const char *at, const char *end)
{
    return http_skip_target_in(at, at, end);
}

static inline const char *http_skip_token(const char *at, const char *end)
{
    return http_skip_token_in(at, at, end);
}

static inline const char *http_skip_host(const char *at, const char *end)
{
    return http_skip_host_in(at, at, end);
}
