/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_usage.h - how many tokens an AI API says that a request took: read from its answer as it
 * passes, JSON or an event stream whose data is JSON.
 *
 *     usage, message.usage, response.usage
 *         input_tokens, output_tokens             Anthropic; OpenAI's Responses
 *         cache_read_input_tokens, cache_creation_input_tokens
 *         prompt_tokens, completion_tokens        OpenAI's Chat Completions and those like it
 *         input_tokens_details.cached_tokens, prompt_tokens_details.cached_tokens
 *
 * Of a number that is said several times, as streams do, the largest counts: what they say is the
 * sum so far, and some say 0 where they do not know. Where cached tokens are a part of the input
 * (details), they are taken out of it, so that the four kinds add up to everything for every API.
 *
 * Memory is that of the structure, whatever comes, and time is that of one look at each byte.
 * However an answer is cut into pieces, the result is the same. Structure is what is looked at:
 * texts and the arguments of tools that look like usage are none. What is no JSON says nothing from
 * where it goes wrong (of an event stream: to the end of that event).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AI_USAGE_DIGITS_MAX 12U /* of a number; a longer one is none */
#define AI_USAGE_KEY_MAX    32U
#define AI_USAGE_LEVELS     4U /* nested objects that matter */

enum ai_tokens {
    AI_TOKENS_INPUT, /* that were not in a cache */
    AI_TOKENS_OUTPUT,
    AI_TOKENS_CACHE_READ,
    AI_TOKENS_CACHE_WRITE,
    AI_TOKENS_KINDS
};

struct ai_usage_said {
    uint64_t tokens[AI_TOKENS_KINDS];
};

struct ai_usage {
    /* The reader's own. */
    uint64_t said[AI_TOKENS_KINDS + 1], number;
    uint64_t skipped; /* lists and objects of no interest that are open */
    bool is_stream, has_said, is_key, was_cr;
    uint8_t line, state, slot, digits, depth, key_len;
    uint8_t where[AI_USAGE_LEVELS + 1];
    char key[AI_USAGE_KEY_MAX];
};

void ai_usage_begin(struct ai_usage *usage, bool is_stream);
void ai_usage_feed(struct ai_usage *usage, const void *data, size_t len);
/* What was said so far; false: nothing. */
bool ai_usage_get(const struct ai_usage *usage, struct ai_usage_said *ret_said);
