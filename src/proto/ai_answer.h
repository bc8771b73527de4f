/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_answer.h - the id of an answer of OpenAI's Responses API ("id": "resp_…"), read as it passes:
 * of JSON or of an event stream, the first one in the first AI_ANSWER_READ_MAX bytes. A request
 * that goes on from it (previous_response_id) can be served only where it was made.
 *
 * However an answer is cut into pieces, the result is the same. Nothing is copied but the id.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AI_ANSWER_READ_MAX 65536U
#define AI_ANSWER_ID_MAX   120U

struct ai_answer {
    uint32_t left; /* bytes that are still looked at; 0: it is over */
    uint8_t state, len;
    bool is_found;
    char id[AI_ANSWER_ID_MAX + 1]; /* ends with NUL where it was found */
};

void ai_answer_begin(struct ai_answer *answer);
void ai_answer_feed(struct ai_answer *answer, const void *data, size_t len);
