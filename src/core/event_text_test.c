/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as lines of a log.
 */
#include <weir/weir.h>

#include "support/unit.h"

#include <string.h>

static const weir_key key = {.scheme = "pg",
                             .host = "db",
                             .port = 5432,
                             .proxy = "http://user:secret@proxy:3128",
                             .tenant = "alice"};

static void says_what_belongs_to_its_kind(void **state)
{
    (void)state;
    const struct {
        weir_event event;
        const char *text;
        weir_level level;
    } rows[] = {
        {{.kind = WEIR_EVENT_KEY_DOWN,
          .why = WEIR_EREFUSED,
          .pool_name = "main",
          .failures = 3,
          .retry_after_ms = 60000},
         "key_down main: connection refused, 3 failures in a row, dials again in 60000 ms",
         WEIR_LEVEL_ERROR},
        {{.kind = WEIR_EVENT_CONNECTION_REMOVED, .why = WEIR_EAGE, .age_ms = 7, .uses = 2},
         "connection_removed: as old as allowed, after 7 ms and 2 uses",
         WEIR_LEVEL_DEBUG},
        {{.kind = WEIR_EVENT_POOL_LIMIT_REACHED, .pool_name = "main", .total = 4, .waiting = 1},
         "pool_limit_reached main, 4 connections, 1 waiting",
         WEIR_LEVEL_WARN},
        {{.kind = WEIR_EVENT_LEASE_OVERDUE, .tag = 42, .age_ms = 9},
         "lease_overdue, tag 42, after 9 ms",
         WEIR_LEVEL_WARN},
        {{.kind = WEIR_EVENT_EVENTS_LOST, .count = 12}, "events_lost: 12", WEIR_LEVEL_ERROR},
        {{.kind = WEIR_EVENT_CONFIG_CHANGED, .pool_name = "main"},
         "config_changed main",
         WEIR_LEVEL_INFO},
        {{.kind = WEIR_EVENT_HEALTH_STATUS_CHANGED, .health = WEIR_UNAVAILABLE},
         "health_status_changed: unavailable",
         WEIR_LEVEL_ERROR},
        {{.kind = WEIR_EVENT_HEALTH_STATUS_CHANGED, .health = WEIR_DEGRADED},
         "health_status_changed: degraded",
         WEIR_LEVEL_WARN},
        {{.kind = WEIR_EVENT_HEALTH_STATUS_CHANGED},
         "health_status_changed: healthy",
         WEIR_LEVEL_INFO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        size_t len = weir_event_text(&rows[i].event, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(len, strlen(text));
        assert_int_equal(weir_event_level(&rows[i].event), rows[i].level);
    }
}

static void names_the_key_and_no_password(void **state)
{
    (void)state;
    const weir_event event = {
        .kind = WEIR_EVENT_CONNECTION_ADDED, .pool_name = "main", .key = &key};
    char text[300], name[200];
    weir_key_text(&key, name, sizeof name);
    weir_event_text(&event, text, sizeof text);
    assert_non_null(strstr(text, name));
    assert_null(strstr(text, "secret"));
}

static void is_cut_where_there_is_no_room(void **state)
{
    (void)state;
    const weir_event event = {.kind = WEIR_EVENT_POOL_WARM, .pool_name = "main"};
    char text[8];
    assert_int_equal(weir_event_text(&event, text, sizeof text), strlen("pool_warm main"));
    assert_string_equal(text, "pool_wa");
}

static void tells_idleness_from_trouble(void **state)
{
    (void)state;
    weir_event event = {.kind = WEIR_EVENT_CONNECTION_TIMEOUT, .why = WEIR_EIDLE};
    assert_int_equal(weir_event_level(&event), WEIR_LEVEL_DEBUG);
    event.kind = WEIR_EVENT_CONNECTION_REMOVED;
    event.why = WEIR_EUSES;
    assert_int_equal(weir_event_level(&event), WEIR_LEVEL_DEBUG);
    event.kind = WEIR_EVENT_CONNECTION_TIMEOUT;
    event.why = WEIR_EAGE;
    assert_int_equal(weir_event_level(&event), WEIR_LEVEL_DEBUG);
    event.why = WEIR_EUSES;
    assert_int_equal(weir_event_level(&event), WEIR_LEVEL_DEBUG);
    event.why = WEIR_EPROBE_TIMEOUT;
    assert_int_equal(weir_event_level(&event), WEIR_LEVEL_WARN);
}

static void every_kind_has_a_level_and_a_text(void **state)
{
    (void)state;
    for (int kind = 0; kind < WEIR_EVENTS; kind++) {
        const weir_event event = {.kind = (weir_event_kind)kind};
        char text[300];
        assert_true(weir_event_text(&event, text, sizeof text) > 0);
        assert_in_range(weir_event_level(&event), WEIR_LEVEL_ERROR, WEIR_LEVEL_DEBUG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_belongs_to_its_kind),
        cmocka_unit_test(names_the_key_and_no_password),
        cmocka_unit_test(is_cut_where_there_is_no_room),
        cmocka_unit_test(tells_idleness_from_trouble),
        cmocka_unit_test(every_kind_has_a_level_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
