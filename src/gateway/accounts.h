/* SPDX-License-Identifier: Apache-2.0
 *
 * accounts.h - the accounts of an upstream, shared by all workers: whose turn it is, how many
 * requests each has open, and which of them cool down.
 *
 * Usable is an account that serves the model, takes new requests, and neither cools down nor has as
 * many requests open as it may; where others wait for it, a place is free for them first, and for
 * who comes only if there are more. Of those with the lowest priority a request that is known by a
 * hash gets the one that the hash stands for (weighted rendezvous hashing, so that every gateway
 * with these accounts chooses alike); any other gets the least busy one. Which account such a
 * request is with does not depend on how busy they are: where that one is full, or cools down,
 * another serves it, and the choice says so.
 *
 *     accounts_take ──▶ a lease ──▶ accounts_answer … ──▶ accounts_give
 *
 * A request is open from take to give, so the count is what is really open. One lock for each
 * upstream, held for some comparisons; upstreams without accounts never come here.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/cooldown.h"
#include "proto/ai_usage.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define ACCOUNTS_CODES   600U
#define ACCOUNTS_FULL_MS 1000U /* Retry-After where all that is known is that others are served */

struct accounts;

/* Of an upstream. `elder`: its accounts by the configuration before; what is known of those that
 * both name (open requests, cooldowns, figures) is shared by both from now on. Or NULL. 0 or
 * -ENOMEM. One thread makes and frees them. */
int accounts_new(const struct config_upstream *config, const struct accounts *elder,
                 struct accounts **ret_accounts);
void accounts_free(struct accounts *take_accounts);
/* It is in force from now on: for what its elder's credentials were refused (401, 403), those of an
 * account that shows others do not cool down, now or later. */
void accounts_take_over(struct accounts *accounts, const struct accounts *elder);
uint32_t accounts_count(const struct accounts *accounts);

/* Its credentials, as fields to set. */
const struct http_field *accounts_fields(const struct accounts *accounts, uint32_t index,
                                         uint32_t *ret_count);
/* Whether a request's body has a say in the choice, or may be needed twice. */
bool accounts_wants_body(const struct accounts *accounts);

struct accounts_wish {
    bool has_hash;
    uint64_t hash;      /* what the request is known by */
    const char *bound;  /* the account that it is with by record; NULL: the hash says */
    bool is_pinned;     /* that one or none */
    struct slice model; /* empty: it names none */
    uint64_t except;    /* a bit for each that is not to be chosen */
    enum config_priority priority;
    bool is_due; /* it came before those that wait alike, or is one of them */
    uint64_t now_ms;
};

enum accounts_result {
    ACCOUNTS_TAKEN,
    ACCOUNTS_FULL,    /* some are usable but for their limits */
    ACCOUNTS_COOLING, /* all cool down */
    ACCOUNTS_NOBODY   /* none serves that model, or all are excepted */
};

/* Why it is not the account that the request is with. */
enum accounts_moved {
    ACCOUNTS_AT_HOME,
    ACCOUNTS_HOME_FULL,
    ACCOUNTS_HOME_COOLING,
    ACCOUNTS_HOME_GONE
};

struct accounts_choice {
    uint32_t index;
    uint32_t home;     /* that it is with; BALANCE_NOBODY: none */
    uint64_t wait_ms;  /* until one may be asked: with COOLING and FULL */
    uint8_t moved;     /* enum accounts_moved */
    uint32_t endpoint; /* for the caller: where it leads, */
    uint64_t down;     /* and a bit for each that was left out for leading nowhere */
};

enum accounts_result accounts_take(struct accounts *accounts, const struct accounts_wish *wish,
                                   struct accounts_choice *ret_choice);
void accounts_give(struct accounts *accounts, uint32_t index);

/* What its upstream answered; the reason for which it cools down since. */
enum cooldown_reason accounts_answer(struct accounts *accounts, uint32_t index,
                                     const struct cooldown_answer *answer, uint64_t now_ms);
/* What began or ended since this was last asked, by whomever (cooldown_news()): of which account.
 */
bool accounts_news(struct accounts *accounts, uint64_t now_ms, uint32_t *ret_index,
                   struct cooldown_term *ret_term);
bool accounts_are_told(struct accounts *accounts); /* … and one is not told to be over */
/* One cools down until then, as another process has learnt. */
void accounts_cool(struct accounts *accounts, uint32_t index, struct slice family,
                   enum cooldown_reason reason, uint64_t until_ms, uint64_t now_ms);
/* False: there is no account of that name. */
bool accounts_clear(struct accounts *accounts, struct slice name);

/* What accounts_take() would answer, and how each of them stands; nothing is taken. */
struct accounts_view {
    uint32_t chosen, home; /* BALANCE_NOBODY: none */
    const char *outcome;   /* a word: usable, full, cooling, excepted, no (serves not that model) */
    struct {
        const char *standing; /* the same for each */
        enum cooldown_reason reason;
        uint64_t left_ms; /* of that */
        uint32_t open;
    } rows[CONFIG_ACCOUNTS_MAX];
};
void accounts_view(struct accounts *accounts, const struct accounts_wish *wish,
                   struct accounts_view *ret_view);

/* --- callers that wait for a full account: over all workers ------------------------------------
 */

/* What one of them waits for. */
struct accounts_wait {
    uint64_t wanted; /* a bit for each that it may be asked as */
    enum config_priority priority;
};
/* False: as many wait already. */
bool accounts_wait(struct accounts *accounts, const struct accounts_wish *wish, uint32_t most,
                   struct accounts_wait *ret_wait);
void accounts_wait_over(struct accounts *accounts, const struct accounts_wait *wait);
uint32_t accounts_waiting(const struct accounts *accounts);

/* --- for whoever watches -------------------------------------------------------------------------
 */

struct accounts_info {
    const struct config_account *config;
    uint32_t open;
    struct cooldown cooldown;
    uint64_t cooldowns[COOLDOWN_REASONS]; /* that began, or were made longer */
    uint64_t by_code[ACCOUNTS_CODES];     /* answers */
    uint64_t given_up; /* requests that went to another account after this one's answer */
    uint64_t tokens[AI_TOKENS_KINDS]; /* that answers say were taken */
    uint64_t unread;                  /* answers that may say so, but are compressed */
};
void accounts_info_of(struct accounts *accounts, uint32_t index, struct accounts_info *ret_info);
void accounts_given_up(struct accounts *accounts, uint32_t index);
/* What an answer says that it took; one that could not be read. */
void accounts_used(struct accounts *accounts, uint32_t index, const struct ai_usage_said *said);
void accounts_unread(struct accounts *accounts, uint32_t index);

/* "claude-*" and the like. */
bool accounts_model_fits(const struct config_account *account, struct slice model);
