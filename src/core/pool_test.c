/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of pool.c one by one, on a fake connector.
 */
#include "core/turns.h"
#include "support/fake.h"

static void closes_an_idle_connection_when_its_time_is_up(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 2, .idle_timeout_ms = 300000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_stats stats;

    weir_lease c1 = fake_acquire(fake, "k");
    fake_expect(fake, "dial1");
    fake_wait(fake, 10);
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    fake_wait(fake, 50);
    fake_release(fake, c1, WEIR_KEEP);
    fake_expect(fake, "");
    fake_wait(fake, 299000);
    fake_expect(fake, "");
    fake_wait(fake, 1000);
    fake_expect(fake, "close1:timeout");
    fake_wait(fake, 3);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_expect(fake, "");
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.total, 0);
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.closed, 1);
    assert_int_equal(stats.dials_failed, 0);
    fake_free(fake);
}

static void a_canceled_grant_was_never_given(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_stats stats;
    weir_lease first = fake_lease_up(fake, "a");
    fake_release(fake, first, WEIR_KEEP);
    weir_lease lease = fake_acquire(fake, "a"); /* granted, not told */
    fake_release(fake, lease, WEIR_BROKEN);
    assert_int_equal(weir_release(fake->pool, lease, WEIR_KEEP),
                     WEIR_OK); /* its end is on the way */
    fake_expect(fake, "fail:canceled");
    assert_int_equal(weir_release(fake->pool, lease, WEIR_KEEP), WEIR_ESTALE);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.grants, 2);
    assert_int_equal(stats.acquires, 3);
    assert_int_equal(stats.refused, 1);
    fake_free(fake);
}

/* What was granted and not told is gone by then: its caller waits again, as the first. */
static void an_untold_grant_that_breaks_waits_again(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_per_key = 1, .acquire_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held = fake_lease_up(fake, "a");
    fake_release(fake, held, WEIR_KEEP);
    fake_acquire(fake, "a");
    fake_acquire(fake, "a");
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_expect(fake, "pool_limit_reached dial2");
    fake_up(fake, 2);
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

static void an_untold_grant_of_a_key_that_went_down_fails(void **state)
{
    (void)state;
    weir_pool_options opt = {.failures_max = 1, .connecting_max = 2};
    struct fake *fake = fake_open(&opt, NULL);
    weir_acquire_options patient = {.flags = WEIR_WAIT_DOWN};
    weir_key key = fake_key("a");
    weir_lease lease;
    weir_lease held[2] = {fake_lease_up(fake, "a"), fake_lease_up(fake, "a")};
    fake_acquire(fake, "a");
    fake_expect(fake, "dial3");
    fake_release(fake, held[0], WEIR_KEEP); /* granted, not told */
    assert_int_equal(weir_acquire(fake->pool, &key, &patient, fake_granted, fake, &lease), WEIR_OK);
    fake_release(fake, held[1], WEIR_KEEP);
    fake_down(fake, 3, WEIR_EREFUSED);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_down(fake, 2, WEIR_EHANGUP);
    fake_expect(fake, "key_down fail:down");
    fake_wait(fake, 30000);
    fake_expect(fake, "fail:acquire_timeout");
    fake_free(fake);
}

static void a_deadline_does_not_take_back_a_grant(void **state)
{
    (void)state;
    weir_pool_options opt = {.acquire_timeout_ms = 100};
    struct fake *fake = fake_open(&opt, NULL);
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    fake_now(fake, 100);
    fake_up(fake, 1); /* before the step that would have found it late */
    fake_expect(fake, "grant:1");
    fake_free(fake);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_key key = fake_key("a");
    weir_lease lease;
    struct key *pin;
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, NULL, NULL, &lease), WEIR_EINVAL);
    static char tenant[4096];
    memset(tenant, 't', sizeof tenant - 1);
    const weir_key long_one = {.scheme = "fake", .host = "a", .port = 1, .tenant = tenant};
    assert_int_equal(weir_try_acquire(fake->pool, &long_one, 0, &lease, NULL), WEIR_EINVAL);
    assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
    weir_pool_close(fake->pool, 0);
    assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &lease, NULL), WEIR_ECLOSED);
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease),
                     WEIR_ECLOSED);
    assert_int_equal(pool_try_acquire_pinned(fake->pool, pin, 0, &lease, NULL), WEIR_ECLOSED);
    assert_int_equal(pool_acquire_pinned(fake->pool, pin, NULL, fake_granted, fake, &lease),
                     WEIR_ECLOSED);
    fake_free(fake);
}

/* Two callers, and one connection after the other. */
static void a_pin_may_have_a_cap(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    const weir_key key = {.scheme = "fake", .host = "a", .port = 1};
    struct key *pin;
    weir_lease first, second;
    weir_stats stats;
    assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
    assert_int_equal(pool_key_cap(pin, 1), WEIR_OK);
    assert_int_equal(pool_acquire_pinned(fake->pool, pin, NULL, fake_granted, fake, &first),
                     WEIR_OK);
    assert_int_equal(pool_acquire_pinned(fake->pool, pin, NULL, fake_granted, fake, &second),
                     WEIR_OK);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.total, 1);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(pool_key_cap(pin, WEIR_UNLIMITED), WEIR_OK);
    fake_release(fake, first, WEIR_KEEP);
    fake_expect(fake, "grant:1");
    fake_release(fake, second, WEIR_KEEP);
    pool_key_unpin(fake->pool, pin);
    fake_free(fake);
}

static void a_pin_is_as_good_as_a_key(void **state)
{
    (void)state;
    weir_pool_options opt = {.failures_max = 1};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    struct key *pin;
    weir_lease lease;
    void *object;
    assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
    assert_string_equal(pool_key_view(pin)->host, "a");
    assert_int_equal(pool_try_acquire_pinned(fake->pool, pin, 0, &lease, &object), WEIR_EAGAIN);
    assert_int_equal(pool_acquire_pinned(fake->pool, pin, NULL, fake_granted, fake, &lease),
                     WEIR_OK);
    assert_int_equal(pool_key_busy(pin), 1);
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[1], fake, 10), WEIR_OK);
    fake_expect(fake, "grant:1");
    assert_int_equal(pool_try_acquire_pinned(fake->pool, pin, 0, &lease, &object), WEIR_OK);
    assert_ptr_equal(object, fake);
    assert_int_equal(pool_key_busy(pin), 2); /* two leases on one connection */
    fake_down(fake, 1, WEIR_EHANGUP);
    assert_int_equal(pool_key_busy(pin), 0);
    fake_release(fake, lease, WEIR_BROKEN);
    fake_acquire(fake, "a");
    fake_wait(fake, 0);
    fake_down(fake, 2, WEIR_EREFUSED);
    fake_expect(fake, "dial2 key_down fail:refused");
    assert_int_equal(pool_key_state(pin), WEIR_KEY_DOWN);
    assert_int_equal(pool_key_retry_after(pin), 60000);
    assert_int_equal(pool_try_acquire_pinned(fake->pool, pin, 0, &lease, NULL), WEIR_EDOWN);
    assert_int_equal(pool_try_acquire_pinned(fake->pool, pin, WEIR_WAIT_DOWN, &lease, NULL),
                     WEIR_EAGAIN);
    pool_key_unpin(fake->pool, pin);
    fake_free(fake);
}

static void leases_run_out_before_connections(void **state)
{
    (void)state;
    weir_engine_options engine = {.leases_max = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_key key = fake_key("a");
    weir_lease lease;
    weir_conn conn;
    fake_lease_up(fake, "a");
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_EQUEUE);
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_EQUEUE);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_EAGAIN);
    fake_free(fake);
}

static void the_fullest_shared_connection_below_its_ideal_is_next(void **state)
{
    (void)state;
    weir_pool_options opt = {.leases_ideal = 2, .leases_hard = 3, .streams_conns_max = 3};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    unsigned on[4] = {0};
    fake_acquire(fake, "a");
    fake_wait(fake, 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(weir_conn_up(fake->pool, fake->conns[i], (void *)(uintptr_t)i, 10),
                         WEIR_OK);
        weir_lease lease;
        void *object;
        fake_wait(fake, 0);
        while (weir_try_acquire(fake->pool, &key, 0, &lease, &object) == WEIR_OK) {
            on[(uintptr_t)object]++;
            fake_wait(fake, 0);
            if (fake->count > i) {
                break; /* beyond the ideal, and another is dialled */
            }
        }
    }
    assert_int_equal(on[1], 2); /* with the first caller's: the hard limit */
    assert_int_equal(on[2], 3);
    assert_int_equal(on[3], 3);
    assert_int_equal(fake->count, 3);
    assert_int_equal(pool_room(fake->pool), 9); /* the hard limit of each */
    fake_free(fake);
}

static void leases_gather_on_few_connections_up_to_the_ideal(void **state)
{
    (void)state;
    weir_pool_options opt = {.leases_ideal = 3};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_conn conns[2];
    weir_lease lease;
    void *object;
    for (uintptr_t i = 0; i < 2; i++) {
        assert_int_equal(weir_admit(fake->pool, &key, NULL, (void *)(i + 1), &conns[i]), WEIR_OK);
        assert_int_equal(weir_conn_room(fake->pool, conns[i], 10), WEIR_OK);
        for (uintptr_t k = 0; k <= i; k++) {
            assert_int_equal(weir_conn_lease(fake->pool, conns[i], &lease), WEIR_OK);
        }
    }
    static const uintptr_t wanted[] = {2, 1, 1, 2, 1, 2, 1}; /* full to the ideal, then even */
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &lease, &object), WEIR_OK);
        assert_int_equal((uintptr_t)object, wanted[i]);
    }
    fake_free(fake);
}

static void fewer_uses_count_for_idle_ones(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_key key = fake_key("a");
    weir_conn conn;
    weir_lease lease;
    weir_pool_options opt;
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_OK);
    fake_release(fake, lease, WEIR_KEEP);
    weir_pool_options_of(fake->pool, &opt);
    opt.max_uses = 1;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_ESTATE);
    fake_free(fake);
}

static void the_other_leases_of_a_broken_connection_end_quietly(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_key key = fake_key("a");
    weir_conn conn;
    weir_lease leases[3];
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    fake->conns[++fake->count] = conn;
    assert_int_equal(weir_conn_room(fake->pool, conn, 10), WEIR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_conn_lease(fake->pool, conn, &leases[i]), WEIR_OK);
    }
    fake_release(fake, leases[0], WEIR_BROKEN);
    fake_release(fake, leases[1], WEIR_RETIRE);
    fake_release(fake, leases[2], WEIR_UNKNOWN);
    fake_expect(fake, "close1:broken");
    fake_free(fake);
}

static uint32_t likely;

static uint32_t likely_leases(void *self, const weir_key *key)
{
    (void)self;
    assert_string_equal(key->host, "a");
    return likely;
}

static void one_dial_finds_out_how_many_leases_there_are(void **state)
{
    (void)state;
    weir_pool_options opt = {.min_idle = 3, .connecting_max = 8};
    struct fake *fake = fake_open(&opt, NULL);
    fake->connector.leases = likely_leases;
    likely = 0;
    for (int i = 0; i < 3; i++) {
        fake_acquire(fake, "a");
    }
    fake_expect(fake, "dial1");
    fake_down(fake, 1, WEIR_EREFUSED);
    fake_expect(fake, "connection_error fail:refused fail:refused fail:refused");
    fake_free(fake);

    fake = fake_open(NULL, NULL);
    fake->connector.leases = likely_leases;
    for (int i = 0; i < 3; i++) {
        fake_acquire(fake, "a");
    }
    fake_expect(fake, "dial1");
    fake_up(fake, 1); /* with one: each of the others needs its own */
    fake_expect(fake, "grant:1 dial2 dial3");
    fake_free(fake);

    fake = fake_open(NULL, NULL);
    fake->connector.leases = likely_leases;
    likely = UINT32_MAX; /* more than a connection may have */
    fake_acquire(fake, "a");
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    fake_free(fake);
}

/* One dial fails, its hedge is under way, and nobody knows yet how many it will serve. */
static void a_hedge_serves_all_as_long_as_nothing_is_known(void **state)
{
    (void)state;
    weir_pool_options opt = {.hedge = WEIR_ON, .idle_timeout_ms = 10};
    struct fake *fake = fake_open(&opt, NULL);
    for (uint32_t i = 0; i < 64; i++) {
        weir_lease lease = fake_lease_up(fake, "a");
        fake_release(fake, lease, WEIR_RETIRE);
        fake_wait(fake, 0);
        fake_down(fake, fake->count, WEIR_ECLOSED);
        fake_wait(fake, 0);
    }
    struct key *key;
    weir_key a = fake_key("a");
    assert_int_equal(pool_key_pin(fake->pool, &a, &key), WEIR_OK);
    fake->connector.leases = likely_leases;
    likely = 0;
    key->leases_seen = 0;
    fake->log[0] = '\0';
    unsigned first = fake->count + 1;
    fake_acquire(fake, "a");
    fake_acquire(fake, "a");
    fake_wait(fake, 5000);
    assert_int_equal(fake->count, first + 1); /* the dial and its hedge */
    fake->log[0] = '\0';
    fake_down(fake, first, WEIR_EREFUSED);
    fake_wait(fake, 0);
    assert_null(strstr(fake->log, "fail"));
    fake_free(fake);
}

static void more_wait_than_are_looked_at(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 1, .waiting_max = 400, .acquire_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held = fake_lease_up(fake, "h");
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", i / 2);
        const weir_key key = {.scheme = "fake",
                              .port = 1,
                              .host = i % 2 == 0 ? name : "h",
                              .tenant = i % 2 == 0 ? "one" : name};
        weir_lease lease;
        assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    }
    fake_wait(fake, 0);
    assert_int_equal(turns_count(fake->pool), 300);
    fake_release(fake, held, WEIR_RETIRE);
    fake_wait(fake, 0);
    fake_down(fake, 1, WEIR_ECLOSED);
    fake_wait(fake, 0);
    assert_int_equal(fake->count, 2); /* somebody's */
    fake_free(fake);
}

/* Back from their probes one by one, each passing the place of many that are still out. */
static void the_way_back_from_a_probe_has_a_bound(void **state)
{
    (void)state;
    enum { CONNS = 70 };
    weir_pool_options opt = {.probe_every_ms = 1000,
                             .max_per_key = CONNS + 1,
                             .connecting_max = CONNS + 1,
                             .probe_timeout_ms = 60000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held[CONNS];
    for (unsigned i = 0; i < CONNS; i++) {
        held[i] = fake_lease_up(fake, "a");
    }
    weir_lease newest = fake_lease_up(fake, "a");
    for (unsigned i = 0; i < CONNS; i++) {
        fake_release(fake, held[i], WEIR_KEEP);
    }
    fake_wait(fake, 1000);
    fake_release(fake, newest, WEIR_KEEP);
    fake_wait(fake, 10);
    for (unsigned i = 1; i <= CONNS; i++) {
        fake_up(fake, i);
        fake_wait(fake, 0);
    }
    assert_int_equal(fake->pool->by_state[WEIR_IDLE].count, CONNS + 1);
    fake_free(fake);
}

static void an_admitted_one_is_probed_too(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 1000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &fake->conns[++fake->count]),
                         WEIR_OK);
        fake_wait(fake, 300);
    }
    fake_expect(fake, "");
    fake_wait(fake, 400);
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    fake_wait(fake, 300);
    fake_expect(fake, "probe2");
    fake_free(fake);
}

static void no_room_in_the_engine_is_no_room_to_warm_up(void **state)
{
    (void)state;
    const weir_engine_options engine = {.conns_max = 1};
    weir_pool_options opt = {.warm = WEIR_WARM_UP};
    struct fake *fake = fake_open(&opt, &engine);
    weir_key a = fake_key("a"), b = fake_key("b");
    assert_int_equal(weir_pool_warm(fake->pool, &a, true), WEIR_OK);
    assert_int_equal(weir_pool_warm(fake->pool, &b, true), WEIR_OK);
    fake_wait(fake, 0);
    assert_int_equal(fake->count, 1);
    fake_up(fake, 1);
    fake_wait(fake, 5000);
    assert_int_equal(fake->count, 1);
    fake_free(fake);
}

static void a_new_age_is_not_for_those_that_go_anyway(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_age_ms = 60000, .idle_timeout_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease lease = fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_address(fake->pool, fake->conns[1], 7), WEIR_OK);
    const uint32_t elsewhere = 8;
    for (unsigned i = 0; i < 3; i++) {
        weir_pool_resolved(fake->pool, "a", &elsewhere, 1);
    }
    weir_pool_options_of(fake->pool, &opt);
    opt.max_age_ms = 600000;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 70000);
    fake_release(fake, lease, WEIR_KEEP);
    fake_wait(fake, 0);
    assert_string_equal(fake->log, "config_changed dial2"); /* its successor */
    fake_free(fake);
}

static void who_will_have_many_leases_is_waited_for(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake->connector.leases = likely_leases;
    likely = 100;
    weir_lease first = fake_acquire(fake, "a");
    for (int i = 0; i < 2; i++) {
        fake_acquire(fake, "a");
    }
    fake_expect(fake, "dial1");
    fake_up(fake, 1); /* one lease for now */
    fake_expect(fake, "grant:1");
    assert_int_equal(weir_conn_room(fake->pool, fake->conns[1], 10), WEIR_OK);
    fake_expect(fake, "grant:1 grant:1");
    assert_int_equal(weir_conn_room(fake->pool, fake->conns[1], 1), WEIR_OK);
    fake_acquire(fake, "a"); /* it was said that there is but one each */
    fake_expect(fake, "dial2");
    fake_release(fake, first, WEIR_KEEP);
    fake_free(fake);
}

static void a_lease_needs_room_on_its_connection(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_key key = fake_key("a");
    weir_conn conn;
    weir_lease leases[3];
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    assert_int_equal(weir_conn_room(fake->pool, conn, 2), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &leases[0]), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &leases[1]), WEIR_OK);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &leases[2]), WEIR_ESTATE);
    fake_release(fake, leases[1], WEIR_UNKNOWN); /* in doubt: no new ones until it is probed */
    assert_int_equal(weir_conn_lease(fake->pool, conn, &leases[2]), WEIR_ESTATE);
    fake_release(fake, leases[0], WEIR_KEEP);
    fake->conns[++fake->count] = conn;
    fake_expect(fake, "close1:broken"); /* there is no probe */
    fake_free(fake);
}

static void a_request_during_a_probe_makes_room_for_others(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 100, .max_per_key = 1};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_conn conn;
    weir_lease lease;
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    fake->conns[++fake->count] = conn;
    assert_int_equal(weir_conn_room(fake->pool, conn, 2), WEIR_OK);
    fake_wait(fake, 100);
    fake_expect(fake, "probe1");
    fake_acquire(fake, "a");
    fake_expect(fake, "pool_limit_reached");
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_OK);
    fake_expect(fake, "grant:1");
    fake_free(fake);
}

/* Two keys with more callers than there are connections: counts what each is given. */
static void compete(uint32_t max_total, unsigned *ret_a, unsigned *ret_b)
{
    weir_pool_options opt = {
        .max_total = max_total, .acquire_timeout_ms = WEIR_NEVER, .max_age_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    const weir_key keys[2] = {fake_key("a"), fake_key("b")};
    unsigned given[2] = {0};
    unsigned up = 0;
    for (int round = 0; round < 4000 && fake->count + max_total < FAKE_CONNS; round++) {
        for (int k = 0; k < 2; k++) {
            weir_key_info info = {0};
            weir_pool_key_of(fake->pool, &keys[k], &info);
            for (uint32_t i = info.waiting; i < 2 * max_total; i++) {
                fake_acquire(fake, keys[k].host);
            }
        }
        weir_step(fake->engine, fake->now_ms += 10);
        for (struct node *node; (node = list_first(&fake->pool->by_state[WEIR_CLOSING])) != NULL;) {
            weir_conn gone = {conn_id(list_entry(node, struct conn, on_pool))};
            assert_int_equal(weir_conn_down(fake->pool, gone, WEIR_ECLOSED), WEIR_OK);
        }
        weir_step(fake->engine, fake->now_ms);
        while (up < fake->count) {
            fake_up(fake, ++up);
        }
        weir_step(fake->engine, fake->now_ms);
        engine_verify(fake->engine);
        uint32_t held = fake->pool->held.count;
        while (held-- > 0) {
            struct lease *lease = list_entry(list_first(&fake->pool->held), struct lease, on_pool);
            given[lease->key->view.host[0] - 'a']++;
            fake_release(fake, (weir_lease){lease_id(lease)}, WEIR_KEEP);
            weir_step(fake->engine, fake->now_ms);
        }
        fake->log[0] = '\0';
    }
    *ret_a = given[0];
    *ret_b = given[1];
    fake_free(fake);
}

static void keys_that_compete_get_equal_shares(void **state)
{
    (void)state;
    for (uint32_t max_total = 1; max_total <= 7; max_total++) {
        unsigned a;
        unsigned b;
        compete(max_total, &a, &b);
        assert_true(a + b > 1000);
        assert_in_range(a, (a + b) * 475 / 1000, (a + b) * 525 / 1000);
    }
}

static void retiring_twice_keeps_the_first_reason(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_lease lease = fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_retire(fake->pool, fake->conns[1], WEIR_EGOAWAY), WEIR_OK);
    fake_release(fake, lease, WEIR_RETIRE);
    fake_expect(fake, "close1:goaway");
    lease = fake_lease_up(fake, "a");
    assert_int_equal(weir_release_why(fake->pool, lease, WEIR_RETIRE, WEIR_EPROTOCOL), WEIR_OK);
    fake_expect(fake, "close2:protocol");
    lease = fake_lease_up(fake, "a");
    assert_int_equal(weir_release_why(fake->pool, lease, WEIR_BROKEN, WEIR_EREAD_TIMEOUT), WEIR_OK);
    fake_expect(fake, "close3:read_timeout");
    fake_free(fake);
}

static void a_fresh_one_replaces_an_idle_one_where_no_more_may_be(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_per_key = 1};
    weir_acquire_options fresh = {.flags = WEIR_FRESH};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    weir_lease lease;
    weir_lease held = fake_lease_up(fake, "a");
    assert_int_equal(weir_acquire(fake->pool, &key, &fresh, fake_granted, fake, &lease), WEIR_OK);
    fake_expect(fake, "pool_limit_reached");
    fake_release(fake, held, WEIR_KEEP);
    fake_expect(fake, "close1:evicted");
    assert_int_equal(weir_acquire(fake->pool, &key, &fresh, fake_granted, fake, &lease), WEIR_OK);
    fake_expect(fake, "");
    fake_down(fake, 1, WEIR_ECLOSED);
    fake_expect(fake, "dial2");
    fake_up(fake, 2);
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

/* Keys that wait for room when the options change under them. */
static void an_update_may_make_hungry_keys_content(void **state)
{
    (void)state;
    weir_pool_options opt = {
        .max_total = 2, .streams_conns_max = 4, .leases_hard = 1, .connecting_max = 2};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key b = fake_key("b");
    fake_lease_up(fake, "a");
    fake_acquire(fake, "b");
    fake_wait(fake, 0);
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[2], fake, 9), WEIR_OK);
    fake_acquire(fake, "b");
    fake_acquire(fake, "a");
    fake->log[0] = '\0';
    fake_wait(fake, 0);
    assert_int_equal(turns_count(fake->pool), 2);
    weir_pool_options_of(fake->pool, &opt);
    opt.max_total = 9;
    opt.streams_conns_max = 1;
    assert_int_equal(weir_pool_update(fake->pool, &opt), WEIR_OK);
    fake_wait(fake, 0);
    weir_key_info info;
    assert_int_equal(weir_pool_key_of(fake->pool, &b, &info), WEIR_OK);
    assert_int_equal(info.dialling, 0);
    weir_pool_close(fake->pool, 0);
    fake_wait(fake, 0);
    fake_free(fake);
}

static void a_close_fails_those_who_wait_for_room(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 1};
    struct fake *fake = fake_open(&opt, NULL);
    fake_lease_up(fake, "a");
    fake_acquire(fake, "a");
    fake_acquire(fake, "b");
    fake_expect(fake, "pool_limit_reached");
    weir_pool_close(fake->pool, WEIR_NONE);
    fake_expect(fake, "fail:closed fail:closed cut1");
    fake_free(fake);
}

static void the_last_ones_of_a_key_in_use_are_kept(void **state)
{
    (void)state;
    weir_pool_options opt = {.min_idle = 1, .idle_timeout_ms = 1000, .max_age_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("a");
    struct key *pin;
    weir_lease lease;
    assert_int_equal(pool_key_pin(fake->pool, &key, &pin), WEIR_OK);
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "pool_warm");
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    fake_release(fake, lease, WEIR_KEEP);
    for (int i = 0; i < 3; i++) {
        fake_wait(fake, 1000);
        fake_expect(fake, "");
    }
    pool_key_unpin(fake->pool, pin);
    fake_wait(fake, 1000);
    fake_expect(fake, "close1:timeout");
    fake_free(fake);
}

static void owed_dials_have_a_bound(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 400, .connecting_max = 200, .reconnect = WEIR_EAGER};
    struct fake *fake = fake_open(&opt, NULL);
    for (unsigned i = 0; i < 300; i++) {
        fake_lease_up(fake, "a");
    }
    assert_int_equal(fake->count, 300);
    weir_conn_retire(fake->pool, fake->conns[1], WEIR_OK);
    for (unsigned i = 1; i <= 300; i++) {
        fake_down(fake, i, WEIR_ERESET);
    }
    fake_wait(fake, 0);
    assert_in_range(fake->count, 301, 300 + 255);
    fake_free(fake);
}

static void long_holds_are_measured_as_far_as_they_go(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_per_key = 1, .max_age_ms = WEIR_NEVER};
    weir_engine_options engine = {.events = 1};
    struct fake *fake = fake_open(&opt, &engine);
    weir_key key = fake_key("a");
    weir_lease lease = fake_lease_up(fake, "a");
    fake_wait(fake, UINT64_C(1) << 40);
    fake_release(fake, lease, WEIR_KEEP);
    assert_int_equal(fake_try(fake, "a", &lease), WEIR_OK);
    weir_lease waiting;
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &waiting),
                     WEIR_EWAIT);
    assert_true(weir_pool_retry_after(fake->pool) > 1000000);
    fake_free(fake);
}

static void overdue_leases_are_told_to_those_who_listen(void **state)
{
    (void)state;
    weir_pool_options opt = {.lease_warn_ms = 100, .lease_timeout_ms = 300};
    weir_engine_options deaf = {.events = 1U << WEIR_EVENT_CONNECTION_ADDED};
    for (int is_deaf = 0; is_deaf < 2; is_deaf++) {
        struct fake *fake = fake_open(&opt, is_deaf ? &deaf : NULL);
        weir_lease lease = fake_lease_up(fake, "a");
        fake_wait(fake, 100);
        fake_expect(fake, is_deaf ? "" : "lease_overdue");
        weir_lease second = fake_lease_up(fake, "a");
        fake_wait(fake, 200);
        fake_expect(fake, is_deaf ? "cut1" : "lease_overdue lease_overdue cut1");
        fake_down(fake, 2, WEIR_EHANGUP); /* gone before its lease is overdue */
        fake_wait(fake, 200);
        fake_expect(fake, is_deaf ? "" : "lease_overdue");
        fake_release(fake, lease, WEIR_BROKEN);
        fake_release(fake, second, WEIR_BROKEN);
        fake_expect(fake, "close1:broken");
        fake_free(fake);
    }
}

static void long_probe_times_are_clipped(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = WEIR_MOST, .jitter_pct = 100};
    weir_engine_options engine = {.seed = 3};
    struct fake *fake = fake_open(&opt, &engine);
    for (int i = 0; i < 20; i++) {
        fake_lease_up(fake, "a");
    }
    fake_free(fake);
}

/* A hint changes nothing, whatever the id. */
static void fetching_is_harmless(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake_acquire(fake, "k");
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1");
    const weir_lease leases[] = {fake->last, {0}, {UINT64_MAX}};
    for (size_t i = 0; i < sizeof leases / sizeof *leases; i++) {
        assert_non_null(pool_lease_at(fake->pool, leases[i]));
        pool_conn_fetch(fake->pool, (weir_conn){leases[i].id});
        pool_lease_fetch_conn(fake->pool, leases[i]);
    }
    fake_wait(fake, 1);
    fake_expect(fake, "");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_an_idle_connection_when_its_time_is_up),
        cmocka_unit_test(a_canceled_grant_was_never_given),
        cmocka_unit_test(an_untold_grant_that_breaks_waits_again),
        cmocka_unit_test(an_untold_grant_of_a_key_that_went_down_fails),
        cmocka_unit_test(a_deadline_does_not_take_back_a_grant),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(a_pin_may_have_a_cap),
        cmocka_unit_test(a_pin_is_as_good_as_a_key),
        cmocka_unit_test(leases_run_out_before_connections),
        cmocka_unit_test(the_fullest_shared_connection_below_its_ideal_is_next),
        cmocka_unit_test(leases_gather_on_few_connections_up_to_the_ideal),
        cmocka_unit_test(fewer_uses_count_for_idle_ones),
        cmocka_unit_test(the_other_leases_of_a_broken_connection_end_quietly),
        cmocka_unit_test(one_dial_finds_out_how_many_leases_there_are),
        cmocka_unit_test(a_hedge_serves_all_as_long_as_nothing_is_known),
        cmocka_unit_test(more_wait_than_are_looked_at),
        cmocka_unit_test(the_way_back_from_a_probe_has_a_bound),
        cmocka_unit_test(an_admitted_one_is_probed_too),
        cmocka_unit_test(no_room_in_the_engine_is_no_room_to_warm_up),
        cmocka_unit_test(a_new_age_is_not_for_those_that_go_anyway),
        cmocka_unit_test(who_will_have_many_leases_is_waited_for),
        cmocka_unit_test(a_lease_needs_room_on_its_connection),
        cmocka_unit_test(a_request_during_a_probe_makes_room_for_others),
        cmocka_unit_test(keys_that_compete_get_equal_shares),
        cmocka_unit_test(retiring_twice_keeps_the_first_reason),
        cmocka_unit_test(a_fresh_one_replaces_an_idle_one_where_no_more_may_be),
        cmocka_unit_test(an_update_may_make_hungry_keys_content),
        cmocka_unit_test(a_close_fails_those_who_wait_for_room),
        cmocka_unit_test(the_last_ones_of_a_key_in_use_are_kept),
        cmocka_unit_test(owed_dials_have_a_bound),
        cmocka_unit_test(long_holds_are_measured_as_far_as_they_go),
        cmocka_unit_test(overdue_leases_are_told_to_those_who_listen),
        cmocka_unit_test(long_probe_times_are_clipped),
        cmocka_unit_test(fetching_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
