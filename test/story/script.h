/* SPDX-License-Identifier: Apache-2.0
 *
 * script.h - the text of a story as lines of words.
 *
 *     story "title"                                  # a comment: a hash that no digit follows
 *     engine   option value …                        once, before the first pool
 *     key NAME   field value …                       a key with more than a host
 *     pool NAME   option value …
 *     TIME   action, action …   -> output, output …  TIME: 5m30s, or +10ms since the line above
 *     expect   figure value …
 *
 * Nothing here knows what the words mean: verbs.c does. A slice points into the text, which
 * outlives everything.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { PHRASE_WORDS_MAX = 32, LINE_PHRASES_MAX = 64 };

/* What stands between two commas. */
struct phrase {
    struct slice words[PHRASE_WORDS_MAX];
    uint32_t count;
};

enum line_kind { LINE_END, LINE_STORY, LINE_ENGINE, LINE_KEY, LINE_POOL, LINE_STEP, LINE_EXPECT };

struct line {
    enum line_kind kind;
    uint32_t number;
    uint64_t at_ms;                          /* of a step */
    struct slice title;                      /* of a story */
    struct phrase actions[LINE_PHRASES_MAX]; /* of a step; of the others the first is the line */
    uint32_t actions_count;
    struct phrase outputs[LINE_PHRASES_MAX];
    uint32_t outputs_count;
};

struct script {
    struct slice rest;
    uint32_t number;
    uint64_t at_ms;
};

void script_init(struct script *script, struct slice text);

/* Reads the next line that says something; LINE_END after the last. False with *ret_fault (a fixed
 * text) where it cannot be read; ret->number is set all the same. */
bool script_next(struct script *script, struct line *ret, const char **ret_fault);

/* The i-th word, or an empty slice. */
struct slice phrase_word(const struct phrase *phrase, uint32_t i);
