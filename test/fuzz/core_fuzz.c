/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes as a sequence of inputs to two pools of one engine: callers, peers and time in any order.
 * After each, every invariant is checked; at the end the faults stop, the pools close, and nothing
 * may be left.
 *
 * The first bytes are options, then each input is an opcode and its operand.
 */
#include "base/check.h"
#include "core/inspect.h"

#include <stdlib.h>
#include <string.h>

#define CONNS  64U
#define LEASES 64U
#define KEYS   6U
#define POOLS  2U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    const uint8_t *data;
    size_t left;
    weir_engine *engine;
    weir_pool *pools[POOLS]; /* NULL: closed */
    weir_conn conns[CONNS];  /* the latest heard of; most are stale sooner or later */
    uint8_t conn_pool[CONNS];
    weir_lease leases[LEASES];
    uint8_t lease_pool[LEASES];
    uint32_t next_conn, next_lease;
    uint32_t asked, answered; /* callbacks that are due, and that ran */
    uint64_t now_ms;
    bool answers_at_once; /* dials, probes and closes, from inside the call */
    bool is_over;
};

struct side {
    struct world *world;
    uint8_t pool;
};

static struct side sides[POOLS];

static uint8_t next(struct world *world)
{
    if (world->left == 0) {
        return 0;
    }
    world->left--;
    return *world->data++;
}

static void note_conn(const struct side *side, weir_conn conn)
{
    struct world *world = side->world;
    world->conn_pool[world->next_conn % CONNS] = side->pool;
    world->conns[world->next_conn++ % CONNS] = conn;
}

static void note_lease(struct world *world, uint8_t pool, weir_lease lease)
{
    world->lease_pool[world->next_lease % LEASES] = pool;
    world->leases[world->next_lease++ % LEASES] = lease;
}

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    const struct side *side = self;
    check(key->host != NULL);
    note_conn(side, conn);
    if (side->world->is_over) {
        check(weir_conn_down(side->world->pools[side->pool], conn, WEIR_ECONNECT) == WEIR_OK);
    } else if (side->world->answers_at_once) {
        check(weir_conn_up(side->world->pools[side->pool], conn, self, 1) == WEIR_OK);
    }
}

static void on_probe(void *self, weir_conn conn, void *object)
{
    const struct side *side = self;
    if (side->world->answers_at_once) {
        check(weir_conn_up(side->world->pools[side->pool], conn, object, 1) == WEIR_OK);
    }
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    const struct side *side = self;
    (void)object;
    check(why > WEIR_OK && why < WEIR_ERRS);
    note_conn(side, conn);
    if (side->world->answers_at_once) {
        check(weir_conn_down(side->world->pools[side->pool], conn, WEIR_ECLOSED) == WEIR_OK);
    }
}

static void on_cut(void *self, weir_conn conn, void *object)
{
    (void)self;
    (void)conn;
    (void)object;
}

static bool is_reusable(void *self, void *object)
{
    (void)object;
    return ((const struct side *)self)->world->left % 7 != 0;
}

static void on_event(void *arg, const weir_event *event)
{
    struct world *world = arg;
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        for (unsigned i = 0; i < POOLS; i++) {
            if (world->pools[i] == event->pool) {
                world->pools[i] = NULL;
            }
        }
    }
}

static void on_grant(void *arg, const weir_grant *grant)
{
    struct side *side = arg;
    side->world->answered++;
    check((grant->err == WEIR_OK) == (grant->conn.id != 0));
    if (grant->err == WEIR_OK && side->world->is_over) {
        check(weir_release(side->world->pools[side->pool], grant->lease, WEIR_BROKEN) == WEIR_OK);
    }
}

static const weir_connector connectors[POOLS] = {
    {.scheme = "a",
     .dial = on_dial,
     .probe = on_probe,
     .close = on_close,
     .cut = on_cut,
     .reusable = is_reusable},
    {.scheme = "b", .dial = on_dial, .close = on_close},
};

static uint32_t small(struct world *world, uint32_t most)
{
    uint8_t byte = next(world);
    return byte >= 250 ? WEIR_UNLIMITED : byte % most;
}

static weir_pool_options draw_options(struct world *world, unsigned pool)
{
    return (weir_pool_options){
        .size = sizeof(weir_pool_options),
        .connector = &connectors[pool],
        .connector_self = &sides[pool],
        .max_total = small(world, 9),
        .max_per_key = small(world, 6),
        .max_idle = small(world, 4),
        .connecting_max = small(world, 4),
        .waiting_max = small(world, 20),
        .max_uses = small(world, 5),
        .idle_timeout_ms = small(world, 100),
        .max_age_ms = small(world, 200),
        .probe_every_ms = small(world, 50),
        .probe_timeout_ms = small(world, 20),
        .connect_timeout_ms = small(world, 20),
        .acquire_timeout_ms = small(world, 100),
        .lease_warn_ms = small(world, 30),
        .lease_timeout_ms = small(world, 60),
        .key_idle_ms = small(world, 90),
        .retry_first_ms = small(world, 20),
        .failures_max = small(world, 4),
        .down_for_ms = small(world, 60),
        .leases_ideal = small(world, 4),
        .leases_hard = small(world, 6),
        .streams_conns_max = small(world, 4),
        .reuse = next(world) % 5,
        .refuse_when_full = next(world) % 3,
        .on_dial_error = next(world) % 3,
        .reconnect = next(world) % 3,
    };
}

static weir_key draw_key(struct world *world)
{
    static const char *const hosts[KEYS] = {"a", "b", "c", "d", "A", "e"};
    uint8_t byte = next(world);
    return (weir_key){
        .host = hosts[byte % KEYS], .port = byte / 64, .tenant = byte & 32 ? "t" : NULL};
}

static void acquire(struct world *world, uint8_t pool)
{
    weir_key key = draw_key(world);
    weir_lease lease;
    weir_acquire_options opt = {
        .size = sizeof opt, .flags = next(world) & 15, .timeout_ms = small(world, 80)};
    if (weir_acquire(world->pools[pool], &key, &opt, on_grant, &sides[pool], &lease) == WEIR_OK) {
        world->asked++;
        note_lease(world, pool, lease);
    }
}

static void try_acquire(struct world *world, uint8_t pool)
{
    weir_key key = draw_key(world);
    weir_lease lease;
    if (weir_try_acquire(world->pools[pool], &key, next(world) & 15, &lease, NULL) == WEIR_OK) {
        note_lease(world, pool, lease);
    }
}

static void release(struct world *world)
{
    uint8_t i = next(world) % LEASES;
    uint8_t pool = world->lease_pool[i];
    if (world->pools[pool] != NULL) {
        weir_release(world->pools[pool], world->leases[i], (weir_fate)(next(world) % WEIR_FATES));
    }
}

static void admit(struct world *world, uint8_t pool)
{
    weir_key key = draw_key(world);
    weir_conn conn;
    if (weir_admit(world->pools[pool], &key, "note", world, &conn) == WEIR_OK) {
        note_conn(&sides[pool], conn);
    }
}

static void report(struct world *world)
{
    uint8_t what = next(world);
    uint8_t i = next(world) % CONNS;
    weir_pool *pool = world->pools[world->conn_pool[i]];
    weir_conn conn = world->conns[i];
    weir_lease lease;
    if (pool == NULL) {
        return;
    }
    switch (what % 10) {
    case 0:
    case 1:
    case 2: weir_conn_up(pool, conn, world, what / 10 % 5); break;
    case 3:
    case 4: weir_conn_down(pool, conn, (weir_err)(what % WEIR_ERRS)); break;
    case 5: weir_conn_room(pool, conn, what / 10 % 7); break;
    case 6: weir_conn_retire(pool, conn, WEIR_OK); break;
    case 7: weir_conn_latency(pool, conn, (uint32_t)what * 100); break;
    case 8: weir_conn_idle(pool, conn, what / 10); break;
    default:
        weir_conn_used(pool, conn);
        weir_conn_handshake(pool, conn);
        if (weir_conn_lease(pool, conn, &lease) == WEIR_OK) {
            note_lease(world, world->conn_pool[i], lease);
        }
        break;
    }
}

static void manage(struct world *world, uint8_t pool)
{
    weir_key key;
    weir_pool_options opt;
    char text[200];
    switch (next(world) % 5) {
    case 0:
        opt = draw_options(world, pool);
        weir_pool_update(world->pools[pool], &opt);
        break;
    case 1: weir_pool_flush(world->pools[pool], NULL, small(world, 50)); break;
    case 2:
        key = draw_key(world);
        weir_pool_flush(world->pools[pool], &key, small(world, 50));
        break;
    case 3:
        key = draw_key(world);
        weir_pool_explain(world->pools[pool], &key, text, sizeof text);
        weir_pool_explain(world->pools[pool], NULL, text, sizeof text);
        break;
    default:
        if (world->left % 8 == 0) {
            weir_pool_close(world->pools[pool], small(world, 50));
        }
        break;
    }
}

static void step(struct world *world, uint64_t ms)
{
    world->now_ms += ms;
    uint64_t due_ms = weir_step(world->engine, world->now_ms);
    check(due_ms > world->now_ms);
    check(!weir_engine_pending(world->engine));
}

static void one_input(struct world *world)
{
    uint8_t op = next(world);
    uint8_t pool = op >> 7;
    op &= 127;
    if (world->pools[pool] == NULL) {
        step(world, op);
        return;
    }
    switch (op % 12) {
    case 0:
    case 1:
    case 2: acquire(world, pool); break;
    case 3: try_acquire(world, pool); break;
    case 4:
    case 5: release(world); break;
    case 6: admit(world, pool); break;
    case 7:
    case 8: report(world); break;
    case 9: manage(world, pool); break;
    default: step(world, op / 12); break;
    }
}

/* No more faults: everything is answered, given back, and closed. */
static void settle(struct world *world)
{
    world->is_over = world->answers_at_once = true;
    for (unsigned i = 0; i < POOLS; i++) {
        if (world->pools[i] != NULL) {
            weir_pool_close(world->pools[i], WEIR_NONE);
        }
    }
    step(world, 1);
    for (uint32_t i = 0; i < world->next_lease && i < LEASES; i++) {
        if (world->pools[world->lease_pool[i]] != NULL) {
            weir_release(world->pools[world->lease_pool[i]], world->leases[i], WEIR_BROKEN);
        }
    }
    step(world, 1);
    engine_verify(world->engine);
}

/* What the ring of the latest ids has lost sight of is found in the engine itself. */
static void settle_rest(struct world *world)
{
    for (unsigned i = 0; i < POOLS; i++) {
        weir_pool *pool = world->pools[i];
        while (pool != NULL && pool == world->pools[i]) {
            struct node *node = list_first(&pool->held);
            if (node == NULL) {
                node = list_first(&pool->overdue);
            }
            if (node != NULL) {
                struct lease *lease = list_entry(node, struct lease, on_pool);
                weir_release(pool, (weir_lease){lease_id(lease)}, WEIR_BROKEN);
            } else {
                node = list_first(&pool->by_state[WEIR_CLOSING]);
                check(node != NULL);
                struct conn *conn = list_entry(node, struct conn, on_pool);
                weir_conn_down(pool, (weir_conn){conn_id(conn)}, WEIR_ECLOSED);
            }
            step(world, 1);
        }
    }
    check(world->engine->conns.count == 0);
    check(world->engine->leases.count == 0);
    check(world->engine->keys.count == 0);
    check(world->asked == world->answered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.data = data, .left = size};
    weir_engine_options opt = {.size = sizeof opt, .on_event = on_event, .event_arg = &world};
    opt.conns_max = 1 + next(&world) % 40;
    opt.keys_max = 1 + next(&world) % 12;
    opt.waiting_max = 1 + next(&world) % 30;
    opt.events_max = 1 + next(&world) % 30;
    opt.seed = next(&world);
    world.answers_at_once = next(&world) % 4 == 0;
    check(weir_engine_new(&opt, &world.engine) == WEIR_OK);
    for (unsigned i = 0; i < POOLS; i++) {
        sides[i] = (struct side){&world, (uint8_t)i};
        weir_pool_options pool = draw_options(&world, i);
        if (weir_pool_open(world.engine, &pool, &world.pools[i]) != WEIR_OK) {
            weir_pool_options plain = {
                .size = sizeof plain, .connector = &connectors[i], .connector_self = &sides[i]};
            check(weir_pool_open(world.engine, &plain, &world.pools[i]) == WEIR_OK);
        }
    }
    while (world.left > 0) {
        one_input(&world);
        engine_verify(world.engine);
    }
    settle(&world);
    settle_rest(&world);
    weir_engine_free(world.engine);
    return 0;
}
