/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option.h"

#include "support/unit.h"

#include <string.h>

static void close_nothing(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self;
    (void)conn;
    (void)object;
    (void)why;
}

static void *detach_nothing(void *self, void *object)
{
    (void)self;
    return object;
}

static void attach_nothing(void *self, weir_conn conn, void *parcel)
{
    (void)self;
    (void)conn;
    (void)parcel;
}

static const weir_connector connector = {.scheme = "x", .close = close_nothing};

static void dial_nothing(void *self, weir_conn conn, const weir_key *key)
{
    (void)self;
    (void)conn;
    (void)key;
}

static const weir_connector dials = {.scheme = "x", .close = close_nothing, .dial = dial_nothing};

static const char *fault_of(weir_pool_options opt)
{
    const char *fault = "";
    weir_pool_options resolved;
    if (opt.connector == NULL) {
        opt.connector = &connector;
    }
    weir_err err = option_resolve(&opt, &resolved, &fault);
    assert_int_equal(err == WEIR_OK, strlen(fault) == 0);
    return fault;
}

static void zero_is_the_default(void **state)
{
    (void)state;
    const char *fault;
    weir_pool_options opt = {.connector = &connector};
    weir_pool_options resolved;
    assert_int_equal(option_resolve(&opt, &resolved, &fault), WEIR_OK);
    assert_string_equal(resolved.name, "x");
#define DEFAULT_OF(value) ((value) == WEIR_NONE ? 0 : (value))
#define WEIR_OPTION(field, word, type, def, min, max, text)                                        \
    assert_int_equal(resolved.field, DEFAULT_OF(def));
#include <weir/def/option.def>
#undef WEIR_OPTION
    weir_pool_options shown;
    weir_pool_options again;
    option_show(&resolved, &shown);
    assert_int_equal(shown.min_idle, WEIR_NONE);
    assert_int_equal(option_resolve(&shown, &again, &fault), WEIR_OK);
    assert_true(option_is_same(&resolved, &again));
    again.max_total++;
    assert_false(option_is_same(&resolved, &again));
}

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    static const weir_connector nameless = {.close = close_nothing};
    static const weir_connector endless = {.scheme = "x"};
    static const weir_connector comes = {
        .scheme = "x", .close = close_nothing, .attach = attach_nothing};
    static const weir_connector goes = {
        .scheme = "x", .close = close_nothing, .detach = detach_nothing};
    const char *fault = NULL;
    weir_pool_options none = {.size = sizeof none};
    assert_int_equal(option_resolve(&none, &none, &fault), WEIR_EINVAL);
    assert_string_equal(fault, "connector");
    assert_string_equal(fault_of((weir_pool_options){.connector = &endless}), "connector");
    assert_string_equal(fault_of((weir_pool_options){.connector = &comes}), "connector");
    assert_string_equal(fault_of((weir_pool_options){.connector = &goes}), "connector");
    assert_string_equal(fault_of((weir_pool_options){.connector = &nameless}), "name");
    assert_string_equal(fault_of((weir_pool_options){.size = sizeof none + 1}), "size");
    char name[80];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    assert_string_equal(fault_of((weir_pool_options){.name = name}), "name");
    name[63] = '\0';
    assert_string_equal(fault_of((weir_pool_options){.name = name}), "");
    assert_string_equal(fault_of((weir_pool_options){.max_total = WEIR_NONE}), "max_total");
    assert_string_equal(fault_of((weir_pool_options){.max_idle = WEIR_NONE}), "");
    assert_string_equal(fault_of((weir_pool_options){.jitter_pct = 101}), "jitter");
    assert_string_equal(fault_of((weir_pool_options){.jitter_pct = WEIR_UNLIMITED}), "jitter");
    assert_string_equal(fault_of((weir_pool_options){.retry_factor = 101}), "retry_factor");
    assert_string_equal(fault_of((weir_pool_options){.reuse = WEIR_NO_REUSE + 1}), "reuse");
    assert_string_equal(fault_of((weir_pool_options){.reuse = WEIR_NONE}), "reuse");
    assert_string_equal(fault_of((weir_pool_options){.reconnect = 3}), "reconnect");
    assert_string_equal(fault_of((weir_pool_options){.min_idle = 3, .max_idle = 2}), "min_idle");
    assert_string_equal(fault_of((weir_pool_options){.size_min = 3, .max_per_key = 2}), "size_min");
    assert_string_equal(fault_of((weir_pool_options){.connector = &dials,
                                                     .concurrency = WEIR_AIMD,
                                                     .concurrency_min = 3,
                                                     .concurrency_max = 2}),
                        "concurrency_min");
    assert_string_equal(
        fault_of((weir_pool_options){.connector = &dials, .concurrency = WEIR_GRADIENT2}), "");
    assert_string_equal(fault_of((weir_pool_options){.concurrency = WEIR_GRADIENT2}),
                        "concurrency"); /* nobody dials: all are admitted */
    assert_string_equal(
        fault_of((weir_pool_options){.warm = WEIR_WARM_PROBE, .max_idle = WEIR_NONE}), "warm");
}

static void an_older_struct_ends_earlier(void **state)
{
    (void)state;
    const char *fault;
    weir_pool_options resolved;
    weir_pool_options opt = {.size = offsetof(weir_pool_options, max_per_key),
                             .connector = &connector,
                             .max_total = 7,
                             .max_per_key = 9};
    assert_int_equal(option_resolve(&opt, &resolved, &fault), WEIR_OK);
    assert_int_equal(resolved.max_total, 7);
    assert_int_equal(resolved.max_per_key, WEIR_UNLIMITED);
}

static void never_reusing_is_one_use(void **state)
{
    (void)state;
    const char *fault;
    weir_pool_options resolved;
    weir_pool_options opt = {.connector = &connector, .reuse = WEIR_NO_REUSE};
    assert_int_equal(option_resolve(&opt, &resolved, &fault), WEIR_OK);
    assert_int_equal(resolved.max_uses, 1);
}

static void words_set_fields(void **state)
{
    (void)state;
    weir_pool_options opt = {.size = sizeof opt};
    const struct {
        const char *word, *value;
        const uint32_t *field;
        uint32_t wanted;
    } good[] = {
        {"idle_timeout", "5m", &opt.idle_timeout_ms, 300000},
        {"idle_timeout", "1m30s", &opt.idle_timeout_ms, 90000},
        {"max_age", "never", &opt.max_age_ms, WEIR_NEVER},
        {"probe_every", "off", &opt.probe_every_ms, WEIR_NEVER},
        {"max_total", "unlimited", &opt.max_total, WEIR_UNLIMITED},
        {"max_uses", "never", &opt.max_uses, WEIR_UNLIMITED},
        {"max_total", "12", &opt.max_total, 12},
        {"min_idle", "0", &opt.min_idle, WEIR_NONE},
        {"jitter", "0", &opt.jitter_pct, WEIR_NONE},
        {"jitter", "15%", &opt.jitter_pct, 15},
        {"refuse_when_full", "true", &opt.refuse_when_full, WEIR_ON},
        {"refuse_when_full", "off", &opt.refuse_when_full, WEIR_OFF},
        {"reuse", "oldest", &opt.reuse, WEIR_OLDEST},
        {"reuse", "never", &opt.reuse, WEIR_NO_REUSE},
        {"on_dial_error", "wait", &opt.on_dial_error, WEIR_WAIT},
        {"reconnect", "eager", &opt.reconnect, WEIR_EAGER},
        {"concurrency", "gradient2", &opt.concurrency, WEIR_GRADIENT2},
        {"concurrency", "aimd", &opt.concurrency, WEIR_AIMD},
        {"warm", "probe", &opt.warm, WEIR_WARM_PROBE},
        {"warm", "dns", &opt.warm, WEIR_WARM_DNS},
        {"warm", "tcp", &opt.warm, WEIR_WARM_TCP},
        {"warm", "tls", &opt.warm, WEIR_WARM_TLS},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(weir_pool_options_set(&opt, good[i].word, good[i].value), WEIR_OK);
        assert_int_equal(*good[i].field, good[i].wanted);
    }
}

static void wrong_words_set_nothing(void **state)
{
    (void)state;
    weir_pool_options opt = {.size = sizeof opt};
    weir_pool_options before = opt;
    const char *const bad[][2] = {
        {"idle_timeuot", "5m"}, {"idle_timeout", "5"},   {"idle_timeout", "0"},
        {"idle_timeout", ""},   {"max_total", "never1"}, {"max_total", "0"},
        {"max_total", "-1"},    {"max_total", "5m"},     {"max_total", "4294967295"},
        {"jitter", "101"},      {"jitter", "unlimited"}, {"retry_factor", "unlimited"},
        {"size_min", "never"},  {"forecast", "4m"},      {"reuse", "latest"},
        {"reuse", "true"},      {"reconnect", "maybe"},  {"refuse_when_full", "2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_pool_options_set(&opt, bad[i][0], bad[i][1]), WEIR_EINVAL);
    }
    assert_memory_equal(&opt, &before, sizeof opt);
}

static void every_option_keeps_its_range(void **state)
{
    (void)state;
    const struct {
        const char *word, *type;
        size_t offset;
        uint32_t min, max;
    } rows[] = {
#define WEIR_OPTION(field, word, type, def, min, max, text)                                        \
    {word, #type, offsetof(weir_pool_options, field), min, max},
#include <weir/def/option.def>
#undef WEIR_OPTION
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool is_number = strcmp(rows[i].type, "ms") == 0 || strcmp(rows[i].type, "count") == 0
                         || strcmp(rows[i].type, "percent") == 0;
        const struct {
            uint32_t value;
            bool fits;
        } tries[] = {
            {WEIR_NONE, is_number && rows[i].min == 0},
            {UINT32_MAX, is_number && rows[i].max == WEIR_MOST},
            {rows[i].min - 1, rows[i].min <= 1}, /* zero is the default */
            {is_number ? rows[i].max : 1, true},
            {is_number && rows[i].max < WEIR_MOST ? rows[i].max + 1 : 100,
             is_number && rows[i].max == WEIR_MOST && rows[i].min <= 100},
        };
        for (size_t n = 0; n < sizeof tries / sizeof *tries; n++) {
            weir_pool_options opt = {.connector = &connector};
            if (rows[i].min == 0 && n == 2) {
                continue;
            }
            memcpy((char *)&opt + rows[i].offset, &tries[n].value, sizeof(uint32_t));
            const char *fault = fault_of(opt);
            if (strcmp(fault, tries[n].fits ? "" : rows[i].word) != 0) {
                fail_msg("%s: %u: \"%s\"", rows[i].word, tries[n].value, fault);
            }
        }
    }
}

/* --- profiles -------------------------------------------------------------------------------
 */

enum { PROFILES = 7 };

static const char *const profile_names[PROFILES] = {
    "openclaw",         "http-client", "websocket-manager", "server",
    "telegram-account", "relay",       "relay-production"};

#define S  1000U
#define M  (60 * S)
#define H  (60 * M)
#define NO UINT32_MAX

/* What each profile means, in the order of their names; 0: as a pool without a profile. */
static const struct {
    const char *word;
    size_t offset;
    uint32_t values[PROFILES];
} cells[] = {
#define CELL(field) #field, offsetof(weir_pool_options, field)
    {CELL(max_total), {100, 100, 1000, 1000, NO, 1000, 1000}},
    {CELL(max_per_key), {1, 30, 0, 0, 3, 100, 100}},
    {CELL(size_min), {0, 0, 0, 0, 0, 2, 2}},
    {CELL(forecast_ms), {0, 0, 0, 0, 0, 24 * H, 24 * H}},
    {CELL(max_idle), {0, 0, 0, 0, 3, 0, 20}},
    {CELL(idle_timeout_ms), {5 * M, 30 * S, 5 * M, 30 * S, 5 * M, 5 * M, 5 * M}},
    {CELL(max_age_ms), {NO, 0, NO, NO, 1 * H, 0, 0}},
    {CELL(probe_every_ms), {60 * S, NO, 60 * S, NO, NO, 60 * S, 30 * S}},
    {CELL(failures_max), {4, 3, 0, 0, 3, 3, 5}},
    {CELL(down_for_ms), {60 * S, 60 * S, 0, 0, 60 * S, 60 * S, 120 * S}},
    {CELL(connect_timeout_ms), {10 * S, 10 * S, 0, 0, 10 * S, 10 * S, 10 * S}},
    {CELL(read_timeout_ms), {NO, 30 * S, 0, 0, NO, 120 * S, 120 * S}},
    {CELL(total_timeout_ms), {30 * S, 60 * S, 0, 0, NO, NO, NO}},
    {CELL(reuse), {WEIR_NEWEST, WEIR_NEWEST, 0, 0, WEIR_OLDEST, WEIR_NEWEST, WEIR_NEWEST}},
    {CELL(on_dial_error), {WEIR_WAIT, 0, 0, 0, WEIR_WAIT, 0, 0}},
    {CELL(reconnect), {WEIR_EAGER, 0, 0, 0, 0, 0, 0}},
    {CELL(retry_first_ms), {1 * S, 0, 0, 0, 0, 0, 0}},
    {CELL(retry_factor), {2, 0, 0, 0, 0, 0, 0}},
#undef CELL
};

static uint32_t value_at(const weir_pool_options *opt, size_t offset)
{
    uint32_t value;
    memcpy(&value, (const char *)opt + offset, sizeof value);
    return value;
}

static weir_pool_options resolved_of(const char *profile)
{
    const char *fault;
    weir_pool_options opt = {.connector = &connector};
    weir_pool_options resolved = {0};
    if (profile != NULL) {
        assert_int_equal(weir_profile(profile, &opt), WEIR_OK);
    }
    assert_int_equal(option_resolve(&opt, &resolved, &fault), WEIR_OK);
    return resolved;
}

/* Every cell that the table names, and every option that it does not: as without a profile. */
static void profiles_are_what_the_documents_say(void **state)
{
    (void)state;
    weir_pool_options plain = resolved_of(NULL);
    for (size_t p = 0; p < PROFILES; p++) {
        weir_pool_options expected = plain;
        weir_pool_options real = resolved_of(profile_names[p]);
        for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
            uint32_t value = cells[c].values[p];
            value = value != 0 ? value : value_at(&plain, cells[c].offset);
            if (value_at(&real, cells[c].offset) != value) {
                fail_msg("%s: %s is %u", profile_names[p], cells[c].word,
                         value_at(&real, cells[c].offset));
            }
            memcpy((char *)&expected + cells[c].offset, &value, sizeof value);
        }
        assert_true(option_is_same(&expected, &real));
    }
}

static void profiles_fill_what_is_not_set(void **state)
{
    (void)state;
    for (size_t p = 0; p < PROFILES; p++) {
        weir_pool_options opt = {.connector = &connector, .max_total = 5, .idle_timeout_ms = 7};
        assert_int_equal(weir_profile(profile_names[p], &opt), WEIR_OK);
        assert_int_equal(opt.max_total, 5);
        assert_int_equal(opt.idle_timeout_ms, 7);
        assert_string_equal(fault_of(opt), "");
    }
    weir_pool_options opt = {0};
    assert_int_equal(weir_profile("none such", &opt), WEIR_EINVAL);
    assert_int_equal(weir_profile("", &opt), WEIR_EINVAL);
    assert_int_equal(weir_profile("Relay", &opt), WEIR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_the_default),
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(an_older_struct_ends_earlier),
        cmocka_unit_test(never_reusing_is_one_use),
        cmocka_unit_test(words_set_fields),
        cmocka_unit_test(wrong_words_set_nothing),
        cmocka_unit_test(every_option_keeps_its_range),
        cmocka_unit_test(profiles_are_what_the_documents_say),
        cmocka_unit_test(profiles_fill_what_is_not_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
