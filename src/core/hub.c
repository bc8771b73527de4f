/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hub.h"

#include "base/rand.h"
#include "core/mutant.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ACCOUNTS_MAX   5248U
#define NAME_BYTES_MAX (3U << 20)
#define PARCELS_MAX    1024U

#define LOOKS_MAX    64U /* at tenants in need: more than these are served in turns */
#define AHEAD_TURNS  2U  /* by so much a tenant is ahead, and gives up a connection */
#define BEHIND_TURNS 4U  /* by no more than this is any of them behind the first */
#define LEASE_SCALE  16U
#define LEASE_WEIGHT 8U

/* An engine's account number: the place in the slab + 1, and the number of the join. */
#define PLACE_BITS 20U
#define PLACES_MAX ((1U << PLACE_BITS) - 1)
#define JOINS_MASK ((1U << (32 - PLACE_BITS)) - 1)

/* A connection that waits to be fetched. */
struct waiting_parcel {
    struct waiting_parcel *next;
    struct limit_parcel parcel;
};

/* What one engine has of an account. */
struct share {
    struct node on_door; /* hub->doors[engine] while anything below is to be told */
    struct account *account;
    uint32_t number;  /* the engine's name for the account; 0: not joined */
    uint32_t granted; /* credits it holds, or that are on their way there */
    uint32_t need;    /* more that it could use */
    uint32_t wanted;  /* what it has been asked to give back, as far as we know */
    uint32_t grant_due;
    uint32_t parcels_due; /* in the list below */
    uint32_t due; /* a pool: credits that its tenants there are to give up, and have not yet */
    uint32_t alive, fed; /* a tenant: as it stands there (struct limit_standing) */
    uint32_t sent;       /* a tenant: credits that it was granted; fed with them later */
    uint64_t spent_ms;   /* a tenant: of connections */
    bool is_pressed;
    bool refusal_due;
    bool want_due;
    struct waiting_parcel *first, *last;
};

struct account {
    const char *name;
    uint32_t name_len;
    uint32_t limit;
    uint32_t out;  /* the sum of what is granted */
    uint32_t turn; /* the engine that is served next */
    uint32_t joined;
    uint64_t hash;
    struct list hungry;    /* a pool: tenants in need, those served longest ago first */
    uint32_t tenants, due; /* a pool: how many; what they are to give up, in all */
    uint64_t lease_ms;     /* a pool: what a lease takes, EWMA × LEASE_SCALE */
    uint64_t most_ms;      /* a pool: what any of them has spent */
    struct account *pool;  /* a tenant's; NULL: none */
    struct node on_hungry; /* a tenant: pool->hungry while it is in need */
    uint32_t has, need;    /* a tenant: at all engines */
    uint64_t spent_ms;     /* a tenant: at all engines */
    struct share shares[];
};

struct name {
    const char *at;
    uint32_t len;
};

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

bool hub_init(struct hub *hub, const struct alloc *alloc, const struct hub_options *opt)
{
    *hub = (struct hub){.opt = *opt};
    hub->opt.engines = or_default(opt->engines, 1);
    hub->opt.accounts_max = or_default(opt->accounts_max, ACCOUNTS_MAX);
    check(hub->opt.engines <= LIMIT_ENGINES_MAX);
    check(hub->opt.accounts_max <= PLACES_MAX);
    size_t record = sizeof(struct account) + hub->opt.engines * sizeof(struct share);
    for (uint32_t i = 0; i < LIMIT_ENGINES_MAX; i++) {
        list_init(&hub->doors[i]);
    }
    if (slots_init(&hub->accounts, alloc, record, hub->opt.accounts_max)
        && map_init(&hub->by_name, alloc, hub->opt.accounts_max)
        && arena_init(&hub->names, alloc, or_default(opt->name_bytes_max, NAME_BYTES_MAX))
        && slots_init(&hub->parcels, alloc, sizeof(struct waiting_parcel),
                      or_default(opt->parcels_max, PARCELS_MAX))) {
        return true;
    }
    hub_fini(hub);
    return false;
}

void hub_fini(struct hub *hub)
{
    if (hub->parcels.base != NULL) {
        weir_slots_each(struct waiting_parcel, waiting, &hub->parcels) {
            parcel_drop(&waiting->parcel);
        }
    }
    slots_fini(&hub->parcels);
    slots_fini(&hub->accounts);
    map_fini(&hub->by_name);
    arena_fini(&hub->names);
}

/* --- accounts ----------------------------------------------------------------------------- */

static bool is_named(const void *value, const void *key)
{
    const struct account *account = value;
    const struct name *name = key;
    if (account->name_len != name->len) { /* cover: hashes that collide cannot be made */
        return false;
    }
    return memcmp(account->name, name->at, name->len) == 0;
}

static uint64_t hash_of(const struct hub *hub, const struct name *name)
{
    return XXH3_64bits_withSeed(name->at, name->len, rand_mix(hub->opt.seed));
}

static uint32_t place_of(const struct hub *hub, const struct account *account)
{
    return (uint32_t)slots_id_of(&hub->accounts, account);
}

static struct account *account_new(struct hub *hub, const struct name *name, uint64_t hash)
{
    uint64_t id;
    char *copy = arena_cut(&hub->names, name->len);
    struct account *account = copy != NULL ? slots_take(&hub->accounts, &id) : NULL;
    if (account == NULL) {
        if (copy != NULL) {
            arena_give(&hub->names, copy, name->len);
        }
        return NULL;
    }
    memcpy(copy, name->at, name->len);
    account->name = copy;
    account->name_len = name->len;
    account->hash = hash;
    list_init(&account->hungry);
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        account->shares[i].account = account;
    }
    bool is_there = map_put(&hub->by_name, hash, account);
    check(is_there);
    return account;
}

static void account_free(struct hub *hub, struct account *account)
{
    check(account->out == 0 && account->tenants == 0 && !list_holds(&account->on_hungry));
    map_remove(&hub->by_name, account->hash, account);
    arena_give(&hub->names, account->name, account->name_len);
    slots_give(&hub->accounts, slots_id_of(&hub->accounts, account));
}

static uint32_t engine_of(const struct share *share)
{
    return (uint32_t)(share - share->account->shares);
}

/* The share that an engine's number names; NULL: it was left since. */
static struct share *share_of(const struct hub *hub, uint32_t engine, uint32_t number)
{
    uint32_t place = number & PLACES_MAX;
    check(engine < hub->opt.engines);
    if (place == 0 || place > hub->accounts.touched) {
        return NULL;
    }
    struct slot *slot = slots_nth(&hub->accounts, place - 1);
    if ((slot->generation & 1) == 0) {
        return NULL;
    }
    struct account *account = (struct account *)(void *)(slot + 1);
    struct share *share = &account->shares[engine];
    return share->number == number ? share : NULL;
}

/* --- what is to be said ------------------------------------------------------------------- */

static void ring_door(struct hub *hub, struct share *share)
{
    uint32_t engine = (uint32_t)(share - share->account->shares);
    struct list *door = &hub->doors[engine];
    if (list_holds(&share->on_door)) {
        return;
    }
    list_push_back(door, &share->on_door);
    if (door->count == 1 && hub->opt.wake != NULL) {
        hub->opt.wake(hub->opt.wake_arg, engine);
    }
}

static void want(struct hub *hub, struct share *share, uint32_t count, bool is_pressed)
{
    is_pressed &= count > 0;
    if (share->wanted == count && share->is_pressed == is_pressed) {
        return;
    }
    share->wanted = count;
    share->is_pressed = is_pressed;
    share->want_due = true;
    ring_door(hub, share);
}

static void put_parcel(struct hub *hub, struct share *share, struct waiting_parcel *waiting)
{
    waiting->next = NULL;
    *(share->first != NULL ? &share->last->next : &share->first) = waiting;
    share->last = waiting;
    share->parcels_due++;
    ring_door(hub, share);
}

static struct waiting_parcel *take_parcel(struct share *share)
{
    struct waiting_parcel *waiting = share->first;
    if (waiting != NULL) {
        share->first = waiting->next;
        share->parcels_due--;
    }
    return waiting;
}

static void forget_parcel(struct hub *hub, struct waiting_parcel *waiting)
{
    slots_give(&hub->parcels, slots_id_of(&hub->parcels, waiting));
}

static bool has_news(const struct share *share)
{
    return share->parcels_due > 0 || share->grant_due > 0 || share->refusal_due || share->want_due;
}

bool hub_next(struct hub *hub, uint32_t engine, struct limit_msg *ret_msg)
{
    struct node *node = list_first(&hub->doors[engine]);
    if (node == NULL) {
        return false;
    }
    struct share *share = list_entry(node, struct share, on_door);
    *ret_msg = (struct limit_msg){.account = share->number, .engine = (uint16_t)engine};
    if (share->parcels_due > 0) {
        struct waiting_parcel *waiting = take_parcel(share);
        ret_msg->word = LIMIT_MOVE;
        ret_msg->count = 1;
        ret_msg->parcel = waiting->parcel;
        forget_parcel(hub, waiting);
    } else if (share->grant_due > 0) {
        const struct account *pool = share->account->pool;
        ret_msg->word = LIMIT_GRANT;
        ret_msg->count = share->grant_due;
        share->grant_due = 0;
        if (pool != NULL) {
            ret_msg->tenant = share->number;
            ret_msg->account = pool->shares[engine].number;
        }
    } else if (share->refusal_due) {
        ret_msg->word = LIMIT_GRANT;
        share->refusal_due = false;
    } else {
        check(share->want_due);
        ret_msg->word = share->is_pressed ? LIMIT_PRESS : LIMIT_WANT;
        ret_msg->count = share->wanted;
        ret_msg->may_move = share->account->out <= share->account->limit;
        share->want_due = false;
    }
    if (!has_news(share)) {
        list_remove(&hub->doors[engine], node);
    }
    return true;
}

/* --- tenants ------------------------------------------------------------------------------ */

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

/* It is in need, or no longer. */
static void line_up(struct account *tenant)
{
    if (tenant->need == 0) {
        list_leave(&tenant->on_hungry);
    } else if (!list_holds(&tenant->on_hungry)) {
        list_push_back(&tenant->pool->hungry, &tenant->on_hungry);
    }
}

static void stand_fed(struct share *share)
{
    struct account *tenant = share->account;
    share->need--;
    tenant->need--;
    share->sent++;
    tenant->has++;
    list_leave(&tenant->on_hungry);
    line_up(tenant);
}

/* --- who gets what ------------------------------------------------------------------------ */

/* To an engine, for a tenant of its or, where they are not told apart, whomever. */
static void grant(struct hub *hub, struct share *share, struct share *of_tenant)
{
    struct share *door = of_tenant != NULL ? of_tenant : share;
    share->account->out++;
    share->granted++;
    share->need--;
    if (of_tenant != NULL) {
        stand_fed(of_tenant);
    }
    door->grant_due++;
    ring_door(hub, door);
}

/* Free credits to those in need: the tenant that is furthest behind; or one each, in turns. */
static void hand_out(struct hub *hub, struct account *account)
{
    uint32_t engines = hub->opt.engines;
    uint32_t passed = 0;
    while (account->out < account->limit && passed < engines) {
        struct account *tenant = hindmost(account, NULL);
        struct share *of_tenant = tenant != NULL ? hindmost_share(hub, tenant, NULL) : NULL;
        if (of_tenant != NULL) {
            grant(hub, &account->shares[engine_of(of_tenant)], of_tenant);
            continue;
        }
        struct share *share = &account->shares[account->turn];
        account->turn = (account->turn + 1) % engines;
        if (share->need > 0) {
            grant(hub, share, NULL);
            passed = 0;
        } else {
            passed++;
        }
    }
}

struct standing {
    uint32_t needed;             /* by all */
    uint32_t excess;             /* out above a limit that was lowered */
    const struct share *richest; /* holds most */
    const struct share *poorest; /* holds least of those in need; NULL: nobody is */
};

static struct standing standing_of(const struct hub *hub, const struct account *account)
{
    struct standing standing = {.richest = &account->shares[0]};
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        const struct share *share = &account->shares[i];
        standing.needed += share->need;
        if (share->granted > standing.richest->granted) {
            standing.richest = share;
        }
        if (share->need > 0
            && (standing.poorest == NULL || share->granted < standing.poorest->granted)) {
            standing.poorest = share;
        }
    }
    standing.excess = account->out > account->limit ? account->out - account->limit : 0;
    return standing;
}

/* How much the richest should give up even if it is busy. */
static uint32_t pressure_of(const struct standing *standing)
{
    if (standing->poorest == NULL) {
        return 0;
    }
    uint32_t rich = standing->richest->granted;
    uint32_t poor = standing->poorest->granted;
    if (rich >= poor + 2) {
        return (rich - poor) / 2;
    }
    return poor == 0 ? 1 : 0; /* the richest has one, or it would not be needed */
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What is out above a limit is shared out among those who hold it, so that they do not all close
 * what one of them has to: each above the level gives up what it has above it, and the first of
 * them one less, `spared` times, so that the sum is the excess. */
struct levy {
    uint32_t level;
    uint64_t spared;
};

static uint64_t above(const struct hub *hub, const struct account *account, uint32_t level)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        uint32_t granted = account->shares[i].granted;
        sum += granted > level ? granted - level : 0;
    }
    return sum;
}

static struct levy levy_of(const struct hub *hub, const struct account *account,
                           const struct standing *standing)
{
    uint32_t low = 0; /* there is enough above it */
    uint32_t high = standing->richest->granted;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (above(hub, account, middle) >= standing->excess) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (struct levy){low, above(hub, account, low) - standing->excess};
}

static uint32_t levied(struct levy *levy, const struct share *share)
{
    if (share->granted <= levy->level) {
        return 0;
    }
    uint32_t is_spared = levy->spared > 0;
    levy->spared -= is_spared;
    return share->granted - levy->level - is_spared;
}

static void settle(struct hub *hub, struct account *account)
{
    hand_out(hub, account);
    struct standing standing = standing_of(hub, account);
    struct levy levy = levy_of(hub, account, &standing);
    uint32_t pressure = account->tenants == 0 ? pressure_of(&standing) : 0;
    account->due = standing.needed > 0 ? account->due : 0;
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        struct share *share = &account->shares[i];
        uint32_t due = levied(&levy, share);
        share->due = standing.needed > 0 ? share->due : 0;
        uint32_t others = standing.needed - share->need + due + share->due;
        bool is_pressed = due > 0 || (share == standing.richest && pressure > 0);
        if (share->number == 0) {
            continue;
        }
        if (share == standing.richest && pressure > 0 && standing.excess == 0) {
            others = least_of(others, pressure);
        }
        want(hub, share, least_of(others, share->granted), is_pressed);
    }
}

/* --- connections --------------------------------------------------------------------------- */

/* Whose turn it is among those in need, but for one; NULL: nobody is. */
static struct share *next_in_need(const struct hub *hub, struct account *account,
                                  const struct share *but)
{
    if (account->out > account->limit) {
        return NULL; /* there are too many as it is */
    }
    for (uint32_t i = 0; i < hub->opt.engines; i++) {
        struct share *share = &account->shares[account->turn];
        account->turn = (account->turn + 1) % hub->opt.engines;
        if (share->need > 0 && share != but) {
            return share;
        }
    }
    return NULL;
}

/* The credit of the pool goes from one engine to the other, or back to all, where that one has no
 * limit for its pool. */
static void pass_pool_credit(struct hub *hub, uint32_t from, uint32_t to,
                             struct limit_parcel *parcel)
{
    struct share *share = share_of(hub, from, parcel->pool_account);
    if (share == NULL) {
        parcel->pool_account = 0;
        return;
    }
    struct account *account = share->account;
    struct share *heir = &account->shares[to];
    check(share->granted > 0);
    share->granted--;
    heir->granted += heir->number != 0;
    account->out -= heir->number == 0;
    parcel->pool_account = heir->number;
    settle(hub, account);
}

static void pass(struct hub *hub, struct share *from, struct share *to, struct limit_parcel *parcel)
{
    check(from->granted > 0);
    from->granted--;
    to->granted++;
    to->need--;
    pass_pool_credit(hub, engine_of(from), engine_of(to), parcel);
}

/* Nobody gets it. Its place in the pool is free; that of its key is the caller's to see to. */
static void lose(struct hub *hub, uint32_t from, const struct limit_parcel *parcel)
{
    struct share *share = share_of(hub, from, parcel->pool_account);
    parcel_drop(parcel);
    if (share != NULL) {
        share->granted--;
        share->account->out--;
        settle(hub, share->account);
    }
}

static void forward(struct hub *hub, struct share *from, const struct limit_parcel *parcel)
{
    struct account *account = from->account;
    struct share *to = next_in_need(hub, account, from);
    uint64_t id;
    struct waiting_parcel *waiting = slots_take(&hub->parcels, &id);
    from->wanted -= from->wanted > 0;
    from->is_pressed &= from->wanted > 0;
    if (waiting == NULL) {
        from->granted--;
        account->out--;
        lose(hub, engine_of(from), parcel);
    } else {
        waiting->parcel = *parcel;
        if (to != NULL) {
            pass(hub, from, to, &waiting->parcel);
        }
        put_parcel(hub, to != NULL ? to : from, waiting);
    }
    settle(hub, account);
}

/* It leaves: what waits for it goes to others, as long as there are some in need. */
static void forward_all(struct hub *hub, struct share *from)
{
    struct waiting_parcel *waiting;
    while ((waiting = take_parcel(from)) != NULL) {
        struct share *to = next_in_need(hub, from->account, from);
        if (to != NULL) {
            pass(hub, from, to, &waiting->parcel);
            put_parcel(hub, to, waiting);
        } else {
            lose(hub, engine_of(from), &waiting->parcel);
            forget_parcel(hub, waiting);
        }
    }
}

/* --- how tenants stand -------------------------------------------------------------------- */

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
    struct share *there = &pool->shares[engine_of(share)];
    if (is_pressed && (!share->is_pressed || there->due == 0)) { /* or others gave one up */
        there->due++;
        pool->due++;
    } else if (!is_pressed && share->is_pressed) {
        pool->due -= there->due > 0;
        there->due -= there->due > 0;
    }
    want(hub, share, is_pressed, is_pressed);
    settle(hub, pool);
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

static void stand(struct hub *hub, struct share *share, const struct limit_msg *msg)
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

/* It goes; what was on its way to it is for anybody there. */
static void stand_down(struct hub *hub, struct share *share)
{
    struct account *tenant = share->account;
    struct share *there = &tenant->pool->shares[engine_of(share)];
    press(hub, share, false);
    tenant->has -= has(share);
    tenant->need -= share->need;
    line_up(tenant);
    if (share->grant_due > 0) {
        there->grant_due += share->grant_due;
        ring_door(hub, there);
    }
}

/* --- what engines say --------------------------------------------------------------------- */

static struct account *account_named(struct hub *hub, const struct name *name)
{
    uint64_t hash = hash_of(hub, name);
    struct account *account = map_find(&hub->by_name, hash, is_named, name);
    return account != NULL ? account : account_new(hub, name, hash);
}

static struct share *enter(struct hub *hub, struct account *account, uint32_t engine)
{
    struct share *share = &account->shares[engine];
    if (share->number == 0) {
        uint32_t joins = ++hub->joins & JOINS_MASK;
        share->number = (place_of(hub, account) + 1) | joins << PLACE_BITS;
        account->joined++;
    }
    return share;
}

uint32_t hub_join(struct hub *hub, uint32_t engine, const char *name, uint32_t name_len,
                  uint32_t limit)
{
    struct name wanted = {name, name_len};
    check(engine < hub->opt.engines);
    struct account *account = account_named(hub, &wanted);
    if (account == NULL) {
        return 0;
    }
    account->limit = limit;
    const struct share *share = enter(hub, account, engine);
    settle(hub, account);
    return share->number;
}

uint32_t hub_enroll(struct hub *hub, uint32_t engine, uint32_t pool_number, const char *name,
                    uint32_t name_len)
{
    struct name wanted = {name, name_len};
    const struct share *of_pool = share_of(hub, engine, pool_number);
    check(of_pool != NULL);
    struct account *tenant = account_named(hub, &wanted);
    if (tenant == NULL) {
        return 0;
    }
    struct account *pool = of_pool->account;
    pool->tenants += tenant->joined == 0;
    tenant->pool = pool;
    return enter(hub, tenant, engine)->number;
}

void hub_leave(struct hub *hub, uint32_t engine, uint32_t number)
{
    struct share *share = share_of(hub, engine, number);
    check(share != NULL);
    struct account *account = share->account;
    struct account *pool = account->pool;
    if (pool != NULL) {
        stand_down(hub, share);
    }
    forward_all(hub, share);
    account->out -= share->granted;
    account->due -= share->due;
    account->joined--;
    list_leave(&share->on_door);
    *share = (struct share){.account = account};
    if (account->joined == 0) {
        account_free(hub, account);
        if (pool != NULL) {
            pool->tenants--;
        }
    } else if (pool == NULL) {
        settle(hub, account);
    }
}

bool hub_take(struct hub *hub, uint32_t engine, uint32_t number)
{
    struct share *share = share_of(hub, engine, number);
    check(share != NULL);
    struct account *account = share->account;
    if (account->out >= account->limit) {
        return false;
    }
    account->out++;
    share->granted++;
    return true;
}

static void give_back(struct hub *hub, struct share *share, uint32_t count)
{
    check(count <= share->granted);
    uint32_t made = least_of(count, share->due);
    share->due -= made;
    share->account->due -= made;
    share->granted -= count;
    share->account->out -= count;
    share->wanted -= least_of(count, share->wanted);
    share->is_pressed = share->is_pressed && share->wanted > 0;
    settle(hub, share->account);
}

void hub_receive(struct hub *hub, const struct limit_msg *msg)
{
    struct share *share = share_of(hub, msg->engine, msg->account);
    if (share == NULL) {
        if (msg->word == LIMIT_MOVE) {
            parcel_drop(&msg->parcel);
        }
        return;
    }
    if (msg->word == LIMIT_MOVE) {
        forward(hub, share, &msg->parcel);
        return;
    }
    if (msg->word == LIMIT_STAND) {
        stand(hub, share, msg);
        return;
    }
    if (msg->word == LIMIT_RETURN) {
        give_back(hub, share, msg->count);
        return;
    }
    check(msg->word == LIMIT_ASK);
    share->need = msg->count;
    settle(hub, share->account);
    if (share->need > 0 && !share->refusal_due) {
        share->refusal_due = true;
        ring_door(hub, share);
    }
}

/* --- reports ------------------------------------------------------------------------------ */

uint32_t hub_out(const struct hub *hub, const char *name, uint32_t name_len)
{
    struct name wanted = {name, name_len};
    const struct account *account = map_find(&hub->by_name, hash_of(hub, &wanted), is_named,
                                             &wanted);
    return account != NULL ? account->out : 0;
}

static void share_verify(const struct share *share)
{
    check(list_holds(&share->on_door) == has_news(share));
    check(share->number != 0 || (share->granted == 0 && share->need == 0));
    check(share->grant_due + share->parcels_due <= share->granted || share->account->pool != NULL);
}

static void tenant_verify(const struct account *tenant, uint32_t there, uint32_t needed)
{
    check(tenant->has == there && tenant->need == needed);
    check(list_holds(&tenant->on_hungry) == (needed > 0));
    check(tenant->pool->tenants > 0);
}

void hub_verify(const struct hub *hub)
{
    weir_slots_each(struct account, account, &hub->accounts) {
        uint32_t out = 0;
        uint32_t joined = 0;
        uint32_t needed = 0;
        uint32_t there = 0;
        uint32_t due = 0;
        for (uint32_t i = 0; i < hub->opt.engines; i++) {
            const struct share *share = &account->shares[i];
            share_verify(share);
            out += share->granted;
            needed += share->need;
            there += has(share);
            due += share->due;
            joined += share->number != 0;
        }
        check(out == account->out);
        check(joined == account->joined && joined > 0);
        check(due == account->due);
        check(needed == 0 || out >= account->limit);
        if (account->pool != NULL) {
            tenant_verify(account, there, needed);
        }
    }
}
