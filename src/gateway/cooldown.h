/* SPDX-License-Identifier: Apache-2.0
 *
 * cooldown.h - how long an account is left alone after what its upstream answered.
 *
 *     429   until the time that the answer gives; it gives none: not at all
 *     529   600 s            503   60 s            other 5xx   300 s, after three in a row
 *     401   1800 s           403   1800 s, after three in a row from two clients at least
 *
 * Where the answer has a Retry-After, 529 and 503 and other 5xx go by it, up to half an hour. A 429
 * may be about one family of models: then the account serves the others. The longest one that is
 * running counts; a new one never shortens it.
 *
 * Pure: the clock is an argument, and locks are the caller's.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

#define COOLDOWN_RETRY_AFTER_MAX_MS 1800000U
#define COOLDOWN_FAMILIES_MAX       8U /* at a time, of one account; the next is for all models */
#define COOLDOWN_FAMILY_LEN         48U
#define COOLDOWN_ROW                3U /* answers in a row */

/* name, word */
#define COOLDOWNS(ROW)                                                                             \
    ROW(NONE, "none")                                                                              \
    ROW(RATE_LIMIT, "rate_limit")                                                                  \
    ROW(OVERLOADED, "overloaded")                                                                  \
    ROW(UNAVAILABLE, "unavailable")                                                                \
    ROW(ERRORS, "errors")                                                                          \
    ROW(UNAUTHORIZED, "unauthorized")                                                              \
    ROW(FORBIDDEN, "forbidden")

enum cooldown_reason {
#define COOLDOWN_ROW_OF(name, word) COOLDOWN_##name,
    COOLDOWNS(COOLDOWN_ROW_OF)
#undef COOLDOWN_ROW_OF
        COOLDOWN_REASONS
};

struct cooldown_term {
    uint64_t until_ms;
    uint8_t reason; /* enum cooldown_reason */
    bool is_told;   /* cooldown_news() has told that it runs */
    uint8_t family_len;
    char family[COOLDOWN_FAMILY_LEN]; /* in lower case; empty: of all models */
};

/* Of one account; all zeroes: nothing is known against it. */
struct cooldown {
    struct cooldown_term all;
    struct cooldown_term families[COOLDOWN_FAMILIES_MAX];
    uint32_t errors, forbidden; /* in a row */
    uint64_t forbidden_client;  /* whose the first of them was */
    bool is_forbidden_to_two;
};

/* What an upstream answered. */
struct cooldown_answer {
    uint16_t status;
    bool has_reset, has_retry_after;
    uint64_t reset_ms, retry_after_ms; /* from now */
    struct slice family;               /* whom it is about; empty: all models */
    uint64_t client;                   /* a hash of who asked */
};

/* Why it cools down since this answer; COOLDOWN_NONE: it does not. */
enum cooldown_reason cooldown_judge(struct cooldown *cooldown, const struct cooldown_answer *answer,
                                    uint64_t now_ms);

/* It is left alone until then; what runs longer already stays. `family` may be empty. */
void cooldown_until(struct cooldown *cooldown, struct slice family, enum cooldown_reason reason,
                    uint64_t until_ms, uint64_t now_ms);

/* How long requests for a model of that family wait, or 0; `family` may be empty. */
uint64_t cooldown_left(const struct cooldown *cooldown, struct slice family, uint64_t now_ms,
                       enum cooldown_reason *ret_reason);

void cooldown_clear(struct cooldown *cooldown);
/* The same of what its credentials were refused for (401, 403): it has others. */
void cooldown_forgive(struct cooldown *cooldown);

/* One that has begun since this was last asked, or is over (until_ms is not after now_ms); false:
 * there is none. */
bool cooldown_news(struct cooldown *cooldown, uint64_t now_ms, struct cooldown_term *ret_term);
/* Whether one was told that is not told to be over. */
bool cooldown_is_told(const struct cooldown *cooldown);

const char *cooldown_word(enum cooldown_reason reason); /* "rate_limit" */
