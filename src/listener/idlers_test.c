/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/idlers.h"

#include "base/rand.h"
#include "support/unit.h"

static uint32_t closed;

static void close_one(void *client)
{
    bool *is_closed = client;
    assert_false(*is_closed);
    *is_closed = true;
    closed++;
}

/* Against sorting: whoever is closed goes before whoever is not. */
static void those_idle_for_longest_close(void **state)
{
    enum { MANY = 700 };
    static struct idler idler[MANY];
    static bool is_closed[MANY];
    static struct idlers idlers;
    struct rand rand;
    (void)state;
    rand_init(&rand, 1);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t count = (uint32_t)rand_below(&rand, MANY);
        uint32_t most = (uint32_t)rand_below(&rand, 2 * IDLERS_MAX);
        uint32_t limit = most < IDLERS_MAX ? most : IDLERS_MAX;
        idlers_init(&idlers, most);
        for (uint32_t i = 0; i < count; i++) {
            is_closed[i] = false;
            idler[i] = (struct idler){.idle_ms = rand_below(&rand, 50),
                                      .is_favoured = rand_below(&rand, 4) == 0,
                                      .close = close_one,
                                      .client = &is_closed[i]};
            idlers_offer(&idlers, &idler[i]);
        }
        closed = 0;
        assert_int_equal(idlers.offered, count);
        uint32_t said = idlers_close(&idlers);
        assert_int_equal(said, closed);
        assert_int_equal(closed, count < limit ? count : limit);
        assert_int_equal(idlers_close(&idlers), 0);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < count && is_closed[i]; k++) {
                if (!is_closed[k]) {
                    assert_true(idler[i].is_favoured <= idler[k].is_favoured);
                    assert_true(idler[i].is_favoured != idler[k].is_favoured
                                || idler[i].idle_ms >= idler[k].idle_ms);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_idle_for_longest_close),
    };
    return cmocka_run_group_tests_name("idlers", tests, NULL, NULL);
}
