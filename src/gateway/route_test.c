/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/route.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *post_only[] = {"POST", "PURGE"};
static struct config_field wants_key[] = {{"X-Key", "*"}};
static struct config_field wants_blue[] = {{"X-Colour", "blue"}};

static struct config_route table[] = {
    /* 0 */ {.match = {.host = "*", .path = "/"}},
    /* 1 */ {.match = {.host = "*", .path = "/api"}},
    /* 2 */ {.match = {.host = "*", .path = "/api/v2"}},
    /* 3 */ {.match = {.host = "*.example.org", .path = "/"}},
    /* 4 */ {.match = {.host = "*.deep.example.org", .path = "/"}},
    /* 5 */ {.match = {.host = "www.example.org", .path = "/"}},
    /* 6 */ {.match = {.host = "*", .path = "/api", .method = {post_only, 2}}},
    /* 7 */ {.match = {.host = "*", .path = "/key", .header = {wants_key, 1}}},
    /* 8 */ {.match = {.host = "*", .path = "/key", .header = {wants_blue, 1}}},
    /* 9 */ {.match = {.host = "only.test", .path = "/below/"}},
    /* 10 */ {.match = {.host = "::1", .path = "/"}},
};

static struct routes *routes;

static int setup(void **state)
{
    (void)state;
    static struct config_listener listener = {.routes = {table, COUNT(table)}};
    return routes_new(&listener, &routes);
}

static int teardown(void **state)
{
    (void)state;
    routes_free(routes);
    return 0;
}

static struct http_head head_of(const char *method, const char *host, const char *path)
{
    struct http_head head = {.method = slice_of(method),
                             .authority = slice_of(host),
                             .path = slice_of(path),
                             .method_id = HTTP_GET};
    if (head.method.at[0] == 'P') {
        head.method_id = head.method.len == 4 ? HTTP_POST : HTTP_METHOD_OTHER;
    }
    return head;
}

static uint32_t match(const char *method, const char *host, const char *path)
{
    struct http_head head = head_of(method, host, path);
    return routes_match(routes, &head);
}

static void the_longest_path_at_a_segment_wins(void **state)
{
    (void)state;
    assert_int_equal(match("GET", "t", "/"), 0);
    assert_int_equal(match("GET", "t", "/apis"), 0);
    assert_int_equal(match("GET", "t", "/api"), 1);
    assert_int_equal(match("GET", "t", "/api?x=/api/v2"), 1);
    assert_int_equal(match("GET", "t", "/api/v1"), 1);
    assert_int_equal(match("GET", "t", "/api/v2/x"), 2);
    assert_int_equal(match("GET", "t", "/api/v22"), 1);
    assert_int_equal(match("GET", "t", "*"), 0);
}

static void the_closest_host_wins(void **state)
{
    (void)state;
    assert_int_equal(match("GET", "www.example.org", "/api"), 5);
    assert_int_equal(match("GET", "WWW.Example.ORG:8080", "/"), 5);
    assert_int_equal(match("GET", "a.example.org", "/api"), 3);
    assert_int_equal(match("GET", "a.deep.example.org", "/"), 4);
    assert_int_equal(match("GET", "example.org", "/"), 0);
    assert_int_equal(match("GET", "[::1]:80", "/"), 10);
    assert_int_equal(match("GET", "only.test", "/below/x"), 9);
    assert_int_equal(match("GET", "only.test", "/below"), 0);
}

static void methods_and_fields_are_conditions(void **state)
{
    (void)state;
    assert_int_equal(match("POST", "t", "/api"), 6);
    assert_int_equal(match("PURGE", "t", "/api"), 6);
    assert_int_equal(match("PUT", "t", "/api"), 1);

    struct http_field fields[] = {{.name = SLICE("x-key"), .value = SLICE("any")},
                                  {.name = SLICE("X-COLOUR"), .value = SLICE("blue")}};
    struct http_head head = head_of("GET", "t", "/key");
    head.fields = fields;
    assert_int_equal(routes_match(routes, &head), 0);
    head.field_count = 1;
    assert_int_equal(routes_match(routes, &head), 7);
    head.fields++;
    assert_int_equal(routes_match(routes, &head), 8);
    fields[1].value = SLICE("Blue");
    assert_int_equal(routes_match(routes, &head), 0);
}

static void no_route_is_none(void **state)
{
    (void)state;
    struct config_listener empty = {0};
    struct routes *none;
    assert_int_equal(routes_new(&empty, &none), 0);
    struct http_head head = head_of("GET", "t", "/");
    assert_int_equal(routes_match(none, &head), ROUTE_NONE);
    routes_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_path_at_a_segment_wins),
        cmocka_unit_test(the_closest_host_wins),
        cmocka_unit_test(methods_and_fields_are_conditions),
        cmocka_unit_test(no_route_is_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
