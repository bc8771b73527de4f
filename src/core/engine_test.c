/* SPDX-License-Identifier: Apache-2.0
 *
 * Birth, death and bounds of an engine, and what a step promises.
 */
#include "support/fake.h"

static void unwise_numbers_are_refused(void **state)
{
    (void)state;
    weir_engine *engine = NULL;
    const weir_engine_options bad[] = {
        {.size = sizeof(weir_engine_options) + 8},
        {.conns_max = UINT32_MAX},
        {.waiting_max = UINT32_MAX},
        {.leases_max = UINT32_MAX},
        {.keys_max = UINT32_MAX},
        {.pools_max = UINT32_MAX},
        {.events_max = UINT32_MAX},
        {.key_bytes_max = UINT32_MAX},
        {.groups_max = UINT32_MAX},
    };
    static const char *const fields[] = {"size",       "conns_max",     "waiting_max",
                                         "leases_max", "keys_max",      "pools_max",
                                         "events_max", "key_bytes_max", "groups_max"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_engine_new(&bad[i], &engine), WEIR_EINVAL);
        assert_null(engine);
        assert_string_equal(weir_engine_options_fault(&bad[i]), fields[i]);
    }
    const weir_engine_options most = {.conns_max = 1U << 26, .waiting_max = 1U << 26};
    assert_string_equal(weir_engine_options_fault(&most), "leases_max");
    assert_null(weir_engine_options_fault(NULL));
    assert_int_equal(weir_engine_new(NULL, &engine), WEIR_OK);
    assert_string_equal(weir_engine_fault(engine), "");
    assert_int_equal(weir_engine_now(engine), 0);
    assert_true(weir_step(engine, 5) == WEIR_NO_DEADLINE);
    assert_int_equal(weir_engine_now(engine), 5);
    assert_true(weir_step(engine, 3) == WEIR_NO_DEADLINE);
    assert_int_equal(weir_engine_now(engine), 5);
    weir_engine_free(engine);
    weir_engine_free(NULL);
}

static void *allocate(void *arg, size_t bytes)
{
    void *memory = alloc_new(arg, bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

static void none_is_none(void **state)
{
    (void)state;
    weir_engine_options opt = {.waiting_max = WEIR_NONE, .allocator = {.alloc = allocate}};
    struct fake *fake = fake_open(NULL, &opt); /* half an allocator is none */
    weir_key key = fake_key("a");
    weir_lease lease;
    fake_acquire(fake, "a"); /* for whom one is dialled does not queue */
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_EQUEUE);
    fake_free(fake);
}

static void an_older_struct_ends_earlier(void **state)
{
    (void)state;
    weir_engine *engine;
    weir_engine_options opt = {.size = offsetof(weir_engine_options, keys_max),
                               .keys_max = UINT32_MAX};
    assert_int_equal(weir_engine_new(&opt, &engine), WEIR_OK);
    weir_engine_free(engine);
}

static void give(void *arg, void *memory)
{
    alloc_free(arg, memory);
}

static void close_nothing(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self;
    (void)conn;
    (void)object;
    (void)why;
}

static const weir_connector connector = {.scheme = "x", .close = close_nothing};

static uint32_t join(void *arg, const char *name, uint32_t len, uint32_t limit)
{
    (void)arg;
    (void)name;
    (void)len;
    (void)limit;
    return 7;
}

static void leave(void *arg, uint32_t account)
{
    (void)arg;
    assert_int_equal(account, 7);
}

static void send_nothing(void *arg, const struct limit_msg *msg)
{
    (void)arg;
    (void)msg;
}

static void live_and_die(const struct alloc *alloc, void *arg)
{
    (void)arg;
    union {
        const struct alloc *in;
        void *out;
    } hooks = {alloc};
    static const struct limit_port port = {.join = join, .leave = leave, .send = send_nothing};
    weir_engine_options opt = {
        .conns_max = 10, .keys_max = 10, .allocator = {allocate, give, hooks.out}};
    weir_engine *engine;
    weir_pool *pool;
    weir_err err = weir_engine_new(&opt, &engine);
    if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_ENOMEM);
        return;
    }
    err = engine_share(engine, &port);
    assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    if (err == WEIR_OK) {
        weir_pool_options options = {.connector = &connector};
        err = weir_pool_open(engine, &options, &pool);
        assert_true(err == WEIR_OK || err == WEIR_ENOMEM);
    }
    weir_engine_free(engine);
}

static void survives_without_memory(void **state)
{
    (void)state;
    torture(live_and_die, NULL);
}

static void all_it_uses_was_there_when_it_opened(void **state)
{
    (void)state;
    struct alloc_count count;
    alloc_count_init(&count, &alloc_libc);
    weir_engine_options opt = {.allocator = {allocate, give, &count.hooks}};
    struct fake *fake = fake_open(NULL, &opt);
    uint64_t calls = count.calls;
    for (int i = 0; i < 50; i++) {
        char host[16];
        snprintf(host, sizeof host, "h%d", i);
        weir_lease lease = fake_lease_up(fake, host);
        fake_release(fake, lease, i % 2 ? WEIR_KEEP : WEIR_BROKEN);
        fake_wait(fake, 1000);
    }
    assert_int_equal(count.calls, calls);
    fake_free(fake);
    assert_int_equal(count.out, 0);
}

static void events_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    weir_engine_options engine = {.events_max = 1};
    weir_stats stats;
    struct fake *fake = fake_open(NULL, &engine);
    weir_pool_options same;
    weir_pool_options_of(fake->pool, &same);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_pool_update(fake->pool, &same), WEIR_OK);
    }
    assert_true(weir_engine_pending(fake->engine));
    fake_expect(fake, "config_changed events_lost");
    weir_pool_stats(fake->pool, &stats);
    assert_int_equal(stats.events_lost, 2);
    fake_free(fake);
}

static void only_wanted_events_are_told(void **state)
{
    (void)state;
    weir_engine_options engine = {.events = 1U << WEIR_EVENT_CONNECTION_ADDED};
    struct fake *fake = fake_open(NULL, &engine);
    fake->is_listening = true;
    weir_lease lease = fake_acquire(fake, "a");
    fake_wait(fake, 0);
    fake_up(fake, 1);
    fake_release(fake, lease, WEIR_KEEP);
    fake_expect(fake, "dial1 connection_added fail:canceled");
    weir_pool_close(fake->pool, 0);
    fake_expect(fake, "close1:closed");
    fake_down(fake, 1, WEIR_ECLOSED);
    fake_expect(fake, "");
    assert_int_equal(fake->engine->pools.count, 0);
    fake_free(fake);
}

/* A key that found no slot dials as soon as one comes free, in whichever pool. */
static void a_slot_that_comes_free_is_used(void **state)
{
    (void)state;
    weir_engine_options engine = {.conns_max = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_lease lease = fake_lease_up(fake, "a");
    fake_acquire(fake, "b");
    fake_expect(fake, "pool_limit_reached");
    weir_conn conn;
    weir_key key = fake_key("c");
    assert_int_equal(weir_admit(fake->pool, &key, NULL, NULL, &conn), WEIR_ECONNS);
    assert_false(weir_pool_can_admit(fake->pool));
    fake_release(fake, lease, WEIR_BROKEN);
    fake_expect(fake, "close1:broken");
    fake_down(fake, 1, WEIR_EHANGUP);
    assert_true(weir_engine_pending(fake->engine));
    fake_expect(fake, "dial2");
    fake_free(fake);
}

static void a_pool_that_is_over_is_pending(void **state)
{
    (void)state;
    weir_engine_options engine = {.events = 1};
    struct fake *fake = fake_open(NULL, &engine);
    assert_false(weir_engine_pending(fake->engine));
    weir_pool_close(fake->pool, 0);
    assert_true(weir_engine_pending(fake->engine));
    fake_wait(fake, 0);
    fake_free(fake);
}

static void whatever_is_due_is_pending(void **state)
{
    (void)state;
    weir_engine_options engine = {.events = 1, .conns_max = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_pool_options same;
    weir_lease lease = fake_lease_up(fake, "a");
    fake_release(fake, lease, WEIR_KEEP);
    assert_false(weir_engine_pending(fake->engine));
    lease = fake_acquire(fake, "a"); /* an answer */
    assert_true(weir_engine_pending(fake->engine));
    fake_expect(fake, "grant:1");
    weir_pool_options_of(fake->pool, &same);
    assert_int_equal(weir_pool_update(fake->pool, &same), WEIR_OK); /* a look at overdue leases */
    assert_true(weir_engine_pending(fake->engine));
    weir_pool_options opt = {
        .name = "other", .connector = &fake->connector, .connector_self = fake};
    weir_pool *other;
    weir_key key = fake_key("b");
    assert_int_equal(weir_pool_open(fake->engine, &opt, &other), WEIR_OK);
    assert_int_equal(weir_acquire(other, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    fake_expect(fake, ""); /* no slot for it */
    fake_down(fake, 1, WEIR_EHANGUP);
    assert_true(weir_engine_pending(fake->engine)); /* one came free, in another pool */
    fake_expect(fake, "dial2");
    fake_free(fake);
}

static void no_memory_is_given_for_pools_without_end(void **state)
{
    (void)state;
    weir_engine_options engine = {.pools_max = 1};
    struct fake *fake = fake_open(NULL, &engine);
    weir_pool *pool;
    weir_pool_options opt = {.name = "other", .connector = &connector};
    assert_int_equal(weir_pool_open(fake->engine, &opt, &pool), WEIR_EFULL);
    fake_free(fake);
}

static void hear(void *arg, const weir_event *event)
{
    assert_int_not_equal(event->kind, WEIR_EVENT_EVENTS_LOST);
    ++*(unsigned *)arg;
}

/* A pool's own listener hears of its pool. */
static void lost_events_are_told_to_who_listens_to_the_engine(void **state)
{
    (void)state;
    weir_engine_options own = {.events_max = 1};
    weir_pool_options opt = {.connector = &connector};
    weir_engine *engine;
    weir_pool *pool;
    weir_stats stats;
    unsigned heard = 0;
    assert_int_equal(weir_engine_new(&own, &engine), WEIR_OK);
    assert_int_equal(weir_pool_open(engine, &opt, &pool), WEIR_OK);
    weir_pool_on_event(pool, hear, &heard, 0);
    for (int i = 0; i < 3; i++) {
        weir_pool_options_of(pool, &opt);
        assert_int_equal(weir_pool_update(pool, &opt), WEIR_OK);
    }
    weir_step(engine, 1);
    weir_pool_stats(pool, &stats);
    assert_int_equal(heard, 1);
    assert_int_equal(stats.events_lost, 2);
    assert_false(weir_engine_pending(engine));
    weir_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unwise_numbers_are_refused),
        cmocka_unit_test(none_is_none),
        cmocka_unit_test(an_older_struct_ends_earlier),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(all_it_uses_was_there_when_it_opened),
        cmocka_unit_test(events_that_do_not_fit_are_counted),
        cmocka_unit_test(only_wanted_events_are_told),
        cmocka_unit_test(a_slot_that_comes_free_is_used),
        cmocka_unit_test(a_pool_that_is_over_is_pending),
        cmocka_unit_test(whatever_is_due_is_pending),
        cmocka_unit_test(no_memory_is_given_for_pools_without_end),
        cmocka_unit_test(lost_events_are_told_to_who_listens_to_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
