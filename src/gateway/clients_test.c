/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/clients.h"

#include <string.h>

static void address_of(uint32_t n, uint8_t ret[16])
{
    memset(ret, 0, 16);
    memcpy(ret + 12, &n, 4);
}

static void a_client_has_so_many_seats(void **state)
{
    (void)state;
    struct clients *clients;
    assert_int_equal(clients_new(&clients), 0);
    uint8_t a[16], b[16];
    address_of(1, a);
    address_of(2, b);
    uint32_t seats[3], other;
    for (int i = 0; i < 3; i++) {
        assert_true(clients_take(clients, a, 3, &seats[i]));
    }
    assert_false(clients_take(clients, a, 3, &other));
    assert_int_equal(other, 0);
    assert_true(clients_take(clients, b, 3, &other));
    clients_give(clients, seats[1]);
    assert_true(clients_take(clients, a, 3, &seats[1]));
    assert_false(clients_take(clients, a, 3, &(uint32_t){0}));
    for (int i = 0; i < 3; i++) {
        clients_give(clients, seats[i]);
    }
    clients_give(clients, other);
    clients_free(clients);
}

static void many_come_and_go(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static uint32_t seats[COUNT];
    struct clients *clients;
    assert_int_equal(clients_new(&clients), 0);
    for (int turn = 0; turn < 5; turn++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            uint8_t address[16];
            address_of(i + (uint32_t)turn * 1000, address);
            assert_true(clients_take(clients, address, 1, &seats[i]));
            assert_int_not_equal(seats[i], 0);
            assert_false(clients_take(clients, address, 1, &(uint32_t){0}));
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            clients_give(clients, seats[i]);
        }
    }
    clients_free(clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_so_many_seats),
        cmocka_unit_test(many_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
