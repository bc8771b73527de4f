/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hazard.h"

#include "core/conn.h"
#include "support/fake.h"

#define MANY 20U

static struct conn *conn_at(struct fake *fake, unsigned number)
{
    return slots_at(&fake->engine->conns, fake->conns[number].id);
}

static void hazard_grows_with_silence_and_nearness(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    fake_release(fake, fake_lease_up(fake, "a"), WEIR_KEEP);
    struct conn *conn = conn_at(fake, 1);
    uint64_t now_ms = conn->used_ms;
    assert_int_equal(hazard_of(conn, now_ms), 0);
    assert_int_equal(hazard_of(conn, now_ms + 4000), 4000);
    conn->idle_ms = 7999; /* Keep-Alive: half of it is gone */
    assert_int_equal(hazard_of(conn, now_ms + 4000), 6000);
    conn->key->horizon_ms = 3999; /* the key has learned that it is less */
    assert_int_equal(hazard_of(conn, now_ms + 4000), 8000);
    conn->since_ms = now_ms + 3000; /* a frame came meanwhile */
    assert_int_equal(hazard_of(conn, now_ms + 4000), 5000);
    fake_free(fake);
}

/* The one that was heard last lies behind too many newer ones: it is too far to look. */
static void few_are_looked_at(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    weir_lease held[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        held[i] = fake_lease_up(fake, "a");
    }
    for (unsigned i = 0; i < MANY; i++) {
        fake_release(fake, held[i], WEIR_KEEP);
    }
    struct key *key = conn_at(fake, 1)->key;
    struct conn *newest = conn_on_key(list_last(&key->by_state[WEIR_IDLE]));
    struct conn *oldest = conn_on_key(list_first(&key->by_state[WEIR_IDLE]));
    struct conn *near = conn_on_key(list_prev(&newest->on_key));
    fake_wait(fake, 5000);
    assert_ptr_equal(hazard_least(key, newest), newest);
    oldest->since_ms = fake->now_ms;
    assert_ptr_equal(hazard_least(key, newest), newest);
    near->since_ms = fake->now_ms;
    assert_ptr_equal(hazard_least(key, newest), near);
    newest->since_ms = fake->now_ms - 1000;
    assert_ptr_equal(hazard_least(key, newest), newest); /* heard just now */
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hazard_grows_with_silence_and_nearness),
        cmocka_unit_test(few_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
