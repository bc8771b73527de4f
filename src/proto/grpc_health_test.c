/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc_health.h"

#include "support/unit.h"

static void test_methods(void **state)
{
    (void)state;
    assert_int_equal(grpc_health_method_of(SLICE("/grpc.health.v1.Health/Check")),
                     GRPC_HEALTH_CHECK);
    assert_int_equal(grpc_health_method_of(SLICE("/grpc.health.v1.Health/Watch")),
                     GRPC_HEALTH_WATCH);
    assert_int_equal(grpc_health_method_of(SLICE("/grpc.health.v1.Health/List")),
                     GRPC_HEALTH_OTHER);
    assert_int_equal(grpc_health_method_of(SLICE("/grpc.health.v1.Health/")), GRPC_HEALTH_OTHER);
    assert_int_equal(grpc_health_method_of(SLICE("/grpc.health.v1.Healthy/Check")),
                     GRPC_HEALTH_NONE);
    assert_int_equal(grpc_health_method_of(SLICE("/")), GRPC_HEALTH_NONE);
}

#define BODY(text) (text), sizeof(text) - 1

static void test_requests(void **state)
{
    (void)state;
    struct slice service;
    assert_true(grpc_health_read(BODY("\0\0\0\0\0"), &service));
    assert_int_equal(service.len, 0);
    assert_true(grpc_health_read(BODY("\0\0\0\0\4\012\2up"), &service));
    assert_true(slice_is(service, "up"));
    assert_true(grpc_health_read(BODY("\0\0\0\0\2\012\0"), &service));
    assert_int_equal(service.len, 0);
    /* Fields 2 (number), 3 (64 bits), 4 (text), 5 (32 bits) are nobody's; the last service counts.
     */
    assert_true(grpc_health_read(
        BODY("\0\0\0\0\034\020\377\1\012\1a\03112345678\042\2xx\0551234\012\2up"), &service));
    assert_true(slice_is(service, "up"));
}

static void test_what_is_none(void **state)
{
    (void)state;
    struct slice service;
    assert_false(grpc_health_read("", 0, &service));
    assert_false(grpc_health_read(BODY("\0\0\0\0"), &service));
    assert_false(grpc_health_read(BODY("\1\0\0\0\0"), &service));         /* compressed */
    assert_false(grpc_health_read(BODY("\0\0\0\0\5\012\2up"), &service)); /* cut */
    assert_false(grpc_health_read(BODY("\0\0\0\0\3\012\2up"), &service)); /* more behind it */
    assert_false(grpc_health_read(BODY("\0\0\0\0\4\012\3up"), &service)); /* its text is cut */
    assert_false(grpc_health_read(BODY("\0\0\0\0\2\020\200"), &service)); /* its number is */
    assert_false(grpc_health_read(BODY("\0\0\0\0\2\013\0"), &service));   /* a group */
    assert_false(grpc_health_read(BODY("\0\0\0\0\4\0311234"), &service)); /* 64 bits of 24 */
    assert_false(grpc_health_read(BODY("\0\0\0\0\013\012\377\377\377\377\377\377\377\377\377\1"),
                                  &service)); /* longer than can be */
}

static void test_replies(void **state)
{
    (void)state;
    uint8_t reply[GRPC_HEALTH_REPLY];
    grpc_health_write(GRPC_SERVING, reply);
    assert_memory_equal(reply, "\0\0\0\0\2\010\1", 7);
    grpc_health_write(GRPC_SERVICE_UNKNOWN, reply);
    assert_int_equal(reply[6], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
