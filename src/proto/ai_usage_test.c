/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_usage.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

/* "input output read write", or "-". */
static const char *read_in(const char *text, bool is_stream, size_t step)
{
    static char words[128];
    struct ai_usage usage;
    struct ai_usage_said said;
    size_t len = strlen(text);
    ai_usage_begin(&usage, is_stream);
    for (size_t at = 0; at < len; at += step) {
        ai_usage_feed(&usage, text + at, len - at < step ? len - at : step);
    }
    if (!ai_usage_get(&usage, &said)) {
        return "-";
    }
    snprintf(words, sizeof words, "%llu %llu %llu %llu",
             (unsigned long long)said.tokens[AI_TOKENS_INPUT],
             (unsigned long long)said.tokens[AI_TOKENS_OUTPUT],
             (unsigned long long)said.tokens[AI_TOKENS_CACHE_READ],
             (unsigned long long)said.tokens[AI_TOKENS_CACHE_WRITE]);
    return words;
}

struct row {
    const char *text, *said;
};

static void read_rows(const struct row *rows, size_t count, bool is_stream)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t step = 1; step <= strlen(rows[i].text) + 1; step++) {
            assert_string_equal(read_in(rows[i].text, is_stream, step), rows[i].said);
        }
    }
}

static void plain(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Anthropic's Messages */
        {"{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":"
         "\"\\\"usage\\\":{\\\"input_tokens\\\":7}\"},{\"type\":\"tool_use\",\"input\":{\"usage\":{\"input_tokens\":"
         "999,\"output_tokens\":999}}}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":2095,"
         "\"cache_creation_input_tokens\":200,\"cache_read_input_tokens\":3000,\"cache_creation\":{"
         "\"ephemeral_5m_input_tokens\":200,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":503,"
         "\"service_tier\":\"standard\"}}",
         "2095 503 3000 200"},
        /* OpenAI's Chat Completions */
        {"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
         "\"assistant\",\"content\":\"Hi\"}}],\n  \"usage\": {\n    \"prompt_tokens\": 1019,\n    "
         "\"completion_tokens\": 10,\n    \"total_tokens\": 1029,\n    \"prompt_tokens_details\": {\"cached_tokens\": "
         "1000, \"audio_tokens\": 0},\n    \"completion_tokens_details\": {\"reasoning_tokens\": 4}\n  }\n}\n",
         "19 10 1000 0"},
        /* OpenAI's Responses */
        {"{\"id\":\"resp_1\",\"output\":[{\"content\":[{\"text\":\"x\"}]}],\"usage\":{\"input_tokens\":36,"
         "\"input_tokens_details\":{\"cached_tokens\":6},\"output_tokens\":87,\"output_tokens_details\":{"
         "\"reasoning_tokens\":0},\"total_tokens\":123},\"user\":null}",
         "30 87 6 0"},
        {"{\"object\":\"list\",\"data\":[{\"embedding\":[0.1,-2e5]}],\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
         "8 0 0 0"},
        {"{\"usage\":{\"input_tokens\":0}}", "0 0 0 0"},
        {"{\"usage\":{\"input_tokens\":12", "-"}, /* not yet all of it */
        {"{\"usage\":{\"input_tokens\":12,", "12 0 0 0"},
        {"{\"usage\":{\"input_tokens\":999999999999}}", "999999999999 0 0 0"},
        {"{\"usage\":{\"input_tokens\":1000000000000}}", "-"},
        {"{\"usage\":{\"input_tokens\":1.5,\"output_tokens\":1e3}}", "-"},
        {"{\"usage\":{\"input_tokens\":-5,\"output_tokens\":\"7\"}}", "-"},
        {"{\"usage\":{\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":9}}}",
         "0 0 9 0"},
        {"{\"usage\":null}", "-"},
        {"{\"usage\":[{\"input_tokens\":3}]}", "-"},
        {"{\"x\":{\"usage\":{\"input_tokens\":3}}}", "-"},
        {"{\"input_tokens\":3}", "-"},
        {"{\"us\\u0061ge\":{\"input_tokens\":3}}", "-"},
        {"{\"usage_of_a_very_long_name_that_no_api_has\":{\"input_tokens\":3}}", "-"},
        {"[{\"usage\":{\"input_tokens\":3}}]", "-"},
        {"{\"usage\":{\"input_tokens\":3}}{\"usage\":{\"input_tokens\":4}}", "3 0 0 0"},
        {"{\"a\":\"\n\",\"usage\":{\"input_tokens\":3}}", "-"}, /* no JSON */
        {"data: {\"usage\":{\"input_tokens\":3}}\n\n", "-"},
        {"", "-"},
    };
    read_rows(rows, sizeof rows / sizeof *rows, false);
}

static void streams(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[],\"usage\":{"
         "\"input_tokens\":25,\"cache_creation_input_tokens\":7,\"cache_read_input_tokens\":300,\"output_tokens\":1}}}\n\n"
         ": ping\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
         "\"text\":\"usage {\"}}\n\n"
         "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"
         "\"output_tokens\":15}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
         "25 15 300 7"},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n"
         "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29,"
         "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n",
         "15 10 4 0"},
        {"event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{"
         "\"input_tokens\":36,\"output_tokens\":87}}}\r\n\r\n",
         "36 87 0 0"},
        /* The sum so far, again and again; who does not know says 0. */
        {"data: {\"usage\":{\"input_tokens\":0,\"output_tokens\":1}}\n\ndata: {\"usage\":{\"input_tokens\":9,"
         "\"output_tokens\":5}}\n\ndata: {\"usage\":{\"input_tokens\":0,\"output_tokens\":8}}\n\n",
         "9 8 0 0"},
        /* No space; several lines; every end of a line. */
        {"data:{\"usage\":{\"input_tokens\":3}}\r\r", "3 0 0 0"},
        {"data: {\"usage\":\ndata: {\"input_tokens\":3\ndata: }}\n\n", "3 0 0 0"},
        {"data: {\"usage\":\r\nid: 1\r\ndata: {\"input_tokens\":3\r\ndata: }}\r\n\r\n", "3 0 0 0"},
        {"data: {\"usage\":\rdata: {\"input_tokens\":3\rdata: }}\r\r", "3 0 0 0"},
        {"data: {\"usage\":\n\ndata: {\"input_tokens\":3}}\n\n", "-"},
        {"data: {\"usage\":\r\n\r\ndata: {\"input_tokens\":3}}\r\n\r\n", "-"},
        {"data: {\"usa\ndata: ge\":{\"input_tokens\":3}}\n\n", "-"},
        {"data: {\"usage\":{\"input_tokens\":1\ndata: 2}}\n\n", "1 0 0 0"},
        /* One event that is no JSON spoils no other. */
        {"data: {\"a\":\"x\n\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", "3 0 0 0"},
        {"data: {\"usage\" ???\n\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", "3 0 0 0"},
        {"datax: {\"usage\":{\"input_tokens\":3}}\n\n", "-"},
        {"dat\na: {\"usage\":{\"input_tokens\":3}}\n\n", "-"},
        {": data: {\"usage\":{\"input_tokens\":3}}\n\n", "-"},
        {"\n\n\r\n\rdata: {\"usage\":{\"input_tokens\":3}}", "3 0 0 0"},
        {"{\"usage\":{\"input_tokens\":3}}", "-"},
        {"", "-"},
    };
    read_rows(rows, sizeof rows / sizeof *rows, true);
}

/* What has no end costs nothing but the look at it. */
static void feed_again(struct ai_usage *usage, const char *text, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        ai_usage_feed(usage, text, strlen(text));
    }
}

static void without_end(void **state)
{
    (void)state;
    struct ai_usage usage;
    struct ai_usage_said said;
    static const char *const texts[] = {
        "[", "{\"a\":", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "\\\\", "9"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        static const char *const starts[] = {"{\"a\":", "{\"a\":\"",
                                             "{\"usage\":{\"input_tokens\":"};
        for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
            ai_usage_begin(&usage, true);
            feed_again(&usage, "data: ", 1);
            feed_again(&usage, starts[k], 1);
            feed_again(&usage, texts[i], 1000000);
            feed_again(&usage, "\n\ndata: {\"usage\":{\"output_tokens\":4}}\n\n", 1);
            assert_true(ai_usage_get(&usage, &said));
            assert_int_equal(said.tokens[AI_TOKENS_OUTPUT], 4);
            assert_int_equal(said.tokens[AI_TOKENS_INPUT], 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(streams),
        cmocka_unit_test(without_end),
    };
    return cmocka_run_group_tests_name("proto/ai_usage", tests, NULL, NULL);
}
