/* SPDX-License-Identifier: Apache-2.0
 *
 * What connectors and listeners report, and what pools make of it.
 */
#include "core/peer.h"

#include "support/fake.h"

static void stale_ids_are_answers(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_pool *pool = fake->pool;
    weir_pool *other;
    weir_pool_options opt = {
        .name = "other", .connector = &fake->connector, .connector_self = fake};
    assert_int_equal(weir_pool_open(fake->engine, &opt, &other), WEIR_OK);
    weir_lease held = fake_lease_up(fake, "a");
    const weir_conn conns[] = {{0}, {12345}, {UINT64_MAX}, fake->conns[1]};
    for (size_t i = 0; i < 4; i++) {
        weir_lease lease;
        weir_pool *asked = i == 3 ? other : pool; /* the right id at the wrong counter */
        weir_conn conn = conns[i];
        assert_int_equal(weir_conn_up(asked, conn, NULL, 1), WEIR_ESTALE);
        assert_int_equal(weir_conn_down(asked, conn, WEIR_EHANGUP), WEIR_ESTALE);
        assert_int_equal(weir_conn_room(asked, conn, 1), WEIR_ESTALE);
        assert_int_equal(weir_conn_lease(asked, conn, &lease), WEIR_ESTALE);
        assert_int_equal(weir_conn_used(asked, conn), WEIR_ESTALE);
        assert_int_equal(weir_conn_idle(asked, conn, 5), WEIR_ESTALE);
        assert_int_equal(weir_conn_latency(asked, conn, 5), WEIR_ESTALE);
        assert_int_equal(weir_conn_retire(asked, conn, WEIR_OK), WEIR_ESTALE);
        assert_int_equal(weir_conn_handshake(asked, conn), WEIR_ESTALE);
        assert_null(weir_conn_object(asked, conn));
    }
    assert_int_equal((uintptr_t)weir_conn_object(pool, fake->conns[1]), 1);
    assert_int_equal(weir_release(other, held, WEIR_KEEP), WEIR_ESTALE);
    assert_int_equal(weir_release(pool, (weir_lease){0}, WEIR_KEEP), WEIR_ESTALE);
    assert_int_equal(weir_lease_tag(other, held, 1), WEIR_ESTALE);
    assert_int_equal(weir_lease_tag(pool, (weir_lease){7}, 1), WEIR_ESTALE);
    assert_int_equal(weir_lease_tag(pool, held, 1), WEIR_OK);
    fake_release(fake, held, WEIR_KEEP);
    assert_int_equal(weir_release(pool, held, WEIR_KEEP), WEIR_ESTALE);
    fake_free(fake);
}

static void answers_to_nothing_are_refused(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 100};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held = fake_lease_up(fake, "a");
    weir_conn conn = fake->conns[1];
    weir_lease lease;
    assert_int_equal(weir_conn_up(fake->pool, conn, NULL, 1), WEIR_ESTATE);
    assert_int_equal(weir_conn_handshake(fake->pool, conn), WEIR_ESTATE);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_ESTATE);
    assert_int_equal(weir_conn_used(fake->pool, conn), WEIR_OK);
    fake_release(fake, held, WEIR_UNKNOWN);
    assert_int_equal(weir_conn_up(fake->pool, conn, NULL, 1), WEIR_ESTATE); /* not asked yet */
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    weir_pool_flush(fake->pool, NULL, 0);
    assert_int_equal(weir_conn_up(fake->pool, conn, NULL, 1), WEIR_ESTATE);
    assert_int_equal(weir_conn_room(fake->pool, conn, 5), WEIR_ESTATE);
    assert_int_equal(weir_conn_retire(fake->pool, conn, WEIR_OK), WEIR_OK);
    fake_expect(fake, "close1:flushed");
    fake_acquire(fake, "a");
    fake_expect(fake, "dial2");
    assert_int_equal(weir_conn_room(fake->pool, fake->conns[2], 5), WEIR_ESTATE);
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[2]), WEIR_OK);
    assert_int_equal(weir_conn_handshake(fake->pool, fake->conns[2]), WEIR_ESTATE);
    fake_free(fake);
}

static void reasons_out_of_range_are_input_or_output(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_stats stats;
    fake_lease_up(fake, "a");
    fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_down(fake->pool, fake->conns[1], WEIR_OK), WEIR_OK);
    assert_int_equal(weir_conn_down(fake->pool, fake->conns[2], WEIR_ERRS), WEIR_OK);
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.closed_by[WEIR_EIO], 2);
    fake_free(fake);
}

static void a_peer_that_speaks_needs_no_probe(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 100};
    struct fake *fake = fake_open(&opt, NULL);
    fake->connector.dial = NULL;
    weir_key key = fake_key("peer");
    weir_conn conn;
    weir_lease lease;
    assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
    fake->conns[++fake->count] = conn;
    fake_wait(fake, 60);
    assert_int_equal(weir_conn_used(fake->pool, conn), WEIR_OK);
    fake_wait(fake, 99);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    assert_int_equal(weir_conn_lease(fake->pool, conn, &lease), WEIR_OK);
    fake_expect(fake, "probe1"); /* told just before the request came */
    fake_release(fake, lease, WEIR_KEEP);
    fake_wait(fake, 100);
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    fake_expect(fake, "");
    fake_acquire(fake, "peer");
    fake_expect(fake, "grant:1");
    fake_acquire(fake, "peer"); /* nobody dials here: it waits for a peer to come */
    fake_expect(fake, "");
    assert_int_equal(weir_admit(fake->pool, &key, "second", fake, &conn), WEIR_OK);
    fake->conns[++fake->count] = conn;
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

static void probes_can_be_switched_off_and_on(void **state)
{
    (void)state;
    weir_pool_options opt = {.probe_every_ms = 100};
    struct fake *fake = fake_open(&opt, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    fake_expect(fake, "");
    assert_int_equal(weir_pool_probe(fake->pool, false), WEIR_OK);
    fake_wait(fake, 10000);
    fake_expect(fake, "");
    weir_lease held;
    assert_int_equal(fake_try(fake, "a", &held), WEIR_OK);
    fake_release(fake, held, WEIR_UNKNOWN); /* that one is in doubt */
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    assert_int_equal(weir_pool_probe(fake->pool, true), WEIR_OK);
    fake_wait(fake, 99);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    fake_expect(fake, "probe1");
    fake_up(fake, 1);
    assert_int_equal(weir_pool_probe(fake->pool, false), WEIR_OK);
    fake_wait(fake, 10000);
    assert_int_equal(weir_pool_probe(fake->pool, true), WEIR_OK);
    fake_expect(fake, "probe1"); /* overdue */
    fake_free(fake);
}

static void write_event(void *arg, const weir_event *event)
{
    fake_say(arg, "own:%s", weir_event_word(event->kind));
}

static void what_cannot_be_asked_is_not_probed(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL); /* its connector has no probe */
    assert_int_equal(weir_pool_probe(fake->pool, true), WEIR_ESTATE);
    assert_int_equal(weir_pool_probe(fake->pool, false), WEIR_ESTATE);
    fake_free(fake);
}

static void a_pool_has_listeners_of_its_own(void **state)
{
    (void)state;
    weir_engine_options engine = {.events = 1U << WEIR_EVENT_CONNECTION_ERROR};
    struct fake *fake = fake_open(NULL, &engine);
    weir_pool_on_event(fake->pool, write_event, fake, 1U << WEIR_EVENT_CONNECTION_ADDED);
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    fake_up(fake, 1);
    fake_expect(fake, "own:connection_added grant:1");
    fake_acquire(fake, "a");
    fake_expect(fake, "dial2");
    fake_down(fake, 2, WEIR_EREFUSED);
    fake_expect(fake, "connection_error"); /* the engine's alone */
    weir_pool_on_event(fake->pool, write_event, fake, 0);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_expect(fake, "own:connection_removed");
    weir_pool_on_event(fake->pool, NULL, NULL, 0);
    weir_pool_close(fake->pool, 0);
    fake_expect(fake, "fail:closed");
    fake_free(fake);
}

static void who_was_admitted_and_leaves_teaches_nothing(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = 60000};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key key = fake_key("peer");
    for (unsigned i = 1; i <= 6; i++) {
        weir_conn conn;
        assert_int_equal(weir_admit(fake->pool, &key, NULL, fake, &conn), WEIR_OK);
        fake->conns[++fake->count] = conn;
        if (i < 6) {
            fake_wait(fake, 5000);
            fake_down(fake, i, WEIR_EHANGUP);
        }
    }
    fake_wait(fake, 59999);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    fake_expect(fake, "close6:timeout");
    fake_free(fake);
}

static void peers_are_admitted_up_to_the_limits(void **state)
{
    (void)state;
    weir_pool_options opt = {.max_total = 3, .max_per_key = 2};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key a = fake_key("a");
    weir_key b = fake_key("b");
    weir_conn conn;
    assert_int_equal(weir_admit(fake->pool, &a, NULL, fake, &conn), WEIR_OK);
    assert_int_equal(weir_admit(fake->pool, &a, NULL, fake, &conn), WEIR_OK);
    assert_int_equal(weir_admit(fake->pool, &a, NULL, fake, &conn), WEIR_EFULL);
    assert_true(weir_pool_can_admit(fake->pool));
    assert_int_equal(weir_admit(fake->pool, &b, NULL, fake, &conn), WEIR_OK);
    assert_false(weir_pool_can_admit(fake->pool));
    fake_expect(fake, "pool_limit_reached");
    weir_pool_close(fake->pool, 0);
    assert_false(weir_pool_can_admit(fake->pool));
    assert_int_equal(weir_admit(fake->pool, &b, NULL, fake, &conn), WEIR_ECLOSED);
    fake_free(fake);
}

static void what_is_dropped_is_redialled_where_it_is_wanted(void **state)
{
    (void)state;
    weir_pool_options opt = {
        .reconnect = WEIR_EAGER, .idle_timeout_ms = 1000, .on_dial_error = WEIR_WAIT};
    struct fake *fake = fake_open(&opt, NULL);
    weir_lease held = fake_lease_up(fake, "a");
    fake_release(fake, held, WEIR_KEEP);
    fake_wait(fake, 500);
    fake_down(fake, 1, WEIR_EHANGUP);
    fake_expect(fake, "dial2");
    fake_down(fake, 2, WEIR_EREFUSED);
    fake_expect(fake, "connection_error");
    fake_wait(fake, 1000); /* and nobody has used it for a while */
    fake_expect(fake, "");
    held = fake_lease_up(fake, "a");
    fake_down(fake, 3, WEIR_ERESET); /* in use */
    fake_expect(fake, "dial4");
    fake_release(fake, held, WEIR_BROKEN);
    fake_up(fake, 4);
    weir_conn_retire(fake->pool, fake->conns[4], WEIR_OK);
    fake_expect(fake, "close4:retired");
    held = fake_lease_up(fake, "a");
    weir_conn_retire(fake->pool, fake->conns[5], WEIR_EPROTOCOL);
    fake_down(fake, 5, WEIR_EHANGUP); /* it was to go anyway */
    fake_release(fake, held, WEIR_BROKEN);
    held = fake_lease_up(fake, "a");
    fake_wait(fake, 2000);
    fake_down(fake, 6, WEIR_EHANGUP); /* nobody has asked for long */
    fake_expect(fake, "");
    fake_release(fake, held, WEIR_BROKEN);
    fake_free(fake);
}

static void idle_time_is_learned(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = 60000};
    struct fake *fake = fake_open(&opt, NULL);
    for (unsigned i = 1; i <= 2; i++) {
        weir_lease held = fake_lease_up(fake, "a");
        fake_release(fake, held, WEIR_KEEP);
        fake_wait(fake, 10000);
        fake_down(fake, i, i == 1 ? WEIR_EHANGUP : WEIR_ERESET);
    }
    weir_lease held[2] = {fake_lease_up(fake, "a"), fake_lease_up(fake, "a")};
    fake_release(fake, held[0], WEIR_KEEP);
    fake_release(fake, held[1], WEIR_KEEP);
    fake_wait(fake, 9000);
    fake_expect(fake, "");
    fake_down(fake, 3, WEIR_EHANGUP); /* the third within one octave: 8 s to 16 s */
    fake_expect(fake, "close4:timeout");
    held[0] = fake_lease_up(fake, "a");
    fake_release(fake, held[0], WEIR_KEEP);
    fake_wait(fake, 7999);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    fake_expect(fake, "close5:timeout");
    fake_free(fake);
}

static void idle_time_can_be_told(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_lease held = fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_idle(fake->pool, fake->conns[1], 700), WEIR_OK);
    fake_release(fake, held, WEIR_KEEP);
    fake_wait(fake, 699);
    fake_expect(fake, "");
    fake_wait(fake, 1);
    fake_expect(fake, "close1:timeout");
    held = fake_lease_up(fake, "a");
    assert_int_equal(weir_conn_idle(fake->pool, fake->conns[2], WEIR_NONE), WEIR_OK);
    fake_release(fake, held, WEIR_KEEP);
    fake_expect(fake, "close2:timeout");
    fake_free(fake);
}

static void slow_connections_are_passed_over(void **state)
{
    (void)state;
    weir_engine_options engine = {.seed = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_lease held[2] = {fake_lease_up(fake, "a"), fake_lease_up(fake, "a")};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(weir_conn_latency(fake->pool, fake->conns[1], 1000), WEIR_OK);
        assert_int_equal(weir_conn_latency(fake->pool, fake->conns[2], 1800), WEIR_OK);
    }
    fake_release(fake, held[0], WEIR_KEEP);
    fake_release(fake, held[1], WEIR_KEEP);
    unsigned fast = 0;
    for (int i = 0; i < 1000; i++) {
        void *object;
        weir_key key = fake_key("a");
        assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &held[0], &object), WEIR_OK);
        fast += (uintptr_t)object == 1;
        fake_release(fake, held[0], WEIR_KEEP);
        assert_int_equal(fake_try(fake, "a", &held[0]), WEIR_OK); /* keep the slow one the newest */
        assert_int_equal(fake_try(fake, "a", &held[1]), WEIR_OK);
        struct lease *lease = slots_at(&fake->engine->leases, held[0].id);
        bool is_first_fast = (uintptr_t)lease->conn->object == 1;
        fake_release(fake, held[is_first_fast ? 0 : 1], WEIR_KEEP);
        fake_release(fake, held[is_first_fast ? 1 : 0], WEIR_KEEP);
    }
    assert_in_range(fast, 970, 999); /* but for the exploration */
    assert_int_equal(fake_try(fake, "a", &held[0]), WEIR_OK);
    assert_int_equal(fake_try(fake, "a", &held[1]), WEIR_OK);
    fake_release(fake, held[1], WEIR_KEEP); /* only a slow one is left: better than none */
    assert_int_equal(fake_try(fake, "a", &held[1]), WEIR_OK);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(weir_conn_latency(fake->pool, fake->conns[2], 100000), WEIR_OK);
    }
    fake_free(fake);
}

/* Five that are slow, newest first, and a fast one behind them: it is too far to look. */
static void few_are_looked_at(void **state)
{
    (void)state;
    weir_engine_options engine = {.seed = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_lease held[6];
    for (int i = 0; i < 6; i++) {
        held[i] = fake_lease_up(fake, "a");
    }
    for (int i = 0; i < 6 * 10; i++) {
        uint32_t us = i % 6 == 0 ? 1000 : 1800;
        assert_int_equal(weir_conn_latency(fake->pool, fake->conns[1 + i % 6], us), WEIR_OK);
    }
    for (int i = 0; i < 6; i++) {
        fake_release(fake, held[i], WEIR_KEEP);
    }
    void *object;
    weir_key key = fake_key("a");
    assert_int_equal(weir_try_acquire(fake->pool, &key, 0, &held[0], &object), WEIR_OK);
    assert_int_equal((uintptr_t)object, 6);
    fake_free(fake);
}

static void a_pool_is_warm_when_all_pinned_keys_are(void **state)
{
    (void)state;
    weir_pool_options opt = {.min_idle = 1};
    struct fake *fake = fake_open(&opt, NULL);
    weir_key a = fake_key("a");
    weir_key b = fake_key("b");
    struct key *pins[2];
    fake_acquire(fake, "c"); /* used, but nobody's wish */
    fake_expect(fake, "dial1");
    assert_int_equal(pool_key_pin(fake->pool, &a, &pins[0]), WEIR_OK);
    assert_int_equal(pool_key_pin(fake->pool, &b, &pins[1]), WEIR_OK);
    fake_expect(fake, "dial2 dial3");
    fake_up(fake, 2);
    fake_expect(fake, "");
    fake_up(fake, 3);
    fake_expect(fake, "pool_warm");
    fake_up(fake, 1);
    fake_expect(fake, "grant:1 dial4");
    fake_up(fake, 4);
    fake_expect(fake, "");
    fake_free(fake);
}

static void a_dial_may_carry_nothing(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake_acquire(fake, "a");
    fake_expect(fake, "dial1");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[1], fake, 0), WEIR_OK);
    fake_expect(fake, "close1:goaway dial2");
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[2], fake, 100000), WEIR_OK);
    fake_expect(fake, "grant:2");
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_ids_are_answers),
        cmocka_unit_test(answers_to_nothing_are_refused),
        cmocka_unit_test(reasons_out_of_range_are_input_or_output),
        cmocka_unit_test(a_peer_that_speaks_needs_no_probe),
        cmocka_unit_test(probes_can_be_switched_off_and_on),
        cmocka_unit_test(what_cannot_be_asked_is_not_probed),
        cmocka_unit_test(a_pool_has_listeners_of_its_own),
        cmocka_unit_test(who_was_admitted_and_leaves_teaches_nothing),
        cmocka_unit_test(peers_are_admitted_up_to_the_limits),
        cmocka_unit_test(what_is_dropped_is_redialled_where_it_is_wanted),
        cmocka_unit_test(idle_time_is_learned),
        cmocka_unit_test(idle_time_can_be_told),
        cmocka_unit_test(slow_connections_are_passed_over),
        cmocka_unit_test(few_are_looked_at),
        cmocka_unit_test(a_pool_is_warm_when_all_pinned_keys_are),
        cmocka_unit_test(a_dial_may_carry_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
