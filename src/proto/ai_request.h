/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_request.h - what a request to an AI API says about whose conversation it is: its body, JSON,
 * read once as it comes.
 *
 *     model, session_id, conversation_id, prompt_cache_key, previous_response_id
 *     metadata.user_id
 *     system, instructions          text, or blocks of text, some of them marked with cache_control
 *     messages, input               the first one that is not the system's
 *
 * Of the texts only a digest is kept. It is over the cached part of the system's text and the first
 * message; where nothing is cached, over the system's text; where there is none, over the first
 * message. It is taken of the texts as they were written, so the same client makes the same one.
 *
 * Memory is that of the structure, whatever comes. However a body is cut into pieces, the result is
 * the same. What is not one JSON object, or is nested deeper than AI_DEPTH_MAX, says nothing at
 * all; numbers are not looked at closely.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AI_TEXT_MAX   255U /* bytes of an id */
#define AI_DEPTH_MAX  128U
#define AI_DIGEST_LEN 32U

enum ai_word {
    AI_MODEL,
    AI_SESSION_ID,
    AI_CONVERSATION_ID,
    AI_PROMPT_CACHE_KEY,
    AI_PREVIOUS_RESPONSE_ID,
    AI_USER_ID,
    AI_WORDS
};

enum ai_standing {
    AI_ABSENT, /* or no text, or empty */
    AI_GOOD,
    AI_TOO_LONG,
    AI_TWICE /* who reads it may take either */
};

struct ai_text {
    uint8_t standing; /* enum ai_standing */
    uint16_t len;
    char at[AI_TEXT_MAX + 1]; /* escapes undone; ends with NUL where it is good */
};

struct ai_level {
    uint8_t where;
    bool is_object;
};

struct ai_request {
    struct ai_text words[AI_WORDS];
    bool has_digest;
    uint8_t digest[AI_DIGEST_LEN];

    /* The scanner's own. */
    uint8_t state, sink, hex_left;
    uint16_t depth, unit, high;
    bool is_key, is_cached, has_text, has_first, has_system, has_cached;
    uint8_t key_len, role_len;
    char key[32], role[12];
    const char *literal; /* what is left of it */
    uint8_t first[AI_DIGEST_LEN];
    void *text, *system, *cached; /* EVP_MD_CTX */
    struct ai_level levels[AI_DEPTH_MAX];
};

int ai_request_init(struct ai_request *request); /* 0 or -ENOMEM */
void ai_request_fini(struct ai_request *request);

void ai_request_begin(struct ai_request *request);
void ai_request_feed(struct ai_request *request, const void *data, size_t len);
/* Whether it was one JSON object; if not, nothing is said of it. */
bool ai_request_end(struct ai_request *request);
