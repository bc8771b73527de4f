/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub shares a pool's limit out among tenants: what it says to engines that say what the test
 * wants. turns_test.c has real ones.
 */
#include "core/hub.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

enum { ENGINES = 2 };

struct exchange {
    struct hub hub;
    uint32_t pools[ENGINES];
};

static void exchange_open(struct exchange *exchange, uint32_t limit)
{
    const struct hub_options opt = {.engines = ENGINES};
    assert_true(hub_init(&exchange->hub, &alloc_libc, &opt));
    for (uint32_t i = 0; i < ENGINES; i++) {
        exchange->pools[i] = hub_join(&exchange->hub, i, "p", 1, limit);
    }
}

/* All tenants have left. */
static void exchange_close(struct exchange *exchange)
{
    for (uint32_t i = 0; i < ENGINES; i++) {
        hub_leave(&exchange->hub, i, exchange->pools[i]);
    }
    assert_int_equal(exchange->hub.accounts.count, 0);
    hub_fini(&exchange->hub);
}

static uint32_t enroll(struct exchange *exchange, uint32_t engine, const char *name)
{
    return hub_enroll(&exchange->hub, engine, exchange->pools[engine], name,
                      (uint32_t)strlen(name));
}

static void say(struct exchange *exchange, uint32_t engine, struct limit_msg msg)
{
    msg.engine = (uint16_t)engine;
    hub_receive(&exchange->hub, &msg);
    hub_verify(&exchange->hub);
}

static void ask_for(struct exchange *exchange, uint32_t engine, uint32_t count)
{
    say(exchange, engine,
        (struct limit_msg){.account = exchange->pools[engine], .word = LIMIT_ASK, .count = count});
}

static void give_back(struct exchange *exchange, uint32_t engine, uint32_t count)
{
    say(exchange, engine,
        (struct limit_msg){
            .account = exchange->pools[engine], .word = LIMIT_RETURN, .count = count});
}

static void stand(struct exchange *exchange, uint32_t engine, uint32_t tenant, uint32_t need,
                  struct limit_standing standing)
{
    say(exchange, engine,
        (struct limit_msg){
            .account = tenant, .word = LIMIT_STAND, .count = need, .standing = standing});
}

/* The next that the engine hears of that account is that. */
static void hears(struct exchange *exchange, uint32_t engine, enum limit_word word,
                  uint32_t account, uint32_t tenant, uint32_t count)
{
    struct limit_msg msg;
    do {
        assert_true(hub_next(&exchange->hub, engine, &msg));
    } while (msg.account != account || msg.tenant != tenant);
    assert_int_equal(msg.word, word);
    assert_int_equal(msg.count, count);
}

static void hears_no_more(struct exchange *exchange, uint32_t engine)
{
    struct limit_msg msg;
    assert_false(hub_next(&exchange->hub, engine, &msg));
    hub_verify(&exchange->hub);
}

/* Alice has both at the first engine, and wants a third; Bob asks at the second. */
static void alice_has_all(struct exchange *exchange, uint32_t *ret_alice, uint32_t *ret_bob)
{
    exchange_open(exchange, 2);
    *ret_alice = enroll(exchange, 0, "alice");
    *ret_bob = enroll(exchange, 1, "bob");
    assert_int_equal(enroll(exchange, 1, "bob"), *ret_bob);
    stand(exchange, 0, *ret_alice, 3, (struct limit_standing){0});
    ask_for(exchange, 0, 3);
    hears(exchange, 0, LIMIT_GRANT, exchange->pools[0], *ret_alice, 2);
    hears(exchange, 0, LIMIT_GRANT, exchange->pools[0], 0, 0);
    hears_no_more(exchange, 0);
    stand(exchange, 0, *ret_alice, 1, (struct limit_standing){.alive = 2, .fed = 2});
    stand(exchange, 1, *ret_bob, 1, (struct limit_standing){0});
    ask_for(exchange, 1, 1);
    hears(exchange, 1, LIMIT_GRANT, exchange->pools[1], 0, 0);
}

static void who_is_ahead_is_pressed_and_who_is_behind_is_served(void **state)
{
    struct exchange exchange;
    uint32_t alice, bob;
    (void)state;
    alice_has_all(&exchange, &alice, &bob);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1); /* what is idle */
    stand(&exchange, 0, alice, 1, (struct limit_standing){2, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_PRESS, alice, 0, 1);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 2); /* and what is given up */
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 1, 10, true});
    give_back(&exchange, 0, 1);
    hears(&exchange, 1, LIMIT_GRANT, exchange.pools[1], bob, 1);
    stand(&exchange, 1, bob, 1, (struct limit_standing){.alive = 1, .fed = 1});
    ask_for(&exchange, 1, 1);
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1); /* a turn ahead is fair */
    hears_no_more(&exchange, 0);
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 8, 80, false});
    hears(&exchange, 0, LIMIT_PRESS, alice, 0, 1);
    hub_leave(&exchange.hub, 0, alice);
    hub_leave(&exchange.hub, 1, bob);
    exchange_close(&exchange);
}

static void pressure_ends_with_its_reason(void **state)
{
    struct exchange exchange;
    uint32_t alice, bob;
    (void)state;
    alice_has_all(&exchange, &alice, &bob);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1);
    stand(&exchange, 0, alice, 1, (struct limit_standing){2, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_PRESS, alice, 0, 1);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 2);
    give_back(&exchange, 0, 1); /* something idle, before she gave up one */
    hears(&exchange, 1, LIMIT_GRANT, exchange.pools[1], bob, 1);
    stand(&exchange, 1, bob, 0, (struct limit_standing){.alive = 1, .fed = 1});
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 0, 0, false});
    hears(&exchange, 0, LIMIT_WANT, alice, 0, 0);
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 90, 900, false});
    hears_no_more(&exchange, 0);
    /* and with her last connection there */
    stand(&exchange, 1, bob, 1, (struct limit_standing){.alive = 1, .fed = 1});
    ask_for(&exchange, 1, 1);
    stand(&exchange, 0, alice, 2, (struct limit_standing){1, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1);
    hears(&exchange, 0, LIMIT_PRESS, alice, 0, 1);
    stand(&exchange, 0, alice, 2, (struct limit_standing){0, 2, 0, 0, false});
    hears(&exchange, 0, LIMIT_WANT, alice, 0, 0);
    hub_leave(&exchange.hub, 1, bob);
    hub_leave(&exchange.hub, 0, alice);
    exchange_close(&exchange);
}

/* A press outlives what it was to free if others free that; it counts again while it stands. */
static void pressure_counts_until_it_is_followed(void **state)
{
    struct exchange exchange;
    uint32_t alice, bob;
    (void)state;
    exchange_open(&exchange, 2);
    alice = enroll(&exchange, 0, "alice");
    bob = enroll(&exchange, 0, "bob"); /* at the same engine: no other one needs anything */
    stand(&exchange, 0, alice, 2, (struct limit_standing){0});
    ask_for(&exchange, 0, 2);
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], alice, 2);
    stand(&exchange, 0, alice, 0, (struct limit_standing){.alive = 2, .fed = 2});
    stand(&exchange, 0, bob, 1, (struct limit_standing){0});
    ask_for(&exchange, 0, 1);
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], 0, 0);
    stand(&exchange, 0, alice, 0, (struct limit_standing){2, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_PRESS, alice, 0, 1);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1);
    ask_for(&exchange, 0, 0); /* nobody needs it */
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 0);
    ask_for(&exchange, 0, 1);
    stand(&exchange, 0, alice, 0, (struct limit_standing){2, 2, 4, 40, false});
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], 0, 0);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1);
    hears_no_more(&exchange, 0);
    hub_leave(&exchange.hub, 0, alice);
    hub_leave(&exchange.hub, 0, bob);
    exchange_close(&exchange);
}

/* One tenant, with callers at two engines: its turns there. */
static void a_tenant_is_served_in_turns_where_its_callers_are(void **state)
{
    struct exchange exchange;
    uint32_t here, there;
    (void)state;
    exchange_open(&exchange, 1);
    here = enroll(&exchange, 0, "alice");
    there = enroll(&exchange, 1, "alice");
    stand(&exchange, 0, here, 1, (struct limit_standing){0});
    ask_for(&exchange, 0, 1);
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], here, 1);
    stand(&exchange, 0, here, 1, (struct limit_standing){.alive = 1, .fed = 1});
    ask_for(&exchange, 0, 1);
    stand(&exchange, 1, there, 1, (struct limit_standing){0});
    ask_for(&exchange, 1, 1);
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], 0, 0);
    hears(&exchange, 0, LIMIT_WANT, exchange.pools[0], 0, 1);
    stand(&exchange, 0, here, 1, (struct limit_standing){1, 1, 4, 40, false});
    hears_no_more(&exchange, 0);
    stand(&exchange, 0, here, 1, (struct limit_standing){1, 1, 4, 40, false});
    hears(&exchange, 0, LIMIT_PRESS, here, 0, 1);
    stand(&exchange, 0, here, 1, (struct limit_standing){0, 1, 1, 10, true});
    give_back(&exchange, 0, 1);
    hears(&exchange, 1, LIMIT_GRANT, exchange.pools[1], 0, 0);
    hears(&exchange, 1, LIMIT_GRANT, exchange.pools[1], there, 1);
    hub_leave(&exchange.hub, 0, here);
    hub_leave(&exchange.hub, 1, there);
    exchange_close(&exchange);
}

/* What was on its way to a tenant that leaves is there for others. */
static void a_tenant_that_leaves_leaves_its_room(void **state)
{
    struct exchange exchange;
    (void)state;
    exchange_open(&exchange, 2);
    uint32_t alice = enroll(&exchange, 0, "alice");
    stand(&exchange, 0, alice, 2, (struct limit_standing){0});
    ask_for(&exchange, 0, 2);
    hub_leave(&exchange.hub, 0, alice);
    hub_verify(&exchange.hub);
    hears(&exchange, 0, LIMIT_GRANT, exchange.pools[0], 0, 2);
    hears_no_more(&exchange, 0);
    stand(&exchange, 0, alice, 2, (struct limit_standing){0}); /* void */
    assert_int_equal(hub_out(&exchange.hub, "p", 1), 2);
    exchange_close(&exchange);
}

/* More than are looked at, at once: all have their turn. */
static void many_tenants_are_served_in_turns(void **state)
{
    enum { MANY = 150 };
    struct exchange exchange;
    uint32_t tenants[MANY], served[MANY] = {0};
    (void)state;
    exchange_open(&exchange, 1);
    for (uint32_t i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        tenants[i] = enroll(&exchange, 0, name);
        stand(&exchange, 0, tenants[i], 1, (struct limit_standing){0});
    }
    for (uint32_t turn = 0; turn < 2 * MANY; turn++) {
        struct limit_msg msg;
        ask_for(&exchange, 0, MANY);
        do {
            assert_true(hub_next(&exchange.hub, 0, &msg));
        } while (msg.word != LIMIT_GRANT || msg.count == 0);
        for (uint32_t i = 0; i < MANY; i++) {
            if (tenants[i] == msg.tenant) {
                served[i]++;
                stand(&exchange, 0, tenants[i], 1, (struct limit_standing){.fed = served[i]});
            }
        }
        give_back(&exchange, 0, 1);
    }
    ask_for(&exchange, 0, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_in_range(served[i], 1, 4);
        hub_leave(&exchange.hub, 0, tenants[i]);
    }
    exchange_close(&exchange);
}

/* An engine that has not said for whom it asks, or no longer asks. */
static void who_asks_for_nobody_is_served_all_the_same(void **state)
{
    struct exchange exchange;
    (void)state;
    exchange_open(&exchange, 2);
    uint32_t alice = enroll(&exchange, 0, "alice");
    stand(&exchange, 0, alice, 1, (struct limit_standing){0});
    ask_for(&exchange, 1, 1);
    hears(&exchange, 1, LIMIT_GRANT, exchange.pools[1], 0, 1);
    hub_leave(&exchange.hub, 0, alice);
    exchange_close(&exchange);
}

static void tenants_need_room_of_their_own(void **state)
{
    struct hub hub;
    const struct hub_options opt = {.accounts_max = 1};
    (void)state;
    assert_true(hub_init(&hub, &alloc_libc, &opt));
    uint32_t pool = hub_join(&hub, 0, "p", 1, 1);
    assert_int_equal(hub_enroll(&hub, 0, pool, "alice", 5), 0);
    hub_verify(&hub);
    hub_leave(&hub, 0, pool);
    hub_fini(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_ahead_is_pressed_and_who_is_behind_is_served),
        cmocka_unit_test(pressure_ends_with_its_reason),
        cmocka_unit_test(pressure_counts_until_it_is_followed),
        cmocka_unit_test(a_tenant_is_served_in_turns_where_its_callers_are),
        cmocka_unit_test(a_tenant_that_leaves_leaves_its_room),
        cmocka_unit_test(many_tenants_are_served_in_turns),
        cmocka_unit_test(who_asks_for_nobody_is_served_all_the_same),
        cmocka_unit_test(tenants_need_room_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
