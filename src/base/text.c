/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>

#define WORD_MAX 64U

bool slice_same_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (uint32_t i = 0; i < a.len; i++) {
        if (text_lower(a.at[i]) != text_lower(b.at[i])) {
            return false;
        }
    }
    return true;
}

bool slice_is_nocase(struct slice a, const char *text)
{
    return slice_same_nocase(a, slice_of(text));
}

int slice_compare(struct slice a, struct slice b)
{
    uint32_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.at, b.at, shorter) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(struct slice text, struct slice prefix)
{
    return slice_same(slice_sub(text, 0, prefix.len), prefix);
}

bool slice_ends(struct slice text, struct slice suffix)
{
    return text.len >= suffix.len
           && slice_same(slice_sub(text, text.len - suffix.len, text.len), suffix);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && is_space(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.at[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct slice slice_sub(struct slice text, uint32_t from, uint32_t to)
{
    to = to < text.len ? to : text.len;
    from = from < to ? from : to;
    return text.at == NULL ? text : (struct slice){text.at + from, to - from};
}

uint32_t slice_find(struct slice text, char c)
{
    const char *found = text.len > 0 ? memchr(text.at, c, text.len) : NULL;
    return found != NULL ? (uint32_t)(found - text.at) : text.len;
}

bool slice_split(struct slice *rest, char c, struct slice *ret_part)
{
    if (rest->at == NULL) {
        return false;
    }
    uint32_t end = slice_find(*rest, c);
    *ret_part = slice_sub(*rest, 0, end);
    if (end == rest->len) {
        *rest = (struct slice){0};
    } else {
        *rest = slice_sub(*rest, end + 1, rest->len);
    }
    return true;
}

bool slice_word(struct slice *rest, struct slice *ret_word)
{
    struct slice text = slice_trim(*rest);
    uint32_t end = 0;
    while (end < text.len && !is_space(text.at[end])) {
        end++;
    }
    *rest = slice_sub(text, end, text.len);
    if (end == 0) {
        return false;
    }
    *ret_word = slice_sub(text, 0, end);
    return true;
}

size_t slice_copy(char *ret, size_t size, struct slice text)
{
    if (size > 0) {
        size_t len = text.len < size ? text.len : size - 1;
        if (len > 0) {
            memcpy(ret, text.at, len);
        }
        ret[len] = '\0';
    }
    return text.len;
}

bool text_parse_u64(struct slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        if (!text_is_digit(text.at[i]) || __builtin_mul_overflow(value, 10U, &value)
            || __builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value)) {
            return false;
        }
    }
    if (text.len == 0) {
        return false;
    }
    *ret = value;
    return true;
}

static int hex_digit_of(char c)
{
    c = text_lower(c);
    if (text_is_digit(c)) {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_parse_hex(struct slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        int digit = hex_digit_of(text.at[i]);
        if (digit < 0 || value >> 60 != 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    if (text.len == 0) {
        return false;
    }
    *ret = value;
    return true;
}

bool text_percent_decode(struct slice text, bool plus, char *ret, size_t size, uint32_t *ret_len)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        uint64_t byte = plus && text.at[i] == '+' ? ' ' : (unsigned char)text.at[i];
        if (byte == '%') {
            struct slice digits = slice_sub(text, i + 1, i + 3);
            if (digits.len != 2 || !text_parse_hex(digits, &byte)) {
                return false;
            }
            i += 2;
        }
        if (byte == 0 || len + 1 >= size) {
            return false;
        }
        ret[len++] = (char)byte;
    }
    ret[len] = '\0';
    *ret_len = len;
    return true;
}

bool text_parse_i64(struct slice text, int64_t *ret)
{
    bool negative = text.len > 0 && text.at[0] == '-';
    uint64_t value;
    if (!text_parse_u64(negative ? slice_sub(text, 1, text.len) : text, &value)) {
        return false;
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool text_parse_bool(struct slice text, bool *ret)
{
    bool yes = slice_is(text, "true") || slice_is(text, "yes") || slice_is(text, "on");
    bool no = slice_is(text, "false") || slice_is(text, "no") || slice_is(text, "off");
    if (yes || no) {
        *ret = yes;
    }
    return yes || no;
}

struct unit {
    const char *word;
    uint64_t factor;
};

/* Largest first. */
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
};

#define UNITS 5

/* Reads "12" or "1.5" at the start of *rest as a number times factor, to be known by the unit that
 * follows: whole and fraction, the latter in billionths. */
struct decimal {
    uint64_t whole;
    uint64_t billionths;
};

static bool take_decimal(struct slice *rest, struct decimal *ret)
{
    uint32_t end = 0;
    while (end < rest->len && text_is_digit(rest->at[end])) {
        end++;
    }
    struct decimal number = {0};
    if (!text_parse_u64(slice_sub(*rest, 0, end), &number.whole)) {
        return false;
    }
    if (end < rest->len && rest->at[end] == '.') {
        uint64_t unit = 1000000000;
        uint32_t point = end++;
        for (; end < rest->len && text_is_digit(rest->at[end]); end++) {
            unit /= 10;
            number.billionths += unit * (uint64_t)(rest->at[end] - '0');
        }
        if (end == point + 1 || unit == 0) {
            return false;
        }
    }
    *rest = slice_sub(*rest, end, rest->len);
    *ret = number;
    return true;
}

static bool add_scaled(uint64_t *total, struct decimal number, uint64_t factor)
{
    uint64_t scaled;
    unsigned __int128 part = (unsigned __int128)number.billionths * factor;
    if (part % 1000000000 != 0 || __builtin_mul_overflow(number.whole, factor, &scaled)
        || __builtin_add_overflow(scaled, (uint64_t)(part / 1000000000), &scaled)) {
        return false;
    }
    return !__builtin_add_overflow(*total, scaled, total);
}

static struct slice take_letters(struct slice *rest)
{
    uint32_t end = 0;
    while (end < rest->len && text_lower(rest->at[end]) >= 'a'
           && text_lower(rest->at[end]) <= 'z') {
        end++;
    }
    struct slice word = slice_sub(*rest, 0, end);
    *rest = slice_sub(*rest, end, rest->len);
    return word;
}

bool text_parse_duration(struct slice text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    int after = -1; /* the unit before, which the next must be smaller than */
    if (slice_is(text, "0")) {
        *ret_ms = 0;
        return true;
    }
    if (text.len == 0) {
        return false;
    }
    while (text.len > 0) {
        struct decimal number;
        if (!take_decimal(&text, &number)) {
            return false;
        }
        struct slice word = take_letters(&text);
        int unit = 0;
        while (unit < UNITS && !slice_is(word, duration_units[unit].word)) {
            unit++;
        }
        if (unit == UNITS || unit <= after
            || !add_scaled(&total, number, duration_units[unit].factor)) {
            return false;
        }
        after = unit;
    }
    *ret_ms = total;
    return true;
}

/* "k", "kb" and "KiB" are all 1024. */
static uint64_t size_factor_of(struct slice word)
{
    if (word.len == 0) {
        return 1;
    }
    for (int i = 0; i < UNITS; i++) {
        struct slice full = slice_of(size_units[i].word);
        struct slice letter = slice_sub(full, 0, 1);
        bool short_form = word.len == 2 && full.len == 3
                          && slice_same_nocase(slice_sub(word, 0, 1), letter)
                          && text_lower(word.at[1]) == 'b';
        if (slice_same_nocase(word, full) || slice_same_nocase(word, letter) || short_form) {
            return size_units[i].factor;
        }
    }
    return 0;
}

bool text_parse_size(struct slice text, uint64_t *ret_bytes)
{
    struct decimal number;
    uint64_t total = 0;
    if (!take_decimal(&text, &number)) {
        return false;
    }
    uint64_t factor = size_factor_of(take_letters(&text));
    if (factor == 0 || text.len > 0 || !add_scaled(&total, number, factor)) {
        return false;
    }
    *ret_bytes = total;
    return true;
}

size_t text_print_duration(char *ret, size_t size, uint64_t ms)
{
    char all[96] = "0";
    size_t len = ms == 0 ? 1 : 0;
    for (int i = 0; i < UNITS; i++) {
        uint64_t amount = ms / duration_units[i].factor;
        ms %= duration_units[i].factor;
        if (amount > 0) {
            len += (size_t)snprintf(all + len, sizeof all - len, "%llu%s",
                                    (unsigned long long)amount, duration_units[i].word);
        }
    }
    return slice_copy(ret, size, (struct slice){all, (uint32_t)len});
}

size_t text_print_size(char *ret, size_t size, uint64_t bytes)
{
    int unit = 0;
    while (unit < UNITS - 1
           && (bytes < size_units[unit].factor || bytes % size_units[unit].factor != 0)) {
        unit++;
    }
    char all[32];
    int len = snprintf(all, sizeof all, "%llu%s",
                       (unsigned long long)(bytes / size_units[unit].factor),
                       unit == UNITS - 1 ? "" : size_units[unit].word);
    return slice_copy(ret, size, (struct slice){all, (uint32_t)len});
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows. */
uint32_t text_distance(struct slice a, struct slice b)
{
    if (a.len > WORD_MAX || b.len > WORD_MAX) {
        return a.len > b.len ? a.len : b.len;
    }
    uint32_t rows[3][WORD_MAX + 1];
    for (uint32_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t replaced = above[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            row[j] = least_of(replaced, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1]) {
                row[j] = least_of(row[j], rows[(i + 1) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

const char *text_did_you_mean(struct slice word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    uint32_t best_distance = word.len / 3 + 2; /* farther than that is another word */
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = text_distance(word, slice_of(candidates[i]));
        if (distance < best_distance && distance < strlen(candidates[i])) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

/* The length that the first byte of a UTF-8 sequence announces, or 0 where none begins so. */
static uint32_t utf8_len_by_lead(unsigned char lead)
{
    return lead < 0x80   ? 1
           : lead < 0xc2 ? 0
           : lead < 0xe0 ? 2
           : lead < 0xf0 ? 3
           : lead < 0xf5 ? 4
                         : 0;
}

/* The length of the well-formed UTF-8 sequence at the front (RFC 3629 §4), or 0. */
static uint32_t utf8_len_of(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.at;
    uint32_t len = utf8_len_by_lead(s[0]);
    if (len == 0 || len > text.len) {
        return 0;
    }
    for (uint32_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : len;
}

/* What stands for the sequence at the front; *ret_used says how much of the text that was. */
static struct slice escape_of(struct slice text, uint32_t *ret_used, char room[8])
{
    static const char *const pairs[] = {"\"\"", "\\\\", "\bb", "\ff", "\nn", "\rr", "\tt"};
    uint32_t len = utf8_len_of(text);
    *ret_used = len > 0 ? len : 1;
    if (len == 0) {
        return SLICE("\xef\xbf\xbd");
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (text.at[0] == pairs[i][0]) {
            room[0] = '\\';
            room[1] = pairs[i][1];
            return (struct slice){room, 2};
        }
    }
    if ((unsigned char)text.at[0] < 0x20 || text.at[0] == 0x7f) {
        snprintf(room, 8, "\\u%04x", (unsigned)text.at[0]);
        return (struct slice){room, 6};
    }
    return slice_sub(text, 0, len);
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define TOPS       EACH(0x80)

/* Not zero where one of the eight bytes is less than `n`, which is at most 128. */
static uint64_t any_below(uint64_t word, uint64_t n)
{
    return (word - EACH(n)) & ~word & TOPS;
}

/* Bytes at the front that stand for themselves: almost all of a log line, so eight at a time. */
static uint32_t plain_len_of(struct slice text)
{
    uint32_t len = 0;
    uint64_t word;
    for (; text.len - len >= sizeof word; len += sizeof word) {
        memcpy(&word, text.at + len, sizeof word);
        if (((word & TOPS) | any_below(word, 0x20) | any_below(word ^ EACH('"'), 1)
             | any_below(word ^ EACH('\\'), 1) | any_below(word ^ EACH(0x7f), 1))
            != 0) {
            break;
        }
    }
    for (; len < text.len; len++) {
        char c = text.at[len];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') { /* a char may be signed, or not */
            break;
        }
    }
    return len;
}

size_t text_json_escape(char *ret, size_t size, struct slice text)
{
    size_t len = 0;
    bool fits = size > 0;
    size_t written = 0;
    while (text.len > 0) {
        char room[8];
        uint32_t used = plain_len_of(text);
        if (used > 0 && fits) {
            size_t most = size - 1 - len;
            written = len + (used < most ? used : most);
            memcpy(ret + len, text.at, written - len);
            fits = used <= most;
        }
        len += used;
        text = slice_sub(text, used, text.len);
        if (text.len == 0) {
            break;
        }
        struct slice out = escape_of(text, &used, room);
        fits = fits && len + out.len < size;
        if (fits) {
            memcpy(ret + len, out.at, out.len);
            written = len + out.len;
        }
        len += out.len;
        text = slice_sub(text, used, text.len);
    }
    if (size > 0) {
        ret[written] = '\0';
    }
    return len;
}
