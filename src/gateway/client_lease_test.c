/* SPDX-License-Identifier: Apache-2.0
 *
 * client_lease_test.c - what one gateway may, and what several may together that share a real
 * redis-server: their questions come in any order, twice, or late.
 */
#include "gateway/client_lease.h"

#include "base/rand.h"
#include "support/redis_sharing.h"

#include <time.h>

#define GATEWAYS 4U
#define SECOND   UINT64_C(1000000000)
#define LONG_MS  60000U /* no lease ends meanwhile */
#define NOW      UINT64_C(1000000)

/* --- alone --------------------------------------------------------------------------------------
 */

static void alone_it_may_what_the_limit_says(void **state)
{
    (void)state;
    struct client_lease lease;
    client_lease_init(&lease, 3, 0, false);
    assert_int_equal(client_lease_share(&lease), 3);
    assert_true(client_lease_enter(&lease, 0));
    assert_true(client_lease_enter(&lease, 1));
    assert_false(client_lease_enter(&lease, 1)); /* the last one is for somebody else */
    assert_true(client_lease_enter(&lease, 0));
    assert_false(client_lease_enter(&lease, 0));
    assert_false(client_lease_enter(&lease, 7));
    assert_int_equal(client_lease_open(&lease), 3);
    assert_false(client_lease_leave(&lease));
    assert_true(client_lease_enter(&lease, 0));
    client_lease_init(&lease, LEASE_ALL, 0, true); /* without a limit there is nothing to share */
    for (unsigned i = 0; i < 100; i++) {
        assert_true(client_lease_enter(&lease, 0));
    }
}

/* --- together -----------------------------------------------------------------------------------
 */

struct gateway {
    struct client_lease lease;
    struct lease_ask ask;  /* under way, while lease.is_asking */
    struct lease_ask late; /* nobody waits for its answer; no name: there is none */
    uint32_t waiting;
};

static weir_sessions *sessions;
static struct gateway gateways[GATEWAYS];
static uint32_t limit;

static int begin(void **state)
{
    start(state);
    sessions = opened();
    return 0;
}

static int finish(void **state)
{
    weir_sessions_close(sessions);
    return end(state);
}

static void found(uint32_t places)
{
    limit = places;
    redis_says(&server, "FLUSHALL", NULL);
    for (unsigned i = 0; i < GATEWAYS; i++) {
        gateways[i] = (struct gateway){.waiting = 0};
        client_lease_init(&gateways[i].lease, places, 0, true);
        assert_int_equal(client_lease_share(&gateways[i].lease), 0);
    }
}

struct said {
    _Atomic bool is_done;
    weir_err err;
    struct lease_answer answer;
};

static void on_said(void *arg, weir_err err, const struct lease_answer *answer)
{
    struct said *said = arg;
    said->err = err;
    if (answer != NULL) {
        said->answer = *answer;
    }
    said->is_done = true;
}

static struct lease_answer say(const struct lease_ask *ask)
{
    struct said said = {.err = WEIR_OK};
    assert_int_equal(sessions_lease(sessions, ask, on_said, &said), WEIR_EAGAIN);
    until(said.is_done);
    assert_int_equal(said.err, WEIR_OK);
    return said.answer;
}

static bool compose(unsigned n)
{
    struct gateway *it = &gateways[n];
    if (!client_lease_ask(&it->lease, it->waiting, NOW, &it->ask)) {
        return false;
    }
    it->ask.name = "team";
    it->ask.holder = n + 1;
    it->ask.ttl_ms = LONG_MS;
    return true;
}

static void ask(unsigned n)
{
    assert_true(compose(n));
    struct lease_answer answer = say(&gateways[n].ask);
    client_lease_heard(&gateways[n].lease, &answer, NOW);
}

static void all_ask(unsigned rounds)
{
    for (unsigned i = 0; i < rounds * GATEWAYS; i++) {
        ask(i % GATEWAYS);
    }
}

static uint32_t share(unsigned n)
{
    return client_lease_share(&gateways[n].lease);
}

static void open_some(unsigned n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(client_lease_enter(&gateways[n].lease, 0));
    }
}

static void who_is_alone_among_many_has_it_all(void **state)
{
    (void)state;
    found(10);
    gateways[2].waiting = 1;
    ask(2);
    assert_int_equal(share(2), 10);
    gateways[2].waiting = 0;
    all_ask(2); /* the others want nothing */
    assert_int_equal(share(2), 10);
    assert_int_equal(share(0) + share(1) + share(3), 0);
    open_some(2, 10);
    assert_false(client_lease_enter(&gateways[2].lease, 0));
    all_ask(2);
    assert_int_equal(share(2), 10);
}

static void what_is_free_is_divided(void **state)
{
    (void)state;
    found(10);
    gateways[0].waiting = 1;
    ask(0);
    open_some(0, 3);
    gateways[0].waiting = 0;
    gateways[1].waiting = 1;
    all_ask(3);
    assert_int_equal(share(0), 6); /* three, and half of the six that nobody wants */
    assert_int_equal(share(1), 4);
}

static void who_wants_more_gets_as_much_as_the_others(void **state)
{
    (void)state;
    found(10);
    gateways[0].waiting = 50;
    ask(0);
    open_some(0, 10);
    gateways[1].waiting = 50;
    gateways[2].waiting = 2;
    all_ask(3);
    assert_int_equal(share(1) + share(2), 0); /* nothing is taken from who is at work */
    assert_int_equal(share(0), 4);
    assert_false(client_lease_enter(&gateways[0].lease, 0));
    for (unsigned i = 0; i < 6; i++) {
        assert_true(client_lease_leave(&gateways[0].lease)); /* others are waiting for it */
        all_ask(2);
    }
    assert_int_equal(share(0), 4);
    assert_int_equal(share(1), 4);
    assert_int_equal(share(2), 2);
    assert_false(client_lease_leave(&gateways[0].lease));
}

/* Each has its turn, however few there are. */
static void one_place_goes_around(void **state)
{
    (void)state;
    found(1);
    bool had[GATEWAYS] = {false};
    for (unsigned i = 0; i < GATEWAYS; i++) {
        gateways[i].waiting = 1;
    }
    until((all_ask(1),
           had[share(1) > 0   ? 1
               : share(2) > 0 ? 2
               : share(3) > 0 ? 3
                              : 0] |= share(0) + share(1) + share(2) + share(3) == 1,
           had[0] && had[1] && had[2] && had[3]));
}

static void who_dies_is_forgotten(void **state)
{
    (void)state;
    found(5);
    gateways[0].waiting = 5;
    assert_true(compose(0));
    gateways[0].ask.ttl_ms = 300;
    assert_int_equal(say(&gateways[0].ask).granted, 5);
    gateways[1].waiting = 5;
    ask(1);
    assert_int_equal(share(1), 0);
    until((ask(1), share(1) == 5));
}

static void who_wants_nothing_leaves(void **state)
{
    (void)state;
    found(5);
    gateways[0].waiting = 1;
    ask(0);
    gateways[0].waiting = 0;
    assert_true(client_lease_ask(&gateways[0].lease, 0, NOW + LEASE_IDLE_MS - 1, &gateways[0].ask));
    assert_int_equal(gateways[0].ask.wanted, 1); /* one stays for a while */
    gateways[0].lease.is_asking = false;
    assert_true(client_lease_ask(&gateways[0].lease, 0, NOW + LEASE_IDLE_MS, &gateways[0].ask));
    assert_int_equal(gateways[0].ask.wanted + gateways[0].ask.held, 0);
    gateways[0].ask.name = "team";
    gateways[0].ask.holder = 1;
    struct lease_answer answer = say(&gateways[0].ask);
    client_lease_heard(&gateways[0].lease, &answer, NOW);
    assert_true(client_lease_is_idle(&gateways[0].lease, 0));
    assert_false(client_lease_is_idle(&gateways[0].lease, 1));
    assert_string_equal(redis_says(&server, "KEYS", "test:l:*"), "");
}

/* --- whatever happens ---------------------------------------------------------------------------
 */

/* What each has open, and may open at once. */
static uint32_t held_by_all(void)
{
    uint32_t held = 0;
    for (unsigned i = 0; i < GATEWAYS; i++) {
        uint32_t open = client_lease_open(&gateways[i].lease);
        held += open > share(i) ? open : share(i);
    }
    return held;
}

static void act(struct rand *rand, struct gateway *it, unsigned n)
{
    uint32_t open = client_lease_open(&it->lease);
    switch (rand_below(rand, 8)) {
    case 0:
    case 1: client_lease_enter(&it->lease, 0); break;
    case 2:
        if (open > 0) {
            client_lease_leave(&it->lease);
        }
        break;
    case 3: it->waiting = (uint32_t)rand_below(rand, 2 * (uint64_t)limit); break;
    case 4: it->waiting = 0; break;
    case 5:
        if (compose(n) && rand_chance(rand, 100)) {
            it->lease.is_asking = false; /* nobody heard of it; it may come later */
            it->late = it->ask;
        }
        break;
    case 6:
        if (it->late.name != NULL) {
            say(&it->late);
            it->late.name = NULL;
        }
        break;
    default:
        if (it->lease.is_asking) {
            struct lease_answer answer = say(&it->ask);
            if (rand_chance(rand, 300)) {
                say(&it->ask); /* twice, and the second time heard or not */
            }
            client_lease_heard(&it->lease, &answer, NOW);
        }
        break;
    }
}

static void all_together_never_have_more_than_there_is(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 7, 40};
    uint32_t most = 0;
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rand rand;
        uint64_t seed = (uint64_t)time(NULL) + i;
        rand_init(&rand, seed);
        found(limits[i]);
        for (unsigned step = 0; step < 4000; step++) {
            unsigned n = (unsigned)rand_below(&rand, GATEWAYS);
            act(&rand, &gateways[n], n);
            if (held_by_all() > limit) {
                fail_msg("seed %llu, step %u: %u of %u", (unsigned long long)seed, step,
                         held_by_all(), limit);
            }
            most = held_by_all() > most ? held_by_all() : most;
        }
        redis_says(&server, "SCRIPT", "FLUSH");
    }
    assert_true(most > 20); /* they had something to share */
}

/* Nobody takes what others may have, whom the Redis does not know any more. */
static void a_redis_that_forgot_hears_first_what_all_have(void **state)
{
    (void)state;
    found(6);
    for (unsigned i = 0; i < 2; i++) {
        gateways[i].waiting = 9;
    }
    all_ask(3);
    assert_int_equal(share(0), 3);
    assert_int_equal(share(1), 3);
    redis_says(&server, "FLUSHALL", NULL);
    ask(0);
    assert_int_equal(share(0), 3);
    ask(0);
    assert_int_equal(share(0), 3); /* for a while */
    gateways[0].lease.more_from_ms = 0;
    ask(1);
    all_ask(2);
    assert_int_equal(share(0), 3);
    assert_int_equal(share(1), 3);
}

static void what_is_there_is_healed_or_ignored(void **state)
{
    (void)state;
    char key[64];
    found(4);
    snprintf(key, sizeof key, "test:l:{%03x}:team", (unsigned)redis_wire_lease_tag("team"));
    redis_says(&server, "SET", key, "garbage");
    gateways[0].waiting = 1;
    ask(0);
    assert_int_equal(share(0), 4);
    redis_says(&server, "HSET", key, "nobody", "1 x");
    redis_says(&server, "HSET", key, "t", "-7");
    redis_says(&server, "HSET", key, "f00", "99999999999999999999 1 9999999999999999999 1");
    ask(0);
    assert_int_equal(share(0), 4);
}

/* --- the rate -----------------------------------------------------------------------------------
 */

static struct lease_answer tokens(unsigned holder, uint64_t number, uint32_t count,
                                  uint64_t interval_ns, uint64_t tolerance_ns)
{
    const struct lease_ask it = {.name = "rate",
                                 .holder = holder,
                                 .number = number,
                                 .ttl_ms = 1000,
                                 .interval_ns = interval_ns,
                                 .tolerance_ns = tolerance_ns,
                                 .tokens = count};
    return say(&it);
}

static void a_rate_is_for_all(void **state)
{
    (void)state;
    found(1);
    struct lease_answer answer = tokens(1, 1, 60, 36 * SECOND, 99 * 36 * SECOND); /* 100/h */
    assert_int_equal(answer.tokens, 60);
    assert_int_equal(answer.early_ms, 0);
    assert_int_equal(answer.granted, 0);
    answer = tokens(2, 1, 60, 36 * SECOND, 99 * 36 * SECOND);
    assert_int_equal(answer.tokens, 40);
    assert_in_range(answer.early_ms, 30000, 36001);
    assert_int_equal(tokens(1, 2, 1, 36 * SECOND, 99 * 36 * SECOND).tokens, 0);
    assert_true(tokens(1, 1, 1, 36 * SECOND, 99 * 36 * SECOND).tokens == 0);
}

/* As many as are due, and what may come at once. */
static void a_rate_holds_over_time(void **state)
{
    (void)state;
    found(1);
    uint64_t sum = 0, number = 0, begun_ms = clock_now_ms(), took_ms;
    do {
        number++;
        sum += tokens((unsigned)(number % 3) + 1, number, 1000, 333333, SECOND - 333333).tokens;
        took_ms = clock_now_ms() - begun_ms;
    } while (took_ms < 700); /* 3000/s */
    uint64_t most = 3000 + 3 * (clock_now_ms() + 2 - begun_ms);
    assert_in_range(sum, 3000 + 3 * (took_ms > 300 ? 300 : took_ms), most);
}

static void a_token_is_for_one_and_not_for_long(void **state)
{
    (void)state;
    struct client_lease lease;
    struct lease_ask it;
    client_lease_init(&lease, LEASE_ALL, SECOND / 100, true);
    assert_int_equal(client_lease_token(&lease, NOW), CLIENT_ASKS);
    lease.thirsty = 3;
    assert_true(client_lease_ask(&lease, 3, NOW, &it));
    assert_int_equal(it.tokens, 3);
    assert_int_equal(it.limit + it.wanted + it.held, 0);
    struct lease_answer answer = {.tokens = 2, .early_ms = 40};
    assert_false(client_lease_heard(&lease, &answer, NOW));
    lease.thirsty = 0;
    assert_int_equal(client_lease_token(&lease, NOW), 0);
    assert_int_equal(client_lease_token(&lease, NOW + LEASE_TOKEN_MS), CLIENT_ASKS); /* void */
    assert_int_equal(client_lease_token(&lease, NOW + 1), 0);
    assert_int_equal(client_lease_token(&lease, NOW + 1), 39); /* and no third */
    assert_int_equal(client_lease_token(&lease, NOW + 40), CLIENT_ASKS);
    assert_false(client_lease_is_idle(&lease, 0));
    /* What was used of late is had in advance. */
    lease.used = lease.counted + 100;
    assert_true(client_lease_ask(&lease, 0, NOW + 1000, &it));
    assert_in_range(it.tokens, 20, 30);
    client_lease_heard(&lease, &answer, NOW + 1000);
    lease.used = lease.counted + 100000;
    assert_true(client_lease_ask(&lease, 0, NOW + 2000, &it));
    assert_int_equal(it.tokens, 50); /* that the rate gives in their time */
    client_lease_init(&lease, LEASE_ALL, 600 * SECOND, true);
    lease.used = 6;
    assert_true(client_lease_ask(&lease, 0, NOW, &it));
    assert_int_equal(it.tokens, 0); /* of a slow one they would be missed */
}

/* --- nobody answers -----------------------------------------------------------------------------
 */

static void without_an_answer_it_has_a_part(void **state)
{
    (void)state;
    struct client_lease lease;
    struct lease_ask it;
    client_lease_init(&lease, 12, 0, true);
    assert_true(client_lease_ask(&lease, 1, NOW, &it));
    client_lease_failed(&lease, 3, NOW);
    assert_int_equal(client_lease_share(&lease), 4);
    assert_int_equal(client_lease_token(&lease, NOW), 0); /* the rate is looked after here */
    assert_true(client_lease_ask(&lease, 1, NOW, &it));
    struct lease_answer answer = {.granted = 9};
    client_lease_heard(&lease, &answer, NOW);
    assert_int_equal(client_lease_share(&lease), 9);
    assert_int_equal(client_lease_token(&lease, NOW), CLIENT_ASKS);
    for (unsigned i = 0; i < 9; i++) {
        assert_true(client_lease_enter(&lease, 0));
    }
    assert_true(client_lease_ask(&lease, 1, NOW + 1, &it));
    client_lease_failed(&lease, 3, NOW + LEASE_TTL_MS - 1); /* it is its own for so long */
    assert_int_equal(client_lease_share(&lease), 9);
    assert_true(client_lease_ask(&lease, 1, NOW + LEASE_TTL_MS, &it));
    client_lease_failed(&lease, 3, NOW + LEASE_TTL_MS);
    assert_int_equal(client_lease_share(&lease), 4);
    assert_false(client_lease_enter(&lease, 0));
    client_lease_failed(&lease, 100, NOW + LEASE_TTL_MS);
    assert_int_equal(client_lease_share(&lease), 1); /* at least one */
    for (unsigned i = 0; i < 9; i++) {
        client_lease_leave(&lease);
    }
    assert_true(client_lease_ask(&lease, 0, NOW + 60000, &it)); /* what was open till then counts */
    client_lease_failed(&lease, 3, NOW + 60000);
    assert_int_equal(client_lease_share(&lease), 4);
    assert_true(client_lease_ask(&lease, 0, NOW + 60000 + LEASE_IDLE_MS, &it));
    client_lease_failed(&lease, 3, NOW + 60000 + LEASE_IDLE_MS);
    assert_int_equal(client_lease_share(&lease), 0);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_it_may_what_the_limit_says),
        WITH_SERVER(who_is_alone_among_many_has_it_all),
        WITH_SERVER(what_is_free_is_divided),
        WITH_SERVER(who_wants_more_gets_as_much_as_the_others),
        WITH_SERVER(one_place_goes_around),
        WITH_SERVER(who_dies_is_forgotten),
        WITH_SERVER(who_wants_nothing_leaves),
        WITH_SERVER(all_together_never_have_more_than_there_is),
        WITH_SERVER(a_redis_that_forgot_hears_first_what_all_have),
        WITH_SERVER(what_is_there_is_healed_or_ignored),
        WITH_SERVER(a_rate_is_for_all),
        WITH_SERVER(a_rate_holds_over_time),
        cmocka_unit_test(a_token_is_for_one_and_not_for_long),
        cmocka_unit_test(without_an_answer_it_has_a_part),
    };
    return cmocka_run_group_tests_name("client leases", tests, NULL, NULL);
}
