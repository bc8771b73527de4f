/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hub_parts.h"
#include "core/mutant.h"

#define LOOKS_MAX    64U /* at tenants in need: more than these are served in turns */
#define AHEAD_TURNS  2U  /* by so much a tenant is ahead, and gives up a connection */
#define BEHIND_TURNS 4U  /* by no more than this is any of them behind the first */
#define LEASE_SCALE  16U
#define LEASE_WEIGHT 8U

/* What a tenant has, and will have when it has been told. */
static uint32_t has(const struct share *share)
{
    return share->alive + share->sent - share->fed;
}

static uint64_t turn_ms(const struct account *pool)
{
    uint64_t turn = TURN_GRANTS * pool->lease_ms / LEASE_SCALE;
    return turn > 0 ? turn : 1;
}

/* How far a tenant is, in all or at one engine: the least is hindmost. */
static uint64_t rank(const struct account *tenant)
{
    return tenant->spent_ms + tenant->has * turn_ms(tenant->pool);
}

static uint64_t rank_there(const struct share *share)
{
    return share->spent_ms + has(share) * turn_ms(share->account->pool);
}

/* Of those in need, but for one; NULL: nobody is. */
static struct account *hindmost(const struct account *pool, const struct account *but)
{
    struct account *last = NULL;
    uint64_t last_ms = 0;
    uint32_t looks = 0;
    weir_list_each(it, &pool->hungry) {
        struct account *tenant = list_entry(it, struct account, on_hungry);
        uint64_t far_ms = rank(tenant);
        if (tenant != but && (last == NULL || far_ms < last_ms)) {
            last = tenant;
            last_ms = far_ms;
        }
        if (++looks == LOOKS_MAX) {
            break;
        }
    }
    return last;
}

static struct share *hindmost_share(const struct hub *hub, struct account *tenant,
                                    const struct share *but)
{
    struct share *last = NULL;
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        struct share *share = &tenant->shares[i];
        if (share->need > 0 && tenant->pool->shares[i].need > 0 && share != but
            && (last == NULL || rank_there(share) < rank_there(last))) {
            last = share;
        }
    }
    return last;
}

struct share *hub_tenant_next(const struct hub *hub, const struct account *pool)
{
    struct account *tenant = hindmost(pool, NULL);
    return tenant != NULL ? hindmost_share(hub, tenant, NULL) : NULL;
}

/* It is in need, or no longer. */
static void line_up(struct account *tenant)
{
    if (tenant->need == 0) {
        list_leave(&tenant->on_hungry);
    } else if (!list_holds(&tenant->on_hungry)) {
        list_push_back(&tenant->pool->hungry, &tenant->on_hungry);
    }
}

void hub_tenant_fed(struct share *share)
{
    struct account *tenant = share->account;
    share->need--;
    tenant->need--;
    share->sent++;
    tenant->has++;
    list_leave(&tenant->on_hungry);
    line_up(tenant);
}

/* Another one has to be given room before this one may keep all that it has here; so many of the
 * pool are to make room already. */
static bool is_ahead(const struct hub *hub, const struct share *share, uint32_t due)
{
    struct account *tenant = share->account;
    uint64_t by_ms = turn_ms(tenant->pool) * (AHEAD_TURNS + due);
    const struct account *other = hindmost(tenant->pool, tenant);
    if (other != NULL && rank(tenant) >= rank(other) + by_ms) {
        return true;
    }
    const struct share *elsewhere = hindmost_share(hub, tenant, share);
    return elsewhere != NULL && rank_there(share) >= rank_there(elsewhere) + by_ms;
}

/* It is pressed to give up one, or no longer. */
static void press(struct hub *hub, struct share *share, bool is_pressed)
{
    struct account *pool = share->account->pool;
    struct share *there = &pool->shares[hub_engine_of(share)];
    if (is_pressed && (!share->is_pressed || there->due == 0)) { /* or others gave one up */
        there->due++;
        pool->due++;
    } else if (!is_pressed && share->is_pressed) {
        pool->due -= there->due > 0;
        there->due -= there->due > 0;
    }
    hub_want(hub, share, is_pressed, is_pressed);
    hub_settle(hub, pool);
}

static void learn_lease(struct account *pool, const struct limit_standing *standing)
{
    if (standing->leases == 0) {
        return;
    }
    uint64_t mean = standing->spent_ms * LEASE_SCALE / standing->leases;
    uint64_t before = pool->lease_ms;
    pool->lease_ms = before == 0 ? mean : before - before / LEASE_WEIGHT + mean / LEASE_WEIGHT;
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

/* Nobody saves up more than a few turns. */
static void spend(const struct hub *hub, struct share *share, uint64_t spent_ms)
{
    struct account *tenant = share->account;
    struct account *pool = tenant->pool;
    uint64_t behind_ms = BEHIND_TURNS * turn_ms(pool);
    uint64_t most_ms = 0;
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        most_ms = at_least(most_ms, tenant->shares[i].spent_ms);
    }
    share->spent_ms = at_least(share->spent_ms + spent_ms + behind_ms, most_ms) - behind_ms;
    tenant->spent_ms = at_least(tenant->spent_ms + spent_ms + behind_ms, pool->most_ms) - behind_ms;
    pool->most_ms = at_least(pool->most_ms, tenant->spent_ms);
}

void hub_tenant_stands(struct hub *hub, struct share *share, const struct limit_msg *msg)
{
    const struct limit_standing *standing = &msg->standing;
    struct account *tenant = share->account;
    tenant->has -= has(share);
    tenant->need -= share->need;
    share->alive = standing->alive;
    share->fed = standing->fed;
    share->need = msg->count;
    tenant->has += has(share);
    tenant->need += share->need;
    line_up(tenant);
    learn_lease(tenant->pool, standing);
    spend(hub, share, MUTANT(40) ? 0 : standing->spent_ms);
    if (standing->has_yielded) {
        share->wanted = 0;
        share->is_pressed = false;
    }
    uint32_t due = tenant->pool->due - (share->is_pressed && tenant->pool->due > 0);
    press(hub, share, share->alive > 0 && is_ahead(hub, share, due));
}

void hub_tenant_leaves(struct hub *hub, struct share *share)
{
    struct account *tenant = share->account;
    struct share *there = &tenant->pool->shares[hub_engine_of(share)];
    press(hub, share, false);
    tenant->has -= has(share);
    tenant->need -= share->need;
    line_up(tenant);
    if (share->grant_due > 0) {
        there->grant_due += share->grant_due;
        hub_ring(hub, there);
    }
}

void hub_tenant_verify(const struct hub *hub, const struct account *tenant)
{
    uint32_t there = 0;
    uint32_t needed = 0;
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        there += has(&tenant->shares[i]);
        needed += tenant->shares[i].need;
    }
    check(tenant->has == there && tenant->need == needed);
    check(list_holds(&tenant->on_hungry) == (needed > 0));
    check(tenant->pool->tenants > 0);
}
