/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_answer.h"

#include "support/unit.h"

#include <string.h>

static const char *find(const char *text, size_t step)
{
    static struct ai_answer answer;
    size_t len = strlen(text);
    ai_answer_begin(&answer);
    for (size_t at = 0; at < len; at += step) {
        ai_answer_feed(&answer, text + at, len - at < step ? len - at : step);
    }
    return answer.is_found ? answer.id : "-";
}

static void ids(void **state)
{
    (void)state;
    static const struct {
        const char *text, *id;
    } rows[] = {
        {"{\"id\":\"resp_abc-1.2\",\"object\":\"response\"}", "resp_abc-1.2"},
        {"{ \"id\" : \n\"resp_1\" }", "resp_1"},
        {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":"
         "\"resp_9\"}}\n\n",
         "resp_9"},
        {"{\"id\":\"chatcmpl-1\",\"x\":{\"id\":\"resp_2\"}}", "resp_2"},
        {"{\"text\":\"\\\"id\\\":\\\"resp_x\\\"\"}", "-"},
        {"{\"id\":\"resp_\"}", "-"},
        {"{\"id\":\"resp_a\\u0062\"}", "-"},
        {"{\"\"id\":\"resp_3\"}", "resp_3"},
        {"{\"idx\":\"resp_3\",\"id\":\"resp_4", "-"},
        {"", "-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t step = 1; step < 40; step++) {
            assert_string_equal(find(rows[i].text, step), rows[i].id);
        }
    }
}

static void bounds(void **state)
{
    (void)state;
    static char text[AI_ANSWER_READ_MAX + 200];
    memset(text, ' ', sizeof text - 1);
    strcpy(text + AI_ANSWER_READ_MAX - 14, "\"id\":\"resp_12\"");
    assert_string_equal(find(text, 1000), "resp_12");
    memset(text, ' ', sizeof text - 1);
    strcpy(text + AI_ANSWER_READ_MAX - 13, "\"id\":\"resp_12\"");
    assert_string_equal(find(text, 1000), "-");
    strcpy(text, "\"id\":\"resp_");
    memset(text + 11, 'x', AI_ANSWER_ID_MAX - 5);
    strcpy(text + 11 + AI_ANSWER_ID_MAX - 5, "\"");
    assert_int_equal(strlen(find(text, 7)), AI_ANSWER_ID_MAX);
    strcpy(text + 11 + AI_ANSWER_ID_MAX - 5, "x\"");
    assert_string_equal(find(text, 7), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests_name("proto/ai_answer", tests, NULL, NULL);
}
