/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/endpoint_list.h"

#include "gateway/config_arena.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
static const struct endpoint_list_rules rules = {.scheme = "http", .most = 4};

static bool read_it(const char *text, struct config_arena *arena, struct config_endpoints *list,
                    char *why)
{
    why[0] = '\0';
    return endpoint_list_read(slice_of(text), &rules, arena, list, why);
}

/* "url weight zone priority, …" */
static void say(const struct config_endpoints *list, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < list->count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s %u %s/%u", i > 0 ? ", " : "",
                                list->at[i].url, list->at[i].weight, list->at[i].zone,
                                list->at[i].priority);
}

static void what_is_a_list(void **state)
{
    static const struct {
        const char *text, *list;
    } cases[] = {
        {"[]", ""},
        {"- http://a:1\n- b:2\n", "http://a:1 100 /0, http://b:2 100 /0"},
        {"[\"https://a\", {\"url\": \"b:2\", \"weight\": 5, \"zone\": \"z\", \"priority\": 3}]",
         "https://a 100 /0, http://b:2 5 z/3"},
        {"{\"endpoints\": [\"a:1\"]}", "http://a:1 100 /0"},
        {"endpoints:\n  - url: \"[::1]:5\"\n", "http://[::1]:5 100 /0"},
        {"[{\"targets\": [\"a:1\", \"b:2\"], \"labels\": {\"zone\": \"z\", \"job\": \"x\", "
         "\"deep\": [{\"er\": 1}], \"__scheme__\": \"https\", \"weight\": \"7\"}}, {\"targets\": "
         "[]}]",
         "https://a:1 7 z/0, https://b:2 7 z/0"},
        {"[a:1, a:1, http://A:1]", "http://a:1 100 /0"},
        {"[{url: a:1, weight: 0}, b:1]", "http://a:1 0 /0, http://b:1 100 /0"},
        {"[a:1, b:1, c:1, d:1]", "http://a:1 100 /0, http://b:1 100 /0, http://c:1 100 /0, "
                                 "http://d:1 100 /0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_arena *arena = config_arena_new(&memory);
        struct config_endpoints list = {0};
        char why[ENDPOINT_LIST_WHY_MAX], text[1000];
        if (!read_it(cases[i].text, arena, &list, why))
            fail_msg("%s: %s", cases[i].text, why);
        say(&list, text, sizeof(text));
        assert_string_equal(text, cases[i].list);
        config_arena_free(arena);
    }
}

static void what_is_none(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1: empty"},
        {"# nothing\n", "empty"},
        {"a:1", "no list of endpoints"},
        {"{}", "a name is no text"},
        {"{upstreams: []}", "nothing but endpoints"},
        {"{endpoints: [], more: 1}", "beside endpoints"},
        {"[\na:1,\n{url: b:1, wieght: 3}]", "line 3: wieght is not known"},
        {"[{weight: 3}]", "url or targets, one of them"},
        {"[{url: a:1, targets: [b:1]}]", "url or targets, one of them"},
        {"[{url: a:1, weight: -1}]", "weight is no number from 0 to 65535"},
        {"[{url: a:1, weight: 65536}]", "weight is no number from 0 to 65535"},
        {"[{url: a:1, priority: 256}]", "priority is no number from 0 to 255"},
        {"[{url: a:1, zone: [b]}]", "zone is no text"},
        {"[{targets: a:1}]", "targets is no list"},
        {"[{targets: [a:1], targets: [b:1]}]", "targets twice"},
        {"[{targets: [a:1], labels: x}]", "labels is no map"},
        {"[{targets: [a:1], labels: {__scheme__: ftp}}]", "neither http nor https"},
        {"[a:0]", "\"http://a:0\" has no port between 1 and 65535"},
        {"[http://a/b]", "has a path"},
        {"[http://u:p@a:1]", "has a user in it"},
        {"[[a:1]]", "an endpoint is a text or a map"},
        {"[a:1, b:1, c:1, d:1, e:1]", "more than 4 endpoints (discover.max)"},
        {"[{targets: [a:1, b:1, c:1, d:1, e:1]}]", "more than 4 targets"},
        {"[&x a:1, *x]", "an alias"},
        {"[{url: a:1, weight: 0}]", "no endpoint has a weight above zero"},
        {"[a:1", "not YAML or JSON"},
        {"<html>no</html>", "no list of endpoints"},
        {"[a:1]\n---\n[b:1]\n", "something follows"},
        {"[\"a\\0b:1\"]", "has a NUL in it"},
        {"[\"\\u200b:1\"]", "has no host"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_arena *arena = config_arena_new(&memory);
        struct config_endpoints list = {.count = 77};
        char why[ENDPOINT_LIST_WHY_MAX];
        assert_false(read_it(cases[i].text, arena, &list, why));
        if (strstr(why, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, why);
        assert_int_equal(list.count, 77);
        config_arena_free(arena);
    }
}

static void a_host_is_found_by_its_port(void **state)
{
    struct config_endpoint at[] = {{.host = "a", .port = 1}, {.host = "b", .port = 2}};
    const struct config_endpoints list = {at, 2};
    (void)state;
    assert_true(endpoint_list_has(&list, "a", 1));
    assert_true(endpoint_list_has(&list, "b", 2));
    assert_false(endpoint_list_has(&list, "a", 2));
    assert_false(endpoint_list_has(&list, "c", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_list),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(a_host_is_found_by_its_port),
    };
    return cmocka_run_group_tests_name("endpoint_list", tests, NULL, NULL);
}
