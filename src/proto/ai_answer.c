/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_answer.h"

#include "base/text.h"

#include <string.h>

static const char name[] = "\"id\"", prefix[] = "resp_";
#define NAME_LEN   4U
#define PREFIX_LEN 5U

/* States 0 … 3: so many bytes of the name were seen. */
enum { AT_COLON = NAME_LEN, AT_VALUE, IN_ID };

void ai_answer_begin(struct ai_answer *answer)
{
    answer->left = AI_ANSWER_READ_MAX;
    answer->state = answer->len = 0;
    answer->is_found = false;
}

static bool is_of_id(char c)
{
    char lower = text_lower(c);
    return (lower >= 'a' && lower <= 'z') || text_is_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void restart(struct ai_answer *answer, char c)
{
    answer->state = c == '"';
    answer->len = 0;
}

static void in_id(struct ai_answer *answer, char c)
{
    if (c == '"' && answer->len > PREFIX_LEN && memcmp(answer->id, prefix, PREFIX_LEN) == 0) {
        answer->id[answer->len] = '\0';
        answer->is_found = true;
        answer->left = 0;
    } else if (is_of_id(c) && answer->len < AI_ANSWER_ID_MAX) {
        answer->id[answer->len++] = c;
    } else {
        restart(answer, c);
    }
}

static void take(struct ai_answer *answer, char c)
{
    if (answer->state == IN_ID) {
        in_id(answer, c);
    } else if (answer->state < NAME_LEN) {
        if (c == name[answer->state]) {
            answer->state++;
        } else {
            restart(answer, c);
        }
    } else if (c == (answer->state == AT_COLON ? ':' : '"')) {
        answer->state++;
    } else if (!is_space(c)) {
        restart(answer, c);
    }
}

void ai_answer_feed(struct ai_answer *answer, const void *data, size_t len)
{
    const char *at = data;
    for (size_t i = 0; i < len && answer->left > 0; i++) {
        answer->left--;
        take(answer, at[i]);
    }
}
