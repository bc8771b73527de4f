/* SPDX-License-Identifier: Apache-2.0
 *
 * Several engines, one limit: exact at every moment, whatever is under way between them, and nobody
 * starves.
 */
#include "core/hub.h"

#include "base/rand.h"
#include "core/inspect.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

#define ENGINES   4U
#define POST_MAX  4096U
#define CALLS_MAX 64U

/* One engine with one pool, whose dials and closes are answered at once, or when the test says so.
 */
struct party {
    struct town *town;
    uint32_t number;
    weir_engine *engine;
    weir_pool *pool;
    struct limit_port port;
    weir_lease held[CALLS_MAX];
    uint32_t holds;
    uint32_t grants, asked, answered, failed;
    struct limit_msg to_hub[POST_MAX], to_me[POST_MAX]; /* under way, in order */
    uint32_t to_hub_count, to_me_count;
};

struct town {
    struct hub hub;
    struct party parties[ENGINES];
    struct rand rand;
    bool is_direct; /* the hub is called, not written to */
    bool is_delayed;
    uint64_t now_ms;
};

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct party *party = self;
    (void)key;
    assert_int_equal(weir_conn_up(party->pool, conn, party, 1), WEIR_OK);
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    struct party *party = self;
    (void)object;
    (void)why;
    assert_int_equal(weir_conn_down(party->pool, conn, WEIR_ECLOSED), WEIR_OK);
}

static const weir_connector connector = {.scheme = "x", .dial = on_dial, .close = on_close};
static const weir_connector listener = {.scheme = "x", .close = on_close};

static void on_grant(void *arg, const weir_grant *grant)
{
    struct party *party = arg;
    party->answered++;
    if (grant->err != WEIR_OK) {
        party->failed++;
        return;
    }
    assert_true(party->holds < CALLS_MAX);
    party->held[party->holds++] = grant->lease;
    party->grants++;
}

static uint32_t port_join(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    struct party *party = arg;
    return hub_join(&party->town->hub, party->number, name, len, limit);
}

static uint32_t port_enroll(void *arg, uint32_t pool_account, const char *name, uint32_t len)
{
    struct party *party = arg;
    return hub_enroll(&party->town->hub, party->number, pool_account, name, len);
}

/* Letters about an account that is left are void, and its number is never used again. */
static void port_leave(void *arg, uint32_t account)
{
    struct party *party = arg;
    hub_leave(&party->town->hub, party->number, account);
}

static bool port_take(void *arg, uint32_t account)
{
    struct party *party = arg;
    return hub_take(&party->town->hub, party->number, account);
}

static void port_send(void *arg, const struct limit_msg *msg)
{
    struct party *party = arg;
    struct limit_msg mine = *msg;
    mine.engine = (uint16_t)party->number;
    if (party->town->is_direct) {
        hub_receive(&party->town->hub, &mine);
        return;
    }
    assert_true(party->to_hub_count < POST_MAX);
    party->to_hub[party->to_hub_count++] = mine;
}

static void party_open(struct town *town, uint32_t number, const weir_pool_options *opt)
{
    struct party *party = &town->parties[number];
    weir_engine_options engine = {
        .size = sizeof engine, .seed = number, .conns_max = 200, .leases_max = 300};
    *party = (struct party){.town = town, .number = number};
    party->port = (struct limit_port){.arg = party,
                                      .join = port_join,
                                      .leave = port_leave,
                                      .take = town->is_direct ? port_take : NULL,
                                      .send = port_send,
                                      .engines = ENGINES,
                                      .enroll = port_enroll};
    assert_int_equal(weir_engine_new(&engine, &party->engine), WEIR_OK);
    assert_int_equal(engine_share(party->engine, &party->port), WEIR_OK);
    weir_pool_options pool = *opt;
    pool.size = sizeof pool;
    pool.connector = opt->connector != NULL ? opt->connector : &connector;
    pool.connector_self = party;
    assert_int_equal(weir_pool_open(party->engine, &pool, &party->pool), WEIR_OK);
}

static struct town *town_open(const weir_pool_options *opt, bool is_direct, uint64_t seed)
{
    struct town *town = calloc(1, sizeof *town);
    struct hub_options hub = {.engines = ENGINES, .accounts_max = 64, .name_bytes_max = 1 << 16};
    town->is_direct = is_direct;
    rand_init(&town->rand, seed);
    assert_true(hub_init(&town->hub, &alloc_libc, &hub));
    for (uint32_t i = 0; i < ENGINES; i++) {
        party_open(town, i, opt);
    }
    return town;
}

static void town_free(struct town *town)
{
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_engine_free(town->parties[i].engine);
    }
    assert_int_equal(town->hub.accounts.count, 0);
    hub_fini(&town->hub);
    free(town);
}

/* The exactness: connections everywhere, and credits everywhere and under way, within the limit. */
static void town_verify(const struct town *town, uint32_t limit)
{
    uint32_t total = 0;
    uint32_t credits = 0;
    hub_verify(&town->hub);
    for (uint32_t i = 0; i < ENGINES; i++) {
        const struct party *party = &town->parties[i];
        engine_verify(party->engine);
        assert_true(pool_total(party->pool) <= party->pool->ledger.credits);
        total += pool_total(party->pool);
        credits += party->pool->ledger.credits;
    }
    assert_true(total <= limit);
    assert_true(credits <= limit);
    assert_true(hub_out(&town->hub, "x", 2) <= limit);
}

static void deliver_first(struct limit_msg *letters, uint32_t *count, struct limit_msg *ret_msg)
{
    *ret_msg = letters[0];
    memmove(letters, letters + 1, --*count * sizeof *letters);
}

/* Carries at most one letter each way; false when nothing was under way. */
static bool carry(struct town *town, struct party *party)
{
    struct limit_msg msg;
    bool any = false;
    if (party->to_hub_count > 0) {
        deliver_first(party->to_hub, &party->to_hub_count, &msg);
        hub_receive(&town->hub, &msg);
        any = true;
    }
    if (hub_next(&town->hub, party->number, &msg)) {
        party->to_me[party->to_me_count++] = msg;
        any = true;
    }
    if (party->to_me_count > 0 && (!town->is_delayed || rand_chance(&town->rand, 500))) {
        deliver_first(party->to_me, &party->to_me_count, &msg);
        engine_receive(party->engine, &msg);
        any = true;
    }
    return any || party->to_me_count > 0;
}

static void town_step(struct town *town)
{
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_step(town->parties[i].engine, town->now_ms);
    }
}

/* Until nothing is under way. */
static void town_settle(struct town *town)
{
    bool any = true;
    for (uint32_t turns = 0; any; turns++) {
        assert_true(turns < 10000);
        any = false;
        town_step(town);
        for (uint32_t i = 0; i < ENGINES; i++) {
            any |= carry(town, &town->parties[i]);
            any |= weir_engine_pending(town->parties[i].engine);
        }
    }
}

static void call(struct party *party, const char *host)
{
    weir_key key = {.scheme = "x", .host = host, .port = 1};
    weir_lease lease;
    if (weir_acquire(party->pool, &key, NULL, on_grant, party, &lease) == WEIR_OK) {
        party->asked++;
    }
}

static void give(struct party *party, uint32_t index)
{
    assert_int_equal(weir_release(party->pool, party->held[index], WEIR_KEEP), WEIR_OK);
    party->held[index] = party->held[--party->holds];
}

/* --- */

static void one_credit_goes_round_among_all(void **state)
{
    (void)state;
    for (int is_direct = 0; is_direct < 2; is_direct++) {
        weir_pool_options opt = {.max_total = 1, .acquire_timeout_ms = WEIR_NEVER};
        struct town *town = town_open(&opt, is_direct, 1);
        for (uint32_t round = 0; round < 2000; round++) {
            town->now_ms++;
            for (uint32_t i = 0; i < ENGINES; i++) {
                struct party *party = &town->parties[i];
                while (party->asked - party->answered < 3) {
                    call(party, "a");
                }
            }
            town_settle(town);
            for (uint32_t i = 0; i < ENGINES; i++) {
                if (town->parties[i].holds > 0) {
                    give(&town->parties[i], 0);
                }
            }
            town_verify(town, 1);
        }
        for (uint32_t i = 0; i < ENGINES; i++) {
            assert_in_range(town->parties[i].grants, 300, 700);
        }
        town_free(town);
    }
}

static void idle_connections_elsewhere_make_room(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 6};
    struct town *town = town_open(&opt, false, 1);
    for (uint32_t i = 0; i < 6; i++) {
        call(&town->parties[0], "a");
    }
    town_settle(town);
    assert_int_equal(town->parties[0].holds, 6);
    while (town->parties[0].holds > 0) {
        give(&town->parties[0], 0);
    }
    town_settle(town);
    for (uint32_t i = 0; i < 6; i++) {
        call(&town->parties[1], "b");
    }
    town_settle(town);
    assert_int_equal(town->parties[1].holds, 6);
    assert_int_equal(pool_total(town->parties[0].pool), 0);
    town_verify(town, 6);
    town_free(town);
}

static void shares_of_a_busy_limit_become_even(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 8, .acquire_timeout_ms = WEIR_NEVER};
    struct town *town = town_open(&opt, false, 1);
    for (uint32_t round = 0; round < 3000; round++) {
        town->now_ms++;
        uint32_t most = round < 100 ? 1
                                    : ENGINES; /* the first one takes all before the others come */
        for (uint32_t i = 0; i < most; i++) {
            while (town->parties[i].asked - town->parties[i].answered < 10) {
                call(&town->parties[i], "a");
            }
        }
        town_settle(town);
        for (uint32_t i = 0; i < ENGINES; i++) {
            while (town->parties[i].holds > 0) {
                give(&town->parties[i], 0);
            }
        }
        town_verify(town, 8);
    }
    for (uint32_t i = 0; i < ENGINES; i++) {
        assert_in_range(town->parties[i].pool->ledger.credits, 1, 3);
    }
    town_free(town);
}

static void a_key_is_limited_across_engines(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 100, .max_per_key = 3, .acquire_timeout_ms = WEIR_NEVER};
    struct town *town = town_open(&opt, false, 1);
    uint32_t held = 0;
    for (uint32_t i = 0; i < ENGINES; i++) {
        call(&town->parties[i], "a");
        call(&town->parties[i], "a");
    }
    town_settle(town);
    for (uint32_t i = 0; i < ENGINES; i++) {
        held += town->parties[i].holds;
    }
    assert_int_equal(held, 3);
    town_free(town);
}

static void a_listener_admits_exactly_its_limit(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 10, .connector = &listener};
    struct town *town = town_open(&opt, true, 1);
    weir_key key = {.host = "peer"};
    weir_conn conns[10];
    weir_conn conn;
    for (uint32_t i = 0; i < 10; i++) {
        struct party *party = &town->parties[i % 3];
        assert_true(weir_pool_can_admit(party->pool));
        assert_int_equal(weir_admit(party->pool, &key, NULL, party, &conns[i]), WEIR_OK);
    }
    for (uint32_t i = 0; i < ENGINES; i++) {
        assert_int_equal(weir_admit(town->parties[i].pool, &key, NULL, NULL, &conn), WEIR_EFULL);
    }
    assert_int_equal(weir_conn_down(town->parties[0].pool, conns[0], WEIR_EHANGUP), WEIR_OK);
    town_settle(town);
    assert_int_equal(weir_admit(town->parties[3].pool, &key, NULL, NULL, &conn), WEIR_OK);
    town_verify(town, 10);
    town_free(town);
}

static void a_lowered_limit_is_reached(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 12};
    struct town *town = town_open(&opt, false, 1);
    for (uint32_t i = 0; i < 12; i++) {
        call(&town->parties[i % ENGINES], "a");
    }
    town_settle(town);
    for (uint32_t i = 0; i < ENGINES; i++) {
        weir_pool_options now;
        weir_pool_options_of(town->parties[i].pool, &now);
        now.max_total = 4;
        assert_int_equal(weir_pool_update(town->parties[i].pool, &now), WEIR_OK);
    }
    for (uint32_t i = 0; i < ENGINES; i++) {
        while (town->parties[i].holds > 0) {
            give(&town->parties[i], 0);
        }
    }
    town_settle(town);
    town_verify(town, 4);
    town_free(town);
}

/* Nobody is told of another's part: what closes is what is too many, and no more. */
static void a_lowered_limit_costs_no_more_than_it_must(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 12, .connector = &listener};
    weir_key key = {.host = "peer"};
    for (uint32_t limit = 1; limit < 12; limit++) {
        struct town *town = town_open(&opt, true, limit);
        for (uint32_t i = 0; i < 12; i++) { /* 6, 3, 2 and 1 of them */
            struct party *party = &town->parties[i < 6 ? 0 : i < 9 ? 1 : i < 11 ? 2 : 3];
            weir_conn conn;
            assert_int_equal(weir_admit(party->pool, &key, NULL, party, &conn), WEIR_OK);
        }
        uint32_t total = 0, most = 0;
        for (uint32_t i = 0; i < ENGINES; i++) {
            weir_pool_options now;
            weir_pool_options_of(town->parties[i].pool, &now);
            now.max_total = limit;
            assert_int_equal(weir_pool_update(town->parties[i].pool, &now), WEIR_OK);
        }
        town_settle(town);
        for (uint32_t i = 0; i < ENGINES; i++) {
            uint32_t here = pool_total(town->parties[i].pool);
            total += here;
            most = here > most ? here : most;
        }
        assert_int_equal(total, limit);
        assert_true(most <= (limit + 2) / 3 + 1); /* those who have most give most */
        town_verify(town, limit);
        town_free(town);
    }
}

/* Anything, in any order, with letters that dawdle. */
static void random_towns_stay_exact_and_settle(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a", "b", "c"};
    for (uint64_t seed = 0; seed < 60; seed++) {
        uint32_t limit = 1 + (uint32_t)seed % 9;
        weir_pool_options opt = {.max_total = limit,
                                 .max_per_key = seed % 3 == 0 ? 2 : 0,
                                 .idle_timeout_ms = 50,
                                 .key_idle_ms = 60,
                                 .acquire_timeout_ms = 400};
        struct town *town = town_open(&opt, seed % 4 == 3, seed);
        town->is_delayed = seed % 2 == 1;
        for (uint32_t turn = 0; turn < 1500; turn++) {
            struct party *party = &town->parties[rand_below(&town->rand, ENGINES)];
            uint64_t what = rand_below(&town->rand, 10);
            if (what < 3 && party->asked - party->answered + party->holds < CALLS_MAX) {
                call(party, hosts[rand_below(&town->rand, 3)]);
            } else if (what < 6 && party->holds > 0) {
                give(party, (uint32_t)rand_below(&town->rand, party->holds));
            } else if (what < 9) {
                carry(town, party);
            } else {
                town->now_ms += rand_below(&town->rand, 20);
                town_step(town);
            }
            town_verify(town, limit);
        }
        for (uint32_t i = 0; i < ENGINES; i++) {
            while (town->parties[i].holds > 0) {
                give(&town->parties[i], 0);
            }
        }
        for (uint32_t turn = 0; turn < 2000;
             turn++) { /* all callers are served, or out of patience */
            town->now_ms++;
            town_settle(town);
            for (uint32_t i = 0; i < ENGINES; i++) {
                while (town->parties[i].holds > 0) {
                    give(&town->parties[i], 0);
                }
            }
        }
        for (uint32_t i = 0; i < ENGINES; i++) {
            assert_int_equal(town->parties[i].asked, town->parties[i].answered);
            assert_int_equal(pool_total(town->parties[i].pool), 0);
        }
        town_free(town);
    }
}

static void says_nothing_to_those_who_left(void **state)
{
    (void)state;
    struct hub hub;
    struct hub_options opt = {.engines = 2, .accounts_max = 1, .name_bytes_max = 1};
    struct limit_msg msg = {.engine = 1, .word = LIMIT_ASK, .count = 3};
    assert_true(hub_init(&hub, &alloc_libc, &opt));
    uint32_t first = hub_join(&hub, 0, "n", 1, 2);
    uint32_t second = hub_join(&hub, 1, "n", 1, 2);
    assert_int_equal(hub_join(&hub, 0, "n", 1, 2), first);
    assert_int_equal(hub_join(&hub, 0, "full", 4, 2), 0);
    assert_true(hub_take(&hub, 0, first));
    msg.account = second;
    hub_receive(&hub, &msg);
    assert_int_equal(hub_out(&hub, "n", 1), 2);
    assert_int_equal(hub_out(&hub, "m", 1), 0);
    hub_leave(&hub, 1, second);
    assert_int_equal(hub_out(&hub, "n", 1), 1);
    assert_false(hub_next(&hub, 1, &msg));
    msg = (struct limit_msg){.account = second, .engine = 1, .word = LIMIT_ASK, .count = 1};
    hub_receive(&hub, &msg);
    uint32_t again = hub_join(&hub, 1, "n", 1, 2);
    assert_int_not_equal(again, second);
    hub_receive(&hub, &msg);
    hub_verify(&hub);
    assert_int_equal(hub_out(&hub, "n", 1), 1);
    hub_leave(&hub, 0, first);
    hub_leave(&hub, 1, again);
    msg.account = again;
    hub_receive(&hub, &msg);
    assert_int_equal(hub.accounts.count, 0);
    hub_fini(&hub);
}

static void note_wake(void *arg, uint32_t engine)
{
    uint32_t *wakes = arg;
    wakes[engine]++;
}

static void wakes_once_for_all_there_is_to_fetch(void **state)
{
    (void)state;
    struct hub hub;
    uint32_t wakes[3] = {0};
    struct hub_options opt = {.engines = 3, .wake = note_wake, .wake_arg = wakes};
    struct limit_msg msg = {.word = LIMIT_ASK, .count = 4};
    assert_true(hub_init(&hub, &alloc_libc, &opt));
    uint32_t accounts[3];
    for (uint32_t i = 0; i < 3; i++) {
        accounts[i] = hub_join(&hub, i, "n", 1, 4);
    }
    msg.account = accounts[0];
    hub_receive(&hub, &msg); /* gets all there are */
    msg.count = 6;
    hub_receive(&hub, &msg); /* and would have more */
    hub_receive(&hub, &msg);
    assert_int_equal(wakes[0], 1);
    for (uint32_t i = 1; i < 3; i++) {
        msg = (struct limit_msg){
            .account = accounts[i], .engine = (uint16_t)i, .word = LIMIT_ASK, .count = 1};
        hub_receive(&hub, &msg);
    }
    hub_verify(&hub);
    assert_true(hub_next(&hub, 0, &msg));
    assert_int_equal(msg.word, LIMIT_GRANT);
    assert_int_equal(msg.count, 4);
    assert_true(hub_next(&hub, 0, &msg));
    assert_int_equal(msg.word, LIMIT_GRANT);
    assert_int_equal(msg.count, 0);
    assert_true(hub_next(&hub, 0, &msg));
    assert_int_equal(msg.word, LIMIT_PRESS);
    assert_int_equal(msg.count, 2);
    assert_false(hub_next(&hub, 0, &msg));
    assert_int_equal(wakes[0], 1);
    assert_int_equal(wakes[1], 1);
    hub_join(&hub, 1, "n", 1, 1); /* three too many are out */
    assert_true(hub_next(&hub, 0, &msg));
    assert_int_equal(msg.word, LIMIT_PRESS);
    assert_int_equal(msg.count, 4);
    for (uint32_t i = 0; i < 3; i++) {
        hub_leave(&hub, i, accounts[i]);
    }
    hub_fini(&hub);
}

static void names_have_room_of_their_own(void **state)
{
    (void)state;
    struct hub hub;
    struct hub_options opt = {.name_bytes_max = 1};
    char name[6000] = "";
    struct limit_msg nobody = {.word = LIMIT_ASK};
    assert_true(hub_init(&hub, &alloc_libc, &opt));
    assert_true(hub_join(&hub, 0, name, 6000, 1) != 0);
    assert_true(hub_join(&hub, 0, name, 5000, 1) == 0);
    hub_receive(&hub, &nobody);
    nobody.account = 5000;
    hub_receive(&hub, &nobody);
    hub_verify(&hub);
    hub_fini(&hub);
}

static void open_and_close(const struct alloc *alloc, void *arg)
{
    struct hub hub;
    struct hub_options opt = {.engines = 2};
    (void)arg;
    if (hub_init(&hub, alloc, &opt)) {
        hub_fini(&hub);
    }
}

static void survives_without_memory(void **state)
{
    (void)state;
    torture(open_and_close, NULL);
}

/* Leases were long here once, what is idle is elsewhere, and more callers come than the hub's word
 * has been heard: how long they will wait is not known. */
static void a_burst_is_not_refused_before_others_have_given_what_they_can(void **state)
{
    (void)state;
    enum { LIMIT = 8, BURST = 16 };
    for (int is_direct = 0; is_direct < 2; is_direct++) {
        weir_pool_options opt = {
            .max_per_key = LIMIT, .acquire_timeout_ms = 30000, .max_age_ms = WEIR_NEVER};
        struct town *town = town_open(&opt, is_direct, 1);
        struct party *poor = &town->parties[1];
        struct party *rich = &town->parties[0];
        call(poor, "a");
        town_settle(town);
        town->now_ms += 200000; /* and 0 before: 25 s on average */
        town_settle(town);
        give(poor, 0);
        for (uint32_t i = 0; i < LIMIT; i++) {
            call(rich, "a");
        }
        town_settle(town);
        assert_int_equal(rich->holds, LIMIT);
        while (rich->holds > 0) {
            give(rich, 0);
        }
        for (uint32_t i = 0; i < BURST; i++) {
            call(poor, "a");
            carry(town, poor); /* nobody else has heard of it */
        }
        assert_int_equal(poor->asked, 1 + BURST);
        town_settle(town);
        assert_int_equal(poor->holds, LIMIT);
        while (poor->holds > 0) {
            give(poor, 0);
            town_settle(town);
        }
        assert_int_equal(poor->answered, 1 + BURST);
        assert_int_equal(poor->failed, 0);
        town_free(town);
    }
}

static void warm_all(struct town *town)
{
    const weir_key key = {.scheme = "x", .host = "a", .port = 1};
    for (uint32_t i = 0; i < ENGINES; i++) {
        assert_int_equal(weir_pool_warm(town->parties[i].pool, &key, true), WEIR_OK);
    }
    for (uint32_t i = 0; i < 50; i++) {
        town->now_ms += 10;
        town_settle(town);
    }
}

static uint32_t total_of(const struct town *town)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < ENGINES; i++) {
        total += pool_total(town->parties[i].pool);
    }
    return total;
}

/* What is dialled ahead takes what nobody needs, of limits of the pool and of the key alike, and
 * makes way for who does. */
static void every_engine_warms_up_within_the_limit(void **state)
{
    (void)state;
    enum { EACH = 2, FEW = 5 };
    const weir_pool_options plenty = {.min_idle = EACH, .warm = WEIR_WARM_UP};
    struct town *town = town_open(&plenty, true, 1);
    warm_all(town);
    for (uint32_t i = 0; i < ENGINES; i++) {
        assert_int_equal(pool_total(town->parties[i].pool), EACH);
    }
    town_free(town);
    for (int is_of_key = 0; is_of_key < 2; is_of_key++) {
        const weir_pool_options few = {.min_idle = EACH,
                                       .max_per_key = is_of_key ? FEW : 100,
                                       .max_total = is_of_key ? 100 : FEW,
                                       .warm = WEIR_WARM_UP};
        town = town_open(&few, true, 1);
        warm_all(town);
        assert_int_equal(total_of(town), FEW);
        struct party *last = &town->parties[ENGINES - 1];
        for (uint32_t i = 0; i < FEW; i++) {
            call(last, "a");
        }
        for (uint32_t i = 0; i < 50; i++) {
            town->now_ms += 10;
            town_settle(town);
        }
        assert_int_equal(last->holds, FEW);
        assert_int_equal(total_of(town), FEW);
        town_free(town);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_warms_up_within_the_limit),
        cmocka_unit_test(a_burst_is_not_refused_before_others_have_given_what_they_can),
        cmocka_unit_test(one_credit_goes_round_among_all),
        cmocka_unit_test(idle_connections_elsewhere_make_room),
        cmocka_unit_test(shares_of_a_busy_limit_become_even),
        cmocka_unit_test(a_key_is_limited_across_engines),
        cmocka_unit_test(a_listener_admits_exactly_its_limit),
        cmocka_unit_test(a_lowered_limit_is_reached),
        cmocka_unit_test(a_lowered_limit_costs_no_more_than_it_must),
        cmocka_unit_test(random_towns_stay_exact_and_settle),
        cmocka_unit_test(says_nothing_to_those_who_left),
        cmocka_unit_test(wakes_once_for_all_there_is_to_fetch),
        cmocka_unit_test(names_have_room_of_their_own),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
