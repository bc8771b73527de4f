/* SPDX-License-Identifier: Apache-2.0 */
#include "client/park.h"

#include "client/runtime.h"
#include "core/lend.h"

#include <string.h>
#include <strings.h>

#define LINE 64U

/* Which seat a thread has at which pool: the last few it used. */
#define KNOWN_SEATS 4U

struct known_seat {
    const struct park *park;
    uint64_t serial;
    uint32_t number;
};

static _Thread_local struct known_seat known_seats[KNOWN_SEATS];
static _Thread_local uint32_t known_next;

/* --- making -------------------------------------------------------------------------------------
 */

bool park_init(struct park *park, const struct alloc *alloc, uint32_t turns)
{
    size_t size = PARK_SEATS * sizeof(struct seat) + (size_t)turns * sizeof(struct turn) + LINE;
    park->memory = alloc_zeroed(alloc, size);
    if (park->memory == NULL) {
        return false;
    }
    char *at = park->memory;
    at += (LINE - (uintptr_t)at % LINE) % LINE;
    park->seats = (void *)at;
    park->turns = (void *)(at + PARK_SEATS * sizeof(struct seat));
    return true;
}

void park_fini(struct park *park, const struct alloc *alloc)
{
    alloc_free(alloc, park->memory);
}

void park_open(weir_shared *pool, uint64_t serial)
{
    struct park *park = &pool->park;
    park->has_turns = custom_leases_max(pool->custom) == 1;
    atomic_store(&park->serial, serial);
    atomic_store(&park->threads, 0);
}

void park_allow(weir_shared *pool, bool is_allowed)
{
    atomic_store(&pool->park.is_on, is_allowed && pool->park.has_turns);
    park_sweep_all(pool);
}

/* --- seats --------------------------------------------------------------------------------------
 */

static struct seat *new_seat(struct park *park, uint64_t serial)
{
    uint32_t number = atomic_fetch_add(&park->threads, 1);
    number = number < PARK_OWN ? number : PARK_OWN + number % PARK_SHARED;
    known_seats[known_next++ % KNOWN_SEATS] = (struct known_seat){park, serial, number};
    return &park->seats[number];
}

static struct seat *seat_of(struct park *park)
{
    uint64_t serial = atomic_load_explicit(&park->serial, memory_order_relaxed);
    for (uint32_t i = 0; i < KNOWN_SEATS; i++) {
        if (known_seats[i].park == park && known_seats[i].serial == serial) {
            return &park->seats[known_seats[i].number];
        }
    }
    return new_seat(park, serial);
}

static bool is_own(const struct park *park, const struct seat *seat)
{
    return seat < park->seats + PARK_OWN;
}

/* This thread's seat, which is its alone until it leaves it; NULL: another thread is at it. */
static struct seat *seat_enter(struct park *park)
{
    struct seat *seat = seat_of(park);
    bool is_free = is_own(park, seat)
                   || !atomic_exchange_explicit(&seat->is_busy, true, memory_order_acquire);
    return is_free ? seat : NULL;
}

static void seat_leave(const struct park *park, struct seat *seat)
{
    if (!is_own(park, seat)) {
        atomic_store_explicit(&seat->is_busy, false, memory_order_release);
    }
}

/* --- turns --------------------------------------------------------------------------------------
 */

/* Of the connection that the seat names, or NULL. */
static struct turn *turn_at(const struct park *park, const struct seat *seat)
{
    uint32_t number = atomic_load(&seat->number);
    return number > 0 ? &park->turns[number - 1] : NULL;
}

static bool is_parked(struct turn *turn)
{
    return atomic_load(&turn->number) % 2 == 1;
}

/* Whoever does it has what is parked. */
static bool claim(struct turn *turn)
{
    uint64_t number = atomic_load_explicit(&turn->number, memory_order_relaxed);
    return number % 2 == 1
           && atomic_compare_exchange_strong_explicit(&turn->number, &number, number + 1,
                                                      memory_order_acquire, memory_order_relaxed);
}

/* Something is parked (again). Whoever has begun to want it by now sees it, or is seen here. */
static void heed(weir_shared *pool)
{
    if (atomic_load(&pool->park.wanted) > 0 && shared_enter(pool, 0) == WEIR_OK) {
        park_sweep(pool);
        station_leave(&pool->station);
    }
}

/* Short as they are, faster than by a call. */
static bool is_same(const char *a, const char *b)
{
    a = a != NULL ? a : "";
    b = b != NULL ? b : "";
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool is_same_word(const char *a, const char *b)
{
    return is_same(a, b) || strcasecmp(a, b) == 0;
}

static bool is_of_key(const void *made, const weir_key *key)
{
    const weir_key *own = custom_key(made);
    const char *scheme = key->scheme != NULL ? key->scheme : custom_scheme(made);
    return own->port == key->port && key->host != NULL && is_same_word(own->host, key->host)
           && is_same_word(own->scheme, scheme) && is_same(own->tenant, key->tenant)
           && is_same(own->tls, key->tls) && is_same(own->proxy, key->proxy)
           && is_same(own->source, key->source);
}

/* --- without the lock ---------------------------------------------------------------------------
 */

/* The loan of what is this thread's. */
static void lend(weir_shared *pool, struct turn *turn, weir_loan *ret_loan)
{
    void *made = turn->made;
    turn->renewed++;
    *ret_loan = (weir_loan){
        .pool = pool,
        .object = custom_object(made),
        .lease = turn->lease,
        .conn = custom_conn(made),
        .slot = custom_slot(made),
        .reused = true,
        .own = {.made = made,
                .serial = atomic_load_explicit(&pool->park.serial, memory_order_relaxed),
                .turn = atomic_load_explicit(&turn->number, memory_order_relaxed),
                .number = (uint32_t)(turn - pool->park.turns)},
    };
}

static bool take_from(weir_shared *pool, const struct seat *seat, const weir_key *key,
                      weir_loan *ret_loan)
{
    struct turn *turn = turn_at(&pool->park, seat);
    if (turn == NULL || !claim(turn)) {
        return false;
    }
    if (!is_of_key(turn->made, key)) {
        atomic_fetch_add(&turn->number, 1); /* parked again */
        heed(pool);
        return false;
    }
    lend(pool, turn, ret_loan);
    return true;
}

bool park_take(weir_shared *pool, const weir_key *key, const weir_acquire_options *opt,
               weir_loan *ret_loan)
{
    struct park *park = &pool->park;
    if (!atomic_load_explicit(&park->is_on, memory_order_relaxed)
        || (opt != NULL && (opt->flags & WEIR_FRESH || opt->tag != 0))) {
        return false;
    }
    struct seat *seat = seat_enter(park);
    if (seat == NULL) {
        return false;
    }
    bool was_there = take_from(pool, seat, key, ret_loan);
    seat_leave(park, seat);
    return was_there;
}

/* Moves the loan's turn on by so many. */
static bool move_turn(struct park *park, const weir_loan *loan, uint64_t by)
{
    uint64_t expected = loan->own.turn;
    return atomic_compare_exchange_strong(&park->turns[loan->own.number].number, &expected,
                                          expected + by);
}

static bool is_of_now(const struct park *park, const weir_loan *loan)
{
    return atomic_load_explicit(&park->serial, memory_order_relaxed) == loan->own.serial;
}

bool park_end_turn(weir_shared *pool, const weir_loan *loan)
{
    struct park *park = &pool->park;
    return is_of_now(park, loan) && (loan->own.turn == TURN_NONE || move_turn(park, loan, 2));
}

static bool put_on(struct park *park, struct seat *seat, const weir_loan *loan)
{
    struct turn *before = turn_at(park, seat);
    struct turn *turn = &park->turns[loan->own.number];
    if (before != turn) {
        if (before != NULL && is_parked(before)) {
            return false;
        }
        atomic_store(&seat->number, loan->own.number + 1);
    }
    atomic_store_explicit(&turn->parked_tick,
                          atomic_load_explicit(&park->tick, memory_order_relaxed),
                          memory_order_relaxed);
    return move_turn(park, loan, 1);
}

static bool may_put(const struct park *park, const weir_loan *loan)
{
    const struct turn *turn = &park->turns[loan->own.number];
    return atomic_load_explicit(&park->is_on, memory_order_relaxed) && is_of_now(park, loan)
           && atomic_load_explicit(&turn->number, memory_order_relaxed) == loan->own.turn
           && atomic_load_explicit(&park->tick, memory_order_relaxed)
                      - atomic_load_explicit(&turn->heard_tick, memory_order_relaxed)
                  <= 1
           && atomic_load_explicit(&park->wanted, memory_order_relaxed) == 0;
}

bool park_put(weir_shared *pool, const weir_loan *loan)
{
    struct park *park = &pool->park;
    struct seat *seat = may_put(park, loan) ? seat_enter(park) : NULL;
    if (seat == NULL) {
        return false;
    }
    bool is_there = put_on(park, seat, loan);
    seat_leave(park, seat);
    if (!is_there) {
        return false;
    }
    heed(pool);
    if (!atomic_load(&park->is_ticking) && !atomic_exchange(&park->is_ticking, true)) {
        station_poke(&pool->station);
    }
    return true;
}

void park_want(weir_shared *pool)
{
    atomic_fetch_add(&pool->park.wanted, 1);
}

void park_want_no_more(weir_shared *pool)
{
    atomic_fetch_sub(&pool->park.wanted, 1);
}

/* --- under the lock -----------------------------------------------------------------------------
 */

uint64_t park_begin_turn(weir_shared *pool, void *made, weir_lease lease)
{
    struct park *park = &pool->park;
    struct turn *turn = &park->turns[custom_number(made)];
    if (!park->has_turns) {
        return TURN_NONE;
    }
    turn->made = made;
    turn->lease = lease;
    atomic_store_explicit(&turn->heard_tick,
                          atomic_load_explicit(&park->tick, memory_order_relaxed),
                          memory_order_relaxed);
    return atomic_load_explicit(&turn->number, memory_order_relaxed);
}

void park_settle(weir_shared *pool, uint32_t number, weir_lease lease)
{
    struct turn *turn = &pool->park.turns[number];
    if (turn->renewed > 0) {
        lease_renewed(pool->pool, lease, turn->renewed);
        turn->renewed = 0;
    }
}

static uint32_t seats_used(const struct park *park)
{
    uint32_t threads = atomic_load(&park->threads);
    return threads <= PARK_OWN ? threads : PARK_SEATS;
}

static uint32_t sweep(weir_shared *pool, uint32_t older_than)
{
    struct park *park = &pool->park;
    uint32_t tick = atomic_load_explicit(&park->tick, memory_order_relaxed);
    uint32_t used = seats_used(park);
    uint32_t found = 0;
    for (uint32_t i = 0; i < used; i++) {
        struct turn *turn = turn_at(park, &park->seats[i]);
        if (turn != NULL && is_parked(turn)
            && tick - atomic_load_explicit(&turn->parked_tick, memory_order_relaxed) >= older_than
            && claim(turn)) {
            park_settle(pool, (uint32_t)(turn - park->turns), turn->lease);
            weir_release(pool->pool, turn->lease, WEIR_KEEP);
            found++;
        }
    }
    return found;
}

uint32_t park_sweep(weir_shared *pool)
{
    return sweep(pool, 0);
}

void park_sweep_all(weir_shared *pool)
{
    atomic_fetch_add(&pool->park.tick, 2);
    sweep(pool, 0);
}

static bool is_any_parked(const struct park *park)
{
    uint32_t used = seats_used(park);
    for (uint32_t i = 0; i < used; i++) {
        struct turn *turn = turn_at(park, &park->seats[i]);
        if (turn != NULL && is_parked(turn)) {
            return true;
        }
    }
    return false;
}

/* Nothing is parked, and who parks something from now on finds that nobody sweeps. */
static bool may_stop(struct park *park)
{
    if (is_any_parked(park)) {
        return false;
    }
    atomic_store(&park->is_ticking, false);
    return !is_any_parked(park) || atomic_exchange(&park->is_ticking, true);
}

uint64_t park_tick(weir_shared *pool, uint64_t now_ms)
{
    struct park *park = &pool->park;
    if (!atomic_load(&park->is_ticking)) {
        return UINT64_MAX;
    }
    if (now_ms - park->ticked_ms < PARK_TICK_MS) {
        return park->ticked_ms + PARK_TICK_MS;
    }
    park->ticked_ms = now_ms;
    atomic_fetch_add(&park->tick, 1);
    sweep(pool, 1);
    return may_stop(park) ? UINT64_MAX : now_ms + PARK_TICK_MS;
}
