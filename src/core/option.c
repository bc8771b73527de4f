/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option.h"

#include "base/text.h"

#include <stddef.h>
#include <string.h>

#define POOL_NAME_MAX 63U

enum option_type {
    TYPE_ms,
    TYPE_count,
    TYPE_percent,
    TYPE_flag,
    TYPE_reuse,
    TYPE_on_dial_error,
    TYPE_reconnect,
    TYPE_warm,
    TYPE_concurrency
};

struct option {
    const char *word;
    size_t offset;
    enum option_type type;
    uint32_t initial, min, max;
};

static const struct option options[] = {
#define WEIR_OPTION(field, word, type, def, min, max, text)                                        \
    {word, offsetof(weir_pool_options, field), TYPE_##type, def, min, max},
#include <weir/def/option.def>
#undef WEIR_OPTION
};

#define OPTIONS (sizeof options / sizeof *options)

/* The words of a list, the first of which is 1. */
static const char *const flag_words[] = {"off", "on", NULL};
static const char *const reuse_words[] = {"newest", "oldest", "fewest", "never", NULL};
static const char *const on_dial_error_words[] = {"fail", "wait", NULL};
static const char *const reconnect_words[] = {"lazy", "eager", NULL};
static const char *const warm_words[] = {"off", "up", "probe", "dns", "tcp", "tls", NULL};
static const char *const concurrency_words[] = {"off", "gradient2", "aimd", NULL};

static const char *const *const lists[] = {
    [TYPE_flag] = flag_words,
    [TYPE_reuse] = reuse_words,
    [TYPE_on_dial_error] = on_dial_error_words,
    [TYPE_reconnect] = reconnect_words,
    [TYPE_warm] = warm_words,
    [TYPE_concurrency] = concurrency_words,
};

static uint32_t words_in(enum option_type type)
{
    uint32_t count = 0;
    while (lists[type][count] != NULL) {
        count++;
    }
    return count;
}

static bool is_list(enum option_type type)
{
    return type >= TYPE_flag;
}

static uint32_t *field_of(weir_pool_options *opt, const struct option *option)
{
    return (uint32_t *)(void *)((char *)opt + option->offset);
}

/* --- resolving ---------------------------------------------------------------------------- */

static bool in_range(const struct option *option, uint32_t value)
{
    if (is_list(option->type)) {
        return value <= words_in(option->type);
    }
    if (value == UINT32_MAX) { /* never, unlimited */
        return option->max == WEIR_MOST;
    }
    return value >= option->min && value <= option->max;
}

static bool resolve_field(const struct option *option, uint32_t *value)
{
    if (*value == 0) {
        *value = option->initial;
    }
    if (*value == WEIR_NONE) {
        *value = 0;
        return option->min == 0 && !is_list(option->type);
    }
    return in_range(option, *value);
}

static weir_err fault(const char **ret_fault, const char *word)
{
    *ret_fault = word;
    return WEIR_EINVAL;
}

/* An embedder's struct may be older than ours: it ends earlier, and the rest is default. */
static bool copy_in(const weir_pool_options *opt, weir_pool_options *ret_copy)
{
    size_t size = opt->size != 0 ? opt->size : sizeof *opt;
    if (size > sizeof *opt) {
        return false;
    }
    memset(ret_copy, 0, sizeof *ret_copy);
    memcpy(ret_copy, opt, size);
    ret_copy->size = sizeof *ret_copy;
    return true;
}

/* What comes off one engine has to get on to another one. */
static bool is_whole(const weir_connector *connector)
{
    return connector != NULL && connector->close != NULL
           && (connector->detach == NULL) == (connector->attach == NULL);
}

weir_err option_resolve(const weir_pool_options *opt, weir_pool_options *ret_opt,
                        const char **ret_fault)
{
    weir_pool_options copy;
    if (!copy_in(opt, &copy)) {
        return fault(ret_fault, "size");
    }
    if (!is_whole(copy.connector)) {
        return fault(ret_fault, "connector");
    }
    if (copy.name == NULL) {
        copy.name = copy.connector->scheme;
    }
    if (copy.name == NULL || strlen(copy.name) > POOL_NAME_MAX) {
        return fault(ret_fault, "name");
    }
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!resolve_field(&options[i], field_of(&copy, &options[i]))) {
            return fault(ret_fault, options[i].word);
        }
    }
    if (copy.min_idle > copy.max_idle) {
        return fault(ret_fault, "min_idle");
    }
    if (copy.size_min > copy.max_per_key) {
        return fault(ret_fault, "size_min");
    }
    if (copy.warm != WEIR_OFF && copy.warm != WEIR_WARM_DNS && copy.max_idle == 0) {
        return fault(ret_fault, "warm");
    }
    if (copy.concurrency != WEIR_OFF && copy.connector->dial == NULL) {
        return fault(ret_fault, "concurrency"); /* who is admitted comes with its requests */
    }
    if (copy.concurrency != WEIR_OFF && copy.concurrency_min > copy.concurrency_max) {
        return fault(ret_fault, "concurrency_min");
    }
    if (copy.reuse == WEIR_NO_REUSE) {
        copy.max_uses = 1;
    }
    *ret_opt = copy;
    return WEIR_OK;
}

void option_show(const weir_pool_options *resolved, weir_pool_options *ret_opt)
{
    *ret_opt = *resolved;
    for (size_t i = 0; i < OPTIONS; i++) {
        uint32_t *value = field_of(ret_opt, &options[i]);
        if (*value == 0) {
            *value = WEIR_NONE;
        }
    }
}

bool option_is_same(const weir_pool_options *a, const weir_pool_options *b)
{
    size_t from = options[0].offset;
    size_t to = options[OPTIONS - 1].offset + sizeof(uint32_t);
    return memcmp((const char *)a + from, (const char *)b + from, to - from) == 0;
}

/* --- by word ------------------------------------------------------------------------------ */

static bool parse_list(const struct option *option, struct slice text, uint32_t *ret_value)
{
    bool flag;
    if (option->type == TYPE_flag && text_parse_bool(text, &flag)) {
        *ret_value = flag ? WEIR_ON : WEIR_OFF;
        return true;
    }
    for (uint32_t i = 0; lists[option->type][i] != NULL; i++) {
        if (slice_is(text, lists[option->type][i])) {
            *ret_value = i + 1;
            return true;
        }
    }
    return false;
}

static bool is_endless(const struct option *option, struct slice text)
{
    if (option->max != WEIR_MOST) {
        return false;
    }
    if (option->type == TYPE_ms) {
        return slice_is(text, "never") || slice_is(text, "off");
    }
    return slice_is(text, "unlimited") || slice_is(text, "never");
}

static bool parse(const struct option *option, struct slice text, uint32_t *ret_value)
{
    uint64_t value = 0;
    bool is_number;
    if (is_list(option->type)) {
        return parse_list(option, text, ret_value);
    }
    if (is_endless(option, text)) {
        *ret_value = UINT32_MAX;
        return true;
    }
    if (option->type == TYPE_percent && slice_ends(text, SLICE("%"))) {
        text.len--;
    }
    is_number = text_parse_u64(text, &value);
    if (option->type == TYPE_ms && (!is_number || value != 0)) {
        is_number = text_parse_duration(text, &value);
    }
    if (!is_number || value < option->min || value > option->max) {
        return false;
    }
    *ret_value = value == 0 ? WEIR_NONE : (uint32_t)value;
    return true;
}

weir_err weir_pool_options_set(weir_pool_options *opt, const char *word, const char *value)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].word, word) == 0) {
            bool is_set = parse(&options[i], slice_of(value), field_of(opt, &options[i]));
            return is_set ? WEIR_OK : WEIR_EINVAL;
        }
    }
    return WEIR_EINVAL;
}

/* --- profiles ----------------------------------------------------------------------------- */

#define SECONDS(n) ((n)*1000U)
#define MINUTES(n) SECONDS((n)*60U)
#define HOURS(n)   MINUTES((n)*60U)

static const struct {
    const char *name;
    weir_pool_options opt;
} profiles[] = {
    {"openclaw",
     {.max_total = 100,
      .max_per_key = 1,
      .idle_timeout_ms = MINUTES(5),
      .max_age_ms = WEIR_NEVER,
      .probe_every_ms = SECONDS(60),
      .failures_max = 4,
      .down_for_ms = SECONDS(60),
      .connect_timeout_ms = SECONDS(10),
      .read_timeout_ms = WEIR_NEVER,
      .total_timeout_ms = SECONDS(30),
      .reuse = WEIR_NEWEST,
      .on_dial_error = WEIR_WAIT,
      .reconnect = WEIR_EAGER}},
    {"http-client",
     {.max_total = 100,
      .max_per_key = 30,
      .idle_timeout_ms = SECONDS(30),
      .probe_every_ms = WEIR_NEVER,
      .failures_max = 3,
      .down_for_ms = SECONDS(60),
      .connect_timeout_ms = SECONDS(10),
      .read_timeout_ms = SECONDS(30),
      .total_timeout_ms = SECONDS(60),
      .reuse = WEIR_NEWEST}},
    {"websocket-manager",
     {.max_total = 1000,
      .idle_timeout_ms = MINUTES(5),
      .max_age_ms = WEIR_NEVER,
      .probe_every_ms = SECONDS(60)}},
    {"server",
     {.max_total = 1000,
      .idle_timeout_ms = SECONDS(30),
      .max_age_ms = WEIR_NEVER,
      .probe_every_ms = WEIR_NEVER}},
    {"telegram-account",
     {.max_total = WEIR_UNLIMITED,
      .max_per_key = 3,
      .max_idle = 3,
      .idle_timeout_ms = MINUTES(5),
      .max_age_ms = HOURS(1),
      .probe_every_ms = WEIR_NEVER,
      .failures_max = 3,
      .down_for_ms = SECONDS(60),
      .connect_timeout_ms = SECONDS(10),
      .read_timeout_ms = WEIR_NEVER,
      .total_timeout_ms = WEIR_NEVER,
      .reuse = WEIR_OLDEST,
      .on_dial_error = WEIR_WAIT}},
    {"relay",
     {.max_total = 1000,
      .max_per_key = 100,
      .size_min = 2,
      .forecast_ms = HOURS(24),
      .idle_timeout_ms = MINUTES(5),
      .probe_every_ms = SECONDS(60),
      .failures_max = 3,
      .down_for_ms = SECONDS(60),
      .connect_timeout_ms = SECONDS(10),
      .read_timeout_ms = SECONDS(120),
      .total_timeout_ms = WEIR_NEVER,
      .reuse = WEIR_NEWEST}},
    {"relay-production",
     {.max_total = 1000,
      .max_per_key = 100,
      .size_min = 2,
      .forecast_ms = HOURS(24),
      .max_idle = 20,
      .idle_timeout_ms = MINUTES(5),
      .probe_every_ms = SECONDS(30),
      .failures_max = 5,
      .down_for_ms = SECONDS(120),
      .connect_timeout_ms = SECONDS(10),
      .read_timeout_ms = SECONDS(120),
      .total_timeout_ms = WEIR_NEVER,
      .reuse = WEIR_NEWEST}},
};

weir_err weir_profile(const char *profile, weir_pool_options *opt)
{
    for (size_t p = 0; p < sizeof profiles / sizeof *profiles; p++) {
        if (strcmp(profiles[p].name, profile) != 0) {
            continue;
        }
        weir_pool_options from = profiles[p].opt;
        for (size_t i = 0; i < OPTIONS; i++) {
            uint32_t *value = field_of(opt, &options[i]);
            if (*value == 0) {
                *value = *field_of(&from, &options[i]);
            }
        }
        return WEIR_OK;
    }
    return WEIR_EINVAL;
}
