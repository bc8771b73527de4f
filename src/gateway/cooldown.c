/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cooldown.h"

#include "base/check.h"

#define UNAUTHORIZED_MS 1800000U
#define FORBIDDEN_MS    1800000U
#define OVERLOADED_MS   600000U
#define ERRORS_MS       300000U
#define UNAVAILABLE_MS  60000U

static struct cooldown_term *term_of(struct cooldown *cooldown, struct slice family,
                                     uint64_t now_ms);
static bool is_of(const struct cooldown_term *term, struct slice family);

static uint64_t or_retry_after(const struct cooldown_answer *answer, uint64_t otherwise_ms)
{
    if (!answer->has_retry_after) {
        return otherwise_ms;
    }
    return answer->retry_after_ms < COOLDOWN_RETRY_AFTER_MAX_MS ? answer->retry_after_ms
                                                                : COOLDOWN_RETRY_AFTER_MAX_MS;
}

/* Whether that is the third in a row, and not of one client alone. */
static bool count_forbidden(struct cooldown *cooldown, uint64_t client)
{
    if (cooldown->forbidden == 0) {
        cooldown->forbidden_client = client;
        cooldown->is_forbidden_to_two = false;
    }
    cooldown->is_forbidden_to_two |= client != cooldown->forbidden_client;
    cooldown->forbidden += cooldown->forbidden < UINT32_MAX;
    return cooldown->forbidden >= COOLDOWN_ROW && cooldown->is_forbidden_to_two;
}

/* What is the third in a row is not the first of the next one: only another answer ends a row. */
static void count_rows(struct cooldown *cooldown, uint16_t status)
{
    bool is_error = status >= 500 && status != 503 && status != 529;
    cooldown->errors += is_error && cooldown->errors < UINT32_MAX;
    if (status < 500 && status != 429) {
        cooldown->errors = 0;
    }
    /* Who is asked to wait, or hears of trouble, was not told that it may. */
    if (status < 500 && status != 403 && status != 429) {
        cooldown->forbidden = 0;
    }
}

enum cooldown_reason cooldown_judge(struct cooldown *cooldown, const struct cooldown_answer *answer,
                                    uint64_t now_ms)
{
    enum cooldown_reason reason = COOLDOWN_NONE;
    struct slice family = {"", 0};
    uint64_t for_ms = 0;
    uint16_t status = answer->status;
    count_rows(cooldown, status);
    if (status == 429) {
        family = answer->family;
        for_ms = answer->has_reset ? answer->reset_ms : or_retry_after(answer, 0);
        reason = COOLDOWN_RATE_LIMIT;
    } else if (status == 529) {
        for_ms = or_retry_after(answer, OVERLOADED_MS);
        reason = COOLDOWN_OVERLOADED;
    } else if (status == 503) {
        for_ms = or_retry_after(answer, UNAVAILABLE_MS);
        reason = COOLDOWN_UNAVAILABLE;
    } else if (status >= 500 && cooldown->errors >= COOLDOWN_ROW) {
        for_ms = or_retry_after(answer, ERRORS_MS);
        reason = COOLDOWN_ERRORS;
    } else if (status == 401) {
        for_ms = UNAUTHORIZED_MS;
        reason = COOLDOWN_UNAUTHORIZED;
    } else if (status == 403 && count_forbidden(cooldown, answer->client)) {
        for_ms = FORBIDDEN_MS;
        reason = COOLDOWN_FORBIDDEN;
    }
    if (for_ms == 0) {
        return COOLDOWN_NONE;
    }
    cooldown_until(cooldown, family, reason, now_ms + for_ms, now_ms);
    return reason;
}

void cooldown_until(struct cooldown *cooldown, struct slice family, enum cooldown_reason reason,
                    uint64_t until_ms, uint64_t now_ms)
{
    struct cooldown_term *term = term_of(cooldown, family, now_ms);
    if (term->until_ms < until_ms) {
        term->until_ms = until_ms;
        term->reason = (uint8_t)reason;
    }
}

uint64_t cooldown_left(const struct cooldown *cooldown, struct slice family, uint64_t now_ms,
                       enum cooldown_reason *ret_reason)
{
    const struct cooldown_term *longest = &cooldown->all;
    for (uint32_t i = 0; family.len > 0 && i < COOLDOWN_FAMILIES_MAX; i++) {
        const struct cooldown_term *term = &cooldown->families[i];
        if (term->until_ms > longest->until_ms && is_of(term, family)) {
            longest = term;
        }
    }
    bool runs = longest->until_ms > now_ms;
    *ret_reason = runs ? (enum cooldown_reason)longest->reason : COOLDOWN_NONE;
    return runs ? longest->until_ms - now_ms : 0;
}

static struct cooldown_term *term_at(struct cooldown *cooldown, uint32_t index)
{
    return index == 0 ? &cooldown->all : &cooldown->families[index - 1];
}

/* Of whom it was told that they cool down is remembered: that they do no more is to be told, too.
 */
void cooldown_clear(struct cooldown *cooldown)
{
    for (uint32_t i = 0; i <= COOLDOWN_FAMILIES_MAX; i++) {
        term_at(cooldown, i)->until_ms = 0;
    }
    cooldown->errors = cooldown->forbidden = 0;
}

void cooldown_forgive(struct cooldown *cooldown)
{
    for (uint32_t i = 0; i <= COOLDOWN_FAMILIES_MAX; i++) {
        struct cooldown_term *term = term_at(cooldown, i);
        if (term->reason == COOLDOWN_UNAUTHORIZED || term->reason == COOLDOWN_FORBIDDEN) {
            term->until_ms = 0;
        }
    }
    cooldown->forbidden = 0;
}

bool cooldown_news(struct cooldown *cooldown, uint64_t now_ms, struct cooldown_term *ret_term)
{
    for (uint32_t i = 0; i <= COOLDOWN_FAMILIES_MAX; i++) {
        struct cooldown_term *term = term_at(cooldown, i);
        bool runs = term->until_ms > now_ms;
        if (runs != term->is_told) {
            term->is_told = runs;
            *ret_term = *term;
            return true;
        }
    }
    return false;
}

bool cooldown_is_told(const struct cooldown *cooldown)
{
    bool is_told = cooldown->all.is_told;
    for (uint32_t i = 0; i < COOLDOWN_FAMILIES_MAX; i++) {
        is_told |= cooldown->families[i].is_told;
    }
    return is_told;
}

const char *cooldown_word(enum cooldown_reason reason)
{
    static const char *const words[] = {
#define COOLDOWN_WORD(name, word) word,
        COOLDOWNS(COOLDOWN_WORD)
#undef COOLDOWN_WORD
    };
    check(reason < COOLDOWN_REASONS);
    return words[reason];
}

static struct slice kept_of(struct slice family)
{
    return slice_sub(family, 0, COOLDOWN_FAMILY_LEN);
}

static bool is_of(const struct cooldown_term *term, struct slice family)
{
    const struct slice own = {term->family, term->family_len};
    return slice_same_nocase(own, kept_of(family));
}

/* Where there is no room for one more family, all models wait. */
static struct cooldown_term *term_of(struct cooldown *cooldown, struct slice family,
                                     uint64_t now_ms)
{
    struct cooldown_term *room = NULL;
    if (family.len == 0) {
        return &cooldown->all;
    }
    for (uint32_t i = 0; i < COOLDOWN_FAMILIES_MAX; i++) {
        struct cooldown_term *term = &cooldown->families[i];
        if (term->until_ms > now_ms && is_of(term, family)) {
            return term;
        }
        if (term->until_ms <= now_ms && (room == NULL || room->is_told)) {
            room = term; /* one whose end is not told yet comes last */
        }
    }
    if (room == NULL) {
        return &cooldown->all;
    }
    struct slice kept = kept_of(family);
    *room = (struct cooldown_term){.family_len = (uint8_t)kept.len};
    for (uint32_t i = 0; i < kept.len; i++) {
        room->family[i] = text_lower(kept.at[i]);
    }
    return room;
}
