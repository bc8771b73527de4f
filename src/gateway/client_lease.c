/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/client_lease.h"

#include "base/check.h"

#define TOKENS_BITS 20U
#define TOKENS_MASK ((UINT64_C(1) << TOKENS_BITS) - 1)

static uint64_t places_of(uint32_t share, uint32_t open)
{
    return (uint64_t)share << 32 | open;
}

static uint32_t min_u32(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* What is void because nobody used it is no more than the rate gives meanwhile: of a slow one
 * nothing is had ahead. */
void client_lease_init(struct client_lease *lease, uint32_t limit, uint64_t interval_ns,
                       bool is_shared)
{
    uint64_t ahead = interval_ns > 0 ? LEASE_TOKEN_MS * UINT64_C(1000000) / interval_ns : 0;
    *lease = (struct client_lease){
        .limit = limit, .part = limit, .ahead = min_u32(ahead, LEASE_LIMIT_MAX)};
    bool has_none = is_shared && limit != LEASE_ALL;
    atomic_init(&lease->places, places_of(has_none ? 0 : limit, 0));
}

void client_lease_limit(struct client_lease *lease, uint32_t limit)
{
    uint64_t now = atomic_load(&lease->places);
    while (!atomic_compare_exchange_weak(&lease->places, &now, places_of(limit, (uint32_t)now))) {
    }
    lease->limit = lease->part = limit;
}

/* --- places --------------------------------------------------------------------------------------
 */

/* Exact among all workers: who finds it full never took a place, not even for a moment. */
bool client_lease_enter(struct client_lease *lease, uint32_t ahead)
{
    uint64_t now = atomic_load_explicit(&lease->places, memory_order_relaxed);
    uint32_t open;
    do {
        uint32_t share = (uint32_t)(now >> 32);
        open = (uint32_t)now;
        if (ahead >= share || open >= share - ahead) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&lease->places, &now, now + 1));
    if (open >= atomic_load_explicit(&lease->peak, memory_order_relaxed)) {
        atomic_store_explicit(&lease->peak, open + 1, memory_order_relaxed);
    }
    return true;
}

bool client_lease_leave(struct client_lease *lease)
{
    uint64_t was = atomic_fetch_sub(&lease->places, 1);
    check((uint32_t)was > 0);
    return (uint32_t)was > (uint32_t)(was >> 32);
}

uint32_t client_lease_open(const struct client_lease *lease)
{
    return (uint32_t)atomic_load_explicit(&lease->places, memory_order_relaxed);
}

uint32_t client_lease_share(const struct client_lease *lease)
{
    return (uint32_t)(atomic_load_explicit(&lease->places, memory_order_relaxed) >> 32);
}

/* What is open, and what may be opened. */
static uint32_t held_of(const struct client_lease *lease)
{
    uint64_t places = atomic_load(&lease->places);
    return max_u32((uint32_t)places, (uint32_t)(places >> 32));
}

static void set_share(struct client_lease *lease, uint32_t share)
{
    uint64_t now = atomic_load(&lease->places);
    while (!atomic_compare_exchange_weak(&lease->places, &now, places_of(share, (uint32_t)now))) {
    }
}

/* --- the rate ------------------------------------------------------------------------------------
 */

static bool take_token(struct client_lease *lease, uint64_t now_ms)
{
    uint64_t now = atomic_load_explicit(&lease->tokens, memory_order_relaxed);
    do {
        if ((now & TOKENS_MASK) == 0 || now >> TOKENS_BITS <= now_ms) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&lease->tokens, &now, now - 1));
    atomic_fetch_add_explicit(&lease->used, 1, memory_order_relaxed);
    return true;
}

uint32_t client_lease_token(struct client_lease *lease, uint64_t now_ms)
{
    if (atomic_load_explicit(&lease->is_local, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&lease->used, 1, memory_order_relaxed);
        return 0;
    }
    if (take_token(lease, now_ms)) {
        return 0;
    }
    uint64_t until_ms = atomic_load_explicit(&lease->early_until_ms, memory_order_relaxed);
    return until_ms > now_ms ? min_u32(until_ms - now_ms, CLIENT_ASKS - 1) : CLIENT_ASKS;
}

static uint32_t tokens_left(const struct client_lease *lease, uint64_t now_ms)
{
    uint64_t now = atomic_load(&lease->tokens);
    return now >> TOKENS_BITS > now_ms ? (uint32_t)(now & TOKENS_MASK) : 0;
}

/* Those that were there are good for as long. */
static void add_tokens(struct client_lease *lease, uint32_t count, uint64_t now_ms)
{
    uint64_t now = atomic_load(&lease->tokens), next;
    do {
        uint64_t left = now >> TOKENS_BITS > now_ms ? now & TOKENS_MASK : 0;
        uint32_t all = min_u32(left + count, LEASE_LIMIT_MAX);
        next = (now_ms + LEASE_TOKEN_MS) << TOKENS_BITS | all;
    } while (!atomic_compare_exchange_weak(&lease->tokens, &now, next));
}

/* --- asking --------------------------------------------------------------------------------------
 */

bool client_lease_is_idle(const struct client_lease *lease, uint32_t waiting)
{
    bool has_places = lease->limit != LEASE_ALL && client_lease_share(lease) > 0;
    return !has_places && client_lease_open(lease) == 0 && waiting == 0
           && atomic_load(&lease->used) == lease->counted && lease->need == 0;
}

/* How many tokens were used of late in the time that they are good for: half of it by the last
 * question. What came in less than a question's usual time is counted with the next. */
static void measure(struct client_lease *lease, uint64_t now_ms)
{
    uint64_t used = atomic_load(&lease->used), took_ms = now_ms - lease->counted_ms;
    if (took_ms < 100) {
        return;
    }
    uint64_t rate = (used - lease->counted) * LEASE_TOKEN_MS / took_ms;
    lease->need = min_u32((lease->need + rate) / 2, lease->ahead);
    lease->counted = used;
    lease->counted_ms = now_ms;
}

static uint32_t tokens_wanted(struct client_lease *lease, uint64_t now_ms)
{
    uint32_t left = tokens_left(lease, now_ms);
    uint64_t need = lease->need + (uint64_t)atomic_load(&lease->thirsty);
    return need > left ? min_u32(need - left, LEASE_LIMIT_MAX) : 0;
}

/* What it could use: what was open at a time since it asked last, and who waits. Where nobody is
 * short of any, one more stays for the next request. */
static uint32_t wish_of(struct client_lease *lease, uint32_t waiting, uint64_t now_ms)
{
    uint32_t open = client_lease_open(lease);
    uint32_t peak = max_u32(atomic_exchange(&lease->peak, open), open);
    uint64_t wish = (uint64_t)peak + waiting;
    if (wish > 0) {
        lease->busy_ms = now_ms;
    }
    bool stays = !lease->is_short && now_ms < lease->busy_ms + LEASE_IDLE_MS;
    return min_u32(wish > 0 ? wish : stays, lease->limit);
}

bool client_lease_ask(struct client_lease *lease, uint32_t waiting, uint64_t now_ms,
                      struct lease_ask *ask)
{
    if (atomic_exchange(&lease->is_asking, true)) {
        return false;
    }
    atomic_store(&lease->asked_ms, now_ms);
    measure(lease, now_ms);
    ask->number = ++lease->number;
    ask->ttl_ms = LEASE_TTL_MS;
    ask->tokens = tokens_wanted(lease, now_ms);
    ask->limit = lease->limit != LEASE_ALL ? lease->limit : 0;
    ask->held = ask->wanted = ask->most = 0;
    if (ask->limit > 0) {
        ask->wanted = wish_of(lease, waiting, now_ms);
        lease->is_wanted = ask->wanted > 0;
        if (!lease->is_wanted) {
            set_share(lease, 0);
        }
        ask->held = held_of(lease);
        bool is_back = atomic_load(&lease->is_local) || now_ms < lease->more_from_ms;
        uint32_t share = client_lease_share(lease);
        ask->most = !is_back ? lease->limit : share > 0 ? share : lease->part;
    }
    return true;
}

bool client_lease_heard(struct client_lease *lease, const struct lease_answer *answer,
                        uint64_t now_ms)
{
    bool is_less = false;
    if (!answer->is_late) {
        uint64_t asked_ms = atomic_load(&lease->asked_ms);
        if (lease->limit != LEASE_ALL) {
            uint32_t held = held_of(lease);
            set_share(lease, answer->granted);
            is_less = held_of(lease) < held;
        }
        if (atomic_load(&lease->is_local) || answer->is_lost) {
            lease->more_from_ms = now_ms + LEASE_BACK_MS;
        }
        lease->is_short = answer->is_short;
        lease->valid_until_ms = asked_ms + LEASE_TTL_MS;
        if (answer->tokens > 0) {
            add_tokens(lease, answer->tokens, now_ms);
        }
        atomic_store(&lease->early_until_ms, now_ms + answer->early_ms);
        atomic_store(&lease->is_local, false);
    }
    atomic_store(&lease->is_asking, false);
    return is_less;
}

void client_lease_failed(struct client_lease *lease, uint32_t gateways, uint64_t now_ms)
{
    if (lease->limit != LEASE_ALL) {
        bool is_valid = now_ms < lease->valid_until_ms;
        lease->part = max_u32(lease->limit / gateways, 1);
        uint32_t kept = is_valid ? max_u32(client_lease_share(lease), lease->part) : lease->part;
        set_share(lease, lease->is_wanted ? kept : 0);
    }
    lease->is_short = false;
    atomic_store(&lease->early_until_ms, 0);
    atomic_store(&lease->is_local, true);
    atomic_store(&lease->is_asking, false);
}
