/* SPDX-License-Identifier: Apache-2.0
 *
 * text.h - slices: text that lies in someone else's buffer, and what one reads from it: numbers,
 * durations, sizes, words. Nothing here allocates; a slice is not ended by a NUL.
 *
 * Every parser takes the whole slice or refuses it, refuses overflow, and writes its result on
 * success only. Comparisons ignoring case are ASCII's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at;
    uint32_t len;
};

#define SLICE(literal)   ((struct slice){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(slice) (int)(slice).len, (slice).at

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? (uint32_t)strlen(text) : 0};
}

static inline bool slice_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_same(a, slice_of(text));
}

static inline char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Equal, ignoring case. */
bool slice_same_nocase(struct slice a, struct slice b);
bool slice_is_nocase(struct slice a, const char *text);
/* Less than, equal to or greater than 0, bytewise. */
int slice_compare(struct slice a, struct slice b);
bool slice_starts(struct slice text, struct slice prefix);
bool slice_ends(struct slice text, struct slice suffix);
/* Without the spaces and tabs at both ends (OWS of RFC 9110 §5.6.3). */
struct slice slice_trim(struct slice text);
/* Bytes from..to (to not included), clamped to the slice. */
struct slice slice_sub(struct slice text, uint32_t from, uint32_t to);
/* The place of c, or text.len. */
uint32_t slice_find(struct slice text, char c);
/* Cuts the part before the first c off *rest (all of it where there is no c) into *ret_part;
 * false when *rest is exhausted (its at is NULL). "a," has two parts, "" one that is empty. */
bool slice_split(struct slice *rest, char c, struct slice *ret_part);
/* The same for words between runs of spaces and tabs. */
bool slice_word(struct slice *rest, struct slice *ret_word);
/* Copies and ends with NUL, cutting what does not fit; the length that all of it has. */
size_t slice_copy(char *ret, size_t size, struct slice text);

/* Digits only: no sign, no space, no base prefix. */
bool text_parse_u64(struct slice text, uint64_t *ret);
bool text_parse_hex(struct slice text, uint64_t *ret);
/* %xx decoded, with plus also a "+" to a space as forms have it; ends with NUL, of `size` bytes at
 * most. False: a "%" without two digits, a NUL, no room. */
bool text_percent_decode(struct slice text, bool plus, char *ret, size_t size, uint32_t *ret_len);
/* An optional '-', then digits. */
bool text_parse_i64(struct slice text, int64_t *ret);
/* true/false, yes/no, on/off. */
bool text_parse_bool(struct slice text, bool *ret);
/* "250ms", "10s", "5m", "1h", "7d", "1m30s", "1.5s": units descending, at least one, no space;
 * "0" alone needs none. In milliseconds; finer than one is refused. */
bool text_parse_duration(struct slice text, uint64_t *ret_ms);
/* "512", "4k", "64KiB", "16m", "1.5GiB": powers of 1024, case ignored. */
bool text_parse_size(struct slice text, uint64_t *ret_bytes);

/* The shortest words that parse back to the same: "1m30s", "64KiB". All of the text's length is
 * returned, as snprintf does. */
size_t text_print_duration(char *ret, size_t size, uint64_t ms);
size_t text_print_size(char *ret, size_t size, uint64_t bytes);

/* Edit distance (insert, delete, replace, swap neighbours), for words of at most 64 bytes; longer
 * ones are as far apart as the longer is long. */
uint32_t text_distance(struct slice a, struct slice b);
/* The candidate that a mistyped word most likely meant, or NULL. */
const char *text_did_you_mean(struct slice word, const char *const *candidates, size_t count);

/* A JSON string's inside (RFC 8259 §7) without the quotes; bytes that are not UTF-8 become U+FFFD.
 * The whole length is returned, as snprintf does. */
size_t text_json_escape(char *ret, size_t size, struct slice text);
