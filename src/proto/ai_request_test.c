/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_request.h"

#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ai_request request;

static int open_it(void **state)
{
    (void)state;
    return ai_request_init(&request);
}

static int close_it(void **state)
{
    (void)state;
    ai_request_fini(&request);
    return 0;
}

static bool scan(const char *json)
{
    ai_request_begin(&request);
    ai_request_feed(&request, json, strlen(json));
    return ai_request_end(&request);
}

static const char *word(enum ai_word which)
{
    return request.words[which].standing == AI_GOOD ? request.words[which].at : "-";
}

static void words_are_found_where_they_belong(void **state)
{
    (void)state;
    assert_true(scan(" {\"model\" : \"claude-opus-4\", \"session_id\":\"s1\","
                     "\"conversation_id\":\"c1\",\"prompt_cache_key\":\"p1\","
                     "\"previous_response_id\":\"r1\",\"metadata\":{\"user_id\":\"u1\"},"
                     "\"temperature\":-1.5e3,\"stream\":true,\"stop\":null,\"x\":[1,false,{}]}\n"));
    assert_string_equal(word(AI_MODEL), "claude-opus-4");
    assert_string_equal(word(AI_SESSION_ID), "s1");
    assert_string_equal(word(AI_CONVERSATION_ID), "c1");
    assert_string_equal(word(AI_PROMPT_CACHE_KEY), "p1");
    assert_string_equal(word(AI_PREVIOUS_RESPONSE_ID), "r1");
    assert_string_equal(word(AI_USER_ID), "u1");
    assert_false(request.has_digest);

    assert_true(scan("{\"user_id\":\"u1\",\"metadata\":{\"model\":\"m\",\"x\":{\"user_id\":\"u\"}},"
                     "\"tools\":[{\"model\":\"m\"}],\"session_id\":{\"session_id\":\"s\"}}"));
    for (unsigned i = 0; i < AI_WORDS; i++) {
        assert_int_equal(request.words[i].standing, AI_ABSENT);
    }
}

static void escapes_are_undone(void **state)
{
    (void)state;
    assert_true(
        scan("{\"mod\\u0065l\":\"a\\\"\\\\\\/\\n\\u00e9\\u20ac\\ud83d\\ude00\\ud83dx\\ude00\","
             "\"session_id\":\"\\ud83d\"}"));
    assert_string_equal(word(AI_MODEL), "a\"\\/\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd"
                                        "x\xef\xbf\xbd");
    assert_string_equal(word(AI_SESSION_ID), "\xef\xbf\xbd");
}

static void an_id_has_its_bounds(void **state)
{
    (void)state;
    static char json[400], id[300];
    memset(id, 'x', 255);
    snprintf(json, sizeof json, "{\"session_id\":\"%s\",\"model\":\"\"}", id);
    assert_true(scan(json));
    assert_string_equal(word(AI_SESSION_ID), id);
    assert_int_equal(request.words[AI_MODEL].standing, AI_ABSENT);
    memset(id, 'x', 256);
    snprintf(json, sizeof json, "{\"session_id\":\"%s\"}", id);
    assert_true(scan(json));
    assert_int_equal(request.words[AI_SESSION_ID].standing, AI_TOO_LONG);
    assert_true(scan("{\"session_id\":\"a\",\"session_id\":\"b\",\"session_id\":\"c\"}"));
    assert_int_equal(request.words[AI_SESSION_ID].standing, AI_TWICE);
}

static void what_is_no_object_says_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "[]",
                                      "\"x\"",
                                      "1",
                                      "{",
                                      "{\"model\":\"m\"",
                                      "{\"model\":\"m\"}}",
                                      "{\"model\":\"m\"} x",
                                      "{\"model\":\"m\",}",
                                      "{\"model\" \"m\"}",
                                      "{model:1}",
                                      "{\"model\":\"m\"]",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":tru}",
                                      "{\"a\":nul l}",
                                      "{\"model\":\"m\",\"a\":\"\n\"}",
                                      "{\"model\":\"m\",\"a\":\"\\x\"}",
                                      "{\"model\":\"m\",\"a\":\"\\u12g4\"}",
                                      "{\"a\":'x'}",
                                      "{,}",
                                      "{\"a\":}",
                                      "{\"a\":[}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(scan(bad[i]));
        assert_int_equal(request.words[AI_MODEL].standing, AI_ABSENT);
        assert_false(request.has_digest);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static char json[2 * AI_DEPTH_MAX + 32];
    for (unsigned depth = AI_DEPTH_MAX - 1; depth <= AI_DEPTH_MAX; depth++) {
        size_t len = (size_t)snprintf(json, sizeof json, "{\"a\":");
        memset(json + len, '[', depth);
        memset(json + len + depth, ']', depth);
        snprintf(json + len + (size_t)2 * depth, 2, "}");
        assert_int_equal(scan(json), depth < AI_DEPTH_MAX);
    }
}

/* --- the digest ----------------------------------------------------------------------------------
 */

static uint8_t kept[AI_DIGEST_LEN];

static void keep(const char *json)
{
    assert_true(scan(json));
    assert_true(request.has_digest);
    memcpy(kept, request.digest, sizeof kept);
}

static bool is_same(const char *json)
{
    assert_true(scan(json));
    return request.has_digest && memcmp(kept, request.digest, sizeof kept) == 0;
}

static void cached_text_and_first_message(void **state)
{
    (void)state;
#define CACHED "{\"type\":\"text\",\"text\":\"rules\",\"cache_control\":{\"type\":\"ephemeral\"}}"
    keep("{\"system\":[" CACHED ",{\"type\":\"text\",\"text\":\"today\"}],"
         "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    /* A conversation goes on, another part of the system's text changes, the order is another. */
    assert_true(is_same("{\"messages\":[{\"content\":\"hi\",\"role\":\"user\"},"
                        "{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"user\",\"content\":"
                        "\"more\"}],\"system\":[{\"text\":\"tomorrow\"}," CACHED "]}"));
    assert_false(is_same("{\"system\":[" CACHED "],\"messages\":[{\"role\":\"user\",\"content\":"
                         "\"ho\"}]}"));
    assert_false(is_same("{\"system\":[{\"type\":\"text\",\"text\":\"rules\"}],"
                         "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    /* Blocks, one of which is marked later: the marks move with the conversation. */
    keep("{\"system\":[" CACHED
         "],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
         "\"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}");
    assert_true(
        is_same("{\"system\":[" CACHED "],\"messages\":[{\"role\":\"user\",\"content\":["
                "{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"user\",\"content\":1}]}"));
}

static void without_a_mark_the_system_counts(void **state)
{
    (void)state;
    keep("{\"system\":\"rules\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    assert_true(is_same("{\"messages\":[{\"role\":\"user\",\"content\":\"ho\"}],\"system\":"
                        "[{\"text\":\"rules\"}]}"));
    assert_true(is_same("{\"messages\":[{\"role\":\"system\",\"content\":\"rules\"},"
                        "{\"role\":\"user\",\"content\":\"hi\"}]}"));
    assert_true(is_same("{\"input\":\"hi\",\"instructions\":\"rules\"}"));
    assert_true(is_same("{\"input\":[{\"role\":\"developer\",\"content\":[{\"type\":\"input_text\","
                        "\"text\":\"rules\"}]},{\"role\":\"user\",\"content\":\"hi\"}]}"));
    assert_false(is_same("{\"system\":\"rule\",\"messages\":[]}"));
    assert_false(is_same("{\"system\":[\"ru\",\"les\"]}"));
}

static void without_a_system_the_first_message_counts(void **state)
{
    (void)state;
    keep("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    assert_true(is_same("{\"input\":\"hi\"}"));
    assert_true(is_same("{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]},"
                        "{\"role\":\"user\",\"content\":\"more\"}]}"));
    assert_false(is_same("{\"messages\":[{\"role\":\"user\",\"content\":\"h\\u0069\"}]}"));
    keep("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"data\":"
         "\"AAAA\"}}]}]}");
    assert_false(is_same("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
                         "\"source\":{\"data\":\"AAAB\"}}]}]}"));
    assert_true(scan("{\"messages\":[{\"role\":\"user\",\"content\":[]}],\"model\":\"m\"}"));
    assert_false(request.has_digest);
}

static void however_it_is_cut(void **state)
{
    (void)state;
    static const char json[] =
        "{\"system\":[{\"text\":\"ru\\n\\u00e9les\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
        "\"model\":\"claude-\\ud83d\\ude00\", \"metadata\":{\"user_id\":\"u_session_1\"},"
        "\"messages\":[{\"role\":\"user\",\"content\":\"hello there, how are you \\\"today\\\"\"}],"
        "\"n\":[1.5e-3,true,null]} ";
    size_t len = sizeof json - 1;
    keep(json);
    char model[AI_TEXT_MAX + 1];
    strcpy(model, word(AI_MODEL));
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            /* Each piece in a block of its own size, so that reading beyond it shows. */
            size_t cuts[] = {0, a, b, len};
            ai_request_begin(&request);
            for (int i = 0; i < 3; i++) {
                size_t part = cuts[i + 1] - cuts[i];
                char *copy = malloc(part + (part == 0));
                memcpy(copy, json + cuts[i], part);
                ai_request_feed(&request, copy, part);
                free(copy);
            }
            assert_true(ai_request_end(&request));
            assert_memory_equal(request.digest, kept, sizeof kept);
            assert_string_equal(word(AI_MODEL), model);
            assert_string_equal(word(AI_USER_ID), "u_session_1");
        }
    }
    for (size_t cut = 0; cut < len - 1; cut++) {
        ai_request_begin(&request);
        ai_request_feed(&request, json, cut);
        assert_false(ai_request_end(&request));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_where_they_belong),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(an_id_has_its_bounds),
        cmocka_unit_test(what_is_no_object_says_nothing),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(cached_text_and_first_message),
        cmocka_unit_test(without_a_mark_the_system_counts),
        cmocka_unit_test(without_a_system_the_first_message_counts),
        cmocka_unit_test(however_it_is_cut),
    };
    return cmocka_run_group_tests_name("proto/ai_request", tests, open_it, close_it);
}
