/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_chaos_test.c - three gateways, each a process with a journal, that share a real
 * redis-server while both are stopped, emptied, cut off and killed: what was acknowledged is not
 * lost, what has ended is not raised again, nothing is counted twice, and all say of a session, and
 * of a place that needs no session, that it is served at the same place.
 *
 * A fault lasts for some steps, and the gateways work on. An order that was under way when its
 * gateway was killed may have been carried out or not; either is right, once.
 *
 * WEIR_SEED=n begins with that seed, WEIR_SEEDS=n plays as many. A seed draws the orders and the
 * faults; when they meet is the machine's affair.
 */
#include "base/rand.h"
#include "support/sharing_process.h"

#include <stdlib.h>

#define GATEWAYS    3U
#define THINGS      60U
#define KEYS        20U
#define STEPS       3000U
#define FAULT_EVERY 250U
#define FAULT_STEPS 100U /* at most */
#define ROUND_MS    300U /* for what was touched to be told */

#define FAULTS(ROW)                                                                                \
    ROW(RESTART, "redis killed and back, empty")                                                   \
    ROW(FLUSH, "redis emptied")                                                                    \
    ROW(SCRIPTS, "redis without scripts")                                                          \
    ROW(STOP, "redis stopped, and continued")                                                      \
    ROW(DOWN, "redis killed for a while, and empty")                                               \
    ROW(CUT, "connections cut")                                                                    \
    ROW(GATEWAY, "a gateway killed")                                                               \
    ROW(BOTH, "a gateway and redis killed")

enum fault {
#define FAULT_ROW(name, word) FAULT_##name,
    FAULTS(FAULT_ROW)
#undef FAULT_ROW
        FAULT_KINDS
};

static const char *const fault_words[] = {
#define FAULT_WORD(name, word) word,
    FAULTS(FAULT_WORD)
#undef FAULT_WORD
};

/* What should be true of one session in the end. Whoever made it ends it; all may touch it. */
struct thing {
    weir_session_id id;
    bool was_made, is_over;
    uint32_t touches, errors;
    uint32_t maybe_touches, maybe_errors; /* of which nobody was told */
};

/* A place that needs no session is in Redis alone: it is good until that has lost it. */
struct claim {
    char place[16];
    uint32_t losses;
};

struct chaos {
    struct rand rand;
    struct sharer gateways[GATEWAYS];
    struct thing things[THINGS];
    struct claim claims[KEYS];
    uint32_t losses; /* of all that Redis had */
    enum fault kinds[FAULT_KINDS], had[STEPS / FAULT_EVERY];
    unsigned faults;  /* that there were */
    enum fault fault; /* FAULT_KINDS: none */
    unsigned left;    /* steps of it */
    unsigned victim;
};

/* --- what gateways do ---------------------------------------------------------------------------
 */

static unsigned any_gateway(struct chaos *chaos)
{
    return (unsigned)rand_below(&chaos->rand, GATEWAYS);
}

static bool runs(const struct chaos *chaos, unsigned gateway)
{
    return chaos->gateways[gateway].pid != 0;
}

static struct order order_of(enum order_kind kind, weir_session_id id, unsigned gateway)
{
    struct order order = {.kind = kind, .id = id, .is_served = true};
    snprintf(order.place, sizeof order.place, "east %u", gateway);
    return order;
}

static struct said ask(const struct chaos *chaos, unsigned gateway, const struct order *order)
{
    return sharer_asked(&chaos->gateways[gateway], order);
}

static void make(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    unsigned owner = n % GATEWAYS;
    struct order order = order_of(ORDER_CREATE, thing->id, owner);
    snprintf(order.key, sizeof order.key, "t%u", n);
    struct said said = ask(chaos, owner, &order);
    assert_true(said.err == WEIR_OK || said.err == WEIR_EEXISTS); /* as it was killed */
    thing->id = said.id;
    thing->was_made = true;
    order = order_of(ORDER_CLAIM, thing->id, owner);
    said = ask(chaos, owner, &order);
    assert_true(said.err == WEIR_OK || said.err == WEIR_EEXISTS);
}

static void make_or_end(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    if (!runs(chaos, n % GATEWAYS)) {
        return;
    }
    if (!thing->was_made) {
        make(chaos, n);
    } else if (!thing->is_over && rand_below(&chaos->rand, 8) == 0) {
        const struct order order = order_of(ORDER_END, thing->id, n % GATEWAYS);
        assert_int_equal(ask(chaos, n % GATEWAYS, &order).err, WEIR_OK); /* or it was lost */
        thing->is_over = true;
    }
}

static struct order touch_of(struct chaos *chaos, const struct thing *thing, unsigned gateway)
{
    struct order order = order_of(ORDER_TOUCH, thing->id, gateway);
    order.is_served = rand_below(&chaos->rand, 4) != 0;
    return order;
}

static void note_touch(struct thing *thing, const struct order *order, weir_err err)
{
    if (err == WEIR_OK && !thing->is_over) {
        thing->touches++;
        thing->errors += !order->is_served;
    }
}

/* By all at once. */
static void touch_everywhere(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    struct order orders[GATEWAYS];
    for (unsigned i = 0; i < GATEWAYS; i++) {
        orders[i] = touch_of(chaos, thing, i);
        if (runs(chaos, i)) {
            sharer_give(&chaos->gateways[i], &orders[i]);
        }
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        struct said said;
        if (runs(chaos, i)) {
            assert_true(sharer_hear(&chaos->gateways[i], &said));
            note_touch(thing, &orders[i], said.err);
        }
    }
}

static void use(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    unsigned who = any_gateway(chaos);
    unsigned how = (unsigned)rand_below(&chaos->rand, 20);
    if (!thing->was_made || !runs(chaos, who)) {
        return;
    }
    if (how == 0) {
        const struct order order = order_of(ORDER_REBIND, thing->id, who);
        ask(chaos, who, &order);
    } else if (how == 1) {
        const struct order order = order_of(ORDER_CLAIM, thing->id, who);
        ask(chaos, who, &order);
    } else if (how < 6) {
        touch_everywhere(chaos, n);
    } else {
        const struct order order = touch_of(chaos, thing, who);
        note_touch(thing, &order, ask(chaos, who, &order).err);
    }
}

/* All claim it for themselves at once: whoever is told where it is, is told the same. */
static void race(struct chaos *chaos, unsigned n)
{
    struct claim *claim = &chaos->claims[n];
    for (unsigned i = 0; i < GATEWAYS; i++) {
        struct order order = order_of(ORDER_AFFINITY, (weir_session_id){0, 0}, i);
        snprintf(order.key, sizeof order.key, "k%u", n);
        if (runs(chaos, i)) {
            sharer_give(&chaos->gateways[i], &order);
        }
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        struct said said;
        if (!runs(chaos, i)) {
            continue;
        }
        assert_true(sharer_hear(&chaos->gateways[i], &said));
        if (said.err == WEIR_OK && claim->place[0] != '\0' && claim->losses == chaos->losses) {
            assert_string_equal(said.place, claim->place);
        } else if (said.err == WEIR_OK) {
            memcpy(claim->place, said.place, sizeof claim->place);
            claim->losses = chaos->losses;
        }
    }
}

/* --- what is true in the end --------------------------------------------------------------------
 */

/* "r<origin>": the sums of all origins. */
static void sum_of(weir_session_id id, uint32_t *ret_touches, uint32_t *ret_errors)
{
    struct slice rest = slice_of(redis_says(&server, "HGETALL", key_of('s', id))), word;
    *ret_touches = *ret_errors = 0;
    while (slice_split(&rest, ' ', &word)) {
        uint64_t touches = 0, errors = 0;
        struct slice tail = rest, first, second;
        if (word.len > 8 && word.at[0] == 'r' && slice_split(&tail, ' ', &first)
            && slice_split(&tail, ' ', &second) && text_parse_u64(first, &touches)
            && text_parse_u64(second, &errors)) {
            *ret_touches += (uint32_t)touches;
            *ret_errors += (uint32_t)errors;
        }
    }
}

static bool is_within(uint32_t value, uint32_t least, uint32_t more)
{
    return value >= least && value - least <= more;
}

/* What is over is not there, and nowhere; what lives is, with what all have counted, and nobody
 * who has it says that it is served elsewhere. */
static const char *fault_of(const struct chaos *chaos, unsigned n)
{
    const struct thing *thing = &chaos->things[n];
    uint32_t touches, errors;
    if (!thing->was_made) {
        return NULL;
    }
    char place[16];
    snprintf(place, sizeof place, "%.15s", field_of(thing->id, "pl"));
    for (unsigned i = 0; i < GATEWAYS; i++) {
        const struct order look = order_of(ORDER_LOOK, thing->id, i);
        struct said said = ask(chaos, i, &look);
        if (said.err == WEIR_OK ? thing->is_over : !thing->is_over && i == n % GATEWAYS) {
            return thing->is_over ? "raised again" : "lost";
        }
        if (said.err == WEIR_OK && strcmp(said.place, place) != 0) {
            return "split";
        }
    }
    if (thing->is_over || !is_there('s', thing->id)) {
        return !thing->is_over            ? "lost in redis"
               : is_there('s', thing->id) ? "raised again in redis"
                                          : NULL;
    }
    sum_of(thing->id, &touches, &errors);
    bool is_right = is_within(touches, thing->touches, thing->maybe_touches)
                    && is_within(errors, thing->errors, thing->maybe_errors);
    return is_right ? NULL : "counted wrongly";
}

/* Each gateway has noticed the last fault, and told all it has. */
static bool is_settled(const struct chaos *chaos)
{
    const struct order order = {.kind = ORDER_STATS};
    bool is_all = true;
    for (unsigned i = 0; i < GATEWAYS; i++) {
        weir_sessions_stats stats = ask(chaos, i, &order).stats;
        is_all = is_all && stats.unstored == 0 && stats.store_writes > 0 && !stats.store_down;
    }
    for (unsigned n = 0; is_all && n < THINGS; n++) {
        is_all = fault_of(chaos, n) == NULL;
    }
    return is_all;
}

static void say_of_thing(const struct chaos *chaos, unsigned n, const char *fault)
{
    const struct thing *thing = &chaos->things[n];
    uint32_t touches, errors;
    sum_of(thing->id, &touches, &errors);
    print_message(
        "thing %u: %s; over %d, there %d, tombstone %d; %u touches and perhaps %u, %u are "
        "there; at",
        n, fault, thing->is_over, is_there('s', thing->id), is_there('t', thing->id),
        thing->touches, thing->maybe_touches, touches);
    for (unsigned i = 0; i < GATEWAYS; i++) {
        const struct order look = order_of(ORDER_LOOK, thing->id, i);
        struct said said = ask(chaos, i, &look);
        print_message(" %u: %s;", i, said.err == WEIR_OK ? said.place : weir_err_word(said.err));
    }
    print_message(" redis: %s\n", field_of(thing->id, "pl"));
}

static void say_what_is_wrong(const struct chaos *chaos)
{
    const struct order order = {.kind = ORDER_STATS};
    for (unsigned i = 0; i < chaos->faults; i++) {
        print_message("fault %u: %s\n", i, fault_words[chaos->had[i]]);
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        weir_sessions_stats stats = ask(chaos, i, &order).stats;
        print_message("gateway %u: %u unstored, %u live, down %d\n", i, stats.unstored, stats.live,
                      stats.store_down);
    }
    for (unsigned n = 0; n < THINGS; n++) {
        const char *fault = fault_of(chaos, n);
        if (fault != NULL) {
            say_of_thing(chaos, n, fault);
        }
    }
}

/* Who has something learns from others what became of it when it writes. */
static void touch_all_everywhere(struct chaos *chaos)
{
    for (unsigned n = 0; n < THINGS; n++) {
        for (unsigned i = 0; chaos->things[n].was_made && i < GATEWAYS; i++) {
            struct thing *thing = &chaos->things[n];
            const struct order order = touch_of(chaos, thing, i);
            note_touch(thing, &order, ask(chaos, i, &order).err);
        }
    }
}

/* The clients go on, and that ends with all as it should be; or says what is not. */
static void settle(struct chaos *chaos)
{
    uint64_t end_ms = clock_now_ms() + REDIS_DEADLINE_MS, next_ms = 0;
    do {
        uint64_t now_ms = clock_now_ms();
        if (now_ms > end_ms) {
            say_what_is_wrong(chaos);
            fail_msg("it does not settle");
        }
        if (now_ms >= next_ms) {
            touch_all_everywhere(chaos);
            next_ms = clock_now_ms() + ROUND_MS;
        }
        poll(NULL, 0, 1);
    } while (!is_settled(chaos));
}

/* --- faults -------------------------------------------------------------------------------------
 */

/* With much that it alone knows, and an order under way, of which nobody may be told what came of
 * it. */
static void kill_gateway(struct chaos *chaos)
{
    unsigned n = (unsigned)rand_below(&chaos->rand, THINGS);
    unsigned victim = chaos->victim = any_gateway(chaos);
    struct thing *thing = &chaos->things[n];
    for (unsigned of = victim; of < THINGS; of += GATEWAYS) {
        make_or_end(chaos, of);
    }
    struct order order = touch_of(chaos, thing, victim);
    struct said said;
    if (thing->was_made) {
        sharer_give(&chaos->gateways[victim], &order);
        usleep((useconds_t)rand_below(&chaos->rand, 300));
    }
    if (sharer_kill(&chaos->gateways[victim], &said)) {
        note_touch(thing, &order, said.err);
    } else if (thing->was_made) {
        thing->maybe_touches++;
        thing->maybe_errors += !order.is_served;
    }
}

static void select_database(void)
{
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
}

static void fault_begin(struct chaos *chaos)
{
    switch (chaos->fault) {
    case FAULT_RESTART:
        chaos->losses++;
        restart();
        break;
    case FAULT_FLUSH:
        chaos->losses++;
        redis_says(&server, "FLUSHALL");
        break;
    case FAULT_SCRIPTS: redis_says(&server, "SCRIPT", "FLUSH"); break;
    case FAULT_STOP: redis_pause(&server, true); break;
    case FAULT_DOWN:
        chaos->losses++;
        redis_kill(&server);
        break;
    case FAULT_GATEWAY: kill_gateway(chaos); break;
    case FAULT_BOTH:
        chaos->losses++;
        redis_kill(&server);
        kill_gateway(chaos);
        break;
    case FAULT_CUT:
    case FAULT_KINDS: break;
    }
}

static void fault_end(struct chaos *chaos)
{
    switch (chaos->fault) {
    case FAULT_STOP: redis_pause(&server, false); break;
    case FAULT_DOWN:
        redis_run(&server);
        select_database();
        break;
    case FAULT_GATEWAY: sharer_start(&chaos->gateways[chaos->victim], server.port); break;
    case FAULT_BOTH:
        redis_run(&server);
        select_database();
        sharer_start(&chaos->gateways[chaos->victim], server.port);
        break;
    case FAULT_RESTART:
    case FAULT_FLUSH:
    case FAULT_SCRIPTS:
    case FAULT_CUT:
    case FAULT_KINDS: break;
    }
    chaos->fault = FAULT_KINDS;
}

/* All eight in an order that is drawn, and some more. */
static void fault_step(struct chaos *chaos, unsigned step)
{
    if (chaos->fault != FAULT_KINDS && chaos->left-- == 0) {
        fault_end(chaos);
    }
    if (chaos->fault == FAULT_CUT) {
        redis_says(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    }
    if (step % FAULT_EVERY == FAULT_EVERY - 1) {
        if (rand_below(&chaos->rand, 3) == 0) { /* or it comes before the last one is got over */
            settle(chaos);
        }
        unsigned any = (unsigned)rand_below(&chaos->rand, FAULT_KINDS);
        unsigned next = chaos->faults++;
        chaos->fault = chaos->had[next] = next < FAULT_KINDS ? chaos->kinds[next] : (enum fault)any;
        chaos->left = (unsigned)rand_below(&chaos->rand, FAULT_STEPS);
        fault_begin(chaos);
    }
}

/* --- a seed -------------------------------------------------------------------------------------
 */

static void begin(struct chaos *chaos, uint64_t seed)
{
    *chaos = (struct chaos){.fault = FAULT_KINDS};
    rand_init(&chaos->rand, seed);
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        unsigned other = (unsigned)rand_below(&chaos->rand, i + 1);
        chaos->kinds[i] = chaos->kinds[other];
        chaos->kinds[other] = (enum fault)i;
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        char *folder = chaos->gateways[i].folder;
        snprintf(folder, sizeof chaos->gateways[i].folder, "/tmp/weir-chaos-XXXXXX");
        assert_non_null(mkdtemp(folder));
        sharer_start(&chaos->gateways[i], server.port);
    }
}

static void end_all(struct chaos *chaos)
{
    for (unsigned i = 0; i < GATEWAYS; i++) {
        char command[100];
        sharer_end(&chaos->gateways[i]);
        snprintf(command, sizeof command, "rm -r %s", chaos->gateways[i].folder);
        assert_int_equal(system(command), 0);
    }
}

static void chaos_of(uint64_t seed)
{
    static struct chaos chaos;
    printf("seed %llu\n", (unsigned long long)seed);
    begin(&chaos, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned n = (unsigned)rand_below(&chaos.rand, THINGS);
        unsigned what = (unsigned)rand_below(&chaos.rand, 12);
        if (what == 0) {
            race(&chaos, n % KEYS);
        } else if (what < 5) {
            make_or_end(&chaos, n);
        } else {
            use(&chaos, n);
        }
        fault_step(&chaos, step);
    }
    fault_end(&chaos);
    settle(&chaos);
    settle(&chaos); /* who touches what is over has learnt it, and raises nothing */
    end_all(&chaos);
}

static void whatever_happens_nothing_is_lost_raised_split_or_counted_twice(void **state)
{
    (void)state;
    const char *seed = getenv("WEIR_SEED");
    const char *seeds = getenv("WEIR_SEEDS");
    uint64_t from = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 1;
    for (uint64_t i = 0; i < count; i++) {
        redis_says(&server, "FLUSHALL");
        chaos_of(from + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            whatever_happens_nothing_is_lost_raised_split_or_counted_twice, start, end),
    };
    return cmocka_run_group_tests_name("redis chaos", tests, NULL, NULL);
}
