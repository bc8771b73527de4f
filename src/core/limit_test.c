/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's half of a limit, with a hub that says what the test wants.
 */
#include "core/limit.h"

#include "support/fake.h"

struct office {
    struct limit_msg said[64];
    unsigned count;
    uint32_t next_account, joined, left;
    uint32_t refuse_from; /* joins from this one on are refused; 0: none */
};

static uint32_t join(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    struct office *office = arg;
    assert_true(len > 0 && name != NULL && limit > 0);
    if (office->refuse_from != 0 && office->joined + 1 >= office->refuse_from) {
        return 0;
    }
    office->joined++;
    return ++office->next_account;
}

/* The same account as before for a pool that is updated: the only one in these tests. */
static uint32_t join_same(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    struct office *office = arg;
    (void)name;
    (void)len;
    (void)limit;
    if (office->refuse_from != 0 && office->joined + 1 >= office->refuse_from) {
        return 0;
    }
    office->joined++;
    return 1;
}

static void leave(void *arg, uint32_t account)
{
    struct office *office = arg;
    (void)account;
    office->left++;
}

static void hear(void *arg, const struct limit_msg *msg)
{
    struct office *office = arg;
    office->said[office->count++ % 64] = *msg;
}

static struct fake *open_shared(const weir_pool_options *opt, const struct limit_port *port)
{
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool_options pool = *opt;
    weir_pool_close(fake->pool, 0);
    fake_expect(fake, "pool_closed");
    assert_int_equal(engine_share(fake->engine, port), WEIR_OK);
    pool.connector = &fake->connector;
    pool.connector_self = fake;
    pool.jitter_pct = WEIR_NONE;
    assert_int_equal(weir_pool_open(fake->engine, &pool, &fake->pool), WEIR_OK);
    return fake;
}

static void tell(struct fake *fake, uint32_t account, enum limit_word word, uint32_t count)
{
    struct limit_msg msg = {.account = account, .word = (uint16_t)word, .count = count};
    engine_receive(fake->engine, &msg);
    engine_verify(fake->engine);
}

static void said(struct office *office, enum limit_word word, uint32_t count)
{
    assert_true(office->count > 0);
    assert_int_equal(office->said[(office->count - 1) % 64].word, word);
    assert_int_equal(office->said[(office->count - 1) % 64].count, count);
}

static void nothing_is_dialled_without_a_credit(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5};
    struct fake *fake = open_shared(&opt, &port);
    fake_acquire(fake, "a");
    fake_expect(fake, "");
    said(&office, LIMIT_ASK, 1);
    tell(fake, 1, LIMIT_GRANT, 0);
    fake_expect(fake, "");
    tell(fake, 1, LIMIT_GRANT, 1);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    tell(fake, 99, LIMIT_GRANT, 5); /* an account left long ago */
    tell(fake, 1, LIMIT_RETURN, 5); /* not a hub's word */
    assert_int_equal(fake->pool->ledger.credits, 1);
    fake_free(fake);
    assert_int_equal(office.left, 1);
}

static void a_want_takes_what_is_idle(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5, .max_per_key = 5};
    struct fake *fake = open_shared(&opt, &port);
    fake_acquire(fake, "a");
    tell(fake, 2, LIMIT_GRANT, 2);
    tell(fake, 1, LIMIT_GRANT, 2);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    tell(fake, 2, LIMIT_WANT, 1); /* one is free */
    said(&office, LIMIT_RETURN, 1);
    tell(fake, 1, LIMIT_WANT, 2); /* one is free, one is busy */
    said(&office, LIMIT_RETURN, 1);
    fake_release(fake, fake->last, WEIR_KEEP);
    fake_expect(fake, "close1:evicted");
    fake_down(fake, 1, WEIR_ECLOSED);
    said(&office, LIMIT_RETURN, 1);
    assert_int_equal(fake->pool->ledger.credits, 0);
    tell(fake, 1, LIMIT_WANT, 0);
    fake_free(fake);
}

static void a_key_gives_back_what_is_idle(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = WEIR_UNLIMITED, .max_per_key = 5};
    struct fake *fake = open_shared(&opt, &port);
    fake_acquire(fake, "a");
    tell(fake, 1, LIMIT_GRANT, 1);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    tell(fake, 1, LIMIT_WANT, 1);
    fake_release(fake, fake->last, WEIR_KEEP);
    fake_expect(fake, "close1:evicted");
    fake_down(fake, 1, WEIR_ECLOSED);
    said(&office, LIMIT_RETURN, 1);
    fake_acquire(fake, "a");
    tell(fake, 1, LIMIT_GRANT, 1);
    fake_expect(fake, "dial2");
    fake_up(fake, 2);
    fake_expect(fake, "grant:2");
    fake_release(fake, fake->last, WEIR_KEEP);
    tell(fake, 1, LIMIT_PRESS, 1); /* idle when it comes */
    fake_expect(fake, "close2:evicted");
    fake_free(fake);
}

static void pressure_takes_busy_ones_after_a_turn(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5};
    struct fake *fake = open_shared(&opt, &port);
    fake_acquire(fake, "a");
    tell(fake, 1, LIMIT_GRANT, 1);
    fake_wait(fake, 0);
    fake_up(fake, 1);
    fake_expect(fake, "dial1 grant:1");
    tell(fake, 1, LIMIT_PRESS, 1);
    for (unsigned i = 0; i < TURN_GRANTS; i++) {
        weir_lease held = fake->last;
        fake_acquire(fake, "a");
        fake_expect(fake, "");
        fake_release(fake, held, WEIR_KEEP);
        fake_expect(fake, i + 1 < TURN_GRANTS ? "grant:1" : "close1:evicted");
    }
    fake_down(fake, 1, WEIR_ECLOSED);
    said(&office, LIMIT_RETURN, 1);
    fake_free(fake);
}

static void a_hub_without_room_refuses_pools_and_keys(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5, .max_per_key = 5};
    struct fake *fake = open_shared(&opt, &port);
    weir_pool_options other = {.name = "other", .connector = &fake->connector};
    weir_pool *pool;
    weir_lease lease;
    weir_key key = fake_key("a");
    office.refuse_from = office.joined + 1;
    assert_int_equal(weir_pool_open(fake->engine, &other, &pool), WEIR_EKEYS);
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_EKEYS);
    engine_verify(fake->engine);
    assert_int_equal(fake->engine->keys.count, 0);
    fake_free(fake);
}

static void an_update_that_the_hub_refuses_changes_nothing(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join_same, leave, NULL, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5};
    struct fake *fake = open_shared(&opt, &port);
    weir_pool_options now;
    struct key *pin;
    weir_key key = fake_key("a");
    assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
    weir_pool_options_of(fake->pool, &now);
    now.max_total = 6;
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_OK);
    now.max_total = WEIR_UNLIMITED; /* no longer shared */
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_OK);
    assert_int_equal(office.left, 1);
    office.refuse_from = office.joined + 1;
    now.max_total = 7;
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_EKEYS);
    weir_pool_options_of(fake->pool, &now);
    assert_int_equal(now.max_total, WEIR_UNLIMITED);
    fake_free(fake);
}

static bool take_one(void *arg, uint32_t account)
{
    struct office *office = arg;
    (void)account;
    return office->count++ < 1;
}

static struct fake *open_listener(const weir_pool_options *opt, const struct limit_port *port,
                                  weir_pool **ret_pool)
{
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool_options pool = *opt;
    weir_pool_close(fake->pool, 0);
    fake_expect(fake, "pool_closed");
    assert_int_equal(engine_share(fake->engine, port), WEIR_OK);
    fake->connector.dial = NULL;
    pool.name = "l";
    pool.connector = &fake->connector;
    pool.connector_self = fake;
    assert_int_equal(weir_pool_open(fake->engine, &pool, ret_pool), WEIR_OK);
    return fake;
}

/* A pool of admitted connections keeps no credits that it does not use. */
static void a_listener_gives_back_at_once(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, take_one, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5};
    weir_conn conn;
    weir_key key = fake_key("a");
    weir_pool *pool;
    struct fake *fake = open_listener(&opt, &port, &pool);
    assert_int_equal(weir_admit(pool, &key, "note", NULL, &conn), WEIR_OK);
    assert_int_equal(pool->ledger.credits, 1);
    weir_conn other;
    assert_int_equal(weir_admit(pool, &key, "note", NULL, &other), WEIR_EFULL);
    assert_int_equal(weir_conn_down(pool, conn, WEIR_EHANGUP), WEIR_OK);
    assert_int_equal(pool->ledger.credits, 0);
    said(&office, LIMIT_RETURN, 1);
    fake_wait(fake, 0);
    fake_free(fake);
}

/* A key that is to be kept warm is not dialled by those who only listen: they take nothing for it.
 */
static void a_listener_takes_nothing_ahead(void **state)
{
    (void)state;
    struct office office = {0};
    struct limit_port port = {&office, join, leave, take_one, hear, 1, NULL};
    weir_pool_options opt = {.max_total = 5, .warm = WEIR_WARM_UP};
    weir_key key = fake_key("a");
    weir_pool *pool;
    struct fake *fake = open_listener(&opt, &port, &pool);
    assert_int_equal(weir_pool_warm(pool, &key, true), WEIR_OK);
    fake_wait(fake, 1000);
    assert_int_equal(office.count, 0);
    assert_int_equal(pool->ledger.credits, 0);
    fake_free(fake);
}

/* Eleven wait at one of so many engines, each for 10 s of a lease, and all of the eight connections
 * that the key may have are at the others. */
static void expect_foretold(uint32_t engines, uint32_t wait_ms)
{
    struct office office = {0};
    struct limit_port port = {&office, join, leave, NULL, hear, engines, NULL};
    weir_pool_options opt = {.max_total = WEIR_UNLIMITED,
                             .max_per_key = 8,
                             .acquire_timeout_ms = 30000,
                             .max_age_ms = WEIR_NEVER};
    struct fake *fake = open_shared(&opt, &port);
    weir_key key = fake_key("a");
    weir_lease refused;
    fake_acquire(fake, "a");
    tell(fake, 1, LIMIT_GRANT, 1);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    fake_wait(fake, 80000); /* and 0 before: 10 s on average */
    tell(fake, 1, LIMIT_WANT, 1);
    fake_release(fake, fake->last, WEIR_KEEP);
    fake_expect(fake, "close1:evicted");
    fake_down(fake, 1, WEIR_ECLOSED);
    for (unsigned i = 0; i < 10; i++) {
        fake_acquire(fake, "a");
        tell(fake, 1, LIMIT_GRANT, 0);
    }
    fake_wait(fake, 9999);
    fake_acquire(fake, "a");
    tell(fake, 1, LIMIT_GRANT, 0);
    fake_wait(fake, 1);
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &refused),
                     WEIR_EWAIT);
    assert_int_equal(weir_pool_retry_after(fake->pool), wait_ms);
    weir_acquire_options patient = {.size = sizeof patient, .timeout_ms = wait_ms};
    assert_int_equal(weir_acquire(fake->pool, &key, &patient, fake_granted, fake, &refused),
                     WEIR_OK);
    fake_free(fake);
}

/* How long callers wait is told by the connections that are due here, few as they are now, and not
 * before those who wait have waited for as long as a lease lasts. */
static void a_wait_is_foretold_by_what_is_due(void **state)
{
    (void)state;
    expect_foretold(4, 60000); /* two are due: 12 × 10 s / 2 */
}

/* Nothing is known to be due where nobody knows how many share: one at a time it is then. */
static void a_wait_is_foretold_where_nobody_knows_who_shares(void **state)
{
    (void)state;
    expect_foretold(0, 120000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_foretold_by_what_is_due),
        cmocka_unit_test(a_wait_is_foretold_where_nobody_knows_who_shares),
        cmocka_unit_test(nothing_is_dialled_without_a_credit),
        cmocka_unit_test(a_want_takes_what_is_idle),
        cmocka_unit_test(a_key_gives_back_what_is_idle),
        cmocka_unit_test(pressure_takes_busy_ones_after_a_turn),
        cmocka_unit_test(a_hub_without_room_refuses_pools_and_keys),
        cmocka_unit_test(an_update_that_the_hub_refuses_changes_nothing),
        cmocka_unit_test(a_listener_gives_back_at_once),
        cmocka_unit_test(a_listener_takes_nothing_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
