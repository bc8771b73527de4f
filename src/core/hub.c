/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"
#include "core/hub_parts.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ACCOUNTS_MAX   5248U
#define NAME_BYTES_MAX (3U << 20)
#define PARCELS_MAX    1024U

/* An engine's account number: the place in the slab + 1, and the number of the join. */
#define PLACE_BITS 20U
#define PLACES_MAX ((1U << PLACE_BITS) - 1)
#define JOINS_MASK ((1U << (32 - PLACE_BITS)) - 1)

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

void hub_ring(struct hub *hub, struct share *share)
{
    uint32_t engine = hub_engine_of(share);
    struct list *door = &hub->doors[engine];
    if (list_holds(&share->on_door)) {
        return;
    }
    list_push_back(door, &share->on_door);
    if (door->count == 1 && hub->opt.wake != NULL) {
        hub->opt.wake(hub->opt.wake_arg, engine);
    }
}

void hub_want(struct hub *hub, struct share *share, uint32_t count, bool is_pressed)
{
    is_pressed &= count > 0;
    if (share->wanted == count && share->is_pressed == is_pressed) {
        return;
    }
    share->wanted = count;
    share->is_pressed = is_pressed;
    share->want_due = true;
    hub_ring(hub, share);
}

static void put_parcel(struct hub *hub, struct share *share, struct waiting_parcel *waiting)
{
    waiting->next = NULL;
    *(share->first != NULL ? &share->last->next : &share->first) = waiting;
    share->last = waiting;
    share->parcels_due++;
    hub_ring(hub, share);
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

/* --- who gets what ------------------------------------------------------------------------ */

/* To an engine, for a tenant of its or, where they are not told apart, whomever. */
static void grant(struct hub *hub, struct share *share, struct share *of_tenant)
{
    struct share *door = of_tenant != NULL ? of_tenant : share;
    share->account->out++;
    share->granted++;
    share->need--;
    if (of_tenant != NULL) {
        hub_tenant_fed(of_tenant);
    }
    door->grant_due++;
    hub_ring(hub, door);
}

/* Free credits to those in need: the tenant that is furthest behind; or one each, in turns. */
static void hand_out(struct hub *hub, struct account *account)
{
    uint32_t engines = hub->opt.engines;
    uint32_t passed = 0;
    while (account->out < account->limit && passed < engines) {
        struct share *of_tenant = hub_tenant_next(hub, account);
        if (of_tenant != NULL) {
            grant(hub, &account->shares[hub_engine_of(of_tenant)], of_tenant);
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

void hub_settle(struct hub *hub, struct account *account)
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
        hub_want(hub, share, least_of(others, share->granted), is_pressed);
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
    hub_settle(hub, account);
}

static void pass(struct hub *hub, struct share *from, struct share *to, struct limit_parcel *parcel)
{
    check(from->granted > 0);
    from->granted--;
    to->granted++;
    to->need--;
    pass_pool_credit(hub, hub_engine_of(from), hub_engine_of(to), parcel);
}

/* Nobody gets it. Its place in the pool is free; that of its key is the caller's to see to. */
static void lose(struct hub *hub, uint32_t from, const struct limit_parcel *parcel)
{
    struct share *share = share_of(hub, from, parcel->pool_account);
    parcel_drop(parcel);
    if (share != NULL) {
        share->granted--;
        share->account->out--;
        hub_settle(hub, share->account);
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
        lose(hub, hub_engine_of(from), parcel);
    } else {
        waiting->parcel = *parcel;
        if (to != NULL) {
            pass(hub, from, to, &waiting->parcel);
        }
        put_parcel(hub, to != NULL ? to : from, waiting);
    }
    hub_settle(hub, account);
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
            lose(hub, hub_engine_of(from), &waiting->parcel);
            forget_parcel(hub, waiting);
        }
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
    hub_settle(hub, account);
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
        hub_tenant_leaves(hub, share);
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
        hub_settle(hub, account);
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
    hub_settle(hub, share->account);
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
        hub_tenant_stands(hub, share, msg);
        return;
    }
    if (msg->word == LIMIT_RETURN) {
        give_back(hub, share, msg->count);
        return;
    }
    check(msg->word == LIMIT_ASK);
    share->need = msg->count;
    hub_settle(hub, share->account);
    if (share->need > 0 && !share->refusal_due) {
        share->refusal_due = true;
        hub_ring(hub, share);
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

void hub_verify(const struct hub *hub)
{
    weir_slots_each(struct account, account, &hub->accounts) {
        uint32_t out = 0;
        uint32_t joined = 0;
        uint32_t needed = 0;
        uint32_t due = 0;
        for (uint32_t i = 0; i < hub->opt.engines; i++) {
            const struct share *share = &account->shares[i];
            share_verify(share);
            out += share->granted;
            needed += share->need;
            due += share->due;
            joined += share->number != 0;
        }
        check(out == account->out);
        check(joined == account->joined && joined > 0);
        check(due == account->due);
        check(needed == 0 || out >= account->limit);
        if (account->pool != NULL) {
            hub_tenant_verify(hub, account);
        }
    }
}
