/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json.h"

#include "support/unit.h"

#include <string.h>

static void every_kind(void **state)
{
    (void)state;
    char room[512];
    struct json j = json_into(room, sizeof(room));
    json_open(&j, NULL, '{');
    json_text(&j, "text", "a\"b\n");
    json_text(&j, "none", NULL);
    json_slice(&j, "bad", (struct slice){"\xff", 1});
    json_u64(&j, "most", UINT64_MAX);
    json_i64(&j, "least", INT64_MIN);
    json_bool(&j, "yes", true);
    json_fixed(&j, "seconds", 1042, 3);
    json_fixed(&j, "small", 7, 6);
    json_open(&j, "list", '[');
    json_u64(&j, NULL, 0);
    json_open(&j, NULL, '{');
    json_close(&j, '}');
    json_open(&j, NULL, '[');
    json_close(&j, ']');
    json_text(&j, NULL, "");
    json_close(&j, ']');
    json_raw(&j, "raw", SLICE("{\"x\":[]}"));
    json_close(&j, '}');
    assert_false(j.full);
    room[j.len] = '\0';
    assert_string_equal(room, "{\"text\":\"a\\\"b\\n\",\"none\":null,\"bad\":\"\xef\xbf\xbd\","
                              "\"most\":18446744073709551615,\"least\":-9223372036854775808,"
                              "\"yes\":true,\"seconds\":1.042,\"small\":0.000007,"
                              "\"list\":[0,{},[],\"\"],\"raw\":{\"x\":[]}}");
}

/* A text that ends like a bracket is no bracket: a comma still follows it. */
static void commas(void **state)
{
    (void)state;
    char room[64];
    struct json j = json_into(room, sizeof(room));
    json_open(&j, NULL, '[');
    json_text(&j, NULL, "[");
    json_text(&j, NULL, "{");
    json_close(&j, ']');
    room[j.len] = '\0';
    assert_string_equal(room, "[\"[\",\"{\"]");
}

/* In a buffer of every size it either fits whole or says so, and never writes beyond. */
static void bounded(void **state)
{
    (void)state;
    static const char whole[] = "{\"k\":\"\\u0001x\",\"n\":12}";
    for (size_t size = 0; size <= sizeof(whole); size++) {
        char room[64];
        memset(room, '#', sizeof(room));
        struct json j = json_into(room, size);
        json_open(&j, NULL, '{');
        json_text(&j, "k", "\x01x");
        json_u64(&j, "n", 12);
        json_close(&j, '}');
        assert_int_equal(j.full, size < sizeof(whole) - 1);
        assert_int_equal(room[size], '#');
        if (!j.full)
            assert_memory_equal(room, whole, sizeof(whole) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(commas),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
