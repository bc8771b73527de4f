/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares of a pool that is too small for all who want it: clients that ask again as soon as they
 * are served, on a virtual clock.
 */
#include "core/turns.h"

#include "core/inspect.h"
#include "support/fake.h"

enum { CLIENTS = 60, CONNS = 16, HOLD_MS = 10, DIAL_MS = 3, CLOSE_MS = 1, SECONDS = 60 };

struct customer {
    struct crowd *crowd;
    weir_key key;
    char host[8];
    weir_lease lease;
    uint64_t until_ms; /* holds until then; 0: waits */
    unsigned party;
};

struct wire {
    weir_conn id;
    uint64_t at_ms; /* up, or gone, then; 0: nothing is due */
    bool closes;
};

struct crowd {
    weir_engine *engine;
    weir_pool *pool;
    uint64_t now_ms;
    struct customer customers[CLIENTS];
    struct wire wires[CONNS];
    uint64_t served[2];
};

static void wire_due(struct crowd *crowd, weir_conn id, uint64_t after_ms, bool closes)
{
    for (unsigned i = 0; i < CONNS; i++) {
        struct wire *wire = &crowd->wires[i];
        if (wire->at_ms == 0 || wire->id.id == id.id) {
            *wire = (struct wire){id, crowd->now_ms + after_ms, closes};
            return;
        }
    }
    fail_msg("more connections than there may be");
}

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    (void)key;
    wire_due(self, conn, DIAL_MS, false);
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)object, (void)why;
    wire_due(self, conn, CLOSE_MS, true);
}

static void on_grant(void *arg, const weir_grant *grant)
{
    struct customer *customer = arg;
    assert_int_equal(grant->err, WEIR_OK);
    customer->until_ms = customer->crowd->now_ms + HOLD_MS;
    customer->crowd->served[customer->party]++;
}

static void ask(struct customer *customer)
{
    const weir_acquire_options opt = {.timeout_ms = WEIR_NEVER};
    customer->until_ms = 0;
    assert_int_equal(weir_acquire(customer->crowd->pool, &customer->key, &opt, on_grant, customer,
                                  &customer->lease),
                     WEIR_OK);
}

static void tick(struct crowd *crowd)
{
    crowd->now_ms++;
    weir_step(crowd->engine, crowd->now_ms);
    for (unsigned i = 0; i < CONNS; i++) {
        struct wire *wire = &crowd->wires[i];
        if (wire->at_ms == crowd->now_ms) {
            wire->at_ms = 0;
            assert_int_equal(wire->closes ? weir_conn_down(crowd->pool, wire->id, WEIR_EHANGUP)
                                          : weir_conn_up(crowd->pool, wire->id, crowd, 1),
                             WEIR_OK);
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct customer *customer = &crowd->customers[i];
        if (customer->until_ms == crowd->now_ms) {
            assert_int_equal(weir_release(crowd->pool, customer->lease, WEIR_KEEP), WEIR_OK);
            ask(customer);
        }
    }
    while (weir_engine_pending(crowd->engine)) {
        weir_step(crowd->engine, crowd->now_ms);
    }
}

/* Two parties of equally many clients, one with so many keys, the other with so many. */
struct match {
    uint32_t max_total;
    unsigned keys[2];
    const char *tenants[2];
};

static void play(const struct match *match, uint64_t ret_served[2])
{
    static const weir_connector connector = {.scheme = "x", .dial = on_dial, .close = on_close};
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    weir_pool_options opt = {.connector = &connector,
                             .connector_self = crowd,
                             .max_total = match->max_total,
                             .waiting_max = CLIENTS};
    assert_int_equal(weir_engine_new(NULL, &crowd->engine), WEIR_OK);
    assert_int_equal(weir_pool_open(crowd->engine, &opt, &crowd->pool), WEIR_OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct customer *customer = &crowd->customers[i];
        customer->crowd = crowd;
        customer->party = i % 2;
        snprintf(customer->host, sizeof customer->host, "%c%u", "ab"[i % 2],
                 i / 2 % match->keys[i % 2]);
        customer->key = (weir_key){.host = customer->host, .tenant = match->tenants[i % 2]};
        ask(customer);
    }
    for (uint64_t ms = 0; ms < SECONDS * UINT64_C(1000); ms++) {
        tick(crowd);
    }
    engine_verify(crowd->engine);
    memcpy(ret_served, crowd->served, sizeof crowd->served);
    weir_engine_free(crowd->engine);
    free(crowd);
}

static void expect_equal_shares(const struct match *match)
{
    uint64_t served[2];
    play(match, served);
    uint64_t less = served[0] < served[1] ? served[0] : served[1];
    uint64_t more = served[0] < served[1] ? served[1] : served[0];
    if (less == 0 || (more - less) * 100 > more * 5) {
        fail_msg("with %u connections %u and %u keys were served %llu and %llu times",
                 match->max_total, match->keys[0], match->keys[1], (unsigned long long)served[0],
                 (unsigned long long)served[1]);
    }
}

static void tenants_share_a_cap_within_a_twentieth(void **state)
{
    static const uint32_t caps[] = {1, 2, 3, 5, 8, 13};
    static const unsigned keys[][2] = {{1, 1}, {5, 1}, {2, 7}};
    (void)state;
    for (unsigned c = 0; c < sizeof caps / sizeof *caps; c++) {
        for (unsigned k = 0; k < sizeof keys / sizeof *keys; k++) {
            expect_equal_shares(
                &(struct match){caps[c], {keys[k][0], keys[k][1]}, {"alice", "bob"}});
        }
    }
}

static void keys_share_a_cap_within_a_twentieth(void **state)
{
    static const uint32_t caps[] = {1, 2, 3, 5, 8, 13};
    (void)state;
    for (unsigned c = 0; c < sizeof caps / sizeof *caps; c++) {
        expect_equal_shares(&(struct match){caps[c], {1, 1}, {NULL, NULL}});
        expect_equal_shares(&(struct match){caps[c], {1, 1}, {"alice", "alice"}});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_share_a_cap_within_a_twentieth),
        cmocka_unit_test(keys_share_a_cap_within_a_twentieth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
