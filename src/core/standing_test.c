/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine says of its tenants, with a hub that says what the test wants.
 */
#include "core/standing.h"

#include "core/pool.h"
#include "support/fake.h"

enum { POOL = 1, NOBODY, ALICE, SAID_MAX = 64 };

struct office {
    struct limit_port port;
    struct limit_msg said[SAID_MAX];
    unsigned count;
    uint32_t accounts, left;
    uint32_t room; /* for so many accounts */
};

static uint32_t next_account(struct office *office)
{
    return office->accounts < office->room ? ++office->accounts : 0;
}

static uint32_t join(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    assert_true(len > 0 && name[0] != '\0' && limit > 0);
    return next_account(arg);
}

static uint32_t enroll(void *arg, uint32_t pool_account, const char *name, uint32_t len)
{
    assert_true(len > 2 && name[0] == '\0' && pool_account > 0);
    return next_account(arg);
}

static void leave(void *arg, uint32_t account)
{
    struct office *office = arg;
    assert_true(account > 0 && account <= office->accounts);
    office->left++;
}

static void hear(void *arg, const struct limit_msg *msg)
{
    struct office *office = arg;
    office->said[office->count++ % SAID_MAX] = *msg;
}

static struct fake *open_shared(struct office *office, uint32_t room, const weir_pool_options *opt)
{
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool_options pool = *opt;
    *office = (struct office){.room = room};
    office->port = (struct limit_port){office, join, leave, NULL, hear, 2, enroll};
    weir_pool_close(fake->pool, 0);
    fake_expect(fake, "pool_closed");
    assert_int_equal(engine_share(fake->engine, &office->port), WEIR_OK);
    pool.connector = &fake->connector;
    pool.connector_self = fake;
    pool.jitter_pct = WEIR_NONE;
    assert_int_equal(weir_pool_open(fake->engine, &pool, &fake->pool), WEIR_OK);
    return fake;
}

static weir_lease ask(struct fake *fake, const char *tenant)
{
    weir_key key = fake_key("a");
    weir_lease lease;
    key.tenant = tenant;
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    return lease;
}

static void tell(struct fake *fake, struct limit_msg msg)
{
    engine_receive(fake->engine, &msg);
    engine_verify(fake->engine);
}

static void grant(struct fake *fake, uint32_t tenant)
{
    tell(fake,
         (struct limit_msg){.account = POOL, .tenant = tenant, .word = LIMIT_GRANT, .count = 1});
}

static void press(struct fake *fake, uint32_t account, enum limit_word word, uint32_t count)
{
    tell(fake, (struct limit_msg){.account = account, .word = (uint8_t)word, .count = count});
}

/* What was said of the tenant last, and how often since the office was asked that last. */
static const struct limit_msg *standing(struct office *office, uint32_t account,
                                        unsigned *ret_count)
{
    const struct limit_msg *last = NULL;
    *ret_count = 0;
    for (unsigned i = 0; i < office->count; i++) {
        const struct limit_msg *msg = &office->said[i % SAID_MAX];
        if (msg->word == LIMIT_STAND && msg->account == account) {
            last = msg;
            ++*ret_count;
        }
    }
    assert_true(office->count <= SAID_MAX);
    office->count = 0;
    return last;
}

static void expect(struct office *office, uint32_t account, uint32_t need, uint32_t alive,
                   uint32_t fed)
{
    unsigned count;
    const struct limit_msg *msg = standing(office, account, &count);
    assert_non_null(msg);
    assert_int_equal(msg->count, need);
    assert_int_equal(msg->standing.alive, alive);
    assert_int_equal(msg->standing.fed, fed);
}

static void expect_silence(struct office *office, uint32_t account)
{
    unsigned count;
    standing(office, account, &count);
    assert_int_equal(count, 0);
}

/* Alice has the first connection, and so many callers of hers wait. */
static struct fake *serve_alice(struct office *office, unsigned waiting)
{
    weir_pool_options opt = {.max_total = 5, .acquire_timeout_ms = WEIR_NEVER};
    struct fake *fake = open_shared(office, 64, &opt);
    ask(fake, "alice");
    grant(fake, ALICE);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    for (unsigned i = 0; i < waiting; i++) {
        ask(fake, "alice");
    }
    return fake;
}

static void turn(struct fake *fake, const char *log)
{
    fake_wait(fake, 10);
    fake_release(fake, fake->last, WEIR_KEEP);
    fake_expect(fake, log);
}

/* --- */

static void a_tenant_says_what_it_asks_for_and_what_it_has(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 5};
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    assert_int_equal(office.accounts, NOBODY);
    ask(fake, "alice");
    assert_int_equal(office.accounts, ALICE);
    assert_int_equal(office.said[0].word, LIMIT_STAND); /* before the pool asks */
    assert_int_equal(office.said[1].word, LIMIT_ASK);
    expect(&office, ALICE, 1, 0, 0);
    grant(fake, ALICE);
    fake_expect(fake, "dial1");
    expect(&office, ALICE, 0, 1, 1);
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    fake_release(fake, fake->last, WEIR_KEEP);
    expect_silence(&office, ALICE); /* nothing has changed that matters */
    fake_free(fake);
    assert_int_equal(office.left, office.accounts);
}

/* A credit that was meant for a tenant is given to it, not to whoever is first here. */
static void room_that_is_meant_for_a_tenant_is_kept_for_it(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 5};
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    ask(fake, NULL);
    weir_lease alice = ask(fake, "alice");
    grant(fake, ALICE);
    fake_expect(fake, "dial1");
    expect(&office, ALICE, 0, 1, 1);
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    assert_int_equal(fake->last.id, alice.id);
    fake_free(fake);
}

static void room_that_comes_too_late_is_for_anybody(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 5};
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    weir_lease alice = ask(fake, "alice");
    assert_int_equal(weir_release(fake->pool, alice, WEIR_KEEP), WEIR_OK);
    fake_expect(fake, "fail:canceled");
    expect(&office, ALICE, 0, 0, 0);
    grant(fake, ALICE);
    expect(&office, ALICE, 0, 0, 1);
    grant(fake, 63); /* a tenant that is gone */
    ask(fake, NULL);
    ask(fake, "bob");
    fake_expect(fake, "dial1 dial2");
    expect_silence(&office, ALICE);
    fake_free(fake);
}

static void a_tenant_that_is_pressed_gives_up_one(void **state)
{
    struct office office;
    (void)state;
    struct fake *fake = serve_alice(&office, 10);
    press(fake, ALICE, LIMIT_PRESS, 1);
    turn(fake, "grant:1"); /* nobody wants it */
    press(fake, POOL, LIMIT_WANT, 2);
    press(fake, ALICE, LIMIT_WANT, 0); /* nor its tenant's, any more */
    turn(fake, "grant:1");
    press(fake, ALICE, LIMIT_PRESS, 1);
    office.count = 0;
    turn(fake, "close1:evicted");
    unsigned count;
    const struct limit_msg *msg = standing(&office, ALICE, &count);
    assert_int_equal(count, 1);
    assert_true(msg->standing.has_yielded);
    assert_int_equal(msg->standing.alive, 0);
    fake_down(fake, 1, WEIR_EEVICTED);
    grant(fake, ALICE);
    fake_expect(fake, "dial2");
    fake_up(fake, 2);
    fake_expect(fake, "grant:2");
    turn(fake, "grant:2"); /* one was wanted */
    expect(&office, ALICE, 1, 1, 2);
    fake_free(fake);
}

static void a_tenant_gives_an_account_twice_in_a_turn(void **state)
{
    struct office office;
    (void)state;
    struct fake *fake = serve_alice(&office, 20);
    for (unsigned i = 0; i < TURN_GRANTS; i++) {
        office.count = 0;
        turn(fake, "grant:1");
    }
    unsigned count;
    const struct limit_msg *msg = standing(&office, ALICE, &count);
    assert_int_equal(count, 1); /* its own callers wait for room here, too */
    assert_int_equal(msg->standing.leases, STANDING_EVERY);
    assert_int_equal(msg->standing.spent_ms, STANDING_EVERY * 10);
    fake_free(fake);
}

/* It has waited for its own connection only: what it got before is not counted. */
static void what_nobody_was_short_of_is_not_counted(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 5, .max_per_key = 1};
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    uint32_t key = ALICE + 1;
    ask(fake, "alice");
    office.count = 0;
    tell(fake, (struct limit_msg){.account = POOL, .word = LIMIT_GRANT, .count = 1});
    tell(fake, (struct limit_msg){.account = key, .word = LIMIT_GRANT, .count = 1});
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    for (unsigned i = 0; i < 20; i++) {
        ask(fake, "alice");
    }
    for (unsigned i = 0; i < TURN_GRANTS; i++) {
        turn(fake, "grant:1");
    }
    expect_silence(&office, ALICE);
    press(fake, POOL, LIMIT_WANT, 1);
    for (unsigned i = 0; i < STANDING_EVERY; i++) {
        turn(fake, "grant:1");
    }
    unsigned count;
    const struct limit_msg *msg = standing(&office, ALICE, &count);
    assert_int_equal(count, 1);
    assert_int_equal(msg->standing.leases, STANDING_EVERY - 1); /* since it was first looked at */
    fake_free(fake);
}

/* What several have at once is shared out among them; what takes no time takes some. */
static void leases_on_one_connection_share_its_time(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 1};
    weir_lease leases[4];
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    leases[0] = ask(fake, "alice");
    grant(fake, ALICE);
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[1], NULL, 4), WEIR_OK);
    fake_expect(fake, "grant:1");
    for (unsigned i = 1; i < 4; i++) {
        leases[i] = ask(fake, "alice");
    }
    fake_expect(fake, "grant:1 grant:1 grant:1");
    ask(fake, "bob"); /* is told */
    fake_wait(fake, 12);
    for (unsigned i = 0; i < 4; i++) {
        fake_release(fake, leases[i], WEIR_KEEP);
    }
    fake_expect(fake, "");
    tell(fake, (struct limit_msg){.account = POOL, .word = LIMIT_GRANT}); /* no more room */
    fake_expect(fake, "close1:evicted");
    unsigned count;
    const struct limit_msg *msg = standing(&office, ALICE, &count);
    assert_int_equal(msg->standing.leases, 4);
    assert_int_equal(msg->standing.spent_ms, 12 / 4 + 12 / 3 + 12 / 2 + 12);
    fake_free(fake);
}

static void a_hub_without_room_knows_no_tenant(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = 5};
    weir_pool *pool;
    (void)state;
    struct fake *fake = open_shared(&office, NOBODY, &opt);
    ask(fake, "alice");
    expect(&office, NOBODY, 1, 0, 0); /* is nobody there */
    ask(fake, "bob");
    expect(&office, NOBODY, 2, 0, 0);
    weir_pool_options other = {.name = "other", .connector = &fake->connector, .max_total = 2};
    office.room++; /* for the pool, and not for who is nobody in it */
    assert_int_equal(weir_pool_open(fake->engine, &other, &pool), WEIR_EKEYS);
    assert_int_equal(office.left, 1);
    fake_free(fake);
    assert_int_equal(office.left, office.accounts);
}

static void tenants_come_and_go_with_the_limit(void **state)
{
    struct office office;
    weir_pool_options opt = {.max_total = WEIR_UNLIMITED}, now;
    (void)state;
    struct fake *fake = open_shared(&office, 64, &opt);
    ask(fake, "alice");
    ask(fake, "bob");
    fake_expect(fake, "dial1 dial2");
    assert_int_equal(office.accounts, 0);
    office.room = 3; /* the pool, nobody, and one of them */
    weir_pool_options_of(fake->pool, &now);
    now.max_total = 5;
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_EKEYS);
    assert_int_equal(office.left, 3);
    office.room = office.accounts + 1; /* the pool alone */
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_EKEYS);
    office.room = 64;
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_OK);
    assert_int_equal(office.accounts, 3 + 1 + 4);
    engine_verify(fake->engine);
    now.max_total = WEIR_UNLIMITED;
    assert_int_equal(weir_pool_update(fake->pool, &now), WEIR_OK);
    assert_int_equal(office.left, office.accounts);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_says_what_it_asks_for_and_what_it_has),
        cmocka_unit_test(room_that_is_meant_for_a_tenant_is_kept_for_it),
        cmocka_unit_test(room_that_comes_too_late_is_for_anybody),
        cmocka_unit_test(a_tenant_that_is_pressed_gives_up_one),
        cmocka_unit_test(a_tenant_gives_an_account_twice_in_a_turn),
        cmocka_unit_test(what_nobody_was_short_of_is_not_counted),
        cmocka_unit_test(leases_on_one_connection_share_its_time),
        cmocka_unit_test(a_hub_without_room_knows_no_tenant),
        cmocka_unit_test(tenants_come_and_go_with_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
