/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares of a pool that is too small for all who want it: clients that ask again as soon as they
 * are served, on a virtual clock. One engine has it, or four have it together; what the hub has to
 * tell one of these waits for its next turn, as between workers.
 */
#include "core/turns.h"

#include "core/hub.h"
#include "core/inspect.h"
#include "support/fake.h"

enum {
    ENGINES = 4,
    CLIENTS = 60,
    CONNS = 16,
    HOLD_MS = 10,
    DIAL_MS = 3,
    CLOSE_MS = 1,
    MOVE_MS = 1,
    SECONDS = 20,
    GRANTS = 3000
};

struct customer {
    struct till *till; /* where it asks */
    weir_key key;
    char host[16];
    weir_lease lease;
    uint64_t until_ms; /* holds until then; 0: waits */
    unsigned party;
};

struct wire {
    weir_conn id;
    uint64_t at_ms; /* up, or gone, then; 0: nothing is due */
    bool closes;
};

/* One engine. */
struct till {
    struct crowd *crowd;
    uint32_t number;
    weir_engine *engine;
    weir_pool *pool;
    struct limit_port port;
    struct wire wires[CONNS];
};

struct crowd {
    struct hub hub;
    struct till tills[ENGINES];
    uint32_t engines;
    uint64_t now_ms;
    struct customer customers[CLIENTS];
    uint64_t served[2];
};

static void wire_due(struct till *till, weir_conn id, uint64_t after_ms, bool closes)
{
    for (unsigned i = 0; i < CONNS; i++) {
        struct wire *wire = &till->wires[i];
        if (wire->at_ms == 0 || wire->id.id == id.id) {
            *wire = (struct wire){id, till->crowd->now_ms + after_ms, closes};
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

static void *on_detach(void *self, void *object)
{
    (void)self;
    return object;
}

static void on_attach(void *self, weir_conn conn, void *object)
{
    (void)object;
    if (self != NULL) {
        wire_due(self, conn, MOVE_MS, false);
    }
}

static void on_grant(void *arg, const weir_grant *grant)
{
    struct customer *customer = arg;
    struct crowd *crowd = customer->till->crowd;
    assert_int_equal(grant->err, WEIR_OK);
    customer->until_ms = crowd->now_ms + HOLD_MS;
    crowd->served[customer->party]++;
}

static void ask(struct customer *customer)
{
    const weir_acquire_options opt = {.timeout_ms = WEIR_NEVER};
    customer->until_ms = 0;
    assert_int_equal(weir_acquire(customer->till->pool, &customer->key, &opt, on_grant, customer,
                                  &customer->lease),
                     WEIR_OK);
}

/* --- engines that share ------------------------------------------------------------------------
 */

static uint32_t port_join(void *arg, const char *name, uint32_t name_len, uint32_t limit)
{
    const struct till *till = arg;
    return hub_join(&till->crowd->hub, till->number, name, name_len, limit);
}

static uint32_t port_enroll(void *arg, uint32_t pool_account, const char *name, uint32_t name_len)
{
    const struct till *till = arg;
    return hub_enroll(&till->crowd->hub, till->number, pool_account, name, name_len);
}

static void port_leave(void *arg, uint32_t account)
{
    const struct till *till = arg;
    hub_leave(&till->crowd->hub, till->number, account);
}

static bool port_take(void *arg, uint32_t account)
{
    const struct till *till = arg;
    return hub_take(&till->crowd->hub, till->number, account);
}

static void port_send(void *arg, const struct limit_msg *msg)
{
    const struct till *till = arg;
    struct limit_msg signed_msg = *msg;
    signed_msg.engine = (uint16_t)till->number;
    hub_receive(&till->crowd->hub, &signed_msg);
}

static void till_open(struct till *till, const weir_pool_options *opt)
{
    weir_pool_options own = *opt;
    own.connector_self = till;
    till->port = (struct limit_port){
        till, port_join, port_leave, port_take, port_send, till->crowd->engines, port_enroll};
    assert_int_equal(weir_engine_new(NULL, &till->engine), WEIR_OK);
    if (till->crowd->engines > 1) {
        assert_int_equal(engine_share(till->engine, &till->port), WEIR_OK);
    }
    assert_int_equal(weir_pool_open(till->engine, &own, &till->pool), WEIR_OK);
}

/* --- time --------------------------------------------------------------------------------------
 */

static void wires_due(struct till *till)
{
    for (unsigned i = 0; i < CONNS; i++) {
        struct wire *wire = &till->wires[i];
        if (wire->at_ms == till->crowd->now_ms) {
            wire->at_ms = 0;
            assert_int_equal(wire->closes ? weir_conn_down(till->pool, wire->id, WEIR_EHANGUP)
                                          : weir_conn_up(till->pool, wire->id, till, 1),
                             WEIR_OK);
        }
    }
}

static void till_turn(struct till *till)
{
    struct crowd *crowd = till->crowd;
    struct limit_msg news;
    while (hub_next(&crowd->hub, till->number, &news)) {
        engine_receive(till->engine, &news);
    }
    weir_step(till->engine, crowd->now_ms);
    wires_due(till);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct customer *customer = &crowd->customers[i];
        if (customer->till == till && customer->until_ms == crowd->now_ms) {
            assert_int_equal(weir_release(till->pool, customer->lease, WEIR_KEEP), WEIR_OK);
            ask(customer);
        }
    }
    while (weir_engine_pending(till->engine)) {
        weir_step(till->engine, crowd->now_ms);
    }
}

/* Two parties of equally many clients, one with so many keys, the other with so many. */
struct match {
    uint32_t max_total;
    unsigned keys[2];
    const char *tenants[2];
    uint32_t engines;
    bool limited; /* each key, to as many: the hub has an account of it */
    bool moves;   /* an idle connection may go to another engine */
    /* A party's callers are at so many engines, from that one on; 0: at all. */
    unsigned at[2], from[2];
};

static void come_in(struct crowd *crowd, unsigned i, const struct match *match)
{
    struct customer *customer = &crowd->customers[i];
    unsigned party = i % 2;
    unsigned number = i / 2;
    unsigned at = match->at[party] != 0 ? match->at[party] : crowd->engines;
    customer->party = party;
    customer->till = &crowd->tills[(match->from[party] + number % at) % crowd->engines];
    snprintf(customer->host, sizeof customer->host, "%c%u", "ab"[party],
             number / at % match->keys[party]);
    customer->key = (weir_key){.host = customer->host, .tenant = match->tenants[party]};
    ask(customer);
}

static void play(const struct match *match, uint64_t ret_served[2])
{
    static const weir_connector stays = {.scheme = "x", .dial = on_dial, .close = on_close};
    weir_connector moves = stays;
    moves.detach = on_detach;
    moves.attach = on_attach;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->engines = match->engines;
    weir_pool_options opt = {.connector = match->moves ? &moves : &stays,
                             .max_total = match->max_total,
                             .max_per_key = match->limited ? match->max_total : WEIR_UNLIMITED,
                             .waiting_max = CLIENTS};
    assert_true(hub_init(&crowd->hub, &alloc_libc, &(struct hub_options){.engines = ENGINES}));
    for (uint32_t i = 0; i < crowd->engines; i++) {
        crowd->tills[i].crowd = crowd;
        crowd->tills[i].number = i;
        till_open(&crowd->tills[i], &opt);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        come_in(crowd, i, match);
    }
    while (crowd->now_ms < SECONDS * UINT64_C(1000)
           && crowd->served[0] + crowd->served[1] < GRANTS) {
        crowd->now_ms++;
        for (uint32_t i = 0; i < crowd->engines; i++) {
            till_turn(&crowd->tills[i]);
        }
    }
    for (uint32_t i = 0; i < crowd->engines; i++) {
        engine_verify(crowd->tills[i].engine);
    }
    memcpy(ret_served, crowd->served, sizeof crowd->served);
    for (uint32_t i = 0; i < crowd->engines; i++) {
        weir_engine_free(crowd->tills[i].engine);
    }
    hub_fini(&crowd->hub);
    free(crowd);
}

static void expect_equal_shares(const struct match *match)
{
    uint64_t served[2];
    play(match, served);
    uint64_t less = served[0] < served[1] ? served[0] : served[1];
    uint64_t more = served[0] < served[1] ? served[1] : served[0];
    if (less == 0 || (more - less) * 100 > more * 5) {
        fail_msg("%u engines with %u connections: %u and %u keys were served %llu and %llu times",
                 match->engines, match->max_total, match->keys[0], match->keys[1],
                 (unsigned long long)served[0], (unsigned long long)served[1]);
    }
}

static const uint32_t caps[] = {1, 2, 3, 5, 8, 13};

static void tenants_share_a_cap_within_a_twentieth(void **state)
{
    static const unsigned keys[][2] = {{1, 1}, {5, 1}, {2, 7}};
    (void)state;
    for (unsigned c = 0; c < sizeof caps / sizeof *caps; c++) {
        for (unsigned k = 0; k < sizeof keys / sizeof *keys; k++) {
            expect_equal_shares(&(struct match){.max_total = caps[c],
                                                .keys = {keys[k][0], keys[k][1]},
                                                .tenants = {"alice", "bob"},
                                                .engines = 1});
        }
    }
}

/* Where both have as many callers at each of the engines, and several for each key there. */
static void tenants_share_a_cap_of_four_engines_within_a_twentieth(void **state)
{
    static const unsigned keys[] = {1, 2, 3};
    (void)state;
    for (unsigned c = 0; c < sizeof caps / sizeof *caps; c++) {
        for (unsigned k = 0; k < sizeof keys / sizeof *keys; k++) {
            struct match match = {.max_total = caps[c],
                                  .keys = {keys[k], keys[k]},
                                  .tenants = {"alice", "bob"},
                                  .engines = ENGINES};
            expect_equal_shares(&match);
            match.limited = true;
            expect_equal_shares(&match);
            match.moves = true;
            expect_equal_shares(&match);
        }
    }
}

/* Wherever the callers of the one and of the other are. */
static void tenants_share_a_cap_however_their_callers_are_spread(void **state)
{
    static const struct match layouts[] = {
        {.engines = 4, .at = {1, 3}, .from = {0, 1}}, /* each where the other is not */
        {.engines = 4, .at = {1, 4}},
        {.engines = 4, .at = {1, 1}},
        {.engines = 4, .at = {1, 1}, .from = {0, 2}},
        {.engines = 4, .at = {3, 2}, .from = {0, 2}},
        {.engines = 2, .at = {1, 2}},
        {.engines = 2, .at = {1, 1}, .from = {0, 1}},
        {.engines = 4},
    };
    static const unsigned keys[][2] = {{1, 1}, {1, 5}};
    static const uint32_t some_caps[] = {1, 2, 5, 8};
    (void)state;
    for (unsigned i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        for (unsigned k = 0; k < sizeof keys / sizeof *keys; k++) {
            for (unsigned c = 0; c < sizeof some_caps / sizeof *some_caps; c++) {
                struct match match = layouts[i];
                match.max_total = some_caps[c];
                match.keys[0] = keys[k][0];
                match.keys[1] = keys[k][1];
                match.tenants[0] = "alice";
                match.tenants[1] = "bob";
                expect_equal_shares(&match);
                match.limited = match.moves = true;
                expect_equal_shares(&match);
            }
        }
    }
}

static void keys_share_a_cap_within_a_twentieth(void **state)
{
    (void)state;
    for (unsigned c = 0; c < sizeof caps / sizeof *caps; c++) {
        struct match match = {.max_total = caps[c], .keys = {1, 1}, .engines = 1};
        expect_equal_shares(&match);
        match.tenants[0] = match.tenants[1] = "alice";
        expect_equal_shares(&match);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_share_a_cap_within_a_twentieth),
        cmocka_unit_test(tenants_share_a_cap_of_four_engines_within_a_twentieth),
        cmocka_unit_test(tenants_share_a_cap_however_their_callers_are_spread),
        cmocka_unit_test(keys_share_a_cap_within_a_twentieth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
