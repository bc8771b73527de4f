/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.c - one step: time moves, what is due is done, and everybody concerned is told.
 *
 * Decisions are made where something changes, at once, in the call that changed it; nobody is told
 * before the step. So a callback finds the engine settled, and may call whatever it likes: what
 * follows from that is told in the same step, after it.
 */
#include "core/breaker.h"
#include "core/conn.h"
#include "core/ends.h"
#include "core/event.h"
#include "core/key.h"
#include "core/life.h"
#include "core/move.h"
#include "core/peer.h"
#include "core/pool.h"
#include "core/queue.h"
#include "core/warm.h"

#include <stdlib.h>
#include <string.h>

#define CONNS_MAX     10000U
#define WAITING_MAX   1000U
#define KEYS_MAX      4096U
#define KEY_BYTES_MAX (1U << 20)
#define GROUPS_MAX    1024U
#define POOLS_MAX     64U
#define EVENTS_MAX    4096U
#define RECORDS_MAX   (1U << 26) /* of any kind: what the heap of deadlines can count */

/* --- birth and death ---------------------------------------------------------------------- */

static void *default_alloc(void *arg, size_t bytes)
{
    (void)arg;
    return calloc(1, bytes);
}

static void default_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

static void *hook_alloc(void *self, size_t size)
{
    const weir_allocator *allocator = self;
    return allocator->alloc(allocator->arg, size);
}

static void hook_free(void *self, void *ptr)
{
    const weir_allocator *allocator = self;
    if (ptr != NULL) {
        allocator->free(allocator->arg, ptr);
    }
}

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value == WEIR_NONE ? 0 : value != 0 ? value : initial;
}

/* The field that is out of range, or NULL. */
static const char *fault_of(const weir_engine_options *own)
{
    const struct {
        const char *word;
        uint32_t value, most;
    } fields[] = {
        {"conns_max", own->conns_max, RECORDS_MAX},
        {"waiting_max", own->waiting_max, RECORDS_MAX},
        {"leases_max", own->leases_max, RECORDS_MAX},
        {"keys_max", own->keys_max, RECORDS_MAX},
        {"key_bytes_max", own->key_bytes_max, UINT32_MAX / 2},
        {"groups_max", own->groups_max, RECORDS_MAX},
        {"pools_max", own->pools_max, RECORDS_MAX},
        {"events_max", own->events_max, RECORDS_MAX},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].value > fields[i].most) {
            return fields[i].word;
        }
    }
    return NULL;
}

/* The field that is wrong, or NULL. */
static const char *resolve(const weir_engine_options *opt, weir_engine_options *ret_opt)
{
    weir_engine_options own = {0};
    if (opt != NULL) {
        size_t size = opt->size != 0 ? opt->size : sizeof *opt;
        if (size > sizeof own) {
            return "size";
        }
        memcpy(&own, opt, size);
    }
    own.conns_max = or_default(own.conns_max, CONNS_MAX);
    own.waiting_max = or_default(own.waiting_max, WAITING_MAX);
    uint64_t leases = (uint64_t)own.conns_max + own.waiting_max;
    own.leases_max = or_default(own.leases_max,
                                leases < UINT32_MAX ? (uint32_t)leases : UINT32_MAX);
    own.keys_max = or_default(own.keys_max, KEYS_MAX);
    own.key_bytes_max = or_default(own.key_bytes_max, KEY_BYTES_MAX);
    own.groups_max = or_default(own.groups_max, GROUPS_MAX);
    own.pools_max = or_default(own.pools_max, POOLS_MAX);
    own.events_max = or_default(own.events_max, EVENTS_MAX);
    own.events = own.events != 0 ? own.events : UINT32_MAX;
    if (own.allocator.alloc == NULL || own.allocator.free == NULL) {
        own.allocator = (weir_allocator){default_alloc, default_free, NULL};
    }
    *ret_opt = own;
    return fault_of(&own);
}

const char *weir_engine_options_fault(const weir_engine_options *opt)
{
    weir_engine_options own;
    return resolve(opt, &own);
}

static void fini(weir_engine *engine)
{
    slots_fini(&engine->conns);
    slots_fini(&engine->leases);
    slots_fini(&engine->keys);
    slots_fini(&engine->groups);
    map_fini(&engine->by_group);
    arena_fini(&engine->group_texts);
    map_fini(&engine->by_key);
    map_fini(&engine->by_account);
    arena_fini(&engine->texts);
    heap_fini(&engine->timers);
    ring_fini(&engine->events);
}

static bool init(weir_engine *engine, const weir_engine_options *opt)
{
    const struct alloc *alloc = &engine->alloc;
    uint32_t timers = opt->conns_max + opt->leases_max + opt->keys_max + opt->pools_max;
    return slots_init(&engine->conns, alloc, sizeof(struct conn), opt->conns_max)
           && slots_init(&engine->leases, alloc, sizeof(struct lease), opt->leases_max)
           && slots_init(&engine->keys, alloc, sizeof(struct key), opt->keys_max)
           && map_init(&engine->by_key, alloc, opt->keys_max)
           && arena_init(&engine->texts, alloc, opt->key_bytes_max)
           && slots_init(&engine->groups, alloc, sizeof(struct group), opt->groups_max)
           && map_init(&engine->by_group, alloc, opt->groups_max)
           && arena_init(&engine->group_texts, alloc, opt->key_bytes_max)
           && heap_init(&engine->timers, alloc, timers)
           && ring_init(&engine->events, alloc, sizeof(struct queued_event), opt->events_max);
}

weir_err weir_engine_new(const weir_engine_options *opt, weir_engine **ret_engine)
{
    weir_engine_options own = {0};
    if (resolve(opt, &own) != NULL) {
        return WEIR_EINVAL;
    }
    weir_engine *engine = own.allocator.alloc(own.allocator.arg, sizeof *engine);
    if (engine == NULL) {
        return WEIR_ENOMEM;
    }
    memset(engine, 0, sizeof *engine);
    engine->allocator = own.allocator;
    engine->alloc = (struct alloc){
        .alloc = hook_alloc, .free = hook_free, .zeroed = hook_alloc, .self = &engine->allocator};
    engine->now_ms = own.now_ms;
    engine->waiting_max = own.waiting_max;
    engine->pools_max = own.pools_max;
    engine->on_event = own.on_event;
    engine->event_arg = own.event_arg;
    engine->event_mask = own.on_event != NULL ? own.events : 0;
    engine->hash_seed = rand_mix(own.seed);
    engine->fault = "";
    rand_init(&engine->rand, own.seed);
    list_init(&engine->pools);
    list_init(&engine->todo);
    list_init(&engine->answers);
    list_init(&engine->unused);
    if (!init(engine, &own)) {
        weir_engine_free(engine);
        return WEIR_ENOMEM;
    }
    *ret_engine = engine;
    return WEIR_OK;
}

/* What this engine held of shared limits is free for the others. */
static void leave_accounts(weir_pool *pool)
{
    weir_list_each(it, &pool->keys) {
        ledger_close(pool, list_entry(it, struct key, on_pool));
    }
    ledger_close(pool, NULL);
}

/* Connections that came from another engine, and that no connector knows yet. */
static void drop_parcels(weir_pool *pool)
{
    weir_list_each(it, &pool->by_state[WEIR_DIALLING]) {
        const struct conn *conn = conn_on_pool(it);
        if (move_is_parcel(conn)) {
            pool->connector->attach(NULL, (weir_conn){0}, conn->object);
        }
    }
    weir_list_each(it, &pool->by_state[WEIR_CLOSING]) {
        const struct conn *conn = conn_on_pool(it);
        if (move_is_parcel(conn)) {
            pool->connector->attach(NULL, (weir_conn){0}, conn->object);
        }
    }
}

void weir_engine_free(weir_engine *take_engine)
{
    if (take_engine == NULL) {
        return;
    }
    weir_allocator allocator = take_engine->allocator;
    struct node *node;
    while ((node = list_pop_front(&take_engine->pools)) != NULL) {
        weir_pool *pool = list_entry(node, struct weir_pool, on_engine);
        drop_parcels(pool);
        leave_accounts(pool);
        alloc_free(&take_engine->alloc, pool);
    }
    fini(take_engine);
    allocator.free(allocator.arg, take_engine);
}

/* --- a step ------------------------------------------------------------------------------- */

static void fire(weir_engine *engine, struct timer *timer)
{
    struct key *key;
    switch ((enum timer_kind)timer->kind) { /* cover: every kind is named */
    case TIMER_CONN: pool_conn_timer(container_of(timer, struct conn, timer)); return;
    case TIMER_LEASE: pool_lease_timer(container_of(timer, struct lease, timer)); return;
    case TIMER_POOL: pool_timer(container_of(timer, struct weir_pool, timer)); return;
    case TIMER_KEY: break;
    }
    key = container_of(timer, struct key, timer);
    if (key->on_list.home == &engine->unused) {
        key_forget(key);
        return;
    }
    breaker_timer(key);
    pool_serve(key);
}

static bool fire_due(weir_engine *engine)
{
    bool any = false;
    struct heap_node *node;
    while ((node = heap_pop_due(&engine->timers, engine->now_ms)) != NULL) {
        fire(engine, container_of(node, struct timer, node));
        any = true;
    }
    return any;
}

/* A slot came free, and some key had found none. */
static bool feed_short(weir_engine *engine)
{
    if (!engine->slots_short || engine->conns.count == engine->conns.capacity) {
        return false;
    }
    engine->slots_short = false;
    weir_list_each(it, &engine->pools) {
        pool_feed(list_entry(it, struct weir_pool, on_engine));
        warm_wake(list_entry(it, struct weir_pool, on_engine));
    }
    return true;
}

static bool end_pools(weir_engine *engine)
{
    bool any = false;
    weir_list_each_safe(it, &engine->pools) {
        weir_pool *pool = list_entry(it, struct weir_pool, on_engine);
        if (pool_is_over(pool)) {
            event_pool_closed(pool);
            pool_free(pool);
            any = true;
        }
    }
    return any;
}

uint64_t weir_step(weir_engine *engine, uint64_t now_ms)
{
    check(!engine->stepping);
    engine->stepping = true;
    if (now_ms > engine->now_ms) {
        engine->now_ms = now_ms;
    }
    bool any;
    do {
        any = fire_due(engine);
        any |= feed_short(engine);
        any |= event_deliver(engine);
        any |= queue_deliver(engine);
        any |= peer_deliver(engine);
        if (!any) {
            any = end_pools(engine);
        }
    } while (any);
    engine->stepping = false;
    return heap_first_ms(&engine->timers);
}

bool weir_engine_pending(const weir_engine *engine)
{
    if (engine->todo.count > 0 || engine->answers.count > 0 || ring_count(&engine->events) > 0
        || heap_first_ms(&engine->timers) <= engine->now_ms) {
        return true;
    }
    weir_list_each(it, &engine->pools) {
        if (pool_is_over(list_entry(it, struct weir_pool, on_engine))) {
            return true;
        }
    }
    return engine->slots_short && engine->conns.count < engine->conns.capacity;
}

uint64_t weir_engine_now(const weir_engine *engine)
{
    return engine->now_ms;
}
