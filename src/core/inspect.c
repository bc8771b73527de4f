/* SPDX-License-Identifier: Apache-2.0 */
#include "core/inspect.h"

#include "core/breaker.h"
#include "core/conn.h"
#include "core/crowd.h"
#include "core/pick.h"
#include "core/turns.h"

/* --- connections -------------------------------------------------------------------------- */

static void verify_leases_of(const struct conn *conn)
{
    weir_list_each(it, &conn->leases) {
        const struct lease *lease = list_entry(it, struct lease, on_owner);
        check(lease->conn == conn);
        check(lease->key == conn->key);
        check(lease->state == LEASE_HELD);
    }
}

static void verify_conn(const struct conn *conn, weir_state state)
{
    const struct key *key = conn->key;
    uint32_t leases = conn->leases.count;
    check(conn->state == state);
    check(conn->on_key.home == &key->by_state[state]);
    check(conn->on_pool.home == &key->pool->by_state[state]);
    check((conn->todo != TODO_NOTHING) == list_holds(&conn->on_todo));
    check(conn->armed_ms == UINT64_MAX || heap_is_set(&conn->timer.node));
    check(conn_due_ms(conn) >= conn->armed_ms);
    switch (state) { /* cover: every state is named */
    case WEIR_DIALLING: check(leases == 0 && !conn->was_up); break;
    case WEIR_IDLE: check(leases == 0 && conn->was_up && !conn->retiring); break;
    case WEIR_SHARED: check(leases > 0 && conn_room(conn) > 0); break;
    case WEIR_ACTIVE: check(leases > 0 && conn_room(conn) == 0); break;
    case WEIR_PROBING: check(leases == 0 && conn->was_up); break;
    case WEIR_CLOSING: check(conn->told); break;
    case WEIR_STATES: unreachable();
    }
    verify_leases_of(conn);
}

static void verify_sorted(const struct list *of_pool)
{
    uint64_t last_ms = 0;
    weir_list_each(it, of_pool) {
        const struct conn *conn = conn_on_pool(it);
        check(conn->used_ms >= last_ms);
        last_ms = conn->used_ms;
    }
}

/* --- keys --------------------------------------------------------------------------------- */

/* Everybody who waits wants a fresh connection, or rather one that is being dialled. */
static bool are_choosy(const struct key *key)
{
    bool is_dialling = key->by_state[WEIR_DIALLING].count > 0;
    weir_list_each(it, &key->waiting) {
        uint32_t flags = list_entry(it, struct lease, on_owner)->flags;
        if (!(flags & WEIR_FRESH) && !(is_dialling && pick_is_careful(key, flags))) {
            return false;
        }
    }
    return true;
}

/* Nobody waits for what is there. */
static void verify_served(const struct key *key)
{
    const weir_pool *pool = key->pool;
    if (key->waiting.count == 0 || key->state == WEIR_KEY_DOWN) {
        return;
    }
    uint32_t room = crowd_room(key);
    uint32_t waiting = key->waiting.count < room ? key->waiting.count : room;
    check(room == 0 || are_choosy(key)
          || key->by_state[WEIR_IDLE].count + key->by_state[WEIR_SHARED].count == 0);
    bool has_room = ledger_has_room(&key->ledger, key_total(key))
                    && ledger_has_room(&pool->ledger, pool_total(pool))
                    && pool->engine->conns.count < pool->engine->conns.capacity;
    bool may_dial = breaker_allows(key) > 0 && pool->connector->dial != NULL
                    && key_alive(key) < pool->opt.streams_conns_max;
    uint32_t dialling = key->by_state[WEIR_DIALLING].count;
    bool is_enough = dialling >= waiting || key->leases_seen > 1
                     || (dialling > 0 && key_is_unknown(key));
    check(!has_room || !may_dial || is_enough || pool->engine->slots_short);
}

static void verify_waiting(const struct key *key)
{
    weir_list_each(it, &key->waiting) {
        const struct lease *lease = list_entry(it, struct lease, on_owner);
        check(lease->key == key);
        check(lease->state == LEASE_WAITING);
        check(lease->conn == NULL);
        check(lease->on_pool.home == &key->pool->waiting);
        check(!list_holds(&lease->on_answer));
        check(heap_is_set(&lease->timer.node) == (lease->deadline_ms != UINT64_MAX));
    }
}

static void verify_key(const struct key *key)
{
    const weir_engine *engine = key->pool->engine;
    bool is_failing = key->state == WEIR_KEY_BACKING_OFF || key->state == WEIR_KEY_DOWN;
    bool is_unused = key->pins == 0 && key->waiting.count == 0 && key_total(key) == 0
                     && !is_failing;
    check((key->on_list.home == &engine->unused) == is_unused);
    check(!is_failing || heap_is_set(&key->timer.node));
    if (key->ledger.account == 0) {
        check(key->ledger.credits == key_most(key));
    }
    for (int i = 0; i < WEIR_STATES; i++) {
        weir_list_each(it, &key->by_state[i]) {
            check(conn_on_key(it)->key == key);
        }
    }
    check(!turns_is_waiting(key) || list_holds(&key->tenant->on_turns));
    check(list_holds(&key->on_endpoint) == (crowd_is_limited(key) && key->waiting.count > 0));
    verify_waiting(key);
    verify_served(key);
}

/* --- groups ------------------------------------------------------------------------------- */

static void verify_tenant(const struct group *tenant)
{
    const weir_pool *pool = tenant->pool;
    uint32_t keys = 0;
    uint32_t alive = 0;
    uint32_t waiting = 0;
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        if (key->tenant == tenant) {
            keys++;
            alive += key_alive(key);
            waiting += key->waiting.count;
        }
    }
    check(keys == tenant->keys && (keys > 0 || !group_is_named(tenant)));
    check(alive == tenant->alive);
    check(waiting == tenant->waiting);
    check(list_holds(&tenant->on_turns) == (tenant->hungry.count > 0));
    check(tenant->promised == 0 || tenant->hungry.count > 0);
}

/* Whoever was promised room gets it: it is here, or what closes leaves it. */
static void verify_promises(const weir_pool *pool)
{
    uint64_t room = pool->ledger.credits > pool_total(pool)
                        ? pool->ledger.credits - pool_total(pool)
                        : 0;
    uint32_t promised = 0;
    weir_list_each(it, &pool->turns) {
        promised += list_entry(it, const struct group, on_turns)->promised;
    }
    check(promised == pool->promised);
    check(promised <= room + pool->by_state[WEIR_CLOSING].count);
}

static uint32_t leases_at(const struct group *endpoint)
{
    const weir_pool *pool = endpoint->pool;
    const struct list *const lists[] = {&pool->held, &pool->overdue};
    uint32_t leases = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        weir_list_each(it, lists[i]) {
            leases += list_entry(it, const struct lease, on_pool)->key->endpoint == endpoint;
        }
    }
    return leases;
}

static uint32_t places_at(const struct group *endpoint)
{
    uint32_t places = 0;
    weir_list_each(it, &endpoint->pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        places += key->endpoint == endpoint && key->keeps_place;
        check(!key->keeps_place || key->waiting.count > 0);
    }
    return places;
}

static void verify_groups(const weir_pool *pool)
{
    uint32_t keys = pool->rest.keys;
    weir_list_each(it, &pool->endpoints) {
        const struct group *endpoint = list_entry(it, struct group, on_pool);
        check(endpoint->keys > 0 && endpoint->kind == GROUP_ENDPOINT);
        check(endpoint->leases == leases_at(endpoint));
        check(endpoint->places == places_at(endpoint));
        keys += endpoint->keys;
    }
    check(keys == pool->keys.count);
    verify_tenant(&pool->nobody);
    weir_list_each(it, &pool->tenants) {
        verify_tenant(list_entry(it, struct group, on_pool));
    }
    verify_promises(pool);
}

/* --- pools -------------------------------------------------------------------------------- */

static void verify_held(const weir_pool *pool, const struct list *leases)
{
    uint64_t last_ms = 0;
    weir_list_each(it, leases) {
        const struct lease *lease = list_entry(it, struct lease, on_pool);
        check(lease->state == LEASE_HELD);
        check(lease->key->pool == pool);
        check(lease->since_ms >= last_ms);
        check(lease->conn == NULL || lease->on_owner.home == &lease->conn->leases);
        last_ms = lease->since_ms;
    }
}

static void verify_sums(const weir_pool *pool)
{
    uint32_t by_state[WEIR_STATES] = {0};
    uint32_t waiting = 0;
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        check(key->pool == pool);
        waiting += key->waiting.count;
        for (int i = 0; i < WEIR_STATES; i++) {
            by_state[i] += key->by_state[i].count;
        }
        verify_key(key);
    }
    check(waiting == pool->waiting.count);
    for (int i = 0; i < WEIR_STATES; i++) {
        check(by_state[i] == pool->by_state[i].count);
    }
}

void pool_verify(const weir_pool *pool)
{
    const struct counters *counters = &pool->counters;
    uint64_t up = pool_total(pool);
    for (int i = 0; i < WEIR_STATES; i++) {
        weir_list_each(it, &pool->by_state[i]) {
            verify_conn(conn_on_pool(it), (weir_state)i);
            up -= !conn_on_pool(it)->was_up;
        }
    }
    check(counters->created + counters->moved_in - counters->closed - counters->moved_out == up);
    if (pool->ledger.account == 0) {
        check(pool->ledger.credits == pool->opt.max_total);
    }
    verify_sorted(&pool->by_state[WEIR_IDLE]);
    verify_sums(pool);
    verify_groups(pool);
    verify_held(pool, &pool->held);
    verify_held(pool, &pool->overdue);
}

void engine_verify(const weir_engine *engine)
{
    uint64_t conns = 0, leases = 0, keys = 0, groups = 0;
    weir_list_each(it, &engine->pools) {
        const weir_pool *pool = list_entry(it, struct weir_pool, on_engine);
        pool_verify(pool);
        conns += pool_total(pool);
        leases += (uint64_t)pool->waiting.count + pool->held.count + pool->overdue.count;
        keys += pool->keys.count;
        groups += (uint64_t)pool->endpoints.count + pool->tenants.count;
    }
    weir_list_each(it, &engine->answers) {
        leases += list_entry(it, struct lease, on_answer)->state == LEASE_ENDED;
    }
    check(conns == engine->conns.count);
    check(leases == engine->leases.count);
    check(keys == engine->keys.count);
    check(keys == engine->by_key.count);
    check(groups == engine->groups.count && groups == engine->by_group.count);
}
