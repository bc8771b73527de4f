/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/balance.h"

#include <string.h>

#define ROUNDS 30000U

static struct balance_peer peers[4];
static uint32_t got[4];

static void setup_peers(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t weight[4] = {a, b, c, d};
    for (uint32_t i = 0; i < 4; i++) {
        peers[i] = (struct balance_peer){
            .hash = rand_mix(i + 1), .weight = weight[i], .standing = BALANCE_GOOD};
    }
    memset(got, 0, sizeof got);
}

static void run(enum balance_method method, uint32_t rounds)
{
    struct balance balance;
    balance_init(&balance, method, 7);
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t chosen = balance_choose(&balance, peers, 4, rand_mix(i), BALANCE_NOBODY);
        assert_true(chosen < 4);
        got[chosen]++;
    }
}

static void assert_share(uint32_t i, double share, double within)
{
    double is = (double)got[i] / ROUNDS;
    assert_true(is > share - within && is < share + within);
}

static void idle_peers_share_by_weight(void **state)
{
    (void)state;
    const enum balance_method methods[] = {BALANCE_TWO_CHOICES, BALANCE_EACH_IN_TURN,
                                           BALANCE_RENDEZVOUS, BALANCE_LOWEST_TIER};
    for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++) {
        setup_peers(100, 200, 0, 700);
        run(methods[i], ROUNDS);
        assert_int_equal(got[2], 0);
        assert_share(0, 0.1, 0.02);
        assert_share(1, 0.2, 0.02);
        assert_share(3, 0.7, 0.03);
    }
}

static void in_turn_is_smooth(void **state)
{
    (void)state;
    setup_peers(2, 1, 1, 0);
    struct balance balance;
    balance_init(&balance, BALANCE_EACH_IN_TURN, 1);
    char order[9] = "";
    for (int i = 0; i < 8; i++) {
        order[i] = (char)('a' + balance_choose(&balance, peers, 4, 0, BALANCE_NOBODY));
    }
    assert_string_equal(order, "abcaabca");
}

static void two_choices_avoid_the_busy(void **state)
{
    (void)state;
    setup_peers(100, 100, 0, 0);
    peers[0].busy = 5;
    run(BALANCE_TWO_CHOICES, 1000);
    assert_int_equal(got[1], 1000);
}

static void the_least_busy_for_its_weight(void **state)
{
    (void)state;
    setup_peers(100, 200, 100, 100);
    for (int i = 0; i < 4; i++) {
        peers[i].busy = 3;
    }
    run(BALANCE_LEAST_BUSY, 100);
    assert_int_equal(got[1], 100);
    peers[1].busy = 50;
    memset(got, 0, sizeof got);
    run(BALANCE_LEAST_BUSY, ROUNDS);
    assert_int_equal(got[1], 0);
    assert_share(0, 1.0 / 3, 0.02);
    assert_share(2, 1.0 / 3, 0.02);
    assert_share(3, 1.0 / 3, 0.02);
}

static void rendezvous_moves_only_the_share_of_who_leaves(void **state)
{
    (void)state;
    setup_peers(100, 100, 100, 100);
    struct balance balance;
    balance_init(&balance, BALANCE_RENDEZVOUS, 1);
    for (uint64_t key = 1; key < 2000; key++) {
        uint64_t hash = rand_mix(key);
        uint32_t before = balance_choose(&balance, peers, 4, hash, BALANCE_NOBODY);
        assert_int_equal(balance_choose(&balance, peers, 4, hash, BALANCE_NOBODY), before);
        peers[2].standing = BALANCE_OUT;
        uint32_t after = balance_choose(&balance, peers, 4, hash, BALANCE_NOBODY);
        assert_true(before == 2 ? after != 2 : after == before);
        peers[2].standing = BALANCE_GOOD;
    }
}

static void the_lowest_tier_that_has_somebody(void **state)
{
    (void)state;
    setup_peers(100, 100, 100, 100);
    peers[0].tier = peers[1].tier = 2;
    peers[2].tier = 1;
    peers[3].tier = 3;
    run(BALANCE_LOWEST_TIER, 100);
    assert_int_equal(got[2], 100);
    peers[2].standing = BALANCE_DOUBTED; /* somebody good in a later tier is better */
    memset(got, 0, sizeof got);
    run(BALANCE_LOWEST_TIER, 100);
    assert_int_equal(got[0] + got[1], 100);
}

static void standing_decides_who_takes_part(void **state)
{
    (void)state;
    setup_peers(1, 1, 1, 1);
    struct balance balance;
    balance_init(&balance, BALANCE_TWO_CHOICES, 3);
    peers[0].standing = peers[1].standing = peers[3].standing = BALANCE_OUT;
    peers[2].standing = BALANCE_DOUBTED;
    assert_int_equal(balance_choose(&balance, peers, 4, 0, BALANCE_NOBODY), 2);
    assert_int_equal(balance_choose(&balance, peers, 4, 0, 2), BALANCE_NOBODY);
    peers[2].standing = BALANCE_OUT;
    assert_int_equal(balance_choose(&balance, peers, 4, 0, BALANCE_NOBODY), BALANCE_NOBODY);
    assert_int_equal(balance_choose(&balance, peers, 0, 0, BALANCE_NOBODY), BALANCE_NOBODY);
}

static void the_excepted_one_is_not_asked(void **state)
{
    (void)state;
    const enum balance_method methods[] = {BALANCE_TWO_CHOICES, BALANCE_LEAST_BUSY,
                                           BALANCE_EACH_IN_TURN, BALANCE_RENDEZVOUS,
                                           BALANCE_LOWEST_TIER};
    for (unsigned m = 0; m < sizeof methods / sizeof *methods; m++) {
        setup_peers(1000, 1, 1, 1);
        struct balance balance;
        balance_init(&balance, methods[m], 3);
        for (uint64_t i = 0; i < 200; i++) {
            assert_int_not_equal(balance_choose(&balance, peers, 4, rand_mix(i), 0), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_peers_share_by_weight),
        cmocka_unit_test(in_turn_is_smooth),
        cmocka_unit_test(two_choices_avoid_the_busy),
        cmocka_unit_test(the_least_busy_for_its_weight),
        cmocka_unit_test(rendezvous_moves_only_the_share_of_who_leaves),
        cmocka_unit_test(the_lowest_tier_that_has_somebody),
        cmocka_unit_test(standing_decides_who_takes_part),
        cmocka_unit_test(the_excepted_one_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
