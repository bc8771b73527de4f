/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/zone.h"

#include "support/unit.h"

#include <string.h>

/* A letter for each peer: in capitals those near by; g good, d doubted, o out, w without weight. */
static uint32_t field(const char *letters, struct balance_peer *peers, bool *is_near)
{
    uint32_t count = (uint32_t)strlen(letters);
    for (uint32_t i = 0; i < count; i++) {
        char letter = (char)(letters[i] | 0x20);
        peers[i] = (struct balance_peer){.hash = i,
                                         .weight = letter == 'w' ? 0 : 100,
                                         .standing = letter == 'o'   ? BALANCE_OUT
                                                     : letter == 'd' ? BALANCE_DOUBTED
                                                                     : BALANCE_GOOD};
        is_near[i] = letters[i] != letter;
    }
    return count;
}

static void near_by_first_while_half_of_them_are_usable(void **state)
{
    static const struct {
        const char *letters;
        uint32_t except;
        bool is_near_enough;
    } rows[] = {
        {"Gg", BALANCE_NOBODY, true},
        {"GGgg", BALANCE_NOBODY, true},
        {"GOg", BALANCE_NOBODY, true},
        {"GOOg", BALANCE_NOBODY, false},
        {"GGOO", BALANCE_NOBODY, true},
        {"GDg", BALANCE_NOBODY, true},
        {"Dg", BALANCE_NOBODY, false},
        {"Og", BALANCE_NOBODY, false},
        {"Oo", BALANCE_NOBODY, false},
        {"gg", BALANCE_NOBODY, false},
        {"GWWg", BALANCE_NOBODY, false},
        {"GWg", BALANCE_NOBODY, true},
        {"Wg", BALANCE_NOBODY, false},
        {"Gg", 0, false},
        {"GGg", 0, true},
        {"GOg", 0, false},
        {"GGGg", 1, true},
        {"GGOg", 1, false},
        {"Gg", 1, true},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct balance_peer peers[8], before[8];
        bool is_near[8];
        uint32_t count = field(rows[i].letters, peers, is_near);
        memcpy(before, peers, sizeof before);
        assert_int_equal(zone_prefer(peers, is_near, count, rows[i].except),
                         rows[i].is_near_enough);
        for (uint32_t k = 0; k < count; k++) {
            bool is_left = is_near[k] || !rows[i].is_near_enough;
            assert_int_equal(peers[k].weight, is_left ? before[k].weight : 0);
            assert_int_equal(peers[k].standing, before[k].standing);
        }
    }
}

/* Whoever is chosen is near by, whatever the method, as long as it is so. */
static void the_balance_goes_by_it(void **state)
{
    (void)state;
    for (unsigned method = BALANCE_TWO_CHOICES; method <= BALANCE_LOWEST_TIER; method++) {
        struct balance balance;
        balance_init(&balance, (enum balance_method)method, 5);
        for (uint32_t i = 0; i < 200; i++) {
            struct balance_peer peers[8];
            bool is_near[8];
            uint32_t count = field("gGgOG", peers, is_near);
            peers[0].tier = 0, peers[1].tier = peers[4].tier = 1;
            assert_true(zone_prefer(peers, is_near, count, BALANCE_NOBODY));
            uint32_t chosen = balance_choose(&balance, peers, count,
                                             i * UINT64_C(0x9e3779b97f4a7c15), BALANCE_NOBODY);
            assert_true(chosen == 1 || chosen == 4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_by_first_while_half_of_them_are_usable),
        cmocka_unit_test(the_balance_goes_by_it),
    };
    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
