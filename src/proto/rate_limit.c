/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rate_limit.h"

#define LIMITS_MAX 16U /* in one answer; more are not looked at */
#define LABEL_MAX  64U

/* One limit: "requests", "input-tokens", … */
struct limit {
    struct slice label;
    bool has_reset, has_rest, is_used_up;
    uint64_t reset_ms;
};

struct limits {
    struct limit at[LIMITS_MAX];
    uint32_t count;
};

static void read_field(struct limits *limits, const struct http_field *field, uint64_t wall_ms,
                       struct rate_limit *limit);

static bool is_beneath(struct slice name, const char *prefix, struct slice *ret_rest)
{
    uint32_t len = (uint32_t)strlen(prefix);
    if (name.len <= len || !slice_is_nocase(slice_sub(name, 0, len), prefix)) {
        return false;
    }
    *ret_rest = slice_sub(name, len, name.len);
    return true;
}

static bool ends_in(struct slice name, const char *suffix, struct slice *ret_rest)
{
    uint32_t len = (uint32_t)strlen(suffix);
    if (name.len <= len || !slice_is_nocase(slice_sub(name, name.len - len, name.len), suffix)) {
        return false;
    }
    *ret_rest = slice_sub(name, 0, name.len - len);
    return true;
}

static uint64_t bounded(uint64_t ms)
{
    return ms < RATE_LIMIT_MAX_MS ? ms : RATE_LIMIT_MAX_MS;
}

void rate_limit_read(const struct http_head *head, uint64_t wall_ms, struct rate_limit *ret_limit)
{
    struct limits limits = {.count = 0};
    uint64_t last_ms = 0, first_ms = UINT64_MAX;
    bool is_known = false;
    *ret_limit = (struct rate_limit){.family = {"", 0}};
    for (uint32_t i = 0; i < head->field_count; i++) {
        read_field(&limits, &head->fields[i], wall_ms, ret_limit);
    }
    for (uint32_t i = 0; i < limits.count; i++) {
        const struct limit *limit = &limits.at[i];
        if (!limit->has_reset || (limit->has_rest && !limit->is_used_up)) {
            continue;
        }
        if (limit->is_used_up) {
            is_known = true;
            last_ms = limit->reset_ms > last_ms ? limit->reset_ms : last_ms;
        }
        first_ms = limit->reset_ms < first_ms ? limit->reset_ms : first_ms;
    }
    if (is_known || first_ms != UINT64_MAX) {
        ret_limit->has_reset = is_known || !ret_limit->has_retry_after;
        ret_limit->reset_ms = is_known ? last_ms : first_ms;
    }
}

struct slice rate_limit_family(struct slice model)
{
    static const char *const families[] = {"opus", "sonnet", "haiku"};
    for (uint32_t i = 0; i < sizeof families / sizeof *families; i++) {
        uint32_t len = (uint32_t)strlen(families[i]);
        for (uint32_t from = 0; from + len <= model.len; from++) {
            if (slice_is_nocase(slice_sub(model, from, from + len), families[i])) {
                return slice_sub(model, from, from + len);
            }
        }
    }
    uint32_t end = model.len;
    while (end > 0 && (text_is_digit(model.at[end - 1]) || model.at[end - 1] == '-')) {
        end--;
    }
    /* "-2024-07-18", "-20240718"; a version is shorter. */
    return model.len - end >= 9 && end > 0 ? slice_sub(model, 0, end) : model;
}

/* --- times -------------------------------------------------------------------------------------
 */

static bool digits(struct slice text, uint32_t at, uint32_t count, uint32_t *ret_number)
{
    uint32_t number = 0;
    if (text.len < at + count) {
        return false;
    }
    for (uint32_t i = at; i < at + count; i++) {
        if (!text_is_digit(text.at[i])) {
            return false;
        }
        number = number * 10 + (uint32_t)(text.at[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* Since 1970, of the Gregorian calendar (Hinnant, "chrono-compatible date algorithms"). */
static int64_t days_of(uint32_t year, uint32_t month, uint32_t day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = y / 400;
    uint32_t of_era = (uint32_t)(y - era * 400);
    uint32_t of_year = (153 * (month + (month > 2 ? -3U : 9U)) + 2) / 5 + day - 1;
    uint32_t day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

struct moment {
    uint32_t year, month, day, hour, minute, second;
};

static bool seconds_of(const struct moment *at, int64_t *ret_seconds)
{
    if (at->year < 1970 || at->month < 1 || at->month > 12 || at->day < 1 || at->day > 31
        || at->hour > 23 || at->minute > 59 || at->second > 60) {
        return false;
    }
    *ret_seconds = days_of(at->year, at->month, at->day) * 86400 + (int64_t)at->hour * 3600
                   + (int64_t)at->minute * 60 + at->second;
    return true;
}

/* Z, or +hh:mm. */
static bool offset_of(struct slice text, uint32_t at, int64_t *ret_seconds)
{
    uint32_t hours, minutes;
    if (text.len == at + 1 && (text.at[at] == 'Z' || text.at[at] == 'z')) {
        *ret_seconds = 0;
        return true;
    }
    if (text.len != at + 6 || (text.at[at] != '+' && text.at[at] != '-') || text.at[at + 3] != ':'
        || !digits(text, at + 1, 2, &hours) || !digits(text, at + 4, 2, &minutes) || hours > 23
        || minutes > 59) {
        return false;
    }
    int64_t seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *ret_seconds = text.at[at] == '-' ? -seconds : seconds;
    return true;
}

bool rate_limit_time(struct slice text, uint64_t *ret_ms)
{
    struct moment it;
    int64_t seconds, offset;
    uint64_t part_ms = 0;
    if (!digits(text, 0, 4, &it.year) || !digits(text, 5, 2, &it.month)
        || !digits(text, 8, 2, &it.day) || !digits(text, 11, 2, &it.hour)
        || !digits(text, 14, 2, &it.minute) || !digits(text, 17, 2, &it.second) || text.at[4] != '-'
        || text.at[7] != '-' || text.at[13] != ':' || text.at[16] != ':'
        || (text.at[10] != 'T' && text.at[10] != 't' && text.at[10] != ' ')
        || !seconds_of(&it, &seconds)) {
        return false;
    }
    uint32_t at = 19;
    if (at < text.len && text.at[at] == '.') {
        uint32_t scale = 100;
        for (at++; at < text.len && text_is_digit(text.at[at]); at++, scale /= 10) {
            part_ms += (uint64_t)(text.at[at] - '0') * scale;
        }
    }
    if (!offset_of(text, at, &offset) || seconds < offset) {
        return false;
    }
    *ret_ms = (uint64_t)(seconds - offset) * 1000 + part_ms;
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7); the older two forms nobody sends. */
static bool http_date(struct slice text, uint64_t *ret_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment it = {0};
    int64_t seconds;
    if (text.len != 29 || memcmp(text.at + 25, " GMT", 4) != 0 || !digits(text, 5, 2, &it.day)
        || !digits(text, 12, 4, &it.year) || !digits(text, 17, 2, &it.hour)
        || !digits(text, 20, 2, &it.minute) || !digits(text, 23, 2, &it.second)) {
        return false;
    }
    for (uint32_t m = 0; m < 12; m++) {
        if (memcmp(text.at + 8, months + (size_t)m * 3, 3) == 0) {
            it.month = m + 1;
        }
    }
    if (!seconds_of(&it, &seconds)) {
        return false;
    }
    *ret_ms = (uint64_t)seconds * 1000;
    return true;
}

static uint64_t from_now(uint64_t at_ms, uint64_t wall_ms)
{
    return at_ms > wall_ms ? bounded(at_ms - wall_ms) : 0;
}

/* --- durations -----------------------------------------------------------------------------------
 */

static uint64_t unit_ms(struct slice *rest)
{
    static const struct {
        const char *word;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint32_t len = (uint32_t)strlen(units[i].word);
        if (slice_is(slice_sub(*rest, 0, len), units[i].word)) {
            *rest = slice_sub(*rest, len, rest->len);
            return units[i].ms;
        }
    }
    return 0;
}

/* Digits, perhaps with a fraction: a number of thousandths. */
static bool number_of(struct slice *rest, uint64_t *ret_thousandths)
{
    uint64_t number = 0, scale = 100;
    uint32_t at = 0;
    for (; at < rest->len && text_is_digit(rest->at[at]); at++) {
        number = number * 10 + (uint64_t)(rest->at[at] - '0');
        if (at >= 12) {
            return false;
        }
    }
    if (at == 0) {
        return false;
    }
    number *= 1000;
    if (at < rest->len && rest->at[at] == '.') {
        for (at++; at < rest->len && text_is_digit(rest->at[at]); at++, scale /= 10) {
            number += (uint64_t)(rest->at[at] - '0') * scale;
        }
    }
    *rest = slice_sub(*rest, at, rest->len);
    *ret_thousandths = number;
    return true;
}

/* "6m0s", "1.5s", "20ms", "30": rounded up. Without a unit it is `bare_ms`. */
static bool duration_of(struct slice text, uint64_t bare_ms, uint64_t *ret_ms)
{
    uint64_t sum = 0, thousandths;
    struct slice rest = slice_trim(text);
    for (bool is_first = true; is_first || rest.len > 0; is_first = false) {
        if (!number_of(&rest, &thousandths)) {
            return false;
        }
        uint64_t unit = rest.len == 0 && is_first ? bare_ms : unit_ms(&rest);
        uint64_t more;
        if (unit == 0 || __builtin_mul_overflow(thousandths, unit, &more)) {
            return false;
        }
        sum += bounded(more / 1000 + (more % 1000 != 0));
        sum = bounded(sum);
    }
    *ret_ms = sum;
    return true;
}

/* --- fields --------------------------------------------------------------------------------------
 */

static struct limit *limit_of(struct limits *limits, struct slice label)
{
    for (uint32_t i = 0; i < limits->count; i++) {
        if (slice_same_nocase(limits->at[i].label, label)) {
            return &limits->at[i];
        }
    }
    if (limits->count == LIMITS_MAX || label.len > LABEL_MAX) {
        return NULL;
    }
    limits->at[limits->count] = (struct limit){.label = label};
    return &limits->at[limits->count++];
}

static void note_reset(struct limits *limits, struct slice label, bool is_good, uint64_t ms)
{
    struct limit *limit = is_good ? limit_of(limits, label) : NULL;
    if (limit != NULL) {
        limit->has_reset = true;
        limit->reset_ms = ms;
    }
}

static void note_rest(struct limits *limits, struct slice label, bool is_used_up)
{
    struct limit *limit = limit_of(limits, label);
    if (limit != NULL) {
        limit->has_rest = true;
        limit->is_used_up = is_used_up;
    }
}

static bool is_zero(struct slice text)
{
    uint64_t number;
    return text_parse_u64(slice_trim(text), &number) && number == 0;
}

static void read_anthropic(struct limits *limits, struct slice name, struct slice value,
                           uint64_t wall_ms, struct rate_limit *limit)
{
    struct slice label;
    uint64_t at_ms = 0, seconds;
    if (ends_in(name, "-reset", &label)) {
        bool is_number = text_parse_u64(value, &seconds) && seconds < UINT32_MAX * UINT64_C(4);
        at_ms = is_number ? seconds * 1000 : 0;
        bool is_good = is_number || rate_limit_time(value, &at_ms);
        note_reset(limits, label, is_good, from_now(at_ms, wall_ms));
    } else if (ends_in(name, "-remaining", &label)) {
        note_rest(limits, label, is_zero(value));
    } else if (ends_in(name, "-status", &label)) {
        note_rest(limits, label, slice_is(value, "rejected"));
    } else if (slice_is_nocase(name, "unified-representative-claim")) {
        struct slice family = rate_limit_family(value);
        limit->family = family.len < value.len ? family : limit->family;
    }
}

static void read_field(struct limits *limits, const struct http_field *field, uint64_t wall_ms,
                       struct rate_limit *limit)
{
    struct slice rest, value = slice_trim(field->value);
    uint64_t ms;
    if (field->id == HTTP_RETRY_AFTER) {
        if (duration_of(value, 1000, &ms)) {
            limit->has_retry_after = true;
            limit->retry_after_ms = ms;
        } else if (http_date(value, &ms)) {
            limit->has_retry_after = true;
            limit->retry_after_ms = from_now(ms, wall_ms);
        }
    } else if (is_beneath(field->name, "anthropic-ratelimit-", &rest)) {
        read_anthropic(limits, rest, value, wall_ms, limit);
    } else if (is_beneath(field->name, "x-ratelimit-reset-", &rest)) {
        bool is_good = duration_of(value, 1000, &ms);
        note_reset(limits, rest, is_good, is_good ? ms : 0);
    } else if (is_beneath(field->name, "x-ratelimit-remaining-", &rest)) {
        note_rest(limits, rest, is_zero(value));
    } else if (slice_is_nocase(field->name, "retry-after-ms") && !limit->has_retry_after
               && duration_of(value, 1, &ms)) {
        limit->has_retry_after = true;
        limit->retry_after_ms = ms;
    }
}
