/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.c - the rules, in the order in which they are tried.
 *
 * Acquire:  1 the key is down: refused
 *           2 an idle or shared connection: leased, as far as its endpoint takes more (crowd.h)
 *           3 room in every ledger: dial
 *           4 the pool is full, but another key has an idle one: closed for it
 *           5 queue, unless that is full or too long
 *
 * Whatever changes - a release, a dial that succeeds or fails, a connection gone, a limit raised -
 * ends in pool_serve(), which applies rules 2 to 4 to those who wait, first come first served. So
 * nobody waits while something leasable is idle, or while a slot is free and the key is up; and a
 * newcomer overtakes nobody. The connector and the callers hear of it in the next step.
 */
#include "core/pool.h"

#include "base/fetch.h"
#include "core/conn.h"
#include "core/crowd.h"
#include "core/demand.h"
#include "core/ends.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pick.h"
#include "core/queue.h"
#include "core/warm.h"

#define REVIEW_EVERY_MS 1000U

/* --- leases ------------------------------------------------------------------------------- */

void pool_mark_active(weir_pool *pool)
{
    if (pool->review_ms == UINT64_MAX) {
        pool->adapted_ms = pool->engine->now_ms; /* nobody came since the reviews ended */
        pool->review_ms = pool->engine->now_ms + REVIEW_EVERY_MS;
        pool_arm(pool, pool->review_ms);
    }
}

static void watch_leases(weir_pool *pool)
{
    uint32_t least_ms = pool->opt.lease_warn_ms < pool->opt.lease_timeout_ms
                            ? pool->opt.lease_warn_ms
                            : pool->opt.lease_timeout_ms;
    if (least_ms != WEIR_NEVER) {
        pool_arm(pool, pool->engine->now_ms + least_ms);
    }
}

static void grant(struct lease *lease, struct conn *conn)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    lease->reused = conn->uses > 0;
    if (key->keeps_place) {
        crowd_give_place(key);
    }
    conn->uses++;
    key->used_ms = pool->engine->now_ms;
    queue_hold(lease, conn);
    weir_state state = conn_state_of(conn);
    if (state != conn->state) {
        conn_enter(conn, state);
    }
    watch_leases(pool);
    pool_mark_active(pool);
}

static weir_err try_acquire(struct key *key, uint32_t flags, weir_lease *ret_lease,
                            void **ret_object)
{
    weir_pool *pool = key->pool;
    if (key->state == WEIR_KEY_DOWN && !(flags & WEIR_WAIT_DOWN)) {
        pool->retry_after_ms = pool_key_retry_after(key);
        return WEIR_EDOWN;
    }
    if (key->waiting.count > 0 && !MUTANT(1)) {
        return WEIR_EAGAIN;
    }
    if (crowd_room(key) == 0) {
        return WEIR_EAGAIN;
    }
    struct conn *conn = pick_conn(key, flags);
    if (conn == NULL) {
        return WEIR_EAGAIN;
    }
    uint64_t id;
    struct lease *lease = queue_new(key, &id);
    if (lease == NULL) {
        return WEIR_EAGAIN;
    }
    pool->counters.acquires++;
    grant(lease, conn);
    queue_count_grant(lease);
    fetch(list_last(&key->by_state[WEIR_IDLE]), sizeof *conn); /* the next caller's, as a rule */
    explain(key, conn->state == WEIR_SHARED ? DECIDED_SHARE : DECIDED_REUSE, NULL, WEIR_OK);
    if (key->owed > 0) {
        pool_serve(key);
    }
    ret_lease->id = id;
    if (ret_object != NULL) {
        *ret_object = conn->object;
    }
    return WEIR_OK;
}

weir_err pool_try_acquire_pinned(weir_pool *pool, struct key *pin, uint32_t flags,
                                 weir_lease *ret_lease, void **ret_object)
{
    check(pin->pool == pool);
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    return try_acquire(pin, flags, ret_lease, ret_object);
}

weir_err weir_try_acquire(weir_pool *pool, const weir_key *key, uint32_t flags,
                          weir_lease *ret_lease, void **ret_object)
{
    struct key_text text;
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    if (!key_canonical(pool, key, &text)) {
        return WEIR_EINVAL;
    }
    struct key *known = key_find(pool, &text);
    return known != NULL ? try_acquire(known, flags, ret_lease, ret_object) : WEIR_EAGAIN;
}

weir_err pool_lease_conn(struct conn *conn, weir_lease *ret_lease)
{
    bool is_up = conn->state == WEIR_IDLE || conn->state == WEIR_SHARED
                 || conn->state == WEIR_PROBING;
    if (!is_up || conn_room(conn) == 0) {
        return WEIR_ESTATE;
    }
    struct lease *lease = queue_new(conn->key, &ret_lease->id);
    if (lease == NULL) {
        return WEIR_EQUEUE;
    }
    if (conn->state == WEIR_PROBING) { /* it has spoken: no better proof of life */
        conn_tell(conn, TODO_NOTHING);
        conn_enter(conn, WEIR_IDLE);
    }
    conn->key->pool->counters.acquires++;
    grant(lease, conn);
    queue_count_grant(lease);
    if (conn->key->waiting.count > 0) {
        pool_serve(conn->key); /* it is no longer probed, and may have room for them */
    }
    return WEIR_OK;
}

/* --- those who wait ----------------------------------------------------------------------- */

/* There is something left that this one does not want, and one behind it may. */
static bool leaves_some(const struct key *key, const struct lease *lease)
{
    bool is_choosy = (lease->flags & WEIR_FRESH) || pick_is_careful(key, lease->flags);
    return is_choosy && key->by_state[WEIR_IDLE].count + key->by_state[WEIR_SHARED].count > 0;
}

/* At most so many of them; how many were. */
static uint32_t serve_waiting(struct key *key, uint32_t most)
{
    uint32_t served = 0;
    if (key->state == WEIR_KEY_DOWN) {
        return 0;
    }
    weir_list_each_safe(it, &key->waiting) {
        struct lease *lease = list_entry(it, struct lease, on_owner);
        struct conn *conn = served < most ? pick_conn(key, lease->flags) : NULL;
        if (conn != NULL) {
            grant(lease, conn);
            explain(key, DECIDED_GRANT, conn, WEIR_OK);
            served++;
        } else if (served == most || !leaves_some(key, lease)) {
            break; /* what this one cannot have, none behind it can */
        }
    }
    return served;
}

/* Whoever is left waits for a dial. */
static void meet(struct key *key)
{
    demand_meet(key);
    if (key->pool->ledger.wanted > 0 || key->ledger.wanted > 0) {
        pool_give_idle(key->pool, key);
    }
    ledger_settle(key->pool->engine, &key->ledger, key_total(key));
    key_review(key);
}

/* Keys that wait for room at their endpoint: a caller of each, in turns, as far as it goes. */
static void serve_crowd(struct group *endpoint)
{
    struct key *key;
    uint32_t in_vain = 0; /* looks since one was served */
    while (in_vain < endpoint->crowd.count && (key = crowd_next(endpoint)) != NULL) {
        in_vain = serve_waiting(key, 1) > 0 ? 0 : in_vain + 1;
        if (in_vain > 0 && demand_must_dial(key)) {
            crowd_keep_place(key);
        }
        crowd_line_up(key);
    }
}

/* Those dial who have found room, or whose turn it is, and no connection. Not before all others
 * were served: they would have what is idle closed for them. */
static void meet_each(struct group *endpoint)
{
    uint32_t looks = endpoint->crowd.count;
    while (looks > 0) {
        struct key *key = list_entry(list_pop_front(&endpoint->crowd), struct key, on_endpoint);
        if (crowd_room(key) > 0) {
            meet(key);
        }
        crowd_review(key);
        looks--;
        looks = looks < endpoint->crowd.count ? looks
                                              : endpoint->crowd.count; /* others may leave */
    }
}

/* A place that one gives back is room for those that were met before it. */
static void meet_crowd(struct group *endpoint)
{
    uint32_t places;
    do {
        places = endpoint->places;
        meet_each(endpoint);
    } while (endpoint->places < places);
    if (endpoint->crowd.count == 0) {
        endpoint->pool->limit_told = false;
    }
}

static void serve_limited(struct key *key)
{
    if (key->keeps_place && crowd_room(key) > 0) {
        serve_waiting(key, 1);
    }
    crowd_review(key);
    serve_crowd(key->endpoint);
    serve_waiting(key, crowd_room(key));
    crowd_line_up(key);
    meet_crowd(key->endpoint);
}

void pool_serve(struct key *key)
{
    if (crowd_is_limited(key)) {
        serve_limited(key);
    } else {
        serve_waiting(key, UINT32_MAX);
    }
    meet(key);
}

/* --- acquire ------------------------------------------------------------------------------ */

static bool is_queue_full(const weir_pool *pool)
{
    return (pool->waiting.count >= pool->opt.waiting_max && !MUTANT(18))
           || queue_waiting(pool->engine) >= pool->engine->waiting_max;
}

/* Whether the wait can be foretold. Not where room may come from elsewhere, from other keys or
 * other engines, and those who wait have not given it the time: what the key has then is not what
 * it will have, and nobody is refused for that. */
static bool is_wait_known(const struct key *key, enum decision why)
{
    const weir_pool *pool = key->pool;
    bool has_all = key_total(key) == pool_total(pool) && pool->ledger.account == 0;
    switch (why) {
    case DECIDED_WAIT_RAMP:
    case DECIDED_WAIT_CREDIT: return false;
    case DECIDED_WAIT_KEY: return key->ledger.account == 0 || queue_has_settled(key) || MUTANT(39);
    case DECIDED_WAIT_TOTAL: return has_all || queue_has_settled(key) || MUTANT(39);
    case DECIDED_WAIT_SLOTS: return queue_has_settled(key) || MUTANT(39);
    case DECIDED_WAIT_RETRY: return (key_alive(key) > 0 && queue_has_settled(key)) || MUTANT(39);
    default: return true;
    }
}

/* Rule 5, and the end of rule 4. why: what keeps the key from dialling for one more caller.
 * ret_rival: who makes room in the queue, or NULL. */
static weir_err may_queue(struct key *key, enum decision why, uint64_t timeout_ms,
                          uint64_t *ret_wait_ms, struct lease **ret_rival)
{
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    *ret_wait_ms = queue_predict_ms(key);
    if (why == DECIDED_WAIT_TOTAL && pool->opt.refuse_when_full == WEIR_ON) {
        return WEIR_EFULL;
    }
    bool is_full = is_queue_full(pool);
    *ret_rival = is_full ? queue_rival(key) : NULL;
    if (is_full && *ret_rival == NULL) {
        return WEIR_EQUEUE;
    }
    uint64_t least_ms = is_wait_known(key, why) ? *ret_wait_ms : 0;
    if (why == DECIDED_WAIT_RETRY && key->retry_ms > engine->now_ms + least_ms) {
        least_ms = key->retry_ms - engine->now_ms;
    }
    *ret_wait_ms = *ret_wait_ms > least_ms ? *ret_wait_ms : least_ms;
    return least_ms > timeout_ms ? WEIR_EWAIT : WEIR_OK;
}

static weir_err refuse(struct key *key, weir_err err, uint64_t retry_after_ms)
{
    weir_pool *pool = key->pool;
    pool->retry_after_ms = retry_after_ms < WEIR_MOST ? (uint32_t)retry_after_ms : WEIR_MOST;
    pool->counters.acquires++;
    pool->counters.refused++;
    pool->counters.refused_by[err]++;
    group_refused(key);
    health_count(&pool->window, pool->engine->now_ms, false);
    pool_mark_active(pool);
    explain(key, DECIDED_REFUSE, NULL, err);
    if (err != WEIR_EDOWN) {
        demand_tell_limit(key, err);
    }
    key_review(key);
    return err;
}

/* Gives up its place in a full queue to a tenant that has fewer there. */
static void give_way(struct lease *lease)
{
    struct key *key = lease->key;
    explain(key, DECIDED_REFUSE, NULL, WEIR_EQUEUE);
    health_count(&key->pool->window, key->pool->engine->now_ms, false);
    queue_end(lease, WEIR_EQUEUE, (uint32_t)queue_predict_ms(key));
    pool_serve(key);
}

/* Nothing was idle: rules 3 to 5. */
static weir_err wait_or_refuse(struct key *key, struct lease *lease, uint64_t timeout_ms)
{
    enum decision why = demand_outlook(key);
    uint64_t wait_ms = 0;
    key->pool->counters.crowded += why == DECIDED_WAIT_CROWD;
    struct lease *rival = NULL;
    weir_err err = why == DECIDED_DIAL ? WEIR_OK
                                       : may_queue(key, why, timeout_ms, &wait_ms, &rival);
    if (err != WEIR_OK) {
        slots_give(&key->pool->engine->leases, lease_id(lease));
        return refuse(key, err, wait_ms);
    }
    if (why != DECIDED_DIAL) {
        explain(key, why, NULL, WEIR_OK);
    }
    if (why == DECIDED_WAIT_TOTAL || why == DECIDED_WAIT_KEY || why == DECIDED_WAIT_SLOTS) {
        demand_tell_limit(key, WEIR_OK);
    } else if (why == DECIDED_WAIT_CROWD) {
        demand_tell_limit(key, WEIR_ECONCURRENCY);
    }
    queue_wait(lease);
    key->pool->counters.acquires++;
    if (rival != NULL) {
        give_way(rival);
    }
    pool_serve(key);
    return WEIR_OK;
}

weir_err pool_acquire_pinned(weir_pool *pool, struct key *pin, const weir_acquire_options *opt,
                             weir_lease_fn *fn, void *arg, weir_lease *ret_lease)
{
    struct key *key = pin;
    uint32_t flags = opt != NULL ? opt->flags : 0;
    uint32_t timeout_ms = opt != NULL && opt->timeout_ms > 0 ? opt->timeout_ms
                                                             : pool->opt.acquire_timeout_ms;
    check(key->pool == pool);
    if (fn == NULL) {
        return WEIR_EINVAL;
    }
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    key->used_ms = pool->engine->now_ms;
    if (key->state == WEIR_KEY_DOWN && !(flags & WEIR_WAIT_DOWN)) {
        return refuse(key, WEIR_EDOWN, pool_key_retry_after(key));
    }
    uint64_t id;
    struct lease *lease = queue_new(key, &id);
    if (lease == NULL) {
        return refuse(key, WEIR_EQUEUE, queue_predict_ms(key));
    }
    lease->fn = fn;
    lease->arg = arg;
    lease->flags = (uint8_t)flags;
    lease->tag = opt != NULL ? opt->tag : 0;
    lease->deadline_ms = timeout_ms == WEIR_NEVER ? UINT64_MAX : pool->engine->now_ms + timeout_ms;
    bool is_first = key->waiting.count == 0 && key->state != WEIR_KEY_DOWN && crowd_room(key) > 0;
    struct conn *conn = is_first ? pick_conn(key, flags) : NULL;
    if (conn != NULL) {
        pool->counters.acquires++;
        grant(lease, conn);
        explain(key, DECIDED_REUSE, NULL, WEIR_OK);
        pool_serve(key);
    } else {
        weir_err err = wait_or_refuse(key, lease,
                                      timeout_ms == WEIR_NEVER ? UINT64_MAX : timeout_ms);
        if (err != WEIR_OK) {
            return err;
        }
    }
    ret_lease->id = id;
    return WEIR_OK;
}

static weir_err find_key(weir_pool *pool, const weir_key *key, struct key **ret_key)
{
    struct key_text text;
    if (!key_canonical(pool, key, &text)) {
        return WEIR_EINVAL;
    }
    return key_intern(pool, &text, ret_key);
}

weir_err weir_acquire(weir_pool *pool, const weir_key *key, const weir_acquire_options *opt,
                      weir_lease_fn *fn, void *arg, weir_lease *ret_lease)
{
    struct key *known;
    if (pool->closing) {
        return WEIR_ECLOSED;
    }
    weir_err err = find_key(pool, key, &known);
    if (err == WEIR_EKEYS) {
        pool->counters.acquires++;
        pool->counters.refused++;
        pool->counters.refused_by[WEIR_EKEYS]++;
    }
    return err != WEIR_OK ? err : pool_acquire_pinned(pool, known, opt, fn, arg, ret_lease);
}

uint32_t weir_pool_retry_after(const weir_pool *pool)
{
    return pool->retry_after_ms;
}

void pool_lease_timer(struct lease *lease)
{
    struct key *key = lease->key;
    check(lease->state == LEASE_WAITING);
    explain(key, DECIDED_REFUSE, NULL, WEIR_EACQUIRE_TIMEOUT);
    health_count(&key->pool->window, key->pool->engine->now_ms, false);
    queue_end(lease, WEIR_EACQUIRE_TIMEOUT, 0);
    pool_serve(key);
}

void pool_fail_waiting(struct key *key, weir_err why)
{
    uint32_t retry_after_ms = why == WEIR_EDOWN ? pool_key_retry_after(key) : 0;
    weir_list_each_safe(it, &key->waiting) {
        struct lease *lease = list_entry(it, struct lease, on_owner);
        if (why != WEIR_EDOWN || !(lease->flags & WEIR_WAIT_DOWN)) {
            health_count(&key->pool->window, key->pool->engine->now_ms, false);
            queue_end(lease, why, retry_after_ms);
        }
    }
}

/* --- release ------------------------------------------------------------------------------ */

/* A grant that its caller has not heard of yet: as if it had never been. */
static void take_back(struct lease *lease)
{
    struct conn *conn = lease->conn;
    conn->uses--;
    conn->used_ms = conn->key->pool->engine->now_ms;
    queue_end(lease, WEIR_ECANCELED, 0);
    pool_conn_settle(conn);
}

static void release_held(struct lease *lease, weir_fate fate, weir_err why)
{
    struct key *key = lease->key;
    weir_pool *pool = key->pool;
    struct conn *conn = lease->conn;
    health_count(&pool->window, pool->engine->now_ms, fate != WEIR_BROKEN);
    if (crowd_is_limited(key)) {
        crowd_learn(lease, fate, why);
    }
    queue_drop(lease);
    if (conn == NULL) {
        key_review(key);
        return;
    }
    conn->used_ms = pool->engine->now_ms;
    switch (fate) { /* cover: what is no fate is KEEP */
    case WEIR_BROKEN:
        pool_conn_close(conn, why != WEIR_OK ? why : WEIR_EBROKEN);
        pool_serve(key); /* those who had not heard of their lease on it wait again */
        return;
    case WEIR_RETIRE:
        if (!conn->retiring && conn->state != WEIR_CLOSING) {
            conn->retiring = true;
            conn->why = (uint8_t)(why != WEIR_OK ? why : WEIR_ERETIRED);
            conn->until_ms = UINT64_MAX;
        }
        break;
    case WEIR_UNKNOWN: conn->unsure = !MUTANT(14); break;
    case WEIR_KEEP:
    case WEIR_FATES: break;
    }
    pool_conn_settle(conn);
}

weir_err weir_release_why(weir_pool *pool, weir_lease id, weir_fate fate, weir_err why)
{
    struct lease *lease = slots_at(&pool->engine->leases, id.id);
    if (lease == NULL || lease->key->pool != pool) {
        return WEIR_ESTALE;
    }
    struct key *key = lease->key;
    if (lease->state == LEASE_WAITING) {
        queue_end(lease, WEIR_ECANCELED, 0);
        pool_serve(key);
    } else if (lease->state == LEASE_HELD && lease->fn != NULL) {
        take_back(lease);
    } else if (lease->state == LEASE_HELD) {
        release_held(lease, fate, why);
    }
    if (key->endpoint->crowd.count > 0) {
        serve_crowd(key->endpoint);
        meet_crowd(key->endpoint);
    }
    return WEIR_OK;
}

weir_err weir_release(weir_pool *pool, weir_lease lease, weir_fate fate)
{
    return weir_release_why(pool, lease, fate, WEIR_OK);
}

weir_err weir_lease_tag(weir_pool *pool, weir_lease id, uint64_t tag)
{
    struct lease *lease = slots_at(&pool->engine->leases, id.id);
    if (lease == NULL || lease->key->pool != pool) {
        return WEIR_ESTALE;
    }
    lease->tag = tag;
    return WEIR_OK;
}

/* --- pins --------------------------------------------------------------------------------- */

weir_err pool_key_pin(weir_pool *pool, const weir_key *key, struct key **ret_pin)
{
    struct key *known;
    weir_err err = find_key(pool, key, &known);
    if (err != WEIR_OK) {
        return err;
    }
    known->pins++;
    known->wanted += known->wanted < UINT16_MAX;
    pool->is_cold = warm_dials(pool);
    pool_serve(known);
    if (pool->opt.warm != WEIR_OFF) {
        warm_check(known); /* others may have brought it up already */
    }
    *ret_pin = known;
    return WEIR_OK;
}

weir_err pool_key_cap(struct key *pin, uint32_t most)
{
    pin->cap = most;
    return ledger_open(pin->pool, pin, key_most(pin));
}

uint32_t pool_total(const weir_pool *pool)
{
    uint32_t total = 0;
    for (int i = 0; i < WEIR_STATES; i++) {
        total += pool->by_state[i].count;
    }
    return total;
}

void pool_arm(weir_pool *pool, uint64_t at_ms)
{
    if (at_ms < pool->armed_ms) {
        pool->armed_ms = at_ms;
        heap_set(&pool->engine->timers, &pool->timer.node, at_ms);
    }
}
