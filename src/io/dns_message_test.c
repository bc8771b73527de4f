/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dns_message.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

#define HEAD(answers)  "\x12\x34\x81\x80\x00\x01\x00" answers "\x00\x00\x00\x00"
#define QUESTION(type) "\x03web\x04test\x00\x00" type "\x00\x01"
#define NAMED          "\xc0\x0c" /* as the question is */
#define TTL(s)         "\x00\x00\x00" s
#define TO_HOST                                                                                    \
    "\x01"                                                                                         \
    "a"                                                                                            \
    "\xc0\x10" /* a.test */

struct scene {
    struct dns_record at[4];
    struct dns_records records;
};

static bool read_it(struct scene *scene, const char *text, size_t len, enum dns_type type)
{
    *scene = (struct scene){.records = {.most = 4, .ttl_s = UINT32_MAX}};
    scene->records.at = scene->at;
    uint8_t *exact = malloc(len > 0 ? len : 1); /* ends where it ends: an over-read shows */
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool is_good = dns_message_read(exact, len, type, &scene->records);
    free(exact);
    return is_good;
}

#define READ(scene, text, type) read_it(scene, text, sizeof(text) - 1, type)

static const char addresses[] = HEAD("\x03") QUESTION("\x01")
    /* an alias, then two addresses */
    NAMED "\x00\x05\x00\x01" TTL("\x09") "\x00\x02" NAMED NAMED "\x00\x01\x00\x01" TTL(
        "\x3c") "\x00\x04\x7f\x00\x00\x01" NAMED
                "\x00\x01\x00\x01" TTL("\x1e") "\x00\x04\x7f\x00\x00\x02";

static const char services[] = HEAD("\x02") QUESTION("\x21") NAMED "\x00\x21\x00\x01" TTL(
    "\x05") "\x00\x0a\x00\x01\x00\x02\x1f\x90" TO_HOST NAMED
            "\x00\x21\x00\x01" TTL("\x07") "\x00\x0d\x00\x03\x00\x04\x1f\x91\x03"
                                           "B-_"
                                           "\x01"
                                           "c"
                                           "\x00";

static void addresses_with_the_least_time_of_all(void **state)
{
    struct scene scene;
    (void)state;
    assert_true(READ(&scene, addresses, DNS_TYPE_A));
    assert_int_equal(scene.records.count, 2);
    assert_int_equal(scene.records.ttl_s, 9);
    assert_int_equal(scene.at[1].ip.family, AF_INET);
    assert_memory_equal(scene.at[1].ip.bytes, "\x7f\x00\x00\x02", 4);
    assert_true(READ(&scene, addresses, DNS_TYPE_AAAA));
    assert_int_equal(scene.records.count, 0);
}

static void services_and_where_they_are(void **state)
{
    struct scene scene;
    (void)state;
    assert_true(READ(&scene, services, DNS_TYPE_SRV));
    assert_int_equal(scene.records.count, 2);
    assert_int_equal(scene.records.ttl_s, 5);
    assert_string_equal(scene.at[0].target, "a.test");
    assert_string_equal(scene.at[1].target, "b-_.c");
    assert_int_equal(scene.at[1].priority, 3);
    assert_int_equal(scene.at[1].weight, 4);
    assert_int_equal(scene.at[1].port, 8081);
}

static void no_more_than_there_is_room_for(void **state)
{
    struct scene scene;
    (void)state;
    assert_true(READ(&scene, services, DNS_TYPE_SRV));
    assert_false(scene.records.is_cut);
    scene.records.most = 3;
    assert_true(dns_message_read((const uint8_t *)services, sizeof(services) - 1, DNS_TYPE_SRV,
                                 &scene.records));
    assert_int_equal(scene.records.count, 3);
    assert_true(scene.records.is_cut);
}

static void what_is_cut_anywhere_is_none(void **state)
{
    struct scene scene;
    (void)state;
    for (size_t len = 0; len < sizeof(services) - 1; len++)
        assert_false(read_it(&scene, services, len, DNS_TYPE_SRV));
    for (size_t len = 0; len < sizeof(addresses) - 1; len++)
        assert_false(read_it(&scene, addresses, len, DNS_TYPE_A));
}

static void what_is_malformed(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
        /* a question, not an answer */
        CASE("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        /* a target that leads to itself */
        CASE(HEAD("\x01") QUESTION("\x21") NAMED
             "\x00\x21\x00\x01" TTL("\x05") "\x00\x08\x00\x01\x00\x02\x1f\x90\xc0\x2c"),
        /* a target with a blank in it */
        CASE(HEAD("\x01") QUESTION("\x21") NAMED
             "\x00\x21\x00\x01" TTL("\x05") "\x00\x09\x00\x01\x00\x02\x1f\x90\x01 \x00"),
        /* something behind the target */
        CASE(HEAD("\x01") QUESTION("\x21") NAMED
             "\x00\x21\x00\x01" TTL("\x05") "\x00\x0a\x00\x01\x00\x02\x1f\x90\x01"
                                            "a\x00\x00"),
        /* an address of five bytes */
        CASE(HEAD("\x01") QUESTION("\x21") NAMED
             "\x00\x21\x00\x01" TTL("\x05") "\x00\x05\x7f\x00\x00\x01\x01"),
        /* a label of 64 */
        CASE(HEAD("\x01") "\x40"),
#undef CASE
    };
    struct scene scene;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (read_it(&scene, cases[i].text, cases[i].len, DNS_TYPE_SRV))
            fail_msg("case %zu", i);
}

/* RFC 2782: "." is a service that is decidedly not there. */
static void no_service_is_a_record_without_a_target(void **state)
{
    static const char none[] = HEAD("\x01") QUESTION("\x21") NAMED
        "\x00\x21\x00\x01" TTL("\x05") "\x00\x07\x00\x00\x00\x00\x00\x00\x00";
    struct scene scene;
    (void)state;
    assert_true(READ(&scene, none, DNS_TYPE_SRV));
    assert_int_equal(scene.records.count, 1);
    assert_string_equal(scene.at[0].target, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_with_the_least_time_of_all),
        cmocka_unit_test(services_and_where_they_are),
        cmocka_unit_test(no_more_than_there_is_room_for),
        cmocka_unit_test(what_is_cut_anywhere_is_none),
        cmocka_unit_test(what_is_malformed),
        cmocka_unit_test(no_service_is_a_record_without_a_target),
    };
    return cmocka_run_group_tests_name("dns_message", tests, NULL, NULL);
}
