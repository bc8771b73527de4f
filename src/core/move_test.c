/* SPDX-License-Identifier: Apache-2.0
 *
 * An idle connection goes to the engine whose callers need it, and whatever comes in between, it is
 * nowhere twice and never lost.
 */
#include "core/move.h"

#include "core/hub.h"
#include "core/inspect.h"
#include "core/pool.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENGINES 3U

enum mood { UP_AT_ONCE, UP_NEVER, DOWN_AT_ONCE };

#define THINGS_MAX 64U

struct thing {
    bool is_packed;
};

struct side {
    uint32_t number;
    weir_engine *engine;
    weir_pool *pool;
    struct limit_port port;
    weir_lease lease; /* the latest grant */
    weir_err err;
    uint32_t answers;
    bool reused;
    char heard[256];
};

static struct street {
    struct hub hub;
    struct side sides[ENGINES];
    enum mood mood;
    bool stays; /* detach() says no */
    struct thing things[THINGS_MAX];
    uint32_t made;
    uint32_t dials, closes, dropped, alive;
    weir_conn attaching;
    uint64_t now_ms;
} street;

static const weir_key key = {.host = "h"};

/* --- the connector ------------------------------------------------------------------------------
 */

static void on_dial(void *self, weir_conn conn, const weir_key *to)
{
    struct side *side = self;
    (void)to;
    street.dials++;
    street.alive++;
    assert_true(street.made < THINGS_MAX);
    assert_int_equal(weir_conn_up(side->pool, conn, &street.things[street.made++], 1), WEIR_OK);
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    struct side *side = self;
    street.closes++;
    street.alive -= object != NULL;
    assert_int_equal(weir_conn_down(side->pool, conn, why), WEIR_OK);
}

static void *on_detach(void *self, void *object)
{
    struct thing *thing = object;
    (void)self;
    assert_false(thing->is_packed);
    if (street.stays) {
        return NULL;
    }
    thing->is_packed = true;
    return thing;
}

static void on_attach(void *self, weir_conn conn, void *parcel)
{
    struct side *side = self;
    struct thing *thing = parcel;
    assert_true(thing->is_packed);
    thing->is_packed = false;
    if (side == NULL) {
        assert_true(conn.id == 0);
        street.dropped++;
        street.alive--;
        return;
    }
    street.attaching = conn;
    if (street.mood == UP_AT_ONCE) {
        assert_int_equal(weir_conn_up(side->pool, conn, thing, 1), WEIR_OK);
        return;
    }
    street.alive--;
    if (street.mood == DOWN_AT_ONCE) {
        assert_int_equal(weir_conn_down(side->pool, conn, WEIR_EHANGUP), WEIR_OK);
    }
}

static const weir_connector connector = {.scheme = "x",
                                         .dial = on_dial,
                                         .close = on_close,
                                         .detach = on_detach,
                                         .attach = on_attach};

/* --- the street ---------------------------------------------------------------------------------
 */

static uint32_t port_join(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    const struct side *side = arg;
    return hub_join(&street.hub, side->number, name, len, limit);
}

static uint32_t port_enroll(void *arg, uint32_t pool_account, const char *name, uint32_t len)
{
    const struct side *side = arg;
    return hub_enroll(&street.hub, side->number, pool_account, name, len);
}

static void port_leave(void *arg, uint32_t account)
{
    const struct side *side = arg;
    hub_leave(&street.hub, side->number, account);
}

static bool port_take(void *arg, uint32_t account)
{
    const struct side *side = arg;
    return hub_take(&street.hub, side->number, account);
}

static void port_send(void *arg, const struct limit_msg *msg)
{
    const struct side *side = arg;
    struct limit_msg mine = *msg;
    mine.engine = (uint16_t)side->number;
    hub_receive(&street.hub, &mine);
}

static void on_event(void *arg, const weir_event *event)
{
    struct side *side = arg;
    size_t len = strlen(side->heard);
    if (event->kind == WEIR_EVENT_CONNECTION_ADDED
        || event->kind == WEIR_EVENT_CONNECTION_REMOVED) {
        snprintf(side->heard + len, sizeof side->heard - len, "%s%s(%s)", len > 0 ? " " : "",
                 event->kind == WEIR_EVENT_CONNECTION_ADDED ? "added" : "removed",
                 event->why == WEIR_OK ? "" : weir_err_word(event->why));
    }
}

static void side_open(uint32_t number, const weir_pool_options *opt)
{
    struct side *side = &street.sides[number];
    weir_engine_options engine = {
        .seed = number, .conns_max = 8, .on_event = on_event, .event_arg = side};
    weir_pool_options pool = *opt;
    *side = (struct side){.number = number};
    side->port = (struct limit_port){side,      port_join, port_leave, port_take,
                                     port_send, ENGINES,   port_enroll};
    assert_int_equal(weir_engine_new(&engine, &side->engine), WEIR_OK);
    assert_int_equal(engine_share(side->engine, &side->port), WEIR_OK);
    pool.connector = &connector;
    pool.connector_self = side;
    assert_int_equal(weir_pool_open(side->engine, &pool, &side->pool), WEIR_OK);
}

static void open_with(const weir_pool_options *opt, const struct hub_options *hub)
{
    memset(&street, 0, sizeof street);
    assert_true(hub_init(&street.hub, &alloc_libc, hub));
    for (uint32_t i = 0; i < ENGINES; i++) {
        side_open(i, opt);
    }
}

static void open_street(const weir_pool_options *opt)
{
    open_with(opt, &(struct hub_options){.engines = ENGINES});
}

static bool fetch(struct side *side)
{
    struct limit_msg msg;
    bool any = hub_next(&street.hub, side->number, &msg);
    if (any) {
        engine_receive(side->engine, &msg);
        engine_verify(side->engine);
    }
    hub_verify(&street.hub);
    return any;
}

static void step(struct side *side)
{
    weir_step(side->engine, street.now_ms);
    engine_verify(side->engine);
}

static void settle(void)
{
    bool any = true;
    while (any) {
        any = false;
        for (uint32_t i = 0; i < ENGINES; i++) {
            while (fetch(&street.sides[i])) {
                any = true;
            }
            any |= weir_engine_pending(street.sides[i].engine);
            step(&street.sides[i]);
        }
    }
}

static void on_grant(void *arg, const weir_grant *grant)
{
    struct side *side = arg;
    side->answers++;
    side->err = grant->err;
    side->lease = grant->lease;
    side->reused = grant->reused;
}

static void ask(uint32_t number)
{
    struct side *side = &street.sides[number];
    weir_lease lease;
    assert_int_equal(weir_acquire(side->pool, &key, NULL, on_grant, side, &lease), WEIR_OK);
    side->lease = lease;
}

static void give(uint32_t number)
{
    struct side *side = &street.sides[number];
    assert_int_equal(weir_release(side->pool, side->lease, WEIR_KEEP), WEIR_OK);
}

/* Has one idle connection, of the only place there is. */
static void one_idle_at(uint32_t number)
{
    ask(number);
    settle();
    give(number);
    settle();
    assert_int_equal(street.dials, 1);
}

static weir_stats stats_of(uint32_t number)
{
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(street.sides[number].pool, &stats);
    return stats;
}

static void close_street(void)
{
    for (uint32_t i = 0; i < ENGINES; i++) {
        if (street.sides[i].pool != NULL) {
            weir_pool_close(street.sides[i].pool, WEIR_NONE);
        }
    }
    settle();
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    hub_fini(&street.hub);
    assert_int_equal(street.alive, 0);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static const weir_pool_options narrow = {.max_total = 1, .max_per_key = 1};

static void goes_where_a_caller_waits(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    street.now_ms = 700;
    ask(1);
    settle();
    assert_int_equal(street.sides[1].answers, 1);
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_true(street.sides[1].reused);
    assert_int_equal(street.dials, 1);
    assert_int_equal(street.closes, 0);
    assert_string_equal(street.sides[0].heard, "added() removed(moved)");
    assert_string_equal(street.sides[1].heard, "added(moved)");
    weir_stats from = stats_of(0);
    weir_stats to = stats_of(1);
    assert_int_equal(from.moved_out, 1);
    assert_int_equal(from.created, 1);
    assert_int_equal(from.closed, 0);
    assert_int_equal(from.total, 0);
    assert_int_equal(to.moved_in, 1);
    assert_int_equal(to.created, 0);
    assert_int_equal(to.total, 1);
    assert_int_equal(street.sides[1].pool->ledger.credits, 1);
    assert_int_equal(street.sides[0].pool->ledger.credits, 0);

    /* And on to the third, while its second user still has it. */
    ask(2);
    settle();
    assert_int_equal(street.sides[2].answers, 0);
    give(1);
    settle();
    assert_int_equal(street.sides[2].err, WEIR_OK);
    assert_int_equal(street.sides[2].answers, 1);
    assert_int_equal(street.dials, 1);
    give(2);
    close_street();
}

static const struct conn *idle_at(uint32_t number)
{
    struct node *node = list_first(&street.sides[number].pool->by_state[WEIR_IDLE]);
    assert_non_null(node);
    return list_entry(node, struct conn, on_pool);
}

static void keeps_its_address(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    weir_conn conn = {conn_id(idle_at(0))};
    assert_int_equal(weir_conn_address(street.sides[0].pool, conn, 77), WEIR_OK);
    street.now_ms = 5000;
    ask(1);
    settle();
    give(1);
    settle();
    assert_int_equal(idle_at(1)->peer.address, 77);
    assert_int_equal(idle_at(1)->created_ms, 0);
    assert_int_equal(weir_conn_address(street.sides[0].pool, conn, 78), WEIR_ESTALE);
    close_street();
}

/* Age and uses come along. */
static void keeps_its_age(void **state)
{
    (void)state;
    weir_pool_options opt = narrow;
    opt.max_uses = 3;
    open_street(&opt);
    one_idle_at(0);
    for (uint32_t i = 1; i < 3; i++) {
        ask(i);
        settle();
        give(i);
        settle();
    }
    assert_int_equal(street.dials, 1);
    assert_int_equal(street.closes, 1); /* it has had its three */
    assert_int_equal(stats_of(2).closed_by[WEIR_EUSES], 1);
    close_street();
}

static void closes_where_it_cannot_be_taken_off(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    street.stays = true;
    ask(1);
    settle();
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_int_equal(street.sides[1].answers, 1);
    assert_int_equal(street.closes, 1);
    assert_int_equal(street.dials, 2);
    assert_int_equal(stats_of(0).closed_by[WEIR_EEVICTED], 1);
    close_street();
}

/* Nobody needs it any more when it comes to the hub. */
static void comes_back_to_whom_it_left(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    ask(1);
    while (fetch(&street.sides[0])) {
    }
    give(1); /* cancels */
    settle();
    assert_int_equal(street.sides[1].err, WEIR_ECANCELED);
    assert_string_equal(street.sides[0].heard, "added() removed(moved) added(moved)");
    assert_int_equal(stats_of(0).idle, 1);
    assert_int_equal(street.dials, 1);
    close_street();
}

/* Its connection died on the way. */
static void a_caller_is_served_though_it_is_lost(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    street.mood = DOWN_AT_ONCE;
    ask(1);
    settle();
    assert_int_equal(street.sides[1].answers, 1);
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_int_equal(street.dials, 2);
    assert_string_equal(street.sides[1].heard, "added(moved) removed(hangup) added()");
    assert_int_equal(stats_of(1).dials_failed, 0);
    give(1);
    close_street();
}

static void a_connector_that_takes_too_long_is_told_to_close(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    street.mood = UP_NEVER;
    ask(1);
    settle();
    assert_int_equal(street.sides[1].answers, 0);
    street.now_ms += 10000;
    settle();
    assert_int_equal(street.closes, 1);
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_int_equal(street.sides[1].answers, 1);
    assert_int_equal(street.dials, 2);
    assert_int_equal(stats_of(1).dials_failed, 0);
    give(1);
    close_street();
}

/* Received, and not attached yet. */
static void bring_to_the_door(void)
{
    open_street(&narrow);
    one_idle_at(0);
    ask(1);
    while (fetch(&street.sides[0])) {
    }
    step(&street.sides[0]);
    while (fetch(&street.sides[1])) {
    }
    assert_int_equal(stats_of(1).dialling, 1);
    assert_int_equal(stats_of(0).moved_out, 1);
}

static void a_pool_that_closes_drops_what_comes(void **state)
{
    (void)state;
    bring_to_the_door();
    weir_pool_close(street.sides[1].pool, WEIR_NONE);
    step(&street.sides[1]);
    assert_int_equal(street.dropped, 1);
    assert_int_equal(street.closes, 0);
    assert_int_equal(street.sides[1].err, WEIR_ECLOSED);
    assert_string_equal(street.sides[1].heard, "added(moved) removed(closed)");
    weir_engine_free(street.sides[1].engine);
    street.sides[1].engine = NULL;
    weir_engine_free(street.sides[0].engine);
    weir_engine_free(street.sides[2].engine);
    hub_fini(&street.hub);
    assert_int_equal(street.alive, 0);
}

static void an_engine_that_is_freed_drops_what_comes(void **state)
{
    (void)state;
    bring_to_the_door();
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    assert_int_equal(street.dropped, 1);
    hub_fini(&street.hub);
    bring_to_the_door();
    weir_pool_close(street.sides[1].pool, WEIR_NONE);
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    assert_int_equal(street.dropped, 1);
    hub_fini(&street.hub);
}

static void a_hub_that_is_freed_drops_what_waits(void **state)
{
    (void)state;
    open_street(&narrow);
    one_idle_at(0);
    ask(1);
    while (fetch(&street.sides[0])) {
    }
    step(&street.sides[0]);
    assert_int_equal(stats_of(0).moved_out, 1);
    hub_fini(&street.hub);
    assert_int_equal(street.dropped, 1);
    assert_int_equal(street.alive, 0);
    struct hub_options again = {.engines = ENGINES};
    assert_true(hub_init(&street.hub, &alloc_libc, &again));
    for (uint32_t i = 0; i < ENGINES; i++) {
        street.sides[i].pool->ledger.account = 0;
        weir_list_each(it, &street.sides[i].pool->keys) {
            list_entry(it, struct key, on_pool)->ledger.account = 0;
        }
        weir_engine_free(street.sides[i].engine);
    }
    hub_fini(&street.hub);
}

/* Whoever it was for has left: to the next in need, or to nobody. */
static void goes_on_when_its_addressee_leaves(void **state)
{
    (void)state;
    for (int someone_else = 0; someone_else < 2; someone_else++) {
        open_street(&narrow);
        one_idle_at(0);
        ask(1);
        while (fetch(&street.sides[0])) {
        }
        step(&street.sides[0]);
        if (someone_else) {
            ask(2);
        }
        weir_engine_free(street.sides[1].engine);
        street.sides[1].engine = NULL;
        hub_verify(&street.hub);
        while (fetch(&street.sides[2])) {
            step(&street.sides[2]);
        }
        assert_int_equal(street.dropped, !someone_else);
        assert_int_equal(street.sides[2].answers, someone_else);
        assert_int_equal(street.dials, 1);
        weir_engine_free(street.sides[0].engine);
        weir_pool_close(street.sides[2].pool, WEIR_NONE);
        if (someone_else) {
            give(2);
        }
        step(&street.sides[2]);
        weir_engine_free(street.sides[2].engine);
        hub_fini(&street.hub);
        assert_int_equal(street.alive, 0);
    }
}

/* Its caller gave up, and its key is forgotten; the pool is not, and has room again. */
static void takes_no_room_where_its_key_is_forgotten(void **state)
{
    (void)state;
    weir_pool_options opt = narrow;
    opt.key_idle_ms = 10;
    open_street(&opt);
    one_idle_at(0);
    ask(1);
    while (fetch(&street.sides[0])) {
    }
    step(&street.sides[0]);
    assert_int_equal(stats_of(0).moved_out, 1);
    give(1);
    step(&street.sides[1]);
    assert_int_equal(street.dropped, 0);
    assert_int_equal(hub_out(&street.hub, "x", 2), 1);
    street.now_ms += 10;
    step(&street.sides[1]);
    assert_int_equal(street.dropped, 1);
    assert_int_equal(hub_out(&street.hub, "x", 2), 0);
    ask(2);
    settle();
    assert_int_equal(street.sides[2].answers, 1);
    assert_int_equal(street.sides[2].err, WEIR_OK);
    give(2);
    close_street();
}

/* One more than the hub has room for. */
static void a_full_hub_closes(const weir_pool_options *opt)
{
    weir_pool_options two = *opt;
    struct hub_options hub = {.engines = ENGINES, .parcels_max = 1};
    open_with(&two, &hub);
    ask(0);
    ask(2);
    settle();
    give(0);
    give(2);
    settle();
    ask(1);
    ask(1);
    for (uint32_t i = 0; i < ENGINES; i += 2) {
        while (fetch(&street.sides[i])) {
        }
        step(&street.sides[i]);
    }
    settle();
    assert_int_equal(street.sides[1].answers, 2);
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_int_equal(street.dropped, 1);
    assert_int_equal(street.dials, 3);
    hub_verify(&street.hub);
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    assert_int_equal(hub_out(&street.hub, "x", 2), 0);
    hub_fini(&street.hub);
}

static void is_closed_where_the_hub_is_full(void **state)
{
    (void)state;
    a_full_hub_closes(&(weir_pool_options){.max_total = 2, .max_per_key = 2});
    a_full_hub_closes(&(weir_pool_options){.max_total = WEIR_UNLIMITED, .max_per_key = 2});
}

/* It was to go; before it could be taken off, its pool closed, or lost its limit. */
static void stays_where_there_is_no_going_any_more(void **state)
{
    (void)state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        weir_pool_options opt = {.max_total = WEIR_UNLIMITED, .max_per_key = 1};
        open_street(&opt);
        one_idle_at(0);
        ask(1);
        while (fetch(&street.sides[0])) {
        }
        if (is_closed) {
            weir_pool_close(street.sides[0].pool, WEIR_NONE);
        } else {
            weir_pool_options_of(street.sides[0].pool, &opt);
            opt.max_per_key = WEIR_UNLIMITED;
            assert_int_equal(weir_pool_update(street.sides[0].pool, &opt), WEIR_OK);
        }
        step(&street.sides[0]);
        settle();
        assert_int_equal(street.dropped, 0);
        assert_int_equal(street.closes, 1);
        assert_int_equal(street.sides[1].answers, 1);
        assert_int_equal(street.sides[1].err, WEIR_OK);
        give(1);
        if (is_closed) {
            street.sides[0].pool = NULL;
        }
        close_street();
    }
}

/* The limit was lowered while it was under way: it goes back, and is closed there. */
static void comes_back_where_there_are_too_many(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 4, .max_per_key = 4};
    open_street(&opt);
    for (uint32_t i = 0; i < 4; i++) {
        ask(0);
        settle();
    }
    give(0);
    step(&street.sides[0]);
    ask(2);
    while (fetch(&street.sides[0])) {
    }
    weir_pool_options_of(street.sides[2].pool, &opt);
    opt.max_per_key = 1;
    assert_int_equal(weir_pool_update(street.sides[2].pool, &opt), WEIR_OK);
    step(&street.sides[0]);
    settle();
    assert_int_equal(street.sides[2].answers, 0);
    hub_verify(&street.hub);
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    hub_fini(&street.hub);
}

/* It comes to a pool that closes, and has another that is still in use. */
static void comes_to_a_pool_that_closes(void **state)
{
    (void)state;
    open_street(&(weir_pool_options){.max_total = 2, .max_per_key = 2});
    one_idle_at(0);
    ask(1);
    settle();
    ask(0);
    settle();
    give(0);
    settle();
    weir_lease held = street.sides[1].lease;
    ask(1);
    while (fetch(&street.sides[0])) {
    }
    step(&street.sides[0]);
    weir_pool_close(street.sides[1].pool, 1000);
    settle();
    street.sides[1].lease = held;
    give(1);
    settle();
    assert_int_equal(street.dropped + street.closes, 2);
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(street.sides[i].engine);
    }
    hub_fini(&street.hub);
}

/* The pools of two engines have different limits, in the middle of an update. */
static void a_pool_without_room_turns_it_away(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = WEIR_UNLIMITED, .max_per_key = 1};
    open_street(&opt);
    one_idle_at(0);
    weir_pool_options_of(street.sides[1].pool, &opt);
    opt.max_total = 1;
    assert_int_equal(weir_pool_update(street.sides[1].pool, &opt), WEIR_OK);
    ask(1);
    settle();
    assert_int_equal(street.dropped, 1);
    assert_int_equal(street.dials, 2);
    assert_int_equal(street.sides[1].answers, 1);
    assert_int_equal(street.sides[1].err, WEIR_OK);
    assert_int_equal(street.sides[1].pool->ledger.credits, 1);

    /* And back, to one that has no limit for its pool: the credit is free again. */
    give(1);
    ask(2);
    settle();
    assert_int_equal(street.sides[2].answers, 1);
    assert_int_equal(street.dials, 2);
    assert_int_equal(hub_out(&street.hub, "x", 2), 0);
    give(2);
    close_street();
}

/* A limit that was lowered wants connections gone, not elsewhere. */
static void a_lowered_limit_closes(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 4, .max_per_key = 4};
    open_street(&opt);
    weir_lease held[4];
    for (uint32_t i = 0; i < 4; i++) {
        ask(i % 2);
        settle();
        held[i] = street.sides[i % 2].lease;
    }
    for (uint32_t i = 0; i < 4; i++) {
        street.sides[i % 2].lease = held[i];
        give(i % 2);
    }
    settle();
    assert_int_equal(stats_of(0).idle + stats_of(1).idle, 4);
    weir_pool_options_of(street.sides[2].pool, &opt);
    opt.max_per_key = 1;
    ask(2); /* it needs one, but there are too many as it is */
    assert_int_equal(weir_pool_update(street.sides[2].pool, &opt), WEIR_OK);
    settle();
    assert_int_equal(stats_of(0).moved_out + stats_of(1).moved_out, 0);
    assert_int_equal(street.closes, 4);
    assert_int_equal(street.sides[2].answers, 1);
    give(2);
    close_street();
}

/* For an account that was left since. */
static void nobody_has_what_comes_too_late(void **state)
{
    (void)state;
    open_street(&narrow);
    struct limit_msg late = {.word = LIMIT_MOVE, .account = 12345};
    late.parcel = (struct limit_parcel){.object = &street.things[0], .attach = on_attach};
    for (uint32_t i = 1; i < 3; i++) {
        street.things[0].is_packed = true;
        street.alive++;
        if (i == 1) {
            hub_receive(&street.hub, &late);
        } else {
            engine_receive(street.sides[0].engine, &late);
        }
        assert_int_equal(street.dropped, i);
    }
    close_street();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_where_a_caller_waits),
        cmocka_unit_test(keeps_its_address),
        cmocka_unit_test(keeps_its_age),
        cmocka_unit_test(closes_where_it_cannot_be_taken_off),
        cmocka_unit_test(comes_back_to_whom_it_left),
        cmocka_unit_test(a_caller_is_served_though_it_is_lost),
        cmocka_unit_test(a_connector_that_takes_too_long_is_told_to_close),
        cmocka_unit_test(a_pool_that_closes_drops_what_comes),
        cmocka_unit_test(an_engine_that_is_freed_drops_what_comes),
        cmocka_unit_test(a_hub_that_is_freed_drops_what_waits),
        cmocka_unit_test(goes_on_when_its_addressee_leaves),
        cmocka_unit_test(takes_no_room_where_its_key_is_forgotten),
        cmocka_unit_test(is_closed_where_the_hub_is_full),
        cmocka_unit_test(stays_where_there_is_no_going_any_more),
        cmocka_unit_test(comes_back_where_there_are_too_many),
        cmocka_unit_test(comes_to_a_pool_that_closes),
        cmocka_unit_test(a_pool_without_room_turns_it_away),
        cmocka_unit_test(a_lowered_limit_closes),
        cmocka_unit_test(nobody_has_what_comes_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
