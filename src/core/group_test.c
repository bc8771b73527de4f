/* SPDX-License-Identifier: Apache-2.0 */
#include "core/group.h"

#include "core/parts.h"
#include "support/fake.h"

struct seen {
    weir_group_info info[4];
    char name[4][32];
    unsigned count, most;
};

static bool see(void *arg, const weir_group_info *info)
{
    struct seen *seen = arg;
    const char *name = info->key->tenant != NULL ? info->key->tenant : info->key->host;
    snprintf(seen->name[seen->count], sizeof seen->name[0], "%s", name);
    seen->info[seen->count++] = *info;
    return seen->count < seen->most;
}

static struct seen endpoints_of(const struct fake *fake)
{
    struct seen seen = {.most = 4};
    weir_pool_each_endpoint(fake->pool, see, &seen);
    return seen;
}

static struct seen tenants_of(const struct fake *fake)
{
    struct seen seen = {.most = 4};
    weir_pool_each_tenant(fake->pool, see, &seen);
    return seen;
}

/* Dials for that tenant of the host, holds for so long, and gives back. */
static void use(struct fake *fake, const char *host, const char *tenant, uint64_t hold_ms)
{
    const weir_key key = {.scheme = "Fake", .host = host, .port = 7, .tenant = tenant};
    weir_lease lease;
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    fake_wait(fake, 20);
    weir_conn_handshake(fake->pool, fake->conns[fake->count]);
    fake_wait(fake, 5);
    fake_up(fake, fake->count);
    fake_wait(fake, hold_ms);
    assert_int_equal(weir_conn_latency(fake->pool, fake->last_grant.conn, 3000), WEIR_OK);
    fake_release(fake, fake->last, WEIR_KEEP);
    fake_wait(fake, 0);
}

static void endpoints_and_tenants_have_figures_of_their_own(void **state)
{
    (void)state;
    weir_pool_options opt = {.key_idle_ms = 1000, .idle_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_stats stats;
    use(fake, "a", NULL, 10);
    use(fake, "A", "alice", 100);
    use(fake, "b", "alice", 1000);
    use(fake, "b", "bob", 1000);
    struct seen endpoints = endpoints_of(fake);
    assert_int_equal(endpoints.count, 2);
    assert_string_equal(endpoints.name[0], "a");
    assert_int_equal(endpoints.info[0].keys, 2);
    assert_int_equal(endpoints.info[0].grants, 2);
    assert_int_equal(endpoints.info[0].idle, 2);
    assert_int_equal(endpoints.info[0].hold.count, 2);
    assert_int_equal(endpoints.info[0].hold.sum_ms, 110);
    assert_int_equal(endpoints.info[1].hold.sum_ms, 2000);
    assert_int_equal(endpoints.info[1].connect.sum_ms, 40);
    assert_int_equal(endpoints.info[1].tls.sum_ms, 10);
    assert_int_equal(endpoints.info[1].first_byte.sum_ms, 6);
    assert_int_equal(endpoints.info[1].wait.sum_ms, 50);
    struct seen tenants = tenants_of(fake);
    assert_int_equal(tenants.count, 2);
    assert_string_equal(tenants.name[0], "alice");
    assert_int_equal(tenants.info[0].keys, 2);
    assert_int_equal(tenants.info[0].hold.sum_ms, 1100);
    assert_int_equal(tenants.info[0].tls.count, 2);
    assert_int_equal(tenants.info[0].first_byte.count, 2);
    assert_int_equal(tenants.info[1].wait.count, 1);
    struct seen first = {.most = 1};
    weir_pool_each_tenant(fake->pool, see, &first);
    assert_int_equal(first.count, 1);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.hold.sum_ms, 2110);
    assert_int_equal(stats.connect.sum_ms, 80);
    assert_int_equal(stats.tls.sum_ms, 20);
    assert_int_equal(stats.first_byte.count, 4);
    fake_free(fake);
}

static void what_a_forgotten_endpoint_counted_stays_with_the_pool(void **state)
{
    (void)state;
    weir_pool_options opt = {.key_idle_ms = 1000, .idle_timeout_ms = 10};
    struct fake *fake = fake_open(&opt, NULL);
    weir_stats stats;
    use(fake, "a", "alice", 10);
    use(fake, "a", "bob", 10);
    fake_wait(fake, 100);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_wait(fake, 1500);
    struct seen endpoints = endpoints_of(fake);
    assert_int_equal(endpoints.count, 1); /* for bob's sake */
    assert_int_equal(endpoints.info[0].keys, 1);
    assert_int_equal(endpoints.info[0].grants, 2);
    assert_int_equal(tenants_of(fake).count, 1);
    fake_down(fake, 2, WEIR_EHANGUP);
    fake_wait(fake, 1500);
    assert_int_equal(endpoints_of(fake).count, 0);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.hold.count, 2);
    assert_int_equal(stats.hold.sum_ms, 20);
    assert_in_range(stats.hold.p50_ms, 10, 12);
    fake_wait(fake, 40 * UINT64_C(60000));
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.hold.count, 2);
    fake_free(fake);
}

static void beyond_groups_max_all_are_one(void **state)
{
    (void)state;
    const weir_engine_options engine = {.groups_max = 2};
    weir_pool_options opt = {.idle_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, &engine);
    weir_stats stats;
    use(fake, "a", "alice", 10);
    use(fake, "b", "bob", 20);
    assert_int_equal(endpoints_of(fake).count, 1);
    assert_int_equal(tenants_of(fake).count, 1);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.hold.count, 2);
    assert_int_equal(stats.hold.sum_ms, 30);
    engine_verify(fake->engine);
    fake_free(fake);
}

/* A key is one text, its endpoint and its tenant are two: theirs run out first. */
static void without_room_for_their_names_all_are_one(void **state)
{
    (void)state;
    const weir_engine_options texts = {.key_bytes_max = 1}; /* a block is the least there is */
    struct fake *fake = fake_open(NULL, &texts);
    weir_err err = WEIR_OK;
    unsigned keys = 0;
    for (; err == WEIR_OK; keys++) {
        char host[16], tenant[16];
        struct key *pin;
        snprintf(host, sizeof host, "h%u", keys);
        snprintf(tenant, sizeof tenant, "t%u", keys);
        const weir_key key = {.scheme = "fake", .host = host, .port = 7, .tenant = tenant};
        err = pool_key_pin(fake->pool, &key, &pin);
    }
    assert_true(keys > 10);
    engine_verify(fake->engine);
    fake_free(fake);
}

static void refusals_are_counted(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 1, .refuse_when_full = WEIR_ON};
    struct fake *fake = fake_open(&opt, NULL);
    const weir_key key = {.host = "b", .port = 7, .tenant = "bob"};
    weir_lease lease;
    use(fake, "a", "alice", 10);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_EAGAIN);
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_EFULL);
    assert_int_equal(tenants_of(fake).info[1].refused, 1);
    assert_int_equal(endpoints_of(fake).info[0].refused, 0);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_and_tenants_have_figures_of_their_own),
        cmocka_unit_test(what_a_forgotten_endpoint_counted_stays_with_the_pool),
        cmocka_unit_test(beyond_groups_max_all_are_one),
        cmocka_unit_test(without_room_for_their_names_all_are_one),
        cmocka_unit_test(refusals_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
