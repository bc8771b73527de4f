/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/redis_slots.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static const struct redis_place asked = {.host = "10.0.0.9", .port = 7009};
static struct redis_map map;

/* As CLUSTER KEYSLOT of a redis-server 7 says. */
static void a_key_has_a_slot(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        unsigned slot;
    } keys[] = {{"", 0},          {"123456789", 12739},    {"foo", 12182},
                {"{foo}", 12182}, {"a{foo}b{bar}", 12182}, {"weir:s:{foo}:0123", 12182},
                {"foo{", 7673},   {"{}foo", 9500},         {"foo{{bar}}zap", 4015},
                {"{bar", 4015}};
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (redis_slot_of(slice_of(keys[i].key)) != keys[i].slot) {
            fail_msg("%s: %u, and not %u", keys[i].key,
                     (unsigned)redis_slot_of(slice_of(keys[i].key)), keys[i].slot);
        }
    }
}

static void a_node_says_who_serves_it(void **state)
{
    (void)state;
    struct redis_place place;
    uint16_t slot;
    assert_true(redis_moved_read(SLICE("MOVED 3999 127.0.0.1:6381"), &asked, &slot, &place));
    assert_true(slot == 3999 && place.port == 6381 && strcmp(place.host, "127.0.0.1") == 0);
    assert_true(redis_moved_read(SLICE("ASK 16383 ::1:1"), &asked, &slot, &place));
    assert_true(slot == 16383 && place.port == 1 && strcmp(place.host, "::1") == 0);
    assert_true(
        redis_moved_read(SLICE("MOVED 0 node-3.example:65535 more"), &asked, &slot, &place));
    assert_string_equal(place.host, "node-3.example");
    assert_true(redis_moved_read(SLICE("MOVED 7 :7001"), &asked, &slot, &place));
    assert_true(place.port == 7001 && strcmp(place.host, "10.0.0.9") == 0);
    static const char *const bad[] = {"",
                                      "MOVED",
                                      "MOVED 1",
                                      "MOVED x 127.0.0.1:1",
                                      "MOVED 16384 127.0.0.1:1",
                                      "MOVED -1 127.0.0.1:1",
                                      "MOVED 1 127.0.0.1",
                                      "MOVED 1 127.0.0.1:",
                                      "MOVED 1 127.0.0.1:0",
                                      "MOVED 1 127.0.0.1:65536",
                                      "MOVED 1 ?:6379",
                                      "MOVED 1 a\tb:6379",
                                      "TRYAGAIN 1 127.0.0.1:1"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (redis_moved_read(slice_of(bad[i]), &asked, &slot, &place)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    char longer[600] = "MOVED 1 ";
    memset(longer + 8, 'h', 256);
    memcpy(longer + 264, ":1", 3);
    assert_false(redis_moved_read(slice_of(longer), &asked, &slot, &place));
}

/* NULL: it was read. */
static const char *read_map(const char *text)
{
    struct resp_reader reader;
    struct resp_value value;
    resp_reader_init(&reader, NULL);
    size_t whole = resp_read(&reader, text, strlen(text));
    if (whole != strlen(text)) {
        fail_msg("no whole reply: %s", text);
    }
    struct resp_walk walk = resp_walk_of(text, whole);
    assert_true(resp_next(&walk, &value));
    return redis_map_read(&value, &walk, &asked, &map);
}

#define NODE(port)       "*3\r\n$9\r\n127.0.0.1\r\n:" port "\r\n$2\r\nid\r\n"
#define RANGE(a, b, who) "*3\r\n:" a "\r\n:" b "\r\n" who

static void slots_are_read(void **state)
{
    (void)state;
    assert_null(read_map("*3\r\n" RANGE("0", "5460", NODE("7000")) /* with a replica: */
                         "*4\r\n:5461\r\n:10922\r\n" NODE("7001") NODE("7004")
                             RANGE("10923", "16383", NODE("7000"))));
    assert_true(map.count == 2 && map.covered == REDIS_SLOTS);
    assert_int_equal(redis_map_find(&map, 0)->port, 7000);
    assert_int_equal(redis_map_find(&map, 5460)->port, 7000);
    assert_int_equal(redis_map_find(&map, 5461)->port, 7001);
    assert_int_equal(redis_map_find(&map, 16383)->port, 7000);
    /* Names that the node has not, metadata of RESP3, and a range of one. */
    assert_null(
        read_map("*2\r\n*3\r\n:5\r\n:5\r\n*4\r\n_\r\n:1\r\n$2\r\nid\r\n"
                 "%1\r\n$2\r\nip\r\n$1\r\nx\r\n" RANGE("7", "8", "*2\r\n$0\r\n\r\n:2\r\n")));
    assert_true(map.count == 2 && map.covered == 3);
    assert_string_equal(redis_map_find(&map, 5)->host, "10.0.0.9");
    assert_int_equal(redis_map_find(&map, 8)->port, 2);
    assert_null(redis_map_find(&map, 6));
    /* One slot moves, to somebody new. */
    assert_true(redis_map_set(&map, 5, &asked) && redis_map_set(&map, 6, &asked));
    assert_true(map.count == 3 && map.covered == 4);
    assert_int_equal(redis_map_find(&map, 5)->port, 7009);
    assert_int_equal(redis_map_find(&map, 6)->port, 7009);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fault;
    } bad[] = {
        {"-ERR This instance has cluster support disabled\r\n", "refuses"},
        {"+OK\r\n", "no slots"},
        {"*0\r\n", "no slot that is served"},
        {"*1\r\n:1\r\n", "range of slots is none"},
        {"*1\r\n*2\r\n:1\r\n:2\r\n", "range of slots is none"},
        {"*1\r\n" RANGE("5", "4", NODE("1")), "bounds"},
        {"*1\r\n" RANGE("-1", "4", NODE("1")), "bounds"},
        {"*1\r\n" RANGE("0", "16384", NODE("1")), "bounds"},
        {"*1\r\n*3\r\n$1\r\n0\r\n:1\r\n" NODE("1"), "bounds"},
        {"*1\r\n" RANGE("0", "1", ":7\r\n"), "no master"},
        {"*1\r\n" RANGE("0", "1", "*1\r\n:7\r\n"), "no master"},
        {"*1\r\n" RANGE("0", "1", NODE("0")), "no master"},
        {"*1\r\n" RANGE("0", "1", NODE("65536")), "no master"},
        {"*1\r\n" RANGE("0", "1", "*2\r\n:1\r\n:1\r\n"), "no master"},
        {"*1\r\n" RANGE("0", "1", "*2\r\n$1\r\n?\r\n:1\r\n"), "no master"},
        {"*1\r\n" RANGE("0", "1", "*2\r\n$3\r\na\nb\r\n:1\r\n"), "no master"},
        {"*2\r\n" RANGE("0", "9", NODE("1")) RANGE("9", "10", NODE("2")), "two masters"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *fault = read_map(bad[i].text);
        if (fault == NULL || strstr(fault, bad[i].fault) == NULL) {
            fail_msg("%s: %s", bad[i].text, fault != NULL ? fault : "taken");
        }
    }
}

static void a_thousand_masters_are_too_many(void **state)
{
    (void)state;
    static char text[65536];
    int len = snprintf(text, sizeof text, "*%u\r\n", REDIS_NODES_MAX + 1);
    for (unsigned i = 0; i <= REDIS_NODES_MAX; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len,
                        "*3\r\n:%u\r\n:%u\r\n*2\r\n$1\r\nh\r\n:%u\r\n", i, i, i + 1);
    }
    assert_string_equal(read_map(text), "it has too many masters");
    assert_int_equal(map.count, REDIS_NODES_MAX);
    assert_false(redis_map_set(&map, 0, &asked));
    assert_int_equal(redis_map_find(&map, 0)->port, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_a_slot),
        cmocka_unit_test(a_node_says_who_serves_it),
        cmocka_unit_test(slots_are_read),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_thousand_masters_are_too_many),
    };
    return cmocka_run_group_tests_name("redis slots", tests, NULL, NULL);
}
