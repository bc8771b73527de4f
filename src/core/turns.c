/* SPDX-License-Identifier: Apache-2.0 */
#include "core/turns.h"

#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/standing.h"

/* Who cannot give way - the others have as much - goes on serving, and owes it; up to this. */
#define LOOKS_MAX 64U /* room that comes free must not cost a walk over all who want it */
#define DEBT_MAX  (int32_t)(4 * TURN_GRANTS)

uint32_t turns_count(const weir_pool *pool)
{
    uint32_t count = 0;
    weir_list_each(it, &pool->turns) {
        count += list_entry(it, const struct group, on_turns)->hungry.count;
    }
    return count;
}

void turns_join(struct key *key)
{
    struct group *tenant = key->tenant;
    list_push_back(&tenant->hungry, &key->on_list);
    if (!list_holds(&tenant->on_turns)) {
        list_push_back(&key->pool->turns, &tenant->on_turns);
    }
    standing_note(tenant);
}

static void unlink_key(struct key *key)
{
    struct group *tenant = key->tenant;
    list_remove(&tenant->hungry, &key->on_list);
    if (tenant->hungry.count == 0) {
        list_remove(&key->pool->turns, &tenant->on_turns);
    }
    standing_note(tenant);
}

void turns_promise(struct group *tenant, uint32_t count)
{
    tenant->promised += count;
    tenant->pool->promised += count;
}

static void take_back(struct group *tenant, uint32_t count)
{
    tenant->promised -= count;
    tenant->pool->promised -= count;
}

void turns_lapse(struct key *key)
{
    if (key->tenant->hungry.count == 0) {
        take_back(key->tenant, key->tenant->promised);
    }
}

void turns_review(weir_pool *pool)
{
    uint32_t used = pool_total(pool);
    uint64_t most = pool->by_state[WEIR_CLOSING].count;
    most += pool->ledger.credits > used ? pool->ledger.credits - used : 0;
    struct node *it = list_last(&pool->turns);
    for (; pool->promised > most && !MUTANT(38); it = list_prev(it)) {
        struct group *tenant = list_entry(it, struct group, on_turns);
        uint32_t lost = pool->promised - (uint32_t)most;
        take_back(tenant, lost < tenant->promised ? lost : tenant->promised);
    }
}

void turns_leave(struct key *key)
{
    unlink_key(key);
    turns_lapse(key);
}

/* What it has, and will have. */
static uint32_t holdings(const struct group *tenant)
{
    return tenant->alive + tenant->promised;
}

static bool goes_before(const struct group *a, const struct group *b)
{
    if ((a->promised > 0) != (b->promised > 0)) {
        return a->promised > 0;
    }
    return a->alive < b->alive;
}

/* Of the first few: who was promised room, else who has least. */
static struct group *next_tenant(const weir_pool *pool)
{
    struct group *next = NULL;
    uint32_t looks = 0;
    weir_list_each(it, &pool->turns) {
        struct group *tenant = list_entry(it, struct group, on_turns);
        if (next == NULL || goes_before(tenant, next)) {
            next = tenant;
        }
        if (++looks == LOOKS_MAX) {
            break;
        }
    }
    return next;
}

static struct key *poorest_key(const struct group *tenant)
{
    struct key *poorest = NULL;
    uint32_t looks = 0;
    weir_list_each(it, &tenant->hungry) {
        struct key *key = list_entry(it, struct key, on_list);
        if (poorest == NULL || key_alive(key) < key_alive(poorest)) {
            poorest = key;
        }
        if (++looks == LOOKS_MAX) {
            break;
        }
    }
    return poorest;
}

struct key *turns_take(weir_pool *pool)
{
    struct key *key = poorest_key(next_tenant(pool));
    unlink_key(key);
    return key;
}

void turns_passed(struct key *key)
{
    struct group *tenant = key->tenant;
    take_back(tenant, tenant->promised > 0);
    if (list_holds(&tenant->on_turns)) {
        list_move_back(&key->pool->turns, &key->pool->turns, &tenant->on_turns);
    }
    turns_lapse(key);
}

/* The first that is not `mine`. */
static struct node *rival_of(const struct list *list, const struct node *mine)
{
    struct node *first = list_first(list);
    return first == mine ? list_next(first) : first;
}

static bool is_over(uint32_t mine, uint32_t theirs, bool has_served)
{
    return mine > theirs + 1 || (mine > theirs && has_served);
}

/* To another tenant. */
static bool yields_to_tenant(struct key *key)
{
    weir_pool *pool = key->pool;
    struct group *mine = key->tenant;
    struct node *node = rival_of(&pool->turns, &mine->on_turns);
    if (node == NULL || MUTANT(27)) {
        mine->deficit = (int32_t)TURN_GRANTS;
        return false;
    }
    struct group *rival = list_entry(node, struct group, on_turns);
    mine->deficit -= mine->deficit > -DEBT_MAX;
    if (!is_over(holdings(mine), holdings(rival), mine->deficit <= 0)) {
        return false;
    }
    mine->deficit += mine->deficit <= 0 ? (int32_t)TURN_GRANTS : 0;
    turns_promise(rival, 1);
    return true;
}

/* To another key of the same tenant. */
static bool yields_to_key(struct key *key)
{
    struct group *tenant = key->tenant;
    struct node *node = rival_of(&tenant->hungry, &key->on_list);
    if (node == NULL) {
        key->turn = 0;
        return false;
    }
    key->turn++;
    if (!is_over(key_alive(key), key_alive(list_entry(node, struct key, on_list)),
                 key->turn >= TURN_GRANTS)) {
        return false;
    }
    key->turn = 0;
    turns_promise(tenant, 1);
    return true;
}

bool turns_should_yield(struct key *key)
{
    weir_pool *pool = key->pool;
    bool is_shared = standing_is_shared(key->tenant);
    if (is_shared && standing_should_yield(key->tenant)) {
        return true;
    }
    bool has_rivals = key->waiting.count > 0 && pool->turns.count > 0
                      && pool->opt.refuse_when_full != WEIR_ON
                      && pool->by_state[WEIR_CLOSING].count < turns_count(pool);
    return has_rivals && ((!is_shared && yields_to_tenant(key)) || yields_to_key(key));
}

bool turns_should_pass_on(struct key *key)
{
    if (!key->pool->ledger.is_pressing && !key->ledger.is_pressing) {
        key->pressed = 0;
        return false;
    }
    if (++key->pressed < TURN_GRANTS) {
        return false;
    }
    key->pressed = 0;
    return true;
}
