/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value_number.c - values that are numbers, with or without a unit.
 */
#include "gateway/config_arena.h"
#include "gateway/config_value_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a word means where a number could stand: the largest for never and unlimited, else zero. */
static bool special_word(const struct value *v, uint32_t *ret)
{
    if (v->option->words[0] == '\0' || option_word_find(v->option->words, v->text) < 0)
        return false;
    bool endless = strcmp(v->text, "never") == 0 || strcmp(v->text, "unlimited") == 0;
    *ret = endless ? UINT32_MAX : 0;
    return true;
}

static bool in_range(struct value *v, uint64_t number, size_t (*print)(char *, size_t, uint64_t))
{
    char low[40], high[40];
    if (number >= v->option->low && number <= v->option->high)
        return true;
    print(low, sizeof(low), v->option->low);
    print(high, sizeof(high), v->option->high);
    return value_refuse(v, "%.40s is outside %s … %s", v->text, low, high);
}

static size_t print_number(char *ret, size_t size, uint64_t number)
{
    return (size_t)snprintf(ret, size, "%" PRIu64, number);
}

bool value_read_count(struct value *v)
{
    uint64_t number;
    if (special_word(v, v->field))
        return true;
    if (!text_parse_u64(slice_of(v->text), &number)) {
        const char *near = value_nearest_word(v);
        return value_refuse(v, "%.40s is not a number%s%s%s", v->text,
                            near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                            near != NULL ? "?" : "");
    }
    if (!in_range(v, number, print_number))
        return false;
    *(uint32_t *)v->field = (uint32_t)number;
    return true;
}

/* As the pool takes it: there zero in a field asks for the default. */
bool value_read_number(struct value *v)
{
    uint32_t number;
    void *field = v->field;
    v->field = &number;
    bool good = value_read_count(v);
    if (good)
        *(uint32_t *)field = number == 0 ? WEIR_NONE : number;
    return good;
}

bool value_read_time(struct value *v)
{
    uint64_t ms;
    if (special_word(v, v->field))
        return true;
    if (!text_parse_duration(slice_of(v->text), &ms)) {
        uint64_t bare;
        return text_parse_u64(slice_of(v->text), &bare)
                   ? value_refuse(v, "%.40s has no unit; did you mean %.40ss?", v->text, v->text)
                   : value_refuse(v, "%.40s is not a duration such as 250ms, 30s, 5m%s%s", v->text,
                                  v->option->words[0] != '\0' ? " or " : "", v->option->words);
    }
    if (!in_range(v, ms, text_print_duration))
        return false;
    *(uint32_t *)v->field = (uint32_t)ms;
    return true;
}

static bool size_of(struct value *v, uint64_t *ret)
{
    if (!text_parse_size(slice_of(v->text), ret))
        return value_refuse(v, "%.40s is not a size such as 500B, 32KiB, 16MiB", v->text);
    return in_range(v, *ret, text_print_size);
}

bool value_read_size(struct value *v)
{
    return size_of(v, v->field);
}

bool value_read_size32(struct value *v)
{
    uint64_t bytes;
    if (!size_of(v, &bytes))
        return false;
    *(uint32_t *)v->field = (uint32_t)bytes;
    return true;
}

/* A size, with or without "/s". */
bool value_read_rate(struct value *v)
{
    struct slice text = slice_of(v->text);
    if (slice_ends(text, SLICE("/s"))) {
        v->text = config_arena_copy(v->reader->arena, text.at, text.len - 2);
    }
    return size_of(v, v->field);
}

/* A decimal fraction between low and high, six digits at most: "0.2". */
bool value_read_part(struct value *v)
{
    struct slice rest = slice_of(v->text), whole, fraction = {"0", 1};
    uint64_t units, parts;
    slice_split(&rest, '.', &whole);
    bool dotted = rest.at != NULL;
    if (dotted)
        fraction = rest;
    if (!text_parse_u64(whole, &units) || !text_parse_u64(fraction, &parts) || fraction.len > 6)
        return value_refuse(v, "%.40s is not a number such as 0.2", v->text);
    double scale = 1;
    for (uint32_t i = 0; i < fraction.len; i++)
        scale *= 10;
    double number = (double)units + (double)parts / scale;
    if (number < (double)v->option->low || number > (double)v->option->high)
        return value_refuse(v, "%.40s is outside %" PRIu64 " … %" PRIu64, v->text, v->option->low,
                            v->option->high);
    *(double *)v->field = number;
    return true;
}

static const struct {
    char unit;
    uint32_t seconds;
} spans[] = {{'s', 1}, {'m', 60}, {'h', 3600}};

/* "100/s" */
bool value_read_frequency(struct value *v)
{
    struct slice unit = slice_of(v->text), number;
    struct config_rate rate = {0};
    uint64_t count = 0;
    if (option_word_find(v->option->words, v->text) >= 0) {
        *(struct config_rate *)v->field = (struct config_rate){.per_s = 1};
        return true;
    }
    slice_split(&unit, '/', &number);
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]) && unit.len == 1; i++)
        rate.per_s = unit.at[0] == spans[i].unit ? spans[i].seconds : rate.per_s;
    if (rate.per_s == 0 || !text_parse_u64(number, &count))
        return value_refuse(v, "%.40s is not a rate such as 100/s, 60/m, 1000/h, or %s", v->text,
                            v->option->words);
    if (!in_range(v, count, print_number))
        return false;
    rate.count = (uint32_t)count;
    *(struct config_rate *)v->field = rate;
    return true;
}

void value_write_frequency(const struct option *option, const void *field, struct bytes *out)
{
    const struct config_rate *rate = field;
    char unit = 's';
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        unit = rate->per_s == spans[i].seconds ? spans[i].unit : unit;
    if (rate->count == 0)
        bytes_append_json(out, slice_of(option->words));
    else
        bytes_printf(out, "\"%" PRIu32 "/%c\"", rate->count, unit);
}

static bool write_special(const struct option *option, uint32_t number, struct bytes *out)
{
    static const char *const words[] = {"never", "unlimited", "auto", "always"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        bool meant = number == (i < 2 ? UINT32_MAX : 0);
        if (meant && option->words[0] != '\0' && option_word_find(option->words, words[i]) >= 0)
            return bytes_append_json(out, slice_of(words[i]));
    }
    return false;
}

void value_write_count(const struct option *option, const void *field, struct bytes *out)
{
    uint32_t number = *(const uint32_t *)field;
    if (!write_special(option, number, out))
        bytes_printf(out, "%" PRIu32, number == WEIR_NONE ? 0 : number);
}

void value_write_time(const struct option *option, const void *field, struct bytes *out)
{
    char text[64];
    uint32_t ms = *(const uint32_t *)field;
    if (write_special(option, ms, out))
        return;
    text_print_duration(text, sizeof(text), ms);
    bytes_append_json(out, slice_of(text));
}

static void write_bytes(uint64_t bytes, struct bytes *out)
{
    char text[40];
    text_print_size(text, sizeof(text), bytes);
    if (strpbrk(text, "KMGT") == NULL)
        snprintf(text, sizeof(text), "%" PRIu64 "B", bytes);
    bytes_append_json(out, slice_of(text));
}

void value_write_size(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    write_bytes(*(const uint64_t *)field, out);
}

void value_write_size32(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    write_bytes(*(const uint32_t *)field, out);
}

void value_write_part(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    bytes_printf(out, "%.6g", *(const double *)field);
}
