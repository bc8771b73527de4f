/* SPDX-License-Identifier: Apache-2.0
 *
 * Adaptive concurrency between the keys of an endpoint. What the limit is: concurrency_test.c.
 */
#include "core/crowd.h"

#include "core/key.h"
#include "core/pool.h"
#include "support/fake.h"

static struct fake *open_narrow(const weir_engine_options *engine)
{
    weir_pool_options opt = {.concurrency = WEIR_AIMD,
                             .concurrency_first = 1,
                             .concurrency_min = 1,
                             .concurrency_max = 1,
                             .acquire_timeout_ms = WEIR_NEVER};
    return fake_open(&opt, engine);
}

static weir_key key_of(const char *tenant)
{
    weir_key key = fake_key("a");
    key.tenant = tenant;
    return key;
}

static weir_lease ask(struct fake *fake, const char *tenant)
{
    weir_key key = key_of(tenant);
    weir_lease lease = {0};
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    return lease;
}

static void an_endpoint_without_a_group_has_no_limit(void **state)
{
    (void)state;
    weir_engine_options engine = {.groups_max = 1};
    struct fake *fake = open_narrow(&engine);
    char text[4000];
    weir_key a = fake_key("a"), b = fake_key("b");
    fake_acquire(fake, "a");
    fake_acquire(fake, "a");
    fake_expect(fake, "pool_limit_reached dial1");
    fake_acquire(fake, "b");
    fake_acquire(fake, "b");
    fake_expect(fake, "dial2");
    fake_up(fake, 2);
    fake_expect(fake, "grant:2 dial3");
    weir_pool_explain(fake->pool, &a, text, sizeof text);
    assert_non_null(strstr(text, "adaptive concurrency: 0 of 1 leases at its endpoint\n"));
    weir_pool_explain(fake->pool, &b, text, sizeof text);
    assert_null(strstr(text, "adaptive concurrency"));
    fake_free(fake);
}

/* What its caller gave up, or found broken, says nothing of the endpoint. */
static void only_what_the_endpoint_did_is_a_lesson(void **state)
{
    (void)state;
    struct fake *fake = open_narrow(NULL);
    struct key *key;
    weir_key name = fake_key("a");
    assert_int_equal(pool_key_pin(fake->pool, &name, &key), WEIR_OK);
    const struct concurrency *learned = &key->endpoint->concurrency;
    weir_lease lease = fake_lease_up(fake, "a");
    assert_int_equal(weir_release_why(fake->pool, lease, WEIR_KEEP, WEIR_ECANCELED), WEIR_OK);
    assert_int_equal(learned->held + learned->dropped, 0);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    fake_release(fake, lease, WEIR_KEEP);
    assert_int_equal(learned->held, 1);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    assert_int_equal(weir_release_why(fake->pool, lease, WEIR_KEEP, WEIR_EREAD_TIMEOUT), WEIR_OK);
    assert_int_equal(learned->dropped, 1);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    fake_release(fake, lease, WEIR_BROKEN);
    assert_int_equal(learned->held + learned->dropped, 2);
    pool_key_unpin(fake->pool, key);
    fake_free(fake);
}

/* A lease that was not asked for, on a connection that asked for it, takes the room that was kept
 * for the one whose turn it is: it waits until that has ended. */
static void a_place_is_no_room(void **state)
{
    (void)state;
    struct fake *fake = open_narrow(NULL);
    weir_lease first = ask(fake, "one");
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    ask(fake, "two");
    fake_expect(fake, "pool_limit_reached");
    fake_release(fake, first, WEIR_KEEP);
    fake_expect(fake, "dial2");
    assert_int_equal(weir_conn_lease(fake->pool, fake->conns[1], &first), WEIR_OK);
    fake_up(fake, 2);
    fake_expect(fake, "");
    fake_release(fake, first, WEIR_KEEP);
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_without_a_group_has_no_limit),
        cmocka_unit_test(only_what_the_endpoint_did_is_a_lesson),
        cmocka_unit_test(a_place_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
