/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that share one limit: never more connections than it allows, and every thread gets its
 * turn.
 */
#include "runtime/limits.h"

#include "core/inspect.h"
#include "io/clock.h"
#include "support/await.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS     4U
#define LIMIT       3U /* fewer than threads */
#define GRANTS      (is_under_valgrind() ? 300U : 3000U)
#define DEADLINE_MS 60000U

struct crowd;

struct member {
    struct crowd *crowd;
    uint32_t number;
    weir_engine *engine;
    weir_pool *pool;
    pthread_t thread;
    uint32_t grants;
    bool is_waiting;
};

struct crowd {
    struct limits *limits;
    struct member members[THREADS];
    _Atomic uint32_t conns, most;
    _Atomic uint32_t asked; /* threads that have */
    _Atomic uint32_t wakes, dials, moves, dropped;
    const weir_connector *connector;
    uint32_t max_total, max_per_key;
    uint32_t finished;
};

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct member *member = self;
    struct crowd *crowd = member->crowd;
    (void)key;
    atomic_fetch_add(&crowd->dials, 1);
    uint32_t conns = atomic_fetch_add(&crowd->conns, 1) + 1;
    uint32_t most = atomic_load(&crowd->most);
    while (conns > most && !atomic_compare_exchange_weak(&crowd->most, &most, conns)) {
    }
    weir_conn_up(member->pool, conn, member, 1);
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    struct member *member = self;
    (void)object;
    (void)why;
    atomic_fetch_sub(&member->crowd->conns, 1);
    weir_conn_down(member->pool, conn, WEIR_ECLOSED);
}

static const weir_connector connector = {.scheme = "x", .dial = on_dial, .close = on_close};

/* What is carried is the crowd itself. */
static void *on_detach(void *self, void *object)
{
    struct member *member = self;
    (void)object;
    return member->crowd;
}

static void on_attach(void *self, weir_conn conn, void *parcel)
{
    struct member *member = self;
    struct crowd *crowd = parcel;
    if (member == NULL) {
        atomic_fetch_add(&crowd->dropped, 1);
        atomic_fetch_sub(&crowd->conns, 1);
        return;
    }
    atomic_fetch_add(&crowd->moves, 1);
    weir_conn_up(member->pool, conn, member, 1);
}

static const weir_connector mover = {.scheme = "x",
                                     .dial = on_dial,
                                     .close = on_close,
                                     .detach = on_detach,
                                     .attach = on_attach};

static void on_grant(void *arg, const weir_grant *grant)
{
    struct member *member = arg;
    member->is_waiting = false;
    if (grant->err == WEIR_OK) {
        member->grants++;
        weir_release(member->pool, grant->lease, WEIR_KEEP);
    }
}

static void ask(struct member *member)
{
    weir_key key = {.host = "h"};
    weir_lease lease;
    member->is_waiting = weir_acquire(member->pool, &key, NULL, on_grant, member, &lease)
                         == WEIR_OK;
}

/* Everybody asks before anybody is served, so that nobody is done before the others begin. */
static void *work(void *self)
{
    struct member *member = self;
    uint64_t end_ms = await_until_ms(DEADLINE_MS);
    ask(member);
    atomic_fetch_add(&member->crowd->asked, 1);
    while (atomic_load(&member->crowd->asked) < THREADS) {
        sched_yield();
    }
    while (member->grants < GRANTS && clock_now_ms() < end_ms) {
        if (!member->is_waiting) {
            ask(member);
        }
        limits_fetch(member->crowd->limits, member->number, member->engine);
        weir_step(member->engine, clock_now_ms());
    }
    while (member->is_waiting && clock_now_ms() < end_ms) {
        limits_fetch(member->crowd->limits, member->number, member->engine);
        weir_step(member->engine, clock_now_ms());
    }
    weir_pool_close(member->pool, WEIR_NONE);
    weir_step(member->engine, clock_now_ms());
    weir_engine_free(member->engine);
    return NULL;
}

static void on_wake(void *arg, uint32_t engine)
{
    struct crowd *crowd = arg;
    (void)engine;
    atomic_fetch_add(&crowd->wakes, 1);
}

static void open_member(struct crowd *crowd, uint32_t number)
{
    struct member *member = &crowd->members[number];
    weir_engine_options engine = {.seed = number, .now_ms = clock_now_ms(), .conns_max = 64};
    weir_pool_options pool = {.connector = crowd->connector,
                              .connector_self = member,
                              .max_total = crowd->max_total,
                              .max_per_key = crowd->max_per_key,
                              .acquire_timeout_ms = WEIR_NEVER};
    *member = (struct member){.crowd = crowd, .number = number};
    assert_int_equal(weir_engine_new(&engine, &member->engine), WEIR_OK);
    assert_int_equal(engine_share(member->engine, limits_port(crowd->limits, number)), WEIR_OK);
    assert_int_equal(weir_pool_open(member->engine, &pool, &member->pool), WEIR_OK);
}

static void run_crowd(struct crowd *crowd)
{
    struct limits_options opt = {.engines = THREADS, .wake = on_wake, .wake_arg = crowd};
    crowd->limits = limits_new(&alloc_libc, &opt);
    assert_non_null(crowd->limits);
    for (uint32_t i = 0; i < THREADS; i++) {
        open_member(crowd, i);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        struct member *member = &crowd->members[i];
        assert_int_equal(pthread_create(&member->thread, NULL, work, member), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(crowd->members[i].thread, NULL), 0);
        assert_int_equal(crowd->members[i].grants, GRANTS);
    }
    assert_in_range(atomic_load(&crowd->most), 1, LIMIT);
    assert_int_equal(atomic_load(&crowd->conns), 0);
    limits_hush(crowd->limits);
    limits_free(crowd->limits);
}

static void threads_share_a_limit_exactly(void **state)
{
    (void)state;
    struct crowd crowd = {.connector = &connector, .max_total = LIMIT};
    run_crowd(&crowd);
    assert_int_equal(crowd.moves, 0);
}

/* Who has none waits for one of another thread's, and gets that very one. */
static void threads_give_each_other_what_is_idle(void **state)
{
    (void)state;
    struct crowd crowd = {.connector = &mover, .max_total = LIMIT, .max_per_key = LIMIT};
    run_crowd(&crowd);
    assert_true(crowd.moves > 0);
    assert_in_range(crowd.dials, LIMIT, LIMIT * THREADS); /* who leaves closes its own */
}

static void make(const struct alloc *alloc, void *arg)
{
    struct limits_options opt = {.engines = 2};
    (void)arg;
    limits_free(limits_new(alloc, &opt));
}

static void survives_without_memory(void **state)
{
    (void)state;
    torture(make, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_limit_exactly),
        cmocka_unit_test(threads_give_each_other_what_is_idle),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
