/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of a connector whose connections are what the test says they are: the engine's time is the
 * test's, the calls' own is the loop's.
 */
#include "connector/mux.h"

#include "base/list.h"
#include "support/fake.h"
#include "support/turns.h"

struct asked {
    struct mux_call call;
    unsigned asked, forgotten, late, failed;
    weir_err err; /* it failed with */
    uint32_t retry_after_ms;
    weir_err refusal; /* what ask() says, unless it is WEIR_OK; and what the lease ends with */
    weir_fate fate;
};

struct fixture {
    struct fake *fake;
    struct loop *loop;
    struct mux mux;
    struct alloc_count count;
    weir_key key;
};

static void ask(struct mux_call *call)
{
    struct asked *asked = container_of(call, struct asked, call);
    assert_non_null(call->conn);
    assert_int_equal(call->state, MUX_ASKED);
    asked->asked++;
    if (asked->refusal != WEIR_OK) {
        mux_call_fail(call, asked->fate, asked->refusal);
    }
}

static void forget(struct mux_call *call)
{
    assert_non_null(call->conn);
    container_of(call, struct asked, call)->forgotten++;
}

static void late(struct mux_call *call)
{
    container_of(call, struct asked, call)->late++;
    mux_call_end(call);
}

static void failed(struct mux_call *call, weir_err err, uint32_t retry_after_ms)
{
    struct asked *asked = container_of(call, struct asked, call);
    assert_int_equal(call->state, MUX_IDLE);
    asked->failed++;
    asked->err = err;
    asked->retry_after_ms = retry_after_ms;
}

static const struct mux_ops ops = {.ask = ask, .forget = forget, .late = late, .failed = failed};

static void open_fixture(struct fixture *f, const weir_pool_options *opt)
{
    const struct loop_options loop = {0};
    *f = (struct fixture){.fake = fake_open(opt, NULL), .key = fake_key("a")};
    assert_int_equal(loop_new(&loop, &f->loop), 0);
    alloc_count_init(&f->count, &alloc_libc);
    f->mux = (struct mux){.ops = &ops,
                          .loop = f->loop,
                          .alloc = &f->count.hooks,
                          .pool = f->fake->pool,
                          .acquire_timeout_ms = 5000};
}

static void close_fixture(struct fixture *f)
{
    mux_fini(&f->mux);
    assert_int_equal(f->count.out, 0);
    loop_free(f->loop);
    fake_free(f->fake);
}

#define FIXTURE(...)                                                                               \
    struct fixture fixture, *f = &fixture;                                                         \
    const weir_pool_options opt = {__VA_ARGS__};                                                   \
    (void)state;                                                                                   \
    open_fixture(f, &opt)

static void begin(struct fixture *f, struct asked *asked, uint32_t timeout_ms)
{
    mux_call_begin(&f->mux, &asked->call, &f->key, 7, timeout_ms);
    assert_int_equal(asked->late + asked->failed, 0); /* never from inside */
}

/* The n-th connection is there, for so many at a time. */
static void come_up(struct fixture *f, unsigned n, uint32_t leases)
{
    fake_wait(f->fake, 0);
    void *object = (void *)(uintptr_t)n;
    assert_int_equal(weir_conn_up(f->fake->pool, f->fake->conns[n], object, leases), WEIR_OK);
    fake_wait(f->fake, 0);
}

static bool look(void *arg, const weir_conn_info *info)
{
    *(weir_conn_info *)arg = *info;
    return true;
}

/* The only connection. */
static weir_conn_info conn_of(struct fixture *f)
{
    weir_conn_info info = {0};
    weir_pool_each(f->fake->pool, look, &info);
    return info;
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void one_connection_carries_many(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked first = {0}, second = {0};
    begin(f, &first, 5000);
    assert_int_equal(first.call.state, MUX_WAITING);
    come_up(f, 1, 2);
    assert_int_equal(first.asked, 1);
    assert_int_equal((uintptr_t)first.call.conn, 1);
    begin(f, &second, 5000); /* there is room: it is asked at once */
    assert_int_equal(second.asked, 1);
    assert_int_equal(conn_of(f).leases, 2);
    assert_int_equal(conn_of(f).tag, 7);
    mux_call_answered(&first.call, f->fake->conns[1]);
    assert_int_equal(first.call.state, MUX_ENDING);
    assert_int_equal(conn_of(f).leases, 1);
    mux_call_end(&first.call);
    mux_call_end(&first.call); /* is nothing to one that has ended */
    mux_call_end(&second.call);
    assert_int_equal(conn_of(f).leases, 0);
    assert_int_equal(first.forgotten, 0);
    assert_int_equal(second.forgotten, 1); /* its answer is still to come */
    close_fixture(f);
}

static void one_that_is_cancelled_leaves_nothing_with_the_pool(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked left = {0}, stays = {0};
    begin(f, &left, 5000);
    begin(f, &stays, 5000);
    mux_call_end(&left.call);
    assert_int_equal(left.call.state, MUX_IDLE);
    memset(&left, 0xff, sizeof left); /* its owner may free it */
    come_up(f, 1, 2);
    assert_int_equal(stays.asked, 1);
    assert_int_equal(conn_of(f).leases, 1);
    assert_int_equal(f->mux.waits, 0);
    mux_call_end(&stays.call);
    close_fixture(f);
}

static void waits_are_used_again(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked asked = {0};
    for (unsigned i = 0; i < 3; i++) {
        begin(f, &asked, 5000);
        mux_call_end(&asked.call);
        fake_wait(f->fake, 0);
    }
    assert_int_equal(f->count.calls, 1);
    close_fixture(f);
}

static void time_runs_out_waiting_and_asked(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked waits = {0}, asked = {0};
    begin(f, &waits, 5);
    turn_until(f->loop, waits.late > 0);
    assert_int_equal(waits.asked + waits.forgotten, 0);
    begin(f, &asked, 5);
    come_up(f, 1, 2);
    assert_int_equal(asked.asked, 1);
    turn_until(f->loop, asked.late > 0);
    assert_int_equal(asked.forgotten, 1);
    assert_int_equal(waits.late, 1);
    assert_int_equal(conn_of(f).leases, 0);
    close_fixture(f);
}

static void a_call_may_have_all_the_time(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked asked = {0};
    begin(f, &asked, WEIR_NEVER);
    assert_int_equal(asked.call.deadline_ms, UINT64_MAX);
    come_up(f, 1, 1);
    assert_int_equal(asked.asked, 1);
    mux_call_end(&asked.call);
    close_fixture(f);
}

static void what_cannot_be_said_is_told_later(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked first = {0}, refused = {.refusal = WEIR_EFULL, .fate = WEIR_KEEP};
    begin(f, &first, 5000);
    come_up(f, 1, 2);
    begin(f, &refused, 5000);
    mux_call_end(&refused.call); /* before it is told: never */
    loop_turn(f->loop, 1);
    assert_int_equal(refused.asked, 1);
    assert_int_equal(refused.failed, 0);
    assert_false(conn_of(f).retiring);
    refused.fate = WEIR_RETIRE;
    begin(f, &refused, 5000);
    assert_int_equal(conn_of(f).leases, 1);
    assert_true(conn_of(f).retiring);
    turn_until(f->loop, refused.failed > 0);
    assert_int_equal(refused.err, WEIR_EFULL);
    assert_int_equal(refused.forgotten, 0);
    mux_call_end(&first.call);
    close_fixture(f);
}

static void the_pool_says_no(void **state)
{
    FIXTURE(.failures_max = 1, .down_for_ms = 400);
    struct asked waits = {0}, late_one = {0};
    begin(f, &waits, 5000);
    fake_wait(f->fake, 0);
    fake_down(f->fake, 1, WEIR_ECONNECT);
    fake_wait(f->fake, 0);
    assert_int_equal(waits.failed, 1); /* from an event: at once */
    assert_int_equal(waits.err, WEIR_ECONNECT);
    begin(f, &late_one, 5000);
    turn_until(f->loop, late_one.failed > 0);
    assert_int_equal(late_one.err, WEIR_EDOWN);
    assert_in_range(late_one.retry_after_ms, 1, 400);
    close_fixture(f);
}

static void one_that_lost_its_connection_may_try_again(void **state)
{
    FIXTURE(.max_per_key = 1, .retry_first_ms = 20, .retry_cap_ms = 20);
    struct asked asked = {0};
    begin(f, &asked, 5000);
    come_up(f, 1, 2);
    uint64_t deadline_ms = asked.call.deadline_ms;
    fake_down(f->fake, 1, WEIR_ERESET);
    mux_call_lost(&asked.call, WEIR_ERESET);
    mux_call_again(&asked.call);
    assert_int_equal(asked.call.state, MUX_WAITING);
    assert_int_equal(asked.call.deadline_ms, deadline_ms); /* no new time */
    fake_wait(f->fake, 20);
    come_up(f, 2, 2);
    assert_int_equal(asked.asked, 2);
    assert_int_equal((uintptr_t)asked.call.conn, 2);
    assert_int_equal(asked.forgotten, 0);
    mux_call_end(&asked.call);
    close_fixture(f);
}

static void memory_may_be_refused(void **state)
{
    FIXTURE(.max_per_key = 1);
    struct asked asked = {0};
    f->count.fail_at = 1;
    begin(f, &asked, 5000);
    turn_until(f->loop, asked.failed > 0);
    assert_int_equal(asked.err, WEIR_ENOMEM);
    assert_int_equal(f->mux.waits, 0);
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_carries_many),
        cmocka_unit_test(one_that_is_cancelled_leaves_nothing_with_the_pool),
        cmocka_unit_test(waits_are_used_again),
        cmocka_unit_test(time_runs_out_waiting_and_asked),
        cmocka_unit_test(a_call_may_have_all_the_time),
        cmocka_unit_test(what_cannot_be_said_is_told_later),
        cmocka_unit_test(the_pool_says_no),
        cmocka_unit_test(one_that_lost_its_connection_may_try_again),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
