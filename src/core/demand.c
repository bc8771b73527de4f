/* SPDX-License-Identifier: Apache-2.0 */
#include "core/demand.h"

#include "core/breaker.h"
#include "core/conn.h"
#include "core/crowd.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pick.h"
#include "core/pool.h"
#include "core/size.h"
#include "core/standing.h"
#include "core/turns.h"
#include "core/warm.h"

static bool wants_fresh(struct node *waiting)
{
    return list_entry(waiting, struct lease, on_owner)->flags & WEIR_FRESH;
}

/* Connections with one lease for now, from which more are expected. */
static uint32_t growing_of(const struct key *key)
{
    uint32_t growing = 0;
    weir_list_each(it, &key->by_state[WEIR_ACTIVE]) {
        growing += conn_on_key(it)->growing;
    }
    return growing;
}

/* Where one carries many leases: as many dials lead to all the connections that there may be. Those
 * that are about to go do not count. */
static uint32_t streams_room(const struct key *key)
{
    uint32_t most = key->pool->opt.streams_conns_max;
    uint32_t others = pick_lasting(key) - key->by_state[WEIR_DIALLING].count;
    return most > others ? most - others : 0;
}

/* Dials that should be under way for those who wait. One connection serves one, or, once it is
 * known that they carry more, its ideal number; where that is to be found out, one dial does. */
static uint32_t dials_needed(const struct key *key)
{
    uint32_t room = crowd_room(key);
    uint32_t waiting = key->waiting.count < room ? key->waiting.count : room;
    const weir_pool_options *opt = &key->pool->opt;
    if (waiting > 0 && key_is_unknown(key)) {
        return 1;
    }
    if (waiting == 0 || key->leases_seen <= 1) {
        return waiting;
    }
    uint32_t each = key->leases_seen < opt->leases_ideal ? key->leases_seen : opt->leases_ideal;
    uint32_t needed = (waiting + each - 1) / each;
    uint32_t growing = growing_of(key);
    needed = needed > growing ? needed - growing : 0;
    uint32_t most = streams_room(key);
    if (most == 0 && wants_fresh(list_first(&key->waiting))) {
        return 1; /* the others are there, and it wants none of them */
    }
    return needed < most ? needed : most;
}

/* `needed`, and those for who will come. */
static uint32_t dials_ahead(const struct key *key, uint32_t needed)
{
    uint32_t kept = size_short(key);
    uint32_t missing = size_missing(key);
    uint32_t cold = warm_missing(key);
    uint32_t wanted = needed + (missing > cold ? missing : cold);
    wanted = wanted > kept ? wanted : kept;
    if (key->leases_seen > 1) {
        uint32_t room = streams_room(key);
        uint32_t most = room > needed ? room : needed;
        wanted = wanted < most ? wanted : most;
    }
    wanted = wanted > key->owed ? wanted : key->owed; /* in place of one that goes */
    return wanted > 1 && key_is_unknown(key) ? 1 : wanted;
}

/* How many more dials are wanted: for those who wait, and (`all`) for those who will come. */
static uint32_t dials_wanted(const struct key *key, bool all)
{
    uint32_t needed = dials_needed(key);
    uint32_t wanted = all ? dials_ahead(key, needed) : needed;
    uint32_t dialling = key->by_state[WEIR_DIALLING].count;
    return wanted > dialling ? wanted - dialling : 0;
}

/* What keeps the key itself from dialling once more, or DECIDED_DIAL. */
static enum decision held_back(const struct key *key)
{
    if (key->pool->closing || key->pool->connector->dial == NULL) {
        return DECIDED_WAIT_PEER;
    }
    if (breaker_allows(key) == 0) {
        bool is_up = key->state == WEIR_KEY_UP || key->state == WEIR_KEY_TRIAL;
        return is_up ? DECIDED_WAIT_RAMP : DECIDED_WAIT_RETRY;
    }
    bool has_room = ledger_has_room(&key->ledger, key_total(key)) || MUTANT(6);
    return has_room ? DECIDED_DIAL : DECIDED_WAIT_KEY;
}

static bool pool_has_room(const weir_pool *pool)
{
    return ledger_has_room(&pool->ledger, pool_total(pool)) || MUTANT(5);
}

static bool dial(struct key *key)
{
    struct conn *conn = conn_new(key, WEIR_DIALLING);
    if (conn == NULL) {
        key->pool->engine->slots_short = true;
        return false;
    }
    conn->round = key->round;
    conn_tell(conn, TODO_DIAL);
    conn_arm(conn);
    explain(key, DECIDED_DIAL, conn, WEIR_OK);
    pool_mark_active(key->pool);
    return true;
}

/* For a dial that nobody waits for, and with what no other engine needs. Where somebody waits, the
 * key's credit is asked for on his behalf: taken here, it would lie there unseen. */
static bool may_dial_ahead(struct key *key)
{
    enum decision held = held_back(key);
    if (breaker_is_denied(key)) {
        return false;
    }
    if (held == DECIDED_WAIT_KEY && dials_wanted(key, false) == 0
        && ledger_take_ahead(key->pool->engine, &key->ledger)) {
        held = held_back(key);
    }
    return held == DECIDED_DIAL;
}

static bool pool_has_room_ahead(weir_pool *pool)
{
    return pool_has_room(pool) || ledger_take_ahead(pool->engine, &pool->ledger);
}

bool pool_dial_spare(struct key *key)
{
    bool is_free = key->pool->turns.count == 0 && may_dial_ahead(key);
    return is_free && pool_has_room_ahead(key->pool) && dial(key);
}

void demand_tell_limit(struct key *key, weir_err why)
{
    weir_pool *pool = key->pool;
    if (!pool->limit_told) {
        pool->limit_told = true;
        event_tell(pool, WEIR_EVENT_POOL_LIMIT_REACHED, key, NULL, why);
    }
}

/* Room for its own key alone would be made: no gain, unless a fresh one is asked for. */
static bool is_for_itself(const struct conn *conn)
{
    const struct key *key = conn->key;
    return turns_is_waiting(key) && turns_count(key->pool) == 1
           && !wants_fresh(list_first(&key->waiting));
}

/* What has been idle for longest and may go for others, or NULL. */
static struct conn *longest_idle(weir_pool *pool)
{
    const struct list *idle = &pool->by_state[WEIR_IDLE];
    struct node *it = MUTANT(4) ? list_last(idle) : list_first(idle);
    while (it != NULL && is_for_itself(conn_on_pool(it))) {
        it = MUTANT(4) ? list_prev(it) : list_next(it);
    }
    return it != NULL ? conn_on_pool(it) : NULL;
}

/* Closes what has been idle for longest, once for each key that waits for room. */
static void evict_idle(weir_pool *pool)
{
    struct conn *conn;
    if (pool->opt.refuse_when_full == WEIR_ON) {
        return;
    }
    uint32_t hungry = turns_count(pool);
    while (pool->by_state[WEIR_CLOSING].count < hungry && (conn = longest_idle(pool)) != NULL) {
        explain(conn->key, DECIDED_EVICT, conn, WEIR_OK);
        pool->counters.evicted++;
        pool_conn_close(conn, WEIR_EEVICTED);
    }
}

/* The pool is full and keys wait for room: asks the other workers for theirs, then closes what has
 * been idle for longest, once for each key that waits. */
static void make_room(weir_pool *pool)
{
    standing_tell(pool);
    ledger_ask(pool->engine, &pool->ledger, turns_count(pool));
    if (pool_has_room(pool) || ledger_may_grow(&pool->ledger)) {
        return;
    }
    evict_idle(pool);
}

static void feed(weir_pool *pool)
{
    while (pool->turns.count > 0) {
        if (!pool_has_room(pool)) {
            make_room(pool);
            if (!pool_has_room(pool)) {
                return;
            }
        }
        struct key *key = turns_take(pool);
        if (dials_wanted(key, false) == 0 || held_back(key) != DECIDED_DIAL) {
            turns_lapse(key);
            crowd_review(key);
            continue;
        }
        bool is_dialled = dial(key);
        if (!is_dialled || (dials_wanted(key, false) > 0 && held_back(key) == DECIDED_DIAL)) {
            turns_join(key);
        }
        if (!is_dialled) {
            evict_idle(pool); /* the engine is full */
            return;
        }
        turns_passed(key);
        pool->limit_told = false;
    }
    ledger_ask(pool->engine, &pool->ledger, 0);
}

void pool_feed(weir_pool *pool)
{
    feed(pool);
    turns_review(pool);
    standing_tell(pool);
}

/* A caller that wants a fresh connection, where the key may have no more: its longest idle one
 * goes. */
static void make_room_for_fresh(struct key *key)
{
    struct node *idle = list_first(&key->by_state[WEIR_IDLE]);
    if (idle != NULL && key->by_state[WEIR_CLOSING].count == 0
        && wants_fresh(list_first(&key->waiting))) { /* others may have it in the end */
        pool_conn_close(conn_on_key(idle), WEIR_EEVICTED);
    }
}

/* Joins those who wait for room in the pool, or leaves them. */
static void want_dials(struct key *key)
{
    weir_pool *pool = key->pool;
    bool is_hungry = turns_is_waiting(key);
    enum decision held = held_back(key);
    if (held == DECIDED_WAIT_KEY && dials_wanted(key, false) > 0) {
        ledger_ask(pool->engine, &key->ledger, dials_wanted(key, false));
        held = held_back(key);
        if (held == DECIDED_WAIT_KEY) {
            make_room_for_fresh(key);
        }
    } else if (key->ledger.asked > 0 && dials_needed(key) == 0) {
        ledger_ask(pool->engine, &key->ledger, 0); /* who it was for has been served, or left */
    }
    bool wants = held == DECIDED_DIAL && dials_wanted(key, false) > 0;
    if (wants && !is_hungry) {
        turns_join(key);
    } else if (!wants && is_hungry) {
        turns_leave(key);
    }
}

/* Dials that nobody waits for: only into room that nobody wants. */
static void dial_ahead(struct key *key)
{
    weir_pool *pool = key->pool;
    if (key->owed > 0 && !size_is_in_use(key)) {
        key->owed = 0;
    }
    while (dials_wanted(key, true) > 0 && pool->turns.count == 0 && may_dial_ahead(key)
           && pool_has_room_ahead(pool) && !warm_must_wait(key) && dial(key)) {
        warm_dialled(key);
    }
}

void demand_meet(struct key *key)
{
    want_dials(key);
    pool_feed(key->pool);
    dial_ahead(key);
    const struct slots *conns = &key->pool->engine->conns;
    if (key->pool->is_cold && key->pool->turns.count == 0 && conns->count < conns->capacity
        && pool_has_room_ahead(key->pool)) {
        warm_wake(key->pool);
    }
}

bool demand_take_dial(struct key *key)
{
    return may_dial_ahead(key);
}

bool demand_must_dial(const struct key *key)
{
    uint32_t dialling = key->by_state[WEIR_DIALLING].count;
    bool needs = key->waiting.count > 0
                 && (key_alive(key) == dialling || wants_fresh(list_first(&key->waiting)));
    return needs && (dialling > 0 || held_back(key) == DECIDED_DIAL);
}

enum decision demand_outlook(struct key *key)
{
    weir_pool *pool = key->pool;
    enum decision held = held_back(key);
    if (crowd_room(key) <= key->waiting.count) {
        return DECIDED_WAIT_CROWD;
    }
    if (held == DECIDED_WAIT_KEY && ledger_may_grow(&key->ledger)) {
        return DECIDED_WAIT_CREDIT;
    }
    if (held != DECIDED_DIAL) {
        return held;
    }
    if (dials_needed(key) < key->by_state[WEIR_DIALLING].count) {
        return DECIDED_DIAL; /* one is under way that nobody waits for yet */
    }
    if (!pool_has_room(pool) || pool->turns.count > 0) {
        return ledger_may_grow(&pool->ledger) ? DECIDED_WAIT_CREDIT : DECIDED_WAIT_TOTAL;
    }
    const struct slots *conns = &pool->engine->conns;
    return conns->count < conns->capacity ? DECIDED_DIAL : DECIDED_WAIT_SLOTS;
}
