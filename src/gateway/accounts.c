/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/accounts.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "core/balance.h"
#include "gateway/config_claw.h"
#include "proto/pattern.h"
#include "proto/rate_limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

/* What is known of an account, as long as some configuration that is served by names it. */
struct book {
    struct book *next;
    uint32_t users;
    uint32_t shown;            /* which of its credentials are in force: 0, 1, … */
    struct accounts_info info; /* but for its config */
    char name[CONFIG_LABEL_MAX + 1];
};

/* Of all accounts of an upstream, with the lock of all of its tables. */
struct books {
    pthread_mutex_t lock;
    uint32_t users;
    struct book *first;
};

struct account {
    const struct config_account *config;
    struct accounts_info *info; /* in its book */
    uint32_t shows;             /* its credentials, as its book counts them */
    struct http_field fields[CONFIG_ACCOUNT_HEADERS_MAX];
    uint32_t fields_count;
};

struct accounts {
    const struct config_upstream *config;
    struct books *books;
    bool wants_body;
    _Atomic uint32_t waiting;
    uint32_t wanted[PRIORITIES][CONFIG_ACCOUNTS_MAX]; /* by so many of those that wait */
    uint32_t count;
    struct balance by_hash, by_load;
    struct balance_peer peers[CONFIG_ACCOUNTS_MAX];
    struct account at[];
};

enum standing { STANDING_NO, STANDING_EXCEPTED, STANDING_COOLING, STANDING_FULL, STANDING_USABLE };

static enum standing weigh(struct accounts *accounts, uint32_t index,
                           const struct accounts_wish *wish, uint64_t *soonest_ms);
static void prepare(struct accounts *accounts, uint32_t index, const struct config_account *config);

/* --- books ---------------------------------------------------------------------------------------
 */

static struct books *books_join(const struct accounts *elder)
{
    struct books *books = elder != NULL ? elder->books : alloc_zeroed(&alloc_libc, sizeof *books);
    if (elder == NULL && books != NULL) {
        pthread_mutex_init(&books->lock, NULL);
    }
    if (books != NULL) {
        pthread_mutex_lock(&books->lock);
        books->users++;
        pthread_mutex_unlock(&books->lock);
    }
    return books;
}

/* Its book, a new one where there is none; NULL: no memory. */
static struct book *book_open(struct books *books, const char *name)
{
    pthread_mutex_lock(&books->lock);
    struct book *book = books->first;
    while (book != NULL && strcmp(book->name, name) != 0) {
        book = book->next;
    }
    if (book == NULL) {
        book = alloc_zeroed(&alloc_libc, sizeof *book);
        if (book != NULL) {
            slice_copy(book->name, sizeof book->name, slice_of(name));
            book->next = books->first;
            books->first = book;
        }
    }
    if (book != NULL) {
        book->users++;
    }
    pthread_mutex_unlock(&books->lock);
    return book;
}

/* Locked. */
static void book_close(struct books *books, struct book *book)
{
    struct book **link = &books->first;
    if (--book->users > 0) {
        return;
    }
    while (*link != book) {
        link = &(*link)->next;
    }
    *link = book->next;
    alloc_free(&alloc_libc, book);
}

static void books_leave(struct accounts *accounts)
{
    struct books *books = accounts->books;
    pthread_mutex_lock(&books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        if (accounts->at[i].info != NULL) {
            book_close(books, container_of(accounts->at[i].info, struct book, info));
        }
    }
    uint32_t users = --books->users;
    pthread_mutex_unlock(&books->lock);
    if (users == 0) {
        pthread_mutex_destroy(&books->lock);
        alloc_free(&alloc_libc, books);
    }
}

/* --- tables --------------------------------------------------------------------------------------
 */

int accounts_new(const struct config_upstream *config, const struct accounts *elder,
                 struct accounts **ret_accounts)
{
    uint32_t count = config->accounts.count;
    struct accounts *accounts = alloc_zeroed(&alloc_libc,
                                             sizeof *accounts + count * sizeof(struct account));
    if (accounts == NULL) {
        return -ENOMEM;
    }
    accounts->books = books_join(elder);
    if (accounts->books == NULL) {
        alloc_free(&alloc_libc, accounts);
        return -ENOMEM;
    }
    accounts->config = config;
    accounts->count = count;
    accounts->wants_body = count > 1;
    balance_init(&accounts->by_hash, BALANCE_RENDEZVOUS, 1);
    balance_init(&accounts->by_load, BALANCE_LEAST_BUSY, 1);
    for (uint32_t i = 0; i < count; i++) {
        struct book *book = book_open(accounts->books, config->accounts.at[i].name);
        if (book == NULL) {
            accounts_free(accounts);
            return -ENOMEM;
        }
        accounts->at[i].info = &book->info;
        prepare(accounts, i, &config->accounts.at[i]);
    }
    *ret_accounts = accounts;
    return 0;
}

void accounts_free(struct accounts *take_accounts)
{
    if (take_accounts != NULL) {
        books_leave(take_accounts);
        alloc_free(&alloc_libc, take_accounts);
    }
}

static void prepare(struct accounts *accounts, uint32_t index, const struct config_account *config)
{
    struct account *account = &accounts->at[index];
    account->config = config;
    account->fields_count = config->headers.count;
    for (uint32_t i = 0; i < config->models.count; i++) {
        accounts->wants_body |= strcmp(config->models.at[i], "*") != 0;
    }
    for (uint32_t i = 0; i < config->headers.count; i++) {
        struct slice name = slice_of(config->headers.at[i].name);
        account->fields[i] = (struct http_field){.name = name,
                                                 .value = slice_of(config->headers.at[i].value),
                                                 .id = (uint8_t)http_field_id_of(name)};
    }
    accounts->peers[index] = (struct balance_peer){
        .hash = XXH3_64bits(config->name, strlen(config->name)),
        .weight = config->weight,
    };
}

/* --- other credentials ---------------------------------------------------------------------------
 */

static bool has_same_headers(const struct config_fields *a, const struct config_fields *b)
{
    bool is_same = a->count == b->count;
    for (uint32_t i = 0; is_same && i < a->count; i++) {
        is_same = strcmp(a->at[i].name, b->at[i].name) == 0
                  && strcmp(a->at[i].value, b->at[i].value) == 0;
    }
    return is_same;
}

static bool shows_the_same(const struct accounts *a, uint32_t i, const struct accounts *b,
                           uint32_t k)
{
    const struct config_claw is = config_claw_of(a->config, i), was = config_claw_of(b->config, k);
    return has_same_headers(&a->at[i].config->headers, &b->at[k].config->headers)
           && strcmp(is.token, was.token) == 0 && strcmp(is.password, was.password) == 0;
}

static struct book *book_of(const struct account *account)
{
    return container_of(account->info, struct book, info);
}

void accounts_take_over(struct accounts *accounts, const struct accounts *elder)
{
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->at[i];
        struct book *book = book_of(account);
        for (uint32_t k = 0; k < elder->count; k++) {
            if (elder->at[k].info == account->info && !shows_the_same(accounts, i, elder, k)) {
                book->shown++;
                cooldown_forgive(&book->info.cooldown);
            }
        }
        account->shows = book->shown;
    }
    pthread_mutex_unlock(&accounts->books->lock);
}

/* A refusal of what is shown no more. Locked. */
static bool is_of_former(const struct account *account, uint16_t status)
{
    return (status == 401 || status == 403) && account->shows != book_of(account)->shown;
}

uint32_t accounts_count(const struct accounts *accounts)
{
    return accounts->count;
}

const struct http_field *accounts_fields(const struct accounts *accounts, uint32_t index,
                                         uint32_t *ret_count)
{
    check(index < accounts->count);
    *ret_count = accounts->at[index].fields_count;
    return accounts->at[index].fields;
}

bool accounts_wants_body(const struct accounts *accounts)
{
    return accounts->wants_body;
}

/* --- whose turn it is ----------------------------------------------------------------------------
 */

/* Of those that fare at least so well only the lowest priority takes part. */
static uint32_t choose(struct accounts *accounts, const struct accounts_wish *wish,
                       const enum standing standings[], enum standing least)
{
    uint32_t lowest = UINT32_MAX;
    for (uint32_t i = 0; i < accounts->count; i++) {
        uint32_t priority = accounts->at[i].config->priority;
        if (standings[i] >= least && priority < lowest) {
            lowest = priority;
        }
    }
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct accounts_info *info = accounts->at[i].info;
        bool takes_part = standings[i] >= least && accounts->at[i].config->priority == lowest;
        accounts->peers[i].standing = takes_part ? BALANCE_GOOD : BALANCE_OUT;
        accounts->peers[i].busy = info->open;
    }
    return balance_choose(wish->has_hash ? &accounts->by_hash : &accounts->by_load, accounts->peers,
                          accounts->count, wish->hash, BALANCE_NOBODY);
}

/* Which one the request is with, whatever it does just now; BALANCE_NOBODY: with none. */
static uint32_t home_of(struct accounts *accounts, const struct accounts_wish *wish,
                        const enum standing standings[])
{
    for (uint32_t i = 0; wish->bound != NULL && i < accounts->count; i++) {
        if (strcmp(accounts->at[i].config->name, wish->bound) == 0) {
            return i;
        }
    }
    return wish->has_hash ? choose(accounts, wish, standings, STANDING_EXCEPTED) : BALANCE_NOBODY;
}

static enum accounts_moved moved_of(enum standing standing)
{
    switch (standing) {
    case STANDING_NO: return ACCOUNTS_HOME_GONE;
    case STANDING_EXCEPTED:
    case STANDING_COOLING: return ACCOUNTS_HOME_COOLING;
    case STANDING_FULL: return ACCOUNTS_HOME_FULL;
    case STANDING_USABLE: break;
    }
    return ACCOUNTS_AT_HOME;
}

static enum standing best_of(const struct accounts *accounts, const enum standing standings[])
{
    enum standing best = STANDING_NO;
    for (uint32_t i = 0; i < accounts->count; i++) {
        best = standings[i] > best ? standings[i] : best;
    }
    return best;
}

static void take(struct accounts *accounts, const struct accounts_wish *wish,
                 const enum standing standings[], struct accounts_choice *ret_choice)
{
    uint32_t home = home_of(accounts, wish, standings);
    ret_choice->home = home;
    ret_choice->moved = home != BALANCE_NOBODY ? moved_of(standings[home]) : ACCOUNTS_AT_HOME;
    ret_choice->index = home != BALANCE_NOBODY && standings[home] == STANDING_USABLE
                            ? home
                            : choose(accounts, wish, standings, STANDING_USABLE);
    accounts->at[ret_choice->index].info->open++;
}

/* Where the request is pinned to one, all others are out; that one may be gone. */
static bool is_out(const struct account *account, const struct accounts_wish *wish)
{
    return wish->is_pinned && strcmp(account->config->name, wish->bound) != 0;
}

enum accounts_result accounts_take(struct accounts *accounts, const struct accounts_wish *wish,
                                   struct accounts_choice *ret_choice)
{
    enum standing standings[CONFIG_ACCOUNTS_MAX] = {STANDING_NO};
    uint64_t soonest_ms = UINT64_MAX;
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        if (!is_out(&accounts->at[i], wish)) {
            standings[i] = weigh(accounts, i, wish, &soonest_ms);
        }
    }
    enum standing best = best_of(accounts, standings);
    if (best == STANDING_USABLE) {
        take(accounts, wish, standings, ret_choice);
    }
    pthread_mutex_unlock(&accounts->books->lock);
    switch (best) {
    case STANDING_NO:
    case STANDING_EXCEPTED: return ACCOUNTS_NOBODY;
    case STANDING_COOLING: ret_choice->wait_ms = soonest_ms; return ACCOUNTS_COOLING;
    case STANDING_FULL:
        ret_choice->wait_ms = soonest_ms < ACCOUNTS_FULL_MS ? soonest_ms : ACCOUNTS_FULL_MS;
        return ACCOUNTS_FULL;
    case STANDING_USABLE: break;
    }
    return ACCOUNTS_TAKEN;
}

void accounts_view(struct accounts *accounts, const struct accounts_wish *wish,
                   struct accounts_view *ret_view)
{
    static const char *const words[] = {
        [STANDING_NO] = "no",     [STANDING_EXCEPTED] = "excepted", [STANDING_COOLING] = "cooling",
        [STANDING_FULL] = "full", [STANDING_USABLE] = "usable",
    };
    enum standing standings[CONFIG_ACCOUNTS_MAX] = {STANDING_NO};
    struct slice family = rate_limit_family(wish->model);
    uint64_t soonest_ms = UINT64_MAX;
    *ret_view = (struct accounts_view){.chosen = BALANCE_NOBODY};
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct accounts_info *info = accounts->at[i].info;
        standings[i] = weigh(accounts, i, wish, &soonest_ms);
        ret_view->rows[i].standing = accounts->at[i].config->weight == 0 ? "drained"
                                                                         : words[standings[i]];
        ret_view->rows[i].open = info->open;
        ret_view->rows[i].left_ms = cooldown_left(&info->cooldown, family, wish->now_ms,
                                                  &ret_view->rows[i].reason);
    }
    const struct balance by_hash = accounts->by_hash, by_load = accounts->by_load;
    uint32_t home = home_of(accounts, wish, standings);
    bool is_home = home != BALANCE_NOBODY && standings[home] == STANDING_USABLE;
    ret_view->home = home;
    ret_view->outcome = words[best_of(accounts, standings)];
    if (best_of(accounts, standings) == STANDING_USABLE)
        ret_view->chosen = is_home ? home : choose(accounts, wish, standings, STANDING_USABLE);
    accounts->by_hash = by_hash; /* whatever it drew from was not drawn */
    accounts->by_load = by_load;
    pthread_mutex_unlock(&accounts->books->lock);
}

/* How many wait for that account who come first. */
static uint32_t ahead_of(const struct accounts *accounts, uint32_t index,
                         const struct accounts_wish *wish)
{
    uint32_t ahead = 0;
    for (unsigned i = wish->priority + wish->is_due; i < PRIORITIES; i++) {
        ahead += accounts->wanted[i][index];
    }
    return ahead;
}

static enum standing weigh(struct accounts *accounts, uint32_t index,
                           const struct accounts_wish *wish, uint64_t *soonest_ms)
{
    const struct config_account *config = accounts->at[index].config;
    const struct accounts_info *info = accounts->at[index].info;
    enum cooldown_reason reason;
    if (config->weight == 0 || !accounts_model_fits(config, wish->model)) {
        return STANDING_NO;
    }
    if ((wish->except >> index & 1) != 0) {
        return STANDING_EXCEPTED;
    }
    uint64_t left_ms = cooldown_left(&info->cooldown, rate_limit_family(wish->model), wish->now_ms,
                                     &reason);
    if (left_ms > 0) {
        *soonest_ms = left_ms < *soonest_ms ? left_ms : *soonest_ms;
        return STANDING_COOLING;
    }
    uint32_t most = config->concurrent;
    bool is_full = most != 0 && (uint64_t)info->open + ahead_of(accounts, index, wish) >= most;
    return is_full ? STANDING_FULL : STANDING_USABLE;
}

void accounts_give(struct accounts *accounts, uint32_t index)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    check(accounts->at[index].info->open > 0);
    accounts->at[index].info->open--;
    pthread_mutex_unlock(&accounts->books->lock);
}

enum cooldown_reason accounts_answer(struct accounts *accounts, uint32_t index,
                                     const struct cooldown_answer *answer, uint64_t now_ms)
{
    check(index < accounts->count);
    struct accounts_info *info = accounts->at[index].info;
    pthread_mutex_lock(&accounts->books->lock);
    enum cooldown_reason reason = is_of_former(&accounts->at[index], answer->status)
                                      ? COOLDOWN_NONE
                                      : cooldown_judge(&info->cooldown, answer, now_ms);
    info->cooldowns[reason] += reason != COOLDOWN_NONE;
    info->by_code[answer->status < ACCOUNTS_CODES ? answer->status : 0]++;
    pthread_mutex_unlock(&accounts->books->lock);
    return reason;
}

bool accounts_news(struct accounts *accounts, uint64_t now_ms, uint32_t *ret_index,
                   struct cooldown_term *ret_term)
{
    bool is_news = false;
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; !is_news && i < accounts->count; i++) {
        is_news = cooldown_news(&accounts->at[i].info->cooldown, now_ms, ret_term);
        *ret_index = i;
    }
    pthread_mutex_unlock(&accounts->books->lock);
    return is_news;
}

bool accounts_are_told(struct accounts *accounts)
{
    bool are_told = false;
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        are_told |= cooldown_is_told(&accounts->at[i].info->cooldown);
    }
    pthread_mutex_unlock(&accounts->books->lock);
    return are_told;
}

void accounts_cool(struct accounts *accounts, uint32_t index, struct slice family,
                   enum cooldown_reason reason, uint64_t until_ms, uint64_t now_ms)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    cooldown_until(&accounts->at[index].info->cooldown, family, reason, until_ms, now_ms);
    pthread_mutex_unlock(&accounts->books->lock);
}

bool accounts_clear(struct accounts *accounts, struct slice name)
{
    bool is_known = false;
    pthread_mutex_lock(&accounts->books->lock);
    for (uint32_t i = 0; i < accounts->count; i++) {
        if (slice_is(name, accounts->at[i].config->name)) {
            cooldown_clear(&accounts->at[i].info->cooldown);
            is_known = true;
        }
    }
    pthread_mutex_unlock(&accounts->books->lock);
    return is_known;
}

/* --- waiting and watching ------------------------------------------------------------------------
 */

static uint64_t wanted_by(struct accounts *accounts, const struct accounts_wish *wish)
{
    uint64_t soonest_ms = UINT64_MAX, wanted = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        bool is_out_of_it = is_out(&accounts->at[i], wish)
                            || weigh(accounts, i, wish, &soonest_ms) <= STANDING_EXCEPTED;
        wanted |= (uint64_t)!is_out_of_it << i;
    }
    return wanted;
}

/* Locked. */
static void want(struct accounts *accounts, const struct accounts_wait *wait, int32_t by)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        if ((wait->wanted >> i & 1) != 0) {
            accounts->wanted[wait->priority][i] += (uint32_t)by;
        }
    }
}

/* Counted before it is compared, so that two workers never take the same place. */
bool accounts_wait(struct accounts *accounts, const struct accounts_wish *wish, uint32_t most,
                   struct accounts_wait *ret_wait)
{
    if (atomic_fetch_add(&accounts->waiting, 1) >= most) {
        atomic_fetch_sub(&accounts->waiting, 1);
        return false;
    }
    pthread_mutex_lock(&accounts->books->lock);
    *ret_wait = (struct accounts_wait){wanted_by(accounts, wish), wish->priority};
    want(accounts, ret_wait, 1);
    pthread_mutex_unlock(&accounts->books->lock);
    return true;
}

void accounts_wait_over(struct accounts *accounts, const struct accounts_wait *wait)
{
    pthread_mutex_lock(&accounts->books->lock);
    want(accounts, wait, -1);
    pthread_mutex_unlock(&accounts->books->lock);
    atomic_fetch_sub(&accounts->waiting, 1);
}

uint32_t accounts_waiting(const struct accounts *accounts)
{
    return atomic_load_explicit(&accounts->waiting, memory_order_relaxed);
}

void accounts_info_of(struct accounts *accounts, uint32_t index, struct accounts_info *ret_info)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    *ret_info = *accounts->at[index].info;
    ret_info->config = accounts->at[index].config;
    pthread_mutex_unlock(&accounts->books->lock);
}

void accounts_given_up(struct accounts *accounts, uint32_t index)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    accounts->at[index].info->given_up++;
    pthread_mutex_unlock(&accounts->books->lock);
}

void accounts_used(struct accounts *accounts, uint32_t index, const struct ai_usage_said *said)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    for (unsigned i = 0; i < AI_TOKENS_KINDS; i++) {
        accounts->at[index].info->tokens[i] += said->tokens[i];
    }
    pthread_mutex_unlock(&accounts->books->lock);
}

void accounts_unread(struct accounts *accounts, uint32_t index)
{
    check(index < accounts->count);
    pthread_mutex_lock(&accounts->books->lock);
    accounts->at[index].info->unread++;
    pthread_mutex_unlock(&accounts->books->lock);
}

/* --- models --------------------------------------------------------------------------------------
 */

bool accounts_model_fits(const struct config_account *account, struct slice model)
{
    bool is_any = account->models.count == 0 || model.len == 0;
    for (uint32_t i = 0; !is_any && i < account->models.count; i++) {
        is_any = pattern_fits(account->models.at[i], model);
    }
    return is_any;
}
