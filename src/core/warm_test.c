/* SPDX-License-Identifier: Apache-2.0 */
#include "core/warm.h"

#include "core/pool.h"
#include "support/fake.h"

static void warm(struct fake *fake, const char *host)
{
    weir_key key = fake_key(host);
    assert_int_equal(weir_pool_warm(fake->pool, &key, true), WEIR_OK);
}

static bool is_warm(const struct fake *fake)
{
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(fake->pool, &stats);
    return stats.warm;
}

static struct fake *open_warm(uint32_t grade)
{
    weir_pool_options opt = {.warm = grade, .probe_every_ms = 60000};
    return fake_open(&opt, NULL);
}

static void dns_is_a_name_that_was_looked_up(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_DNS);
    const uint32_t address = 7;
    warm(fake, "a");
    warm(fake, "b");
    fake_wait(fake, 1000);
    fake_expect(fake, ""); /* nothing is dialled */
    weir_pool_resolved(fake->pool, "a", &address, 1);
    weir_pool_resolved(fake->pool, "c", &address, 1);
    fake_expect(fake, "");
    weir_pool_resolved(fake->pool, "b", &address, 0);
    fake_expect(fake, "");
    weir_pool_resolved(fake->pool, "b", &address, 1);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

/* Whoever dials there looks the name up. */
static void dns_is_nothing_through_a_proxy(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_DNS);
    weir_key key = fake_key("a");
    key.proxy = "http://127.0.0.1:3128";
    assert_int_equal(weir_pool_warm(fake->pool, &key, true), WEIR_OK);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static void tcp_is_a_transport(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_TCP);
    warm(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[1]), WEIR_OK);
    fake_expect(fake, "pool_warm");
    fake_up(fake, 1); /* it goes all the way */
    fake_expect(fake, "");
    fake_free(fake);
}

static void tcp_without_a_handshake_is_a_connection(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_TCP);
    warm(fake, "a");
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static uint32_t many(void *self, const weir_key *key)
{
    (void)self;
    (void)key;
    return 100;
}

/* A connection that will carry many leases, and has not heard yet how many. */
static struct fake *open_shared(uint32_t grade)
{
    struct fake *fake = open_warm(grade);
    fake->connector.leases = many;
    warm(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[1]), WEIR_OK);
    fake_expect(fake, grade == WEIR_WARM_TCP ? "pool_warm" : "");
    fake_up(fake, 1);
    return fake;
}

static void tls_does_not_wait_for_settings(void **state)
{
    (void)state;
    struct fake *fake = open_shared(WEIR_WARM_TLS);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static void up_waits_for_settings(void **state)
{
    (void)state;
    struct fake *fake = open_shared(WEIR_WARM_UP);
    fake_expect(fake, "");
    assert_false(is_warm(fake));
    assert_int_equal(weir_conn_room(fake->pool, fake->conns[1], 50), WEIR_OK);
    fake_expect(fake, "pool_warm");
    assert_true(is_warm(fake));
    fake_free(fake);
}

static void a_probe_is_the_last_of_them(void **state)
{
    (void)state;
    struct fake *fake = open_shared(WEIR_WARM_PROBE);
    fake_expect(fake, "probe1");
    assert_int_equal(weir_conn_room(fake->pool, fake->conns[1], 50), WEIR_OK);
    fake_expect(fake, "");
    assert_false(is_warm(fake));
    fake_up(fake, 1);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static void without_a_probe_a_connection_is_enough(void **state)
{
    (void)state;
    weir_pool_options opt = {.warm = WEIR_WARM_PROBE};
    struct fake *fake = fake_open(&opt, NULL);
    warm(fake, "a");
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static void what_is_up_already_need_not_be_dialled(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_UP);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    warm(fake, "a");
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

static void warming_is_switched_off_once_and_on_once(void **state)
{
    (void)state;
    struct fake *fake = open_warm(WEIR_WARM_UP);
    static char longest[5000]; /* no key takes that */
    memset(longest, 'a', sizeof longest - 1);
    weir_key key = fake_key("a"), unknown = fake_key("b"), wrong = fake_key(longest);
    warm(fake, "a");
    warm(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_pool_warm(fake->pool, &unknown, false), WEIR_OK);
    assert_int_equal(weir_pool_warm(fake->pool, &wrong, false), WEIR_EINVAL);
    assert_int_equal(weir_pool_warm(fake->pool, &wrong, true), WEIR_EINVAL);
    assert_int_equal(weir_pool_warm(fake->pool, &key, false), WEIR_OK);
    assert_int_equal(weir_pool_warm(fake->pool, &key, false), WEIR_OK);
    fake_up(fake, 1);
    fake_expect(fake, ""); /* nobody wishes it any more */
    weir_pool_close(fake->pool, 0);
    assert_int_equal(weir_pool_warm(fake->pool, &key, true), WEIR_ECLOSED);
    assert_int_equal(weir_pool_warm(fake->pool, &key, false), WEIR_ECLOSED);
    fake_free(fake);
}

static void so_many_come_as_far_as_are_kept(void **state)
{
    (void)state;
    weir_pool_options opt = {.warm = WEIR_WARM_TCP, .min_idle = 3, .warm_every_ms = 10};
    struct fake *fake = fake_open(&opt, NULL);
    warm(fake, "a");
    fake_expect(fake, "dial1");
    fake_wait(fake, 10);
    fake_expect(fake, ""); /* the first has yet to show that it can be done */
    fake_up(fake, 1);
    fake_expect(fake, "dial2");
    fake_wait(fake, 10);
    fake_expect(fake, "dial3");
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[2]), WEIR_OK);
    fake_expect(fake, "");
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[3]), WEIR_OK);
    fake_expect(fake, "pool_warm");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns_is_a_name_that_was_looked_up),
        cmocka_unit_test(dns_is_nothing_through_a_proxy),
        cmocka_unit_test(tcp_is_a_transport),
        cmocka_unit_test(tcp_without_a_handshake_is_a_connection),
        cmocka_unit_test(tls_does_not_wait_for_settings),
        cmocka_unit_test(up_waits_for_settings),
        cmocka_unit_test(a_probe_is_the_last_of_them),
        cmocka_unit_test(without_a_probe_a_connection_is_enough),
        cmocka_unit_test(what_is_up_already_need_not_be_dialled),
        cmocka_unit_test(warming_is_switched_off_once_and_on_once),
        cmocka_unit_test(so_many_come_as_far_as_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
