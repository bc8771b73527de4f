/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/discovery_records.h"

#include "gateway/config_arena.h"
#include "io/dns_message.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

struct scene {
    struct config_arena *arena;
    struct config_endpoint at[8];
    struct config_endpoints found;
    char text[1000];
};

static void scene_init(struct scene *scene)
{
    static const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
    *scene = (struct scene){.arena = config_arena_new(&memory)};
    scene->found.at = scene->at;
    assert_non_null(scene->arena);
}

/* "url weight zone/priority, …" */
static const char *said(struct scene *scene)
{
    size_t len = 0;
    for (uint32_t i = 0; i < scene->found.count; i++)
        len += (size_t)snprintf(scene->text + len, sizeof(scene->text) - len, "%s%s %u %s/%u",
                                i > 0 ? ", " : "", scene->at[i].url, scene->at[i].weight,
                                scene->at[i].zone, scene->at[i].priority);
    config_arena_free(scene->arena);
    return scene->text;
}

static const struct config_endpoint listed = {.url = "https://web:81",
                                              .name = "web:81",
                                              .scheme = "https",
                                              .host = "web",
                                              .port = 81,
                                              .weight = 7,
                                              .priority = 2,
                                              .zone = "z"};

static void addresses_are_as_the_name_is_written(void **state)
{
    struct dns_record at[4] = {0};
    struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_true(ip_parse("10.0.0.2", &at[0].ip) && ip_parse("fd00::1", &at[1].ip)
                && ip_parse("10.0.0.2", &at[2].ip) && ip_parse("10.0.0.1", &at[3].ip));
    discovery_addresses(&(struct dns_records){.at = at, .count = 4}, &listed, scene.arena,
                        &scene.found);
    assert_string_equal(said(&scene), "https://10.0.0.2:81 7 z/2, https://[fd00::1]:81 7 z/2, "
                                      "https://10.0.0.1:81 7 z/2");
}

static void services_have_their_own_ports_weights_and_tiers(void **state)
{
    struct dns_record at[] = {{.priority = 30, .weight = 5, .port = 1, .target = "a.test"},
                              {.priority = 10, .weight = 0, .port = 2, .target = "b.test"},
                              {.priority = 30, .weight = 1, .port = 3, .target = "c.test"},
                              {.priority = 20, .weight = 9, .port = 4, .target = "b.test"},
                              {.priority = 20, .weight = 8, .port = 4, .target = "b.test"},
                              {.priority = 10, .weight = 1, .port = 0, .target = "d.test"},
                              {.priority = 10, .weight = 1, .port = 5, .target = ""}};
    struct scene scene;
    (void)state;
    scene_init(&scene);
    discovery_services(&(struct dns_records){.at = at, .count = 7}, &listed, scene.arena,
                       &scene.found);
    assert_string_equal(said(&scene),
                        "https://a.test:1 5 z/4, https://b.test:2 1 z/2, https://c.test:3 1 z/4, "
                        "https://b.test:4 9 z/3");
}

static void services_without_weights_have_that_which_is_written(void **state)
{
    struct dns_record at[] = {{.port = 1, .target = "a.test"}, {.port = 1, .target = "b.test"}};
    struct config_endpoint last = listed, none = listed;
    struct scene scene;
    (void)state;
    scene_init(&scene);
    last.priority = 255;
    none.weight = 0;
    at[1].priority = 1;
    discovery_services(&(struct dns_records){.at = at, .count = 2}, &last, scene.arena,
                       &scene.found);
    assert_string_equal(said(&scene), "https://a.test:1 7 z/255, https://b.test:1 7 z/255");
    scene_init(&scene);
    at[0].weight = 3;
    discovery_services(&(struct dns_records){.at = at, .count = 1}, &none, scene.arena,
                       &scene.found);
    assert_string_equal(said(&scene), "https://a.test:1 0 z/2"); /* 0 takes no requests */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_as_the_name_is_written),
        cmocka_unit_test(services_have_their_own_ports_weights_and_tiers),
        cmocka_unit_test(services_without_weights_have_that_which_is_written),
    };
    return cmocka_run_group_tests_name("discovery_records", tests, NULL, NULL);
}
