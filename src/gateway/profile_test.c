/* SPDX-License-Identifier: Apache-2.0
 *
 * profile_test.c - phases add up, the slowest are the slowest, and the old is forgotten.
 */
#include "gateway/profile.h"

#include "base/rand.h"
#include "support/unit.h"

#include <stdlib.h>

static struct config_endpoint endpoints[2];
static struct config_account accounts[1];

static struct config_upstream upstream(void)
{
    struct config_upstream config = {.name = "up"};
    config.endpoints.at = endpoints;
    config.endpoints.count = 2;
    config.accounts.at = accounts;
    config.accounts.count = 1;
    return config;
}

static void phases_add_up(void **state)
{
    (void)state;
    const struct config_upstream config = upstream();
    struct profile *profile = profile_new(&config);
    const struct profile_entry entry = {.now_ms = 5,
                                        .queue_us = 1000,
                                        .first_byte_us = 1500,
                                        .total_us = 5500,
                                        .took = {.connect_us = 900, .tls_us = 600},
                                        .endpoint = 1,
                                        .status = 502,
                                        .method = SLICE("GET"),
                                        .path = SLICE("/a")};
    profile_add(profile, &entry);
    const struct profile_row *row = &profile->rows[1];
    assert_int_equal(row->requests, 1);
    assert_int_equal(row->failed, 1);
    assert_int_equal(row->us[PROFILE_QUEUE], 100);
    assert_int_equal(row->us[PROFILE_CONNECT], 300);
    assert_int_equal(row->us[PROFILE_TLS], 600);
    assert_int_equal(row->us[PROFILE_FIRST_BYTE], 500);
    assert_int_equal(row->us[PROFILE_TRANSFER], 4000);
    assert_int_equal(profile->rows[0].requests, 0);
    assert_int_equal(profile->rows[2].requests, 1); /* the account */
    /* Whatever comes, no phase is less than nothing. */
    const struct profile_entry odd = {
        .queue_us = 50, .total_us = 10, .took = {.connect_us = 70, .tls_us = 90}, .endpoint = 0};
    profile_add(profile, &odd);
    uint64_t sum = 0;
    for (unsigned i = 0; i < PROFILE_PHASES; i++)
        sum += profile->rows[0].us[i];
    assert_int_equal(sum, 10);
    profile_free(profile);
}

static void the_slowest_are_the_slowest(void **state)
{
    (void)state;
    const struct config_upstream config = upstream();
    const struct profile_slow *slowest[PROFILE_SLOWEST_MAX];
    struct profile *one = profile_new(&config), *two = profile_new(&config);
    for (uint64_t i = 0; i < 5000; i++) { /* each value once, in no order */
        const struct profile_entry entry = {.total_us = i * 1237 % 5000, .endpoint = i % 2};
        profile_add(i % 3 == 0 ? one : two, &entry);
    }
    struct profile *all = profile_copy(one, 0);
    profile_merge(all, two);
    assert_int_equal(profile_slowest(all, slowest), PROFILE_SLOWEST_MAX);
    for (uint32_t i = 0; i < PROFILE_SLOWEST_MAX; i++)
        assert_int_equal(slowest[i]->total_us, 4999 - i);
    assert_int_equal(all->rows[0].requests + all->rows[1].requests, 5000);
    assert_int_equal(all->rows[0].max_us > all->rows[1].max_us ? all->rows[0].max_us
                                                               : all->rows[1].max_us,
                     4999);
    profile_free(one);
    profile_free(two);
    profile_free(all);
}

static void the_old_is_forgotten(void **state)
{
    (void)state;
    const struct config_upstream config = upstream();
    const struct profile_slow *slowest[PROFILE_SLOWEST_MAX];
    struct profile *profile = profile_new(&config);
    struct profile_entry entry = {.now_ms = PROFILE_KEPT_MS, .total_us = 900};
    profile_add(profile, &entry);
    entry = (struct profile_entry){.now_ms = 2 * PROFILE_KEPT_MS, .total_us = 5};
    profile_add(profile, &entry);
    assert_int_equal(profile_slowest(profile, slowest), 2);
    struct profile *later = profile_copy(profile, 3 * PROFILE_KEPT_MS);
    assert_int_equal(profile_slowest(later, slowest), 1);
    assert_int_equal(slowest[0]->total_us, 5);
    profile_free(later);
    later = profile_copy(profile, 9 * PROFILE_KEPT_MS);
    assert_int_equal(profile_slowest(later, slowest), 0);
    profile_free(later);
    profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_add_up),
        cmocka_unit_test(the_slowest_are_the_slowest),
        cmocka_unit_test(the_old_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
