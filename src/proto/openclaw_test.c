/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/openclaw.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static struct claw_frame read_text(const char *text)
{
    struct claw_frame frame;
    claw_read(slice_of(text), &frame);
    return frame;
}

static void frames_are_read(void **state)
{
    (void)state;
    char nonce[CLAW_TOKEN_MAX];
    struct claw_hello hello;
    struct claw_frame frame = read_text("{\"type\":\"event\",\"event\":\"connect.challenge\","
                                        "\"payload\":{\"nonce\":\"n-1\",\"ts\":17}}");
    assert_int_equal(frame.kind, CLAW_EVENT);
    assert_string_equal(frame.name, "connect.challenge");
    assert_true(claw_read_challenge(frame.payload, nonce));
    assert_string_equal(nonce, "n-1");
    frame = read_text(
        "\n{\"id\":\"7\",\"ok\":true,\"type\":\"res\",\"payload\":{\"type\":\"hello-ok\","
        "\"protocol\":4,\"policy\":{\"maxPayload\":1000,\"tickIntervalMs\":500},"
        "\"auth\":{\"deviceToken\":\"dt\"}}}\n");
    assert_int_equal(frame.kind, CLAW_RESPONSE);
    assert_int_equal(frame.id, 7);
    assert_true(frame.is_ok);
    assert_true(claw_read_hello(frame.payload, &hello));
    assert_int_equal(hello.protocol, 4);
    assert_int_equal(hello.tick_interval_ms, 500);
    assert_int_equal(hello.payload_max, 1000);
    assert_string_equal(hello.device_token, "dt");
    assert_true(claw_read_hello(SLICE("{\"type\":\"hello-ok\",\"protocol\":3}"), &hello));
    assert_int_equal(hello.tick_interval_ms, CLAW_TICK_MS);
    assert_false(claw_read_hello(SLICE("{\"type\":\"hello-ok\",\"protocol\":5}"), &hello));
    assert_false(claw_read_hello(SLICE("{\"type\":\"hello\",\"protocol\":4}"), &hello));
    frame = read_text("{\"type\":\"event\",\"event\":\"tick\",\"seq\":12}");
    assert_int_equal(frame.seq, 12);
    assert_int_equal(frame.payload.len, 0);
}

static void what_is_no_frame_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "json"},
        {"hello", "json"},
        {"{\"type\":\"res\"", "json"},
        {"[]", "type"},
        {"{}", "type"},
        {"{\"type\":\"req\",\"id\":\"1\",\"method\":\"x\"}", "type"},
        {"{\"type\":\"res\",\"type\":\"event\",\"event\":\"x\"}", "type"},
        {"{\"type\":\"res\",\"id\":\"1\"}", "ok"},
        {"{\"type\":\"res\",\"id\":\"1\",\"ok\":1}", "ok"},
        {"{\"type\":\"res\",\"ok\":true}", "id"},
        {"{\"type\":\"res\",\"ok\":true,\"id\":1}", "id"},
        {"{\"type\":\"res\",\"ok\":true,\"id\":\"x\"}", "id"},
        {"{\"type\":\"res\",\"ok\":true,\"id\":\"1\",\"id\":\"2\"}", "id"},
        {"{\"type\":\"event\"}", "event"},
        {"{\"type\":\"event\",\"event\":7}", "event"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claw_frame frame = read_text(cases[i].text);
        assert_int_equal(frame.kind, CLAW_BAD);
        assert_string_equal(frame.why, cases[i].why);
    }
}

static void refusals_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        bool is_terminal;
        uint32_t retry_ms;
    } cases[] = {
        {"{\"code\":\"UNAUTHORIZED\",\"message\":\"wrong token\"}", true, 0},
        {"{\"code\":\"NOT_PAIRED\",\"message\":\"pair first\",\"details\":{}}", true, 0},
        {"{\"code\":\"UNAVAILABLE\",\"message\":\"starting\",\"details\":{\"retryAfterMs\":500}}",
         false, 500},
        {"{\"code\":\"UNAVAILABLE\",\"retryAfterMs\":700}", false, 700},
        {"{\"code\":\"UNAVAILABLE\"}", false, 0},
        {"null", true, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claw_refusal refusal;
        claw_read_refusal(slice_of(cases[i].error), &refusal);
        assert_int_equal(claw_refusal_is_terminal(&refusal), cases[i].is_terminal);
        assert_int_equal(refusal.retry_after_ms, cases[i].retry_ms);
    }
    assert_true(claw_close_is_terminal(1008));
    assert_true(claw_close_is_terminal(1002));
    assert_false(claw_close_is_terminal(1012));
    assert_false(claw_close_is_terminal(1013));
    assert_false(claw_close_is_terminal(1006));
}

static void requests_are_written(void **state)
{
    (void)state;
    char room[4096];
    struct json json = json_into(room, sizeof room - 1);
    claw_write_connect(&json, 1, &(struct claw_connect){.token = "T\"", .version = "1"});
    assert_false(json.full);
    room[json.len] = '\0';
    assert_string_equal(
        room, "{\"type\":\"req\",\"id\":\"1\",\"method\":\"connect\",\"params\":{\"minProtocol\":3,"
              "\"maxProtocol\":4,\"client\":{\"id\":\"gateway-client\",\"version\":\"1\","
              "\"platform\":\"linux\",\"mode\":\"backend\"},\"role\":\"operator\","
              "\"scopes\":[\"operator.read\",\"operator.write\"],\"caps\":[],"
              "\"auth\":{\"token\":\"T\\\"\"}}}");
    static const struct slice params[] = {SLICE(""), SLICE("{\"a\":[1]}")};
    for (size_t i = 0; i < 2; i++) {
        json = json_into(room, claw_request_size("a.b", params[i]));
        claw_write_request(&json, UINT64_MAX, "a.b", params[i]);
        assert_false(json.full);
        assert_true(json_check((struct slice){room, (uint32_t)json.len}));
    }
    assert_memory_equal(room,
                        "{\"type\":\"req\",\"id\":\"18446744073709551615\",\"method\":\"a.b\","
                        "\"params\":{\"a\":[1]}}",
                        json.len);
}

/* RFC 8032 §7.1, test 1: a seed, its public key; and SHA-256 of that. */
static void a_device_is_its_key(void **state)
{
    (void)state;
    static const uint8_t seed[CLAW_SEED_BYTES] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                                  0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                                  0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                                  0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    struct claw_device device, other;
    char key[CLAW_BASE64_MAX], signature[CLAW_BASE64_MAX];
    assert_true(claw_device_of(seed, &device));
    claw_device_key_text(&device, key);
    assert_string_equal(key, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_string_equal(device.id,
                        "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9");
    assert_true(claw_device_sign(&device, (struct slice){"", 0}, signature));
    assert_string_equal(signature, "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc-"
                                   "bRr0lv18FlbviRlUUFDjnoQCw");
    uint8_t another[CLAW_SEED_BYTES] = {1};
    assert_true(claw_device_of(another, &other));
    assert_string_not_equal(device.id, other.id);
}

static void a_device_signs_the_challenge(void **state)
{
    (void)state;
    char room[4096], said[CLAW_BASE64_MAX], expected[CLAW_BASE64_MAX], text[1024];
    struct claw_device device;
    struct slice params, part, value;
    static const uint8_t seed[CLAW_SEED_BYTES] = {2};
    assert_true(claw_device_of(seed, &device));
    const struct claw_connect connect = {
        .token = "T", .version = "1", .device = &device, .nonce = "n-1", .now_ms = 1700000000000};
    struct json json = json_into(room, sizeof room);
    claw_write_connect(&json, 1, &connect);
    assert_false(json.full);
    const struct slice frame = {room, (uint32_t)json.len};
    assert_true(json_check(frame));
    assert_true(json_member(frame, SLICE("params"), &params));
    assert_true(json_member(params, SLICE("device"), &part));
    assert_true(json_member(part, SLICE("signature"), &value));
    assert_int_equal(json_get_text(value, said, sizeof said), 86);
    int len = snprintf(text, sizeof text,
                       "v3|%s|gateway-client|backend|operator|operator.read,operator.write|"
                       "1700000000000|T|n-1|linux|",
                       device.id);
    assert_true(claw_device_sign(&device, (struct slice){text, (uint32_t)len}, expected));
    assert_string_equal(said, expected);
    json = json_into(room, 300); /* in too little room it says so */
    claw_write_connect(&json, 1, &connect);
    assert_true(json.full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read),         cmocka_unit_test(what_is_no_frame_is_refused),
        cmocka_unit_test(refusals_are_told_apart), cmocka_unit_test(requests_are_written),
        cmocka_unit_test(a_device_is_its_key),     cmocka_unit_test(a_device_signs_the_challenge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
